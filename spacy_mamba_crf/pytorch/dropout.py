"""Dropout whose random numbers belong to a thread, and on a CPU are made where they are used."""

import contextlib
import importlib
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_local = threading.local()


@contextlib.contextmanager
def random_numbers(seed: int) -> Iterator[None]:
    """Within this, dropout on this thread depends on the seed, not on what other threads do."""
    _local.generator = torch.Generator().manual_seed(seed)
    try:
        yield
    finally:
        _local.generator = None


class Dropout(nn.Dropout):
    """nn.Dropout, faster on a CPU: torch draws its numbers there one by one."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        if x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x)
        generator = getattr(_local, "generator", None)
        seed = int(torch.randint(2**31, (), generator=generator))
        return _Dropout.apply(x.contiguous(), self.p, seed)


class _Dropout(torch.autograd.Function):
    """Nothing is kept but the seed: the way back draws the same numbers again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float, seed: int) -> Tensor:
        ctx.settings = rate, seed
        return _drop(x, rate, seed)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor):
        return _drop(dy.contiguous(), *ctx.settings), None, None


def _drop(x: Tensor, rate: float, seed: int) -> Tensor:
    kernels = importlib.import_module(".dropout_kernel", __package__)
    y = torch.empty_like(x)
    kernels.drop(x.detach().view(-1).numpy(), rate, seed, y.view(-1).numpy())
    return y


class VariationalDropout(nn.Dropout):
    """The same channels are dropped at every step of a text (Gal & Ghahramani 2016).

    x: (batch, time, channel).
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        generator = getattr(_local, "generator", None) if x.device.type == "cpu" else None
        shape = (x.shape[0], 1, x.shape[2])
        drawn = torch.rand(shape, device=x.device, generator=generator)
        return x * ((drawn >= self.p).to(x) / (1 - self.p))
