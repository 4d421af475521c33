"""The tokens of a batch of docs as keys (uint64); work on strings is done once a string."""

import functools
import re
import struct
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from spacy.strings import StringStore, get_string_id
from spacy.tokens import Doc

from .chinese_script import radical, simplified

# Stands for a token that is hidden: a private-use character.
MASK = "\ue000"
# Edges of a string: prefixes and suffixes of up to three characters.
N_AFFIXES = 6
# An n-gram that reaches over the end of a doc sees this key; none reaches further than BORDER.
_BORDER_KEY = np.uint64(0x9E3779B97F4A7C15)
_BORDER = 2
_BLOCK = 32768
# Emoji and other pictographs, with what joins and varies them: runs of them are one.
_PICTOGRAPHS = (
    "\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff"
    "\u231a\u231b\u23e9-\u23fa\u25b6\u25c0\u21a9\u21aa"
)
_EMOJI = re.compile(f"(?:[{_PICTOGRAPHS}][\ufe0f\u200d\u20e3]*)+|^[\ufe0f\u200d\u20e3]+$")
_ANY_EMOJI = "\U0001f642"


class Distinct(NamedTuple):
    """The different strings among the tokens of a block.

    strings: (string,) uint64, as spaCy numbers them; keys: (string,) uint64, equal where they fold
    together; token_string: (token,) uint32, each token's string.
    """

    strings: np.ndarray
    keys: np.ndarray
    token_string: np.ndarray


class Folding(NamedTuple):
    """Which forms of a character count as one.

    width: full-width and other compatibility forms as the plain one (Unicode NFKC); script:
    Traditional Chinese characters as the Simplified one (OpenCC's tw2s, character by character);
    emoji: every emoji or other pictograph, such as a star, as the same one; edges: prefixes,
    suffixes and shapes are of the folded token, too.
    """

    width: bool = False
    script: bool = False
    edges: bool = False
    emoji: bool = False

    def __call__(self, text: str) -> str:
        if self.width:
            text = unicodedata.normalize("NFKC", text)
        if self.emoji:
            text = _EMOJI.sub(_ANY_EMOJI, text)
        return simplified(text) if self.script else text

    @property
    def changes(self) -> bool:
        """Whether any character is folded."""
        return self.width or self.script or self.emoji


_UNFOLDED = Folding()


class TokenBatch:
    """The tokens of docs, side by side. What layers share is computed once, at its first use.

    attr: the token attribute compared, e.g. "NORM". hidden: (token,) bool, tokens in whose place
    MASK stands; None for none.
    """

    def __init__(
        self,
        docs: list[Doc],
        attr: str,
        folding: Folding = _UNFOLDED,
        hidden: np.ndarray | None = None,
    ):
        self.docs = docs
        self.attr = attr
        self.folding = folding
        self.hidden = hidden
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
            keys = strings
            if self.folding.changes:
                keys = _folded(self.folding)(strings, self._strings).reshape(-1)
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
        shapes = self._attribute("SHAPE")
        folding = self.folding._replace(script=False)  # no shape has Chinese characters
        if not (folding.edges and folding.changes):
            return shapes
        distinct, index = np.unique(shapes, return_inverse=True)
        return _folded(folding)(distinct, self._strings).reshape(-1)[index]

    def affixes(self, block: int) -> np.ndarray:
        """(string, 6) uint64, the prefixes and suffixes of a block's strings."""
        folding = self.folding if self.folding.edges else _UNFOLDED
        return _affixes(folding)(self.distinct[block].strings, self._strings)

    def radicals(self, block: int) -> np.ndarray:
        """(string, 2) uint64, the radicals of a block's strings' first and last characters."""
        return _radicals(self.folding)(self.distinct[block].strings, self._strings)

    @property
    def _strings(self) -> StringStore:
        return self.docs[0].vocab.strings

    def _attribute(self, attr: str) -> np.ndarray:
        if not self.docs:
            return np.zeros(0, dtype="uint64")
        values = np.concatenate([_values(doc, attr) for doc in self.docs])
        if self.hidden is not None:
            values[self.hidden] = _values(Doc(self.docs[0].vocab, words=[MASK]), attr)
        return values


def _values(doc: Doc, attr: str) -> np.ndarray:
    return doc.to_array(attr).astype("uint64", copy=False).reshape(-1)


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


@functools.cache
def _folded(folding: Folding) -> _PerString:
    return _PerString(lambda text: (get_string_id(folding(text)),), 1)


@functools.cache
def _affixes(folding: Folding) -> _PerString:
    return _PerString(lambda text: _split_affixes(folding(text)), N_AFFIXES)


@functools.cache
def _radicals(folding: Folding) -> _PerString:
    return _PerString(lambda text: _edge_radicals(folding(text)), 2)


def _edge_radicals(text: str) -> tuple[int, ...]:
    return radical(text[:1]), 215 + radical(text[-1:])


def _split_affixes(text: str) -> tuple[int, ...]:
    parts = [f"^{text[:n]}" for n in (1, 2, 3)] + [f"{text[-n:]}$" for n in (1, 2, 3)]
    return tuple(get_string_id(part) for part in parts)
