"""From emissions to entities with their probabilities, for a whole batch at once."""

from typing import NamedTuple

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.types import Floats2d
from thinc.util import get_array_module, xp2torch

from ..pytorch.crf import NEG_INF, Potentials, SpanQuery, ragged
from ..pytorch.schemes import TagSet
from .tag_masks import decoding_mask


class PredictedEntity(NamedTuple):
    """Tokens start to end (exclusive), label, and the probability of exactly this entity."""

    start: int
    end: int
    label: str
    prob: float | None


class Batch(NamedTuple):
    """The docs of a batch side by side: emissions (token, tag); offsets (doc + 1,), on the CPU."""

    emissions: torch.Tensor
    offsets: np.ndarray

    def put(self, array: np.ndarray) -> torch.Tensor:
        """An array as a tensor where the emissions are."""
        return torch.from_numpy(array).to(self.emissions.device)


def join_scores(scores: list[Floats2d]) -> Batch:
    """The emissions of some docs, each (token, tag), as one batch on their device."""
    offsets = np.cumsum([0, *map(len, scores)], dtype=np.int64)
    together = scores[0] if len(scores) == 1 else get_array_module(scores[0]).concatenate(scores)
    return Batch(xp2torch(together), offsets)


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
    if not docs:
        return results
    batch = join_scores(scores)
    constrained = bool((potentials.start == NEG_INF).any())
    mask = decoding_mask(docs, batch.offsets, tagset, constrained)
    allowed = None if mask is None else batch.put(mask)
    best, _ = ragged.viterbi(*batch, potentials, allowed)
    tags = best.cpu().numpy()
    found = tagset.entities(tags, batch.offsets)
    probs: list[float] | list[None] = [None] * len(found)
    if with_probabilities and len(found):
        query = _span_query(found, tags, batch, tagset)
        log_p = ragged.span_log_probability(*batch, potentials, query, allowed)
        probs = log_p.exp().clamp(max=1.0).tolist()
    for (doc, start, end, label), prob in zip(found.tolist(), probs):
        results[doc].append(PredictedEntity(start, end, tagset.labels[label], prob))
    return results


def _span_query(found: np.ndarray, tags: np.ndarray, batch: Batch, tagset: TagSet) -> SpanQuery:
    """found: (entity, 4), see `TagSet.entities`; tags: (token,)."""
    doc, start, end, label = found.T
    first = batch.offsets[doc]
    inside = np.array([tagset.number("I", i) for i in range(len(tagset.labels))])
    goes_on = inside[label] if tagset.scheme == "BIO" else np.full(len(doc), -1)
    first_tag, last_tag = tags[first + start], tags[first + end - 1]
    columns = (doc, start, end, first_tag, inside[label], last_tag, goes_on)
    return SpanQuery(*(batch.put(np.ascontiguousarray(column)) for column in columns))
