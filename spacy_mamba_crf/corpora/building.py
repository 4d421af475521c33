"""The last step shared by all readers: raw columns to one legal, counted `Sentence`."""

import sys
import unicodedata
from collections.abc import Sequence

from .records import Sentence
from .report import ReadReport
from .tags import open_chunks, repair_tag, trim_whitespace


def located_tag(tag: str, source: str, line: int, report: ReadReport) -> str:
    """`tag` in legal form, its repair recorded; ValueError naming source:line if there is none."""
    try:
        fixed, kind = repair_tag(tag)
    except ValueError as error:
        raise ValueError(f"{source}:{line}: {error}. Correct the line.") from None
    if kind is not None:
        report.add(kind, source, line, tag, fixed)
    return fixed


def split_token(
    token: str, tag: str, source: str, line: int, report: ReadReport
) -> list[tuple[str, str]]:
    """One (character, tag) pair a character: the first keeps its tag, the others continue it."""
    if len(token) == 1:
        return [(token, tag)]
    rest = tag if tag == "O" else "I" + tag[1:]
    report.add("token-split", source, line, token, " ".join(token))
    return [(char, rest if i else tag) for i, char in enumerate(token)]


def build_sentence(
    tokens: Sequence[str],
    tags: Sequence[str],
    lines: Sequence[int],
    *,
    source: str,
    genre: str,
    id: str | None = None,
    report: ReadReport,
    iob1: bool = False,
) -> Sentence:
    """A `Sentence` with every entity opened by B- and free of whitespace edges.

    tokens, tags, lines: one entry a token; tags already legal one by one. Each changed tag is a
    repair, except an I- opened in an `iob1` file, where the format means it so.
    """
    opened = open_chunks(tags)
    if not iob1:
        _record_changes("inside-without-begin", tags, opened, source, lines, report)
    trimmed = trim_whitespace(tokens, opened)
    _record_changes("whitespace-edge", opened, trimmed, source, lines, report)
    for token, line in zip(tokens, lines):
        if len(token) == 1 and unicodedata.category(token) == "Cc":
            report.add("control-character", source, line, token, token)
    counts = report.file(source)
    counts.sentences += 1
    counts.tokens += len(tokens)
    counts.begin_tags += sum(tag.startswith("B-") for tag in tags)
    counts.chunks += sum(tag.startswith("B-") for tag in opened)
    return Sentence(
        tokens=tuple(map(sys.intern, tokens)),
        tags=tuple(map(sys.intern, trimmed)),
        source=source,
        line=lines[0],
        genre=genre,
        id=id,
    )


def _record_changes(
    kind: str,
    old: Sequence[str],
    new: Sequence[str],
    source: str,
    lines: Sequence[int],
    report: ReadReport,
) -> None:
    for before, after, line in zip(old, new, lines):
        if before != after:
            report.add(kind, source, line, before, after)
