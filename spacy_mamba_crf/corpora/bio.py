"""Reader of the ROCLING format: one `character tag` line each, a blank line between sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

from .building import build_sentence, located_tag, split_token
from .files import PathLike, read_lines
from .records import Sentence
from .report import ReadReport
from .tags import is_tag_like

ROCLING_GENRES = (
    (re.compile(r"ROCLING-?(20)?22", re.IGNORECASE), "WA22"),
    (re.compile(r"_FT\b", re.IGNORECASE), "FT"),
    (re.compile(r"_SM\b", re.IGNORECASE), "SM"),
    (re.compile(r"_WA\b", re.IGNORECASE), "WA"),
)


def genre_of(path: PathLike) -> str:
    """Genre by file name: WA22 (ROCLING-2022, Wikipedia), FT (formal texts), SM (social media),
    WA (Wikipedia, ROCLING-2023); for any other file its name without the extension."""
    stem = Path(path).stem
    return next((genre for pattern, genre in ROCLING_GENRES if pattern.search(stem)), stem)


def read_bio(
    path: PathLike, *, report: ReadReport | None = None, genre: str | None = None
) -> Iterator[Sentence]:
    """Sentences of a UTF-8 file in ROCLING format, one character a token, as a stream.

    Any line ending is accepted, and a line of spaces or tabs counts as blank. Before a sentence,
    lines that begin with "# " and do not end in a tag are comments. The text is never changed:
    full-width letters and digits are how these corpora are written. Raises ValueError, naming
    file and line, for a line that is neither `character tag` nor of a kind listed in report.KINDS.
    """
    report = ReadReport() if report is None else report
    genre = genre_of(path) if genre is None else genre
    source = Path(path).name
    rows: list[tuple[str, str, int]] = []
    for number, line in read_lines(path):
        if not line.strip(" \t"):
            if rows:
                yield _sentence(rows, source, genre, report)
            rows = []
        elif not rows and is_comment(line):
            report.file(source).comments += 1
        else:
            token, written = _columns(line, source, number, report)
            tag = located_tag(written, source, number, report)
            pairs = split_token(token, tag, source, number, report)
            rows.extend((char, char_tag, number) for char, char_tag in pairs)
    if rows:
        yield _sentence(rows, source, genre, report)


def is_comment(line: str) -> bool:
    """Whether a line between sentences is a comment ("# O" is the token "#", no comment)."""
    return line.startswith("# ") and not is_tag_like(line.split()[-1])


def _sentence(
    rows: list[tuple[str, str, int]], source: str, genre: str, report: ReadReport
) -> Sentence:
    tokens, tags, lines = zip(*rows)
    return build_sentence(tokens, tags, lines, source=source, genre=genre, report=report)


def _columns(line: str, source: str, number: int, report: ReadReport) -> tuple[str, str]:
    """(token, tag as written) of a line; the token itself may be a space or be lost."""
    match = re.fullmatch(r"(.*)[ \t]([^ \t]+)[ \t]*", line, re.DOTALL)
    if match is None:
        raise ValueError(
            f"{source}:{number}: the line {line!r} has one column; expected a character and a tag."
        )
    token = match[1].strip(" \t") or match[1][:1]
    if not token:
        report.add("token-lost", source, number, line, " " + line)
        token = " "
    if " " in token.strip(" ") or "\t" in token.strip("\t"):
        raise ValueError(
            f"{source}:{number}: the line {line!r} has more than two columns; expected a character "
            "and a tag. Files of several columns are for the CoNLL reader."
        )
    return token, match[2]
