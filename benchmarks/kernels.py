"""What `scan` compares: our kernels by backend, and the peers that compute the same."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from spacy_mamba_crf.pytorch import scan

Arrays = dict[str, Tensor]
PLAIN = "reference"
STORED = "stored loop"


@dataclass(frozen=True)
class Size:
    """batch x time x channel, and the state of a channel."""

    batch: int
    time: int
    channel: int = 512
    state: int = 16

    @property
    def tokens(self) -> int:
        return self.batch * self.time

    @property
    def unit(self) -> int:
        """Bytes of one float32 array of (batch, time, channel)."""
        return 4 * self.tokens * self.channel


@dataclass(frozen=True)
class Candidate:
    """One way to compute a kernel. forward, both: how many (batch, time, channel) arrays are alive
    at the peak, roughly, forwards and in forward and backward together."""

    run: Callable[[Arrays], Tensor]
    forward: int
    both: int


@dataclass(frozen=True)
class Kernel:
    """A kernel's inputs for a size and the candidates that compute it, by name."""

    make: Callable[[Size], Arrays]
    candidates: dict[str, Candidate]


def make_kernels(state: int, device: str, missing: Callable[[str], None]) -> dict[str, Kernel]:
    """The kernels by name; missing(sentence) hears of each peer that is not installed."""
    selective = {
        name: Candidate(_selective_scan(name), 4, _alive(name, 10, 4 * state))
        for name in _backends(getattr(scan, "SELECTIVE_SCAN_BACKENDS", (PLAIN,)), device)
    }
    peers: list[tuple[str, Callable[[], Callable[[Arrays], Tensor]], int, int]] = [
        ("mambapy", _mambapy, 6 * state, 10 * state)
    ]
    if device == "cuda":
        peers.append(("mamba-ssm", _mamba_ssm, 5, 12))
    selective[STORED] = Candidate(_stored_loop, 4 * state, 6 * state)
    for name, load, forward, both in peers:
        try:
            selective[name] = Candidate(load(), forward, both)
        except ImportError:
            missing(f"{name} is not installed, so it was left out.")
    ssd = {
        name: Candidate(_ssd_scan(name), 8, _alive(name, 16, 6 * state))
        for name in _backends(getattr(scan, "SSD_SCAN_BACKENDS", (PLAIN,)), device)
    }
    conv = {
        name: Candidate(_causal_conv(name), 6, 14)
        for name in _backends(getattr(scan, "CAUSAL_CONV_BACKENDS", ()), device)
    }
    conv["torch conv1d"] = Candidate(_torch_conv, 6, 12)
    return {
        "selective_scan": Kernel(_selective_arrays, selective),
        "ssd_scan": Kernel(_ssd_arrays, ssd),
        "causal_conv": Kernel(_conv_arrays, conv),
    }


def _backends(names: tuple[str, ...], device: str) -> list[str]:
    other = "cpu" if device == "cuda" else "cuda"
    return [name for name in names if name != other]


def _alive(backend: str, fused: int, plain: int) -> int:
    """Under autograd the plain loop keeps the states of all steps."""
    return plain if backend == PLAIN else fused


def _selective_arrays(size: Size) -> Arrays:
    """As a Mamba-1 block makes them: dt about 0.02, A = -1 ... -state."""
    batch, time, channel, state = size.batch, size.time, size.channel, size.state
    return {
        "x": torch.randn(batch, time, channel),
        "dt": F.softplus(torch.randn(batch, time, channel) - 4),
        "A": -torch.arange(1.0, state + 1).repeat(channel, 1),
        "B": torch.randn(batch, time, state),
        "C": torch.randn(batch, time, state),
        "D": torch.ones(channel),
    }


def _ssd_arrays(size: Size) -> Arrays:
    """As a Mamba-2 block makes them: heads of 64 channels, one group, twice the state."""
    batch, time, head, state = size.batch, size.time, size.channel // 64, 2 * size.state
    return {
        "x": torch.randn(batch, time, head, 64),
        "dt": F.softplus(torch.randn(batch, time, head) - 4),
        "A": -torch.linspace(1.0, 16.0, head),
        "B": torch.randn(batch, time, 1, state),
        "C": torch.randn(batch, time, 1, state),
        "D": torch.ones(head),
    }


def _conv_arrays(size: Size) -> Arrays:
    return {
        "x": torch.randn(size.batch, size.time, size.channel),
        "weight": torch.rand(size.channel, 1, 4) - 0.5,
        "bias": torch.rand(size.channel) - 0.5,
    }


def _selective_scan(backend: str) -> Callable[[Arrays], Tensor]:
    function: Callable = scan.selective_scan
    return lambda arrays: function(**arrays, backend=backend)[0]


def _ssd_scan(backend: str) -> Callable[[Arrays], Tensor]:
    function: Callable = scan.ssd_scan
    return lambda arrays: function(**arrays, backend=backend, return_final_state=False)[0]


def _causal_conv(backend: str) -> Callable[[Arrays], Tensor]:
    function: Callable = scan.causal_conv
    return lambda arrays: function(**arrays, backend=backend)


def _torch_conv(arrays: Arrays) -> Tensor:
    """The causal convolution as mamba-ssm's plain path writes it."""
    x, weight = arrays["x"], arrays["weight"]
    padding = weight.shape[-1] - 1
    y = F.conv1d(x.transpose(1, 2), weight, arrays["bias"], padding=padding, groups=len(weight))
    return F.silu(y[..., : x.shape[1]]).transpose(1, 2)


def _stored_loop(arrays: Arrays) -> Tensor:
    """The plain loop of the published code: the products of all steps at once, then the steps.

    (`selective_scan_ref` of mamba-ssm, `selective_scan_seq` of mambapy.) The leaner `reference`
    makes them step by step.
    """
    x, dt, A, B, C, D = (arrays[name] for name in ("x", "dt", "A", "B", "C", "D"))
    decay = torch.exp(dt[..., None] * A)  # (batch, time, channel, state)
    update = dt[..., None] * B[:, :, None] * x[..., None]
    state = torch.zeros_like(update[:, 0])
    states = []
    for step_decay, step_update in zip(decay.unbind(1), update.unbind(1)):
        state = step_decay * state + step_update
        states.append(state)
    return (torch.stack(states, dim=1) @ C[..., None]).squeeze(-1) + D * x


def _mambapy() -> Callable[[Arrays], Tensor]:
    """mambapy's parallel scan between the products of its MambaBlock.selective_scan."""
    pscan = importlib.import_module("mambapy.pscan").pscan

    def run(arrays: Arrays) -> Tensor:
        x, dt, A, B, C, D = (arrays[name] for name in ("x", "dt", "A", "B", "C", "D"))
        decay = torch.exp(dt[..., None] * A)  # (batch, time, channel, state)
        states = pscan(decay, dt[..., None] * B[:, :, None] * x[..., None])
        return (states @ C[..., None]).squeeze(3) + D * x

    return run


def _mamba_ssm() -> Callable[[Arrays], Tensor]:
    """mamba-ssm's CUDA kernel, called directly."""
    module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")

    def run(arrays: Arrays) -> Tensor:
        x, dt, B, C = (arrays[name].transpose(1, 2).contiguous() for name in ("x", "dt", "B", "C"))
        return module.selective_scan_fn(x, dt, arrays["A"], B, C, arrays["D"]).transpose(1, 2)

    return run
