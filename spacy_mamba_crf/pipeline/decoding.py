"""From emissions to entities with their probabilities, for a whole batch at once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.types import Floats2d
from thinc.util import xp2torch

from ..pytorch.crf import (
    NEG_INF,
    Potentials,
    SpanQuery,
    forward_backward,
    span_log_probability,
    viterbi,
)
from ..pytorch.schemes import TagSet
from .tag_masks import decoding_mask


class PredictedEntity(NamedTuple):
    """Tokens start to end (exclusive), label, and the probability of exactly this entity."""

    start: int
    end: int
    label: str
    prob: float | None


class Batch(NamedTuple):
    """The docs of a batch that have tokens, padded: (batch, time, tag) and (batch,)."""

    emissions: torch.Tensor
    lengths: torch.Tensor

    def stack_masks(self, masks: Sequence[np.ndarray | None]) -> torch.Tensor:
        """(token, tag) masks -> (batch, time, tag) bool; None admits every tag."""
        stacked = np.ones(tuple(self.emissions.shape), dtype=bool)
        for row, mask in zip(stacked, masks):
            if mask is not None:
                row[: len(mask)] = mask
        return torch.from_numpy(stacked).to(self.emissions.device)


def pad_scores(scores: list[Floats2d]) -> Batch:
    """Emissions (token, tag) of docs that all have tokens, as one padded batch on their device."""
    tensors = [xp2torch(doc_scores) for doc_scores in scores]
    emissions = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
    lengths = torch.tensor([len(tensor) for tensor in tensors], device=emissions.device)
    return Batch(emissions, lengths)


@torch.no_grad()
def decode(
    docs: list[Doc],
    scores: list[Floats2d],
    potentials: Potentials,
    tagset: TagSet,
    with_probabilities: bool,
) -> list[list[PredictedEntity]]:
    """The entities of the best tag sequence of each doc, those already in doc.ents included."""
    results: list[list[PredictedEntity]] = [[] for _ in docs]
    numbers = [i for i, doc in enumerate(docs) if len(doc)]
    if not numbers:
        return results
    batch = pad_scores([scores[i] for i in numbers])
    constrained = bool((potentials.start == NEG_INF).any())
    masks = [decoding_mask(docs[i], tagset, constrained) for i in numbers]
    allowed = None if all(mask is None for mask in masks) else batch.stack_masks(masks)
    paths, _ = viterbi(batch.emissions, batch.lengths, potentials, allowed)
    tags = paths.cpu().numpy()
    found = []  # (row, start, end, label)
    for row, i in enumerate(numbers):
        found += [(row, *entity) for entity in tagset.decode(tags[row, : len(docs[i])])]
    probs: list[float] | list[None] = [None] * len(found)
    if with_probabilities and found:
        lattice = forward_backward(batch.emissions, batch.lengths, potentials, allowed)
        query = _span_query(found, tags, tagset, batch.emissions.device)
        probs = span_log_probability(lattice, query).exp().clamp(max=1.0).tolist()
    for (row, start, end, label), prob in zip(found, probs):
        entity = PredictedEntity(start, end, tagset.labels[label], prob)
        results[numbers[row]].append(entity)
    return results


def _span_query(
    found: list[tuple[int, int, int, int]], tags: np.ndarray, tagset: TagSet, device: torch.device
) -> SpanQuery:
    row, start, end, label = np.array(found, dtype="int64").T
    inside = np.array([tagset.number("I", i) for i in range(len(tagset.labels))])
    goes_on = inside[label] if tagset.scheme == "BIO" else np.full(len(row), -1)
    columns = (row, start, end, tags[row, start], inside[label], tags[row, end - 1], goes_on)
    return SpanQuery(*(torch.from_numpy(column).to(device) for column in columns))
