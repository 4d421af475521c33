"""All tag sequences of a batch of docs, with every constraint: what predictions are read from."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from thinc.types import Floats2d
from thinc.util import get_array_module, xp2torch

from ..pytorch.crf import NEG_INF, Potentials, SpanQuery, SpanTags, ragged
from ..pytorch.crf.limits import count_tokens
from ..pytorch.schemes import TagSet


class Batch(NamedTuple):
    """The docs of a batch side by side: emissions (token, tag); offsets (doc + 1,), on the CPU."""

    emissions: torch.Tensor
    offsets: np.ndarray

    def put(self, array: np.ndarray) -> torch.Tensor:
        """An array as a tensor where the emissions are."""
        return torch.from_numpy(array).to(self.emissions.device)


def join_scores(scores: Sequence[Floats2d]) -> Batch:
    """The emissions of some docs, each (token, tag), as one batch on their device."""
    offsets = np.cumsum([0, *map(len, scores)], dtype=np.int64)
    xp: Any = get_array_module(scores[0])
    together = scores[0] if len(scores) == 1 else xp.concatenate(scores)
    return Batch(xp2torch(together), offsets)


def divide_scores(
    batch: Batch, potentials: Potentials, temperature: float
) -> tuple[Batch, Potentials]:
    """All scores divided by a temperature."""
    emissions = batch.emissions / temperature
    return batch._replace(emissions=emissions), Potentials(
        *(part / temperature for part in potentials)
    )


class Lattice:
    """The legal tag sequences of some docs, on the CPU.

    potentials: -inf where a step is illegal; finite without a CRF. allowed: (token, tag) bool, None
    for everything. most: tokens of the longest entity, None for any. A text whose constraints
    contradict each other has no entities.
    """

    def __init__(
        self,
        batch: Batch,
        potentials: Potentials,
        tagset: TagSet,
        allowed: np.ndarray | None = None,
        most: int | None = None,
    ):
        self.tagset = tagset
        self.offsets = batch.offsets
        self.emissions = batch.emissions.cpu()
        self.potentials = Potentials(*(scores.cpu() for scores in potentials))
        self.has_crf = bool((self.potentials.start == NEG_INF).any())
        self.spans = SpanTags(tagset.span_table())
        self.base: torch.Tensor | None = None  # the scheme's tag of each tag, where they differ
        if most is not None:
            self.base, self.potentials, self.spans = count_tokens(tagset, self.potentials, most)
            self.emissions = self.emissions[:, self.base]
        self.allowed = None if allowed is None else self._mask(allowed)

    def best(self) -> np.ndarray:
        """(token,) int64: the tags of each text's best sequence, O in one without any."""
        tags, scores = ragged.viterbi(self.emissions, self.offsets, self.potentials, self.allowed)
        found = self._of_scheme(tags)
        for text in np.flatnonzero(scores.numpy() == NEG_INF):
            found[self.offsets[text] : self.offsets[text + 1]] = 0
        return found

    def k_best(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best sequences of each text and their log-probabilities.

        (k, token) int64 and (k, text) float64, -inf where a text has no more.
        """
        tags, scores = ragged.k_best(self.emissions, self.offsets, self.potentials, k, self.allowed)
        everything = self._log_partition(self.allowed)
        log_p = np.where(np.isneginf(scores), NEG_INF, scores.numpy() - everything)
        return self._of_scheme(tags), log_p

    def span_probabilities(self, spans: np.ndarray, tags: np.ndarray | None = None) -> np.ndarray:
        """p(exactly this entity) of each span: (span,).

        spans: (span, 4) int64: text, start, end (exclusive), label index. tags: (token,), without a
        CRF, the sequence from which the spans were read; the scheme may forbid it.
        """
        p = np.zeros(len(spans))
        fits = spans[:, 2] - spans[:, 1] <= (self.spans.limit or np.inf)
        if not fits.any():
            return p
        query = self._query(spans[fits], tags)
        log_p = ragged.span_log_probability(
            self.emissions, self.offsets, self.potentials, query, self.allowed, self.spans.stride
        )
        p[fits] = np.minimum(log_p.exp().numpy(), 1.0)
        return p

    def likely_spans(self, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """All spans of at least this probability, (span, 4) as above, and those: (span,)."""
        return ragged.likely_spans(
            self.emissions, self.offsets, self.potentials, self.spans, floor, self.allowed
        )

    def probability_within(self, admitted: np.ndarray) -> np.ndarray:
        """p(the tags are among those admitted) of each text: (text,). admitted: (token, tag)."""
        mask = self._mask(admitted)
        mask = mask if self.allowed is None else mask & self.allowed
        share = self._log_partition(mask) - self._log_partition(self.allowed)
        return np.minimum(np.exp(share), 1.0)

    def _log_partition(self, allowed: torch.Tensor | None) -> np.ndarray:
        sums = ragged.log_partition(self.emissions, self.offsets, self.potentials, allowed)
        return sums.numpy()

    def _query(self, spans: np.ndarray, tags: np.ndarray | None) -> SpanQuery:
        columns = [np.ascontiguousarray(column) for column in self.spans.query(spans)]
        query = SpanQuery(*map(torch.from_numpy, columns))
        if self.has_crf or tags is None:
            return query
        first = self.offsets[spans[:, 0]]
        own = (tags[first + spans[:, 1]], tags[first + spans[:, 2] - 1])
        return query._replace(first=torch.from_numpy(own[0]), last=torch.from_numpy(own[1]))

    def _mask(self, allowed: np.ndarray) -> torch.Tensor:
        mask = torch.from_numpy(allowed)
        return mask if self.base is None else mask[:, self.base]

    def _of_scheme(self, tags: torch.Tensor) -> np.ndarray:
        return (tags if self.base is None else self.base[tags]).numpy()
