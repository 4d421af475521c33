"""The probabilities of entities that do not overlap, over ragged texts.

Rows are log-sums less a number of their own, so that a probability is made of numbers near its
span, whose rounding does not grow with the text: the score of the span's own path beside that of
all paths through its last token.
"""

import numpy as np

from ...jit import kernel
from .blocks import fill_block, start_text, step_back
from .rows import add_rows, log_sum
from .structures import BLOCK, make_rows

# The columns of spans.
_START, _STOP, _FIRST, _MIDDLE, _LAST, _CONTINUING = range(6)


@kernel
def span_log_probabilities(texts, scores, span_offsets, spans, log_p):
    """Write log p of exactly these spans with these tags and both their edges to log_p (span,).

    spans: (span, 6), in order: the first token and the one after the last, in the array of all
    tokens, and `SpanQuery`'s tags; span_offsets: (text + 1,), each text's first. -inf in a text
    without any path.
    """
    rows = make_rows(texts, len(scores.end))
    for text in range(len(texts.offsets) - 1):
        own = spans[span_offsets[text] : span_offsets[text + 1]]
        own_p = log_p[span_offsets[text] : span_offsets[text + 1]]
        if len(own):
            first, beyond = texts.offsets[text], texts.offsets[text + 1]
            _enter(texts, first, scores, rows, own, own_p)
            _close(texts, first, beyond - first, scores, rows, own, own_p)


@kernel
def _enter(texts, first, scores, rows, own, own_p):
    """Forwards, block by block: the score of all paths into each span and through its tags."""
    steps = scores.forwards
    width = len(scores.end)
    tops = np.zeros(BLOCK + 1)
    reach = own[-1, _STOP] - first
    start_text(texts, first, scores.start, rows)
    n = 0
    for block in range((reach - 1) // BLOCK + 1):
        begin = first + block * BLOCK
        stop = min(begin + BLOCK, first + reach)
        tops[0] = tops[BLOCK]
        fill_block(texts, first, reach, block, steps, rows, tops)
        while n < len(own) and own[n, _START] < stop:
            for token in range(max(own[n, _START], begin), min(own[n, _STOP], stop)):
                tag = _tag_at(own[n], token)
                if token == own[n, _START]:
                    own_p[n] = rows.block[(token - begin) * width + tag]
                else:
                    step = steps.scores[_tag_at(own[n], token - 1) * width + tag]
                    own_p[n] += step - tops[token - begin] + _emission(texts, token, tag)
            if own[n, _STOP] > stop:
                break
            n += 1


@kernel
def _close(texts, first, size, scores, rows, own, own_p):
    """Backwards: all ways to go on after each span, beside all paths through its last token."""
    width = len(scores.end)
    behind, ahead, terms = scores.end.copy(), np.empty(width), np.empty(width)
    tops = np.empty(BLOCK + 1)
    reach = own[-1, _STOP] - first
    n = len(own) - 1
    top = 0.0
    for t in range(size - 1, own[0, _STOP] - first - 2, -1):
        if t < size - 1:
            top = step_back(texts, first + t + 1, scores.backwards, behind, ahead, terms)
        if t < reach - 1 and t % BLOCK == BLOCK - 1:
            fill_block(texts, first, reach, t // BLOCK, scores.forwards, rows, tops)
        if first + t == own[n, _STOP] - 1:
            last = _tag_at(own[n], first + t)
            going_on = scores.end[last]
            if t < size - 1:
                add_rows(scores.forwards.scores, last * width, ahead, terms)
                if own[n, _CONTINUING] >= 0:
                    terms[own[n, _CONTINUING]] = -np.inf
                going_on = log_sum(terms) - top
            add_rows(rows.block, t % BLOCK * width, behind, terms)
            everything = log_sum(terms)
            own_p[n] = own_p[n] + (going_on - everything) if everything > -np.inf else -np.inf
            n -= 1


@kernel
def _tag_at(span, token):
    if token == span[_START]:
        return span[_FIRST]
    return span[_LAST] if token == span[_STOP] - 1 else span[_MIDDLE]


@kernel
def _emission(texts, token, tag):
    at = token * texts.tags + tag
    if len(texts.allowed) and not texts.allowed[at]:
        return -np.inf
    return np.float64(texts.emissions[at])
