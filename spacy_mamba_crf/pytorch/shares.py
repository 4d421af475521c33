"""An encoder over a ragged batch, dealt out to threads share by share, forwards and back."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .dropout import random_numbers
from .threads import available_threads, deal, run_shares

# Maps the tokens of some texts (token, channel), and the texts' lengths, to (token, width).
Encode = Callable[[Tensor, list[int]], Tensor]


def encode_in_shares(encode: Encode, x: Tensor, lengths: list[int], module: nn.Module) -> Tensor:
    """encode(x, lengths), as many shares of whole texts at once as torch has threads.

    x: (token, channel), the texts side by side; the parameters of `module` are those that `encode`
    uses. Returns (token, width). What `encode` makes of a text must not depend on the others.
    """
    shares = deal(lengths, available_threads() if x.device.type == "cpu" else 1)
    if len(shares) <= 1:
        return encode(x, lengths)
    if not torch.is_grad_enabled():
        parts = run_shares(lambda share: _encode(encode, x, lengths, share), shares)
        return _join(parts, lengths, shares)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return _InShares.apply(encode, lengths, shares, x, *parameters)


class _InShares(torch.autograd.Function):
    """Keeps a graph for each share, so that the way back, too, runs on all threads."""

    @staticmethod
    def forward(ctx: Any, encode: Encode, lengths, shares, x, *parameters):
        seeds = torch.randint(2**62, (len(shares),)).tolist()

        def run(item: tuple[list[int], int]) -> tuple[Tensor, Tensor]:
            share, seed = item
            with random_numbers(seed), torch.enable_grad():
                own = _take(x.detach(), lengths, share).requires_grad_()
                return own, encode(own, [lengths[i] for i in share])

        ctx.graphs = run_shares(run, list(zip(shares, seeds)))
        ctx.layout = lengths, shares
        ctx.parameters = parameters
        return _join([y.detach() for _, y in ctx.graphs], lengths, shares)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor):
        lengths, shares = ctx.layout

        def run(item: tuple[list[int], tuple[Tensor, Tensor]]) -> Sequence[Tensor | None]:
            share, (x, y) = item
            d_own = _take(dy, lengths, share)
            return torch.autograd.grad(y, [x, *ctx.parameters], d_own, allow_unused=True)

        gradients = run_shares(run, list(zip(shares, ctx.graphs)))
        del ctx.graphs
        dx = _join([cast(Tensor, own[0]) for own in gradients], lengths, shares)
        return None, None, None, dx, *(_sum(parts) for parts in zip(*(g[1:] for g in gradients)))


def _encode(encode: Encode, x: Tensor, lengths: list[int], share: list[int]) -> Tensor:
    with torch.no_grad():  # which each thread decides for itself
        return encode(_take(x, lengths, share), [lengths[i] for i in share])


def _take(x: Tensor, lengths: list[int], share: list[int]) -> Tensor:
    texts = x.split(lengths)
    return torch.cat([texts[i] for i in share])


def _join(parts: list[Tensor], lengths: list[int], shares: list[list[int]]) -> Tensor:
    texts: list[Tensor] = [parts[0]] * len(lengths)
    for part, share in zip(parts, shares):
        for i, text in zip(share, part.split([lengths[i] for i in share])):
            texts[i] = text
    return torch.cat(texts)


def _sum(parts: Sequence[Tensor | None]) -> Tensor | None:
    """In the order of the shares, so that the result is always the same."""
    present = [part for part in parts if part is not None]
    return sum(present[1:], present[0]) if present else None
