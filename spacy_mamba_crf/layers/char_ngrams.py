"""Keys of the n-grams around each token, and a table of hashed rows that sums over keys."""

import functools
import unicodedata
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from spacy.attrs import NAMES
from spacy.strings import get_string_id
from spacy.tokens import Doc
from thinc.api import Model, uniform_init
from thinc.types import Floats2d, Ints2d
from thinc.util import partial

# Windows of a token by order: how far each key's first and last token lie from it.
WINDOWS: dict[int, list[tuple[int, int]]] = {
    1: [(0, 0)],
    2: [(-1, 0), (0, 1)],
    3: [(-2, 0), (-1, 1), (0, 2)],
}
# Edges of a token: prefixes and suffixes of up to three characters, and its shape.
N_EDGES = 7
_BORDER = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)


def NgramKeys(order: int, attr: str, fold_width: bool) -> Model[list[Doc], Ints2d]:
    """For each token, one key an n-gram of `order` neighbouring tokens that it is part of.

    Output: (token, 1 | 2 | 3) uint64, the docs side by side. Left and right n-grams get different
    keys. attr: the token attribute compared, e.g. "NORM". fold_width: full-width and other
    compatibility forms of a character count as the plain one (Unicode NFKC).
    """
    attrs = {"order": order, "attr": attr, "fold_width": fold_width}
    return Model("ngram_keys", _ngram_forward, attrs=attrs)


def EdgeKeys(attr: str) -> Model[list[Doc], Ints2d]:
    """For each token, keys of its prefixes, suffixes and shape: (token, 7) uint64."""
    return Model("edge_keys", _edge_forward, attrs={"attr": attr})


def HashedRows(
    width: int, rows: int, seed: int, token_dropout: float = 0.0
) -> Model[Ints2d, Floats2d]:
    """The sum, over a token's keys, of the four table rows that each key hashes to.

    Input: (token, key) uint64; output: (token, width). (Svenstrup et al. 2017, hash embeddings,
    unweighted, as thinc's HashEmbed.) token_dropout: in training, the share of tokens that get
    nothing from this table.
    """
    return Model(
        "hashed_rows",
        _rows_forward,
        init=partial(_rows_init, uniform_init),
        dims={"nO": width, "nV": rows, "nI": None},
        params={"E": None},
        attrs={"seed": seed, "token_dropout": token_dropout},
    )


def SplitByDoc(layer: Model[list[Doc], Floats2d], width: int) -> Model[list[Doc], list[Floats2d]]:
    """Give each doc its own array of a layer's (token, width) output."""
    dims: dict[str, int | None] = {"nO": width}
    return Model("split_by_doc", _split_forward, init=_split_init, layers=[layer], dims=dims)


def _ngram_forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[Ints2d, Callable]:
    lengths = np.array([len(doc) for doc in docs], dtype="i")
    keys = _token_keys(docs, model.attrs["attr"], model.attrs["fold_width"])
    position, size = _positions(lengths)
    columns = []
    for number, (left, right) in enumerate(WINDOWS[model.attrs["order"]]):
        column = np.full(len(keys), number, dtype="uint64")
        for offset in range(left, right + 1):
            column = _mix(column, _shifted(keys, position, size, offset))
        columns.append(column)
    return _as_keys(model, np.stack(columns, axis=1)), lambda _: []


def _edge_forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[Ints2d, Callable]:
    words = _flat_attr(docs, model.attrs["attr"])
    shapes = _flat_attr(docs, "SHAPE")
    edges = _map_strings(docs, words, _edges).reshape(-1, N_EDGES - 1)
    keys = np.concatenate([edges, _mix(np.uint64(N_EDGES), shapes)[:, None]], axis=1)
    return _as_keys(model, keys), lambda _: []


def _rows_init(initializer: Callable, model: Model, X=None, Y=None) -> None:
    shape = (model.get_dim("nV"), model.get_dim("nO"))
    model.set_param("E", initializer(model.ops, shape))


def _as_keys(model: Model, keys: Any) -> Ints2d:
    return cast(Ints2d, model.ops.asarray(keys))


