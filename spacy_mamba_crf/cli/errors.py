"""`python -m spacy crf errors`: two pipelines' errors on one test set, side by side."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .failures import failing_clearly


def errors(
    model_a: Annotated[str, typer.Argument(help="First pipeline, by path or package name")],
    model_b: Annotated[str, typer.Argument(help="Second pipeline, by path or package name")],
    test: Annotated[Path, typer.Argument(help="DocBin file (.spacy), or a folder of them")],
    out_dir: Annotated[Path, typer.Argument(help="Folder for errors.md, .json and .html")],
    train: Annotated[
        Path | None, typer.Option("--train", help="Training data, to tell seen entities apart")
    ] = None,
    names: Annotated[
        str | None, typer.Option("--names", help="The systems' names, as first,second")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", help="How many documents the page shows", min=0)
    ] = 50,
) -> None:
    """Compare the errors of two pipelines: what each alone gets, and how it errs.

    Any pipelines that set doc.ents will do, spaCy's own ner among them.
    """
    with failing_clearly():
        from ..evaluation.error_report import write_error_analysis

        results = write_error_analysis(
            model_a,
            model_b,
            test,
            out_dir,
            train=train,
            names=None if names is None else _pair(names),
            limit=limit,
        )
    _print(results)
    msg.good(f"Saved {out_dir / 'errors.md'}, errors.json and errors.html")


def _pair(names: str) -> tuple[str, str]:
    parts = [name.strip() for name in names.split(",")]
    if len(parts) != 2 or not all(parts):
        raise ValueError(f"--names {names!r} is not two names. Write --names first,second.")
    return parts[0], parts[1]


def _print(results: dict) -> None:
    rows = [
        (
            system["name"],
            *(f"{100 * system[key]:.2f}" for key in ("ents_p", "ents_r", "ents_f")),
            results["gold"]["all"][only],
            results["wrong"]["all"][only],
        )
        for only, system in zip(("only_a", "only_b"), results["systems"].values())
    ]
    header = ("system", "P", "R", "F1", "right alone", "wrong alone")
    msg.table(rows, header=header, divider=True, aligns=("l", *"rrrrr"))
    for sentence in results["findings"]:
        print(sentence)
