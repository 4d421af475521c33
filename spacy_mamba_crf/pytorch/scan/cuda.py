"""The CUDA kernels of mamba-ssm and causal-conv1d behind our shapes.

Nothing is imported before a CUDA tensor asks for it. Each kernel is probed by one small call; one
that is missing or fails is reported once in the log and answered with None.
"""

import functools
import importlib
import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger("spacy_mamba_crf")


@functools.cache
def selective_scan_kernel() -> Callable | None:
    """mamba-ssm's selective scan as a function of our signature, or None."""
    return _probe("mamba_ssm.ops.selective_scan_interface", "selective_scan_fn", _selective_scan)


@functools.cache
def ssd_scan_kernel() -> Callable | None:
    """mamba-ssm's chunked scan of Mamba-2 as a function of our signature, or None."""
    return _probe("mamba_ssm.ops.triton.ssd_combined", "mamba_chunk_scan_combined", _ssd_scan)


@functools.cache
def causal_conv_kernel() -> Callable | None:
    """causal-conv1d's convolution with silu as a function of our signature, or None."""
    return _probe("causal_conv1d", "causal_conv1d_fn", _causal_conv)


def _probe(module: str, name: str, adapter: Callable) -> Callable | None:
    """Import `name` and run the adapted kernel once on a tiny input, forward and backward."""
    try:
        kernel = functools.partial(adapter, getattr(importlib.import_module(module), name))
        _PROBES[adapter](kernel)
    except Exception as error:  # whatever a third-party binary does, the plain path works
        logger.warning("%s.%s is not usable (%s); using the plain torch path.", module, name, error)
        return None
    return kernel


def _selective_scan(
    kernel: Callable,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The kernel starts from zero; what an initial state adds is linear and is added here.

    It takes one dtype for all but A, while autocast leaves dt in float32 beside a half-precision x.
    """
    transposed = (array.to(x.dtype).transpose(1, 2).contiguous() for array in (x, dt, B, C))
    x_t, dt_t, B_t, C_t = transposed  # (batch, channel | state, time)
    y, state = kernel(x_t, dt_t, A, B_t, C_t, return_last_state=True)
    y = y.transpose(1, 2)
    if initial_state is not None:
        elapsed = dt.cumsum(1)  # (batch, time, channel)
        for n in range(A.shape[1]):  # one state at a time: never batch x time x channel x state
            faded = torch.exp(elapsed * A[:, n]) * initial_state[:, None, :, n]
            y = y + faded * C[:, :, n, None]
        state = state + torch.exp(elapsed[:, -1, :, None] * A) * initial_state
    return y, state


def _ssd_scan(
    kernel: Callable,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    chunk_size: int = 256,
) -> tuple[Tensor, Tensor]:
    arrays = (array.contiguous() for array in (x, dt, A, B, C))
    return kernel(
        *arrays, chunk_size=chunk_size, initial_states=initial_state, return_final_states=True
    )


def causal_conv_fits(channel: int, width: int) -> bool:
    """Whether causal-conv1d takes this size: channel-last, it works on eight channels at a time."""
    return channel % 8 == 0 and 2 <= width <= 4


def _causal_conv(
    kernel: Callable, x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None
) -> Tensor:
    """x: (batch, time, channel), seen by the kernel as channel-last (batch, channel, time)."""
    if state is not None:  # the kernel wants its state channel-last, too
        state = state.transpose(1, 2).contiguous().transpose(1, 2)
    # The kernel checks strides. `contiguous` leaves those of a single step as wide as the array
    # that it was cut from.
    x_t = x.clone(memory_format=torch.contiguous_format).transpose(1, 2)
    y = kernel(x_t, weight.squeeze(1), bias, initial_states=state, activation="silu")
    return y.transpose(1, 2)


def _probe_selective_scan(kernel: Callable) -> None:
    x, dt = _random(1, 3, 8), _random(1, 3, 8).abs()
    y, _ = kernel(x, dt, -_random(8, 4).abs(), _random(1, 3, 4), _random(1, 3, 4), None)
    y.sum().backward()


def _probe_ssd_scan(kernel: Callable) -> None:
    x, dt = _random(1, 3, 2, 64), _random(1, 3, 2).abs()
    B, C = _random(1, 3, 1, 16), _random(1, 3, 1, 16)
    y, _ = kernel(x, dt, -_random(2).abs(), B, C, None)
    y.sum().backward()


def _probe_causal_conv(kernel: Callable) -> None:
    y = kernel(_random(1, 8, 8), _random(8, 1, 4), _random(8), None)
    y.sum().backward()


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, device="cuda", requires_grad=True)


_PROBES: dict[Callable, Callable[[Callable], None]] = {
    _selective_scan: _probe_selective_scan,
    _ssd_scan: _probe_ssd_scan,
    _causal_conv: _probe_causal_conv,
}
