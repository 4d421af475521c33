"""The characters of docs' tokens as numbers; each string is spelled once, when it is first met."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spacy.strings import StringStore
    from spacy.tokens import Doc

    from .pytorch.trie import Strings, Texts

_MOST = 1 << 18  # strings remembered


class TokenStrings:
    """Reads docs for a trie. alphabet: (code point,) int32, the numbers of its characters, else 0.

    Making doc.text would take longer than all the rest of matching.
    """

    def __init__(self, alphabet: np.ndarray):
        self._alphabet = alphabet
        self._known: tuple[np.ndarray, Strings] | None = None

    def read(self, docs: "Sequence[Doc]") -> "tuple[Strings, Texts]":
        """The docs' tokens, and the strings that they are made of. The docs share a vocab."""
        from .pytorch.trie import Texts, look_up

        arrays = [doc.to_array(["ORTH", "SPACY"]) for doc in docs]
        tokens = np.concatenate([np.zeros((0, 2), dtype="uint64"), *arrays])
        keys = np.ascontiguousarray(tokens[:, 0])
        if self._known is None:
            self._known = self._spelled(None, np.zeros(1, dtype="uint64"), [""])
        known_keys, strings = self._known
        places = look_up(strings, keys)
        if places.min(initial=0) < 0:
            strings = self._learn(known_keys, strings, keys, places, docs[0].vocab.strings)
            places = look_up(strings, keys)
        ends = np.cumsum([len(doc) for doc in docs], dtype="int64")
        return strings, Texts(places, tokens[:, 1] != 0, ends)

    def _learn(
        self,
        known_keys: np.ndarray,
        strings: "Strings",
        keys: np.ndarray,
        places: np.ndarray,
        store: "StringStore",
    ) -> "Strings":
        """Strings with all of `keys`: what was known and the others, or, if too many, only these.

        Made anew and put in place at once, for other threads that read meanwhile.
        """
        before: tuple[np.ndarray, Strings] | None = (known_keys, strings)
        new = np.unique(keys[places < 0])
        if len(known_keys) + len(new) > _MOST:
            before, new = None, np.unique(np.append(keys, np.uint64(0)))
        texts = [store[key] if key else "" for key in new.tolist()]
        self._known = self._spelled(before, new, texts)
        return self._known[1]

    def _spelled(
        self, before: "tuple[np.ndarray, Strings] | None", keys: np.ndarray, texts: list[str]
    ) -> "tuple[np.ndarray, Strings]":
        from .pytorch.trie import spell

        codes = code_points("".join(texts))
        characters = self._alphabet[np.minimum(codes, len(self._alphabet) - 1)]
        characters[codes >= len(self._alphabet)] = 0
        lengths = np.array([len(text) for text in texts], dtype="int64")
        if before is not None:
            keys = np.append(before[0], keys)
            lengths = np.append(np.diff(before[1].ends, prepend=0), lengths)
            characters = np.append(before[1].characters, characters)
        return keys, spell(keys, lengths, characters)


def code_points(text: str) -> np.ndarray:
    """(character,) uint32, writable, since kernels are compiled anew for what is not."""
    return np.frombuffer(bytearray(text.encode("utf-32-le")), dtype="uint32")
