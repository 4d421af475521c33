"""The k best paths over ragged texts, in float64.

One pass of Viterbi gives the best path up to every tag of every token. Each path that is found is
then walked back, and wherever another tag may stand before, the best path through it becomes a
candidate; the best candidate is the next path. (Deviations from found paths, after Lawler 1972.)
"""

from typing import NamedTuple

import numpy as np

from ...jit import kernel
from .products import best_before
from .rows import add_emissions, add_rows, copy_row, emission


class Candidates(NamedTuple):
    """The best paths not yet found, best first; the first n of each array.

    score: of the whole path; suffix: of what follows the tag at which it leaves its parent; parent:
    the found path that it is the same as from token `at` on; tag: of the token before.
    """

    score: np.ndarray
    suffix: np.ndarray
    parent: np.ndarray
    at: np.ndarray
    tag: np.ndarray


@kernel
def k_best_paths(texts, scores, k, tags, best):
    """Write the k best paths of each text to tags (k, token), their scores to best (text, k).

    Best first; a text with fewer has tags of 0 and scores of -inf for the others. A text without
    tokens has one path, of score 0.
    """
    width = len(scores.end)
    longest = 0
    for text in range(len(texts.offsets) - 1):
        longest = max(longest, texts.offsets[text + 1] - texts.offsets[text])
    rows, terms = np.empty(longest * width), np.empty(width)
    parent, at, tag_before = np.empty((3, k), np.int64)
    found = Candidates(np.empty(k), np.empty(k), parent, at, tag_before)
    for text in range(len(texts.offsets) - 1):
        first, size = texts.offsets[text], texts.offsets[text + 1] - texts.offsets[text]
        best[text] = -np.inf
        if size == 0:
            best[text, 0] = 0.0
            continue
        tags[:, first : first + size] = 0
        _fill_rows(texts, first, size, scores, rows)
        add_rows(rows, (size - 1) * width, scores.end, terms)
        n = 0
        for tag in range(texts.tags):
            n = _insert(found, n, k, terms[tag], scores.end[tag], -1, size, tag)
        for path in range(k):
            if n == 0:
                break
            best[text, path] = found.score[0]
            n = _walk_back(texts, first, size, scores, rows, tags, path, k, terms, found, n)


@kernel
def _fill_rows(texts, first, size, scores, rows):
    """The score of the best path up to and with each tag of each token."""
    width = len(scores.end)
    copy_row(scores.start, 0, rows, 0, width)
    add_emissions(texts, first, rows, 0)
    for t in range(1, size):
        best_before(rows, (t - 1) * width, scores.forwards.scores, rows, t * width, width)
        add_emissions(texts, first + t, rows, t * width)


@kernel
def _walk_back(texts, first, size, scores, rows, tags, path, k, terms, found, n):
    """Write the first candidate's path, and put its deviations in its place; returns how many.

    Of k paths, those up to this one are found, so that the others are all that is needed.
    """
    width, steps = len(scores.end), scores.backwards.scores
    parent, at, tag = found.parent[0], found.at[0], found.tag[0]
    suffix = found.suffix[0]
    n = _drop_first(found, n)
    room = k - path - 1
    if parent >= 0:
        for t in range(first + at, first + size):
            tags[path, t] = tags[parent, t]
    for t in range(at - 1, -1, -1):
        tags[path, first + t] = tag
        suffix += emission(texts, first + t, tag)
        if t == 0:
            break
        before = (t - 1) * width
        top, which = -np.inf, 0
        for i in range(texts.tags):
            terms[i] = rows[before + i] + steps[tag * width + i]
            if terms[i] > top:
                top, which = terms[i], i
        least = found.score[room - 1] if n >= room and room > 0 else -np.inf
        for i in range(texts.tags):
            if i != which and terms[i] + suffix > least and room > 0:
                step = steps[tag * width + i]
                n = _insert(found, n, room, terms[i] + suffix, suffix + step, path, t, i)
                least = found.score[room - 1] if n >= room else -np.inf
        suffix += steps[tag * width + which]
        tag = which
    return min(n, room)


@kernel
def _insert(found, n, room, score, suffix, parent, at, tag):
    """Put a candidate in its place among the best; returns how many there are, at most `room`."""
    if score == -np.inf or (n == room and score <= found.score[n - 1]):
        return n
    place = min(n, room - 1)
    while place > 0 and found.score[place - 1] < score:
        found.score[place], found.suffix[place] = found.score[place - 1], found.suffix[place - 1]
        found.parent[place], found.at[place] = found.parent[place - 1], found.at[place - 1]
        found.tag[place] = found.tag[place - 1]
        place -= 1
    found.score[place], found.suffix[place] = score, suffix
    found.parent[place], found.at[place], found.tag[place] = parent, at, tag
    return min(n + 1, room)


@kernel
def _drop_first(found, n):
    for i in range(n - 1):
        found.score[i], found.suffix[i] = found.score[i + 1], found.suffix[i + 1]
        found.parent[i], found.at[i] = found.parent[i + 1], found.at[i + 1]
        found.tag[i] = found.tag[i + 1]
    return n - 1
