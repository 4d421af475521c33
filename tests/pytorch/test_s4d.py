"""S4D: its recurrent and convolutional forms agree with each other and with the matrix form."""

import itertools

import pytest
import torch

from spacy_mamba_crf.pytorch.lti import discretize_bilinear, discretize_zoh, recurrence
from spacy_mamba_crf.pytorch.s4d import DISCRETISATIONS, INITIALISATIONS, S4D

COMBINATIONS = list(itertools.product(INITIALISATIONS, DISCRETISATIONS))
each_form = pytest.mark.parametrize(["init", "discretization"], COMBINATIONS)


def layer(init: str, discretization: str, d_model=3, d_state=6) -> S4D:
    torch.manual_seed(0)
    return S4D(d_model, d_state, init=init, discretization=discretization).double()


def random_input(time: int, channel: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(time)
    return torch.randn(2, time, channel, generator=generator, dtype=torch.float64)


def assert_close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_the_initialisations_are_the_published_ones():
    real = S4D(2, 4, init="real")
    A = -torch.exp(real.log_A_real.detach())
    torch.testing.assert_close(A, torch.tensor([[-1.0, -2, -3, -4]]).repeat(2, 1))
    assert real.A_imag is None
    hippo = S4D(2, 2)
    # The normal part of HiPPO-LegS of size 2 is -1/2 plus the skew matrix of sqrt(3)/2.
    torch.testing.assert_close(-torch.exp(hippo.log_A_real.detach()), torch.full((2, 1), -0.5))
    torch.testing.assert_close(hippo.A_imag.detach(), torch.full((2, 1), 0.75**0.5))
    dt = torch.exp(S4D(500, 2).log_dt.detach())
    assert dt.min() >= 1e-3 * 0.999 and dt.max() <= 1e-1 * 1.001 and dt.max() / dt.min() > 50


@each_form
@pytest.mark.parametrize("time", [0, 1, 2, 33])
def test_the_recurrent_form_is_the_convolutional_one(init, discretization, time):
    s4d = layer(init, discretization)
    u = random_input(time)
    assert_close(s4d.convolutional(u), s4d.recurrent(u)[0])


@each_form
def test_a_state_carried_into_either_form_continues_the_sequence(init, discretization):
    s4d = layer(init, discretization)
    u = random_input(20)
    whole, end = s4d.recurrent(u)
    _, middle = s4d.recurrent(u[:, :7])
    rest, same_end = s4d.recurrent(u[:, 7:], middle)
    assert_close(rest, whole[:, 7:])
    assert_close(same_end, end)
    assert_close(s4d.convolutional(u[:, 7:], middle), whole[:, 7:])


@each_form
def test_the_state_that_a_block_leaves_is_the_recurrences(init, discretization):
    s4d = layer(init, discretization)
    u = random_input(11)
    _, state = s4d.forward_block(u)
    assert_close(state.ssm, s4d.recurrent(u)[1])


@each_form
def test_both_forms_have_the_same_gradients(init, discretization):
    s4d = layer(init, discretization)
    gradients = []
    for form in (s4d.convolutional, lambda u: s4d.recurrent(u)[0]):
        u = random_input(9).requires_grad_()
        s4d.zero_grad()
        form(u).square().sum().backward()
        used = [p for name, p in s4d.named_parameters() if not name.startswith("out_proj")]
        gradients.append([u.grad, *(parameter.grad.clone() for parameter in used)])
    for got, expected in zip(*gradients):
        torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-9)


@each_form
def test_the_whole_layer_passes_gradcheck(init, discretization):
    s4d = layer(init, discretization, d_model=2, d_state=2)
    u = random_input(3, 2).requires_grad_()
    parameters = list(s4d.parameters())
    assert torch.autograd.gradcheck(lambda u, *_: s4d(u), [u, *parameters])


@pytest.mark.parametrize(
    ["discretization", "discretize"], [("zoh", discretize_zoh), ("bilinear", discretize_bilinear)]
)
def test_a_real_channel_is_the_matrix_form_with_a_diagonal_matrix(discretization, discretize):
    s4d = layer("real", discretization)
    u = random_input(15)
    y, _ = s4d.recurrent(u)
    for channel in range(3):
        A = torch.diag(-torch.exp(s4d.log_A_real[channel]))
        ones = torch.ones(len(A), dtype=torch.float64)
        A_bar, B_bar = discretize(A, ones, s4d.log_dt[channel].exp().item())
        C = s4d.C[channel, :, 0]
        expected = recurrence(A_bar, B_bar, C, u[0, :, channel]) + s4d.D[channel] * u[0, :, channel]
        assert_close(y[0, :, channel], expected)


def test_a_conjugate_pair_stands_for_two_eigenvalues_of_a_real_system():
    s4d = layer("hippo", "zoh")
    u = random_input(12)
    y, _ = s4d.recurrent(u)
    pairs = torch.complex(-torch.exp(s4d.log_A_real), s4d.A_imag)
    C = torch.view_as_complex(s4d.C)
    A, C = torch.cat([pairs, pairs.conj()], 1), torch.cat([C, C.conj()], 1)  # all 6 states
    A_bar = torch.exp(s4d.log_dt.exp()[:, None] * A)
    x = torch.zeros(2, 3, 6, dtype=torch.complex128)
    for t in range(12):
        x = A_bar * x + (A_bar - 1) / A * u[:, t, :, None]
        response = (C * x).sum(-1)
        assert_close(response.imag, torch.zeros_like(response.imag))
        assert_close(y[:, t], response.real + s4d.D * u[:, t])


@pytest.mark.parametrize(
    ["options", "message"],
    [
        ({"init": "random"}, r"S4D init is 'random'; choose one of hippo, real\."),
        ({"discretization": "euler"}, r"discretization is 'euler'; choose one of zoh, bilinear\."),
        ({"d_state": 5}, r"5 is not an even size\."),
    ],
)
def test_bad_options_are_errors_that_say_what_to_choose(options, message):
    with pytest.raises(ValueError, match=message):
        S4D(4, **options)


def test_an_odd_state_is_fine_without_conjugate_pairs():
    assert S4D(4, 5, init="real")(torch.zeros(1, 2, 4)).shape == (1, 2, 4)
