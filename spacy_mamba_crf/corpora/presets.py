"""The corpora known by name: which files each consists of and how they fall into parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .bio import read_bio
from .conll import read_conll
from .files import corpus_files, find_file
from .healthner import read_healthner
from .records import Sentence
from .report import ReadReport
from .split import split_sentences

ROCLING_FILES = {
    "rocling2022": ("ROCLING22_CHNER_truth.txt",),
    "rocling2023": tuple(f"MultiNER-Health_truth_{genre}.txt" for genre in ("FT", "SM", "WA")),
}

HEALTHNER_FILES = {
    "train": ("train.zip", "train.json", "train.jsonl"),
    "test": ("test.zip", "test.json", "test.jsonl"),
}

_GENERIC_CONLL = {
    "train": ("train.conll", "train.txt"),
    "dev": ("dev.conll", "valid.conll", "dev.txt", "valid.txt"),
    "test": ("test.conll", "test.txt"),
}


@dataclass(slots=True)
class Corpus:
    """A corpus in memory: its parts ("train", "dev" and mostly "test") and what reading reported.

    unit: "character" or "word", what a token is. test_is_dev: the test part repeats the dev part.
    """

    name: str
    seed: int
    unit: str
    parts: dict[str, list[Sentence]]
    report: ReadReport
    test_is_dev: bool = False


def load_corpus(
    name: str,
    folder: Path,
    *,
    seed: int = 0,
    test_is_dev: bool = False,
    encoding: str | None = None,
    report: ReadReport | None = None,
) -> Corpus:
    """Read the corpus called `name` (a key of CORPORA) from its `folder`, or from the sub-folder of
    it that SUB_FOLDERS names, where there is one.

    seed: of the split, where the corpus has no published one. test_is_dev: let the dev part serve
    as test where there is no test file. encoding: of CoNLL files, None to detect it.
    Raises ValueError for an unknown name, FileNotFoundError listing what was looked for.
    """
    if name not in CORPORA:
        raise ValueError(f"Unknown corpus {name!r}; known are {', '.join(CORPORA)}.")
    if not folder.is_dir():
        raise FileNotFoundError(f"The folder of the corpus {name!r}, {folder}, does not exist.")
    sub_folder = folder / SUB_FOLDERS.get(name, ".")
    folder = sub_folder if sub_folder.is_dir() else folder
    report = ReadReport() if report is None else report
    unit, parts = CORPORA[name](folder, seed, encoding, report)
    if not parts["train"]:
        raise ValueError(f"The corpus {name!r} in {folder} has no sentence to train on.")
    corpus = Corpus(name, seed, unit, parts, report)
    if "test" not in parts and test_is_dev:
        parts["test"] = list(parts["dev"])
        corpus.test_is_dev = True
    return corpus


Loaded = tuple[str, dict[str, list[Sentence]]]
Loader = Callable[[Path, int, str | None, ReadReport], Loaded]


def _sample(folder: Path, seed: int, encoding: str | None, report: ReadReport) -> Loaded:
    return "character", _split_bio(corpus_files(folder, ("*.txt",)), seed, report)


def _rocling(folder: Path, seed: int, encoding: str | None, report: ReadReport) -> Loaded:
    return "character", _split_bio(_rocling_files("rocling", folder), seed, report)


def _rocling_half(folder: Path, seed: int, encoding: str | None, report: ReadReport) -> Loaded:
    parts = _split_bio(_rocling_files("rocling-half", folder), seed, report)
    return "character", {**parts, "train": parts["train"][::2]}


def _rocling_cross(folder: Path, seed: int, encoding: str | None, report: ReadReport) -> Loaded:
    train_file, *test_files = _rocling_files("rocling-cross", folder)
    parts = split_sentences(read_bio(train_file, report=report), seed=seed, test=0.0)
    parts["test"] = [s for file in test_files for s in read_bio(file, report=report)]
    return "character", parts


def _rocling_files(name: str, folder: Path) -> list[Path]:
    """The file of ROCLING-2022, and then those of ROCLING-2023."""
    wanted = [
        (file, f"{sub_folder}/{file}")
        for sub_folder, files in ROCLING_FILES.items()
        for file in files
    ]
    return _require(name, folder, wanted)


def _split_bio(files: Sequence[Path], seed: int, report: ReadReport) -> dict[str, list[Sentence]]:
    sentences = [sentence for file in files for sentence in read_bio(file, report=report)]
    return split_sentences(sentences, seed=seed)


def _healthner(folder: Path, seed: int, encoding: str | None, report: ReadReport) -> Loaded:
    train_file, test_file = _require("healthner", folder, list(HEALTHNER_FILES.values()))
    parts = split_sentences(read_healthner(train_file, report=report), seed=seed, test=0.0)
    parts["test"] = list(read_healthner(test_file, report=report))
    return "character", parts


def _conll(
    folder: Path, seed: int, encoding: str | None, report: ReadReport, *, name: str, stem: str
) -> Loaded:
    wanted = {
        part: (f"{stem}.{suffix}", *_GENERIC_CONLL[part])
        for part, suffix in (("train", "train"), ("dev", "testa"), ("test", "testb"))
    }
    train_file, dev_file = _require(name, folder, [wanted["train"], wanted["dev"]])
    files = {"train": train_file, "dev": dev_file}
    test_file = find_file(folder, wanted["test"])
    if test_file is not None:
        files["test"] = test_file
    return "word", {
        part: list(read_conll(file, report=report, encoding=encoding))
        for part, file in files.items()
    }


def _sample_en(folder: Path, seed: int, encoding: str | None, report: ReadReport) -> Loaded:
    files = corpus_files(folder, ("*.conll",))
    by_stem = {file.stem: file for file in files}
    if {"train", "dev"} <= by_stem.keys():
        return _conll(folder, seed, encoding, report, name="sample_en", stem="sample")
    sentences = [
        sentence
        for file in files
        for sentence in read_conll(file, report=report, encoding=encoding, genre=file.stem)
    ]
    return "word", split_sentences(sentences, seed=seed)


# Where a corpus lies in a folder that holds several; ROCLING's find their own.
SUB_FOLDERS = {
    "sample": "sample_zh",
    "sample_en": "sample_en",
    "healthner": "healthner",
    "conll2003": "conll2003",
    "conll2003-de": "conll2003",
}

CORPORA: dict[str, Loader] = {
    "sample": _sample,
    "sample_en": _sample_en,
    "rocling": _rocling,
    "rocling-half": _rocling_half,
    "rocling-cross": _rocling_cross,
    "healthner": _healthner,
    "conll2003": partial(_conll, name="conll2003", stem="eng"),
    "conll2003-de": partial(_conll, name="conll2003-de", stem="deu"),
}


def _require(name: str, folder: Path, wanted: Sequence[Sequence[str]]) -> list[Path]:
    """One existing file for each entry of alternatives; FileNotFoundError naming those missing."""
    found = [find_file(folder, alternatives) for alternatives in wanted]
    missing = [" or ".join(names) for names, file in zip(wanted, found) if file is None]
    if missing:
        raise FileNotFoundError(
            f"The corpus {name!r} is incomplete in {folder}; not found there: {'; '.join(missing)}."
        )
    return [file for file in found if file is not None]
