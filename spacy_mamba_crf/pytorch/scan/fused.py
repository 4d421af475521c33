"""The inside of a Mamba-2 block, between its two projections, in one step forwards and one back.

The kernels are those of `cpu`; here they work in place on the projection, and write gradients where
its gradient wants them.
"""

import threading
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
from .kernels import conv, gate, ssd

_rooms = threading.local()


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

    z, xBC, raw_dt = _parts(projected.flatten(0, 1), sizes)
    if conv_bias is None:
        conv_bias = conv_weight.new_zeros(sizes.convolved)
    _convolve(xBC, taps_of(conv_weight), conv_bias, texts, xBC, history)
    y = xBC[:, : sizes.inner]
    ssd.ssd_forward(
        *_scan_inputs(xBC, F.softplus(raw_dt + dt_bias), A, D, sizes, texts),
        *(numbers(state), False, np.zeros(0, np.float32), *flat(y)),
    )
    if z.shape[1]:
        _gate(y, z, norm_weight, sizes, y)
    next_ssm_state = from_blocks(state).unflatten(1, ssm_state.shape[1:3])
    return y.unflatten(0, (batch, time)), next_conv_state, next_ssm_state


class _Mamba2Inner(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected, taps, bias, dt_bias, A, D, norm_weight, sizes, texts
    ) -> Tensor:
        z, xBC, raw_dt = _parts(projected, sizes)
        dt = F.softplus(raw_dt + dt_bias)  # (token, head)
        kept = np.zeros(0, np.float32)
        if any(ctx.needs_input_grad):
            convolved = _workspace("convolved", projected, sizes.convolved)
            y = new_rows(projected, sizes.inner, texts)
            out = torch.empty_like(y)
            kept = room_for_states(texts, sizes.inner * sizes.states, ssd.INTERVAL)
            ctx.save_for_backward(projected, taps, bias, dt_bias, A, D, norm_weight, dt, y)
            ctx.sizes, ctx.texts, ctx.kept = sizes, texts, kept
        else:
            convolved = xBC
            y = out = xBC[:, : sizes.inner]
        _convolve(xBC, taps, bias, texts, convolved)
        ssd.ssd_forward(
            *_scan_inputs(convolved, dt, A, D, sizes, texts),
            *(_room_for_one(sizes), True, kept, *flat(y)),
        )
        _gate(y, z, norm_weight, sizes, out)
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
        z, xBC, raw_dt = _parts(projected, sizes)
        slope = torch.sigmoid(raw_dt + dt_bias)
        convolved = _workspace("convolved", projected, sizes.convolved)
        _convolve(xBC, taps, bias, texts, convolved)  # again, rather than kept
        # From here on each part of the projection gives way to its gradient.
        projected[texts.tokens :] = 0.0
        d_weight, d_taps, d_bias = (torch.zeros_like(a) for a in (norm_weight, taps, bias))
        d_dt, dA, dD = (torch.zeros_like(a) for a in (dt, A, D))
        dy = _workspace("dy", projected, sizes.inner)
        gate.gate_backward(
            *(numbers(y), *flat(z), numbers(norm_weight), sizes.groups, np.float32(sizes.eps)),
            *(len(y), numbers(d_out.contiguous()), numbers(dy), *flat(z), numbers(d_weight)),
        )
        d_convolved = _workspace("d_convolved", projected, sizes.convolved)
        dx, dB, dC = _split(d_convolved, sizes)
        ssd.ssd_backward(
            *_scan_inputs(convolved, dt, A, D, sizes, texts),
            *(ctx.kept, numbers(dy), _room_for_one(sizes), True, *flat(dx)),
            *(numbers(d_dt), numbers(dA), flat(dB)[0], *flat(dC), numbers(dD)),
        )
        ctx.kept = None
        conv.conv_backward(
            *(*flat(xBC), numbers(taps), numbers(bias), np.zeros(0, np.float32), *texts),
            *(numbers(d_convolved), *flat(xBC), numbers(d_taps), numbers(d_bias)),
            np.zeros(0, np.float32),
        )
        torch.mul(d_dt, slope, out=raw_dt)
        return projected, d_taps, d_bias, raw_dt.sum(0), dA, dD, d_weight, None, None


def _workspace(name: str, like: Tensor, width: int) -> Tensor:
    """(token, width) of this thread's own, overwritten by the next call for the same name.

    Fresh memory costs more than what the kernels do with it.
    """
    size = len(like) * width
    rooms = _rooms.__dict__
    if name not in rooms or len(rooms[name]) < size:
        rooms[name] = torch.empty(size)
    return rooms[name][:size].view(-1, width)


def _parts(projected: Tensor, sizes: Sizes) -> tuple[Tensor, ...]:
    """z, which may be missing, xBC and dt."""
    z = projected.shape[1] - sizes.convolved - sizes.heads
    return projected.split([z, sizes.convolved, sizes.heads], dim=1)


def _split(convolved: Tensor, sizes: Sizes) -> tuple[Tensor, ...]:
    width = sizes.groups * sizes.states
    return convolved.split([sizes.inner, width, width], dim=1)


def _convolve(
    x: Tensor, taps: Tensor, bias: Tensor, texts: Texts, y: Tensor, history: Tensor | None = None
) -> None:
    before = np.zeros(0, np.float32) if history is None else numbers(history)
    conv.conv_forward(*flat(x), numbers(taps), numbers(bias), before, *texts, *flat(y))


def _scan_inputs(
    convolved: Tensor, dt: Tensor, A: Tensor, D: Tensor, sizes: Sizes, texts: Texts
) -> tuple[Any, ...]:
    x, B, C = _split(convolved, sizes)
    return (
        *(*flat(x), numbers(dt), numbers(A), flat(B)[0], *flat(C), sizes.groups, numbers(D)),
        *(*texts, sizes.inner),
    )


def _room_for_one(sizes: Sizes) -> np.ndarray:
    """A state for the kernel to work in, one text after the other."""
    return np.empty(sizes.inner * sizes.states, np.float32)


def _gate(y: Tensor, z: Tensor, weight: Tensor, sizes: Sizes, out: Tensor) -> None:
    gate.gate_forward(
        *(*flat(y), *flat(z), numbers(weight), sizes.groups, np.float32(sizes.eps)),
        *(len(y), *flat(out)),
    )


def _last_inputs(x: Tensor, before: Tensor | None, width: int) -> Tensor:
    """The last width - 1 inputs of (batch, time, channel): (batch, channel, width - 1)."""
    last = x[:, max(x.shape[1] - (width - 1), 0) :].transpose(1, 2)
    missing = width - 1 - last.shape[2]
    if not missing:
        return last.clone()
    if before is None:
        return F.pad(last, (missing, 0))
    return torch.cat([before[..., before.shape[2] - missing :], last], dim=2)
