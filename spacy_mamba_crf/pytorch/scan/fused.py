"""The inside of a Mamba-2 block, between its two projections, in one step forwards and one back.

The kernels are those of `cpu`; here they work in place on the projection, and write gradients where
its gradient wants them.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..texts import Texts
from .cpu import (
    flat,
    from_blocks,
    history_of,
    new_rows,
    numbers,
    room_for_states,
    taps_of,
    to_blocks,
)
from .kernels import mamba2, ssd


class Sizes(NamedTuple):
    """Of a Mamba-2 block: inner channels, heads, groups, states; and the norm's epsilon."""

    inner: int
    heads: int
    groups: int
    states: int
    eps: float

    @property
    def convolved(self) -> int:
        """Channels that the convolution runs over: x, B and C."""
        return self.inner + 2 * self.groups * self.states


def mamba2_inner(
    projected: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor | None,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    norm_weight: Tensor,
    sizes: Sizes,
    texts: Texts,
) -> Tensor:
    """projected: (token, inner + convolved + head), in the order z, x, B, C, dt.

    Returns (token, inner), in the place of x without gradients.
    """
    if conv_bias is None:
        conv_bias = conv_weight.new_zeros(sizes.convolved)
    return _Mamba2Inner.apply(
        *(projected, taps_of(conv_weight), conv_bias, dt_bias, A, D, norm_weight, sizes, texts)
    )


@torch.no_grad()
def mamba2_stream(
    projected: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor | None,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    norm_weight: Tensor,
    sizes: Sizes,
    conv_state: Tensor | None,
    ssm_state: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """A block of longer texts, from the states that the blocks before it left.

    projected: (batch, time, inner + convolved + head), overwritten; without the columns of z, only
    the states are wanted. conv_state: (batch, convolved, width - 1); ssm_state: (batch, head,
    channel, state). Returns (batch, time, inner) and the two states after the block.
    """
    batch, time, _ = projected.shape
    texts = Texts.of_lengths([time] * batch)
    _, xBC, _ = _parts(projected.flatten(0, 1), sizes)
    history = None if conv_state is None else history_of(conv_state)
    next_conv_state = _last_inputs(xBC.view(batch, time, -1), conv_state, conv_weight.shape[-1])
    if ssm_state is None:
        ssm_state = projected.new_zeros(
            batch, sizes.heads, sizes.inner // sizes.heads, sizes.states
        )
    state = to_blocks(ssm_state.flatten(1, 2)).clone()  # which the kernel replaces

    if conv_bias is None:
        conv_bias = conv_weight.new_zeros(sizes.convolved)
    y = _predict(
        *(projected.flatten(0, 1), taps_of(conv_weight), conv_bias, dt_bias, A, D, norm_weight),
        *(sizes, texts, history, state),
    )
    next_ssm_state = from_blocks(state).unflatten(1, ssm_state.shape[1:3])
    return y.unflatten(0, (batch, time)), next_conv_state, next_ssm_state


class _Mamba2Inner(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected, taps, bias, dt_bias, A, D, norm_weight, sizes, texts
    ) -> Tensor:
        if not any(ctx.needs_input_grad):
            return _predict(projected, taps, bias, dt_bias, A, D, norm_weight, sizes, texts)
        dt = _step_sizes(projected, dt_bias, sizes)
        y = new_rows(projected, sizes.inner, texts)
        out = new_rows(projected, sizes.inner, texts)
        kept = room_for_states(texts, sizes.inner * sizes.states, ssd.INTERVAL)
        mamba2.learn(
            *_inputs(projected, taps, bias, dt, A, D, norm_weight, sizes, texts),
            *(_room_for_one(sizes), kept, numbers(y), numbers(out)),
        )
        ctx.save_for_backward(projected, taps, bias, dt_bias, A, D, norm_weight, dt, y)
        ctx.sizes, ctx.texts, ctx.kept = sizes, texts, kept
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out):
        if ctx.kept is None:
            raise RuntimeError(
                "The gradient of a Mamba-2 block was taken already, and its memory is used up; run "
                "the block again."
            )
        projected, taps, bias, dt_bias, A, D, norm_weight, dt, y = ctx.saved_tensors
        sizes, texts = ctx.sizes, ctx.texts
        raw_dt = _parts(projected, sizes)[2]
        slope = torch.sigmoid(raw_dt + dt_bias)
        d_taps, d_bias, d_dt, dA, dD, d_weight = (
            torch.zeros_like(array) for array in (taps, bias, dt, A, D, norm_weight)
        )
        mamba2.learn_back(
            *_inputs(projected, taps, bias, dt, A, D, norm_weight, sizes, texts),
            *(ctx.kept, numbers(y), numbers(d_out.contiguous()), _room_for_one(sizes)),
            *(numbers(array) for array in (d_taps, d_bias, d_dt, dA, dD, d_weight)),
        )
        ctx.kept = None
        torch.mul(d_dt, slope, out=raw_dt)
        projected[texts.tokens :] = 0.0
        return projected, d_taps, d_bias, raw_dt.sum(0), dA, dD, d_weight, None, None


