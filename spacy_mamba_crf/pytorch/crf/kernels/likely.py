"""All spans whose probability reaches a floor, over ragged texts.

Given a text, its tags are a Markov chain: the probability of a span is that of its first tag, times
those of each step, times that of stopping. A prefix below the floor ends the search.
"""

from typing import NamedTuple

import numpy as np

from ...jit import kernel
from .blocks import fill_block, start_text, step_back
from .rows import add_rows, copy_row, emission, log_sum
from .structures import BLOCK, make_rows

# The columns of tags, see `likely_spans`.
_ONLY, _FIRST, _MIDDLE, _LAST, _CONTINUING = range(5)


class Chain(NamedTuple):
    """What gives the steps from token to token of a text.

    behind: (token, width), the log-sums after each token, each row less the number in tops (token,)
    and those of all rows after it.
    """

    behind: np.ndarray
    tops: np.ndarray


class Found(NamedTuple):
    """Spans (span, 4): text, start, end, label; and their probabilities (span,)."""

    spans: np.ndarray
    p: np.ndarray


class Search(NamedTuple):
    """tags, stride, limit, floor: see `likely_spans`."""

    tags: np.ndarray
    stride: int
    limit: int
    floor: float


@kernel
def likely_spans(texts, scores, search):
    """Find the spans of at least this probability: Found, by text and start.

    search.tags: (label, 5) int64, each label's tag of a span of one token, the first of a longer
    one, the second, the last, and the tag that makes a span of one token go on (-1: its end shows).
    stride: 1 if the tags of tokens after the first are numbered through, 0 if they are the same;
    limit: the most tokens of a span; floor: the probability, above 0.
    """
    width = len(scores.end)
    found = Found(np.empty((64, 4), np.int64), np.empty(64))
    n = 0
    rows = make_rows(texts, width)
    tops, p = np.empty(BLOCK + 1), np.empty(width)
    for text in range(len(texts.offsets) - 1):
        first, size = texts.offsets[text], texts.offsets[text + 1] - texts.offsets[text]
        if size == 0:
            continue
        most = int(min(1.0 / search.floor, size)) + 1  # of one start: they exclude each other
        chain = _go_back(texts, first, size, scores)
        start_text(texts, first, scores.start, rows)
        for t in range(size):
            if t % BLOCK == 0:
                fill_block(texts, first, size, t // BLOCK, scores.forwards, rows, tops)
            add_rows(rows.block, t % BLOCK * width, chain.behind[t], p)
            everything = log_sum(p)
            if everything == -np.inf:
                break
            for label in range(len(search.tags)):
                own = search.tags[label]
                if max(p[own[_ONLY]], p[own[_FIRST]]) - everything >= np.log(search.floor):
                    if len(found.p) < n + most:
                        found = _enlarged(found, n + most)
                    only = np.exp(p[own[_ONLY]] - everything)
                    begun = np.exp(p[own[_FIRST]] - everything)
                    before = n
                    n = _extend(
                        texts, first, t, scores, chain, search, label, only, begun, found, n
                    )
                    for i in range(before, n):
                        found.spans[i, 0], found.spans[i, 3] = text, label
    return Found(found.spans[:n], found.p[:n])


@kernel
def _extend(texts, first, t, scores, chain, search, label, only, begun, found, n):
    """Note the starts and ends of spans of a label that begin at token t; return their number."""
    own = search.tags[label]
    goes_on = _step(texts, first, t, own[_ONLY], own[_CONTINUING], scores, chain)
    n = _note(found, n, t, t + 1, only * (1 - goes_on), search.floor)
    q, tag, u = begun, own[_FIRST], t + 1
    while q >= search.floor and u < len(chain.tops) and u - t < search.limit:
        middle = own[_MIDDLE] + (u - t - 1) * search.stride
        last, after = own[_LAST], own[_CONTINUING]
        if after >= 0:  # the last token's tag is that of one between
            last = middle
            after = last + search.stride if u - t + 1 < search.limit else -1
        closed = q * _step(texts, first, u - 1, tag, last, scores, chain)
        if closed >= search.floor:
            goes_on = _step(texts, first, u, last, after, scores, chain)
            n = _note(found, n, t, u + 1, closed * (1 - goes_on), search.floor)
        q *= _step(texts, first, u - 1, tag, middle, scores, chain)
        tag = middle
        u += 1
    return n


@kernel
def _go_back(texts, first, size, scores):
    width = len(scores.end)
    chain = Chain(np.empty((size, width)), np.zeros(size))
    behind, ahead, shares = scores.end.copy(), np.empty(width), np.empty(width)
    copy_row(behind, 0, chain.behind[size - 1], 0, width)
    for t in range(size - 2, -1, -1):
        chain.tops[t] = step_back(texts, first + t + 1, scores.backwards, behind, ahead, shares)
        copy_row(behind, 0, chain.behind[t], 0, width)
    return chain


@kernel
def _step(texts, first, t, tag, to, scores, chain):
    """p(the next token has the tag `to` | token t has `tag`); 0 at the end, and for no tag."""
    if to < 0 or t + 1 >= len(chain.tops):
        return 0.0
    step = scores.forwards.scores[tag * len(scores.end) + to]
    score = step + emission(texts, first + t + 1, to) + chain.behind[t + 1, to]
    return np.exp(score - chain.tops[t] - chain.behind[t, tag]) if score > -np.inf else 0.0


@kernel
def _note(found, n, start, end, p, floor):
    if p < floor:
        return n
    found.spans[n, 1], found.spans[n, 2] = start, end
    found.p[n] = p
    return n + 1


@kernel
def _enlarged(found, n):
    spans, p = np.empty((2 * n, 4), np.int64), np.empty(2 * n)
    spans[: len(found.p)] = found.spans
    p[: len(found.p)] = found.p
    return Found(spans, p)
