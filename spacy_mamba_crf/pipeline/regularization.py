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


@contextmanager
def adversarial_embeddings(model: Model, length: float) -> Iterator[None]:
    """Within, all embedding tables are moved along their gradients, by `length` together.

    Raises ValueError if the model has no such table with a gradient.
    """
    tables = [node for node in model.walk() if _TABLE in node.param_names and node.has_grad(_TABLE)]
    if not tables:
        raise ValueError(
            "adversarial needs a model with embedding tables of its own that are learnt; this one "
            "has none. Set it to 0."
        )
    gradients: list[Any] = [node.get_grad(_TABLE) for node in tables]
    norm = float(np.sqrt(sum(float((own**2).sum()) for own in gradients)))
    before: list[Any] = [node.get_param(_TABLE).copy() for node in tables]
    for node, own, values in zip(tables, gradients, before):
        node.set_param(_TABLE, values + own * (length / max(norm, 1e-12)))
    try:
        yield
    finally:
        for node, values in zip(tables, before):
            node.set_param(_TABLE, values)