def _predict(
    projected: Tensor,
    taps: Tensor,
    bias: Tensor,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    norm_weight: Tensor,
    sizes: Sizes,
    texts: Texts,
    history: Tensor | None = None,
    state: Tensor | None = None,
) -> Tensor:
    """In place: (token, inner) within projected. The state, if given, is replaced by the last."""
    dt = _step_sizes(projected, dt_bias, sizes)
    *inputs, offsets, reverse = _inputs(projected, taps, bias, dt, A, D, norm_weight, sizes, texts)
    before = np.zeros(0, np.float32) if history is None else numbers(history)
    room = _room_for_one(sizes) if state is None else numbers(state)
    gated = _parts(projected, sizes)[0].shape[1] > 0
    mamba2.predict(
        *(*inputs[:4], before, *inputs[4:], offsets, reverse, room, state is None, gated)
    )
    return _parts(projected, sizes)[1][:, : sizes.inner]


def _step_sizes(projected: Tensor, dt_bias: Tensor, sizes: Sizes) -> Tensor:
    """dt: (token, head)."""
    return F.softplus(_parts(projected, sizes)[2] + dt_bias)


def _inputs(
    projected: Tensor,
    taps: Tensor,
    bias: Tensor,
    dt: Tensor,
    A: Tensor,
    D: Tensor,
    norm_weight: Tensor,
    sizes: Sizes,
    texts: Texts,
) -> tuple[Any, ...]:
    """What the kernels have in common, in their order."""
    return (
        *(*flat(projected), numbers(taps), numbers(bias), numbers(dt), numbers(A), sizes.groups),
        *(numbers(D), numbers(norm_weight), np.float32(sizes.eps), *texts),
    )


def _parts(projected: Tensor, sizes: Sizes) -> tuple[Tensor, ...]:
    """z, which may be missing, xBC and dt."""
    z = projected.shape[1] - sizes.convolved - sizes.heads
    return projected.split([z, sizes.convolved, sizes.heads], dim=1)


def _room_for_one(sizes: Sizes) -> np.ndarray:
    """A state for the kernel to work in, one text after the other."""
    return np.empty(sizes.inner * sizes.states, np.float32)


def _last_inputs(x: Tensor, before: Tensor | None, width: int) -> Tensor:
    """The last width - 1 inputs of (batch, time, channel): (batch, channel, width - 1)."""
    last = x[:, max(x.shape[1] - (width - 1), 0) :].transpose(1, 2)
    missing = width - 1 - last.shape[2]
    if not missing:
        return last.clone()
    if before is None:
        return F.pad(last, (missing, 0))
    return torch.cat([before[..., before.shape[2] - missing :], last], dim=2)
