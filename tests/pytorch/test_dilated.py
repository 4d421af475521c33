"""The iterated dilated CNN against torch's own convolutions, text by text."""

import pytest
import torch
from torch import Tensor

from spacy_mamba_crf.pytorch.dilated import DilatedConv, DilatedEncoder

LENGTHS = [5, 0, 1, 9, 2]


def conv_alone(layer: DilatedConv, x: Tensor) -> Tensor:
    """One text (token, channel) through torch's conv1d with zeros at both ends."""
    if not len(x):
        return x.new_zeros(0, len(layer.linear.weight))
    taps = 2 * layer.reach + 1
    width, inputs = layer.linear.weight.shape
    weight = layer.linear.weight.view(width, taps, inputs // taps).transpose(1, 2)
    padding = layer.reach * layer.dilation
    y = torch.nn.functional.conv1d(
        x.T[None], weight, layer.linear.bias, padding=padding, dilation=layer.dilation
    )
    return y[0].T


def encode_alone(encoder: DilatedEncoder, x: Tensor) -> list[Tensor]:
    """The output of each block for one text."""
    y = torch.relu(conv_alone(encoder.input, x))
    found = []
    for _ in range(encoder.blocks):
        for layer in encoder.layers:
            y = torch.relu(conv_alone(layer, y))
        found.append(y)
    return found


def make(window_size: int = 1, readings: bool = False) -> tuple[DilatedEncoder, Tensor]:
    torch.manual_seed(0)
    encoder = DilatedEncoder(8, 2, 3, window_size, input_width=6, readings=readings)
    return encoder, torch.randn(sum(LENGTHS), 6)


@pytest.mark.parametrize("window_size", [1, 2])
def test_each_text_is_convolved_by_itself(window_size):
    encoder, x = make(window_size)
    y = encoder.eval()(x, torch.tensor(LENGTHS))
    expected = [encode_alone(encoder, part)[-1] for part in x.split(LENGTHS)]
    torch.testing.assert_close(y, torch.cat(expected))


def test_gradients_are_those_of_torchs_convolution():
    encoder, x = make()
    x.requires_grad_()
    dy = torch.randn(sum(LENGTHS), 8)
    y = encoder(x, torch.tensor(LENGTHS))
    parameters = [x, *encoder.parameters()]
    found = torch.autograd.grad(y, parameters, dy)
    alone = torch.cat([encode_alone(encoder, part)[-1] for part in x.split(LENGTHS)])
    for one, other in zip(found, torch.autograd.grad(alone, parameters, dy)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_in_training_the_outputs_of_all_blocks_follow_each_other():
    encoder, x = make(readings=True)
    y = encoder.train()(x, torch.tensor(LENGTHS))
    texts = [encode_alone(encoder, part) for part in x.split(LENGTHS)]
    expected = [torch.cat([text[block] for text in texts]) for block in range(3)]
    torch.testing.assert_close(y, torch.cat(expected))


def test_predictions_are_the_last_blocks_alone():
    encoder, x = make(readings=True)
    lengths = torch.tensor(LENGTHS)
    last = encoder.train()(x, lengths)[-len(x) :]
    torch.testing.assert_close(encoder.eval()(x, lengths), last)


def test_a_token_sees_as_far_as_the_paper_says():
    """window_size * (1 + blocks * 2 ** depth) tokens at each side."""
    encoder, _ = make()
    x = torch.randn(61, 6, requires_grad=True)
    encoder(x, torch.tensor([61]))[30].sum().backward()
    seen = x.grad.abs().sum(1).nonzero()[:, 0]
    reach = 1 + 3 * 2**2
    assert seen.min() >= 30 - reach and seen.max() <= 30 + reach
    assert len(seen) > reach  # ReLU may hide some


def test_dropout_changes_training_alone():
    encoder, x = make()
    encoder.set_dropout(0.5)
    lengths = torch.tensor(LENGTHS)
    assert not torch.equal(encoder.train()(x, lengths), encoder(x, lengths))
    assert torch.equal(encoder.eval()(x, lengths), encoder(x, lengths))
