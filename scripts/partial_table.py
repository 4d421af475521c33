"""Table of what partial annotation costs: models of `partial` beside the one with all of it."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.evaluation.comparison import read_metrics
from spacy_mamba_crf.evaluation.markdown import markdown_table
from spacy_mamba_crf.files import write_text

_WAYS = {
    "outside": "the dropped entities count as outside (naive)",
    "missing": "the tokens of dropped entities are marked missing",
    "unknown": "all tokens but those of kept entities are marked missing",
    "unknown-ratio": "the same, with entity_ratio",
}


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of the corpus's models", exists=True)],
    output: Annotated[Path, typer.Argument(help="Markdown file to write", dir_okay=False)],
    config: Annotated[str, typer.Option(help="Model trained on all annotation")] = "mamba_crf",
) -> None:
    """Write the strict scores on the test part of each way of training to OUTPUT."""
    paths = {"all entities annotated": folder / config / "evaluation.json"}
    paths |= {text: folder / "partial" / f"{name}.json" for name, text in _WAYS.items()}
    rows: list[list[object]] = []
    for text, path in paths.items():
        if not path.is_file():
            msg.fail(f"There is no {path}; run `evaluate` and `partial` first.", exits=1)
        try:
            scores = read_metrics(path)
        except ValueError as error:
            msg.fail(f"Cannot read the scores of {path}", str(error), exits=1)
        rows.append([text, *(100 * scores[key] for key in ("ents_p", "ents_r", "ents_f"))])
    table = markdown_table(["training", "precision", "recall", "F1"], rows)
    write_text(output, table)
    print(table)
    msg.good(f"Wrote {output}")


if __name__ == "__main__":
    typer.run(main)
