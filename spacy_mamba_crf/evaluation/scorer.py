"""Strict entity scores of Examples, and the scorer that configs name (no torch, no matplotlib).

Registered as `spacy_mamba_crf.ner_scorer.v1`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from spacy.scorer import PRFScore
from spacy.training import Example

from .spans import gold_entities, predicted_entities


def count_entities(examples: Iterable[Example]) -> dict[str, PRFScore]:
    """True positives, false positives and false negatives of each entity type.

    An entity is right if type and both boundaries are. Examples without entity annotation are
    passed over; `predicted_entities` says which predictions are neither right nor wrong.
    """
    counts: dict[str, PRFScore] = {}
    for example in examples:
        if not example.reference.has_annotation("ENT_IOB"):
            continue
        for ent in example.predicted.ents:
            counts.setdefault(ent.label_, PRFScore())
        missed = set(gold_entities(example))
        for chunk in predicted_entities(example):
            score = counts[chunk[2]]
            if chunk in missed:
                missed.remove(chunk)
                score.tp += 1
            else:
                score.fp += 1
        for _, _, label in missed:
            counts.setdefault(label, PRFScore()).fn += 1
    return counts


def summarise(counts: dict[str, PRFScore]) -> dict[str, Any]:
    """`ents_p`, `ents_r`, `ents_f`, `ents_per_type` and `ents_macro_f`, all in [0, 1].

    The first four are those of `spacy.scorer.get_ner_prf`; `ents_macro_f` is the unweighted mean
    of the F1 of each type that was in the truth or scored as a prediction. All are None where
    nothing was counted.
    """
    total = PRFScore()
    for score in counts.values():
        total += score
    if len(total) == 0:
        keys = ("ents_p", "ents_r", "ents_f", "ents_per_type", "ents_macro_f")
        return dict.fromkeys(keys)
    f_scores = [score.fscore for score in counts.values() if len(score)]
    return {
        "ents_p": total.precision,
        "ents_r": total.recall,
        "ents_f": total.fscore,
        "ents_per_type": {label: score.to_dict() for label, score in counts.items()},
        "ents_macro_f": sum(f_scores) / len(f_scores),
    }


def ner_scorer(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """Score named entities strictly; see `summarise` for the keys. kwargs: not used."""
    return summarise(count_entities(examples))


def make_ner_scorer() -> Callable[..., dict[str, Any]]:
    """Return `ner_scorer`, for `@scorers = "spacy_mamba_crf.ner_scorer.v1"`."""
    return ner_scorer
