"""Evaluating a pipeline on a test file and writing the report's folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import spacy
import srsly
from spacy.language import Language
from spacy.training import Example

from ..files import write_text
from .comparison import compare, read_metrics
from .displacy_page import entities_page
from .markdown import render_report
from .metrics import measure, predict, repeats_dev, speed
from .plots import plot_confusion, plot_reliability, plot_training_curve
from .probabilities import measure_probabilities
from .spans import gold_entities, predicted_entities


def write_report(
    model: Language | str | Path,
    test: str | Path,
    out: str | Path,
    *,
    log: str | Path | None = None,
    title: str | None = None,
    comparisons: Mapping[str, str | Path] | None = None,
    sentences: int = 50,
) -> dict[str, Any]:
    """Score `model` on `test`, write the report to the folder `out`, and return the metrics.

    model: a pipeline that sets `doc.ents`, or its path or package name. test: DocBin file. log:
    output of `spacy.ConsoleLogger.v3`, for the training curve. comparisons: name of another model
    and its metrics.json. sentences: how many documents entities.html shows.

    Writes metrics.json, report.md, confusion.png, entities.html, with a log training.png, and
    reliability.png if a component knows probabilities.
    Raises ValueError where an input is missing or unfit, before the pipeline runs if possible.
    """
    others = {name: read_metrics(path) for name, path in (comparisons or {}).items()}
    out = Path(out)
    images = []
    nlp = model if isinstance(model, Language) else spacy.load(model)
    title = title or f"{nlp.meta['lang']}_{nlp.meta['name']}"
    if log is not None:
        plot_training_curve(log, out / "training.png", title=f"{title}: training")
        images.append("training.png")
    examples, seconds = predict(nlp, test)
    metrics = {
        "model": _describe_model(nlp),
        **measure(examples),
        "speed": speed(examples, seconds),
    }
    metrics["test"] = {"name": Path(test).name, "is_dev": repeats_dev(test), **metrics["test"]}
    _write_figures(examples, out, title=title, lang=nlp.meta["lang"], sentences=sentences)
    images.append("confusion.png")
    metrics["probabilities"] = measure_probabilities(nlp, examples)
    if metrics["probabilities"] is not None:
        plot_reliability(
            metrics["probabilities"], out / "reliability.png", title=f"{title}: reliability"
        )
        images.append("reliability.png")
    write_text(out / "metrics.json", srsly.json_dumps(metrics, indent=2) + "\n")
    report = render_report(
        metrics,
        title=title,
        comparisons=[compare(metrics, name, other) for name, other in others.items()],
        images=images,
        pages=["entities.html"],
    )
    write_text(out / "report.md", report)
    return metrics


def _write_figures(
    examples: Sequence[Example], out: Path, *, title: str, lang: str, sentences: int
) -> None:
    gold = [gold_entities(example) for example in examples]
    predicted = [predicted_entities(example) for example in examples]
    plot_confusion(gold, predicted, out / "confusion.png", title=f"{title}: entity types")
    page = entities_page(examples, limit=sentences, title=f"{title}: entities", lang=lang)
    write_text(out / "entities.html", page)


def _describe_model(nlp: Language) -> dict[str, Any]:
    keys = ("lang", "name", "version")
    return {**{key: nlp.meta.get(key, "") for key in keys}, "pipeline": nlp.pipe_names}
