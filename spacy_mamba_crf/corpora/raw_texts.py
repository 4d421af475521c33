"""Raw texts to learn a language from: files of lines, or of docs, as a stream of docs."""

import json
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from spacy.language import Language
from spacy.tokens import Doc, DocBin

from .files import numbered_lines


def check_raw_files(paths: Sequence[Path]) -> None:
    """Raise ValueError, naming the path, for one that is missing or of an unknown format."""
    for path in paths:
        if not path.is_file():
            raise ValueError(f"There is no text file {path}; correct the path.")
        if _format(path) not in (".txt", ".jsonl", ".spacy"):
            raise ValueError(
                f"{path} is of an unknown format; give .txt, .jsonl, .txt.xz, .jsonl.xz or "
                ".spacy files."
            )


def raw_docs(paths: Sequence[Path], nlp: Language) -> Iterator[Doc]:
    """The texts of some files, tokenized, without the blank ones; nothing is kept in memory.

    paths: .txt files, a line a text; .jsonl, a line an object with a key "text"; .xz of these; or
    .spacy (DocBin) files. Raises ValueError, naming file and line, for a line that is no text,
    or naming the file where it is damaged.
    """
    for path in paths:
        if _format(path) == ".spacy":
            found: Iterator[Doc] = DocBin().from_disk(path).get_docs(nlp.vocab)
        else:
            found = (nlp.tokenizer(text) for text in _lines(path))
        yield from (doc for doc in found if len(doc))


def _format(path: Path) -> str:
    return (path.with_suffix("") if path.suffix == ".xz" else path).suffix


def _lines(path: Path) -> Iterator[str]:
    """The texts of a .txt or .jsonl file, which may be compressed, without the blank ones."""
    opened = lzma.open(path) if path.suffix == ".xz" else open(path, "rb")
    try:
        with opened as stream:
            yield from _texts(stream, path)
    except (lzma.LZMAError, EOFError) as error:
        raise ValueError(f"{path} is no .xz file, or is damaged: {error}.") from error


def _texts(stream: IO[bytes], path: Path) -> Iterator[str]:
    for number, line in numbered_lines(stream, str(path)):
        if line.strip():
            text = _json_text(line, path, number) if _format(path) == ".jsonl" else line
            if text.strip():
                yield text.strip()


def _json_text(line: str, path: Path, number: int) -> str:
    try:
        text = json.loads(line)["text"]
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f'{path}:{number}: the line is no JSON object with a key "text" ({error}).'
        ) from error
    if not isinstance(text, str):
        raise ValueError(f'{path}:{number}: the value of "text" is no string.')
    return text
