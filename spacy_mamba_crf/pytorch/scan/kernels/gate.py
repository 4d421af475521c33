"""Mamba-2's gated RMSNorm, RMSNorm(y silu(z)) weight within groups, forward and backward.

The channels of a group are a multiple of LANES.
"""

import numpy as np

from ...jit import inlined, kernel
from ...lanes import LANES, add, load, mul, mul_add, sigmoid, splat, store, total

_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)


@kernel
def gate_forward(y, y_stride, z, z_stride, weight, groups, eps, tokens, out, out_stride):
    """y, z, out: flat, rows of their strides, out written; it may be y; weight: (channel,)."""
    channels = len(weight)
    width = channels // groups
    for t in range(tokens):
        for start in range(0, channels, width):
            row, out_row = t * y_stride + start, t * out_stride + start
            squares = splat(_ZERO)
            for c in range(0, width, LANES):
                gated = _gate(load(y, row + c), load(z, t * z_stride + start + c))
                squares = mul_add(gated, gated, squares)
                store(out, out_row + c, gated)
            scale = splat(_ONE / np.sqrt(total(squares) / np.float32(width) + eps))
            for c in range(0, width, LANES):
                normed = mul(load(out, out_row + c), scale)
                store(out, out_row + c, mul(normed, load(weight, start + c)))


@kernel
def gate_backward(y, z, z_stride, weight, groups, eps, tokens, d_out, dy, dz, dz_stride, d_weight):
    """y, d_out: flat (token, channel); written: dy, as y, and dz, flat, rows of dz_stride;

    added to: d_weight.
    """
    channels = len(weight)
    width = channels // groups
    for t in range(tokens):
        for start in range(0, channels, width):
            row, z_row = t * channels + start, t * z_stride + start
            squares = splat(_ZERO)
            product = splat(_ZERO)
            for c in range(0, width, LANES):
                gated = _gate(load(y, row + c), load(z, z_row + c))
                d_normed = mul(load(d_out, row + c), load(weight, start + c))
                squares = mul_add(gated, gated, squares)
                product = mul_add(gated, d_normed, product)
            scale = _ONE / np.sqrt(total(squares) / np.float32(width) + eps)
            inner = splat(-total(product) / np.float32(width) * scale * scale * scale)
            scales = splat(scale)
            for c in range(0, width, LANES):
                value, gate_in = load(y, row + c), load(z, z_row + c)
                gate = sigmoid(gate_in)
                silu = mul(gate_in, gate)
                gated = mul(value, silu)
                d = load(d_out, row + c)
                d_gated = mul_add(inner, gated, mul(scales, mul(d, load(weight, start + c))))
                store(dy, row + c, mul(d_gated, silu))
                slope = mul_add(mul(silu, splat(-_ONE)), gate, add(gate, silu))
                store(dz, t * dz_stride + start + c, mul(mul(d_gated, value), slope))
                d_w = mul(mul(d, gated), scales)
                store(d_weight, start + c, add(load(d_weight, start + c), d_w))


@inlined
def _gate(y, z):
    return mul(y, mul(z, sigmoid(z)))
