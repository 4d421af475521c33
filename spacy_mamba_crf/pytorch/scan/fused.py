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

from ..lanes import LANES
from ..texts import Texts
from .cpu import flat, new_rows, numbers, room_for_states, taps_of
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

    def fit(self) -> bool:
        """Whether the kernels take these sizes as they are."""
        width = self.inner // self.groups
        heads_fit = (self.inner // self.heads) % LANES == 0
        return heads_fit and width % ssd.BLOCK == 0 and self.convolved % LANES == 0


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
        gate.gate_forward(
            *(*flat(y), *flat(z), numbers(norm_weight), sizes.groups, np.float32(sizes.eps)),
            *(len(y), *flat(out)),
        )
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
    return projected.split([sizes.inner, sizes.convolved, sizes.heads], dim=1)


def _split(convolved: Tensor, sizes: Sizes) -> tuple[Tensor, ...]:
    width = sizes.groups * sizes.states
    return convolved.split([sizes.inner, width, width], dim=1)


def _convolve(x: Tensor, taps: Tensor, bias: Tensor, texts: Texts, y: Tensor) -> None:
    no_history = np.zeros(0, np.float32)
    conv.conv_forward(*flat(x), numbers(taps), numbers(bias), no_history, *texts, *flat(y))


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
