"""Lexicon features beside an embedding: a trainable row for each way of being part of a term."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model, deserialize_attr, serialize_attr
from thinc.types import Floats2d, Ints1d
from thinc.util import partial

from ..lexicon import Lexicon
from .initial_path import check_path

if TYPE_CHECKING:  # Numba is imported with the kernels, at their first use
    from ..pytorch.memberships import Memberships

_LETTERS = 4  # B, M, E, S


def LexiconRows(
    embed: Model[list[Doc], list[Floats2d]],
    path: str | None,
    width: int,
    max_length: int,
    fold_width: bool,
    lower: bool,
) -> Model[list[Doc], list[Floats2d]]:
    """An embedding plus the rows of the terms that each token is part of: (token, width) a doc.

    A token has a row for each different label, letter and length (in tokens, at most max_length)
    of the matches that it lies in. Rows start at 0, so that the embedding is at first unchanged.
    The lexicon is read from `path` by `initialize` only, and saved with the model.
    """
    return Model(
        "lexicon_rows",
        _forward,
        init=partial(_init, path),
        layers=[embed],
        dims={"nO": width, "nV": None},
        params={"E": None},
        attrs={
            "lexicon": Lexicon(fold_width=fold_width, lower=lower),
            "max_length": max_length,
        },
    )


def token_rows(model: Model, docs: list[Doc]) -> "Memberships":
    """The rows that each token of some docs has in a LexiconRows layer's table."""
    from ..pytorch.memberships import find_memberships

    lexicon: Lexicon = model.attrs["lexicon"]
    lengths = np.array([len(doc) for doc in docs], dtype="int64")
    matches = lexicon.matches(docs)
    return find_memberships(matches, lengths, *lexicon.sparse_labels, model.attrs["max_length"])


@serialize_attr.register(Lexicon)
def _serialize_lexicon(_: Any, value: Lexicon, name: str, model: Model) -> bytes:
    return value.to_bytes()


@deserialize_attr.register(Lexicon)
def _deserialize_lexicon(_: Any, value: bytes, name: str, model: Model) -> Lexicon:
    return Lexicon.from_bytes(value)


def _init(path: str | None, model: Model, X=None, Y=None) -> None:
    before: Lexicon = model.attrs["lexicon"]
    lexicon = _load(path, before.fold_width, before.lower)
    model.attrs["lexicon"] = lexicon
    n_rows = len(lexicon.labels) * _LETTERS * model.attrs["max_length"]
    model.set_param("E", None)  # another lexicon may be initialized in the place of one
    model.set_dim("nV", n_rows, force=True)
    model.set_param("E", model.ops.alloc2f(n_rows, model.get_dim("nO")))
    model.layers[0].initialize(X=X)


def _load(path: str | None, fold_width: bool, lower: bool) -> Lexicon:
    key = "`lexicon` of spacy_mamba_crf.LexiconEmbed.v1 (in this project, --paths.lexicon)"
    file = check_path(path, key, Path.is_file, "file", "of lines `term` or `term<TAB>label`")
    return Lexicon.from_file(file, fold_width=fold_width, lower=lower)


def _forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[list[Floats2d], Callable]:
    embedded, backprop_embed = model.layers[0](docs, is_train)
    found = token_rows(model, docs)
    lengths = cast(Ints1d, np.array([len(doc) for doc in docs], dtype="i"))
    Y = _joined(model, embedded, int(lengths.sum()))
    add = _add if model.ops.xp is np else add_plainly
    add(model, found, Y)

    def backprop(dYs: list[Floats2d]) -> Any:
        dY = _concatenated(model, dYs)
        scatter = _scatter if model.ops.xp is np else scatter_plainly
        scatter(model, found, dY)
        return backprop_embed(dYs)

    return model.ops.unflatten(Y, lengths), backprop


def _joined(model: Model, embedded: list[Floats2d], n_tokens: int) -> Any:
    """The embedding's vectors as one array that can be written to: (token, width)."""
    whole: Any = getattr(embedded[0], "base", None) if embedded else None
    # CharNgramEmbed's outputs are parts of a new array, which it does not read again. Others may
    # need theirs once more, or share it.
    if model.layers[0].name == "split_by_doc" and whole is not None:
        if whole.shape == (n_tokens, model.get_dim("nO")):
            return whole
    return _concatenated(model, embedded)


def _concatenated(model: Model, arrays: list[Floats2d]) -> Any:
    return model.ops.xp.concatenate([model.ops.alloc2f(0, model.get_dim("nO")), *arrays])


def _add(model: Model, found: "Memberships", Y: Any) -> None:
    from ..pytorch.memberships import add_memberships

    add_memberships(cast(Any, model.get_param("E")), found, Y)


def _scatter(model: Model, found: "Memberships", dY: Any) -> None:
    from ..pytorch.memberships import scatter_memberships

    dE: Any = model.maybe_get_grad("E")
    if dE is None:
        dE = np.zeros_like(model.get_param("E"))
    scatter_memberships(dE, found, dY)
    if not model.has_grad("E"):
        model.inc_grad("E", dE)


def add_plainly(model: Model, found: "Memberships", Y: Any) -> None:
    """Add each token's rows to Y, (token, width), by the operations of any device."""
    ops: Any = model.ops
    E: Any = model.get_param("E")
    ops.scatter_add(Y, ops.asarray1i(found.tokens), E[ops.asarray1i(found.rows)])


def scatter_plainly(model: Model, found: "Memberships", dY: Any) -> None:
    """Add the gradient of the rows, by the operations of any device."""
    ops: Any = model.ops
    E: Any = model.get_param("E")
    dE = ops.alloc2f(*E.shape)
    ops.scatter_add(dE, ops.asarray1i(found.rows), dY[ops.asarray1i(found.tokens)])
    model.inc_grad("E", dE)
