"""The front door to the sequential kernels: selective scan, its Mamba-2 form, causal convolution.

Callers give shapes as documented here; which kernel runs is decided in this file alone. On a CPU
every function also takes a ragged batch: then `texts` says where each text lies, and arrays have
one axis of tokens in the place of batch and time.
"""

import importlib
from collections.abc import Callable
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from ..texts import Texts
from . import chunked, cuda, reference

__all__ = [
    "causal_conv",
    "gated_rms_norm",
    "mamba2_inner",
    "runs_ragged",
    "selective_scan",
    "ssd_scan",
]

SELECTIVE_SCAN_BACKENDS = ("reference", "cpu", "cuda")
SSD_SCAN_BACKENDS = ("reference", "chunked", "cpu", "cuda")
CAUSAL_CONV_BACKENDS = ("reference", "cpu", "cuda")
# What the CPU kernels are made for: taps of a convolution, numbers in a vector, and in a block.
MAX_TAPS = 4
LANES = 16
BLOCK = 64


def runs_ragged(x: Tensor) -> bool:
    """Whether the functions below take this array (token, channel) with `texts`."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() > 0


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
    texts: Texts | None = None,
) -> tuple[Tensor, Tensor]:
    """Mamba-1: h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t, y_t = C_t h_t + D x_t (Gu & Dao 2023).

    x: (batch, time, channel); dt: (batch, time, channel), after softplus; A: (channel, state), < 0;
    B, C: (batch, time, state); D: (channel,); initial_state: (batch, channel, state), zeros if
    None. `backend`: "reference" | "cpu" | "cuda"; None takes the fastest that works for x's device.
    Returns y (batch, time, channel) and the state after the last step. Raises ValueError if the
    shapes disagree or the backend is unknown or not usable.
    """
    if texts is not None:
        return _cpu().selective_scan(x, dt, A, B, C, D, initial_state, texts)
    batch, time, channel = x.shape
    state = A.shape[-1]
    _check_shape("dt", dt, (batch, time, channel))
    _check_shape("A", A, (channel, state))
    _check_shape("B", B, (batch, time, state))
    _check_shape("C", C, (batch, time, state))
    if initial_state is not None:
        _check_shape("initial_state", initial_state, (batch, channel, state))
    backend = backend or _default(x, "reference", cuda.selective_scan_kernel)
    if backend == "cpu":
        flat, texts = _flattener("selective_scan", x)
        y, final_state = _cpu().selective_scan(
            *(flat(x), flat(dt), A, flat(B), flat(C), D, initial_state, texts)
        )
        return y.unflatten(0, (batch, time)), final_state
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
    texts: Texts | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Mamba-2: the same recurrence with one decay a head (Dao & Gu 2024, "SSD").

    x: (batch, time, head, channel); dt: (batch, time, head), after softplus; A, D: (head,), A < 0;
    B, C: (batch, time, group, state), group dividing head; initial_state:
    (batch, head, channel, state), zeros if None. `backend`: "reference" | "chunked" | "cpu" |
    "cuda"; None takes the fastest that works for x's device. Returns y like x, and the state after
    the last step (None unless `return_final_state`). Raises ValueError if the shapes disagree or
    the backend is unknown or not usable.
    """
    final_state: Tensor | None
    if texts is not None:
        y, final_state = _cpu().ssd_scan(x, dt, A, B, C, D, initial_state, texts)
        return y, final_state if return_final_state else None
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
    backend = backend or _default(x, "chunked", cuda.ssd_scan_kernel)
    if backend == "cpu":
        flat, texts = _flattener("ssd_scan", x)
        y, final_state = _cpu().ssd_scan(
            *(flat(x), flat(dt), A, flat(B), flat(C), D, initial_state, texts)
        )
        y = y.unflatten(0, (batch, time))
        return y, final_state if return_final_state else None
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
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    state: Tensor | None = None,
    *,
    backend: str | None = None,
    texts: Texts | None = None,
) -> Tensor:
    """Depthwise causal convolution over time, then silu.

    x: (batch, time, channel); weight: (channel, 1, width) as in `nn.Conv1d`; bias: (channel,);
    state: (batch, channel, width - 1), the inputs before the first, zeros if None. `backend`:
    "reference" | "cpu" | "cuda"; None takes the fastest that works. Returns (batch, time, channel).
    Raises ValueError if the shapes disagree or the backend is unknown or not usable.
    """
    if texts is not None:
        return _cpu().causal_conv(x, weight, bias, state, texts)
    batch, time, channel = x.shape
    width = weight.shape[-1]
    _check_shape("weight", weight, (channel, 1, width))
    if state is not None:
        _check_shape("state", state, (batch, channel, width - 1))
    if backend is None:
        fits = width <= MAX_TAPS if not x.is_cuda else cuda.causal_conv_fits(channel, width)
        backend = _default(x, "reference", cuda.causal_conv_kernel) if fits else "reference"
    if backend == "cpu":
        if width > MAX_TAPS:
            raise ValueError(f"The CPU kernel has {MAX_TAPS} taps at most, not {width}.")
        flat, texts = _flattener("causal_conv", x)
        return _cpu().causal_conv(flat(x), weight, bias, state, texts).unflatten(0, (batch, time))
    if backend == "cuda":
        return _require(cuda.causal_conv_kernel(), "causal_conv")(x, weight, bias, state)
    if backend != "reference":
        raise _unknown_backend(backend, CAUSAL_CONV_BACKENDS)
    return reference.causal_conv(pad_history(x, state, width), weight, bias)


