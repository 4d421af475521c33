"""Running two pipelines on one test file and writing errors.md, errors.json and errors.html."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import spacy
import srsly
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Corpus
from spacy.training.corpus import walk_corpus
from spacy.vocab import Vocab

from ..files import write_text
from .error_analysis import (
    BOTH,
    ONLY_A,
    ONLY_B,
    ErrorAnalysis,
    Interval,
    Judged,
    analyse_errors,
    bootstrap_f1,
    entity_labels,
    exact_binomial,
)
from .error_page import errors_page
from .error_tables import (
    Names,
    cell_counts,
    findings,
    groups,
    kind_counts,
    scores,
    tables,
)
from .markdown import markdown_table
from .metrics import predict, repeats_dev

SAMPLES, SEED = 1000, 0


def write_error_analysis(
    model_a: str | Path,
    model_b: str | Path,
    test: str | Path,
    out: str | Path,
    *,
    train: str | Path | None = None,
    names: Names | None = None,
    limit: int = 50,
) -> dict[str, Any]:
    """Compare the errors of two pipelines in the folder `out`; return what errors.json holds.

    model_a, model_b: pipelines that set `doc.ents`, by path or package name. test, train: DocBin
    file or folder of them; without train, nothing is said of entities seen in training. names: of
    the systems, else the last parts in which their paths differ. limit: how many of the documents
    in which they differ errors.html shows.
    Raises ValueError where an input is missing or unfit, OSError where a pipeline is, both before
    a pipeline runs.
    """
    names = names or name_systems(model_a, model_b)
    if names[0] == names[1]:
        raise ValueError(
            f"Both systems are called {names[0]!r}. Give them two names: --names first,second."
        )
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file. Pass a folder to write errors.md and the others to.")
    if not any(doc.ents for doc in _read(test, "test")):
        raise ValueError(f"{test} holds no entities, so that there is nothing to get or to miss.")
    training = None if train is None else entity_labels(_read(train, "training"))
    pipelines = [spacy.load(model) for model in (model_a, model_b)]
    examples_a, examples_b = (predict(nlp, test)[0] for nlp in pipelines)
    analysis = analyse_errors(examples_a, examples_b, training)
    interval = bootstrap_f1(analysis.counts, samples=SAMPLES, seed=SEED)
    sentences = findings(analysis, interval, names, samples=SAMPLES, seed=SEED)
    sentences = [*_data_sentences(test, train, len(examples_a)), *sentences]
    page = errors_page(
        analysis,
        examples_a,
        examples_b,
        names=names,
        sentences=sentences,
        limit=limit,
        lang=pipelines[0].meta["lang"],
    )
    results = {
        "systems": _describe(pipelines, names, analysis),
        "test": {
            "name": Path(test).name,
            "is_dev": repeats_dev(test),
            "documents": len(examples_a),
        },
        "findings": sentences,
        "train": None if train is None else Path(train).name,
        **to_dict(analysis, interval),
    }
    write_text(out / "errors.json", srsly.json_dumps(results, indent=2) + "\n")
    write_text(out / "errors.md", errors_markdown(analysis, names, sentences))
    write_text(out / "errors.html", page)
    return results


def name_systems(model_a: str | Path, model_b: str | Path) -> Names:
    """Names for two pipelines: the last parts in which their paths differ, else equal names.

    `run/mamba/model-best` and `run/cnn/model-best` are `mamba` and `cnn`.
    """
    paths = [Path(model) for model in (model_a, model_b)]
    parts = [(path.resolve() if path.exists() else path).parts for path in paths]
    for a, b in zip(reversed(parts[0]), reversed(parts[1])):
        if a != b:
            return a, b
    return str(model_a), str(model_b)


def errors_markdown(analysis: ErrorAnalysis, names: Names, sentences: Sequence[str]) -> str:
    """The page `errors.md`: the sentences as a list, then every table."""
    parts = [f"# Errors of {names[0]} and {names[1]}\n"]
    parts.append("".join(f"- {sentence}\n" for sentence in sentences))
    for table in tables(analysis, names):
        note = f"{table.note}\n\n" if table.note else ""
        parts.append(f"## {table.title}\n\n{note}{markdown_table(table.header, table.rows)}")
    parts.append("The documents in which they differ: [errors.html](errors.html)\n")
    return "\n".join(parts)


def to_dict(analysis: ErrorAnalysis, interval: Interval) -> dict[str, Any]:
    """The counts, tests and single entities, for errors.json.

    `gold` and `wrong` hold the cells ("both", "only_a", "only_b", "neither") of all and by group;
    `kinds` counts for each system. `entities` are those gold entities that not both get, and the
    wrong predictions; a document's number there starts from 1, as on the page.
    """
    cells = cell_counts(analysis.gold)
    return {
        "gold": _cells(analysis.gold),
        "wrong": _cells(analysis.wrong),
        "kinds": kind_counts(analysis),
        "mcnemar": {
            "only_a": cells[ONLY_A],
            "only_b": cells[ONLY_B],
            "p": exact_binomial(cells[ONLY_A], cells[ONLY_B]),
        },
        "f1_difference": {**asdict(interval), "samples": SAMPLES, "seed": SEED},
        "entities": {
            "gold": [_item(item) for item in analysis.gold if item.cell != BOTH],
            "wrong": [_item(item) for item in analysis.wrong],
        },
    }


def _data_sentences(test: str | Path, train: str | Path | None, documents: int) -> list[str]:
    training = "" if train is None else f"; training data: {Path(train).name}"
    sentences = [f"Test set: {Path(test).name}, {documents:,} documents{training}."]
    if repeats_dev(test):
        sentences.append("This test set repeats the development set: these are not test scores.")
    return sentences


def _describe(
    pipelines: Sequence[Language], names: Names, analysis: ErrorAnalysis
) -> dict[str, dict[str, Any]]:
    described = {}
    for (key, values), nlp, name in zip(scores(analysis).items(), pipelines, names):
        described[key] = {"name": name, "pipeline": nlp.pipe_names, **values}
    return described


def _cells(items: Sequence[Judged]) -> dict[str, Any]:
    by = {name: groups(items, name) for name in ("type", "length", "genre", "seen")}
    return {"all": cell_counts(items), "by": {name: table for name, table in by.items() if table}}


def _item(item: Judged) -> dict[str, Any]:
    return {**asdict(item), "document": item.document + 1}


def _read(path: str | Path, what: str) -> list[Doc]:
    """Documents of a DocBin file or folder; ValueError that names it where there are none."""
    if not Path(path).exists():
        raise ValueError(f"There is no {what} file {path}. Convert the corpus first.")
    try:
        docs = list(Corpus(path).read_docbin(Vocab(), walk_corpus(path, ".spacy")))
    except (zlib.error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a .spacy file ({error}).") from error
    if not docs:
        raise ValueError(f"{path} holds no documents. Pass a .spacy file with annotated documents.")
    return docs
