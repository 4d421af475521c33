"""`scan`: each of our kernels against the plain loop and the packages that offer the same."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .results import Report, show_table
from .timing import in_turn, paired_ratio, seconds
from .workers import Worker

HEADLINE = (32, 64)  # batch, time
BATCHES = (1, 8, 64)
TIMES = (16, 64, 256, 1024, 4096, 16384)
_MODES = ("forward", "forward+backward")
_PAIRS = {
    "selective_scan": ("stored loop", "reference", "mambapy", "mamba-ssm"),
    "ssd_scan": ("reference", "chunked"),
    "causal_conv": ("torch conv1d", "reference"),
}


@dataclass(frozen=True)
class Limits:
    """A run above `gib` of memory or `call` seconds a call is left out; `rounds` at most."""

    gib: float = 2.0
    call: float = 1.0
    rounds: int = 5


class ScanRunner:
    """Measures one kernel at one size; lives in a worker."""

    def __init__(self, device: str, limits: Limits):
        import torch

        from .kernels import make_kernels

        torch.manual_seed(0)
        self.device = device
        self.limits = limits
        self.missing: list[str] = []
        self.kernels = make_kernels(16, device, self.missing.append)
        self.last: dict[tuple[str, str, str], tuple[int, float]] = {}  # (tokens, seconds) measured

    def names(self) -> tuple[list[str], list[str]]:
        """The kernels, and what is missing."""
        return list(self.kernels), self.missing

    def measure(self, kernel: str, batch: int, time: int, mode: str) -> list[dict[str, Any]]:
        """A row a candidate: median seconds, the seconds of each round, the error, or why not."""
        from .kernels import Size

        size = Size(batch, time)
        rows: dict[str, dict[str, Any]] = {}
        for name in self.kernels[kernel].candidates:
            row = {"kernel": kernel, "candidate": name, "mode": mode, "batch": batch, "time": time}
            why = self._skip(kernel, name, size, mode, self.limits.gib)
            rows[name] = row | ({"skipped": why} if why else {})
        if all("skipped" in row for row in rows.values()):
            return list(rows.values())
        arrays = {
            name: array.to(self.device) for name, array in self.kernels[kernel].make(size).items()
        }
        exact = self._exact(kernel, size, mode, arrays)
        turns: dict[str, Callable[[], float]] = {}
        slowest = 0.0
        for name, row in rows.items():
            if "skipped" in row:
                continue
            run = _caller(self.kernels[kernel].candidates[name].run, arrays, mode)
            outputs = run()  # compiles, fills caches
            if exact is not None:
                row["error"] = _error(outputs, exact)
            del outputs
            once = seconds(run, self.device)
            self.last[kernel, name, mode] = (size.tokens, once)
            repeats = max(1, int(0.02 / once))
            turns[name] = _repeated(run, repeats, self.device)
            slowest = max(slowest, once * repeats)
        rounds = max(1, min(self.limits.rounds, int(self.limits.call / slowest))) if turns else 0
        for name, values in in_turn(turns, rounds).items():
            rows[name] |= {"seconds": statistics.median(values), "rounds": values}
        return list(rows.values())

    def _exact(self, kernel: str, size: Any, mode: str, arrays: dict[str, Any]) -> Any:
        """The outputs in float64, or None where they would take too long or too much."""
        names = self.kernels[kernel].candidates
        oracle = "reference" if "reference" in names else next(iter(names))
        if self._skip(kernel, oracle, size, mode, self.limits.gib / 4):
            return None
        double = {name: array.double() for name, array in arrays.items()}
        return _caller(names[oracle].run, double, mode)()

    def _skip(self, kernel: str, name: str, size: Any, mode: str, limit: float) -> str | None:
        """Why a candidate is not run at this size, None if it is. limit: GiB."""
        candidate = self.kernels[kernel].candidates[name]
        alive = candidate.forward if mode == "forward" else candidate.both
        gib = alive * size.unit / 2**30
        if gib > limit:
            return f"needs about {gib:.0f} GiB"
        tokens, once = self.last.get((kernel, name, mode), (1, 0.0))
        expected = once * size.tokens / tokens
        return f"would take about {expected:.0f} s" if expected > self.limits.call else None


def run_scan(report: Report, cores: int, quick: bool) -> None:
    """Fill the report. The headline size comes first, with more rounds."""
    limits = Limits(rounds=2) if quick else Limits()
    grid = [(batch, time) for batch in BATCHES for time in TIMES]
    if quick:
        grid = [(1, 16), (2, 40)]
    report.settings |= {"channels": 512, "states": 16, "headline": list(HEADLINE)}
    report.settings |= {"limit_gib": limits.gib, "limit_seconds": limits.call, "cores": cores}
    headline = Limits(call=10.0, rounds=2 if quick else 9)
    for size_limits, sizes in ((headline, [HEADLINE]), (limits, grid)):
        worker = Worker(
            *(ScanRunner, report.device, size_limits), cores=cores, device=report.device
        )
        kernels, missing = worker.call("names")
        for sentence in missing:
            report.note(sentence)
        for kernel in kernels:
            for mode in _MODES:
                for batch, time in sizes:
                    found = worker.call("measure", kernel, batch, time, mode)
                    report.rows += found
                    _show(found)
        worker.close()
    report.summary = summarise(report.rows)
    _note_skips(report)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios at the headline size, and the largest error of each of our kernels at any size."""
    ratios: list[dict[str, Any]] = []
    errors: dict[str, float] = {}
    headline = [row for row in rows if (row["batch"], row["time"]) == HEADLINE]
    for kernel, peers in _PAIRS.items():
        for mode in _MODES:
            times = {
                row["candidate"]: row["rounds"]
                for row in headline
                if (row["kernel"], row["mode"]) == (kernel, mode) and "rounds" in row
            }
            ours = next((name for name in ("cpu", "cuda", "chunked") if name in times), None)
            for peer in peers:
                if ours and peer in times and peer != ours:
                    ratio = paired_ratio(times[peer], times[ours])
                    ratios.append(
                        {"kernel": kernel, "mode": mode, "of": ours, "over": peer, "ratio": ratio}
                    )
    for row in rows:
        if "error" in row and row["candidate"] in ("cpu", "cuda", "chunked"):
            name = f"{row['kernel']} {row['candidate']} {row['mode']}"
            errors[name] = max(errors.get(name, 0.0), row["error"])
    return {"ratios": ratios, "errors": errors}


