"""Convert a raw corpus to train, dev and test.spacy, with repairs.json and stats.json."""

from pathlib import Path
from typing import Annotated
from zipfile import BadZipFile

import typer
from wasabi import msg

from spacy_mamba_crf.corpora import CORPORA, load_corpus, write_corpus


def main(
    corpus: Annotated[str, typer.Argument(help=f"One of {', '.join(CORPORA)}")],
    input_dir: Annotated[Path, typer.Argument(help="Folder that holds the corpus's files")],
    output_dir: Annotated[Path, typer.Argument(help="Folder to write to")],
    seed: Annotated[int, typer.Option(help="Seed of the split, where none is published")] = 0,
    test_is_dev: Annotated[
        bool, typer.Option(help="Without a test file, let the dev part serve as test")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of CoNLL files; detected if not given")
    ] = None,
) -> None:
    """Convert CORPUS from INPUT_DIR into OUTPUT_DIR."""
    try:
        loaded = load_corpus(
            corpus, input_dir, seed=seed, test_is_dev=test_is_dev, encoding=encoding
        )
        stats = write_corpus(loaded, output_dir)
    except (OSError, ValueError, LookupError, BadZipFile) as error:
        msg.fail(f"Cannot convert the corpus {corpus!r}", str(error), exits=1)
    print(loaded.report.table())
    rows = [(p, c["sentences"], c["tokens"], c["entities"]) for p, c in stats["parts"].items()]
    msg.table(rows, header=("part", "sentences", "tokens", "entities"), divider=True)
    if loaded.test_is_dev:
        msg.warn("The test part IS the dev part: its scores are dev scores, not test scores.")
    elif "test" not in stats["parts"]:
        msg.warn("This corpus has no test file, so no test.spacy was written (see --test-is-dev).")
    msg.good(f"Wrote {output_dir}")


if __name__ == "__main__":
    typer.run(main)
