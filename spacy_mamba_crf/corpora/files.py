"""Files in and out: lines with any line ending, folders to file lists."""

import os
from collections.abc import Iterable, Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import IO

PathLike = str | os.PathLike[str]


def read_lines(path: PathLike, encoding: str = "utf-8-sig") -> Iterator[tuple[int, str]]:
    """(1-based number, text without its line ending) of each line of a text file."""
    with open(path, "rb") as stream:
        yield from numbered_lines(stream, str(path), encoding)


def numbered_lines(
    stream: IO[bytes], name: str, encoding: str = "utf-8-sig"
) -> Iterator[tuple[int, str]]:
    """(1-based number, text) of each line; LF, CRLF, bare CR and CR CR LF each end one line.

    Other characters that Unicode calls line breaks (U+2028, U+0085 ...) are text. CR CR LF is
    what writing CRLF through a text-mode stream leaves behind. Raises ValueError, naming file and
    line, on bytes that are not valid in `encoding`; a byte-order mark is skipped by the default.
    """
    text = TextIOWrapper(stream, encoding=encoding, newline="")
    number = 0
    after_bare_cr = False
    try:
        for line in text:
            if after_bare_cr and line == "\r\n":
                after_bare_cr = False
                continue
            number += 1
            after_bare_cr = line.endswith("\r")
            yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}:{number + 1}: the file is not {encoding} from about here ({error.reason}). "
            "Convert it to UTF-8, or name its encoding."
        ) from error


def corpus_files(
    path: PathLike | Sequence[PathLike], patterns: Sequence[str] = ("*",)
) -> list[Path]:
    """The files that a path, a folder or a list of either stands for, sorted by name in a folder.

    In a folder (searched with its sub-folders) the first of `patterns` that matches any file
    decides. Raises FileNotFoundError for what does not exist and for a folder with no match.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    if not paths:
        raise ValueError("The corpus path is an empty list; name at least one file or folder.")
    return [file for item in paths for file in _expand(Path(item), patterns)]


def _expand(path: Path, patterns: Sequence[str]) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(f"The corpus path {path} does not exist.")
    for pattern in patterns:
        found = sorted(file for file in path.rglob(pattern) if file.is_file())
        if found:
            return found
    raise FileNotFoundError(f"The folder {path} holds no file named like {' or '.join(patterns)}.")


def find_file(folder: Path, names: Iterable[str]) -> Path | None:
    """The first of `names` (relative to `folder`) that is a file, or None."""
    return next((folder / name for name in names if (folder / name).is_file()), None)
