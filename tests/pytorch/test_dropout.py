"""Dropout: the share that is dropped, its independence, its gradient, its seed."""

import pytest
import torch

from spacy_mamba_crf.pytorch.dropout import Dropout, VariationalDropout, random_numbers


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_rate_and_the_rest_makes_up_for_it(rate):
    torch.manual_seed(0)
    y = Dropout(rate)(torch.ones(400, 500))
    dropped = float((y == 0).double().mean())
    assert dropped == pytest.approx(rate, abs=5 * (rate * (1 - rate) / y.numel()) ** 0.5)
    assert torch.allclose(y[y != 0], torch.tensor(1 / (1 - rate)))


def test_neither_neighbours_nor_calls_share_their_fate():
    torch.manual_seed(0)
    dropout = Dropout(0.5)
    first, second = (dropout(torch.ones(200_000)) > 0 for _ in range(2))
    for a, b in ((first[1:], first[:-1]), (first[256:], first[:-256]), (first, second)):
        assert float((a == b).double().mean()) == pytest.approx(0.5, abs=0.006)


def test_what_is_dropped_has_no_gradient_and_what_is_kept_has_it_scaled():
    x = torch.randn(30, 7, requires_grad=True)
    y = Dropout(0.4)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient, (y != 0) / torch.tensor(0.6))


def test_the_seed_decides_within_random_numbers():
    dropout, x = Dropout(0.5), torch.ones(1000)
    results = []
    for seed in (1, 1, 2):
        with random_numbers(seed):
            results.append(dropout(x))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_nothing_is_dropped_in_prediction_or_at_rate_0(rate):
    x = torch.randn(5, 5)
    dropout = Dropout(rate)
    assert torch.equal((dropout.eval() if rate else dropout)(x), x)


def test_variational_dropout_takes_the_same_channels_at_every_step_of_a_text():
    dropout = VariationalDropout(0.5)
    y = dropout(torch.ones(20, 7, 32))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(y[0], y[1])


def test_variational_dropout_leaves_predictions_alone():
    x = torch.randn(2, 3, 4)
    assert torch.equal(VariationalDropout(0.5).eval()(x), x)


def test_variational_dropout_is_the_same_for_the_same_seed():
    x, dropout = torch.ones(2, 3, 64), VariationalDropout(0.5)
    found = []
    for seed in (1, 1, 2):
        with random_numbers(seed):
            found.append(dropout(x))
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
