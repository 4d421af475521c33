"""Fitting the temperature that makes entity probabilities mean what they say."""

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from spacy.language import Language
from spacy.training import Corpus, Example
from spacy.util import logger

from ..chunks import Chunk
from ..evaluation.calibration import expected_calibration_error
from ..evaluation.spans import align_entity, gold_entities
from .lattice import Lattice

# Temperatures are sought between these.
_COLDEST, _HOTTEST = 0.05, 20.0
_PRIOR = 0.1
_GOLDEN = (math.sqrt(5) - 1) / 2


class Calibration(NamedTuple):
    """The temperature, how many predictions it was fitted to, and their ECE before and after."""

    temperature: float
    entities: int
    before: float
    after: float


def fit_temperature(
    examples: Sequence[Example],
    given: Sequence[Collection[Chunk]],
    make_lattice: Callable[[float], Lattice],
) -> Calibration | None:
    """Find the temperature at which the entities' probabilities are most likely (Guo et al. 2017).

    It minimises the log loss of "this entity of the best tag sequence is right", and, for the case
    that all of a few are, a little of the logarithm's square. examples: their predicted docs, in
    order, are those of the lattices; given: of each, the entities that are no predictions;
    make_lattice: makes the lattice at a temperature. None where nothing is predicted whose truth is
    known.
    """
    lattice = make_lattice(1.0)
    tags = lattice.best()
    found = lattice.tagset.entities(tags, lattice.offsets)
    right, known = _judged(found, examples, given, lattice.tagset.labels)
    if not known.any():
        return None
    found, right = found[known], right[known]

    def probabilities(temperature: float) -> np.ndarray:
        return make_lattice(temperature).span_probabilities(found, tags)

    def loss(temperature: float) -> float:
        prior = _PRIOR * math.log(temperature) ** 2 / len(found)
        return _log_loss(probabilities(temperature), right) + prior

    temperature = _minimise(loss, _COLDEST, _HOTTEST)
    before = expected_calibration_error(probabilities(1.0), right)
    after = expected_calibration_error(probabilities(temperature), right)
    return Calibration(temperature, len(found), before, after)


def calibrate_pipeline(
    nlp: Language, path: str | Path, component: str | None = None
) -> dict[str, Calibration]:
    """Calibrate a pipeline's components (all that can be, or this one) on a DocBin file or folder.

    Each sees the docs as the components before it leave them. Returns what was fitted, by name.
    Raises ValueError without such a component, and FileNotFoundError without the file.
    """
    able = [name for name, pipe in nlp.pipeline if hasattr(pipe, "calibrate")]
    wanted = able if component is None else [component]
    if not wanted or not set(wanted) <= set(able):
        raise ValueError(
            f"The pipeline has no component {component or 'crf_ner'!r} to calibrate; it has "
            f"{', '.join(nlp.pipe_names) or 'none'}."
        )
    if not Path(path).exists():
        raise FileNotFoundError(f"There is no file {path} to calibrate the probabilities on.")
    examples = list(Corpus(path)(nlp))
    results = {}
    last = max(nlp.pipe_names.index(name) for name in wanted)
    for name, pipe in nlp.pipeline[: last + 1]:
        if name in wanted:
            found = cast(Any, pipe).calibrate(examples)
            if found is not None:
                results[name] = found
                logger.info(
                    "Calibrated %s on %d entities: temperature %.3f, ECE %.4f before, %.4f after",
                    name,
                    found.entities,
                    found.temperature,
                    found.before,
                    found.after,
                )
        docs = nlp.pipe((eg.predicted for eg in examples), disable=_all_but(nlp, name))
        for example, doc in zip(examples, docs):
            example.predicted = doc
    return results


def _all_but(nlp: Language, name: str) -> list[str]:
    return [other for other in nlp.pipe_names if other != name]


def _judged(
    found: np.ndarray,
    examples: Sequence[Example],
    given: Sequence[Collection[Chunk]],
    labels: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each entity is right, and whether that is known: (entity,) bool each."""
    gold = [set(gold_entities(example)) for example in examples]
    right, known = np.zeros(len(found), dtype=bool), np.zeros(len(found), dtype=bool)
    for n, (doc, start, end, label) in enumerate(found.tolist()):
        span = examples[doc].predicted[start:end]
        span.label_ = labels[label]
        chunk = align_entity(examples[doc], span)
        known[n] = chunk is not None and (start, end, labels[label]) not in given[doc]
        right[n] = chunk in gold[doc]
    return right, known


def _log_loss(p: np.ndarray, right: np.ndarray) -> float:
    p = np.clip(np.where(right, p, 1 - p), 1e-9, 1.0)
    return float(-np.log(p).mean())


def _minimise(function: Callable[[float], float], low: float, high: float) -> float:
    """By golden-section search in the logarithm, to a hundredth of the argument."""
    a, b = math.log(low), math.log(high)
    c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
    at_c, at_d = function(math.exp(c)), function(math.exp(d))
    while b - a > 0.005:
        if at_c < at_d:
            b, d, at_d = d, c, at_c
            c = b - _GOLDEN * (b - a)
            at_c = function(math.exp(c))
        else:
            a, c, at_c = c, d, at_d
            d = a + _GOLDEN * (b - a)
            at_d = function(math.exp(d))
    return math.exp((a + b) / 2)
