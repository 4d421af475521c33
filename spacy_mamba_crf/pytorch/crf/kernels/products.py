"""Rows times matrices, by sums of products or maxima of sums, with the sums in registers.

Four rows of a matrix times two vectors make eight chains that the CPU can run at the same time.
"""

import numpy as np

from ...jit import kernel
from .doubles import LANES, add, larger, load, mul_add, splat, store

PAIR = 2 * LANES


@kernel
def best_before(score, at, transitions, out, to, width):
    """out[j] = the largest score[i] + transitions[i, j]"""
    for j in range(0, width, PAIR):
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = splat(-np.inf)
        for i in range(0, width, 4):
            w0 = i * width + j
            w1, w2, w3 = w0 + width, w0 + 2 * width, w0 + 3 * width
            s0, s1 = splat(score[at + i]), splat(score[at + i + 1])
            s2, s3 = splat(score[at + i + 2]), splat(score[at + i + 3])
            a0 = larger(add(s0, load(transitions, w0)), a0)
            b0 = larger(add(s0, load(transitions, w0 + LANES)), b0)
            a1 = larger(add(s1, load(transitions, w1)), a1)
            b1 = larger(add(s1, load(transitions, w1 + LANES)), b1)
            a2 = larger(add(s2, load(transitions, w2)), a2)
            b2 = larger(add(s2, load(transitions, w2 + LANES)), b2)
            a3 = larger(add(s3, load(transitions, w3)), a3)
            b3 = larger(add(s3, load(transitions, w3 + LANES)), b3)
        store(out, to + j, larger(larger(a0, a1), larger(a2, a3)))
        store(out, to + j + LANES, larger(larger(b0, b1), larger(b2, b3)))


@kernel
def multiply(x, weights, out, to, width):
    """out = x @ weights, quick where only tags close to each other are not 0"""
    begin, stop = 0, width
    while begin < stop and x[begin] == 0.0:
        begin += 1
    while begin < stop and x[stop - 1] == 0.0:
        stop -= 1
    for j in range(0, width, PAIR):
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = splat(0.0)
        for i in range(begin // 4 * 4, stop, 4):
            w0 = i * width + j
            w1, w2, w3 = w0 + width, w0 + 2 * width, w0 + 3 * width
            s0, s1, s2, s3 = splat(x[i]), splat(x[i + 1]), splat(x[i + 2]), splat(x[i + 3])
            a0 = mul_add(s0, load(weights, w0), a0)
            b0 = mul_add(s0, load(weights, w0 + LANES), b0)
            a1 = mul_add(s1, load(weights, w1), a1)
            b1 = mul_add(s1, load(weights, w1 + LANES), b1)
            a2 = mul_add(s2, load(weights, w2), a2)
            b2 = mul_add(s2, load(weights, w2 + LANES), b2)
            a3 = mul_add(s3, load(weights, w3), a3)
            b3 = mul_add(s3, load(weights, w3 + LANES), b3)
        store(out, to + j, add(add(a0, a1), add(a2, a3)))
        store(out, to + j + LANES, add(add(b0, b1), add(b2, b3)))


@kernel
def add_outer(x, y, n, out, width):
    """out += x' y of the first n rows of x and y: (n, width) -> (width, width)"""
    for i in range(0, width, 4):
        for j in range(0, width, PAIR):
            w0 = i * width + j
            w1, w2, w3 = w0 + width, w0 + 2 * width, w0 + 3 * width
            a0, b0 = load(out, w0), load(out, w0 + LANES)
            a1, b1 = load(out, w1), load(out, w1 + LANES)
            a2, b2 = load(out, w2), load(out, w2 + LANES)
            a3, b3 = load(out, w3), load(out, w3 + LANES)
            for k in range(0, n * width, width):
                a, b = load(y, k + j), load(y, k + j + LANES)
                s0, s1 = splat(x[k + i]), splat(x[k + i + 1])
                s2, s3 = splat(x[k + i + 2]), splat(x[k + i + 3])
                a0, b0 = mul_add(s0, a, a0), mul_add(s0, b, b0)
                a1, b1 = mul_add(s1, a, a1), mul_add(s1, b, b1)
                a2, b2 = mul_add(s2, a, a2), mul_add(s2, b, b2)
                a3, b3 = mul_add(s3, a, a3), mul_add(s3, b, b3)
            store(out, w0, a0)
            store(out, w0 + LANES, b0)
            store(out, w1, a1)
            store(out, w1 + LANES, b1)
            store(out, w2, a2)
            store(out, w2 + LANES, b2)
            store(out, w3, a3)
            store(out, w3 + LANES, b3)
