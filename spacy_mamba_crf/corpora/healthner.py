"""Reader of the Chinese HealthNER Corpus: JSON lines, plain or inside a .zip."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .building import build_sentence, located_tag, split_token
from .files import PathLike, numbered_lines, read_lines
from .records import Sentence
from .report import ReadReport


def read_healthner(
    path: PathLike, *, report: ReadReport | None = None, genre: str | None = None
) -> Iterator[Sentence]:
    """Sentences of a HealthNER file (Lee & Lu 2021), one character a token, as a stream.

    path: a .json file of one record a line (id, genre "ft" or "sm", sentence, word, word_label,
    character, character_label), or a .zip of such files. `genre` overrides the record's own.
    Records without `character_label` take their tags from word and word_label (a type or O for
    each word). Raises ValueError, naming file and line, for a record that does not fit.
    """
    report = ReadReport() if report is None else report
    for source, number, line in _record_lines(Path(path)):
        if line.strip():
            record = _parse(line, source, number)
            yield _sentence(record, source, number, report, genre)


def _record_lines(path: Path) -> Iterator[tuple[str, int, str]]:
    if path.suffix.lower() != ".zip":
        for number, line in read_lines(path):
            yield path.name, number, line
        return
    with zipfile.ZipFile(path) as archive:
        members = [name for name in sorted(archive.namelist()) if _is_data(name)]
        if not members:
            raise ValueError(f"{path} holds no .json file.")
        for name in members:
            with archive.open(name) as stream:
                for number, line in numbered_lines(stream, f"{path}:{name}"):
                    yield Path(name).name, number, line


def _is_data(name: str) -> bool:
    return name.lower().endswith((".json", ".jsonl")) and not name.startswith("__MACOSX/")


def _parse(line: str, source: str, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{source}:{number}: the line is not a JSON record ({error.msg}, column {error.colno})."
        ) from None
    if not isinstance(record, dict):
        raise ValueError(
            f"{source}:{number}: the line is a JSON {type(record).__name__}, expected "
            "an object with the keys sentence, character and character_label."
        )
    return record


def _sentence(
    record: dict[str, Any], source: str, number: int, report: ReadReport, genre: str | None
) -> Sentence:
    units, written = _labelled_units(record, source, number)
    pairs: list[tuple[str, str]] = []
    for unit, label in zip(units, written):
        if not isinstance(unit, str) or not isinstance(label, str) or not unit:
            raise ValueError(
                f"{source}:{number}: {unit!r} with the label {label!r} is not a text and its tag."
            )
        tag = located_tag(label, source, number, report)
        pairs.extend(split_token(unit, tag, source, number, report))
    if not pairs:
        raise ValueError(f"{source}:{number}: the record has no characters.")
    tokens, tags = zip(*pairs)
    text, stated = "".join(tokens), record.get("sentence")
    if isinstance(stated, str) and stated != text:
        report.add("text-differs", source, number, stated, text)
    name = genre if genre is not None else record.get("genre")
    return build_sentence(
        tokens,
        tags,
        [number] * len(tokens),
        source=source,
        genre=str(name) if name is not None else Path(source).stem,
        id=str(record["id"]) if record.get("id") is not None else None,
        report=report,
    )


def _labelled_units(record: dict[str, Any], source: str, number: int) -> tuple[list, list]:
    """(characters, their tags); from words where the record has no character_label."""
    if "character_label" in record:
        unit_key, label_key = "character", "character_label"
    else:
        unit_key, label_key = "word", "word_label"
    units, labels = record.get(unit_key), record.get(label_key)
    if not isinstance(units, list) or not isinstance(labels, list):
        raise ValueError(
            f"{source}:{number}: the record lacks the list {unit_key} or {label_key}; it has the "
            f"keys {', '.join(record)}."
        )
    if len(units) != len(labels):
        raise ValueError(
            f"{source}:{number}: {len(units)} entries in {unit_key}, {len(labels)} in {label_key}."
        )
    if unit_key == "character":
        return units, labels
    return _characters_of_words(units, labels)


def _characters_of_words(words: list, labels: list) -> tuple[list, list]:
    characters, tags = [], []
    for word, label in zip(words, labels):
        for i, char in enumerate(word):
            characters.append(char)
            tags.append("O" if label == "O" else f"{'I' if i else 'B'}-{label}")
    return characters, tags
