"""The front door to the sequential kernels: selective scan, its Mamba-2 form, causal convolution.

Callers give shapes as documented here; which kernel runs is decided in this file alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from . import chunked, cuda, reference

__all__ = ["causal_conv", "selective_scan", "ssd_scan"]

SELECTIVE_SCAN_BACKENDS = ("reference", "cuda")
SSD_SCAN_BACKENDS = ("reference", "chunked", "cuda")


def selective_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    initial_state: Tensor | None = None,
    backend: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Mamba-1: h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t, y_t = C_t h_t + D x_t (Gu & Dao 2023).

    x: (batch, time, channel); dt: (batch, time, channel), after softplus; A: (channel, state), < 0;
    B, C: (batch, time, state); D: (channel,); initial_state: (batch, channel, state), zeros if
    None. `backend`: "reference" | "cuda"; None takes the fastest that works for x's device.
    Returns y (batch, time, channel) and the state after the last step. Raises ValueError if the
    shapes disagree or the backend is unknown or not usable.
    """
    batch, time, channel = x.shape
    state = A.shape[-1]
    _check_shape("dt", dt, (batch, time, channel))
    _check_shape("A", A, (channel, state))
    _check_shape("B", B, (batch, time, state))
    _check_shape("C", C, (batch, time, state))
    if initial_state is not None:
        _check_shape("initial_state", initial_state, (batch, channel, state))
    backend = backend or _default(x, "reference", cuda.selective_scan_kernel)
    if backend == "cuda":
        kernel = _require(cuda.selective_scan_kernel(), "selective_scan")
        y, final_state = kernel(x, dt, A, B, C, initial_state)
    elif backend == "reference":
        if initial_state is None:
            initial_state = x.new_zeros(batch, channel, state)
        y, final_state = reference.selective_scan(x, dt, A, B, C, initial_state)
    else:
        raise _unknown_backend(backend, SELECTIVE_SCAN_BACKENDS)
    return (y if D is None else y + D * x), final_state


def ssd_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    initial_state: Tensor | None = None,
    return_final_state: bool = True,
    backend: str | None = None,
    chunk_size: int = 64,
) -> tuple[Tensor, Tensor | None]:
    """Mamba-2: the same recurrence with one decay a head (Dao & Gu 2024, "SSD").

    x: (batch, time, head, channel); dt: (batch, time, head), after softplus; A, D: (head,), A < 0;
    B, C: (batch, time, group, state), group dividing head; initial_state:
    (batch, head, channel, state), zeros if None. `backend`: "reference" | "chunked" | "cuda"; None
    takes the fastest that works for x's device. Returns y like x, and the state after the last step
    (None unless `return_final_state`). Raises ValueError if the shapes disagree or the backend is
    unknown or not usable.
    """
    batch, time, head, channel = x.shape
    group, state = B.shape[2:]
    _check_shape("dt", dt, (batch, time, head))
    _check_shape("A", A, (head,))
    _check_shape("B", B, (batch, time, group, state))
    _check_shape("C", C, (batch, time, group, state))
    if head % group:
        raise ValueError(f"B and C have {group} groups, which do not divide the {head} heads of x.")
    if initial_state is not None:
        _check_shape("initial_state", initial_state, (batch, head, channel, state))
    final_state: Tensor | None
    backend = backend or _default(x, "chunked", cuda.ssd_scan_kernel)
    if backend == "cuda":
        kernel = _require(cuda.ssd_scan_kernel(), "ssd_scan")
        y, final_state = kernel(x, dt, A, B, C, initial_state)
    elif backend == "chunked":
        y, final_state = chunked.ssd_scan(
            *(x, dt, A, B, C, initial_state),
            chunk_size=chunk_size,
            return_final_state=return_final_state,
        )
    elif backend == "reference":
        if initial_state is None:
            initial_state = x.new_zeros(batch, head, channel, state)
        y, final_state = reference.ssd_scan(x, dt, A, B, C, initial_state)
    else:
        raise _unknown_backend(backend, SSD_SCAN_BACKENDS)
    y = y if D is None else y + D[:, None] * x
    return y, final_state if return_final_state else None


def causal_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None
) -> Tensor:
    """Depthwise causal convolution over time, then silu.

    x: (batch, time, channel); weight: (channel, 1, width) as in `nn.Conv1d`; bias: (channel,);
    state: (batch, channel, width - 1), the inputs before the first, zeros if None.
    Returns (batch, time, channel). Raises ValueError if the shapes disagree.
    """
    batch, time, channel = x.shape
    width = weight.shape[-1]
    _check_shape("weight", weight, (channel, 1, width))
    if state is not None:
        _check_shape("state", state, (batch, channel, width - 1))
    fits = x.is_cuda and x.numel() and cuda.causal_conv_fits(channel, width)
    kernel = cuda.causal_conv_kernel() if fits else None
    if kernel is not None:
        return kernel(x, weight, bias, state)
    x = pad_history(x, state, width)
    # A sum of shifted products: several times faster on a CPU than a grouped conv1d of this size.
    y = x[:, width - 1 :] * weight[:, 0, width - 1]
    for shift in range(width - 1):
        y = y + x[:, shift : shift + time] * weight[:, 0, shift]
    return F.silu(y if bias is None else y + bias)


def pad_history(x: Tensor, state: Tensor | None, width: int) -> Tensor:
    """Put the width - 1 inputs before x in front of it: (batch, width - 1 + time, channel)."""
    if state is None:
        return F.pad(x, (0, 0, width - 1, 0))
    return torch.cat([state.transpose(1, 2), x], dim=1)


def _default(x: Tensor, plain: str, cuda_kernel) -> str:
    """The kernels do not take empty batches or sequences; the plain forms do."""
    return "cuda" if x.is_cuda and x.numel() and cuda_kernel() is not None else plain


def _require(kernel, name: str):
    if kernel is None:
        raise ValueError(
            f"{name}(backend='cuda') needs a CUDA device and the packages mamba-ssm and "
            "causal-conv1d, and their kernel failed or is missing; leave backend=None to fall back."
        )
    return kernel


def _check_shape(name: str, array: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(array.shape) != expected:
        raise ValueError(f"{name} has shape {tuple(array.shape)}, but {expected} is needed.")


def _unknown_backend(backend: str, known: tuple[str, ...]) -> ValueError:
    return ValueError(f"There is no scan backend {backend!r}; choose one of {', '.join(known)}.")
