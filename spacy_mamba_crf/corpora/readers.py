"""Readers for `[corpora]` in a config: raw files straight to spaCy Examples."""

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import logger

from .bio import read_bio
from .conll import read_conll
from .convert import make_doc
from .files import corpus_files
from .healthner import read_healthner
from .pieces import split_long
from .presets import load_corpus
from .records import Sentence
from .report import ReadReport
from .split import PARTS, split_sentences

Loading = Callable[[ReadReport], Iterable[Sentence]]
Paths = str | Path | list[str] | list[Path] | None

# ROCLING ships predictions and score listings beside its truth files.
_BIO_PATTERNS = ("*truth*.txt", "*.txt")
_HEALTHNER_PATTERNS = ("*.zip", "*.json", "*.jsonl")
_CONLL_PATTERNS = ("*.conll", "*.train", "*.test[ab]", "*.txt")


class SentenceCorpus:
    """Callable of an `nlp` that yields one Example a sentence, like `spacy.Corpus.v1`.

    The files are read at the first call and kept; a warning counts the repairs.
    """

    def __init__(
        self,
        load: Loading,
        unit: str,
        *,
        limit: int = 0,
        shuffle: bool = False,
        max_length: int = 0,
    ) -> None:
        self.load = load
        self.unit = unit
        self.limit = limit
        self.shuffle = shuffle
        self.max_length = max_length
        self._sentences: list[Sentence] | None = None

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Examples whose predicted Doc is `nlp.make_doc(text)`, or has the gold words for words."""
        sentences = self.sentences()
        if self.shuffle:
            sentences = random.sample(sentences, len(sentences))
        for sentence in sentences:
            reference = make_doc(nlp.vocab, sentence, self.unit)
            if reference.has_unknown_spaces:
                predicted = Doc(nlp.vocab, words=[token.text for token in reference])
            else:
                predicted = nlp.make_doc(reference.text)
            yield Example(predicted, reference)

    def sentences(self) -> list[Sentence]:
        """The sentences after cutting the long ones and applying `limit` (0: all)."""
        if self._sentences is None:
            report = ReadReport()
            pieces = (
                piece
                for sentence in self.load(report)
                for piece in split_long(sentence, self.max_length)
            )
            self._sentences = list(islice(pieces, self.limit or None))
            if report.repairs:
                counted = ", ".join(f"{kind} {count}" for kind, count in report.counts.items())
                logger.warning("Repairs while reading %s: %s", ", ".join(report.files), counted)
        return self._sentences


def create_bio_corpus(
    path: Paths,
    split: str | None = None,
    seed: int = 0,
    genre: str | None = None,
    limit: int = 0,
    shuffle: bool = False,
    max_length: int = 0,
) -> Callable[[Language], Iterable[Example]]:
    """Registered as spacy_mamba_crf.BIOCorpus.v1: files of `character tag` lines.

    path: a file, a folder or a list of either. In a folder files named *truth*.txt are read, or
    every *.txt if there are none. split: "train", "dev" or "test" of `split_sentences` over all
    files, with `seed`; None for all. genre: keep only sentences of this genre (`genre_of`; after
    the split). limit: number of Examples (0: all). shuffle: a new order at each call.
    max_length: of an Example in tokens, as `split_long` cuts (0: no limit).
    """
    files = corpus_files(_given(path, "BIOCorpus"), _BIO_PATTERNS)
    _check_split(split, "BIOCorpus")

    def load(report: ReadReport) -> Iterable[Sentence]:
        sentences: Iterable[Sentence] = (s for f in files for s in read_bio(f, report=report))
        if split is not None:
            sentences = split_sentences(sentences, seed=seed)[split]
        return _of_genre(sentences, genre)

    return SentenceCorpus(load, "character", limit=limit, shuffle=shuffle, max_length=max_length)


def create_healthner_corpus(
    path: Paths,
    split: str | None = None,
    seed: int = 0,
    genre: str | None = None,
    limit: int = 0,
    shuffle: bool = False,
    max_length: int = 0,
) -> Callable[[Language], Iterable[Example]]:
    """Registered as spacy_mamba_crf.HealthNERCorpus.v1: HealthNER JSON lines, also in a .zip.

    split: None reads `path` (a file, a folder or a list) whole; otherwise `path` is the corpus
    folder, "test" its test file, "dev" a tenth of its train file (by `seed`) and "train" the rest.
    genre: keep only sentences of this genre, "ft" or "sm". Other arguments: `create_bio_corpus`.
    """
    location = _given(path, "HealthNERCorpus")
    _check_split(split, "HealthNERCorpus")

    def load(report: ReadReport) -> Iterable[Sentence]:
        if split is not None:
            return _of_genre(_part("healthner", location, split, report, seed=seed), genre)
        files = corpus_files(location, _HEALTHNER_PATTERNS)
        return _of_genre((s for f in files for s in read_healthner(f, report=report)), genre)

    return SentenceCorpus(load, "character", limit=limit, shuffle=shuffle, max_length=max_length)


def create_conll_corpus(
    path: Paths,
    split: str | None = None,
    lang: str = "en",
    encoding: str | None = None,
    limit: int = 0,
    shuffle: bool = False,
    max_length: int = 0,
    column: int = -1,
) -> Callable[[Language], Iterable[Example]]:
    """Registered as spacy_mamba_crf.CoNLLCorpus.v1: column files, IOB1 or BIO, one word a token.

    split: None reads `path` (a file, a folder or a list) whole; otherwise `path` is the corpus
    folder and "train", "dev" and "test" are eng.train, eng.testa and eng.testb (deu.* for `lang`
    "de"), or train/dev/test with .conll or .txt. encoding: None tries UTF-8, then Latin-1. column:
    of the tags, counted from 0 or from -1 at the end, without a split; 2 are the English files'
    chunks. Other arguments: `create_bio_corpus`.
    """
    location = _given(path, "CoNLLCorpus")
    _check_split(split, "CoNLLCorpus")
    if lang not in ("en", "de"):
        raise ValueError(f"CoNLLCorpus: lang must be 'en' or 'de', not {lang!r}.")
    if split is not None and column != -1:
        raise ValueError("CoNLLCorpus: column is for whole files; set split to null.")
    name = "conll2003" if lang == "en" else "conll2003-de"

    def load(report: ReadReport) -> Iterable[Sentence]:
        if split is not None:
            return _part(name, location, split, report, encoding=encoding)
        files = corpus_files(location, _CONLL_PATTERNS)
        read = partial(read_conll, report=report, encoding=encoding, column=column)
        return (sentence for file in files for sentence in read(file))

    return SentenceCorpus(load, "word", limit=limit, shuffle=shuffle, max_length=max_length)


def _given(path: Paths, reader: str) -> str | Path | list[str] | list[Path]:
    if path is None:
        raise ValueError(
            f"{reader}: `path` is null in the config; name a file or folder, for example with "
            "--paths.train on the command line."
        )
    return path


def _check_split(split: str | None, reader: str) -> None:
    if split is not None and split not in PARTS:
        raise ValueError(f"{reader}: split must be null, {', '.join(PARTS)}; it is {split!r}.")


def _of_genre(sentences: Iterable[Sentence], genre: str | None) -> Iterable[Sentence]:
    return sentences if genre is None else (s for s in sentences if s.genre == genre)


def _part(
    name: str,
    location: str | Path | list[str] | list[Path],
    part: str,
    report: ReadReport,
    *,
    seed: int = 0,
    encoding: str | None = None,
) -> list[Sentence]:
    if isinstance(location, list):
        raise ValueError(
            f"With split = {part!r} the path of the corpus {name!r} must be its one folder, not a "
            "list. Set split to null to read listed files whole."
        )
    corpus = load_corpus(name, Path(location), seed=seed, encoding=encoding, report=report)
    if part not in corpus.parts:
        raise ValueError(f"The corpus {name!r} in {location} has no {part} file.")
    return corpus.parts[part]