def _rows_forward(model: Model, keys: Any, is_train: bool) -> tuple[Floats2d, Callable]:
    E: Any = model.get_param("E")
    n_tokens, n_keys = keys.shape
    if not n_tokens:
        return model.ops.alloc2f(0, E.shape[1]), lambda dY: keys
    flat = model.ops.as_contig(keys.reshape(-1), dtype="uint64")
    rows = model.ops.hash(flat, model.attrs["seed"]) % E.shape[0]
    rows = rows.reshape(n_tokens, n_keys * rows.shape[1])

    rate = model.attrs["token_dropout"] if is_train else 0.0
    kept: Any = model.ops.get_dropout_mask((n_tokens, 1), rate)  # scaled

    def backprop(dY: Floats2d) -> Any:
        dY = dY * kept if rate else dY
        dE = model.ops.alloc2f(*E.shape)
        for column in range(rows.shape[1]):
            model.ops.scatter_add(dE, rows[:, column].astype("i"), dY)
        model.inc_grad("E", dE)
        return keys

    Y = model.ops.gather_add(E, rows)
    return (Y * kept if rate else Y), backprop


def _split_forward(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable]:
    Y, backprop = model.layers[0](docs, is_train)
    lengths = model.ops.asarray1i([len(doc) for doc in docs])

    def backprop_split(dYs: list[Floats2d]) -> list[Doc]:
        return backprop(model.ops.xp.concatenate(dYs))

    return model.ops.unflatten(Y, lengths), backprop_split


def _split_init(model: Model, X=None, Y=None) -> None:
    model.layers[0].initialize(X=X)


def _flat_attr(docs: list[Doc], attr: str) -> np.ndarray:
    arrays = [doc.to_array(attr).astype("uint64").reshape(-1) for doc in docs]
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype="uint64")


def _token_keys(docs: list[Doc], attr: str, fold_width: bool) -> np.ndarray:
    """(token,) uint64 over all docs."""
    keys = _flat_attr(docs, attr)
    return _map_strings(docs, keys, _folded) if fold_width else keys


def _map_strings(docs: list[Doc], keys: np.ndarray, function: Callable) -> np.ndarray:
    """A function of a string, once for each different one of the tokens' keys. (token, ...)"""
    unique, inverse = np.unique(keys, return_inverse=True)
    strings: Any = docs[0].vocab.strings if docs else {}
    return np.array([function(strings[int(key)]) for key in unique], dtype="uint64")[inverse]


@functools.lru_cache(maxsize=1 << 18)
def _folded(text: str) -> int:
    return get_string_id(unicodedata.normalize("NFKC", text))


@functools.lru_cache(maxsize=1 << 18)
def _edges(text: str) -> tuple[int, ...]:
    parts = [f"^{text[:n]}" for n in (1, 2, 3)] + [f"{text[-n:]}$" for n in (1, 2, 3)]
    return tuple(get_string_id(part) for part in parts)


def _positions(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each token's place in its doc, and its doc's length. (token,) each"""
    size = np.repeat(lengths, lengths)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.arange(len(size)) - starts, size


def _shifted(keys: np.ndarray, position: np.ndarray, size: np.ndarray, offset: int) -> np.ndarray:
    """The key `offset` tokens on, a border key where the doc ends."""
    inside = (position + offset >= 0) & (position + offset < size)
    index = np.clip(np.arange(len(keys)) + offset, 0, max(len(keys) - 1, 0))
    return np.where(inside, keys[index], _BORDER)


def _mix(key: np.ndarray | np.uint64, other: np.ndarray) -> np.ndarray:
    """Fold another key in; the order of folding matters (as in MurmurHash3's finaliser)."""
    with np.errstate(over="ignore"):
        mixed = (key ^ other) * _MULTIPLIER
        return mixed ^ (mixed >> np.uint64(33))


def check_attr(attr: str) -> None:
    """Raise ValueError if this is not the name of a spaCy token attribute."""
    if attr not in NAMES:
        raise ValueError(
            f"CharNgramEmbed: attr = {attr!r} is no token attribute of spaCy; "
            'use one such as "NORM", "LOWER" or "ORTH".'
        )
