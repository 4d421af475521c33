"""How the CPU kernels are compiled: by Numba, without the GIL, cached on disk, no compiler needed.

Importing this imports Numba, which takes time: kernel modules are imported at their first use.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, njit, types

# Infinities and NaN keep their meaning; sums may be reordered, so that they can be vectorised.
_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}

# Typed by what a kernel passes, which Numba's own annotations do not say.
intrinsic: Any = extending.intrinsic

_LOG2_E = np.float32(1.44269504)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_LOWEST = np.float32(-87.33654)
_HIGHEST = np.float32(88.37626)


def kernel(function: Callable) -> Any:
    """Compile at the first call for its argument types; other threads run on meanwhile."""
    return _compiled(function)


def inlined(function: Callable) -> Any:
    """A part of kernels, compiled into each of its callers."""
    return _compiled(function, forceinline=True)


def _compiled(function: Callable, **options: Any) -> Any:
    options |= {"nogil": True, "error_model": "numpy", "fastmath": _FASTMATH}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep a cache in: each process compiles for itself
        return njit(**options)(function)


@intrinsic
def _float_of_bits(typingctx, bits):
    """The float32 that has the bits of an int32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@inlined
def exp32(x):
    """exp of a float32 within 2e-7, relative, as code that vectorises (Cephes' polynomial).

    Below -87.3 the result is the smallest normal number instead of less; above 88.3, e^88.3.
    """
    x = min(max(x, _LOWEST), _HIGHEST)
    n = np.floor(x * _LOG2_E + np.float32(0.5))
    r = x - n * _LN2_HIGH
    r = r - n * _LN2_LOW
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1.0)
    return p * _float_of_bits((np.int32(n) + np.int32(127)) << np.int32(23))


@inlined
def sigmoid32(x):
    """1 / (1 + exp(-x)) of a float32."""
    return np.float32(1.0) / (np.float32(1.0) + exp32(-x))
