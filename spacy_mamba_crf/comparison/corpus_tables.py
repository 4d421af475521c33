"""Statistics of a corpus's parts, counted in its DocBin files (tables 3-1 to 3-4 of the thesis)."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import srsly
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from ..evaluation.markdown import percent
from ..evaluation.published import PUBLISHED_COUNTS
from .layout import Cell, Section, Table
from .plan import PARTS


@dataclass
class Counts:
    """Counts of some documents; lengths are in tokens."""

    documents: int = 0
    characters: int = 0
    entity_tokens: int = 0
    sentence_lengths: Counter[int] = field(default_factory=Counter)
    entity_lengths: Counter[int] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)

    def add(self, doc: Doc) -> None:
        """Count a document; one without sentence marks is one sentence."""
        self.documents += 1
        self.characters += len(doc.text)
        marked = doc.has_annotation("SENT_START")
        self.sentence_lengths.update([len(s) for s in doc.sents] if marked else [len(doc)])
        for ent in doc.ents:
            self.entity_tokens += len(ent)
            self.entity_lengths[len(ent)] += 1
            self.types[ent.label_] += 1

    @property
    def tokens(self) -> int:
        """Tokens in all sentences."""
        return _sum(self.sentence_lengths)


_ROWS: dict[str, Callable[[Counts], Cell]] = {
    "documents": lambda c: c.documents,
    "sentences": lambda c: c.sentence_lengths.total(),
    "tokens": lambda c: c.tokens,
    "characters": lambda c: c.characters,
    "entities": lambda c: c.types.total(),
    "mean sentence length (tokens)": lambda c: _ratio(c.tokens, c.sentence_lengths.total()),
    "longest sentence (tokens)": lambda c: max(c.sentence_lengths, default=0),
    "tokens in entities (%)": lambda c: percent(_ratio(c.entity_tokens, c.tokens)),
    "mean entity length (tokens)": lambda c: _ratio(c.entity_tokens, c.types.total()),
    "longest entity (tokens)": lambda c: max(c.entity_lengths, default=0),
}


def count_parts(corpus_dir: Path) -> dict[str, dict[str, Counts]]:
    """Counts of each part by genre; the genre "" holds all documents of the part."""
    return {
        part: _count(DocBin().from_disk(path).get_docs(Vocab()))
        for part in PARTS
        if (path := corpus_dir / f"{part}.spacy").is_file()
    }


def corpus_section(corpus_dir: Path) -> Section:
    """Size, types and genres of every part, and the published counts of the files it was read from.

    Raises FileNotFoundError where the folder holds no part.
    """
    parts = count_parts(corpus_dir)
    if not parts:
        raise FileNotFoundError(f"There is no part of a corpus in {corpus_dir}.")
    whole = {part: genres[""] for part, genres in parts.items()}
    by_genre = {
        f"{part} {genre}": counts
        for part, genres in parts.items()
        for genre, counts in genres.items()
        if genre
    }
    tables = {"corpus_size": _sizes(whole, "Size"), "corpus_types": _types(whole, "Entity types")}
    if by_genre:
        tables["corpus_genres"] = _turned(_sizes(by_genre, "Genres"), "part and genre")
        tables["corpus_genre_types"] = _types(by_genre, "Entity types by genre")
    published = _published(corpus_dir)
    if published:
        tables["corpus_published"] = published
    note = (
        "Metric: counts of the converted parts (tables 3-1 to 3-4 of the thesis). In a corpus of "
        "Chinese characters a token is a character."
    )
    return Section("Corpus", note, list(tables.values()), tables)


def _count(docs: Iterable[Doc]) -> dict[str, Counts]:
    counts = {"": Counts()}
    for doc in docs:
        counts[""].add(doc)
        genre = doc.user_data.get("genre")
        if genre is not None:
            counts.setdefault(str(genre), Counts()).add(doc)
    return dict(sorted(counts.items()))


def _sizes(columns: Mapping[str, Counts], caption: str) -> Table:
    rows = [[name, *(get(counts) for counts in columns.values())] for name, get in _ROWS.items()]
    return Table(["", *columns], rows, caption)


def _types(columns: Mapping[str, Counts], caption: str) -> Table:
    kinds = sorted(set().union(*(counts.types for counts in columns.values())))
    rows: list[list[Cell]] = [
        [kind, *(counts.types[kind] for counts in columns.values())] for kind in kinds
    ]
    rows.append(["all", *(counts.types.total() for counts in columns.values())])
    return Table(["type", *columns], rows, caption)


def _turned(table: Table, corner: str) -> Table:
    """Rows for columns: a dozen of genres read better downwards."""
    names, *columns = zip(*table.rows)
    rows = [[name, *column] for name, column in zip(table.header[1:], columns)]
    return Table([corner, *(str(name) for name in names)], rows, table.caption)


def _published(corpus_dir: Path) -> Table | None:
    """What was read from each file beside what its publishers count; None if they count nothing."""
    path = corpus_dir / "stats.json"
    stats: dict[str, Any] = srsly.read_json(path) if path.is_file() else {}
    theirs = PUBLISHED_COUNTS.get(stats.get("corpus", ""), {})
    rows: list[list[Cell]] = [
        [name, quantity, ours["chunks" if quantity == "entities" else quantity], count]
        for name, ours in stats.get("files", {}).items()
        for quantity, count in theirs.get(name, {}).items()
    ]
    rows = [[*row, "" if row[2] == row[3] else "counting rule or repairs"] for row in rows]
    header = ["file", "quantity", "as read", "published", "what differs"]
    return Table(header, rows, "Files as read, beside their publishers' counts") if rows else None


def _sum(lengths: Counter[int]) -> int:
    return sum(length * number for length, number in lengths.items())


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
