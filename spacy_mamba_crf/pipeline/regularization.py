"""Updates that make predictions steady: two readings that agree, and adversarial noise."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from thinc.api import Model

_TABLE = "E"  # what thinc calls the parameter of an embedding


class Regularization(NamedTuple):
    """agreement: weight of the divergence of two readings of each doc, which differ by dropout
    (R-Drop, Liang et al. 2021); 0 reads once. adversarial: length of the step by which embeddings
    go against the model before it learns from each doc once more (the fast gradient method, Miyato
    et al. 2017); 0 for none.
    """

    agreement: float = 0.0
    adversarial: float = 0.0

    @property
    def readings(self) -> int:
        """How often each doc is read in one pass."""
        return 2 if self.agreement else 1

    def check(self, name: str) -> None:
        """Raise ValueError for a weight or a length that cannot be."""
        for setting, value in self._asdict().items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name}: {setting} = {value} must be 0 or larger.")

    def check_model(self, model: Model, name: str) -> None:
        """Raise ValueError for a model that cannot be read twice in one update."""
        if not any(self):
            return
        for node in model.walk():
            if hasattr(node, "upstream_name"):  # a listener has the states of one reading
                raise ValueError(
                    f"{name}: agreement and adversarial need a tok2vec of the component's own; it "
                    f"listens to {node.upstream_name!r}. Set them to 0."
                )
            if self.adversarial and any(getattr(own, "_mixed_precision", 0) for own in node.shims):
                raise ValueError(
                    f"{name}: adversarial and mixed_precision do not go together; turn one off."
                )


def table_gradients(model: Model) -> dict[int, Any]:
    """Copies of the gradients that embedding tables have so far, by the numbers of their layers."""
    return {node.id: node.get_grad(_TABLE).copy() for node in _tables(model)}


@contextmanager
def adversarial_embeddings(model: Model, length: float, earlier: dict[int, Any]) -> Iterator[None]:
    """Within, all embedding tables are moved along their gradients, by `length` together.

    earlier: gradients of other docs, which do not count, see `table_gradients`. Tables inside torch
    modules stay. Raises ValueError if the model has no table with a gradient.
    """
    tables = _tables(model)
    if not tables:
        raise ValueError(
            "adversarial needs a model with embedding tables of its own that are learnt; this one "
            "has none. Set it to 0."
        )
    gradients = [node.get_grad(_TABLE) - earlier.get(node.id, 0.0) for node in tables]
    norm = float(np.sqrt(sum(float((own**2).sum()) for own in gradients)))
    before: list[Any] = [node.get_param(_TABLE).copy() for node in tables]
    for node, own, values in zip(tables, gradients, before):
        node.set_param(_TABLE, values + own * (length / max(norm, 1e-12)))
    try:
        yield
    finally:
        for node, values in zip(tables, before):
            node.set_param(_TABLE, values)


def _tables(model: Model) -> list[Model]:
    return [node for node in model.walk() if _TABLE in node.param_names and node.has_grad(_TABLE)]
