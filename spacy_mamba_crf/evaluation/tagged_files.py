"""Reading two files of `token ... tag` lines side by side, for conlleval."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_COLUMNS = re.compile(r"[ \t]+")  # not \s: an ideographic space can itself be a token


@dataclass(frozen=True)
class TagPairs:
    """Gold and predicted tags of each sentence, and the number of blank lines in the truth."""

    gold: list[list[str]]
    predicted: list[list[str]]
    blank_lines: int


def read_tag_pairs(
    truth: str | Path, result: str | Path, *, check: Callable[[str], object]
) -> TagPairs:
    """Read the last column of both files, sentence by sentence; the first must be equal.

    Lines may end in LF, CRLF or CR. Either file may have fewer or more blank lines at its end.
    check: called with every tag, raises ValueError for one that cannot be read. Raises ValueError
    naming file:line where the files disagree or a line cannot be read.
    """
    truth, result = Path(truth), Path(result)
    true_lines, guess_lines = _read_lines(truth), _read_lines(result)
    pairs = TagPairs([], [], blank_lines=sum(not line.strip(" \t") for line in true_lines))
    open_sentence = False
    length = max(len(_without_final_blanks(true_lines)), len(_without_final_blanks(guess_lines)))
    for i in range(length):
        true = _columns(true_lines, i, truth, check)
        guess = _columns(guess_lines, i, result, check)
        if (true and true[0]) != (guess and guess[0]):
            raise ValueError(
                f"{result}:{i + 1} has {_describe(guess)} where {truth}:{i + 1} has "
                f"{_describe(true)}. Both files must hold the same tokens on the same lines."
            )
        if true is None or guess is None:
            open_sentence = False
            continue
        if not open_sentence:
            pairs.gold.append([])
            pairs.predicted.append([])
            open_sentence = True
        pairs.gold[-1].append(true[1])
        pairs.predicted[-1].append(guess[1])
    return pairs


def _read_lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}).") from error
    return lines[:-1] if lines[-1] == "" else lines


def _without_final_blanks(lines: list[str]) -> list[str]:
    length = len(lines)
    while length and not lines[length - 1].strip(" \t"):
        length -= 1
    return lines[:length]


def _columns(
    lines: list[str], i: int, path: Path, check: Callable[[str], object]
) -> tuple[str, str] | None:
    """Token and tag of line `i`; None for a blank line and past the end."""
    line = lines[i] if i < len(lines) else ""
    if not line.strip(" \t"):
        return None
    columns = _COLUMNS.split(line.rstrip(" \t"))
    if len(columns) < 2:
        raise ValueError(f"{path}:{i + 1} has one column, {line!r}. Write a token and its tag.")
    try:
        check(columns[-1])
    except ValueError as error:
        raise ValueError(f"{path}:{i + 1}: {error}") from None
    return columns[0], columns[-1]


def _describe(columns: tuple[str, str] | None) -> str:
    return "no token" if columns is None else f"the token {columns[0]!r}"
