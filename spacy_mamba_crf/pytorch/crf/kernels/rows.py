"""Rows of scores over tags: what the kernels of a CRF do with them at each token.

A row is `width` numbers from `at` (or `to`) on in a flat array, unless it is an array of its own.
"""

import numpy as np

from ...jit import kernel
from .doubles import (
    LANES,
    add,
    larger,
    largest,
    load,
    mul,
    negative,
    negative_if_finite,
    splat,
    store,
    total,
)
from .exponentials import exp, log
from .products import best_before, multiply

# Products of three exponentials of at least minus this are normal numbers.
SAFE_EXPONENT = 200.0


@kernel
def copy_row(source, at, target, to, width):
    """target = source"""
    for j in range(0, width, LANES):
        store(target, to + j, load(source, at + j))


@kernel
def add_rows(a, at, b, out):
    """out = a + b, of which only a lies in a larger array"""
    for j in range(0, len(out), LANES):
        store(out, j, add(load(a, at + j), load(b, j)))


@kernel
def add_emissions(texts, token, row, at):
    """Add a token's emissions to its row, -inf where a tag is not allowed."""
    own = token * texts.tags
    whole = texts.tags // LANES * LANES
    for j in range(0, whole, LANES):
        store(row, at + j, add(load(row, at + j), load(texts.emissions, own + j)))
    for j in range(whole, texts.tags):
        row[at + j] += np.float64(texts.emissions[own + j])
    if len(texts.allowed):
        for j in range(texts.tags):
            row[at + j] = row[at + j] if texts.allowed[own + j] else -np.inf


@kernel
def emission(texts, token, tag):
    """The score of one tag at one token."""
    at = token * texts.tags + tag
    if len(texts.allowed) and not texts.allowed[at]:
        return -np.inf
    return np.float64(texts.emissions[at])


@kernel
def top_of(row, at, width):
    """The largest score of a row, 0 if all are -inf."""
    top = load(row, at)
    for j in range(LANES, width, LANES):
        top = larger(load(row, at + j), top)
    result = largest(top)
    return result if result > -np.inf else 0.0


@kernel
def is_close(row, at, width, top):
    """Whether all finite scores lie within SAFE_EXPONENT of the largest."""
    depth = splat(-np.inf)
    for j in range(0, width, LANES):
        depth = larger(negative_if_finite(load(row, at + j)), depth)
    return largest(depth) + top <= SAFE_EXPONENT


@kernel
def advance(score, at, steps, out, to, width, shares):
    """out[j] = log-sum over i of score[i] + steps.scores[i, j], less the largest score: returned.

    Where no exponential can come near under- or overflow, the sum is a product of them; elsewhere
    it is taken term by term. Also written: shares, exp(score - largest). Without any path, the
    result is -inf.
    """
    top = top_of(score, at, width)
    exp_row(score, at, top, shares, 0, width)
    if steps.safe and is_close(score, at, width, top):
        multiply(shares, steps.weights, out, to, width)
        _log_row(out, to, width)
    else:
        _sum_terms(score, at, top, steps.scores, out, to, width)
    return top


@kernel
def exp_row(row, at, top, out, to, width):
    """out = exp(row - top)"""
    shift = splat(-top)
    for j in range(0, width, LANES):
        store(out, to + j, exp(add(load(row, at + j), shift)))


@kernel
def scale_row(row, at, factor, width):
    """row *= factor"""
    for j in range(at, at + width, LANES):
        store(row, j, mul(load(row, j), splat(factor)))


@kernel
def log_sum(terms):
    """The log-sum of a row of its own."""
    top = top_of(terms, 0, len(terms))
    shift = splat(-top)
    summed = splat(0.0)
    for j in range(0, len(terms), LANES):
        summed = add(exp(add(load(terms, j), shift)), summed)
    return top + np.log(total(summed))


@kernel
def _log_row(row, at, width):
    for j in range(at, at + width, LANES):
        store(row, j, log(load(row, j)))


@kernel
def _sum_terms(score, at, base, transitions, out, to, width):
    """The log-sums term by term, each beside its own largest term: no range is too wide."""
    best_before(score, at, transitions, out, to, width)
    for j in range(0, width, LANES):
        top = larger(load(out, to + j), splat(-1e300))
        summed = splat(0.0)
        for i in range(width):
            term = add(splat(score[at + i]), load(transitions, i * width + j))
            summed = add(exp(add(term, negative(top))), summed)
        store(out, to + j, add(add(log(summed), top), splat(-base)))
