"""The dropout kernel: a number's fate is a hash of the seed and of its place."""

import numpy as np

from .jit import kernel


@kernel
def drop(x, rate, seed, y):
    """y = x / (1 - rate) with probability 1 - rate, else 0; flat float32 arrays.

    The hash is MurmurHash3's 32-bit finaliser.
    """
    # Numba widens sums and products of uint32: each is cut back.
    threshold = np.uint32(rate * 4294967296.0)
    scale = np.float32(1.0 / (1.0 - rate))
    start = np.uint32(np.uint32(seed) * np.uint32(0x9E3779B9))
    for i in range(len(x)):
        h = np.uint32(np.uint32(i) + start)
        h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        h = h ^ (h >> np.uint32(16))
        y[i] = x[i] * scale if h >= threshold else np.float32(0.0)
