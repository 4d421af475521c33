"""Log-sums over the paths of a text, block by block: forwards, and token by token backwards."""

import numpy as np

from ...jit import kernel
from .rows import add_emissions, advance, copy_row
from .structures import BLOCK


@kernel
def start_text(texts, first, start, rows):
    """Make the row of a text's first token."""
    copy_row(start, 0, rows.firsts, 0, len(start))
    add_emissions(texts, first, rows.firsts, 0)


@kernel
def fill_block(texts, first, size, block, steps, rows, tops):
    """Make a block's rows of log-sums, up to and with each token, from its first.

    Made along: the first row of the block after it. first, size: the text's first token, and how
    many are wanted; tops: written, by how much each row, but the first, is less than log-sums that
    count on from the row before.
    """
    width = len(rows.block) // BLOCK
    begin = block * BLOCK
    last = min(begin + BLOCK, size - 1)
    shares = np.empty(width)
    copy_row(rows.firsts, block * width, rows.block, 0, width)
    for t in range(1, min(BLOCK - 1, last - begin) + 1):
        at = t * width
        tops[t] = advance(rows.block, at - width, steps, rows.block, at, width, shares)
        add_emissions(texts, first + begin + t, rows.block, at)
    if last == begin + BLOCK:
        at, to = (BLOCK - 1) * width, (block + 1) * width
        tops[BLOCK] = advance(rows.block, at, steps, rows.firsts, to, width, shares)
        add_emissions(texts, first + last, rows.firsts, to)


@kernel
def step_back(texts, token, steps, behind, ahead, shares):
    """Turn `behind`, the log-sums after a token, into those after the token before it.

    steps: transposed. Written: ahead, the log-sums from the token on; as by `advance`, its result
    and shares.
    """
    copy_row(behind, 0, ahead, 0, len(behind))
    add_emissions(texts, token, ahead, 0)
    return advance(ahead, 0, steps, behind, 0, len(behind), shares)
