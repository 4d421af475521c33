"""CPU kernels of hash embeddings: the table rows of n-grams, their sum, and its gradient.

Importing this imports Numba. A key has four rows; no array is larger than (token, row)
or the result.
"""

from typing import NamedTuple

import numpy as np

from .jit import inlined, kernel

ROWS_PER_KEY = 4
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_SHIFT = np.uint64(33)
_KEY_BYTES = np.uint64(8)
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_FINAL = np.uint64(0xC4CEB9FE1A85EC53)
_C1 = np.uint64(0x87C37B91114253D5)
_C2 = np.uint64(0x4CF5AD432745937F)
_LEFT_31 = np.uint64(31)


class Rows(NamedTuple):
    """The table rows that tokens add up, directly or by way of the distinct strings among them.

    rows: (token | string, row) uint32, the number of rows a multiple of 4; token_string: (token,)
    uint32, each token's string, None if rows are of tokens.
    """

    rows: np.ndarray
    token_string: np.ndarray | None


def ngram_rows(
    keys: np.ndarray, places: np.ndarray, windows: np.ndarray, seed: int, size: int
) -> np.ndarray:
    """The rows of the n-grams around some tokens: (token, 4 * window) uint32.

    keys: (place,) uint64, with border keys between texts; places: (token,) int64 into keys;
    windows: (window, 2) int64, each n-gram's first and last place relative to the token; seed and
    size, the number of rows, are the table's.
    """
    rows = np.empty((len(places), ROWS_PER_KEY * len(windows)), dtype="uint32")
    _ngram_rows(keys, places, windows, np.uint64(seed), np.uint32(size), rows)
    return rows


def hash_rows(keys: np.ndarray, seed: int, size: int) -> np.ndarray:
    """The rows of keys: (token, key) uint64 -> (token, 4 * key) uint32.

    MurmurHash3 (Appleby 2011), x64, 128 bits, of a key's 8 bytes, in four parts, modulo size.
    """
    rows = np.empty((len(keys), ROWS_PER_KEY * keys.shape[1]), dtype="uint32")
    _hash_rows(keys, np.uint64(seed), np.uint32(size), rows)
    return rows


def add_rows(table: np.ndarray, found: Rows, scale: np.ndarray, out: np.ndarray) -> None:
    """out[t] += scale[t] * the sum of the rows of t.

    table: (row, width) float32; scale: (token,) float32; out: (token, width) float32. Where scale
    is 0 nothing is read.
    """
    if found.token_string is None:
        _add_rows(table, found.rows, scale, out)
        return
    sums = np.zeros((len(found.rows), table.shape[1]), dtype="float32")
    _add_rows(table, found.rows, np.ones(len(sums), dtype="float32"), sums)
    _add_indexed(sums, found.token_string, scale, out)


def scatter_rows(gradient: np.ndarray, found: Rows, scale: np.ndarray, d_out: np.ndarray) -> None:
    """The gradient of add_rows by the table, added to `gradient`: (row, width) float32."""
    if found.token_string is None:
        _scatter_rows(gradient, found.rows, scale, d_out)
        return
    d_sums = np.zeros((len(found.rows), gradient.shape[1]), dtype="float32")
    _scatter_rows(d_sums, found.token_string[:, None], scale, d_out)
    _scatter_rows(gradient, found.rows, np.ones(len(d_sums), dtype="float32"), d_sums)


@kernel
def _scatter_rows(gradient, rows, scale, d_out):
    n_tokens, n_rows = rows.shape
    width = gradient.shape[1]
    for token in range(n_tokens):
        factor = scale[token]
        if factor == np.float32(0.0):
            continue
        source = d_out[token]
        for column in range(n_rows):
            target = gradient[rows[token, column]]
            for i in range(width):
                target[i] += factor * source[i]


@kernel
def _add_rows(table, rows, scale, out):
    n_tokens, n_rows = rows.shape
    width = table.shape[1]
    for token in range(n_tokens):
        factor = scale[token]
        if factor == np.float32(0.0):
            continue
        target = out[token]
        for column in range(0, n_rows, 4):  # four rows a pass over the target
            a = table[rows[token, column]]
            b = table[rows[token, column + 1]]
            c = table[rows[token, column + 2]]
            d = table[rows[token, column + 3]]
            for i in range(width):
                target[i] += factor * ((a[i] + b[i]) + (c[i] + d[i]))


@kernel
def _add_indexed(table, index, scale, out):
    width = table.shape[1]
    for token in range(len(index)):
        factor = scale[token]
        source = table[index[token]]
        target = out[token]
        for i in range(width):
            target[i] += factor * source[i]


@kernel
def _ngram_rows(keys, places, windows, seed, size, rows):
    for token in range(len(places)):
        place = places[token]
        for window in range(len(windows)):
            key = np.uint64(window)
            for offset in range(windows[window, 0], windows[window, 1] + 1):
                key = _shift_xor((key ^ keys[place + offset]) * _MIX)
            _write_rows(key, seed, size, rows[token], window * 4)


@kernel
def _hash_rows(keys, seed, size, rows):
    for token in range(keys.shape[0]):
        for column in range(keys.shape[1]):
            _write_rows(keys[token, column], seed, size, rows[token], column * 4)


@inlined
def _write_rows(key, seed, size, rows, first):
    low = key * _C1
    low = ((low << _LEFT_31) | (low >> _SHIFT)) * _C2
    low = low ^ seed ^ _KEY_BYTES
    high = seed ^ _KEY_BYTES
    low = low + high
    high = high + low
    low = _finalized(low)
    high = _finalized(high)
    low = low + high
    high = high + low
    rows[first] = np.uint32(low & _LOW_HALF) % size
    rows[first + 1] = np.uint32(low >> _HALF) % size
    rows[first + 2] = np.uint32(high & _LOW_HALF) % size
    rows[first + 3] = np.uint32(high >> _HALF) % size


@inlined
def _finalized(x):
    x = _shift_xor(x) * _MIX
    return _shift_xor(_shift_xor(x) * _FINAL)


@inlined
def _shift_xor(x):
    return x ^ (x >> _SHIFT)
