"""Hash embeddings of the n-grams around each token: the layers, and their sum in CPU kernels."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from spacy.attrs import NAMES
from spacy.tokens import Doc
from thinc.api import Model, add, chain, uniform_init
from thinc.types import Floats2d, Ints1d, Ints2d
from thinc.util import partial

from .token_keys import N_AFFIXES, Folding, TokenBatch

if TYPE_CHECKING:  # Numba is imported with the kernels, at their first use
    from ..pytorch.hashed_rows import Rows

# Windows of a token by order: how far each key's first and last token lie from it.
WINDOWS: dict[int, list[tuple[int, int]]] = {
    1: [(0, 0)],
    2: [(-1, 0), (0, 1)],
    3: [(-2, 0), (-1, 1), (0, 2)],
}
_SHAPE = np.uint64(N_AFFIXES + 1)
_MULTIPLIER = np.uint64(0xFF51AFD7ED558CCD)


def NgramKeys(order: int) -> Model[TokenBatch, Ints2d]:
    """For each token, one key an n-gram of `order` neighbouring tokens that it is part of.

    Output: (token, 1 | 2 | 3) uint64, the docs side by side. Left and right n-grams get different
    keys.
    """
    return Model("ngram_keys", _ngram_forward, attrs={"order": order})


def EdgeKeys() -> Model[TokenBatch, Ints2d]:
    """For each token, keys of its prefixes and suffixes of 1-3 characters, and of its shape.

    Output: (token, 7) uint64.
    """
    return Model("edge_keys", _edge_forward)


def RadicalKeys() -> Model[TokenBatch, Ints2d]:
    """For each token, keys of the Kangxi radicals of its first and its last character.

    Output: (token, 2) uint64.
    """
    return Model("radical_keys", _radical_forward)


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


def SumOfTables(
    tables: list[tuple[Model[TokenBatch, Ints2d], Model[Ints2d, Floats2d]]],
    width: int,
    attr: str,
    folding: Folding,
    mask_rate: float = 0.0,
) -> Model[list[Doc], list[Floats2d]]:
    """The sum of the tables' rows, one (token, width) array a doc.

    tables: layers of keys, each with its HashedRows. attr, folding: see TokenBatch. mask_rate: in
    training, the share of tokens that are hidden. On a GPU the layers run one by one; on a CPU,
    kernels do the same, a block of tokens at a time.
    """
    chains: list[Model] = [chain(keys, rows) for keys, rows in tables]
    return Model(
        "split_by_doc",
        _sum_forward,
        init=_sum_init,
        layers=[chains[0] if len(chains) == 1 else add(*chains)],
        dims={"nO": width},
        attrs={
            "attr": attr,
            "fold_width": folding.width,
            "fold_script": folding.script,
            "fold_edges": folding.edges,
            "fold_emoji": folding.emoji,
            "mask_rate": mask_rate,
        },
    )


def check_attr(attr: str) -> None:
    """Raise ValueError if this is not the name of a spaCy token attribute."""
    if attr not in NAMES:
        raise ValueError(
            f"CharNgramEmbed: attr = {attr!r} is no token attribute of spaCy; "
            'use one such as "NORM", "LOWER" or "ORTH".'
        )


def _ngram_forward(model: Model, tokens: TokenBatch, is_train: bool) -> tuple[Ints2d, Callable]:
    columns = []
    for number, (left, right) in enumerate(WINDOWS[model.attrs["order"]]):
        column = np.full(len(tokens), number, dtype="uint64")
        for offset in range(left, right + 1):
            column = _mix(column, tokens.keys[tokens.places + offset])
        columns.append(column)
    return _as_keys(model, np.stack(columns, axis=1)), lambda _: []


def _edge_forward(model: Model, tokens: TokenBatch, is_train: bool) -> tuple[Ints2d, Callable]:
    keys = np.empty((len(tokens), N_AFFIXES + 1), dtype="uint64")
    for number, part in enumerate(tokens.blocks):
        keys[part, :N_AFFIXES] = tokens.affixes(number)[tokens.distinct[number].token_string]
    keys[:, N_AFFIXES] = _mix(_SHAPE, tokens.shapes)
    return _as_keys(model, keys), lambda _: []


def _radical_forward(model: Model, tokens: TokenBatch, is_train: bool) -> tuple[Ints2d, Callable]:
    keys = np.empty((len(tokens), 2), dtype="uint64")
    for number, part in enumerate(tokens.blocks):
        keys[part] = tokens.radicals(number)[tokens.distinct[number].token_string]
    return _as_keys(model, keys), lambda _: []


def _as_keys(model: Model, keys: Any) -> Ints2d:
    return cast(Ints2d, model.ops.asarray(keys))


def _mix(key: np.ndarray | np.uint64, other: np.ndarray) -> np.ndarray:
    """Fold another key in; the order of folding matters (as in MurmurHash3's finaliser)."""
    with np.errstate(over="ignore"):
        mixed = (key ^ other) * _MULTIPLIER
        return mixed ^ (mixed >> np.uint64(33))


def _rows_init(initializer: Callable, model: Model, X=None, Y=None) -> None:
    shape = (model.get_dim("nV"), model.get_dim("nO"))
    model.set_param("E", initializer(model.ops, shape))


def _rows_forward(model: Model, keys: Any, is_train: bool) -> tuple[Floats2d, Callable]:
    E: Any = model.get_param("E")
    n_tokens, n_keys = keys.shape
    if not n_tokens:
        return model.ops.alloc2f(0, E.shape[1]), lambda dY: keys
    flat = model.ops.as_contig(keys.reshape(-1), dtype="uint64")
    rows = model.ops.hash(flat, model.attrs["seed"]) % E.shape[0]
    rows = rows.reshape(n_tokens, n_keys * rows.shape[1])
    kept = _kept_tokens(model, n_tokens, is_train)

    def backprop(dY: Floats2d) -> Any:
        dY = dY if kept is None else dY * kept
        dE = model.ops.alloc2f(*E.shape)
        for column in range(rows.shape[1]):
            model.ops.scatter_add(dE, rows[:, column].astype("i"), dY)
        model.inc_grad("E", dE)
        return keys

    Y = model.ops.gather_add(E, rows)
    return (Y if kept is None else Y * kept), backprop


def _kept_tokens(model: Model, n_tokens: int, is_train: bool) -> Any:
    """(token, 1), 0 for dropped tokens, the others scaled up; None without dropout."""
    rate = model.attrs["token_dropout"] if is_train else 0.0
    return model.ops.get_dropout_mask((n_tokens, 1), rate) if rate else None


def _sum_init(model: Model, X=None, Y=None) -> None:
    model.layers[0].initialize(X=None if X is None else _batch(model, X))


def _batch(model: Model, docs: list[Doc], is_train: bool = False) -> TokenBatch:
    folding = Folding(*(model.attrs[f"fold_{name}"] for name in Folding._fields))
    hidden = None
    if is_train and model.attrs["mask_rate"]:
        hidden = np.random.uniform(size=sum(map(len, docs))) < model.attrs["mask_rate"]
    return TokenBatch(docs, model.attrs["attr"], folding, hidden)


def _sum_forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[list[Floats2d], Callable]:
    tokens = _batch(model, docs, is_train)
    if model.ops.xp is np:
        Y, backprop = _run_kernels(model, tokens, is_train)
    else:
        Y, backprop = model.layers[0](tokens, is_train)

    def backprop_split(dYs: list[Floats2d]) -> list[Doc]:
        backprop(model.ops.xp.concatenate(dYs))
        return []

    return model.ops.unflatten(Y, cast(Ints1d, tokens.lengths)), backprop_split


class _Table:
    """A table in one pass over a batch: the rows of each block, and the tokens that get them."""

    def __init__(self, chain: Model, tokens: TokenBatch, is_train: bool):
        self.keys, self.layer = chain.layers
        self.tokens = tokens
        kept = _kept_tokens(self.layer, len(tokens), is_train)
        self.scale = np.ones(len(tokens), dtype="float32") if kept is None else kept.reshape(-1)

    def add(self, block: int, Y: np.ndarray) -> None:
        """Add the sum of each token's rows to a block of the output: (token, width) float32."""
        from ..pytorch.hashed_rows import add_rows

        E: Any = self.layer.get_param("E")
        for rows in self._rows(block):
            add_rows(E, rows, self.scale[self.tokens.blocks[block]], Y)

    def scatter(self, dY: np.ndarray) -> None:
        """Add to the table's gradient, in place if it has one: dY: (token, width) float32."""
        from ..pytorch.hashed_rows import scatter_rows

        dE: Any = self.layer.maybe_get_grad("E")
        if dE is None:
            dE = np.zeros_like(self.layer.get_param("E"))
        for block, part in enumerate(self.tokens.blocks):
            for rows in self._rows(block):
                scatter_rows(dE, rows, self.scale[part], dY[part])
        if not self.layer.has_grad("E"):
            self.layer.inc_grad("E", dE)

    def _rows(self, block: int) -> "list[Rows]":
        seed, size = self.layer.attrs["seed"], self.layer.get_dim("nV")
        if self.keys.name == "edge_keys":
            return _edge_rows(self.tokens, block, seed, size)
        if self.keys.name == "radical_keys":
            return _radical_rows(self.tokens, block, seed, size)
        return _ngram_rows(self.tokens, block, self.keys.attrs["order"], seed, size)


def _run_kernels(model: Model, tokens: TokenBatch, is_train: bool) -> tuple[Floats2d, Callable]:
    """What model.layers[0] does with the tokens, written into one array."""
    layer = model.layers[0]
    chains = layer.layers if layer.name == "add" else [layer]
    tables = [_Table(chain, tokens, is_train) for chain in chains]
    Y = model.ops.alloc2f(len(tokens), model.get_dim("nO"))
    for block, part in enumerate(tokens.blocks):
        for table in tables:
            table.add(block, cast(Any, Y[part]))

    def backprop(dY: Any) -> None:
        for table in tables:
            table.scatter(dY)

    return Y, backprop


def _ngram_rows(tokens: TokenBatch, block: int, order: int, seed: int, size: int) -> "list[Rows]":
    from ..pytorch.hashed_rows import Rows, ngram_rows

    windows = np.array(WINDOWS[order], dtype="int64")
    if order > 1:
        places = tokens.places[tokens.blocks[block]]
        return [Rows(ngram_rows(tokens.keys, places, windows, seed, size), None)]
    distinct = tokens.distinct[block]
    places = np.arange(len(distinct.keys), dtype="int64")
    return [Rows(ngram_rows(distinct.keys, places, windows, seed, size), distinct.token_string)]


def _radical_rows(tokens: TokenBatch, block: int, seed: int, size: int) -> "list[Rows]":
    from ..pytorch.hashed_rows import Rows, hash_rows

    rows = hash_rows(tokens.radicals(block), seed, size)
    return [Rows(rows, tokens.distinct[block].token_string)]


def _edge_rows(tokens: TokenBatch, block: int, seed: int, size: int) -> "list[Rows]":
    from ..pytorch.hashed_rows import Rows, hash_rows

    shapes = _mix(_SHAPE, tokens.shapes[tokens.blocks[block]])[:, None]
    affix_rows = hash_rows(tokens.affixes(block), seed, size)
    return [
        Rows(affix_rows, tokens.distinct[block].token_string),
        Rows(hash_rows(shapes, seed, size), None),
    ]
