"""A lexicon of terms with labels, and where its terms stand in docs.

Matching is over the characters of a text, so that it does not depend on how terms would be
tokenised; a match counts if it begins and ends where tokens do.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import srsly

from .token_strings import TokenStrings, code_points

if TYPE_CHECKING:
    from spacy.tokens import Doc

    from .pytorch.trie import Trie

UNTYPED = ""
_CODE_POINTS = 0x110000
_BLOCK = 256


class Lexicon:
    """Terms, each with one label or more; does not change once it is made.

    terms: labels by term, or pairs of term and label; the label "" means untyped. fold_width:
    full-width and other compatibility forms of a character count as the plain one (Unicode NFKC,
    where that is one character). lower: so do upper and lower case. Spaces around a term do not
    count. Raises ValueError for an empty term.

    Attributes: terms, folded and sorted, those that fold together being one: a term's place is its
    entry; labels, sorted; label_table: (entry, label) bool.
    """

    def __init__(
        self,
        terms: Mapping[str, Iterable[str]] | Iterable[tuple[str, str]] = (),
        *,
        fold_width: bool = True,
        lower: bool = True,
    ):
        self.fold_width = fold_width
        self.lower = lower
        pairs = list(dict.fromkeys(_pairs(terms)))
        folded = self._fold_all([term.strip() for term, _ in pairs])
        if "" in folded:
            term = pairs[folded.index("")][0]
            raise ValueError(f"A lexicon's term is empty: {term!r}; leave it out.")
        self.terms = tuple(sorted(set(folded)))
        self.labels = tuple(sorted({label for _, label in pairs}))
        entries = {term: number for number, term in enumerate(self.terms)}
        columns = {label: number for number, label in enumerate(self.labels)}
        self.label_table: np.ndarray = np.zeros((len(self.terms), len(self.labels)), dtype=bool)
        for term, (_, label) in zip(folded, pairs):
            self.label_table[entries[term], columns[label]] = True

    @classmethod
    def from_file(
        cls, path: str | PathLike[str], *, fold_width: bool = True, lower: bool = True
    ) -> "Lexicon":
        """Read a UTF-8 file of lines `term` or `term<TAB>label`; blank lines are skipped.

        Raises OSError if it cannot be read, and ValueError, naming file and line, for what is
        no such line, or if there is no term at all.
        """
        path = Path(path)
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        pairs = [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]
        terms = [pair for pair in pairs if pair is not None]
        if not terms:
            raise ValueError(f"The lexicon {path} holds no term; write one a line.")
        return cls(terms, fold_width=fold_width, lower=lower)

    def __len__(self) -> int:
        return len(self.terms)

    def __deepcopy__(self, memo: dict) -> "Lexicon":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return self.from_bytes, (self.to_bytes(),)

    def to_bytes(self) -> bytes:
        """The terms, labels and settings as msgpack, the same for the same lexicon."""
        return srsly.msgpack_dumps(
            {
                "fold_width": self.fold_width,
                "lower": self.lower,
                "terms": list(self.terms),
                "labels": list(self.labels),
                "label_table": np.packbits(self.label_table).tobytes(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Lexicon":
        """A lexicon as to_bytes wrote it."""
        message = srsly.msgpack_loads(data)
        lexicon = cls(fold_width=message["fold_width"], lower=message["lower"])
        lexicon.terms = tuple(message["terms"])
        lexicon.labels = tuple(message["labels"])
        shape = len(lexicon.terms), len(lexicon.labels)
        bits = np.frombuffer(message["label_table"], dtype="uint8")
        table = np.unpackbits(bits, count=shape[0] * shape[1])
        lexicon.label_table = table.astype(bool).reshape(shape)
        return lexicon

    def fold(self, text: str) -> str:
        """A text as it is compared, of the same length."""
        return text.translate(_folding(self.fold_width, self.lower))

    def entry_labels(self, entry: int) -> tuple[str, ...]:
        """The labels of a term, sorted."""
        return tuple(self.labels[column] for column in np.flatnonzero(self.label_table[entry]))

    def matches(self, docs: "Sequence[Doc]") -> np.ndarray:
        """Every place where a term stands, overlapping ones, too.

        (match, 4) int64: doc, first token, the token after the last, entry; sorted by doc, first
        and last token.
        """
        from .pytorch.trie import find_matches

        return find_matches(self.trie, *self._spelling.read(docs))

    @cached_property
    def trie(self) -> "Trie":
        """What the terms are found with; made at its first use."""
        from .pytorch.trie import build_trie

        codes = code_points("".join(self.terms))
        ends = np.cumsum([len(term) for term in self.terms], dtype="int64")
        return build_trie(codes, ends, self._alphabet(codes))

    @cached_property
    def _spelling(self) -> TokenStrings:
        return TokenStrings(self.trie.alphabet)

    @cached_property
    def sparse_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """The labels of each entry side by side: where each entry's end, (entry,); (labels,)."""
        ends = np.cumsum(self.label_table.sum(axis=1), dtype="int64")
        return ends, np.nonzero(self.label_table)[1].astype("int64")

    def _alphabet(self, codes: np.ndarray) -> np.ndarray:
        """(code point,) int32: characters of folded terms, and those that fold to them, from 1."""
        used = np.unique(codes)
        numbers = np.zeros(_CODE_POINTS, dtype="int32")
        numbers[used] = np.arange(1, len(used) + 1)
        folding = _folding(self.fold_width, self.lower)
        plain = numbers[list(folding.values())]
        numbers[list(folding)] = plain
        return numbers[: np.max(np.flatnonzero(numbers), initial=0) + 1].copy()

    def _fold_all(self, terms: list[str]) -> list[str]:
        """As `fold` of each; one call for all is faster."""
        folded = self.fold("".join(terms))
        ends = np.cumsum([len(term) for term in terms], dtype="int64").tolist()
        return [folded[start:end] for start, end in zip([0, *ends], ends)]


