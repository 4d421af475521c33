"""Vectors of sixteen numbers inside kernels, and the exponential that they share with scalars."""

import numpy as np
import pytest

from spacy_mamba_crf.pytorch import jit, lanes

NUMBERS = np.concatenate(
    [np.linspace(-87, 88, 40_000), [0.0, -0.0, 1e-30, -1e-30]], dtype=np.float32
)


@jit.kernel
def exp_of_lanes(x, y):
    for i in range(0, len(x), lanes.LANES):
        lanes.store(y, i, lanes.exp(lanes.load(x, i)))


@jit.kernel
def exp_of_scalars(x, y):
    for i in range(len(x)):
        y[i] = jit.exp32(x[i])


@jit.kernel
def sigmoid_of_lanes(x, y):
    for i in range(0, len(x), lanes.LANES):
        lanes.store(y, i, lanes.sigmoid(lanes.load(x, i)))


@jit.kernel
def sum_of_lanes(x):
    return lanes.total(lanes.load(x, 0))


@pytest.mark.parametrize("function", [exp_of_lanes, exp_of_scalars])
def test_exp_is_right_to_seven_digits(function):
    x = np.resize(NUMBERS, -(-len(NUMBERS) // lanes.LANES) * lanes.LANES)
    y = np.empty_like(x)
    function(x, y)
    np.testing.assert_allclose(y, np.exp(x.astype(float)), rtol=4e-7)


@pytest.mark.parametrize("function", [exp_of_lanes, exp_of_scalars])
def test_exp_beyond_the_range_of_float32_stays_finite(function):
    x = np.full(lanes.LANES, -1e30, np.float32)
    x[:2] = 1e30, np.inf
    y = np.empty_like(x)
    function(x, y)
    assert np.isfinite(y).all()
    assert (y[2:] < 2e-38).all() and (y[:2] > 1e38).all()


def test_the_sigmoid_is_right_at_both_ends():
    x = np.linspace(-100, 100, 160, dtype=np.float32)
    y = np.empty_like(x)
    sigmoid_of_lanes(x, y)
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-x.astype(float))), rtol=1e-6, atol=1e-37)


def test_the_sum_takes_every_lane_once():
    assert sum_of_lanes((2.0 ** np.arange(lanes.LANES)).astype(np.float32)) == 2**lanes.LANES - 1
