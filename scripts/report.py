"""Evaluate a pipeline on a test set and write tables, plots and an entity page to a folder."""

from pathlib import Path
from typing import Annotated

import spacy
import typer
from wasabi import msg

from spacy_mamba_crf.evaluation.report import write_report


def main(
    model: Annotated[str, typer.Argument(help="Trained pipeline: folder or package name")],
    test: Annotated[Path, typer.Argument(help="Test set, a .spacy file", exists=True)],
    out: Annotated[Path, typer.Argument(help="Folder to write the report to", file_okay=False)],
    log: Annotated[
        Path | None, typer.Option(help="Log of spacy.ConsoleLogger.v3 (JSON lines)", exists=True)
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title; the model's name if left out")] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Another model: NAME=metrics.json; may be repeated")
    ] = None,
    sentences: Annotated[int, typer.Option(help="Documents to show in entities.html", min=0)] = 50,
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU, -1 for CPU")] = -1,
) -> None:
    """Write metrics.json, report.md, training.png, confusion.png and entities.html."""
    others = dict(_split(option) for option in compare or [])
    if gpu_id >= 0:
        spacy.require_gpu(gpu_id)
    try:
        metrics = write_report(
            model, test, out, log=log, title=title, comparisons=others, sentences=sentences
        )
    except (OSError, ValueError) as error:
        msg.fail(str(error), exits=1)
    f1 = metrics["ents_f"]
    score = "no entities to score" if f1 is None else f"strict F1 {100 * f1:.2f}"
    msg.good(f"{score}; report in {out}")


def _split(option: str) -> tuple[str, str]:
    name, equals, path = option.partition("=")
    if not (name and equals and Path(path).is_file()):
        raise typer.BadParameter(f"--compare {option} is not NAME=FILE with an existing file.")
    return name, path


if __name__ == "__main__":
    typer.run(main)
