"""Take a random share of the entities away from a DocBin file, to train on partial annotation."""

from pathlib import Path
from typing import Annotated

import spacy
import typer
from spacy.tokens import DocBin
from wasabi import msg

from spacy_mamba_crf.corpora.partial import MARKS, drop_entities
from spacy_mamba_crf.files import write_bytes


def main(
    source: Annotated[Path, typer.Argument(help="DocBin file", exists=True, dir_okay=False)],
    output: Annotated[Path, typer.Argument(help="DocBin file to write", dir_okay=False)],
    share: Annotated[float, typer.Option(help="Share of the entities that go")] = 0.5,
    mark: Annotated[str, typer.Option(help=f"One of {', '.join(MARKS)}")] = "missing",
    seed: Annotated[int, typer.Option(help="Seed of the choice")] = 0,
    lang: Annotated[str, typer.Option(help="Language of the texts")] = "zh",
) -> None:
    """Copy SOURCE to OUTPUT with fewer entities; MARK says what becomes of their tokens."""
    try:
        docs = list(DocBin().from_disk(source).get_docs(spacy.blank(lang).vocab))
        left = DocBin(docs=drop_entities(docs, share, mark, seed), store_user_data=True)
    except ValueError as error:
        msg.fail(f"Cannot drop entities of {source}", str(error), exits=1)
    write_bytes(output, left.to_bytes())
    before = sum(len(doc.ents) for doc in docs)
    after = sum(len(doc.ents) for doc in left.get_docs(spacy.blank(lang).vocab))
    msg.good(f"Wrote {output}: {after:,} of {before:,} entities; the others are {mark}")


if __name__ == "__main__":
    typer.run(main)
