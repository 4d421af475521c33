"""Make a compact file of pretrained weights, with its card, from what mamba-pretrain wrote."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.files import write_text
from spacy_mamba_crf.layers.tok2vec_file import read_file, write_file
from spacy_mamba_crf.pretraining.card import card


def main(
    weights: Annotated[Path, typer.Argument(help="tok2vec.safetensors of mamba-pretrain")],
    output: Annotated[Path, typer.Argument(help="File to write; the card is beside it, .md")],
    sources: Annotated[Path, typer.Option(help="Markdown: the text's sources, licences")],
    config: Annotated[str, typer.Option(help="Config that the weights are for")],
    precision: Annotated[str, typer.Option(help="float32, float16 or int8")] = "int8",
) -> None:
    """Write WEIGHTS to OUTPUT in fewer bits."""
    try:
        content = read_file(weights)
        write_file(output, content, precision)
        text = card(output, content, precision, sources.read_text(encoding="utf-8"), config)
    except (OSError, ValueError) as error:
        msg.fail(str(error), exits=1)
    write_text(output.with_suffix(".md"), text)
    msg.good(f"Wrote {output} ({output.stat().st_size / 1e6:.1f} MB) and its card")


if __name__ == "__main__":
    typer.run(main)
