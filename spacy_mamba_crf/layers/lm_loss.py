"""A tok2vec whose encoder also learns to predict the words around each token, in training."""

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model
from thinc.types import Floats2d, Ints1d
from thinc.util import torch2xp, xp2torch

from ..pytorch.language_model import NeighbourLoss
from .torch_shim import TorchShim

# Class of the beginning and the end of a doc; the words' classes follow.
BOUNDARY = 0
# Tokens whose distributions over all words are held at once.
_BLOCK = 256


def WithNeighbourLoss(
    tok2vec: Model[list[Doc], list[Floats2d]], rows: int, hidden: int, weight: float
) -> Model[list[Doc], list[Floats2d]]:
    """A tok2vec, which has refs "embed" and "encode", and the loss of spacy_mamba_crf.LMLoss.v1."""
    width = tok2vec.get_dim("nO")
    return Model(
        "lm_loss",
        _forward,
        init=_init,
        layers=[tok2vec],
        refs={name: tok2vec.get_ref(name) for name in ("embed", "encode")},
        dims={"nO": width},
        attrs={"rows": rows, "weight": weight, "lm_loss": None},
        shims=[TorchShim(NeighbourLoss(width, hidden, rows + 1))],
    )


def neighbour_classes(docs: list[Doc], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(token,) int64 classes of the word after each token, and of the word before it."""
    after, before = [], []
    for doc in docs:
        words = 1 + (doc.to_array("NORM").reshape(-1) % np.uint64(rows)).astype("int64")
        edged = np.concatenate([[BOUNDARY], words, [BOUNDARY]])
        after.append(edged[2:])
        before.append(edged[:-2])
    return np.concatenate(after), np.concatenate(before)


def _init(model: Model, X=None, Y=None) -> None:
    model.layers[0].initialize(X=X, Y=Y)


def _forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[list[Floats2d], Callable]:
    Ys, backprop_tok2vec = model.layers[0](docs, is_train)

    def backprop(dYs: list[Floats2d]) -> list[Doc]:
        if model.attrs["weight"] and any(len(doc) for doc in docs):
            dYs = [dY + extra for dY, extra in zip(dYs, _loss_gradient(model, docs, Ys))]
        return backprop_tok2vec(dYs)

    return Ys, backprop


def _loss_gradient(model: Model, docs: list[Doc], Ys: list[Floats2d]) -> list[Floats2d]:
    """The gradient of weight * loss by the encoder's output; the head's own gradient is added."""
    shim = cast(TorchShim, model.shims[0])
    lengths = [len(doc) for doc in docs]
    after, before = neighbour_classes(docs, model.attrs["rows"])
    states = model.ops.xp.concatenate(Ys)
    n_docs = np.count_nonzero(lengths)
    scale = torch.tensor(model.attrs["weight"] / n_docs, device=shim.device)
    loss, gradients = 0.0, []
    for start in range(0, len(states), _BLOCK):
        part = slice(start, start + _BLOCK)
        x = xp2torch(states[part], requires_grad=True, device=shim.device)
        targets = (torch.from_numpy(classes[part]).to(shim.device) for classes in (after, before))
        value, backprop = shim.begin_update(ArgsKwargs((x, *targets), {}))
        gradient = backprop(ArgsKwargs(((value,),), {"grad_tensors": scale}))
        gradients.append(cast(Floats2d, torch2xp(gradient.args[0])))
        loss += float(value.detach())
    model.attrs["lm_loss"] = loss / n_docs
    flat = model.ops.xp.concatenate(gradients)
    return model.ops.unflatten(flat, cast(Ints1d, model.ops.asarray1i(lengths)))
