"""What describes a CRF: its scores, and the gradient of a loss by them."""

from typing import NamedTuple

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
