"""The texts that pipelines are measured on and trained with: a real corpus, or else the sample."""

import os
import random
from functools import cache
from pathlib import Path

from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example

from spacy_mamba_crf.corpora import load_corpus, write_corpus

from .results import REPOSITORY

# Converted corpora and briefly trained peers, kept from one run to the next.
CACHE = Path(os.environ.get("SPACY_MAMBA_CRF_BENCHMARKS", REPOSITORY / "training" / "benchmarks"))


def raw_folder() -> Path:
    """The data folder: SPACY_MAMBA_CRF_DATA, or shared/data beside the repository."""
    default = REPOSITORY.parent / "shared" / "data"
    return Path(os.environ.get("SPACY_MAMBA_CRF_DATA", default))


def default_corpus() -> str:
    """ "rocling" where its files are, else "sample"."""
    return "rocling" if (raw_folder() / "rocling2022").is_dir() else "sample"


@cache
def corpus_folder(name: str) -> Path:
    """A folder with the corpus's train, dev and test.spacy, converted if it has not been.

    Raises FileNotFoundError if the raw files are missing.
    """
    folder = CACHE / "corpus" / name
    if not (folder / "stats.json").exists():  # written last
        raw = REPOSITORY / "assets" if name.startswith("sample") else raw_folder()
        write_corpus(load_corpus(name, raw, test_is_dev=True), folder)
    return folder


@cache
def sentences(corpus: str) -> tuple[str, ...]:
    """The texts of the dev and test part, each once, shuffled: any of the first are typical."""
    from spacy.vocab import Vocab

    vocab = Vocab()
    texts: dict[str, None] = {}
    for part in ("dev", "test"):
        docs = DocBin().from_disk(corpus_folder(corpus) / f"{part}.spacy").get_docs(vocab)
        texts |= dict.fromkeys(doc.text for doc in docs)
    ordered = list(texts)
    random.Random(0).shuffle(ordered)
    return tuple(ordered)


def long_text(corpus: str, characters: int) -> str:
    """Sentences one after the other, from the start again where they end."""
    pieces = []
    missing = characters
    while missing > 0:
        for sentence in sentences(corpus):
            pieces.append(sentence)
            missing -= len(sentence)
            if missing <= 0:
                break
    return "".join(pieces)[:characters]


def examples(nlp: Language, corpus: str, limit: int | None = None) -> list[Example]:
    """The training part as Examples of untouched docs, shuffled."""
    docbin = DocBin().from_disk(corpus_folder(corpus) / "train.spacy")
    docs = list(docbin.get_docs(nlp.vocab))
    random.Random(0).shuffle(docs)
    return [Example(nlp.make_doc(doc.text), doc) for doc in docs[:limit]]
