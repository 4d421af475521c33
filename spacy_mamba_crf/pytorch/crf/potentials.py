"""What describes a CRF: its scores, and the gradient of a loss by them."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

NEG_INF = float("-inf")


class Potentials(NamedTuple):
    """Scores that do not depend on the text, -inf where a step is illegal; float64.

    transitions: (from tag, to tag); start, end: (tag,). As in pytorch-crf.
    """

    transitions: Tensor
    start: Tensor
    end: Tensor


class Gradient(NamedTuple):
    """Expected counts: emissions as they lie, transitions (tag, tag), start, end (tag,)."""

    emissions: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor


class SpanQuery(NamedTuple):
    """Entities whose probability is asked for, one a row; all (span,) int64.

    row: index in the batch; start, end: first token and the token after the last; first, middle,
    last: tags of its first token, of those between, and of its last if it has more than one;
    continuing: the tag that may not follow it, -1 if any may.
    """

    row: Tensor
    start: Tensor
    end: Tensor
    first: Tensor
    middle: Tensor
    last: Tensor
    continuing: Tensor


class SpanTags(NamedTuple):
    """The tags that make a span an entity of a label.

    table: (label, 5) int64, the tag of a span of one token; of the first token of a longer one; of
    the second; of the last; and the tag that makes a span of one token go on, -1 where the end
    shows by itself. stride: 1 if each token after the second has the next number of tag (and a last
    token that of one between), 0 if those between share one. limit: the most tokens, 0 for any.
    """

    table: np.ndarray
    stride: int = 0
    limit: int = 0

    def query(self, spans: np.ndarray) -> tuple[np.ndarray, ...]:
        """The columns of a SpanQuery for (span, 4): text, start, end, label index."""
        row, start, end, label = spans.T
        only, first, middle, last, after = self.table[label].T
        size = end - start
        if self.stride:
            shown = after < 0
            last = np.where(shown, last, middle + (size - 2))
            going_on = np.where(size > 1, last + 1, after)
            after = np.where(shown | (size >= self.limit), -1, going_on)
        single = size == 1
        return (
            row,
            start,
            end,
            np.where(single, only, first),
            middle,
            np.where(single, only, last),
            after,
        )