def _show(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    title = f"{first['kernel']} {first['mode']}, batch {first['batch']}, length {first['time']}"
    show_table(
        title,
        ["candidate", "ms", "us a step and text", "error"],
        [
            [row["candidate"], row["skipped"], None, None]
            if "skipped" in row
            else [
                row["candidate"],
                1e3 * row["seconds"],
                1e6 * row["seconds"] / row["batch"] / row["time"],
                row.get("error"),
            ]
            for row in rows
        ],
    )


def _note_skips(report: Report) -> None:
    skipped = sum("skipped" in row for row in report.rows)
    if skipped:
        report.note(
            f"{skipped} of {len(report.rows)} combinations were left out: above "
            f"{report.settings['limit_gib']:g} GiB or {report.settings['limit_seconds']:g} s a "
            "call; each says which in its row."
        )


def _caller(run: Callable, arrays: dict[str, Any], mode: str) -> Callable[[], Sequence[Any]]:
    """A call without arguments that returns the output under no_grad, or all gradients."""
    import torch

    if mode == "forward":
        return torch.no_grad()(lambda: [run(arrays)])
    leaves = {name: array.requires_grad_() for name, array in arrays.items()}
    weights = torch.ones_like(arrays["x"])
    inputs = list(leaves.values())
    return lambda: torch.autograd.grad(run(leaves), inputs, weights)


def _repeated(run: Callable[[], Any], repeats: int, device: str) -> Callable[[], float]:
    def turn() -> float:
        return seconds(lambda: [run() for _ in range(repeats)], device) / repeats

    return turn


def _error(outputs: Sequence[Any], exact: Sequence[Any]) -> float:
    """The largest difference in any output, over that output's largest value."""
    errors = (
        ((output.double() - right).abs().max() / right.abs().max()).item()
        for output, right in zip(outputs, exact)
    )
    return max(errors)
