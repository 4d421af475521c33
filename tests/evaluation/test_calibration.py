"""Calibration error: by hand, and beside scikit-learn."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from spacy_mamba_crf.evaluation.calibration import (
    chance_calibration_error,
    expected_calibration_error,
    reliability,
)


@pytest.fixture
def outcomes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    return p, rng.random(2000) < p**2


def test_the_reliability_table_is_scikit_learns(outcomes):
    p, right = outcomes
    table = reliability(p, right, bins=10)
    accuracy, confidence = calibration_curve(right, p, n_bins=10)
    assert [row.accuracy for row in table] == pytest.approx(accuracy)
    assert [row.confidence for row in table] == pytest.approx(confidence)
    assert sum(row.size for row in table) == 2000


def test_the_error_is_the_mean_distance_weighted_by_size():
    p = [0.1, 0.1, 0.1, 0.9]
    right = [False, True, False, False]
    # |1/3 - 0.1| for three predictions, |0 - 0.9| for one
    expected = (3 * (1 / 3 - 0.1) + 0.9) / 4
    assert expected_calibration_error(p, right, bins=2) == pytest.approx(expected)


def test_certainties_that_come_true_have_no_error():
    assert expected_calibration_error([1.0, 0.0, 1.0], [True, False, True]) == 0.0


def test_no_predictions_have_no_error():
    assert expected_calibration_error([], []) == 0.0
    assert reliability([], []) == []


def test_perfect_probabilities_show_the_error_by_chance(outcomes):
    p, _ = outcomes
    rng = np.random.default_rng(5)
    errors = [expected_calibration_error(p, rng.random(len(p)) < p) for _ in range(100)]
    assert chance_calibration_error(p) == pytest.approx(np.mean(errors), rel=0.1)


def test_the_error_by_chance_shrinks_as_predictions_grow():
    rng = np.random.default_rng(1)
    few, many = rng.random(100), rng.random(10000)
    assert chance_calibration_error(few) > 5 * chance_calibration_error(many)


@pytest.mark.parametrize(
    ["p", "right", "message"],
    [([0.5], [True, False], "1 probabilities, but 2 outcomes"), ([1.1], [True], r"in \[0, 1\]")],
)
def test_what_is_no_list_of_probabilities_is_refused(p, right, message):
    with pytest.raises(ValueError, match=message):
        reliability(p, right)
