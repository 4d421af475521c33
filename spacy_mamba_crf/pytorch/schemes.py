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

    def edge_tags(self) -> np.ndarray:
        """(tag,) bool: tags of a token at the first or, where the scheme shows it, last edge."""
        return np.array([tag[0] in "BES" for tag in self.tags])

    def legal_transitions(self) -> np.ndarray:
        """(from tag, to tag) bool: a tag that continues an entity needs that entity before it."""
        opened = np.array([self._leaves_open(tag) for tag in self.tags])
        needed = np.array([self._needs_open(tag) for tag in self.tags])
        may_close = np.array([self.scheme == "BIO" or not label for label in opened])
        same = opened[:, None] == needed[None, :]
        return np.where(needed[None, :] != "", same, may_close[:, None])

    def legal_start(self) -> np.ndarray:
        """(tag,) bool: tags that may stand first."""
        return np.array([not self._needs_open(tag) for tag in self.tags])

    def legal_end(self) -> np.ndarray:
        """(tag,) bool: tags that may stand last."""
        return np.array([self.scheme == "BIO" or not self._leaves_open(tag) for tag in self.tags])

    def decode(self, tags: np.ndarray) -> list[tuple[int, int, int]]:
        """(start, end, label index) of each entity in a sequence of tag numbers.

        Sequences without illegal steps are read as they are; in others, a tag that continues
        nothing opens an entity, and an entity that is not continued ends: conlleval's reading.
        """
        size = len(self.letters)
        entities: list[tuple[int, int, int]] = []
        start, open_label = 0, -1
        for i, tag in enumerate(tags.tolist()):
            label, letter = divmod(tag - 1, size)
            name = "O" if tag == 0 else self.letters[letter]
            if open_label >= 0 and (name in "BOS" or label != open_label):
                entities.append((start, i, open_label))
                open_label = -1
            if name != "O" and open_label < 0:
                start, open_label = i, label
            if name in "ES":
                entities.append((start, i + 1, label))
                open_label = -1
        if open_label >= 0:
            entities.append((start, len(tags), open_label))
        return entities

    @staticmethod
    def _leaves_open(tag: str) -> str:
        return tag[2:] if tag[0] in "BI" else ""

    @staticmethod
    def _needs_open(tag: str) -> str:
        return tag[2:] if tag[0] in "IE" else ""
