"""The tokens of a batch of docs as keys (uint64); work on strings is done once a string."""

import struct
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from spacy.strings import StringStore, get_string_id
from spacy.tokens import Doc

# Edges of a string: prefixes and suffixes of up to three characters.
N_AFFIXES = 6
# An n-gram that reaches over the end of a doc sees this key; none reaches further than BORDER.
_BORDER_KEY = np.uint64(0x9E3779B97F4A7C15)
_BORDER = 2
_BLOCK = 32768


class Distinct(NamedTuple):
    """The different strings among the tokens of a block.

    strings: (string,) uint64, as spaCy numbers them; keys: (string,) uint64, equal where they fold
    together; token_string: (token,) uint32, each token's string.
    """

    strings: np.ndarray
    keys: np.ndarray
    token_string: np.ndarray


class TokenBatch:
    """The tokens of docs, side by side. What layers share is computed once, at its first use.

    attr: the token attribute compared, e.g. "NORM". fold_width: full-width and other compatibility
    forms of a character count as the plain one (Unicode NFKC).
    """

    def __init__(self, docs: list[Doc], attr: str, fold_width: bool):
        self.docs = docs
        self.attr = attr
        self.fold_width = fold_width
        self.lengths = np.array([len(doc) for doc in docs], dtype="int64")

    def __len__(self) -> int:
        return int(self.lengths.sum())

    @cached_property
    def blocks(self) -> list[slice]:
        """The tokens in parts of bounded size, which need not be whole docs."""
        return [slice(i, min(i + _BLOCK, len(self))) for i in range(0, len(self), _BLOCK)]

    @cached_property
    def distinct(self) -> list[Distinct]:
        """One a block."""
        found = []
        values = self._attribute(self.attr)
        for block in self.blocks:
            strings, index = np.unique(values[block], return_inverse=True)
            keys = _FOLDED(strings, self._strings).reshape(-1) if self.fold_width else strings
            found.append(Distinct(strings, keys, index.astype("uint32")))
        return found

    @cached_property
    def places(self) -> np.ndarray:
        """(token,) int64, where each token's key is in `keys`."""
        borders = _BORDER * np.arange(1, len(self.lengths) + 1)
        return np.arange(len(self), dtype="int64") + np.repeat(borders, self.lengths)

    @cached_property
    def keys(self) -> np.ndarray:
        """(place,) uint64, with border keys before, between and after the docs."""
        keys = np.full(len(self) + _BORDER * (len(self.docs) + 1), _BORDER_KEY)
        for block, distinct in zip(self.blocks, self.distinct):
            keys[self.places[block]] = distinct.keys[distinct.token_string]
        return keys

    @cached_property
    def shapes(self) -> np.ndarray:
        """(token,) uint64, spaCy's SHAPE."""
        return self._attribute("SHAPE")

    def affixes(self, block: int) -> np.ndarray:
        """(string, 6) uint64, the prefixes and suffixes of a block's strings."""
        return _AFFIXES(self.distinct[block].strings, self._strings)

    @property
    def _strings(self) -> StringStore:
        return self.docs[0].vocab.strings

    def _attribute(self, attr: str) -> np.ndarray:
        arrays = [doc.to_array(attr).astype("uint64", copy=False).reshape(-1) for doc in self.docs]
        return np.concatenate(arrays) if arrays else np.zeros(0, dtype="uint64")


class _PerString:
    """Numbers that a string is mapped to, remembered by spaCy's number of the string."""

    def __init__(self, function: Callable[[str], tuple[int, ...]], size: int):
        self.function = function
        self.format = struct.Struct(f"={size}Q")
        self.size = size
        self.known: dict[int, bytes] = {}

    def __call__(self, numbers: np.ndarray, strings: StringStore) -> np.ndarray:
        """(string,) uint64 -> (string, size) uint64"""
        if len(self.known) > 1 << 18:
            self.known = {}
        values = [
            self.known.get(number) or self._add(number, strings) for number in numbers.tolist()
        ]
        found = np.frombuffer(b"".join(values), dtype="uint64").reshape(-1, self.size)
        return found.copy()  # frombuffer's cannot be written to: kernels would be compiled twice

    def _add(self, number: int, strings: StringStore) -> bytes:
        value = self.format.pack(*self.function(strings[number]))
        self.known[number] = value
        return value


def _fold(text: str) -> tuple[int, ...]:
    return (get_string_id(unicodedata.normalize("NFKC", text)),)


def _split_affixes(text: str) -> tuple[int, ...]:
    parts = [f"^{text[:n]}" for n in (1, 2, 3)] + [f"{text[-n:]}$" for n in (1, 2, 3)]
    return tuple(get_string_id(part) for part in parts)


_FOLDED = _PerString(_fold, 1)
_AFFIXES = _PerString(_split_affixes, N_AFFIXES)
