"""The inside of a Mamba-2 block, text by text, so that what one kernel leaves is near for the next.

Rows of the projection are z, x, B, C, dt; `inner` is the width of z and of x.
"""

import numpy as np

from ...jit import kernel
from .conv import conv_backward, conv_forward
from .gate import gate_backward, gate_forward
from .ssd import INTERVAL, ssd_backward, ssd_forward


@kernel
def predict(
    projected, stride, taps, bias, history, dt, A, groups, D, weight, eps, offsets, reverse, state,
    fresh, gated,
):  # fmt: skip
    """In place: the output takes the place of x; if not `gated`, rows begin at x, without z.

    projected: flat, rows of stride; history, state, fresh: as in `conv_forward`, `ssd_forward`.
    """
    inner, heads, convolved = len(weight), len(A), len(bias)
    x_at = inner if gated else 0
    b_at = x_at + inner
    c_at = b_at + (convolved - inner) // 2
    texts = len(offsets) - 1
    size = 0 if fresh else len(state) // max(texts, 1)
    past = len(history) // max(texts, 1)
    span = np.zeros(2, np.int64)
    none = np.empty(0, np.float32)
    for text in range(texts):
        start, tokens = offsets[text], offsets[text + 1] - offsets[text]
        span[1] = tokens
        rows = projected[start * stride :]
        before = history[text * past : (text + 1) * past]
        own = state if fresh else state[text * size : (text + 1) * size]
        x = rows[x_at:]
        conv_forward(x, stride, taps, bias, before, span, reverse, x, stride)
        ssd_forward(
            x, stride, dt[start * heads :], A, rows[b_at:], rows[c_at:], stride, groups, D, span,
            reverse, inner, own, fresh, none, x, stride,
        )  # fmt: skip
        if gated:
            gate_forward(x, stride, rows, stride, weight, groups, eps, tokens, x, stride)


@kernel
def learn(
    projected, stride, taps, bias, dt, A, groups, D, weight, eps, offsets, reverse, state, kept, y,
    out,
):  # fmt: skip
    """Written: y, before the gate, and out, flat (token, inner); kept: as in `ssd_forward`.

    state: room for that of one text. The rest as above.
    """
    inner, heads, convolved = len(weight), len(A), len(bias)
    c_at = inner + (convolved - inner) // 2
    span = np.zeros(2, np.int64)
    none = np.empty(0, np.float32)
    room = np.empty(_longest(offsets) * convolved, np.float32)
    n_kept = 0
    for text in range(len(offsets) - 1):
        start, tokens = offsets[text], offsets[text + 1] - offsets[text]
        span[1] = tokens
        rows = projected[start * stride :]
        own_kept = -(-tokens // INTERVAL) * len(state)
        y_rows, out_rows = y[start * inner :], out[start * inner :]
        conv_forward(rows[inner:], stride, taps, bias, none, span, reverse, room, convolved)
        ssd_forward(
            room, convolved, dt[start * heads :], A, room[inner:], room[c_at:], convolved, groups,
            D, span, reverse, inner, state, True, kept[n_kept : n_kept + own_kept], y_rows, inner,
        )  # fmt: skip
        gate_forward(y_rows, inner, rows, stride, weight, groups, eps, tokens, out_rows, inner)
        n_kept += own_kept


@kernel
def learn_back(
    projected, stride, taps, bias, dt, A, groups, D, weight, eps, offsets, reverse, kept, y, d_out,
    state, d_taps, d_bias, d_dt, dA, dD, d_weight,
):  # fmt: skip
    """projected gives way to its gradient, but for dt's, which is added to d_dt (token, head).

    d_out, y: flat (token, inner); state: room for that of one text; added to: the other gradients.
    """
    inner, heads, convolved = len(weight), len(A), len(bias)
    c_at = inner + (convolved - inner) // 2
    longest = _longest(offsets)
    span = np.zeros(2, np.int64)
    none = np.empty(0, np.float32)
    room = np.empty(longest * convolved, np.float32)
    d_room = np.empty(longest * convolved, np.float32)
    dy = np.empty(longest * inner, np.float32)
    n_kept = 0
    for text in range(len(offsets) - 1):
        start, tokens = offsets[text], offsets[text + 1] - offsets[text]
        span[1] = tokens
        rows = projected[start * stride :]
        x = rows[inner:]
        own_kept = -(-tokens // INTERVAL) * len(state)
        gate_backward(
            y[start * inner :], rows, stride, weight, groups, eps, tokens, d_out[start * inner :],
            dy, rows, stride, d_weight,
        )  # fmt: skip
        conv_forward(x, stride, taps, bias, none, span, reverse, room, convolved)
        ssd_backward(
            room, convolved, dt[start * heads :], A, room[inner:], room[c_at:], convolved, groups,
            D, span, reverse, inner, kept[n_kept : n_kept + own_kept], dy, state, True, d_room,
            convolved, d_dt[start * heads :], dA, d_room[inner:], d_room[c_at:], convolved, dD,
        )  # fmt: skip
        conv_backward(
            x, stride, taps, bias, none, span, reverse, d_room, x, stride, d_taps, d_bias, none
        )
        n_kept += own_kept


@kernel
def _longest(offsets):
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    return longest
