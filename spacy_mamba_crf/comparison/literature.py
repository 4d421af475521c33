"""Published figures for the systems of a comparison, and what differs between theirs and ours."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..evaluation.published import (
    CONLL_2003_TEST,
    CONLL_TYPES,
    ROCLING,
    THESIS_TOKENS,
    PublishedScore,
    ThesisScore,
    are_health_types,
)
from .collect import SystemRuns

SAMPLES = ("sample", "sample_en")


def strict_scores(system: SystemRuns) -> Sequence[PublishedScore]:
    """Published strict F1 of this kind of system on a corpus of this kind; none for others."""
    if is_english_conll(system):
        return CONLL_2003_TEST.get(system.name, ())
    return ROCLING.get(system.name, ()) if is_health(system) else ()


def thesis_tokens(system: SystemRuns) -> ThesisScore | None:
    """The thesis's token-level figures for a health corpus."""
    return THESIS_TOKENS.get(system.name) if is_health(system) else None


def is_health(system: SystemRuns) -> bool:
    """Whether the test part has the types of the Chinese health corpora, and is real text."""
    return are_health_types(_types(system)) and not _is_synthetic(system)


def is_english_conll(system: SystemRuns) -> bool:
    """Whether the test part has the types of CoNLL-2003, and is in English."""
    english = any(run.result["test"]["model"]["lang"] == "en" for run in system.runs)
    return english and not _is_synthetic(system) and frozenset(_types(system)) == CONLL_TYPES


def _is_synthetic(system: SystemRuns) -> bool:
    """Whether it was tested on one of the project's own samples."""
    return any(run.result["corpus"] in SAMPLES for run in system.runs)


def differs_from(theirs: str, system: SystemRuns) -> str:
    """`theirs: ...; ours: ...`: the test part, weights from elsewhere and budget of our runs."""
    return f"theirs: {theirs}; ours: {ours(system)}"


def ours(system: SystemRuns) -> str:
    """Which part of which corpus was tested, what was pretrained, and how long we trained."""
    if not system.runs:
        return ""
    result = system.runs[0].result
    part = "dev part" if result["test"]["test"]["is_dev"] else "test part"
    return f"{result['corpus']}, {part}, {_weights(result)}, {budget(result)}"


def budget(result: Mapping[str, Any]) -> str:
    """Steps and epochs of a run, and whether `--max-steps` set them."""
    steps, epochs = result["budget"]["max_steps"], result["training"]["epochs"]
    cut = " (budget of this comparison)" if result["budget"]["cut"] else ""
    return f"{steps:,} steps{cut} in {epochs} epoch{'' if epochs == 1 else 's'}"


def _weights(result: Mapping[str, Any]) -> str:
    pretrained = result["pretrained"]
    if not pretrained:
        return "no pretrained vectors or weights"
    return ", ".join(f"{name} {value}" for name, value in pretrained.items())


def _types(system: SystemRuns) -> list[str]:
    kinds: set[str] = set()
    for run in system.runs:
        per_type = run.result["test"]["ents_per_type"] or {}
        kinds |= {kind for kind, scores in per_type.items() if scores["gold"]}
    return sorted(kinds)
