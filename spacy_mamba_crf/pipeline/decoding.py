"""From a lattice to the entities of each doc: of the best sequence, or all that are likely."""

import bisect
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from .lattice import Lattice

# Spans below are not looked for: there are too many of them to be of use.
LEAST_PROBABILITY = 0.01


class PredictedEntity(NamedTuple):
    """Tokens start to end (exclusive), label, and the probability of exactly this entity."""

    start: int
    end: int
    label: str
    prob: float | None


class Prediction(NamedTuple):
    """What is found in a doc: its entities, and the spans for its span group if it has its own."""

    entities: list[PredictedEntity]
    spans: list[PredictedEntity] | None = None


def check_thresholds(
    name: str, threshold: float | None, spans_threshold: float | None, spans_key: str | None
) -> None:
    """Raise ValueError, naming the component's config key, for a setting that makes no sense."""
    for key, value in (("threshold", threshold), ("spans_threshold", spans_threshold)):
        if value is not None and not 0 <= value <= 1:
            raise ValueError(
                f"[components.{name}] {key} = {value} must be a probability, from 0 to 1, or null."
            )
    if spans_threshold is not None and spans_key is None:
        raise ValueError(
            f"[components.{name}] spans_threshold needs spans_key, the group to write the spans to."
        )


def decode(
    lattice: Lattice,
    with_probabilities: bool,
    threshold: float | None = None,
    spans_threshold: float | None = None,
) -> list[Prediction]:
    """The prediction for each doc; entities already in doc.ents are included.

    threshold: None for the entities of the best tag sequence; else those spans with at least this
    probability that do not overlap, the set with the largest sum of (probability - threshold).
    spans_threshold: also all spans with at least this probability, overlapping or not.
    """
    likely: list[list[PredictedEntity]] = []
    floors = [floor for floor in (threshold, spans_threshold) if floor is not None]
    if floors:
        likely = likely_entities(lattice, min(floors))
    if threshold is None:
        entities = best_entities(lattice, with_probabilities)
    else:
        entities = [select(spans, threshold) for spans in likely]
    if spans_threshold is None:
        return [Prediction(found) for found in entities]
    return [
        Prediction(found, [span for span in spans if _prob(span) >= spans_threshold])
        for found, spans in zip(entities, likely)
    ]


def best_entities(lattice: Lattice, with_probabilities: bool) -> list[list[PredictedEntity]]:
    """The entities of each doc's best tag sequence."""
    tags = lattice.best()
    found = lattice.tagset.entities(tags, lattice.offsets)
    probs: Sequence[float | None] = [None] * len(found)
    if with_probabilities:
        probs = lattice.span_probabilities(found, tags).tolist()
    return _by_doc(lattice, found, probs)


def likely_entities(lattice: Lattice, floor: float) -> list[list[PredictedEntity]]:
    """All spans of each doc with at least this probability, LEAST_PROBABILITY at least."""
    found, p = lattice.likely_spans(max(floor, LEAST_PROBABILITY))
    return _by_doc(lattice, found, p.tolist())


def select(spans: list[PredictedEntity], threshold: float) -> list[PredictedEntity]:
    """Of spans that may overlap, those of the set that maximises the sum of (prob - threshold).

    Spans of a lesser probability are left out. Above 0.5, none overlap: they exclude each other.
    (Weighted interval scheduling, Kleinberg & Tardos 2005, section 6.1.)
    """
    spans = sorted((span for span in spans if _prob(span) >= threshold), key=lambda span: span.end)
    ends = [span.end for span in spans]
    gains = [0.0]  # of the best set among the first n spans
    for n, span in enumerate(spans):
        before = bisect.bisect_right(ends, span.start, hi=n)
        gains.append(max(gains[n], gains[before] + _prob(span) - threshold))
    chosen = []
    n = len(spans)
    while n:
        span = spans[n - 1]
        before = bisect.bisect_right(ends, span.start, hi=n - 1)
        if gains[before] + _prob(span) - threshold >= gains[n]:
            chosen.append(span)
            n = before
        else:
            n -= 1
    return chosen[::-1]


def _by_doc(
    lattice: Lattice, found: np.ndarray, probs: Iterable[float | None]
) -> list[list[PredictedEntity]]:
    results: list[list[PredictedEntity]] = [[] for _ in lattice.offsets[1:]]
    for (doc, start, end, label), prob in zip(found.tolist(), probs):
        name = lattice.tagset.labels[label]
        results[doc].append(PredictedEntity(start, end, name, prob))
    return results


def _prob(span: PredictedEntity) -> float:
    return span.prob or 0.0
