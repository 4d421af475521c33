"""Mamba-2's scan, h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t, y_t = C_t h_t + D x_t, ragged.

Channels run in blocks of four vectors; the channels of a group are a multiple of BLOCK, those of a
head of LANES. States are flat (text, block, state, channel of the block).
"""

import numpy as np

from ...jit import exp32, inlined, kernel
from ...lanes import LANES, broadcast, load, mul, mul_add, splat, store, total
from .blocks import BLOCK, collect, load_block, store_block

# Steps between the states that are kept for the backward pass.
INTERVAL = 64
_ZERO = np.float32(0.0)


@kernel
def ssd_forward(
    x, x_stride, dt, A, B, C, bc_stride, groups, D, offsets, reverse, channels, state, fresh, kept,
    y, y_stride,
):  # fmt: skip
    """x: flat, rows of x_stride; dt: flat (token, head); A, D: (head,); B, C: flat, rows of

    bc_stride, (group, state); state: its first values are replaced by its last; fresh: it has room
    for one text and every text starts from 0; kept: the states before every INTERVALth step,
    written if not empty; y: flat, rows of y_stride, written; it may be x.
    """
    heads = len(A)
    texts = len(offsets) - 1
    size = len(state) // (1 if fresh else max(texts, 1))  # of a text's state
    states = size // channels
    width = channels // heads
    step = -1 if reverse else 1
    n_kept = 0
    for text in range(texts):
        t = offsets[text + 1] - 1 if reverse else offsets[text]
        own = 0 if fresh else text * size
        if fresh:
            state[:] = _ZERO
        for i in range(offsets[text + 1] - offsets[text]):
            if len(kept) and i % INTERVAL == 0:
                kept[n_kept * size : (n_kept + 1) * size] = state[own : own + size]
                n_kept += 1
            for c in range(0, channels, BLOCK):
                bc = t * bc_stride + c * groups // channels * states
                u0, a0, y0 = _enter(x, t * x_stride, dt, A, D, t * heads, width, c)
                u1, a1, y1 = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + LANES)
                u2, a2, y2 = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + 2 * LANES)
                u3, a3, y3 = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + 3 * LANES)
                at = own + c * states
                for n in range(states):
                    b, c_n = broadcast(B, bc + n), broadcast(C, bc + n)
                    y0 = _step(state, at, u0, a0, b, c_n, y0)
                    y1 = _step(state, at + LANES, u1, a1, b, c_n, y1)
                    y2 = _step(state, at + 2 * LANES, u2, a2, b, c_n, y2)
                    y3 = _step(state, at + 3 * LANES, u3, a3, b, c_n, y3)
                    at += BLOCK
                store_block(y, t * y_stride + c, y0, y1, y2, y3)
            t += step


@inlined
def _enter(x, row, dt, A, D, dt_row, width, c):
    """What a vector of channels brings to a step: dt x, the decay, D x."""
    head = c // width
    delta = dt[dt_row + head]
    value = load(x, row + c)
    return (
        mul(splat(delta), value),
        splat(exp32(delta * A[head])),
        mul(splat(D[head]), value),
    )


@inlined
def _step(state, at, u, a, b, c, y):
    h = mul_add(u, b, mul(a, load(state, at)))
    store(state, at, h)
    return mul_add(h, c, y)


