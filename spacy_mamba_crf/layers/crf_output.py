"""The label-dependent end of a tagger: emissions and transition scores as native parameters.

Native parameters restore their own shapes when a pipeline is loaded, can grow by new labels, and
take part in parameter averaging.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from thinc.api import Model
from thinc.types import Floats2d, FloatsXd
from thinc.util import get_torch_default_device, torch2xp, xp2torch

from ..pytorch.crf import NEG_INF, Gradient, Potentials
from ..pytorch.linear import ROWS, linear
from ..pytorch.schemes import TagSet

_PARAMS = ("transitions", "start", "end")
_ROWS_AT_ONCE = 128 * ROWS


def Emissions(
    nO: int | None = None, nI: int | None = None, scale: float = 1.0
) -> Model[Floats2d, Floats2d]:
    """A linear layer that starts at 0, but for O's bias: (token, nI) -> (token, nO).

    Its weights are stored divided by `scale`, as in TransitionScores.
    """
    return Model(
        "emissions",
        _emissions_forward,
        init=_emissions_init,
        dims={"nO": nO, "nI": nI},
        params={"W": None, "b": None},
        attrs={"scale": scale},
    )


def OverTexts(layer: Model[Floats2d, Floats2d]) -> Model[list[Floats2d], list[Floats2d]]:
    """A layer over the tokens of all texts, as thinc's with_array, but one text is not copied.

    The input of a very long text is the largest array there is.
    """
    return Model(
        "over_texts",
        _over_texts_forward,
        init=_over_texts_init,
        layers=[layer],
        dims={name: layer.maybe_get_dim(name) for name in layer.dim_names},
    )


def TransitionScores(
    nO: int | None, scale: float, constrained: bool, temperature: float = 1.0
) -> Model[list[Floats2d], list[Floats2d]]:
    """Holds a CRF's transition, start and end scores; emissions pass through unchanged.

    The scores are stored divided by `scale`, so that one optimizer step moves them `scale` times as
    far as any other parameter. Not `constrained`: all scores stay 0 and every tag sequence is
    legal, which makes the CRF an independent softmax for each token. temperature: what predictions
    divide all scores by, so that probabilities are calibrated (Guo et al. 2017); learning does not.
    """
    return Model(
        "transition_scores",
        _transitions_forward,
        init=_transitions_init,
        dims={"nO": nO},
        params=dict.fromkeys(_PARAMS),
        attrs={"scale": scale, "constrained": constrained, "temperature": temperature},
    )


def read_potentials(model: Model, tagset: TagSet) -> Potentials:
    """The scores in a TransitionScores layer as float64, -inf where the scheme forbids a step.

    They lie where thinc's current ops put torch tensors.
    """
    device = get_torch_default_device()
    if not model.attrs["constrained"]:
        size = len(tagset)
        return Potentials(*(_zeros(shape, device) for shape in ((size, size), (size,), (size,))))
    legal = (tagset.legal_transitions(), tagset.legal_start(), tagset.legal_end())
    scores = []
    for name, mask in zip(_PARAMS, legal):
        values = xp2torch(model.get_param(name), device=device).double() * model.attrs["scale"]
        scores.append(values.masked_fill(~torch.from_numpy(mask).to(device), NEG_INF))
    return Potentials(*scores)


def add_gradient(model: Model, gradient: Gradient) -> None:
    """Add the gradient of the scores to a TransitionScores layer, for its next update."""
    if not model.attrs["constrained"]:
        return
    for name in _PARAMS:
        values = getattr(gradient, name).float() * model.attrs["scale"]
        model.inc_grad(name, cast(FloatsXd, torch2xp(values)))


def resize_tagger(model: Model, nO: int) -> Model:
    """Give a tagger more tags. What it knew stays; the new tags start with scores of 0."""
    for ref in ("output_layer", "transition_scores"):
        layer = model.get_ref(ref)
        if all(layer.has_param(name) for name in layer.param_names):
            model.replace_node(layer, _enlarged(layer, nO))
        else:
            layer.set_dim("nO", nO, force=True)
    for container in (*model.layers[1:], model):
        if container.has_dim("nO") is not False:
            container.set_dim("nO", nO, force=True)
    return model


def _enlarged(layer: Model, nO: int) -> Model:
    """A layer with more tags, a new one since optimizers keep moments and averages by layer."""
    new: Model
    if layer.name == "emissions":
        new = Emissions(nO, layer.get_dim("nI"), **layer.attrs)
    else:
        new = TransitionScores(nO, **layer.attrs)
    new.initialize()
    for name in layer.param_names:
        old: Any = layer.get_param(name)
        values: Any = new.get_param(name)
        values[tuple(slice(0, size) for size in old.shape)] = old
        new.set_param(name, values)
    return new


def _over_texts_init(model: Model, X=None, Y=None) -> None:
    layer = model.layers[0]
    layer.initialize(X=_joined(model, X) if X else None)
    for name in layer.dim_names:
        model.set_dim(name, layer.get_dim(name), force=True)


def _over_texts_forward(
    model: Model, Xs: list[Floats2d], is_train: bool
) -> tuple[list[Floats2d], Callable]:
    sizes = model.ops.asarray1i([len(X) for X in Xs])
    Y, backprop_layer = model.layers[0](_joined(model, Xs), is_train)

    def backprop(dYs: list[Floats2d]) -> list[Floats2d]:
        return model.ops.unflatten(backprop_layer(model.ops.xp.concatenate(dYs)), sizes)

    return model.ops.unflatten(Y, sizes), backprop


def _joined(model: Model, Xs: list[Floats2d]) -> Floats2d:
    """All rows; a single text's array is not copied.

    Transformers give texts without tokens arrays without columns, so those are left out.
    """
    filled = [X for X in Xs if len(X)]
    if not filled:
        return model.ops.alloc2f(0, model.layers[0].maybe_get_dim("nI") or Xs[0].shape[1])
    return filled[0] if len(filled) == 1 else model.ops.xp.concatenate(filled)


def _emissions_init(model: Model, X=None, Y=None) -> None:
    if X is not None and model.has_dim("nI") is None:
        model.set_dim("nI", X.shape[1])
    nO, nI = model.get_dim("nO"), model.get_dim("nI")
    model.set_param("W", model.ops.alloc2f(nO, nI))
    b = model.ops.alloc1f(nO)
    # Before it has learnt anything, a tagger finds nothing: tag 0 is O.
    b[0] = 1.0 / model.attrs["scale"]
    model.set_param("b", b)


def _emissions_forward(model: Model, X: Floats2d, is_train: bool) -> tuple[Floats2d, Callable]:
    scale = model.attrs["scale"]
    W = xp2torch(model.get_param("W"))
    b = xp2torch(model.get_param("b"))
    x = xp2torch(X)

    def backprop(dY: Floats2d) -> Floats2d:
        dy = xp2torch(dY) * scale
        model.inc_grad("b", cast(FloatsXd, torch2xp(dy.sum(0))))
        model.inc_grad("W", cast(FloatsXd, torch2xp(dy.T @ x)))
        return cast(Floats2d, torch2xp(dy @ W))

    with torch.no_grad():
        return cast(Floats2d, torch2xp(_linear(x, W * scale, b * scale))), backprop


def _linear(x: torch.Tensor, W: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """x W^T + b, some rows at a time, and always a multiple of ROWS."""
    y = x.new_empty(len(x), len(W))
    whole = len(x) // ROWS * ROWS
    for start in range(0, whole, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, whole)
        y[start:stop] = linear(x[start:stop], W, b)
    rest = F.pad(x[whole:], (0, 0, 0, whole + ROWS - len(x)))
    y[whole:] = linear(rest, W, b)[: len(x) - whole]
    return y


def _transitions_init(model: Model, X=None, Y=None) -> None:
    nO = model.get_dim("nO")
    for name, shape in zip(_PARAMS, ((nO, nO), (nO,), (nO,))):
        model.set_param(name, model.ops.alloc_f(shape))


def _transitions_forward(
    model: Model, Xs: list[Floats2d], is_train: bool
) -> tuple[list[Floats2d], Callable]:
    return Xs, lambda dYs: dYs


def _zeros(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.float64, device=device)
