"""Setting a model's metrics beside those of earlier models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srsly

_KEYS = ("ents_p", "ents_r", "ents_f")


@dataclass(frozen=True)
class Comparison:
    """Another model's strict scores in percent, ours less theirs in points, and what was tested.

    same_test: True or False, None where the other file does not say what its test set was.
    macro and macro_difference: F1 macro over genres, None where either has none.
    """

    name: str
    precision: float
    recall: float
    f1: float
    difference: float
    macro: float | None
    macro_difference: float | None
    same_test: bool | None


def read_metrics(path: str | Path) -> dict[str, Any]:
    """Read a `metrics.json` of ours or of `spacy evaluate`.

    Raises ValueError naming the file where it holds no entity scores.
    """
    metrics = srsly.read_json(Path(path))
    if not isinstance(metrics, dict) or any(metrics.get(key) is None for key in _KEYS):
        raise ValueError(
            f"{path} holds no entity scores ({', '.join(_KEYS)}). Pass the metrics.json of a "
            "report, or the output of `spacy evaluate`."
        )
    return metrics


def compare(ours: Mapping[str, Any], name: str, other: Mapping[str, Any]) -> Comparison:
    """Compare `ours` with the metrics of another model; see `Comparison`."""
    precision, recall, f1 = (100 * other[key] for key in _KEYS)
    our_macro, macro = _macro_f1(ours), _macro_f1(other)
    tests = ours.get("test"), other.get("test")
    return Comparison(
        name=name,
        precision=precision,
        recall=recall,
        f1=f1,
        difference=100 * (ours["ents_f"] or 0.0) - f1,
        macro=macro,
        macro_difference=None if our_macro is None or macro is None else our_macro - macro,
        same_test=None if None in tests else tests[0] == tests[1],
    )


def _macro_f1(metrics: Mapping[str, Any]) -> float | None:
    macro = metrics.get("macro_over_genres")
    return None if macro is None else 100 * macro["ents_f"]
