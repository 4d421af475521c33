"""`python -m spacy crf annotate`: raw text annotated by trained pipelines, to train on."""

import random
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .failures import failing_clearly


def annotate(
    texts: Annotated[list[Path], typer.Argument(help=".txt, .jsonl, .xz of them, or .spacy files")],
    output: Annotated[Path, typer.Argument(help="DocBin file (.spacy) to write")],
    model: Annotated[list[str], typer.Option("--model", "-m", help="Trained pipeline; repeatable")],
    component: Annotated[
        str | None, typer.Option("--component", "-c", help="Which crf_ner, the last if not given")
    ] = None,
    certain: Annotated[
        float, typer.Option(help="Mean probability from which a span is an entity, above 0.5")
    ] = 0.9,
    sample: Annotated[float, typer.Option(help="Share of the texts to read", min=0, max=1)] = 1.0,
    seed: Annotated[int, typer.Option(help="Of which texts these are")] = 0,
    limit: Annotated[int, typer.Option(help="How many docs to write, 0 for all", min=0)] = 0,
    keep_empty: Annotated[
        bool, typer.Option("--keep-empty", help="Write docs without any entity, too")
    ] = False,
    bare: Annotated[
        bool, typer.Option("--bare", help="Write the texts only, to learn from teachers alone")
    ] = False,
) -> None:
    """Write what the pipelines agree on; where they are not sure, nothing is annotated.

    Put the file into a folder with the annotated data and train on the folder: the loss is over
    what is known (see docs/crf_ner.md, partial annotation).
    """
    with failing_clearly():
        import spacy
        from spacy.tokens import DocBin

        from ..corpora.raw_texts import check_raw_files, raw_docs
        from ..doc_copies import copy_tokens
        from ..files import write_bytes
        from ..pipeline.silver import annotate as annotated

        check_raw_files(texts)
        if output.suffix != ".spacy" or output in texts:
            raise ValueError(f"{output} is not a .spacy file to write beside the texts; name one.")
        pipelines = [spacy.load(path) for path in model]
        chance = random.Random(seed).random
        read = (doc for doc in raw_docs(texts, pipelines[0]) if chance() < sample)
        docs = annotated(pipelines, read, certain, component)
        if not keep_empty:
            docs = (doc for doc in docs if doc.ents)
        docbin = DocBin(attrs=["ORTH", "SPACY", "ENT_IOB", "ENT_TYPE"])
        entities = tokens = unknown = 0
        for doc in islice(docs, limit or None):
            entities += len(doc.ents)
            doc = copy_tokens(doc.vocab, doc) if bare else doc
            docbin.add(doc)
            tokens += len(doc)
            unknown += sum(not token.ent_iob for token in doc)
        if not len(docbin):
            raise ValueError("No entity was found in these texts: give others, or lower --certain.")
        write_bytes(output, docbin.to_bytes())
    msg.good(
        f"Wrote {output}: {len(docbin)} docs, {entities} entities, "
        f"{100 * unknown / max(tokens, 1):.1f} % of {tokens} tokens without annotation"
    )
