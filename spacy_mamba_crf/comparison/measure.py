"""Measuring a trained pipeline on dev and test, in a process of its own:

    python -m spacy_mamba_crf.comparison.measure RUN DEV.spacy TEST.spacy

RUN holds model-best and log.jsonl; measured.json and report/ are written to it.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import spacy
import srsly
import typer
from spacy.language import Language
from thinc.api import Model

from ..evaluation.metrics import measure, predict
from ..evaluation.report import write_report
from ..files import write_text
from ..layers.parameters import parameters


def count_parameters(nlp: Language) -> int:
    """Trained numbers in all components: thinc's and torch's, each shared one once."""
    sizes: dict[tuple[int, str], int] = {}
    for _, component in nlp.pipeline:
        model = getattr(component, "model", None)
        if isinstance(model, Model):
            sizes |= {own.key: int(np.prod(own.values.shape)) for own in parameters(model)}
    return sum(sizes.values())


def measure_run(folder: Path, dev: Path, test: Path) -> dict[str, Any]:
    """The test metrics (see `write_report`), those on dev, the size and the speed.

    Characters per second are those of the test part, after tokenisation, measured second: the
    first prediction of a process also loads compiled code.
    """
    nlp = spacy.load(folder / "model-best")
    examples, _ = predict(nlp, dev)
    on_dev = measure(examples)
    system = folder.parent.name
    on_test = write_report(
        nlp, test, folder / "report", log=folder / "log.jsonl", title=f"{system}, {folder.name}"
    )
    on_test["test"]["is_dev"] |= dev.resolve() == test.resolve()
    return {
        "parameters": count_parameters(nlp),
        "characters_per_second": on_test["test"]["characters"] / on_test["speed"]["seconds"],
        "dev": on_dev,
        "test": on_test,
    }


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of the run", exists=True)],
    dev: Annotated[Path, typer.Argument(help="Development part, a .spacy file", exists=True)],
    test: Annotated[Path, typer.Argument(help="Test part, a .spacy file", exists=True)],
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU, -1 for CPU")] = -1,
) -> None:
    """Write measured.json and report/ to the run's FOLDER."""
    if gpu_id >= 0:
        spacy.require_gpu(gpu_id)
    measured = measure_run(folder, dev, test)
    write_text(folder / "measured.json", srsly.json_dumps(measured, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
