"""Blocks of four vectors of channels, which the scans run through at a time."""

import numpy as np

from ...jit import inlined
from ...lanes import LANES, load, splat, store, total

BLOCK = 4 * LANES


@inlined
def load_block(array, at):
    """The four vectors from `at` on."""
    return (
        load(array, at),
        load(array, at + LANES),
        load(array, at + 2 * LANES),
        load(array, at + 3 * LANES),
    )


@inlined
def store_block(array, at, v0, v1, v2, v3):
    """Write four vectors from `at` on."""
    store(array, at, v0)
    store(array, at + LANES, v1)
    store(array, at + 2 * LANES, v2)
    store(array, at + 3 * LANES, v3)


@inlined
def collect(sums, at, gradient, out, states):
    """Add the vectors of sums up, a number a state, and leave zeros for the next time."""
    for n in range(states):
        gradient[out + n] = total(load(sums, at + n * LANES))
        store(sums, at + n * LANES, splat(np.float32(0.0)))
