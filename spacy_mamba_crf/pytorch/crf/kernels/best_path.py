"""Viterbi's best paths over ragged texts, in float64; of equal scores the lowest tag's wins.

No back pointers are stored: when a path is read back, the best tag before is sought again, for the
one tag that is on it. That costs no more than keeping pointers for all, and takes no memory.
"""

import numpy as np

from ...jit import kernel
from .blocks import start_text
from .products import best_before
from .rows import add_emissions, copy_row
from .structures import BLOCK, make_rows


@kernel
def best_paths(texts, scores, tags, best):
    """Write the best path of each text to tags (token,), its score, 0 if empty, to best (text,)."""
    width = len(scores.end)
    steps, into = scores.forwards.scores, scores.backwards.scores
    rows = make_rows(texts, width)
    for text in range(len(texts.offsets) - 1):
        first, size = texts.offsets[text], texts.offsets[text + 1] - texts.offsets[text]
        best[text] = 0.0
        if size == 0:
            continue
        start_text(texts, first, scores.start, rows)
        for block in range((size - 1) // BLOCK + 1):
            _fill_block(texts, first, size, block, steps, rows)
        at = (size - 1) % BLOCK * width
        tag = _best_tag(rows.block, at, scores.end, 0, width)
        best[text] = rows.block[at + tag] + scores.end[tag]
        tags[first + size - 1] = tag
        for t in range(size - 2, -1, -1):
            if t % BLOCK == BLOCK - 1:
                _fill_block(texts, first, size, t // BLOCK, steps, rows)
            tag = _best_tag(rows.block, t % BLOCK * width, into, tag * width, width)
            tags[first + t] = tag


@kernel
def _fill_block(texts, first, size, block, steps, rows):
    """Make a block's rows from its first, and the first of the block after it."""
    width = len(rows.block) // BLOCK
    begin = block * BLOCK
    last = min(begin + BLOCK, size - 1)
    copy_row(rows.firsts, block * width, rows.block, 0, width)
    for t in range(1, min(BLOCK - 1, last - begin) + 1):
        best_before(rows.block, (t - 1) * width, steps, rows.block, t * width, width)
        add_emissions(texts, first + begin + t, rows.block, t * width)
    if last == begin + BLOCK:
        to = (block + 1) * width
        best_before(rows.block, (BLOCK - 1) * width, steps, rows.firsts, to, width)
        add_emissions(texts, first + last, rows.firsts, to)


@kernel
def _best_tag(score, at, following, to, width):
    best, tag = -np.inf, 0
    for i in range(width):
        total = score[at + i] + following[to + i]
        if total > best:
            best, tag = total, i
    return tag
