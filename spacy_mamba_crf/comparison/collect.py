"""Reading finished and failed runs into one record for each system."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import srsly

from ..evaluation.training_log import TrainingLog, read_training_log
from .plan import Plan
from .systems import family_of, in_order


@dataclass(frozen=True)
class Run:
    """One finished run: what result.json holds, and its training log."""

    seed: int
    result: Mapping[str, Any]
    log: TrainingLog


@dataclass(frozen=True)
class SystemRuns:
    """All runs of a system.

    failures: reason of each failed seed; others: seeds that finished with other settings; wanted:
    seeds asked for.
    """

    name: str
    wanted: int
    runs: list[Run] = field(default_factory=list)
    failures: dict[int, str] = field(default_factory=dict)
    others: list[int] = field(default_factory=list)

    @property
    def family(self) -> str:
        """Its family, such as "recurrent"."""
        return family_of(self.name)

    @property
    def problem(self) -> str:
        """What to say of runs that are not there; "" if all are."""
        if self.failures:
            seed, reason = next(iter(self.failures.items()))
            return f"failed: {reason}" if not self.runs else f"seed {seed} failed: {reason}"
        if len(self.runs) == self.wanted:
            return ""
        if self.others:
            return "finished with other settings"
        return "unfinished" if self.runs else "not run"

    def values(self, get: Callable[[Mapping[str, Any]], float | None]) -> list[float]:
        """What `get` takes from each run's result, where it is there."""
        found = (get(run.result) for run in self.runs)
        return [value for value in found if value is not None]

    def mean(self, get: Callable[[Mapping[str, Any]], float | None]) -> float | None:
        """Mean of `values` over the seeds; None where there is none."""
        values = self.values(get)
        return mean(values) if values else None

    def deviation(self, get: Callable[[Mapping[str, Any]], float | None]) -> float | None:
        """Standard deviation of the sample (n - 1); None for fewer than two seeds."""
        values = self.values(get)
        return stdev(values) if len(values) > 1 else None

    def curve(self, get: Callable[[TrainingLog], Sequence[float] | None]) -> dict[int, float]:
        """Mean over the seeds of a logged figure, by step, at the steps that all seeds logged."""
        curves = [dict(zip(run.log.steps, get(run.log) or ())) for run in self.runs]
        curves = [curve for curve in curves if curve]
        shared = set(curves[0]).intersection(*curves[1:]) if curves else set()
        return {step: mean(curve[step] for curve in curves) for step in sorted(shared)}


def read_result(folder: Path, key: str) -> dict[str, Any] | None:
    """result.json of a run, or None if there is none that was made under this key."""
    result = _read(folder / "result.json")
    return result if result is not None and result.get("key") == key else None


def has_result(folder: Path) -> bool:
    """Whether a run finished here, under whatever key."""
    return _read(folder / "result.json") is not None


def collect(plan: Plan) -> list[SystemRuns]:
    """The runs of each system of the plan, by family; results of other settings are left out.

    Raises FileNotFoundError or ValueError as `Plan.check` does.
    """
    plan.check()
    hashes = plan.hashes()
    return [_collect_system(plan, system, hashes) for system in in_order(plan.systems)]


def _collect_system(plan: Plan, system: str, hashes: Mapping[str, str]) -> SystemRuns:
    runs = SystemRuns(system, wanted=len(plan.seeds))
    try:
        config = plan.config(system)
    except (OSError, ValueError) as error:
        runs.failures.update(dict.fromkeys(plan.seeds, f"config: {error}"))
        return runs
    for seed in plan.seeds:
        folder = plan.folder(system, seed)
        result = read_result(folder, plan.key(config, seed, hashes))
        failure = _read(folder / "failure.json")
        if result is None and has_result(folder):
            runs.others.append(seed)
        if result is not None:
            runs.runs.append(Run(seed, result, read_training_log(folder / "log.jsonl")))
        elif failure is not None:
            runs.failures[seed] = f"{failure['stage']}: {failure['reason']}"
    return runs


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON file; None if it is not there or was not written whole."""
    try:
        data = srsly.read_json(path) if path.is_file() else None
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
