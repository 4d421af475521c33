"""Ragged batches: texts side by side, without padding."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Texts(NamedTuple):
    """Where each text lies in an array of tokens, and which way it is read.

    offsets: (text + 1,) int64, the first token of each text and the one after the last;
    reverse: read from the last token to the first.
    """

    offsets: np.ndarray
    reverse: bool = False

    @classmethod
    def of_lengths(cls, lengths: Sequence[int]) -> "Texts":
        """Texts of these many tokens, side by side, read forwards."""
        return cls(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64))

    @property
    def number(self) -> int:
        """How many texts there are."""
        return len(self.offsets) - 1

    @property
    def tokens(self) -> int:
        """How many tokens they have together."""
        return int(self.offsets[-1])
