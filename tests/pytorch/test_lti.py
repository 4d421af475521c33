"""Time-invariant systems in matrix form: HiPPO, both discretisations, recurrence = convolution."""

import math

import pytest
import torch

from spacy_mamba_crf.pytorch.lti import (
    causal_fft_convolution,
    discretize_bilinear,
    discretize_zoh,
    hippo_eigenvalues,
    hippo_legs,
    kernel,
    recurrence,
)

DISCRETISATIONS = {"zoh": discretize_zoh, "bilinear": discretize_bilinear}
each_discretisation = pytest.mark.parametrize(
    "discretize", DISCRETISATIONS.values(), ids=DISCRETISATIONS.keys()
)


def assert_close(got, expected, tolerance=1e-10):
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


def random_vector(size: int) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(size), dtype=torch.float64)


def test_hippo_legs_of_size_three_is_the_papers_matrix():
    A, B = hippo_legs(3)
    root = math.sqrt
    expected = [[-1, 0, 0], [-root(3), -2, 0], [-root(5), -root(15), -3]]
    assert_close(A, torch.tensor(expected, dtype=torch.float64))
    assert_close(B, torch.tensor([1, root(3), root(5)], dtype=torch.float64))


@pytest.mark.parametrize("state", [2, 4, 16, 64])
def test_hippo_eigenvalues_are_those_of_the_normal_part(state):
    A, B = hippo_legs(state)
    everything = torch.linalg.eigvals(A + torch.outer(B, B) / 2)
    upper = everything[everything.imag > 0]
    assert_close(hippo_eigenvalues(state), upper[upper.imag.argsort()], 1e-9)


def test_an_odd_hippo_state_is_an_error():
    with pytest.raises(ValueError, match="5 is not an even size"):
        hippo_eigenvalues(5)


def test_zero_order_hold_is_the_exponential_of_the_augmented_matrix():
    A, B = hippo_legs(6)
    dt = 0.05
    augmented = torch.zeros(7, 7, dtype=torch.float64)
    augmented[:6, :6], augmented[:6, 6] = A, B
    exponential = torch.linalg.matrix_exp(dt * augmented)
    A_bar, B_bar = discretize_zoh(A, B, dt)
    assert_close(A_bar, exponential[:6, :6])
    assert_close(B_bar, exponential[:6, 6])


def test_both_discretisations_of_a_scalar_system_are_the_textbook_formulas():
    a, b, dt = 2.0, 3.0, 0.25
    A, B = torch.tensor([[-a]]).double(), torch.tensor([b]).double()
    zoh = [value.item() for value in discretize_zoh(A, B, dt)]
    assert zoh == pytest.approx([math.exp(-0.5), 3 * (1 - math.exp(-0.5)) / 2])
    bilinear = [value.item() for value in discretize_bilinear(A, B, dt)]
    assert bilinear == pytest.approx([(1 - 0.25) / (1 + 0.25), 0.25 * 3 / (1 + 0.25)])


def test_zero_order_hold_of_a_constant_input_is_exact_at_any_step():
    A, B = hippo_legs(4)
    C = random_vector(4)
    fine = recurrence(*discretize_zoh(A, B, 0.01), C, torch.ones(100).double())
    coarse = recurrence(*discretize_zoh(A, B, 0.25), C, torch.ones(4).double())
    assert_close(coarse, fine[24::25])


def test_the_bilinear_error_falls_with_the_square_of_the_step():
    A, B = hippo_legs(4)
    C = random_vector(4)
    exact = recurrence(*discretize_zoh(A, B, 1.0), C, torch.ones(1).double())[-1]
    errors = []
    for steps in (100, 200):
        y = recurrence(*discretize_bilinear(A, B, 1 / steps), C, torch.ones(steps).double())
        errors.append(float((y[-1] - exact).abs()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


@each_discretisation
@pytest.mark.parametrize("state", [1, 5, 16])
@pytest.mark.parametrize("time", [1, 2, 50])
def test_the_recurrence_is_the_convolution_with_the_kernel(discretize, state, time):
    A_bar, B_bar = discretize(*hippo_legs(state), 0.02)
    C, u = random_vector(state), random_vector(time)
    expected = recurrence(A_bar, B_bar, C, u)
    impulse = kernel(A_bar, B_bar, C, time)
    direct = torch.stack([sum(impulse[j] * u[k - j] for j in range(k + 1)) for k in range(time)])
    assert_close(direct, expected)
    assert_close(causal_fft_convolution(u, impulse), expected)


def test_the_kernel_is_the_response_to_one_impulse():
    A_bar, B_bar = discretize_zoh(*hippo_legs(4), 0.1)
    C = random_vector(4)
    impulse = torch.zeros(8, dtype=torch.float64)
    impulse[0] = 1
    assert_close(kernel(A_bar, B_bar, C, 8), recurrence(A_bar, B_bar, C, impulse))


def test_the_fft_convolution_does_not_wrap_around():
    ones = torch.ones(2, 5, dtype=torch.float64)
    assert_close(causal_fft_convolution(ones, ones[0]), torch.arange(1.0, 6).double().repeat(2, 1))
