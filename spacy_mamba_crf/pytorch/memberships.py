"""CPU kernels of lexicon features: which table rows each token has, their sum, and its gradient.

Importing this imports Numba. A row stands for a label, a place in the word (B, M, E, S) and a
length.
"""

from typing import NamedTuple

import numpy as np

from .jit import kernel

LETTERS = "BMES"
_B, _M, _E, _S = range(4)


class Memberships(NamedTuple):
    """The rows of tokens, each row once a token.

    ends: (token,) int64, where each token's rows end in `rows`: (membership,) int32.
    """

    ends: np.ndarray
    rows: np.ndarray

    @property
    def tokens(self) -> np.ndarray:
        """(membership,) int32, the token that each is of."""
        counts = np.diff(self.ends, prepend=0)
        return np.repeat(np.arange(len(counts), dtype="int32"), counts)


def find_memberships(
    matches: np.ndarray,
    lengths: np.ndarray,
    label_ends: np.ndarray,
    labels: np.ndarray,
    max_length: int,
) -> Memberships:
    """The rows of all tokens: (4 label + letter) max_length + min(length, max_length) - 1.

    Letter and length, in tokens, are those of a match that the token is part of (Ma et al. 2020,
    SoftLexicon: the sets B, M, E and S of the words that a character is part of).
    matches: (match, 4) int64, see trie.find_matches; lengths: (text,) int64, tokens of each text;
    label_ends, labels: the labels of each entry, those of one after those of the other.
    """
    n_tokens = int(lengths.sum())
    n_rows = int(labels.max(initial=-1) + 1) * len(LETTERS) * max_length
    ends = np.empty(n_tokens, dtype="int64")
    rows = np.empty(8 * n_tokens + 16, dtype="int32")
    seen = np.full(n_rows, -1, dtype="int64")
    active = np.empty(len(matches), dtype="int64")
    arguments = matches, np.cumsum(lengths) - lengths, label_ends, labels, max_length, active
    count = _find_memberships(*arguments, seen, ends, rows)
    if count > len(rows):
        rows = np.empty(count, dtype="int32")
        seen[:] = -1
        _find_memberships(*arguments, seen, ends, rows)
    return Memberships(ends, rows[:count])


def add_memberships(table: np.ndarray, found: Memberships, out: np.ndarray) -> None:
    """out[t] += the sum of the rows of t. table: (row, width) float32; out: (token, width)."""
    _add(table, *found, out)


def scatter_memberships(gradient: np.ndarray, found: Memberships, d_out: np.ndarray) -> None:
    """The gradient of add_memberships by the table, added to `gradient`: (row, width) float32."""
    _scatter(gradient, *found, d_out)


@kernel
def _find_memberships(
    matches, text_starts, label_ends, labels, max_length, active, seen, ends, rows
):
    """The number of memberships; those that have room are written.

    active: room for the matches that the token lies in; seen: the last token that had each row.
    """
    found = 0
    n_active = 0
    match = 0
    for token in range(len(ends)):
        while match < len(matches):
            if text_starts[matches[match, 0]] + matches[match, 1] != token:
                break
            active[n_active] = match
            n_active += 1
            match += 1
        kept = 0
        for i in range(n_active):
            current = active[i]
            text_start = text_starts[matches[current, 0]]
            start = text_start + matches[current, 1]
            end = text_start + matches[current, 2]
            if end <= token:
                continue
            active[kept] = current
            kept += 1
            length = end - start
            if length == 1:
                letter = _S
            elif token == start:
                letter = _B
            elif token == end - 1:
                letter = _E
            else:
                letter = _M
            entry = matches[current, 3]
            first = label_ends[entry - 1] if entry > 0 else 0
            for place in range(first, label_ends[entry]):
                row = (4 * labels[place] + letter) * max_length + min(length, max_length) - 1
                if seen[row] != token:
                    seen[row] = token
                    if found < len(rows):
                        rows[found] = row
                    found += 1
        n_active = kept
        ends[token] = found
    return found


@kernel
def _add(table, ends, rows, out):
    width = table.shape[1]
    start = 0
    for token in range(len(ends)):
        target = out[token]
        for place in range(start, ends[token]):
            source = table[rows[place]]
            for i in range(width):
                target[i] += source[i]
        start = ends[token]


@kernel
def _scatter(gradient, ends, rows, d_out):
    width = gradient.shape[1]
    start = 0
    for token in range(len(ends)):
        source = d_out[token]
        for place in range(start, ends[token]):
            target = gradient[rows[place]]
            for i in range(width):
                target[i] += source[i]
        start = ends[token]
