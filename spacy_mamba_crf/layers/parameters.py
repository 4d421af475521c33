"""A thinc model's parameters, gradients and optimizer state as flat lists, torch's included."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from thinc.api import Model, Optimizer
from thinc.util import torch2xp


class Parameter(NamedTuple):
    """name: unique in its model, the same in each process; key: as optimizers know it; values."""

    name: str
    key: tuple[int, str]
    values: Any


def parameters(model: Model) -> Iterator[Parameter]:
    """Every parameter of every layer, native ones and those of torch modules, in a fixed order.

    values are the parameters themselves, numpy or cupy arrays, or torch tensors.
    """
    for number, node in enumerate(model.walk()):
        for name in node.param_names:
            if node.has_param(name):
                values = node.get_param(name)
                yield Parameter(f"{number}.{node.name}.{name}", (node.id, name), values)
        for place, shim in enumerate(node.shims):
            module = getattr(shim, "_model", None)
            if isinstance(module, torch.nn.Module):
                for name, tensor in module.named_parameters():
                    full = f"{number}.{node.name}.{place}.{name}"
                    yield Parameter(full, (shim.id, name), tensor.data)


def gradients(model: Model) -> list[torch.Tensor]:
    """The gradient of each parameter that learns, to be changed in place; 0 where it is missing."""
    found: list[torch.Tensor] = []
    for node in model.walk():
        for name in node.param_names:
            if node.has_param(name):
                if not node.has_grad(name):
                    node.inc_grad(name, node.ops.alloc(node.get_param(name).shape))
                found.append(torch.as_tensor(cast(Any, node.get_grad(name))))
        for shim in node.shims:
            module = getattr(shim, "_model", None)
            if isinstance(module, torch.nn.Module):
                for tensor in module.parameters():
                    if not tensor.requires_grad:  # frozen: without a gradient it stays as it is
                        continue
                    if tensor.grad is None:
                        tensor.grad = torch.zeros_like(tensor)
                    found.append(tensor.grad)
    return found


def optimizer_state(model: Model, optimizer: Optimizer) -> dict[str, np.ndarray]:
    """What the optimizer remembers of the model's parameters, by name."""
    state = {}
    for parameter in parameters(model):
        if parameter.key in optimizer.mom1:
            for kind in ("mom1", "mom2"):
                values: Any = getattr(optimizer, kind)[parameter.key]
                state[f"{kind}.{parameter.name}"] = _on_cpu(values)
            count = optimizer.nr_update[parameter.key]
            state[f"nr_update.{parameter.name}"] = np.array([count], dtype="int64")
    return state


def load_optimizer_state(model: Model, optimizer: Optimizer, state: dict[str, np.ndarray]) -> None:
    """Put what `optimizer_state` gave in its place."""
    for parameter in parameters(model):
        if f"nr_update.{parameter.name}" in state:
            for kind in ("mom1", "mom2"):
                values: Any = state[f"{kind}.{parameter.name}"].reshape(-1)
                getattr(optimizer, kind)[parameter.key] = model.ops.asarray(values)
            count = int(state[f"nr_update.{parameter.name}"][0])
            optimizer.nr_update[parameter.key] = count


def weights(model: Model) -> dict[str, np.ndarray]:
    """Every parameter by name, copied to the CPU."""
    return {p.name: _on_cpu(p.values).copy() for p in parameters(model)}


def load_weights(model: Model, values: dict[str, np.ndarray]) -> None:
    """Overwrite every parameter. Raises ValueError, naming the first one that does not fit."""
    found = list(parameters(model))
    for parameter in found:
        if parameter.name not in values:
            raise ValueError(f"there are no weights for {parameter.name}")
        theirs, ours = tuple(values[parameter.name].shape), tuple(parameter.values.shape)
        if theirs != ours:
            raise ValueError(f"{parameter.name} has the shape {theirs}, and here {ours}")
    surplus = values.keys() - {parameter.name for parameter in found}
    if surplus:
        raise ValueError(f"there is no layer here for {sorted(surplus)[0]}")
    for parameter in found:
        new: Any = values[parameter.name]
        if isinstance(parameter.values, torch.Tensor):
            parameter.values.copy_(torch.from_numpy(new))
        else:
            parameter.values[...] = model.ops.asarray(new)


def _on_cpu(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = torch2xp(values)
    return values if isinstance(values, np.ndarray) else values.get()
