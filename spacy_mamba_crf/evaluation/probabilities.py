"""What the probabilities of a component such as `crf_ner` are worth on predicted examples."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import minibatch

from ..chunks import Chunk
from .calibration import chance_calibration_error, expected_calibration_error, reliability
from .spans import align_entity, gold_entities

KS = (1, 2, 5, 10, 20)
# Spans below are no candidates: nearly all of them are wrong, and known to be.
FLOOR = 0.05


def measure_probabilities(nlp: Language, examples: Sequence[Example]) -> dict[str, Any] | None:
    """Calibration and oracle scores of the last component that answers queries; None without one.

    Examples must be predicted by the pipeline. Keys: `component`, `temperature`; `entities` and
    `candidates` (all spans with a probability of at least FLOOR), each as `calibration_scores`
    gives it; `uncalibrated`: the entities at a temperature of 1; `oracle`: F1 by k, where the best
    of the k best analyses of each doc is chosen.
    """
    names = [name for name, pipe in nlp.pipeline if hasattr(pipe, "n_best")]
    if not names:
        return None
    component: Any = nlp.get_pipe(names[-1])
    found = [
        (example, ent, ent._.prob)
        for example in examples
        for ent in example.predicted.ents
        if ent._.prob is not None and ent.label_ in component.labels
    ]
    return {
        "component": names[-1],
        "temperature": component.temperature,
        "entities": calibration_scores(found),
        "candidates": calibration_scores(_candidates(component, examples)),
        "uncalibrated": _uncalibrated(component, found),
        "oracle": oracle_scores(component, examples),
    }


def _uncalibrated(
    component: Any, found: Sequence[tuple[Example, Span, float]]
) -> dict[str, Any] | None:
    """`calibration_scores` of the entities found at a temperature of 1; None if that is its own."""
    temperature = component.temperature
    if temperature == 1.0:
        return None
    component.temperature = 1.0
    try:
        raw: list[tuple[Example, Span, float]] = []
        for _, own in itertools.groupby(found, key=lambda row: id(row[0])):
            examples, ents, _ = zip(*own)
            probs = component.span_probabilities(examples[0].predicted, ents)
            raw += zip(examples, ents, probs)
    finally:
        component.temperature = temperature
    return calibration_scores(raw)


def calibration_scores(found: Iterable[tuple[Example, Span, float]]) -> dict[str, Any]:
    """Of spans with their probabilities: `size`, `ece`, `ece_by_chance`, and the `bins`.

    Spans whose truth is not known are left out. The error by chance is that of perfect
    probabilities on as many spans.
    """
    gold: dict[int, set[Chunk]] = {}
    p: list[float] = []
    right: list[bool] = []
    for example, span, prob in found:
        chunk = align_entity(example, span)
        if chunk is not None:
            if id(example) not in gold:
                gold[id(example)] = set(gold_entities(example))
            p.append(prob)
            right.append(chunk in gold[id(example)])
    return {
        "size": len(p),
        "ece": expected_calibration_error(p, right),
        "ece_by_chance": chance_calibration_error(p) if p else 0.0,
        "bins": [row._asdict() for row in reliability(p, right)],
    }


def oracle_scores(
    component: Any, examples: Sequence[Example], ks: Sequence[int] = KS
) -> dict[str, float]:
    """F1 by k if, of each doc's k best analyses, the one with the best F1 were chosen.

    Where none has an entity right, that is the one with the fewest wrong ones.
    """
    totals = {k: PRFScore() for k in ks}
    for batch in minibatch(examples, 64):
        analyses = component.n_best([example.predicted for example in batch], max(ks))
        for example, own in zip(batch, analyses):
            gold = set(gold_entities(example))
            scores = [_score(example, analysis.ents, gold) for analysis in own]
            for k, total in totals.items():
                total += max(scores[:k], key=lambda score: (score.fscore, -score.fp))
    return {str(k): total.fscore for k, total in totals.items()}


def _candidates(
    component: Any, examples: Sequence[Example]
) -> Iterable[tuple[Example, Span, float]]:
    for batch in minibatch(examples, 64):
        docs: list[Doc] = [example.predicted for example in batch]
        for example, spans in zip(batch, component.likely_spans(docs, FLOOR)):
            for start, end, label, prob in spans:
                yield example, Span(example.predicted, start, end, label=label), prob


def _score(example: Example, ents: Iterable[Span], gold: set[Chunk]) -> PRFScore:
    aligned = {align_entity(example, ent) for ent in ents} - {None}
    right = len(aligned & gold)
    return PRFScore(tp=right, fp=len(aligned) - right, fn=len(gold) - right)
