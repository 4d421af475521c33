"""The k best paths over ragged texts, in float64: Viterbi with k scores a tag.

Of each tag, the k best paths up to it are merged from those of the tags before, which are sorted.
Where a path came from is kept for one block of tokens at a time, and found again for others.
"""

from typing import NamedTuple

import numpy as np

from ...jit import kernel
from .rows import emission
from .structures import BLOCK


class Before(NamedTuple):
    """The tags that may stand before each tag: tags (tag, tag), the first n (tag,) of a row."""

    tags: np.ndarray
    n: np.ndarray


class Ranks(NamedTuple):
    """Room for the paths of a text; a path's number in a row is its tag times k plus its rank.

    row, next: (tag * k,) scores up to a token, -inf where there is no path; came: (BLOCK, tag * k)
    int32, the number of each path's part before, for one block; first_rows, first_came: the same
    for each block's first token; heads, steps, tops: (tag,), see _merge.
    """

    row: np.ndarray
    next: np.ndarray
    came: np.ndarray
    first_rows: np.ndarray
    first_came: np.ndarray
    heads: np.ndarray
    steps: np.ndarray
    tops: np.ndarray


@kernel
def k_best_paths(texts, scores, k, tags, best):
    """Write the k best paths of each text to tags (k, token), their scores to best (text, k).

    Best first; a text with fewer has tags of 0 and scores of -inf for the others. A text without
    tokens has one path, of score 0.
    """
    before = _list_before(scores.forwards.scores, len(scores.end), texts.tags)
    ranks = _make_ranks(texts, k)
    last = np.empty(k, np.int64)
    for text in range(len(texts.offsets) - 1):
        first, size = texts.offsets[text], texts.offsets[text + 1] - texts.offsets[text]
        best[text] = -np.inf
        if size == 0:
            best[text, 0] = 0.0
            continue
        ranks.row[:] = -np.inf
        for tag in range(texts.tags):
            ranks.row[tag * k] = scores.start[tag] + emission(texts, first, tag)
        for block in range((size - 1) // BLOCK + 1):
            if block:
                _advance(texts, first + block * BLOCK, scores, k, before, ranks, 0)
                ranks.first_came[block] = ranks.came[0]
            ranks.first_rows[block] = ranks.row
            _fill_block(texts, first, size, block, scores, k, before, ranks)
        n = _merge_ends(texts, scores, k, ranks, best[text], last)
        for t in range(size - 1, -1, -1):
            block = t // BLOCK
            if t % BLOCK == BLOCK - 1 and t < size - 1:
                ranks.row[:] = ranks.first_rows[block]
                _fill_block(texts, first, size, block, scores, k, before, ranks)
            came = ranks.came[t % BLOCK] if t % BLOCK else ranks.first_came[block]
            for path in range(n):
                tags[path, first + t] = last[path] // k
                if t:
                    last[path] = came[last[path]]
        tags[n:, first : first + size] = 0


@kernel
def _fill_block(texts, first, size, block, scores, k, before, ranks):
    """Go from a block's first token to its last."""
    for t in range(block * BLOCK + 1, min(block * BLOCK + BLOCK, size)):
        _advance(texts, first + t, scores, k, before, ranks, t % BLOCK)


@kernel
def _advance(texts, token, scores, k, before, ranks, place):
    """Turn the row of the token before into that of a token."""
    width, transitions = len(scores.end), scores.forwards.scores
    for tag in range(texts.tags):
        own = emission(texts, token, tag)
        n = before.n[tag] if own > -np.inf else 0
        for i in range(n):
            other = before.tags[tag, i]
            ranks.heads[i], ranks.steps[i] = other * k, transitions[other * width + tag]
        to = tag * k
        merged = _merge(ranks, n, k, ranks.next[to : to + k], ranks.came[place, to : to + k])
        for path in range(to, to + merged):
            ranks.next[path] += own
        ranks.next[to + merged : to + k] = -np.inf
    ranks.row[:] = ranks.next


@kernel
def _merge_ends(texts, scores, k, ranks, best, numbers):
    """The best ways to end: written as by _merge."""
    for tag in range(texts.tags):
        ranks.heads[tag], ranks.steps[tag] = tag * k, scores.end[tag]
    return _merge(ranks, texts.tags, k, best, numbers)


@kernel
def _merge(ranks, n, k, best, numbers):
    """Write the k best of n sorted lists to best, and their numbers; returns how many there are.

    A list is the paths of a tag, from number ranks.heads[i] on, with ranks.steps[i] added.
    """
    for i in range(n):
        ranks.tops[i] = ranks.row[ranks.heads[i]] + ranks.steps[i]
    for rank in range(k):
        top, which = -np.inf, 0
        for i in range(n):
            if ranks.tops[i] > top:
                top, which = ranks.tops[i], i
        if top == -np.inf:
            return rank
        best[rank], numbers[rank] = top, ranks.heads[which]
        ranks.heads[which] += 1
        number = ranks.heads[which]
        ranks.tops[which] = ranks.row[number] + ranks.steps[which] if number % k else -np.inf
    return k


@kernel
def _list_before(transitions, width, tags):
    before = Before(np.zeros((tags, tags), np.int64), np.zeros(tags, np.int64))
    for tag in range(tags):
        for other in range(tags):
            if transitions[other * width + tag] > -np.inf:
                before.tags[tag, before.n[tag]] = other
                before.n[tag] += 1
    return before


@kernel
def _make_ranks(texts, k):
    longest = 0
    for text in range(len(texts.offsets) - 1):
        longest = max(longest, texts.offsets[text + 1] - texts.offsets[text])
    n, blocks = texts.tags * k, longest // BLOCK + 1
    return Ranks(
        np.empty(n),
        np.empty(n),
        np.empty((BLOCK, n), np.int32),
        np.empty((blocks, n)),
        np.empty((blocks, n), np.int32),
        np.empty(texts.tags, np.int64),
        np.empty(texts.tags),
        np.empty(texts.tags),
    )
