"""A torch encoder over a list of texts as a thinc layer: List[Floats2d] in, List[Floats2d] out."""

from collections.abc import Callable
from typing import Any, cast

import torch
from thinc.api import ArgsKwargs, Model
from thinc.types import ArrayXd, Floats2d
from thinc.util import torch2xp, xp2torch
from torch import nn

from ..pytorch.bidirectional import NO_WEIGHT_DECAY
from ..pytorch.threads import shares_only
from .torch_shim import TorchShim

InT = list[Floats2d]
OutT = list[Floats2d]


def TorchEncoder(
    encoder: nn.Module, nI: int, nO: int, *, mixed_precision: bool = False
) -> Model[InT, OutT]:
    """Wrap an encoder: (token, nI) texts side by side and (text,) lengths in, (token, nO) out.

    In training an encoder may give several readings of the texts one after the other, (reading *
    token, nO); the layer's output then has as many arrays a text, reading by reading.
    Its dropout follows thinc's `set_dropout_rate` through the module's `set_dropout(rate)`.
    """
    return Model(
        "torch_encoder",
        forward,
        dims={"nI": nI, "nO": nO},
        attrs={"dropout_rate": 0.0},
        shims=[TorchShim(encoder, NO_WEIGHT_DECAY, mixed_precision)],
    )


def forward(model: Model[InT, OutT], Xs: InT, is_train: bool) -> tuple[OutT, Callable]:
    """Xs: one (token, nI) array a text; texts without tokens are fine."""
    sizes = [len(X) for X in Xs]
    if not sum(sizes):
        return _empty(model, Xs, "nO"), lambda dYs: _empty(model, Xs, "nI")
    shim = cast(TorchShim, model.shims[0])
    encoder: Any = shim._model
    encoder.set_dropout(model.attrs["dropout_rate"] or 0.0)
    filled = [X for X in Xs if len(X)]  # transformers give the others arrays without columns
    joined = filled[0] if len(filled) == 1 else model.ops.xp.concatenate(filled)
    _check_width(model, joined)
    flat = xp2torch(joined, requires_grad=is_train, device=shim.device)
    lengths = torch.tensor(sizes, device=shim.device)
    with shares_only():
        Y, torch_backprop = shim(ArgsKwargs((flat, lengths), {}), is_train)

    def backprop(dYs: OutT) -> InT:
        dY = xp2torch(model.ops.xp.concatenate(dYs), device=shim.device)
        with shares_only():
            gradient = torch_backprop(ArgsKwargs(((Y,),), {"grad_tensors": dY}))
        return _split(model, torch2xp(gradient.args[0]), sizes)

    return _split(model, torch2xp(Y), sizes * (len(Y) // len(flat))), backprop


def _check_width(model: Model[InT, OutT], X: Floats2d) -> None:
    if X.shape[1] != model.get_dim("nI"):
        raise ValueError(
            f"An encoder (the one with input_width = {model.get_dim('nI')} and width = "
            f"{model.get_dim('nO')}) was given vectors of {X.shape[1]}: set its input_width to the "
            "width of what comes before it."
        )


def _split(model: Model, flat: ArrayXd, sizes: list[int]) -> list[Floats2d]:
    return model.ops.unflatten(cast(Floats2d, flat), model.ops.asarray1i(sizes))


def _empty(model: Model, Xs: InT, dim: str) -> list[Floats2d]:
    return [model.ops.alloc2f(0, model.get_dim(dim)) for _ in Xs]
