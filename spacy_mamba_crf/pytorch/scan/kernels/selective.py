"""Mamba-1's scan, h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t, y_t = C_t h_t + D x_t, ragged.

Every channel has decays of its own, so that an exponential is taken for each channel, state and
step. Channels run in blocks of four vectors and are a multiple of BLOCK. States and A are flat
(..., block, state, channel of the block).
"""

import numpy as np

from ...jit import inlined, kernel
from ...lanes import LANES, broadcast, exp, load, mul, mul_add, splat, store
from .blocks import BLOCK, collect, load_block, store_block

# Steps between the states that are kept for the backward pass.
INTERVAL = 32
_ZERO = np.float32(0.0)


@kernel
def selective_forward(
    x, x_stride, dt, dt_stride, A, B, C, bc_stride, D, offsets, reverse, state, kept, y
):
    """x, dt: flat, rows of x_stride and dt_stride; A: (block, state, channel), D: (channel,);

    B, C: flat, rows of bc_stride, (state,); y: flat (token, channel), written; state: its first
    values are replaced by its last; kept: the states before every INTERVALth step, written if not
    empty.
    """
    channels = len(D)
    size = len(A)  # of a text's state
    states = size // channels
    step = -1 if reverse else 1
    n_kept = 0
    for text in range(len(offsets) - 1):
        t = offsets[text + 1] - 1 if reverse else offsets[text]
        own = text * size
        for i in range(offsets[text + 1] - offsets[text]):
            if len(kept) and i % INTERVAL == 0:
                kept[n_kept * size : (n_kept + 1) * size] = state[own : own + size]
                n_kept += 1
            bc = t * bc_stride
            for c in range(0, channels, BLOCK):
                x0, x1, x2, x3 = load_block(x, t * x_stride + c)
                d0, d1, d2, d3 = load_block(dt, t * dt_stride + c)
                y0, y1, y2, y3 = load_block(D, c)
                y0, y1, y2, y3 = mul(x0, y0), mul(x1, y1), mul(x2, y2), mul(x3, y3)
                x0, x1, x2, x3 = mul(x0, d0), mul(x1, d1), mul(x2, d2), mul(x3, d3)
                for n in range(states):
                    b, c_n = broadcast(B, bc + n), broadcast(C, bc + n)
                    at = c * states + n * BLOCK
                    y0 = _step(state, own + at, A, at, x0, d0, b, c_n, y0)
                    y1 = _step(state, own + at + LANES, A, at + LANES, x1, d1, b, c_n, y1)
                    y2 = _step(state, own + at + 2 * LANES, A, at + 2 * LANES, x2, d2, b, c_n, y2)
                    y3 = _step(state, own + at + 3 * LANES, A, at + 3 * LANES, x3, d3, b, c_n, y3)
                store_block(y, t * channels + c, y0, y1, y2, y3)
            t += step


@inlined
def _step(state, at, A, a_at, u, dt, b, c, y):
    h = mul_add(u, b, mul(exp(mul(dt, load(A, a_at))), load(state, at)))
    store(state, at, h)
    return mul_add(h, c, y)


