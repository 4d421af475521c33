"""The CRF over ragged texts: texts side by side, without padding.

emissions: (token, tag); offsets: (text + 1,) int64, the first token of each text and the one after
the last; allowed: (token, tag) bool, None for everything. Texts may be without tokens. On the CPU
all of it runs in kernels, elsewhere in torch on a padded batch.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..padding import pad
from . import padded, padded_k_best
from .potentials import NEG_INF, Gradient, Potentials, SpanQuery, SpanTags


def viterbi(
    emissions: Tensor, offsets: np.ndarray, potentials: Potentials, allowed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The best tag sequence of each text and its score: (token,) int64 and (text,) float64.

    The score of a text without tokens is 0, of one without any path -inf.
    """
    if _has_kernels(emissions):
        from . import cpu

        return cpu.viterbi(emissions, offsets, potentials, allowed)
    batch = _pad(emissions, offsets, allowed)
    tags, scores = padded.viterbi(batch.emissions, batch.lengths, potentials, batch.allowed)
    return tags.flatten()[batch.place], batch.spread(scores)


def k_best(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    k: int,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The k best tag sequences of each text, best first: (k, token) int64, (k, text) float64.

    A text with fewer has tags of 0 and scores of -inf for the others; one without tokens has one
    sequence, of score 0. Raises ValueError for k less than 1.
    """
    if k < 1:
        raise ValueError(f"The number of best sequences is {k}; it must be at least 1.")
    if _has_kernels(emissions):
        from . import cpu

        return cpu.k_best(emissions, offsets, potentials, k, allowed)
    shape, device = (k, len(offsets) - 1), emissions.device
    scores = torch.full(shape, NEG_INF, dtype=torch.float64, device=device)
    scores[0] = 0.0  # of texts without tokens
    if not len(emissions):
        return torch.zeros(k, 0, dtype=torch.int64, device=device), scores
    batch = _pad(emissions, offsets, allowed)
    tags, scores[:, batch.present] = padded_k_best.k_best(
        batch.emissions, batch.lengths, potentials, k, batch.allowed
    )
    return tags.flatten(1)[:, batch.place], scores


def span_log_probability(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    query: SpanQuery,
    allowed: Tensor | None = None,
    stride: int = 0,
) -> Tensor:
    """log p(exactly these spans with these tags and both their edges | text): (span,) float64.

    query: its rows number the texts, its starts and ends count from a text's first token; in any
    order, and spans may overlap. stride: see `SpanTags`. Raises ValueError if a span is empty or
    leaves its text.
    """
    _check_spans(query, offsets)
    if _has_kernels(emissions) or stride:
        from . import cpu

        query = SpanQuery(*(column.cpu() for column in query))
        texts = _on_cpu(emissions, potentials, allowed)
        log_p = cpu.span_log_probability(texts[0], offsets, texts[1], query, texts[2], stride)
        return log_p.to(emissions.device)
    batch = _pad(emissions, offsets, allowed)
    lattice = padded.forward_backward(batch.emissions, batch.lengths, potentials, batch.allowed)
    query = query._replace(row=batch.rows[query.row])
    return padded.span_log_probability(lattice, query)


def likely_spans(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    tags: SpanTags,
    floor: float,
    allowed: Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Every span whose probability, as by `span_log_probability`, is at least `floor`.

    Returns (span, 4) int64: text, start, end (exclusive) and label index, in the order of texts and
    starts; and (span,) float64. Runs on the CPU wherever the emissions are. Raises ValueError for a
    floor that is not in (0, 1].
    """
    if not 0 < floor <= 1:
        raise ValueError(f"The smallest probability of a span is {floor}; it must be in (0, 1].")
    from . import cpu

    emissions, potentials, allowed = _on_cpu(emissions, potentials, allowed)
    return cpu.likely_spans(emissions, offsets, potentials, tags, floor, allowed)


def log_partition(
    emissions: Tensor, offsets: np.ndarray, potentials: Potentials, allowed: Tensor | None = None
) -> Tensor:
    """The log-sum of all paths of each text, (text,) float64; on the CPU wherever emissions are.

    0 for a text without tokens, -inf for one without any path.
    """
    from . import cpu

    emissions, potentials, allowed = _on_cpu(emissions, potentials, allowed)
    return cpu.log_partition(emissions, offsets, potentials, allowed)


def partition_and_counts(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    weights: Tensor,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Gradient]:
    """The log-sum of all paths of each text, (text,), and the gradient of its sum by `weights`.

    The log-sum of a text without tokens is 0, of one without any path -inf.
    """
    (log_partition,), counts = _count(emissions, offsets, potentials, [(weights, allowed)])
    return log_partition, counts


def loss_and_gradient(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    target: Tensor,
    weights: Tensor,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Gradient]:
    """-log p(target | text) of each text, (text,), and the gradient of its sum by `weights`.

    target: (token, tag) bool, the tags that the annotation admits at each token: one where it is
    complete, all where it is missing, so that the loss is the marginal likelihood of what is known
    (Tsuboi et al. 2008). `allowed` bounds target and alternatives alike. weights: (text,). The loss
    of a text without tokens is 0.
    """
    if allowed is not None:
        target = target & allowed
    cases = [(weights, allowed), (-weights, target)]
    (everything, admitted), counts = _count(emissions, offsets, potentials, cases)
    return everything - admitted, counts


def _count(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    cases: list[tuple[Tensor, Tensor | None]],
) -> tuple[list[Tensor], Gradient]:
    """`partition_and_counts` for several (weights, allowed), the gradients added up."""
    if _has_kernels(emissions):
        from . import cpu

        return cpu.partition_and_counts(emissions, offsets, potentials, cases)
    log_partitions, counts = [], []
    for weights, allowed in cases:
        batch = _pad(emissions, offsets, allowed)
        lattice = padded.forward_backward(batch.emissions, batch.lengths, potentials, batch.allowed)
        own = padded.expected_counts(lattice, weights[batch.present])
        log_partitions.append(batch.spread(lattice.log_partition))
        counts.append(own._replace(emissions=own.emissions.flatten(0, 1)[batch.place]))
    return log_partitions, Gradient(*(sum(parts[1:], parts[0]) for parts in zip(*counts)))


def _has_kernels(emissions: Tensor) -> bool:
    return emissions.device.type == "cpu"


class _Batch(NamedTuple):
    """The texts that have tokens, padded.

    emissions, allowed: (row, time, tag); lengths: (row,); place: (token,), where each token went in
    the rows laid end to end; present: (text,) bool, the texts that have a row.
    """

    emissions: Tensor
    lengths: Tensor
    allowed: Tensor | None
    place: Tensor
    present: Tensor

    @property
    def rows(self) -> Tensor:
        """(text,): the row of each text that has one."""
        return self.present.cumsum(0) - 1

    def spread(self, values: Tensor) -> Tensor:
        """(row,) -> (text,), 0 for a text without tokens."""
        return values.new_zeros(len(self.present)).masked_scatter(self.present, values)


def _pad(emissions: Tensor, offsets: np.ndarray, allowed: Tensor | None) -> _Batch:
    sizes = torch.from_numpy(np.diff(offsets)).to(emissions.device)
    lengths = sizes[sizes > 0]
    rows, place = pad(emissions, lengths)
    if allowed is not None:
        allowed, _ = pad(allowed, lengths)
    return _Batch(rows, lengths, allowed, place, sizes > 0)


def _on_cpu(
    emissions: Tensor, potentials: Potentials, allowed: Tensor | None
) -> tuple[Tensor, Potentials, Tensor | None]:
    potentials = Potentials(*(scores.cpu() for scores in potentials))
    return emissions.cpu(), potentials, None if allowed is None else allowed.cpu()


def _check_spans(query: SpanQuery, offsets: np.ndarray) -> None:
    row, start, end = (column.cpu().numpy() for column in query[:3])
    wrong = (start < 0) | (end <= start) | (end > np.diff(offsets)[row])
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(
            f"Span {i} of the query, tokens {start[i]} to {end[i]} of text {row[i]}, is empty or "
            "leaves its text."
        )
