"""The probabilities of given entities, which may overlap, over ragged texts.

Rows are log-sums less a number of their own, so that a probability is made of numbers near its
span, whose rounding does not grow with the text: the score of the span's own path beside that of
all paths through its last token.
"""

from typing import NamedTuple

import numpy as np

from ...jit import kernel
from .blocks import fill_block, start_text, step_back
from .rows import add_rows, emission, log_sum
from .structures import BLOCK, make_rows

# The columns of spans.
_START, _STOP, _FIRST, _MIDDLE, _LAST, _CONTINUING = range(6)


class Spans(NamedTuple):
    """The spans of a text: see `span_log_probabilities`."""

    columns: np.ndarray
    by_stop: np.ndarray
    stride: int
    log_p: np.ndarray


@kernel
def span_log_probabilities(texts, scores, stride, span_offsets, spans, by_stop, log_p):
    """Write log p of exactly these spans with these tags and both their edges to log_p (span,).

    spans: (span, 6), text by text, by their first token: the first token and the one after the
    last, in the array of all tokens, and `SpanQuery`'s tags; span_offsets: (text + 1,), each text's
    first; by_stop: (span,), the numbers of each text's spans by the token after their last. -inf in
    a text without any path.
    """
    rows = make_rows(texts, len(scores.end))
    for text in range(len(texts.offsets) - 1):
        begin, stop = span_offsets[text], span_offsets[text + 1]
        if stop > begin:
            own = Spans(spans[begin:stop], by_stop[begin:stop] - begin, stride, log_p[begin:stop])
            first, beyond = texts.offsets[text], texts.offsets[text + 1]
            _enter(texts, first, scores, rows, own)
            _close(texts, first, beyond - first, scores, rows, own)


@kernel
def _enter(texts, first, scores, rows, own):
    """Forwards, block by block: the score of all paths into each span and through its tags."""
    steps = scores.forwards
    width = len(scores.end)
    tops = np.zeros(BLOCK + 1)
    reach = own.columns[own.by_stop[-1], _STOP] - first
    start_text(texts, first, scores.start, rows)
    done = 0
    for block in range((reach - 1) // BLOCK + 1):
        begin = first + block * BLOCK
        stop = min(begin + BLOCK, first + reach)
        tops[0] = tops[BLOCK]
        fill_block(texts, first, reach, block, steps, rows, tops)
        while done < len(own.log_p) and own.columns[done, _STOP] <= begin:
            done += 1
        n = done
        while n < len(own.log_p) and own.columns[n, _START] < stop:
            span = own.columns[n]
            for token in range(max(span[_START], begin), min(span[_STOP], stop)):
                tag = _tag_at(span, token, own.stride)
                if token == span[_START]:
                    own.log_p[n] = rows.block[(token - begin) * width + tag]
                else:
                    step = steps.scores[_tag_at(span, token - 1, own.stride) * width + tag]
                    own.log_p[n] += step - tops[token - begin] + emission(texts, token, tag)
            n += 1


@kernel
def _close(texts, first, size, scores, rows, own):
    """Backwards: all ways to go on after each span, beside all paths through its last token."""
    width = len(scores.end)
    behind, ahead, terms = scores.end.copy(), np.empty(width), np.empty(width)
    tops = np.empty(BLOCK + 1)
    reach = own.columns[own.by_stop[-1], _STOP] - first
    n = len(own.by_stop) - 1
    top = 0.0
    for t in range(size - 1, own.columns[own.by_stop[0], _STOP] - first - 2, -1):
        if t < size - 1:
            top = step_back(texts, first + t + 1, scores.backwards, behind, ahead, terms)
        if t < reach - 1 and t % BLOCK == BLOCK - 1:
            fill_block(texts, first, reach, t // BLOCK, scores.forwards, rows, tops)
        everything = np.nan
        while n >= 0 and first + t == own.columns[own.by_stop[n], _STOP] - 1:
            span = own.columns[own.by_stop[n]]
            last = _tag_at(span, first + t, own.stride)
            going_on = scores.end[last]
            if t < size - 1:
                add_rows(scores.forwards.scores, last * width, ahead, terms)
                if span[_CONTINUING] >= 0:
                    terms[span[_CONTINUING]] = -np.inf
                going_on = log_sum(terms) - top
            if np.isnan(everything):
                add_rows(rows.block, t % BLOCK * width, behind, terms)
                everything = log_sum(terms)
            if everything > -np.inf:
                own.log_p[own.by_stop[n]] += going_on - everything
            else:
                own.log_p[own.by_stop[n]] = -np.inf
            n -= 1


@kernel
def _tag_at(span, token, stride):
    if token == span[_START]:
        return span[_FIRST]
    if token == span[_STOP] - 1:
        return span[_LAST]
    return span[_MIDDLE] + (token - span[_START] - 1) * stride
