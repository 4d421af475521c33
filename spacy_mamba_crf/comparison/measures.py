"""The figures of runs that tables and plots show, read from results and training logs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..evaluation.markdown import percent
from ..evaluation.training_log import TrainingLog
from .collect import SystemRuns

Get = Callable[[Mapping[str, Any]], float | None]


def strict_f1(result: Mapping[str, Any], part: str = "test") -> float | None:
    """Strict F1 in percent of a run's result on "test" or "dev"."""
    return percent(result[part]["ents_f"])


def tag_accuracy(log: TrainingLog) -> Sequence[float] | None:
    """Token accuracy on dev in percent at each evaluation; None where it was not logged."""
    return log.scores.get("ents_tag_acc")


def dev_f1(log: TrainingLog) -> Sequence[float] | None:
    """Strict F1 on dev in percent at each evaluation."""
    return log.scores.get("ents_f")


def epoch_scores(system: SystemRuns) -> dict[int, tuple[int, float | None, float | None]]:
    """Step, token accuracy and strict F1 on dev of the last evaluation in each epoch, from 1."""
    accuracy, f1 = system.curve(tag_accuracy), system.curve(dev_f1)
    epochs = {
        step: epoch + 1
        for run in system.runs[:1]
        for step, epoch in zip(run.log.steps, run.log.epochs)
    }
    steps = [step for step in epochs if step in accuracy or step in f1]
    return {epochs[step]: (step, accuracy.get(step), f1.get(step)) for step in steps}


def score_of(part: str, key: str) -> Get:
    """A strict score in percent, such as "ents_f" of "test"."""
    return lambda result: percent(result[part][key])


def genre_f1(genre: str) -> Get:
    """Strict F1 in percent of one genre of the test part."""

    def get(result: Mapping[str, Any]) -> float | None:
        scores = (result["test"]["per_genre"] or {}).get(genre)
        return percent(scores["ents_f"]) if scores else None

    return get


def macro_over_genres(result: Mapping[str, Any]) -> float | None:
    """Mean over the genres of their strict F1, in percent."""
    macro = result["test"]["macro_over_genres"]
    return percent(macro["ents_f"]) if macro else None


def real_test_f1(result: Mapping[str, Any]) -> float | None:
    """Strict F1 in percent on a test part that does not repeat the dev part."""
    return None if result["test"]["test"]["is_dev"] else strict_f1(result)


def average(table: str, kind: str, figure: str) -> Get:
    """Token level: "f1" of the "macro" average in the table "with_o", for example, in [0, 1]."""
    return lambda result: result["test"]["token_level"][table][kind][figure]


def of_tag(tag: str, figure: str) -> Get:
    """Token level: "precision", "recall", "f1" in [0, 1] or "support" of a tag, O being one."""

    def get(result: Mapping[str, Any]) -> float | None:
        return result["test"]["token_level"]["with_o"]["per_tag"].get(tag, {}).get(figure)

    return get
