"""What the kernels take: texts, scores, and room for rows; all arrays flat."""

from typing import NamedTuple

import numpy as np

from ...jit import kernel

# Tokens whose rows are there at a time.
BLOCK = 128


class Texts(NamedTuple):
    """Texts side by side.

    emissions: (token, tag) float32 or float64; allowed: (token, tag) bool, empty where everything
    is; offsets: (text + 1,) int64, where each text starts; tags: how many there are.
    """

    emissions: np.ndarray
    allowed: np.ndarray
    offsets: np.ndarray
    tags: int


class Steps(NamedTuple):
    """Transition scores and their exponentials, (width, width) float64.

    safe: whether all finite scores lie between minus and plus SAFE_EXPONENT.
    """

    scores: np.ndarray
    weights: np.ndarray
    safe: bool


class Scores(NamedTuple):
    """Steps from tag to tag, the same transposed, and the scores of both ends (width,)."""

    forwards: Steps
    backwards: Steps
    start: np.ndarray
    end: np.ndarray


class Rows(NamedTuple):
    """Rows of a text: of one block of tokens, (BLOCK, width), and of each block's first token."""

    block: np.ndarray
    firsts: np.ndarray


@kernel
def make_rows(texts, width):
    """Room for the longest text."""
    longest = 0
    for text in range(len(texts.offsets) - 1):
        longest = max(longest, texts.offsets[text + 1] - texts.offsets[text])
    return Rows(np.empty(BLOCK * width), np.empty((longest // BLOCK + 1) * width))