@kernel
def selective_backward(
    x, x_stride, dt, dt_stride, A, B, C, bc_stride, D, offsets, reverse, kept, dy, d_state, dx,
    d_dt, dA, dB, dC, dD,
):  # fmt: skip
    """dy: flat (token, channel); d_state: the gradient of the last states, replaced by that of

    the first; written: dx, d_dt (token, channel), dB, dC (token, state); added to: dA
    (block, state, channel) and dD (channel,), all flat.
    """
    channels = len(D)
    size = len(A)
    states = size // channels
    row = states * BLOCK
    history = np.empty((INTERVAL + 1) * row, np.float32)  # of one block, before each step
    sums_B = np.zeros(INTERVAL * states * LANES, np.float32)
    sums_C = np.zeros(INTERVAL * states * LANES, np.float32)
    step = -1 if reverse else 1
    n_kept = 0
    for text in range(len(offsets) - 1):
        n_kept += -((offsets[text] - offsets[text + 1]) // INTERVAL)
    for text in range(len(offsets) - 2, -1, -1):
        start, end = offsets[text], offsets[text + 1]
        for interval in range(-((start - end) // INTERVAL) - 1, -1, -1):
            n_kept -= 1
            i = interval * INTERVAL
            first = end - 1 - i if reverse else start + i
            steps = min(INTERVAL, end - start - i)
            for c in range(0, channels, BLOCK):
                at = c * states
                history[:row] = kept[n_kept * size + at : n_kept * size + at + row]
                for k in range(steps):
                    t = first + k * step
                    x0, x1, x2, x3 = load_block(x, t * x_stride + c)
                    d0, d1, d2, d3 = load_block(dt, t * dt_stride + c)
                    x0, x1, x2, x3 = mul(x0, d0), mul(x1, d1), mul(x2, d2), mul(x3, d3)
                    for n in range(states):
                        b = broadcast(B, t * bc_stride + n)
                        here, a = k * row + n * BLOCK, at + n * BLOCK
                        _advance(history, here, row, A, a, x0, d0, b)
                        _advance(history, here + LANES, row, A, a + LANES, x1, d1, b)
                        _advance(history, here + 2 * LANES, row, A, a + 2 * LANES, x2, d2, b)
                        _advance(history, here + 3 * LANES, row, A, a + 3 * LANES, x3, d3, b)
                for k in range(steps - 1, -1, -1):
                    t = first + k * step
                    for lane in range(c, c + BLOCK, LANES):
                        _retreat(
                            history, k * row + lane - c, row, sums_B, sums_C, k * states * LANES,
                            d_state, text * size + at + lane - c, x, t * x_stride + lane,
                            dt, t * dt_stride + lane, A, dA, at + lane - c, B, C, t * bc_stride,
                            D, dD, lane, dy, dx, d_dt, t * channels + lane, states,
                        )  # fmt: skip
            for k in range(steps):
                out = (first + k * step) * states
                collect(sums_B, k * states * LANES, dB, out, states)
                collect(sums_C, k * states * LANES, dC, out, states)


@inlined
def _advance(history, at, row, A, a_at, u, dt, b):
    """The state after a step, written behind that before it."""
    h = mul_add(u, b, mul(exp(mul(dt, load(A, a_at))), load(history, at)))
    store(history, at + row, h)


@inlined
def _retreat(
    history, at, row, sums_B, sums_C, sums, d_state, back, x, x_at, dt, dt_at, A, dA, a_at, B, C,
    bc, D, dD, d_at, dy, dx, d_dt, out, states,
):  # fmt: skip
    """One step back of sixteen channels: the gradients of all that went into it."""
    delta, value, g = load(dt, dt_at), load(x, x_at), load(dy, out)
    u = mul(delta, value)
    du = splat(_ZERO)
    d_delta = splat(_ZERO)
    for n in range(states):
        lane = n * BLOCK
        a = load(A, a_at + lane)
        dh = mul_add(g, broadcast(C, bc + n), load(d_state, back + lane))
        here = sums + n * LANES
        store(sums_C, here, mul_add(g, load(history, at + row + lane), load(sums_C, here)))
        store(sums_B, here, mul_add(dh, u, load(sums_B, here)))
        du = mul_add(dh, broadcast(B, bc + n), du)
        dh = mul(dh, exp(mul(delta, a)))
        store(d_state, back + lane, dh)
        d_product = mul(dh, load(history, at + lane))  # of dt A
        d_delta = mul_add(d_product, a, d_delta)
        store(dA, a_at + lane, mul_add(d_product, delta, load(dA, a_at + lane)))
    store(dD, d_at, mul_add(g, value, load(dD, d_at)))
    store(dx, out, mul_add(du, delta, mul(g, load(D, d_at))))
    store(d_dt, out, mul_add(du, value, d_delta))
