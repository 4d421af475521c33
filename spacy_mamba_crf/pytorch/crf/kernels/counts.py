"""Partition functions and expected counts over ragged texts: the gradient of a CRF's loss."""

from typing import NamedTuple

import numpy as np

from ...jit import kernel
from .blocks import fill_block, start_text, step_back
from .doubles import LANES, add, load, mul, mul_add, splat, store, total
from .exponentials import exp
from .products import add_outer
from .rows import add_rows, copy_row, exp_row, is_close, log_sum, scale_row, top_of
from .structures import BLOCK, make_rows


class Counts(NamedTuple):
    """What is counted: emissions (token, tag), transitions (width, width), ends (width,); flat."""

    emissions: np.ndarray
    transitions: np.ndarray
    start: np.ndarray
    end: np.ndarray


class Outer(NamedTuple):
    """Steps of some tokens that are still to be counted.

    p(i, j) = left[i] exp(transitions[i, j]) right[j], summed as a product of two matrices.
    """

    left: np.ndarray
    right: np.ndarray
    products: np.ndarray


@kernel
def partition_and_counts(texts, scores, weights, log_partition, counts):
    """The log-sum of all paths of each text, and its gradient times the text's weight.

    weights: (text,). Written: log_partition (text,); added to: counts. A text without tokens has 0,
    one without any path -inf, and neither counts.
    """
    width = len(scores.end)
    rows = make_rows(texts, width)
    tops, terms = np.empty(BLOCK + 1), np.empty(width)
    outer = Outer(np.empty(BLOCK * width), np.empty(BLOCK * width), np.zeros(width * width))
    for text in range(len(texts.offsets) - 1):
        first, size = texts.offsets[text], texts.offsets[text + 1] - texts.offsets[text]
        log_partition[text] = 0.0
        if size == 0:
            continue
        log_partition[text] = _log_partition(texts, first, size, scores, rows, tops, terms)
        if log_partition[text] > -np.inf:
            _count(texts, first, size, scores, rows, weights[text], counts, outer)
    if scores.forwards.safe:
        for i in range(width * width):
            counts.transitions[i] += outer.products[i] * scores.forwards.weights[i]


@kernel
def log_partitions(texts, scores, log_partition):
    """Write the log-sum of all paths of each text, as `partition_and_counts` does."""
    width = len(scores.end)
    rows = make_rows(texts, width)
    tops, terms = np.empty(BLOCK + 1), np.empty(width)
    for text in range(len(texts.offsets) - 1):
        first, size = texts.offsets[text], texts.offsets[text + 1] - texts.offsets[text]
        log_partition[text] = 0.0
        if size:
            log_partition[text] = _log_partition(texts, first, size, scores, rows, tops, terms)


@kernel
def _log_partition(texts, first, size, scores, rows, tops, terms):
    """Forwards through a text; its last block's rows stay."""
    shifted = 0.0
    start_text(texts, first, scores.start, rows)
    for block in range((size - 1) // BLOCK + 1):
        fill_block(texts, first, size, block, scores.forwards, rows, tops)
        for t in range(1, min(BLOCK, size - 1 - block * BLOCK) + 1):
            shifted += tops[t]
    add_rows(rows.block, (size - 1) % BLOCK * len(scores.end), scores.end, terms)
    return shifted + log_sum(terms)


@kernel
def _count(texts, first, size, scores, rows, weight, counts, outer):
    """Backwards through a text whose last block's rows are there."""
    width = len(scores.end)
    behind, ahead, shares = scores.end.copy(), np.empty(width), np.empty(width)
    p, tops = np.empty(width), np.empty(BLOCK + 1)
    waiting = 0
    for t in range(size - 1, -1, -1):
        top = 0.0
        if t < size - 1:
            top = step_back(texts, first + t + 1, scores.backwards, behind, ahead, shares)
            if t % BLOCK == BLOCK - 1:
                fill_block(texts, first, size, t // BLOCK, scores.forwards, rows, tops)
        at = t % BLOCK * width
        products = t < size - 1 and scores.forwards.safe and _are_close(rows.block, at, ahead)
        if products:
            to = waiting * width
            _share_out(rows.block, at, behind, weight, outer.left, to, p)
            copy_row(shares, 0, outer.right, to, width)
            waiting += 1
        else:
            add_rows(rows.block, at, behind, p)
            everything = log_sum(p)
            exp_row(p, 0, everything, p, 0, width)
            scale_row(p, 0, weight, width)
            if t < size - 1:
                out, steps = counts.transitions, scores.forwards.scores
                _count_terms(rows.block, at, steps, ahead, top + everything, weight, out)
        if waiting == BLOCK or t == 0:
            add_outer(outer.left, outer.right, waiting, outer.products, width)
            waiting = 0
        own = (first + t) * texts.tags
        for j in range(texts.tags):
            counts.emissions[own + j] += p[j]
        if t == 0:
            _add(counts.start, p)
        if t == size - 1:
            _add(counts.end, p)


@kernel
def _share_out(rows, at, behind, weight, left, to, p):
    """Write p(tag) of a token times its weight, and what its steps to the next have of it."""
    width = len(p)
    exp_row(rows, at, top_of(rows, at, width), left, to, width)
    summed = splat(0.0)
    for j in range(0, width, LANES):
        both = mul(load(left, to + j), exp(load(behind, j)))
        summed = add(both, summed)
        store(p, j, both)
    scale_row(p, 0, weight / total(summed), width)
    scale_row(left, to, weight / total(summed), width)


@kernel
def _add(total, row):
    for j in range(len(row)):
        total[j] += row[j]


@kernel
def _are_close(rows, at, ahead):
    width = len(ahead)
    close = is_close(rows, at, width, top_of(rows, at, width))
    return close and is_close(ahead, 0, width, top_of(ahead, 0, width))


@kernel
def _count_terms(rows, at, transitions, ahead, everything, weight, out):
    """Add the probability of each step where it is no product of safe exponentials."""
    width = len(ahead)
    for i in range(width):
        shift = splat(rows[at + i] - everything)
        for j in range(0, width, LANES):
            score = add(add(load(transitions, i * width + j), load(ahead, j)), shift)
            counted = load(out, i * width + j)
            store(out, i * width + j, mul_add(exp(score), splat(weight), counted))
