"""Score tagged text against the truth and print what conlleval prints."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.evaluation.conlleval import evaluate_files, format_score


def main(
    truth: Annotated[
        Path, typer.Argument(help="Gold `token tag` lines", exists=True, dir_okay=False)
    ],
    result: Annotated[
        Path, typer.Argument(help="The same with predicted tags", exists=True, dir_okay=False)
    ],
    blank_lines: Annotated[
        bool, typer.Option(help="Count blank lines as tokens, as ROCLING-2023 does")
    ] = True,
) -> None:
    """Print token accuracy and precision, recall and F1 of phrases, overall and per type."""
    try:
        score = evaluate_files(truth, result, count_blank_lines=blank_lines)
    except ValueError as error:
        msg.fail(str(error), exits=1)
    typer.echo(format_score(score), nl=False)


if __name__ == "__main__":
    typer.run(main)