def gated_rms_norm(y: Tensor, z: Tensor, weight: Tensor, groups: int, eps: float) -> Tensor:
    """Mamba-2's norm, RMSNorm(y silu(z)) weight, within groups of channels (Dao & Gu 2024).

    y, z: (..., channel); weight: (channel,). Returns (..., channel).
    """
    width = y.shape[-1] // groups
    if runs_ragged(y) and z.dtype == torch.float32 and width % LANES == 0:
        normed = _cpu().gated_rms_norm(y.flatten(0, -2), z.flatten(0, -2), weight, groups, eps)
        return normed.view(y.shape)
    gated = (y * F.silu(z)).unflatten(-1, (groups, -1))
    scale = torch.rsqrt(gated.square().mean(-1, keepdim=True) + eps)
    return (gated * scale).flatten(-2) * weight


def mamba2_inner(
    projected: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor | None,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    norm_weight: Tensor,
    *,
    groups: int,
    states: int,
    eps: float,
    texts: Texts,
) -> Tensor:
    """What Mamba-2 does between its projections: convolution, scan and gated norm (Dao & Gu 2024).

    projected: (token, z | x | B | C | dt), which may be overwritten without gradients; the others
    as above, dt_bias: (head,). Returns (token, channel). For sizes that `fuses` admits.
    """
    fused = importlib.import_module(".fused", __package__)
    sizes = fused.Sizes(len(norm_weight), len(A), groups, states, eps)
    return fused.mamba2_inner(
        *(projected, conv_weight, conv_bias, dt_bias, A, D, norm_weight, sizes, texts)
    )


def mamba2_stream(
    projected: Tensor,
    conv_weight: Tensor,
    conv_bias: Tensor | None,
    dt_bias: Tensor,
    A: Tensor,
    D: Tensor,
    norm_weight: Tensor,
    *,
    groups: int,
    states: int,
    eps: float,
    conv_state: Tensor | None,
    ssm_state: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same over a block of longer texts, without gradients: the output and both next states.

    projected: (batch, time, ...), overwritten; without z, only the states are of use. conv_state:
    (batch, x | B | C, width - 1); ssm_state: (batch, head, channel, state); None for the start.
    """
    fused = importlib.import_module(".fused", __package__)
    sizes = fused.Sizes(len(norm_weight), len(A), groups, states, eps)
    return fused.mamba2_stream(
        *(projected, conv_weight, conv_bias, dt_bias, A, D, norm_weight, sizes),
        *(conv_state, ssm_state),
    )


def fuses(inner: int, heads: int, groups: int, states: int, taps: int) -> bool:
    """Whether the kernels run the inside of a Mamba-2 block of these sizes in one step."""
    return (
        taps <= MAX_TAPS
        and (inner // heads) % LANES == 0
        and (inner // groups) % BLOCK == 0
        and (2 * groups * states) % LANES == 0
    )


def pad_history(x: Tensor, state: Tensor | None, width: int) -> Tensor:
    """Put the width - 1 inputs before x in front of it: (batch, width - 1 + time, channel)."""
    if state is None:
        return F.pad(x, (0, 0, width - 1, 0))
    return torch.cat([state.transpose(1, 2), x], dim=1)


def _default(x: Tensor, plain: str, cuda_kernel: Callable) -> str:
    """The kernels take float32 on a CPU, and no empty batches or sequences; plain forms do."""
    if x.is_cuda and x.numel() and cuda_kernel() is not None:
        return "cuda"
    return "cpu" if runs_ragged(x) else plain


def _cpu() -> ModuleType:
    """The Numba kernels, whose import takes time: not before one is needed."""
    return importlib.import_module(".cpu", __package__)


def _flattener(name: str, x: Tensor) -> tuple[Callable[[Tensor], Tensor], Texts]:
    """What makes (batch, time, ...) arrays ragged, and where the texts then lie."""
    if not runs_ragged(x):
        raise ValueError(
            f"{name}(backend='cpu') takes float32 arrays on a CPU that are not empty, not "
            f"{x.dtype} of shape {tuple(x.shape)} on {x.device}."
        )
    return lambda array: array.flatten(0, 1), Texts.of_lengths([x.shape[1]] * len(x))


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
