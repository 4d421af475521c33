"""The Numba kernels behind our shapes, differentiable; float32 on a CPU.

Arguments are ragged: (token, ...) with a `Texts` that says where each text lies. What the kernels
ask of sizes is met here by padding with zeros.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..lanes import LANES
from ..texts import Texts
from .kernels import conv, gate, selective, ssd


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None, texts: Texts):
    """x: (token, channel); weight: (channel, 1, width <= 4); state: (text, channel, width - 1)."""
    channels = len(weight)
    fill = -channels % LANES
    taps = taps_of(weight, fill)
    if bias is None:
        bias = weight.new_zeros(channels)
    history = None if state is None else history_of(state, fill)
    if fill:
        x, bias = F.pad(x, (0, fill)), F.pad(bias, (0, fill))
    y: Tensor = _CausalConv.apply(_rows(x), taps, bias.contiguous(), history, texts)
    return y[:, :channels] if fill else y


def taps_of(weight: Tensor, fill: int = 0) -> Tensor:
    """(channel, 1, width) -> (lag, channel + fill) of the kernels, 0 where there is nothing."""
    missing = conv.TAPS - weight.shape[-1]
    return F.pad(weight[:, 0].flip(-1).t(), (0, fill, 0, missing)).contiguous()


def history_of(state: Tensor, fill: int = 0) -> Tensor:
    """(text, channel, width - 1) -> (text, lag, channel + fill) of the kernels, latest first."""
    missing = conv.TAPS - 1 - state.shape[-1]
    return F.pad(state.flip(-1).transpose(1, 2), (0, fill, 0, missing)).contiguous()


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    texts: Texts,
) -> tuple[Tensor, Tensor]:
    """x, dt: (token, channel); A: (channel, state); B, C: (token, state); D: (channel,);

    initial_state: (text, channel, state). Returns y like x and the last states.
    """
    channels = x.shape[1]
    if D is None:
        D = x.new_zeros(channels)
    fill = -channels % selective.BLOCK
    if fill:
        x, dt, D = (F.pad(array, (0, fill)) for array in (x, dt, D))
        A = F.pad(A, (0, 0, 0, fill))
    if initial_state is not None:
        initial_state = to_blocks(F.pad(initial_state, (0, 0, 0, fill)))
    y, state = _SelectiveScan.apply(
        *(_rows(x), _rows(dt), to_blocks(A), _rows(B), _rows(C), D.contiguous()),
        *(initial_state, texts),
    )
    return y[:, :channels], from_blocks(state)[:, :channels]


def ssd_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    initial_state: Tensor | None,
    texts: Texts,
) -> tuple[Tensor, Tensor]:
    """x: (token, head, channel); dt: (token, head); A, D: (head,); B, C: (token, group, state);

    initial_state: (text, head, channel, state). Returns y like x and the last states.
    """
    _, heads, width = x.shape
    groups = B.shape[1]
    if D is None:
        D = A.new_zeros(heads)
    fill = -width % LANES
    # Heads of nothing make a group's channels whole blocks.
    own = heads // groups
    more = 0
    while (own + more) * (width + fill) % ssd.BLOCK:
        more += 1
    padded = (groups * (own + more), width + fill)
    if fill or more:
        x = F.pad(x.unflatten(1, (groups, own)), (0, fill, 0, more)).flatten(1, 2)
        dt = F.pad(dt.unflatten(1, (groups, own)), (0, more)).flatten(1, 2)
        A, D = (F.pad(a.unflatten(0, (groups, own)), (0, more)).flatten() for a in (A, D))
        if initial_state is not None:
            initial_state = initial_state.unflatten(1, (groups, own))
            initial_state = F.pad(initial_state, (0, 0, 0, fill, 0, more)).flatten(1, 2)
    if initial_state is not None:
        initial_state = to_blocks(initial_state.flatten(1, 2))
    y, state = _SSDScan.apply(
        *(_rows(x.flatten(1)), dt.contiguous(), A.contiguous(), _rows(B.flatten(1))),
        *(_rows(C.flatten(1)), D.contiguous(), initial_state, texts, groups),
    )
    y = y.unflatten(1, padded)
    state = from_blocks(state).unflatten(1, padded)  # (text, head, channel, state)
    if fill or more:
        y, state = (
            array.unflatten(1, (groups, own + more))[:, :, :own, :width].flatten(1, 2)
            for array in (y, state)
        )
    return y, state


def gated_rms_norm(y: Tensor, z: Tensor, weight: Tensor, groups: int, eps: float) -> Tensor:
    """RMSNorm(y silu(z)) weight, within groups; y, z: (token, channel); weight: (channel,).

    The channels of a group are a multiple of LANES.
    """
    return _GatedRMSNorm.apply(_rows(y), _rows(z), weight.contiguous(), groups, eps)


class _CausalConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x, taps, bias, history, texts) -> Tensor:
        if history is None:
            history = x.new_empty(0)
        ctx.save_for_backward(x, taps, bias, history)
        ctx.texts = texts
        y = new_rows(x, x.shape[1], texts)
        conv.conv_forward(
            *(*flat(x), numbers(taps), numbers(bias), numbers(history)),
            *(*texts, *flat(y)),
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy):
        x, taps, bias, history = ctx.saved_tensors
        texts = ctx.texts
        dx = new_rows(x, x.shape[1], texts)
        d_taps, d_bias, d_history = (torch.zeros_like(a) for a in (taps, bias, history))
        conv.conv_backward(
            *(*flat(x), numbers(taps), numbers(bias), numbers(history), *texts),
            *(numbers(dy.contiguous()), *flat(dx), numbers(d_taps), numbers(d_bias)),
            numbers(d_history),
        )
        return dx, d_taps, d_bias, d_history if ctx.needs_input_grad[3] else None, None


class _SelectiveScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x, dt, A, B, C, D, initial_state, texts) -> tuple[Tensor, Tensor]:
        state = _start(initial_state, x, texts.number, A.numel(), A.shape)
        kept = _kept(ctx, texts, A.numel(), selective.INTERVAL)
        y = new_rows(x, x.shape[1], texts)
        B_flat, C_flat, bc_stride = _pair(B, C)
        selective.selective_forward(
            *(*flat(x), *flat(dt), numbers(A), B_flat, C_flat, bc_stride, numbers(D)),
            *(*texts, numbers(state), kept, numbers(y)),
        )
        ctx.save_for_backward(x, dt, A, B, C, D)
        ctx.texts, ctx.kept, ctx.stateful = texts, kept, initial_state is not None
        return y, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy, d_final):
        x, dt, A, B, C, D = ctx.saved_tensors
        texts = ctx.texts
        d_state = d_final.clone(memory_format=torch.contiguous_format)
        dx, d_dt = (new_rows(x, x.shape[1], texts) for _ in range(2))
        dB, dC = (new_rows(x, B.shape[1], texts) for _ in range(2))
        dA, dD = torch.zeros_like(A), torch.zeros_like(D)
        B_flat, C_flat, bc_stride = _pair(B, C)
        selective.selective_backward(
            *(*flat(x), *flat(dt), numbers(A), B_flat, C_flat, bc_stride, numbers(D)),
            *(*texts, ctx.kept, numbers(dy.contiguous()), numbers(d_state)),
            *(numbers(array) for array in (dx, d_dt, dA, dB, dC, dD)),
        )
        return dx, d_dt, dA, dB, dC, dD, d_state if ctx.stateful else None, None


class _SSDScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x, dt, A, B, C, D, initial_state, texts, groups):
        channels, states = x.shape[1], B.shape[1] // groups
        shape = (channels // ssd.BLOCK, states, ssd.BLOCK)
        state = _start(initial_state, x, texts.number, channels * states, shape)
        kept = _kept(ctx, texts, channels * states, ssd.INTERVAL)
        y = new_rows(x, channels, texts)
        B_flat, C_flat, bc_stride = _pair(B, C)
        ssd.ssd_forward(
            *(*flat(x), numbers(dt), numbers(A), B_flat, C_flat, bc_stride, groups),
            *(numbers(D), *texts, channels, numbers(state), False, kept, *flat(y)),
        )
        ctx.save_for_backward(x, dt, A, B, C, D)
        ctx.texts, ctx.kept, ctx.groups = texts, kept, groups
        ctx.stateful = initial_state is not None
        return y, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy, d_final):
        x, dt, A, B, C, D = ctx.saved_tensors
        texts = ctx.texts
        d_state = d_final.clone(memory_format=torch.contiguous_format)
        dx = new_rows(x, x.shape[1], texts)
        d_dt, dA, dD = (torch.zeros_like(array) for array in (dt, A, D))
        dB, dC = (x.new_zeros(len(x), B.shape[1]) for _ in range(2))
        B_flat, C_flat, bc_stride = _pair(B, C)
        ssd.ssd_backward(
            *(*flat(x), numbers(dt), numbers(A), B_flat, C_flat, bc_stride, ctx.groups),
            *(numbers(D), *texts, x.shape[1], ctx.kept, numbers(dy.contiguous())),
            *(numbers(d_state), False, *flat(dx), numbers(d_dt), numbers(dA)),
            *(*_pair(dB, dC), numbers(dD)),
        )
        return dx, d_dt, dA, dB, dC, dD, d_state if ctx.stateful else None, None, None


class _GatedRMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y, z, weight, groups, eps) -> Tensor:
        ctx.save_for_backward(y, z, weight)
        ctx.settings = groups, np.float32(eps)
        out = torch.empty_like(y, memory_format=torch.contiguous_format)
        gate.gate_forward(
            *(*flat(y), *flat(z), numbers(weight), *ctx.settings, len(y), *flat(out)),
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out):
        y, z, weight = ctx.saved_tensors
        dy, dz = (torch.empty_like(y, memory_format=torch.contiguous_format) for _ in range(2))
        d_weight = torch.zeros_like(weight)
        gate.gate_backward(
            *(numbers(y.contiguous()), *flat(z), numbers(weight), *ctx.settings, len(y)),
            *(numbers(d_out.contiguous()), numbers(dy), *flat(dz), numbers(d_weight)),
        )
        return dy, dz, d_weight, None, None


def _rows(array: Tensor) -> Tensor:
    """The array itself if its rows lie whole in memory, else a copy."""
    whole = array.stride(-1) == 1 and array.stride(0) >= array.shape[1]
    return array if whole else array.contiguous()


def flat(array: Tensor) -> tuple[np.ndarray, int]:
    """All numbers from the first row's first to the last row's last, and from row to row."""
    if not array.numel():
        return np.zeros(0, np.float32), array.shape[1]
    stride = array.stride(0)
    size = (len(array) - 1) * stride + array.shape[1]
    return array.detach().as_strided((size,), (1,)).numpy(), stride


def _pair(B: Tensor, C: Tensor) -> tuple[np.ndarray, np.ndarray, int]:
    """Both flat with the same row stride."""
    if B.stride(0) != C.stride(0):
        B, C = B.contiguous(), C.contiguous()
    (B_flat, stride), (C_flat, _) = flat(B), flat(C)
    return B_flat, C_flat, stride


def numbers(array: Tensor) -> np.ndarray:
    return array.detach().view(-1).numpy()


def new_rows(like: Tensor, width: int, texts: Texts) -> Tensor:
    """(token, width) to be written by a kernel; rows behind the last text are 0."""
    rows = like.new_empty(len(like), width)
    rows[texts.tokens :] = 0.0
    return rows


def _start(given: Tensor | None, like: Tensor, texts: int, size: int, shape) -> Tensor:
    """The states to start from, which the kernel will replace: (text, block, state, channel)."""
    if given is None:
        return like.new_zeros(texts, *shape)
    return given.clone()


def _kept(ctx: Any, texts: Texts, size: int, interval: int) -> np.ndarray:
    """Room for the states that the backward pass starts from; none if there will be none."""
    if any(ctx.needs_input_grad):
        return room_for_states(texts, size, interval)
    return np.zeros(0, np.float32)


def room_for_states(texts: Texts, size: int, interval: int) -> np.ndarray:
    """Room for a state of this many numbers before every so many steps of each text."""
    lengths = np.diff(texts.offsets)
    return np.empty(int((-(-lengths // interval)).sum()) * size, np.float32)


def to_blocks(state: Tensor) -> Tensor:
    """(..., channel, state) -> (..., block, state, channel of the block)."""
    return state.unflatten(-2, (-1, ssd.BLOCK)).transpose(-1, -2).contiguous()


def from_blocks(state: Tensor) -> Tensor:
    return state.transpose(-1, -2).flatten(-3, -2)
