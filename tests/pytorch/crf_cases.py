"""Random CRFs and texts, and what they must give by enumeration of every path."""

import itertools

import numpy as np
import torch

from spacy_mamba_crf.pytorch.crf import Potentials, SpanQuery
from spacy_mamba_crf.pytorch.schemes import TagSet

NEG_INF = float("-inf")


def random_potentials(tagset: TagSet, generator: torch.Generator, scale: float = 1.0):
    """Random scores, -inf where the scheme forbids a step."""
    size = len(tagset)

    def scores(legal, *shape):
        values = torch.randn(*shape, generator=generator, dtype=torch.float64) * scale
        return values.masked_fill(~torch.from_numpy(legal), NEG_INF)

    return Potentials(
        scores(tagset.legal_transitions(), size, size),
        scores(tagset.legal_start(), size),
        scores(tagset.legal_end(), size),
    )


def enumerate_paths(emissions, potentials, allowed=None):
    """Every path of one text with its score, -inf ones left out: ((tag, ...), score)."""
    time, size = emissions.shape
    for tags in itertools.product(range(size), repeat=time):
        if allowed is not None and not all(allowed[t, tag] for t, tag in enumerate(tags)):
            continue
        score = potentials.start[tags[0]] + potentials.end[tags[-1]]
        score = score + sum(emissions[t, tag] for t, tag in enumerate(tags))
        score = score + sum(potentials.transitions[a, b] for a, b in itertools.pairwise(tags))
        if score > NEG_INF:
            yield tags, float(score)


def log_sum(scores) -> float:
    return float(torch.logsumexp(torch.tensor(list(scores), dtype=torch.float64), 0))


def offsets_of(lengths) -> np.ndarray:
    """Where texts of these lengths start, side by side: (text + 1,)."""
    return np.cumsum([0, *lengths]).astype(np.int64)


def query_of(tagset: TagSet, spans) -> SpanQuery:
    """(text, start, end, label index) of each entity as a query."""
    rows = []
    for text, start, end, label in spans:
        tags = tagset.span_tags(label, end - start)
        continuing = tagset.continuing_tag(label)
        middle = tagset.number("I", label)
        rows.append([text, start, end, tags[0], middle, tags[-1], -1])
        if continuing is not None:
            rows[-1][-1] = continuing
    return SpanQuery(*torch.tensor(rows, dtype=torch.int64).reshape(-1, 7).T)
