"""Reader of CoNLL column files: CoNLL-2003 English (4 columns) and German (5), IOB1 or BIO."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from .bio import is_comment
from .building import build_sentence, located_tag
from .files import PathLike, read_lines
from .records import Sentence
from .report import ReadReport
from .tags import is_tag_like, repair_tag

GENRE = "newswire"
_BORDER = "-DOCSTART-"


def read_conll(
    path: PathLike,
    *,
    report: ReadReport | None = None,
    genre: str | None = None,
    encoding: str | None = None,
    scheme: str = "auto",
    column: int = -1,
) -> Iterator[Sentence]:
    """Sentences of a column file, one word a token: the first column is the word, the last its tag.

    column: of the tags, counted from 0, or from -1 at the end; 2 are the English files' chunks.

    Lines that begin with -DOCSTART- are document borders; a sentence's id is "document.sentence",
    both 1-based (document 0: before any border). encoding: None tries UTF-8, then Latin-1 (the
    German files). scheme: "iob1", "bio", or "auto" for `detect_scheme`. IOB1 (Ramshaw & Marcus
    1995) is converted to BIO, which is no repair.
    Raises ValueError, naming file and line, for a line whose number of columns differs from the
    file's first, or with an unknown tag.
    """
    if scheme not in ("auto", "iob1", "bio"):
        raise ValueError(f"scheme must be 'auto', 'iob1' or 'bio', not {scheme!r}.")
    report = ReadReport() if report is None else report
    source = Path(path).name
    encoding = detect_encoding(path) if encoding is None else encoding
    iob1 = (detect_scheme(path, encoding, column) if scheme == "auto" else scheme) == "iob1"
    for id, rows in _blocks(path, encoding, column, report):
        tokens, written, lines = zip(*rows)
        tags = [located_tag(tag, source, line, report) for tag, line in zip(written, lines)]
        yield build_sentence(
            tokens,
            tags,
            lines,
            source=source,
            genre=GENRE if genre is None else genre,
            id=id,
            report=report,
            iob1=iob1,
        )


def detect_encoding(path: PathLike) -> str:
    """ "utf-8-sig" if the whole file decodes as UTF-8, else "latin-1"."""
    try:
        for _ in read_lines(path):
            pass
    except ValueError:
        return "latin-1"
    return "utf-8-sig"


def detect_scheme(path: PathLike, encoding: str, column: int = -1) -> str:
    """ "bio" or "iob1": what most of the entities that follow no token of their own type open with.

    BIO opens them with B-, IOB1 with I-. The majority decides because single tags go astray:
    eng.train itself, else IOB1, has two such B-.
    """
    opened_with = Counter(
        tag[0]
        for _, rows in _blocks(path, encoding, column, ReadReport())
        for previous, tag in pairwise(["O", *(_legal_or_outside(row[1]) for row in rows)])
        if tag != "O" and previous[2:] != tag[2:]
    )
    return "bio" if opened_with["B"] > opened_with["I"] else "iob1"


def _legal_or_outside(written: str) -> str:
    return repair_tag(written)[0] if is_tag_like(written) else "O"


def _blocks(
    path: PathLike, encoding: str, column: int, report: ReadReport
) -> Iterator[tuple[str, list[tuple[str, str, int]]]]:
    """(id, [(word, tag as written, line)]) of each run of lines between blanks and borders."""
    source = Path(path).name
    document = sentence = n_columns = 0
    rows: list[tuple[str, str, int]] = []
    for number, line in read_lines(path, encoding):
        columns = [column for column in re.split(r"[ \t]+", line) if column]
        if columns and columns[0] != _BORDER:
            if not rows and is_comment(line):
                report.file(source).comments += 1
                continue
            n_columns = n_columns or len(columns)
            _check_columns(columns, n_columns, source, number)
            if not -n_columns <= column < n_columns:
                raise ValueError(
                    f"{source}:{number}: there is no column {column}, {n_columns} in all."
                )
            rows.append((columns[0], columns[column], number))
            continue
        if rows:
            sentence += 1
            yield f"{document}.{sentence}", rows
            rows = []
        if columns:
            document, sentence = document + 1, 0
    if rows:
        yield f"{document}.{sentence + 1}", rows


def _check_columns(columns: list[str], expected: int, source: str, number: int) -> None:
    if len(columns) < 2:
        raise ValueError(
            f"{source}:{number}: the line {columns[0]!r} has one column; expected a word and a tag."
        )
    if len(columns) != expected:
        raise ValueError(
            f"{source}:{number}: the line has {len(columns)} columns, the file's first had "
            f"{expected}: {' '.join(columns)!r}."
        )
