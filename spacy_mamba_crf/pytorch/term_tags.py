"""Kernels that turn matched terms into scores of, or constraints on, the tags of tokens.

spans: (match, 4) int64: text, first token, the token after the last, entry; sorted by text and
token. offsets: (text + 1,), each text's first token. labels: (entry, label) bool, those that an
entry can have. table: (label, 5), see `crf.SpanTags`.
"""

import numpy as np

from .jit import kernel

# The columns of table.
_ONLY, _FIRST, _MIDDLE, _LAST, _CONTINUING = range(5)


@kernel
def add_term_scores(spans, offsets, labels, table, weight, scores):
    """Add weight, spread over its tags, to scores (token, tag) float32 for each term and label.

    The tag by which an entity would go on after the term loses it.
    """
    for match in range(len(spans)):
        text, start, end, entry = spans[match]
        first, stop = offsets[text] + start, offsets[text] + end
        for label in range(labels.shape[1]):
            if labels[entry, label]:
                for token in range(first, stop):
                    tag = _tag_at(table[label], token, first, stop)
                    scores[token, tag] += np.float32(weight / (stop - first))
                if table[label, _CONTINUING] >= 0 and stop < offsets[text + 1]:
                    scores[stop, table[label, _CONTINUING]] -= np.float32(weight)


@kernel
def require_terms(spans, offsets, labels, table, most, allowed):
    """Leave only those tags in allowed (token, tag) bool that make terms entities.

    Of overlapping terms the first is taken, and of those that begin together the longest, if it has
    at most `most` tokens and all tags of one of its labels are allowed.
    """
    match, done = 0, 0
    while match < len(spans):
        text, start = spans[match, 0], spans[match, 1]
        beyond = match
        while beyond < len(spans) and spans[beyond, 0] == text and spans[beyond, 1] == start:
            beyond += 1
        first = offsets[text] + start
        if first >= done:
            for i in range(beyond - 1, match - 1, -1):
                stop = offsets[text] + spans[i, 2]
                if stop - first <= most and _require(
                    first, stop, offsets[text + 1], labels[spans[i, 3]], table, allowed
                ):
                    done = stop
                    break
        match = beyond


@kernel
def _require(first, stop, beyond, labels, table, allowed):
    """Make tokens an entity of one of the labels; False, and nothing changed, if none fits."""
    fits = labels.copy()
    for label in range(len(labels)):
        for token in range(first, stop):
            if fits[label] and not allowed[token, _tag_at(table[label], token, first, stop)]:
                fits[label] = False
    if not fits.any():
        return False
    allowed[first:stop] = False
    for label in range(len(labels)):
        if fits[label]:
            for token in range(first, stop):
                allowed[token, _tag_at(table[label], token, first, stop)] = True
            if table[label, _CONTINUING] >= 0 and stop < beyond:
                allowed[stop, table[label, _CONTINUING]] = False
    return True


@kernel
def _tag_at(tags, token, first, stop):
    if stop - first == 1:
        return tags[_ONLY]
    if token == first:
        return tags[_FIRST]
    return tags[_LAST] if token == stop - 1 else tags[_MIDDLE]
