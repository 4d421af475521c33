"""How far probabilities can be trusted: calibration error and the reliability table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BINS = 15


class ReliabilityBin(NamedTuple):
    """Predictions with a probability from low to high: how many, mean probability, share right."""

    low: float
    high: float
    size: int
    confidence: float
    accuracy: float


def reliability(
    p: Sequence[float] | np.ndarray, right: Sequence[bool] | np.ndarray, bins: int = BINS
) -> list[ReliabilityBin]:
    """Predictions in bins of equal width over [0, 1]; bins without any are left out.

    p: (prediction,) probabilities; right: (prediction,) whether each came true. Raises ValueError
    if they differ in number or a probability is not in [0, 1].
    """
    p, right = np.asarray(p, dtype=float), np.asarray(right, dtype=float)
    if p.shape != right.shape:
        raise ValueError(f"There are {len(p)} probabilities, but {len(right)} outcomes.")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("Probabilities must be in [0, 1].")
    places = np.minimum((p * bins).astype(int), bins - 1)
    return [
        ReliabilityBin(
            place / bins,
            (place + 1) / bins,
            int(own.sum()),
            float(p[own].mean()),
            float(right[own].mean()),
        )
        for place in range(bins)
        if (own := places == place).any()
    ]


def expected_calibration_error(
    p: Sequence[float] | np.ndarray, right: Sequence[bool] | np.ndarray, bins: int = BINS
) -> float:
    """The mean distance between probability and share of right predictions, over bins.

    Weighted by the predictions in a bin (Naeini et al. 2015; 15 bins as Guo et al. 2017). 0 without
    predictions.
    """
    table = reliability(p, right, bins)
    total = sum(row.size for row in table)
    return sum(row.size * abs(row.confidence - row.accuracy) for row in table) / max(total, 1)


def chance_calibration_error(
    p: Sequence[float] | np.ndarray, bins: int = BINS, draws: int = 200, seed: int = 0
) -> float:
    """The calibration error that exact probabilities would show for as few predictions as these.

    The mean over outcomes drawn by the probabilities: what no calibration can be expected to beat.
    """
    p = np.asarray(p, dtype=float)
    rng = np.random.default_rng(seed)
    outcomes = (rng.random(p.shape) < p for _ in range(draws))
    return float(np.mean([expected_calibration_error(p, own, bins) for own in outcomes]))
