"""Clocks, taking turns, medians and paired ratios."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
OURS = "mamba_crf"  # what the names of our own pipelines begin with


def seconds(function: Callable[[], Any], device: str = "cpu") -> float:
    """Wall-clock seconds of one call, waiting for the GPU where there is one."""
    _wait(device)
    start = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - start


def in_turn(
    runs: Mapping[str, Callable[[], T]],
    rounds: int,
) -> dict[str, list[T]]:
    """What each run returns, round by round: A B C A B C ..."""
    values: dict[str, list[T]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            values[name].append(run())
    return values


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def speed_ratios(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Speed of each of our pipelines over each peer's on as many cores.

    rows: `peer`, `cores` and the speeds of all `rounds`.
    """
    ratios = []
    for ours in (row for row in rows if row["peer"].startswith(OURS)):
        for peer in rows:
            if peer["cores"] == ours["cores"] and not peer["peer"].startswith(OURS):
                ratio = paired_ratio(ours["rounds"], peer["rounds"])
                names = {"of": ours["peer"], "over": peer["peer"], "cores": ours["cores"]}
                ratios.append(names | {"ratio": ratio})
    return ratios


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, between neighbours in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _wait(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