def _pairs(
    terms: Mapping[str, Iterable[str]] | Iterable[tuple[str, str]],
) -> Iterable[tuple[str, str]]:
    if not isinstance(terms, Mapping):
        return terms
    return [(term, label) for term, labels in terms.items() for label in (labels or [UNTYPED])]


def _parse(line: bytes, place: str) -> tuple[str, str] | None:
    """Term and label of a line of a file, None for a blank one."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{place}: the line is not UTF-8 ({error.reason}); convert the lexicon to UTF-8."
        ) from error
    if not text.strip():
        return None
    columns = [column.strip() for column in text.split("\t")]
    term, label = columns[0], columns[1] if len(columns) > 1 else UNTYPED
    if not term:
        raise ValueError(f"{place}: the term before the tab is empty; write `term<TAB>label`.")
    if len(columns) > 2:
        raise ValueError(
            f"{place}: the line has {len(columns)} columns; write `term` or `term<TAB>label`, and "
            "leave out others, such as a frequency."
        )
    if label.replace(".", "", 1).isdigit():
        raise ValueError(
            f"{place}: the label {label!r} of {term!r} is a number; if it is a frequency, leave "
            "the column out, otherwise give the label a name."
        )
    return term, label


@cache
def _folding(fold_width: bool, lower: bool) -> dict[int, int]:
    """The code points that count as another one. Those that would become several stay."""
    folding = {}
    for start in range(0, _CODE_POINTS, _BLOCK):
        block = "".join(map(chr, range(start, start + _BLOCK)))
        plain_width = not fold_width or unicodedata.is_normalized("NFKC", block)
        if plain_width and (not lower or block.lower() == block):
            continue  # each part of a normalised string is normalised
        for character in block:
            folded = character
            if fold_width:
                folded = _if_one(unicodedata.normalize("NFKC", folded), folded)
            if lower:
                folded = _if_one(folded.lower(), folded)
            if folded != character:
                folding[ord(character)] = ord(folded)
    return folding


def _if_one(changed: str, character: str) -> str:
    return changed if len(changed) == 1 else character
