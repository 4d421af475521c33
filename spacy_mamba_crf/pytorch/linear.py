"""A linear layer with the fastest matrix product that torch has on a CPU."""

import functools
import logging
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

logger = logging.getLogger("spacy_mamba_crf")

# oneDNN prepares a kernel for each number of rows that it meets, which takes longer than to run it:
# callers round their rows up to a multiple of this.
ROWS = 64


class Linear(nn.Linear):
    """nn.Linear; float32 on a CPU runs in oneDNN, which leaves MKL behind on some CPUs.

    `bf16`: without gradients on a CPU, multiply in bfloat16 (and add up in float32).
    `bf16_training`: with gradients, too, those included.
    """

    bf16 = False
    bf16_training = False

    def forward(self, x: Tensor) -> Tensor:
        bf16 = self.bf16_training if torch.is_grad_enabled() else self.bf16
        return linear(x, self.weight, self.bias, bf16=bf16)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, bf16: bool = False) -> Tensor:
    """x W^T + b; x: (..., in), weight: (out, in), bias: (out,)."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or not x.numel():
        return F.linear(x, weight, bias)
    if bf16:
        return _multiply_reduced(x, weight, bias)
    return _Product.apply(x, weight, bias) if onednn_works() else F.linear(x, weight, bias)


class _Product(torch.autograd.Function):
    """x W^T + b. Gradients are products of the same kind, of arrays seen transposed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor):
        x, weight = ctx.saved_tensors
        dy = dy.contiguous()
        dx = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            dx = _multiply(dy, weight.t(), None)
        flat = dy.flatten(0, -2)
        if ctx.needs_input_grad[1]:
            d_weight = _multiply(x.flatten(0, -2).contiguous().t(), flat.t(), None).t()
        if ctx.needs_input_grad[2]:
            d_bias = flat.sum(0)
        return dx, d_weight, d_bias


def _multiply_reduced(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """In bfloat16; parameters and their gradients stay float32."""
    reduced = None if bias is None else bias.bfloat16()
    return F.linear(x.bfloat16(), weight.bfloat16(), reduced).float()


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@functools.cache
def onednn_works() -> bool:
    """Whether torch's oneDNN product can be called and is right, tried once."""
    x, weight = torch.rand(3, 5), torch.rand(4, 5)
    try:
        with torch.no_grad():
            works = torch.allclose(_multiply(x, weight, None), F.linear(x, weight), atol=1e-5)
    except (AttributeError, RuntimeError) as error:
        logger.info("oneDNN's linear product is not usable (%s); using torch's own.", error)
        return False
    return works


@functools.cache
def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in probes)