@kernel
def ssd_backward(
    x, x_stride, dt, A, B, C, bc_stride, groups, D, offsets, reverse, channels, kept, dy, d_state,
    fresh, dx, dx_stride, d_dt, dA, dB, dC, d_bc_stride, dD,
):  # fmt: skip
    """dy: flat (token, channel); d_state: the gradient of the last states, replaced by that of

    the first; fresh: it has room for one text, and both are 0 or not wanted; written: dx, dB, dC,
    flat, rows of dx_stride and d_bc_stride; added to: d_dt, flat (token, head), dA, dD (head,).
    """
    heads = len(A)
    texts = len(offsets) - 1
    size = len(d_state) // (1 if fresh else max(texts, 1))
    states = size // channels
    width = channels // heads
    row = states * BLOCK
    history = np.empty((INTERVAL + 1) * row, np.float32)  # of one block, before each step
    sums_B = np.zeros(INTERVAL * states * LANES, np.float32)
    sums_C = np.zeros(INTERVAL * states * LANES, np.float32)
    step = -1 if reverse else 1
    n_kept = 0
    for text in range(texts):
        n_kept += -((offsets[text] - offsets[text + 1]) // INTERVAL)
    for text in range(texts - 1, -1, -1):
        start, end = offsets[text], offsets[text + 1]
        own = 0 if fresh else text * size
        if fresh:
            d_state[:] = _ZERO
        for interval in range(-((start - end) // INTERVAL) - 1, -1, -1):
            n_kept -= 1
            i = interval * INTERVAL
            first = end - 1 - i if reverse else start + i
            steps = min(INTERVAL, end - start - i)
            for c in range(0, channels, BLOCK):
                group = c * groups // channels
                bc = group * states
                at = n_kept * size + c * states
                history[:row] = kept[at : at + row]
                for k in range(steps):
                    t = first + k * step
                    u0, a0, _ = _enter(x, t * x_stride, dt, A, D, t * heads, width, c)
                    u1, a1, _ = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + LANES)
                    u2, a2, _ = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + 2 * LANES)
                    u3, a3, _ = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + 3 * LANES)
                    b = t * bc_stride + bc
                    for n in range(states):
                        b_n = broadcast(B, b + n)
                        here = k * row + n * BLOCK
                        _advance(history, here, row, u0, a0, b_n)
                        _advance(history, here + LANES, row, u1, a1, b_n)
                        _advance(history, here + 2 * LANES, row, u2, a2, b_n)
                        _advance(history, here + 3 * LANES, row, u3, a3, b_n)
                at = own + c * states
                for k in range(steps - 1, -1, -1):
                    t = first + k * step
                    u0, a0, _ = _enter(x, t * x_stride, dt, A, D, t * heads, width, c)
                    u1, a1, _ = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + LANES)
                    u2, a2, _ = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + 2 * LANES)
                    u3, a3, _ = _enter(x, t * x_stride, dt, A, D, t * heads, width, c + 3 * LANES)
                    out = t * channels + c
                    g0, g1, g2, g3 = load_block(dy, out)
                    zero = splat(_ZERO)
                    du0, du1, du2, du3 = zero, zero, zero, zero
                    da0, da1, da2, da3 = zero, zero, zero, zero
                    b = t * bc_stride + bc
                    for n in range(states):
                        b_n, c_n = broadcast(B, b + n), broadcast(C, b + n)
                        here = k * row + n * BLOCK
                        back = at + n * BLOCK
                        sums = (k * states + n) * LANES
                        s_B, s_C = load(sums_B, sums), load(sums_C, sums)
                        s_B, s_C, du0, da0 = _retreat(
                            history, here, row, d_state, back, u0, a0, g0, b_n, c_n,
                            s_B, s_C, du0, da0,
                        )  # fmt: skip
                        s_B, s_C, du1, da1 = _retreat(
                            history, here + LANES, row, d_state, back + LANES, u1, a1, g1, b_n, c_n,
                            s_B, s_C, du1, da1,
                        )  # fmt: skip
                        s_B, s_C, du2, da2 = _retreat(
                            history, here + 2 * LANES, row, d_state, back + 2 * LANES, u2, a2, g2,
                            b_n, c_n, s_B, s_C, du2, da2,
                        )  # fmt: skip
                        s_B, s_C, du3, da3 = _retreat(
                            history, here + 3 * LANES, row, d_state, back + 3 * LANES, u3, a3, g3,
                            b_n, c_n, s_B, s_C, du3, da3,
                        )  # fmt: skip
                        store(sums_B, sums, s_B)
                        store(sums_C, sums, s_C)
                    _leave(
                        x, t * x_stride, dt, A, D, t * heads, width, c, g0, du0, da0,
                        dx, t * dx_stride, d_dt, dA, dD,
                    )  # fmt: skip
                    _leave(
                        x, t * x_stride, dt, A, D, t * heads, width, c + LANES, g1, du1, da1,
                        dx, t * dx_stride, d_dt, dA, dD,
                    )  # fmt: skip
                    _leave(
                        x, t * x_stride, dt, A, D, t * heads, width, c + 2 * LANES, g2, du2, da2,
                        dx, t * dx_stride, d_dt, dA, dD,
                    )  # fmt: skip
                    _leave(
                        x, t * x_stride, dt, A, D, t * heads, width, c + 3 * LANES, g3, du3, da3,
                        dx, t * dx_stride, d_dt, dA, dD,
                    )  # fmt: skip
                if (c + BLOCK) * groups // channels > group:  # the group's last block
                    for k in range(steps):
                        out = (first + k * step) * d_bc_stride + bc
                        collect(sums_B, k * states * LANES, dB, out, states)
                        collect(sums_C, k * states * LANES, dC, out, states)


@inlined
def _advance(history, at, row, u, a, b):
    """The state after a step, written behind that before it."""
    store(history, at + row, mul_add(u, b, mul(a, load(history, at))))


@inlined
def _retreat(history, at, row, d_state, back, u, a, dy, b, c, sum_B, sum_C, du, da):
    """One step back: the gradient of the state before it, and what it adds to the others."""
    dh = mul_add(dy, c, load(d_state, back))
    store(d_state, back, mul(dh, a))
    return (
        mul_add(dh, u, sum_B),
        mul_add(dy, load(history, at + row), sum_C),
        mul_add(dh, b, du),
        mul_add(dh, load(history, at), da),
    )


@inlined
def _leave(x, row, dt, A, D, dt_row, width, c, dy, du, da, dx, dx_row, d_dt, dA, dD):
    """From the gradients of dt x and of the decay to those of x, dt, A and D."""
    head = c // width
    delta = dt[dt_row + head]
    value = load(x, row + c)
    store(dx, dx_row + c, mul_add(dy, splat(D[head]), mul(splat(delta), du)))
    d_decay = total(da) * exp32(delta * A[head])
    d_dt[dt_row + head] += total(mul(du, value)) + d_decay * A[head]
    dA[head] += d_decay * delta
    dD[head] += total(mul(dy, value))
