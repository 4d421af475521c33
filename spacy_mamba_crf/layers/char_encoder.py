"""A character encoder as a thinc layer: each different word of a batch is spelled and read once."""

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model
from thinc.types import Floats2d
from thinc.util import torch2xp, xp2torch

from ..pytorch.char_encoder import BEGIN, END, FIRST, CharEncoder
from ..token_strings import code_points
from .torch_shim import TorchShim


class Words(NamedTuple):
    """The different words of a batch, from the shortest to the longest.

    characters: (character,) int64, rows of the characters' table, the words side by side, each
    between its marks; lengths: (word,) int64, with the marks; token_word: (token,) int64, the
    number of each token's word.
    """

    characters: np.ndarray
    lengths: np.ndarray
    token_word: np.ndarray


def CharVectors(
    encoder: CharEncoder, width: int, rows: int, attr: str, max_length: int
) -> Model[list[Doc], list[Floats2d]]:
    """One (token, width) array a doc, from the characters of each token's `attr`.

    Of a word of more than max_length characters, the first and the last ones are read. Dropout of
    the characters' vectors follows thinc's `set_dropout_rate`.
    """
    return Model(
        "char_encoder",
        _forward,
        dims={"nO": width},
        attrs={"dropout_rate": 0.0, "attr": attr, "max_length": max_length, "rows": rows},
        shims=[TorchShim(encoder)],
    )


def spell_words(docs: list[Doc], attr: str, max_length: int, rows: int) -> Words:
    """The different words of docs, which share a vocab and have at least one token."""
    values = np.concatenate([doc.to_array(attr).astype("uint64").reshape(-1) for doc in docs])
    numbers, index = np.unique(values, return_inverse=True)
    strings = docs[0].vocab.strings
    words = [_shortened(strings[number], max_length) for number in numbers.tolist()]
    order = np.argsort([len(word) for word in words], kind="stable")
    # A character at each end keeps the place of a mark.
    marked = [f" {words[i]} " for i in order]
    lengths = np.array([len(word) for word in marked], dtype="int64")
    characters = FIRST + code_points("".join(marked)).astype("int64") % rows
    ends = lengths.cumsum()
    characters[ends - lengths] = BEGIN
    characters[ends - 1] = END
    return Words(characters, lengths, np.argsort(order)[index.reshape(-1)])


def _shortened(word: str, max_length: int) -> str:
    if len(word) <= max_length:
        return word
    tail = max_length // 2
    return word[: max_length - tail] + word[len(word) - tail :]


def _forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[list[Floats2d], Callable]:
    sizes = [len(doc) for doc in docs]
    if not sum(sizes):
        return [model.ops.alloc2f(0, model.get_dim("nO")) for _ in docs], lambda dYs: []
    shim = cast(TorchShim, model.shims[0])
    shim._model.set_dropout(model.attrs["dropout_rate"] or 0.0)
    attrs = model.attrs
    words = spell_words(docs, attrs["attr"], attrs["max_length"], attrs["rows"])
    inputs = tuple(torch.from_numpy(array).to(shim.device) for array in words)
    Y, torch_backprop = shim(ArgsKwargs(inputs, {}), is_train)

    def backprop(dYs: list[Floats2d]) -> list[Doc]:
        dY = xp2torch(model.ops.xp.concatenate(dYs), device=shim.device)
        torch_backprop(ArgsKwargs(((Y,),), {"grad_tensors": dY}))
        return []

    flat = cast(Floats2d, torch2xp(Y))
    return model.ops.unflatten(flat, model.ops.asarray1i(sizes)), backprop
