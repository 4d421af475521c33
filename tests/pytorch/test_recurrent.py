"""The recurrent encoder gives what torch's packed bidirectional networks give."""

import pytest
import torch
from spacy import registry
from thinc.api import Config
from torch import Tensor, nn

from spacy_mamba_crf.pytorch.padding import pad
from spacy_mamba_crf.pytorch.recurrent import RecurrentEncoder

# More texts than run together, of many lengths, some without tokens.
LENGTHS = torch.tensor([3, 0, 7, 1, 12, 5, 5, 2, 9, 1, 30, 4, 6, 8, 3, 0, 11, 2, 17, 1, 10, 6])


def packed_twin(encoder: RecurrentEncoder, kind: str) -> nn.ModuleList:
    """Bidirectional torch layers with the encoder's weights."""
    twins = nn.ModuleList()
    for layer in encoder.layers:
        rnn = layer.forward_rnn
        twin = getattr(nn, kind)(
            rnn.input_size, rnn.hidden_size, bidirectional=True, batch_first=True
        )
        weights = {**layer.forward_rnn.state_dict()}
        weights |= {f"{k}_reverse": v for k, v in layer.backward_rnn.state_dict().items()}
        twin.load_state_dict(weights)
        twins.append(twin)
    return twins


def run_packed(layers: nn.ModuleList, x: Tensor, lengths: Tensor) -> Tensor:
    """x: (token, channel); the way torch's documentation runs texts of different lengths."""
    padded, index = pad(x, lengths)
    for layer in layers:
        packed = nn.utils.rnn.pack_padded_sequence(padded, lengths, True, enforce_sorted=False)
        padded, _ = nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True)
    return padded.flatten(0, 1)[index]


@pytest.fixture(params=["LSTM", "GRU"])
def kind(request) -> str:
    return request.param


def make(kind: str) -> tuple[RecurrentEncoder, Tensor]:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(12, 2, kind, input_width=6)
    return encoder, torch.randn(int(LENGTHS.sum()), 6)


def test_the_output_is_that_of_packed_bidirectional_layers(kind):
    encoder, x = make(kind)
    expected = run_packed(packed_twin(encoder, kind), x, LENGTHS[LENGTHS > 0])
    assert torch.allclose(encoder(x, LENGTHS), expected, atol=1e-6)


def test_the_gradient_is_that_of_packed_bidirectional_layers(kind):
    encoder, x = make(kind)
    twin = packed_twin(encoder, kind)
    weights = torch.randn(len(x), 12)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    (encoder(ours, LENGTHS) * weights).sum().backward()
    (run_packed(twin, theirs, LENGTHS[LENGTHS > 0]) * weights).sum().backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-5)
    for layer, twin_layer in zip(encoder.layers, twin):
        for name, parameter in layer.backward_rnn.named_parameters():
            expected = getattr(twin_layer, f"{name}_reverse").grad
            assert torch.allclose(parameter.grad, expected, atol=1e-5), name


def test_a_text_has_the_same_result_alone_and_in_a_batch(kind):
    encoder, x = make(kind)
    together = encoder(x, LENGTHS).split(LENGTHS.tolist())
    for piece, expected in zip(x.split(LENGTHS.tolist()), together):
        if len(piece):
            assert torch.allclose(encoder(piece, torch.tensor([len(piece)])), expected, atol=1e-6)


def test_bfloat16_rounds_predictions_but_not_training(kind):
    encoder, x = make(kind)
    expected = encoder(x, LENGTHS)
    encoder.bf16 = True
    assert torch.equal(encoder(x, LENGTHS), expected)
    with torch.no_grad():
        rounded = encoder(x, LENGTHS)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, expected)
    assert torch.allclose(rounded, expected, atol=0.02)  # bfloat16 keeps 8 bits of a number


def test_dropout_is_set_from_outside():
    encoder, x = make("LSTM")
    encoder.set_dropout(0.5)
    assert not torch.equal(encoder(x, LENGTHS), encoder(x, LENGTHS))
    encoder.set_dropout(0.0)
    assert torch.equal(encoder(x, LENGTHS), encoder(x, LENGTHS))


def encoder_from(settings: str):
    text = f'[encode]\n@architectures = "spacy_mamba_crf.RecurrentEncoder.v1"\n{settings}'
    return registry.resolve(Config().from_str(text))["encode"]


def test_a_config_makes_an_encoder_over_lists_of_arrays(kind):
    encoder = encoder_from(f'width = 12\ndepth = 2\nkind = "{kind}"\ninput_width = 6')
    encoder.initialize()
    Xs = [encoder.ops.alloc2f(size, 6) for size in (4, 0, 1)]
    assert [Y.shape for Y in encoder.predict(Xs)] == [(4, 12), (0, 12), (1, 12)]


@pytest.mark.parametrize(
    ["settings", "message"],
    [
        ('width = 12\ndepth = 1\nkind = "RNN"', "'RNN' is unknown; choose one of LSTM, GRU"),
        ("width = 13\ndepth = 1", "width = 13 is odd"),
        ('width = 12\ndepth = 1\ncpu_precision = "half"', "cpu_precision = 'half' is unknown"),
        ("width = 12\ndepth = 0", "depth = 0 must be larger than 0"),
    ],
)
def test_a_bad_value_in_the_config_is_an_error_that_says_what_to_choose(settings, message):
    with pytest.raises(ValueError, match=message):
        encoder_from(settings)
