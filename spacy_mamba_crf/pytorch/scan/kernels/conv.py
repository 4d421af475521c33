"""Depthwise causal convolution of four taps with silu, forward and backward, over ragged texts.

Fewer taps are taps of 0. The number of channels is a multiple of LANES. Sixteen channels at a time
run through a text, with taps and window in registers.
"""

import numpy as np

from ...jit import inlined, kernel
from ...lanes import LANES, add, load, mul, mul_add, sigmoid, splat, store

TAPS = 4
_ONE = np.float32(1.0)


@kernel
def conv_forward(x, stride, weight, bias, history, offsets, reverse, y, y_stride):
    """x: flat, rows of `stride`; weight: flat (lag, channel); bias: (channel,);

    history: flat (text, 3, channel), the inputs before the first, the latest first, empty if they
    are 0; y: flat, rows of y_stride, written; it may be x.
    """
    channels = len(bias)
    step = -1 if reverse else 1
    zero = splat(np.float32(0.0))
    for text in range(len(offsets) - 1):
        first = offsets[text + 1] - 1 if reverse else offsets[text]
        for c in range(0, channels, LANES):
            w0, w1, w2, w3 = _taps(weight, c, channels)
            b = load(bias, c)
            x1, x2, x3 = zero, zero, zero
            if len(history):
                x1, x2, x3 = _past(history, text * 3 * channels + c, channels)
            t = first
            for _ in range(offsets[text + 1] - offsets[text]):
                x0 = load(x, t * stride + c)
                out = mul_add(w0, x0, mul_add(w1, x1, mul_add(w2, x2, mul_add(w3, x3, b))))
                store(y, t * y_stride + c, mul(out, sigmoid(out)))
                x1, x2, x3 = x0, x1, x2
                t += step


@kernel
def conv_backward(
    x, stride, weight, bias, history, offsets, reverse, dy, dx, dx_stride, d_weight, d_bias,
    d_history,
):  # fmt: skip
    """dy: flat (token, channel); written: dx, flat, rows of dx_stride, and d_history;

    added to: d_weight, d_bias. All are shaped as what they belong to.
    """
    channels = len(bias)
    step = -1 if reverse else 1
    zero = splat(np.float32(0.0))
    for text in range(len(offsets) - 1):
        size = offsets[text + 1] - offsets[text]
        last = offsets[text] if reverse else offsets[text + 1] - 1
        for c in range(0, channels, LANES):
            w0, w1, w2, w3 = _taps(weight, c, channels)
            b = load(bias, c)
            before = text * 3 * channels + c
            dw0, dw1, dw2, dw3 = _taps(d_weight, c, channels)
            db = load(d_bias, c)
            d1, d2, d3 = zero, zero, zero  # of the convolution one, two, three steps later
            x0 = _input(x, last, stride, history, before, channels, c, step, size - 1, size)
            x1 = _input(x, last, stride, history, before, channels, c, step, size - 2, size)
            x2 = _input(x, last, stride, history, before, channels, c, step, size - 3, size)
            t = last
            for i in range(size - 1, -1, -1):
                if i >= 3:
                    x3 = load(x, (t - 3 * step) * stride + c)
                else:
                    x3 = zero
                    if len(history):
                        x3 = load(history, before + (2 - i) * channels)
                out = mul_add(w0, x0, mul_add(w1, x1, mul_add(w2, x2, mul_add(w3, x3, b))))
                d0 = mul(load(dy, t * channels + c), _silu_slope(out))
                dx0 = mul_add(w0, d0, mul_add(w1, d1, mul_add(w2, d2, mul(w3, d3))))
                store(dx, t * dx_stride + c, dx0)
                db = add(db, d0)
                dw0, dw1 = mul_add(d0, x0, dw0), mul_add(d0, x1, dw1)
                dw2, dw3 = mul_add(d0, x2, dw2), mul_add(d0, x3, dw3)
                x0, x1, x2 = x1, x2, x3
                d1, d2, d3 = d0, d1, d2
                t -= step
            if len(history):
                store(d_history, before, mul_add(w1, d1, mul_add(w2, d2, mul(w3, d3))))
                store(d_history, before + channels, mul_add(w2, d1, mul(w3, d2)))
                store(d_history, before + 2 * channels, mul(w3, d1))
            store(d_bias, c, db)
            store(d_weight, c, dw0)
            store(d_weight, c + channels, dw1)
            store(d_weight, c + 2 * channels, dw2)
            store(d_weight, c + 3 * channels, dw3)


@inlined
def _taps(weight, c, channels):
    return (
        load(weight, c),
        load(weight, c + channels),
        load(weight, c + 2 * channels),
        load(weight, c + 3 * channels),
    )


@inlined
def _past(history, at, channels):
    return load(history, at), load(history, at + channels), load(history, at + 2 * channels)


@inlined
def _input(x, last, stride, history, before, channels, c, step, i, size):
    """The input of step i, which may lie before the text's first."""
    if i >= 0:
        return load(x, (last - (size - 1 - i) * step) * stride + c)
    if len(history):
        return load(history, before + min(-1 - i, 2) * channels)
    return splat(np.float32(0.0))


@inlined
def _silu_slope(out):
    """silu' = gate (1 + out (1 - gate))"""
    one = splat(_ONE)
    gate = sigmoid(out)
    return mul(gate, mul_add(out, mul_add(gate, splat(-_ONE), one), one))
