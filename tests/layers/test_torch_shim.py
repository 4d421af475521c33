"""Saving torch modules without pickles."""

import pickletools

import pytest
import safetensors.torch
import srsly
import torch
from thinc.api import Adam, ArgsKwargs
from torch import nn

from spacy_mamba_crf.layers.torch_shim import TorchShim


def module(width: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(width, 4), nn.LayerNorm(4))


def state_bytes(shim: TorchShim) -> bytes:
    return srsly.msgpack_loads(shim.to_bytes())["state"]


def test_weights_survive_a_round_trip_exactly():
    shim, other = TorchShim(module()), TorchShim(module(seed=1))
    other.from_bytes(shim.to_bytes())
    expected = shim._model.state_dict()
    for name, array in other._model.state_dict().items():
        assert torch.equal(array, expected[name])


def test_the_bytes_are_safetensors_and_no_pickle():
    data = state_bytes(TorchShim(module()))
    assert set(safetensors.torch.load(data)) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert not data.startswith((b"PK", b"\x80"))  # a torch.save archive, a bare pickle
    with pytest.raises(ValueError):
        pickletools.dis(data)


def test_weights_that_are_not_contiguous_are_saved_all_the_same():
    shim = TorchShim(module())
    with torch.no_grad():
        shim._model[0].weight = nn.Parameter(torch.arange(12.0).reshape(3, 4).t())
    other = TorchShim(module(seed=1)).from_bytes(shim.to_bytes())
    assert torch.equal(other._model[0].weight, shim._model[0].weight)


def test_weights_of_another_shape_are_an_error_that_points_to_the_config():
    data = TorchShim(module(width=5)).to_bytes()
    message = r"saved weights do not fit the encoder that the config describes: .*0\.weight"
    with pytest.raises(ValueError, match="(?s)" + message):
        TorchShim(module(width=3)).from_bytes(data)


def test_weights_of_another_module_are_an_error_that_points_to_the_config():
    data = TorchShim(nn.Linear(3, 4)).to_bytes()
    with pytest.raises(ValueError, match=r"do not fit the encoder that the config describes"):
        TorchShim(module()).from_bytes(data)


def test_a_module_meant_for_half_precision_runs_in_full_on_a_cpu():
    half, full = TorchShim(module(), mixed_precision=True), TorchShim(module())
    x = ArgsKwargs((torch.ones(2, 3),), {})
    assert torch.equal(half.predict(x), full.predict(x))


def test_updates_leave_parameters_in_the_memory_they_are_in():
    """thinc would wrap it anew at each update, and keep every wrapper alive."""
    layer = nn.Linear(3, 2)
    shim, optimizer = TorchShim(layer), Adam(0.01)
    storage, before = layer.weight.untyped_storage()._cdata, layer.weight.detach().clone()
    for _ in range(3):
        layer.weight.grad, layer.bias.grad = torch.ones(2, 3), torch.ones(2)
        shim.finish_update(optimizer)
        assert layer.weight.untyped_storage()._cdata == storage
    assert not torch.equal(layer.weight.detach(), before)
