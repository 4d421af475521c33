"""One update of a recogniser: forwards, the loss, back, and a step of the optimizer."""

from collections.abc import Callable
from typing import Any

import numpy as np
from spacy.errors import Errors
from spacy.training import Example
from thinc.api import Optimizer, set_dropout_rate
from thinc.types import Floats2d

from ..layers.crf_output import add_gradient
from ..pytorch.threads import shares_only
from .learning import Loss
from .regularization import Regularization, adversarial_embeddings, table_gradients

_PLAIN = Regularization()


def learn(
    component: Any,
    examples: list[Example],
    loss_of: Callable[[list[Example], list[Floats2d]], Loss],
    drop: float,
    sgd: Optimizer | None,
    losses: dict[str, float] | None,
    regularization: Regularization = _PLAIN,
) -> dict[str, float]:
    """Learn from examples, and add their loss, summed over docs, to `losses`.

    loss_of: given examples and the scores of their docs. Where there are several readings of each
    doc, the model's own or the regularization's, the loss is their mean. Adversarial examples are
    learnt from as well; their loss is not counted. Raises ValueError for a loss that is no number,
    or for a model that the regularization does not fit.
    """
    losses = {} if losses is None else losses
    losses.setdefault(component.name, 0.0)
    if any(len(example.predicted) for example in examples):
        model, adversarial = component.model, regularization.adversarial
        regularization.check_model(model, component.name)
        set_dropout_rate(model, drop)
        read = examples * regularization.readings
        earlier = table_gradients(model) if adversarial else {}
        loss = _pass(component, read, loss_of)
        losses[component.name] += loss / regularization.readings
        if adversarial:
            with adversarial_embeddings(model, adversarial, earlier):
                _pass(component, read, loss_of)
        if sgd not in (None, False):
            component.finish_update(sgd)
    return losses


def _pass(
    component: Any,
    examples: list[Example],
    loss_of: Callable[[list[Example], list[Floats2d]], Loss],
) -> float:
    """Once forwards and back; returns the loss, summed over the docs."""
    model = component.model
    scores, backprop = model.begin_update([example.predicted for example in examples])
    readings = len(scores) // len(examples)
    with shares_only():
        loss = loss_of(examples * readings, scores)
    if not np.isfinite(loss.value):
        raise ValueError(Errors.E910.format(name=component.name))
    add_gradient(model.get_ref("transition_scores"), loss.d_potentials)
    backprop(loss.d_scores)
    return loss.value / readings
