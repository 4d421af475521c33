"""The character encoder gives what torch gives for one word at a time."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spacy_mamba_crf.pytorch import char_encoder
from spacy_mamba_crf.pytorch.char_encoder import KINDS, CharEncoder

LENGTHS = torch.tensor([1, 2, 2, 3, 3, 5, 9, 40])
TOKENS = torch.tensor([7, 0, 0, 3, 5, 1, 2, 4, 6, 7])


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def make(kind: str, window_size: int = 3) -> tuple[CharEncoder, Tensor]:
    torch.manual_seed(0)
    encoder = CharEncoder(8, kind, char_width=5, rows=20, window_size=window_size)
    return encoder, torch.randint(22, (int(LENGTHS.sum()),))


def one_by_one(encoder: CharEncoder, characters: Tensor) -> Tensor:
    """(token, width), each word alone."""
    words = [encoder.embedding.weight[part] for part in characters.split(LENGTHS.tolist())]
    read = convolved if hasattr(encoder.words, "convolution") else last_states
    return torch.stack([read(encoder, x) for x in words])[TOKENS]


def convolved(encoder: CharEncoder, x: Tensor) -> Tensor:
    """x: (time, char_width) -> (width,), as a product for each place of the window."""
    weight, bias = encoder.words.convolution.weight, encoder.words.convolution.bias
    side = weight.shape[2] // 2
    padded = F.pad(x, (0, 0, side, side))
    places = [padded[i : i + weight.shape[2]].T for i in range(len(x))]
    return torch.stack([(weight * place).sum((1, 2)) + bias for place in places]).amax(0)


def last_states(encoder: CharEncoder, x: Tensor) -> Tensor:
    """x: (time, char_width) -> (width,), the last states of torch's bidirectional network."""
    layer = encoder.words.layer
    rnn = layer.forward_rnn
    twin = type(rnn)(rnn.input_size, rnn.hidden_size, bidirectional=True)
    _, last = torch.func.functional_call(twin, joined_weights(layer), (x,))
    hidden = last[0] if isinstance(last, tuple) else last  # an LSTM has cells, too
    return hidden.flatten()


def joined_weights(layer: nn.Module) -> dict[str, Tensor]:
    """Both directions' parameters under the names of one bidirectional network."""
    found = dict(layer.forward_rnn.named_parameters())
    return found | {f"{k}_reverse": v for k, v in layer.backward_rnn.named_parameters()}


@pytest.mark.parametrize("window_size", [1, 3, 5])
def test_the_output_is_that_of_one_word_at_a_time(kind, window_size):
    encoder, characters = make(kind, window_size)
    expected = one_by_one(encoder, characters)
    assert torch.allclose(encoder(characters, LENGTHS, TOKENS), expected, atol=1e-6)


def test_the_gradient_is_that_of_one_word_at_a_time(kind):
    encoder, characters = make(kind)
    weights = torch.randn(len(TOKENS), 8)
    parameters = list(encoder.parameters())
    ours = (encoder(characters, LENGTHS, TOKENS) * weights).sum()
    theirs = (one_by_one(encoder, characters) * weights).sum()
    found, expected = (torch.autograd.grad(loss, parameters) for loss in (ours, theirs))
    for gradient, other in zip(found, expected):
        assert torch.allclose(gradient, other, atol=1e-5)


def test_words_in_many_groups_give_what_they_give_in_one(kind, monkeypatch):
    encoder, characters = make(kind)
    expected = encoder(characters, LENGTHS, TOKENS)
    monkeypatch.setattr(char_encoder, "_GROUP", 3)
    assert torch.allclose(encoder(characters, LENGTHS, TOKENS), expected, atol=1e-6)


def test_dropout_is_set_from_outside(kind):
    encoder, characters = make(kind)
    encoder.set_dropout(0.5)
    first, second = (encoder(characters, LENGTHS, TOKENS) for _ in range(2))
    assert not torch.equal(first, second)
    encoder.eval()
    assert torch.allclose(
        encoder(characters, LENGTHS, TOKENS), one_by_one(encoder, characters), atol=1e-6
    )
