"""Tagging schemes: the tags that a set of labels makes, and which of them may follow which."""

from dataclasses import dataclass

import numpy as np

SCHEMES = ("BIO", "BIOES")
# The letters of a scheme for the (only, first, middle, last) token of an entity.
_LETTERS = {"BIO": "BBII", "BIOES": "SBIE"}


@dataclass(frozen=True)
class TagSet:
    """The tags of a scheme over labels: O first, then each label's tags side by side.

    A new label's tags come last, so the numbers of the tags before it never change. Raises
    ValueError if the scheme is unknown.
    """

    scheme: str
    labels: tuple[str, ...]

    def __post_init__(self):
        if self.scheme not in SCHEMES:
            raise ValueError(
                f"The tagging scheme is {self.scheme!r}; choose one of {', '.join(SCHEMES)}."
            )

    @property
    def letters(self) -> str:
        """The letters before a label, in the order of their tags."""
        return "BI" if self.scheme == "BIO" else "BIES"

    def __len__(self) -> int:
        return 1 + len(self.letters) * len(self.labels)

    @property
    def tags(self) -> list[str]:
        """All tags in the order of their numbers: O, B-X, I-X, ..."""
        return ["O"] + [f"{letter}-{label}" for label in self.labels for letter in self.letters]

    def number(self, letter: str, label: int) -> int:
        """The tag number of a letter and a label's index."""
        return 1 + label * len(self.letters) + self.letters.index(letter)

    def span_tags(self, label: int, length: int) -> list[int]:
        """The tag numbers of an entity of this many tokens. Raises ValueError if length < 1."""
        if length < 1:
            raise ValueError(f"An entity has at least one token, not {length}.")
        only, first, middle, last = (self.number(x, label) for x in _LETTERS[self.scheme])
        return [only] if length == 1 else [first] + [middle] * (length - 2) + [last]

    def continuing_tag(self, label: int) -> int | None:
        """The tag that, after a span, would make the same entity go on; None if its end shows."""
        return self.number("I", label) if self.scheme == "BIO" else None

    def span_table(self) -> np.ndarray:
        """(label, 5) int64: the tags of a label's spans, as `pytorch.crf.SpanTags` wants them."""
        rows = [
            [self.number(letter, label) for letter in _LETTERS[self.scheme]]
            for label in range(len(self.labels))
        ]
        table = np.array(rows, dtype=np.int64).reshape(-1, 4)
        after = table[:, 2:3] if self.scheme == "BIO" else np.full((len(table), 1), -1)
        return np.concatenate([table, after], axis=1)

    def edge_tags(self) -> np.ndarray:
        """(tag,) bool: tags of a token at the first or, where the scheme shows it, last edge."""
        return self._with_letter("BES")

    def legal_transitions(self) -> np.ndarray:
        """(from tag, to tag) bool: a tag that continues an entity needs that entity before it."""
        label = self.labels_of(np.arange(len(self)))
        same = self._with_letter("BI")[:, None] & (label[:, None] == label)
        return np.where(self._with_letter("IE"), same, self.legal_end()[:, None])

    def legal_start(self) -> np.ndarray:
        """(tag,) bool: tags that may stand first."""
        return ~self._with_letter("IE")

    def legal_end(self) -> np.ndarray:
        """(tag,) bool: tags that may stand last."""
        return ~self._with_letter("" if self.scheme == "BIO" else "BI")

    def decode(self, tags: np.ndarray) -> list[tuple[int, int, int]]:
        """(start, end, label index) of each entity in a sequence of tag numbers, see `entities`."""
        return [tuple(row[1:]) for row in self.entities(tags, np.array([0, len(tags)])).tolist()]

    def entities(self, tags: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """(entity, 4) int64: text, start, end and label index of each entity of some texts.

        tags: (token,) int64, the texts side by side; offsets: (text + 1,), where each starts; start
        and end, exclusive, count from there. Sequences without illegal steps are read as they are;
        in others, a tag that continues nothing opens an entity, and an entity that is not continued
        ends: conlleval's reading.
        """
        label = self.labels_of(tags)
        goes_on = np.zeros(len(tags) + 1, dtype=bool)  # from the token before
        goes_on[1:-1] = self._with_letter("BI")[tags[:-1]] & self._with_letter("IE")[tags[1:]]
        goes_on[1:-1] &= label[:-1] == label[1:]
        goes_on[offsets] = False
        inside = label >= 0
        starts = np.flatnonzero(inside & ~goes_on[:-1])
        ends = np.flatnonzero(inside & ~goes_on[1:]) + 1
        texts = np.searchsorted(offsets, starts, side="right") - 1
        firsts = offsets[texts]
        return np.stack([texts, starts - firsts, ends - firsts, label[starts]], axis=1)

    def labels_of(self, tags: np.ndarray) -> np.ndarray:
        """The label index of each tag, -1 of O."""
        return (tags - 1) // len(self.letters)

    def _with_letter(self, letters: str) -> np.ndarray:
        """(tag,) bool: tags with one of these letters."""
        return np.array([False] + [x in letters for x in self.letters] * len(self.labels))
