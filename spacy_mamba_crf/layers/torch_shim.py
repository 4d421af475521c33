"""A thinc shim for our torch modules: safetensors, selective weight decay, parameter averages."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from thinc.api import Optimizer, PyTorchGradScaler
from thinc.shims import PyTorchShim
from thinc.util import get_torch_default_device, xp2torch
from torch import nn


class TorchShim(PyTorchShim):
    """thinc's PyTorchShim, without pickles, with averages, and with some parameters left undecayed.

    `no_decay`: a parameter with one of these words in its dotted name keeps its value where thinc's
    one L2 would pull it towards 0.
    """

    def __init__(
        self,
        module: nn.Module,
        no_decay: tuple[str, ...] = (),
        mixed_precision: bool = False,
    ):
        # Half precision is CUDA's: a pipeline trained with it is run in full on a CPU.
        mixed_precision = mixed_precision and get_torch_default_device().type == "cuda"
        super().__init__(
            module,
            mixed_precision=mixed_precision,
            grad_scaler=PyTorchGradScaler(mixed_precision),
            serialize_model=_serialize,
            deserialize_model=_deserialize,
        )
        self.no_decay = frozenset(no_decay)

    def finish_update(self, optimizer: Optimizer) -> None:
        step: Any = _with_own_gradient(optimizer)
        if isinstance(optimizer, Optimizer):
            step = _SelectiveDecay(optimizer, self.no_decay)
        before = [(parameter, parameter.data) for parameter in self._model.parameters()]
        super().finish_update(step)
        # thinc passes each parameter to numpy and back, as one more view of the same memory that
        # keeps the last one alive: in a long training they add up to gigabytes.
        for parameter, data in before:
            if parameter.data_ptr() != data.data_ptr():
                data.copy_(parameter.data)
            parameter.data = data

    @contextlib.contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Run with the optimizer's averages of our parameters, keyed by (shim id, name)."""
        backup = {}
        for name, parameter in self._model.named_parameters():
            if (self.id, name) in params:
                backup[parameter] = parameter.data
                average = params[(self.id, name)]
                parameter.data = xp2torch(average, device=parameter.device).reshape(parameter.shape)
        try:
            yield
        finally:
            for parameter, data in backup.items():
                parameter.data = data


def _with_own_gradient(collect: Callable) -> Callable:
    """For `nlp.rehearse`, which only notes gradients, and uses them when thinc has zeroed ours."""
    return lambda key, weights, gradient: collect(key, weights, gradient.copy())


class _SelectiveDecay:
    """Call an optimizer with its L2 switched off for the parameters that are exempt."""

    def __init__(self, optimizer: Optimizer, exempt: frozenset[str]):
        self.optimizer = optimizer
        self.exempt = exempt

    def __call__(self, key: tuple[int, str], weights: Any, gradient: Any) -> Any:
        if self.exempt.isdisjoint(key[1].split(".")):
            return self.optimizer(key, weights, gradient)
        L2, self.optimizer.L2 = self.optimizer.L2, 0.0
        try:
            return self.optimizer(key, weights, gradient)
        finally:
            self.optimizer.L2 = L2


def _serialize(module: nn.Module) -> bytes:
    from safetensors.torch import save

    return save({k: v.contiguous() for k, v in module.state_dict().items()})


def _deserialize(module: nn.Module, data: bytes, device: torch.device) -> nn.Module:
    from safetensors.torch import load

    try:
        module.load_state_dict(load(data))
    except RuntimeError as error:
        raise ValueError(
            f"The saved weights do not fit the encoder that the config describes: {error}"
        ) from error
    return module.to(device)
