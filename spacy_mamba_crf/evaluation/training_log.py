"""Reading the JSON lines that `spacy.ConsoleLogger.v3` writes to its `output_file`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import srsly


@dataclass(frozen=True)
class TrainingLog:
    """One entry per evaluation during training.

    losses: mean loss of a step since the evaluation before, of each component; scores: dev scores
    in percent by name, such as `ents_f`; final: the weighted score in [0, 1] that chooses the
    best model.
    """

    steps: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=dict)
    final: list[float] = field(default_factory=list)

    @property
    def best(self) -> int:
        """Index of the first evaluation with the highest final score."""
        return max(range(len(self.final)), key=self.final.__getitem__)


def read_training_log(log: str | Path | Iterable[Mapping[str, Any]]) -> TrainingLog:
    """Read a log from its file or from its records.

    spaCy adds up the loss over the steps since the evaluation before; it is divided by their
    number here, so that the first entry (one step) compares with the others. Raises ValueError
    where there is no entry or one lacks a key that the logger writes.
    """
    source = str(log) if isinstance(log, (str, Path)) else "The training log"
    records: Iterable[Mapping[str, Any]]
    records = srsly.read_jsonl(log) if isinstance(log, (str, Path)) else log
    result = TrainingLog()
    for line, record in enumerate(records, start=1):
        missing = {"step", "epoch", "losses", "scores", "score"} - set(record)
        if missing:
            raise ValueError(
                f"{source}:{line} has no {', '.join(sorted(missing))}. Pass the `output_file` of "
                'the logger "spacy.ConsoleLogger.v3".'
            )
        _append(result, record)
    if not result.steps:
        raise ValueError(f"{source} holds no evaluation. Train for at least one evaluation.")
    return result


def _append(log: TrainingLog, record: Mapping[str, Any]) -> None:
    steps = record["step"] - (log.steps[-1] if log.steps else -1)
    log.steps.append(record["step"])
    log.epochs.append(record["epoch"])
    log.final.append(record["score"])
    for name, value in record["losses"].items():
        log.losses.setdefault(name, []).append(value / max(steps, 1))
    for name, value in record["scores"].items():
        log.scores.setdefault(name, []).append(value)
