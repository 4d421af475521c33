"""Which tokens are hidden from the encoder, and what stands in their place."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..layers.token_keys import MASK

# Of the tokens to predict, so many are masked and so many replaced by any word; the rest stay as
# they are (Devlin et al. 2019, sec. 3.1).
_MASKED, _REPLACED = 0.8, 0.1


class MaskedBatch(NamedTuple):
    """words: of each piece, as the encoder sees them; places: (target,) int64, of the tokens to
    predict, counted over all pieces; targets: (target,) int64, their classes."""

    words: list[list[str]]
    places: np.ndarray
    targets: np.ndarray

    def share(self, number: int, shares: int) -> "MaskedBatch":
        """Some of the pieces, with what is to be predicted in them."""
        if shares == 1:
            return self
        sizes = np.array([len(words) for words in self.words])
        piece_of = np.repeat(np.arange(len(sizes)), sizes)
        own = np.arange(number, len(sizes), shares)
        new_start = np.zeros(len(sizes), dtype="int64")
        new_start[own] = np.cumsum(sizes[own]) - sizes[own]
        pieces = piece_of[self.places]
        kept = pieces % shares == number
        starts = np.cumsum(sizes) - sizes
        places = (self.places - starts[pieces] + new_start[pieces])[kept]
        return MaskedBatch([self.words[i] for i in own], places, self.targets[kept])


class Masker:
    """Hides tokens of known classes, in runs (after SpanBERT, Joshi et al. 2020, sec. 3.1).

    classes: the class of each NORM; norm: the NORM of a word; rate: about the share of tokens that
    is chosen; longest: a run has 1 to so many tokens, each length as often.
    """

    def __init__(
        self,
        classes: dict[str, int],
        norm: Callable[[str], str],
        rate: float,
        longest: int,
    ):
        self.classes = classes
        self.norm = norm
        self.words = list(classes)
        self.rate = rate
        self.longest = longest

    def __call__(self, pieces: Sequence[list[str]], generator: np.random.Generator) -> MaskedBatch:
        """Choose and hide tokens; the same generator state gives the same choice."""
        flat = [word for words in pieces for word in words]
        sizes = np.array([len(words) for words in pieces])
        chosen = _runs(sizes, self.rate, self.longest, generator)
        places, targets = [], []
        for place in chosen.tolist():
            target = self.classes.get(self.norm(flat[place]))
            if target is not None:
                places.append(place)
                targets.append(target)
        draws = generator.random(len(places)).tolist()
        others = generator.integers(len(self.words), size=len(places)).tolist()
        for place, draw, other in zip(places, draws, others):
            if draw < _MASKED:
                flat[place] = MASK
            elif draw < _MASKED + _REPLACED:
                flat[place] = self.words[other]
        ends = np.cumsum(sizes).tolist()
        words = [flat[end - size : end] for end, size in zip(ends, sizes.tolist())]
        return MaskedBatch(words, np.array(places, dtype="int64"), np.array(targets, dtype="int64"))


def _runs(
    sizes: np.ndarray, rate: float, longest: int, generator: np.random.Generator
) -> np.ndarray:
    """Places of about `rate` of all tokens, in runs of 1 to `longest` that stay in their piece."""
    total = int(sizes.sum())
    count = max(round(total * rate / ((longest + 1) / 2)), 1)
    starts = generator.choice(total, size=min(count, total), replace=False)
    lengths = generator.integers(1, longest + 1, size=len(starts))
    piece = np.repeat(np.arange(len(sizes)), sizes)
    hidden = np.zeros(total, dtype=bool)
    for offset in range(longest):
        places = starts + offset
        inside = (offset < lengths) & (places < total)
        places, origin = places[inside], starts[inside]
        hidden[places[piece[places] == piece[origin]]] = True
    return np.flatnonzero(hidden)
