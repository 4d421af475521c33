"""Raw text cut into pieces, kept on disk, so that they can be read in any order."""

import mmap
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from spacy.tokens import Doc

from ..files import replacing
from ..layers.token_keys import MASK

# Between the tokens of a piece.
_SEPARATOR = "\x1f"
_LINE = "\n"
# What these stand for a text must not have: in a token, they become spaces.
_NEVER = str.maketrans({_SEPARATOR: " ", MASK: " "})
# One piece of so many is held out at most, and about so many tokens, to measure perplexity on.
_EVERY = 50
_ENOUGH = 100_000


class PieceTable(NamedTuple):
    """offsets: (piece + 1,) int64, in bytes; tokens: (piece,) int64; held_out: (piece,) bool."""

    offsets: np.ndarray
    tokens: np.ndarray
    held_out: np.ndarray


class Pieces:
    """Pieces of text as lists of words. The text is mapped into memory, not read into it.

    crc32: of the text.
    """

    def __init__(self, path: Path, table: PieceTable, crc32: int):
        self.table = table
        self.crc32 = crc32
        self._file = open(path, "rb")
        self._text = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def __getitem__(self, index: int) -> list[str]:
        start, end = self.table.offsets[index : index + 2].tolist()
        return self._text[start:end].decode("utf-8").split(_SEPARATOR)

    def numbers(self, held_out: bool) -> np.ndarray:
        """(piece,) int64, the pieces that are held out, or those that are not."""
        return np.flatnonzero(self.table.held_out == held_out)

    def close(self) -> None:
        self._text.close()
        self._file.close()


def write_pieces(
    docs: Iterable[Doc], path: Path, piece_tokens: int, max_tokens: int | None, seed: int
) -> tuple[Pieces, Counter[str]]:
    """Cut the docs into pieces and write them, and count their words.

    Neighbouring docs are joined by line ends until a piece has as many tokens as a number drawn for
    it, at most piece_tokens; longer docs are cut. Held out are pieces from everywhere. Raises
    ValueError if there are too few to hold one out.
    """
    offsets, tokens, crc32 = [0], [], 0
    counts: Counter[str] = Counter()
    generator = np.random.default_rng(seed)
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        for words in _cut(docs, piece_tokens, max_tokens, generator):
            data = _SEPARATOR.join(words).encode("utf-8")
            stream.write(data)
            crc32 = zlib.crc32(data, crc32)
            offsets.append(offsets[-1] + len(data))
            tokens.append(len(words))
            counts.update(words)
        if len(tokens) < _EVERY:
            raise ValueError(
                f"The text has {sum(tokens):,} tokens, too few for {_EVERY} pieces of up to "
                f"{piece_tokens}, of which one is held out; give more text, or larger max_tokens."
            )
    every = max(_EVERY, sum(tokens) // _ENOUGH)
    held_out = np.arange(1, len(tokens) + 1) % every == 0
    table = PieceTable(np.array(offsets), np.array(tokens), held_out)
    return Pieces(path, table, crc32), counts


def _cut(
    docs: Iterable[Doc],
    piece_tokens: int,
    max_tokens: int | None,
    generator: np.random.Generator,
) -> Iterator[list[str]]:
    """The words of each piece."""
    total = 0
    piece: list[str] = []
    goal = _goal(generator, piece_tokens)
    for doc in docs:
        words = [token.text.translate(_NEVER) for token in doc]
        words = words if max_tokens is None else words[: max_tokens - total]
        total += len(words)
        if piece:
            piece.append(_LINE)
        piece += words
        while len(piece) >= goal:
            yield piece[:piece_tokens]
            piece = piece[piece_tokens:]
            goal = _goal(generator, piece_tokens)
        if max_tokens is not None and total >= max_tokens:
            break
    if piece:
        yield piece


def _goal(generator: np.random.Generator, piece_tokens: int) -> int:
    return int(generator.integers(max(piece_tokens // 8, 1), piece_tokens + 1))
