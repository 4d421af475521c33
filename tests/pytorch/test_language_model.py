"""Language models of both directions against one text, one step and one direction at a time."""

import math

import pytest
import torch
from torch import Tensor, nn

from spacy_mamba_crf.pytorch import language_model
from spacy_mamba_crf.pytorch.language_model import (
    BOUNDARY,
    BidirectionalLanguageModel,
    LanguageModel,
    LanguageModelConfig,
)

N_IDS = 9
LENGTHS = [3, 1, 7, 7, 2, 12, 5, 1, 4, 6, 3, 8, 2, 2, 9, 10, 11, 3, 1]  # more than run together


@pytest.fixture(params=["LSTM", "GRU"])
def kind(request) -> str:
    return request.param


def make(kind: str) -> BidirectionalLanguageModel:
    torch.manual_seed(0)
    return BidirectionalLanguageModel(LanguageModelConfig(kind, N_IDS, width=6, embedding_width=4))


def make_texts(lengths: list[int] = LENGTHS) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(1, N_IDS, (length,), generator=generator) for length in lengths]


def read(model: LanguageModel, ids: list[int]) -> list[Tensor]:
    """The state after the text's edge and after each id, by torch's cell, a step at a time."""
    cell_type = nn.LSTMCell if isinstance(model.rnn, nn.LSTM) else nn.GRUCell
    cell = cell_type(model.rnn.input_size, model.rnn.hidden_size)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in model.rnn.state_dict().items()})
    states, state = [], None
    for number in [BOUNDARY, *ids]:
        state = cell(model.embedding.weight[number][None], state)
        states.append((state[0] if isinstance(state, tuple) else state)[0])
    return states


def negative_log_likelihood(model: LanguageModel, ids: list[int]) -> float:
    total = 0.0
    for state, target in zip(read(model, ids), [*ids, BOUNDARY]):
        scores = model.embedding.weight @ model.projection(state) + model.bias
        total -= scores.log_softmax(0)[target].item()
    return total


def test_the_loss_of_each_direction_is_that_of_one_step_at_a_time(kind):
    module, texts = make(kind), make_texts()
    found = module(texts).tolist()
    forward = sum(negative_log_likelihood(module.forward_lm, ids.tolist()) for ids in texts)
    backward = sum(
        negative_log_likelihood(module.backward_lm, ids.flip(0).tolist()) for ids in texts
    )
    assert found == pytest.approx([forward, backward], rel=1e-5)


def test_states_are_those_of_one_step_at_a_time(kind):
    module, texts = make(kind), make_texts()
    for ids, states in zip(texts, module.states(texts)):
        forward = read(module.forward_lm, ids.tolist())[1:]
        backward = read(module.backward_lm, ids.flip(0).tolist())[1:][::-1]
        expected = torch.cat([torch.stack(forward), torch.stack(backward)], dim=1)
        assert torch.allclose(states, expected, atol=1e-6)


def test_forward_states_do_not_know_later_tokens_nor_backward_ones_earlier_tokens(kind):
    module = make(kind)
    ids = make_texts([7])[0]
    changed = ids.clone()
    changed[3] = ids[3] % (N_IDS - 1) + 1
    before, after = (module.states([text])[0] for text in (ids, changed))
    same = torch.isclose(before, after, atol=1e-6).reshape(7, 2, 6).all(2)
    assert same[:, 0].tolist() == [True] * 3 + [False] * 4  # from the changed token on
    assert same[:, 1].tolist() == [False] * 4 + [True] * 3  # up to the changed token


def test_a_text_has_the_same_states_alone_and_in_a_batch(kind):
    module, texts = make(kind), make_texts([0, *LENGTHS, 0])
    for ids, states in zip(texts, module.states(texts)):
        assert states.shape == (len(ids), 12)
        assert torch.allclose(module.states([ids])[0], states, atol=1e-6)


def test_no_texts_have_no_states(kind):
    assert make(kind).states([]) == []


def test_a_text_in_many_blocks_has_the_states_that_it_has_in_one(kind, monkeypatch):
    module, texts = make(kind), make_texts()
    expected = module.states(texts)
    monkeypatch.setattr(language_model, "_STEPS", 3)
    for states, same in zip(module.states(texts), expected):
        assert torch.allclose(states, same, atol=1e-6)


def test_states_come_without_gradients(kind):
    assert not any(states.requires_grad for states in make(kind).states(make_texts()))


def test_an_untrained_model_is_about_as_good_as_guessing(kind):
    texts = make_texts()
    per_token = make(kind)(texts) / sum(len(ids) + 1 for ids in texts)
    assert per_token.tolist() == pytest.approx([math.log(N_IDS)] * 2, rel=0.2)
