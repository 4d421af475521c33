"""Training and evaluating each system in subprocesses; a run that fails does not stop the others.

A run's folder holds merged.cfg and config.cfg (filled in), log.jsonl, train.log (all that was
printed), model-best, measured.json, report/, and at last result.json or failure.json.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srsly
from thinc.api import Config

from ..about import __version__
from ..evaluation.training_log import read_training_log
from ..files import write_text
from .collect import has_result, read_result
from .plan import Plan
from .processes import Processes, error_in, terminated_as_interrupted

DONE, SKIPPED, FAILED = "done", "skipped", "failed"
_FILES = "merged.cfg config.cfg log.jsonl train.log measured.json result.json failure.json"
_MADE = (*_FILES.split(), "model-best", "model-last", "report")

Stages = Callable[[Plan, int, Path], list[tuple[str, list[str]]]]


@dataclass(frozen=True)
class Outcome:
    """How a run ended. f1: strict F1 on the test part in [0, 1]; reason: of a failure."""

    system: str
    seed: int
    status: str
    f1: float | None = None
    seconds: float = 0.0
    reason: str = ""


class RunFailed(Exception):
    """A stage of a run failed; `stage` and the end of what it printed."""

    def __init__(self, stage: str, reason: str, tail: str):
        super().__init__(reason)
        self.stage, self.tail = stage, tail


def spacy_stages(plan: Plan, seed: int, folder: Path) -> list[tuple[str, list[str]]]:
    """The commands of a run by name: fill the config in, train, measure on dev and test."""
    spacy = [sys.executable, "-m", "spacy"]
    gpu = ["--gpu-id", str(plan.gpu)]
    config = str(folder / "config.cfg")
    paths = {"train": plan.part("train"), "dev": plan.part("dev"), "log": folder / "log.jsonl"}
    train = [*spacy, "train", config, "--output", str(folder), *gpu, "--system.seed", str(seed)]
    for name, path in paths.items():
        train += [f"--paths.{name}", str(path)]
    measure = [sys.executable, "-m", "spacy_mamba_crf.comparison.measure", str(folder)]
    return [
        ("fill-config", [*spacy, "init", "fill-config", str(folder / "merged.cfg"), config]),
        ("train", train),
        ("measure", [*measure, str(plan.part("dev")), str(plan.part("test")), *gpu]),
    ]


def run_all(
    plan: Plan,
    *,
    again: bool = False,
    stages: Stages = spacy_stages,
    report: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run every system with every seed, `plan.jobs` at once, and return how each ended.

    A run with a result of the same key is skipped, and one with a result of another key is left as
    it is and counts as failed, unless `again`. report: called with each
    outcome as it comes. Raises ValueError or FileNotFoundError (`Plan.check`) before any run.
    KeyboardInterrupt, also from SIGTERM, ends the runs under way and passes on; finished results
    stay, and an interrupted run counts as not run.
    """
    plan.check()
    hashes = plan.hashes()
    processes = Processes(one_thread=plan.jobs > 1)
    outcomes = []
    with terminated_as_interrupted(), ThreadPoolExecutor(plan.jobs) as executor:
        pending = [
            executor.submit(_run, plan, system, seed, hashes, again, stages, processes)
            for seed in plan.seeds  # one of each system first: partial tables compare all
            for system in plan.systems
        ]
        try:
            for future in as_completed(pending):
                outcomes.append(future.result())
                report(outcomes[-1])
        except BaseException:
            for future in pending:
                future.cancel()
            processes.stop()
            raise
    return outcomes


def _run(
    plan: Plan,
    system: str,
    seed: int,
    hashes: Mapping[str, str],
    again: bool,
    stages: Stages,
    processes: Processes,
) -> Outcome:
    folder = plan.folder(system, seed)
    start = time.monotonic()
    try:
        config = plan.config(system)
        key = plan.key(config, seed, hashes)
        result = None if again else read_result(folder, key)
        if result is not None:
            return Outcome(system, seed, SKIPPED, result["test"]["ents_f"])
        if not again and has_result(folder):
            reason = f"{folder} holds a finished run with other settings; choose another --out, or "
            reason += "replace it with --again"
            return Outcome(system, seed, FAILED, None, 0.0, reason)
        _remove(folder, _MADE)
        write_text(folder / "merged.cfg", config.to_str(interpolate=False))
        seconds = _run_stages(stages(plan, seed, folder), folder / "train.log", processes)
        result = _result(plan, system, seed, folder, seconds) | {"key": key}
        write_text(folder / "result.json", srsly.json_dumps(result, indent=2) + "\n")
    except Exception as error:  # whatever it is, it is recorded and the other systems go on
        if processes.stopped:
            raise
        return _record_failure(system, seed, folder, error, time.monotonic() - start)
    return Outcome(system, seed, DONE, result["test"]["ents_f"], time.monotonic() - start)


def _run_stages(
    stages: list[tuple[str, list[str]]], log: Path, processes: Processes
) -> dict[str, float]:
    """Run the commands one after the other, and return the seconds of each."""
    seconds = {}
    for stage, command in stages:
        before = log.stat().st_size if log.is_file() else 0
        start = time.monotonic()
        code = processes.run(command, log)
        seconds[stage] = time.monotonic() - start
        if code:
            printed = log.read_bytes()[before:].decode("utf-8", errors="replace")
            raise RunFailed(stage, *error_in(printed, code))
    return seconds


def _result(
    plan: Plan, system: str, seed: int, folder: Path, seconds: Mapping[str, float]
) -> dict[str, Any]:
    log = read_training_log(folder / "log.jsonl")
    config = Config().from_disk(folder / "config.cfg", interpolate=False)
    f1 = log.scores.get("ents_f")
    return {
        "system": system,
        "seed": seed,
        "corpus": plan.corpus,
        "version": __version__,
        "budget": {"max_steps": config["training"]["max_steps"], "cut": plan.max_steps > 0},
        "pretrained": _pretrained(config),
        "jobs": plan.jobs,
        "training": {
            "seconds": seconds.get("train", 0.0),
            "steps": log.steps[-1],
            "epochs": log.epochs[-1] + 1,
            "best_step": log.steps[log.best],
            "best_dev_f1": max(f1) / 100 if f1 else None,
        },
        **srsly.read_json(folder / "measured.json"),
    }


def _pretrained(config: Config) -> dict[str, str]:
    """What the config takes from elsewhere, by its name under [paths]: vectors, a transformer."""
    own = {"train", "dev", "log"}
    paths = config.get("paths", {}).items()
    return {
        name: Path(value).name
        for name, value in paths
        if isinstance(value, str) and value and name not in own
    }


def _record_failure(
    system: str, seed: int, folder: Path, error: Exception, seconds: float
) -> Outcome:
    stage, tail = "config", ""
    reason = str(error).replace(f"{Path.cwd()}/", "")  # the tables are for others, too
    if isinstance(error, RunFailed):
        stage, tail = error.stage, error.tail
    elif not isinstance(error, (OSError, ValueError)):
        reason = f"{type(error).__name__}: {error}"
    _remove(folder, ("result.json",))
    failure = {"system": system, "seed": seed, "stage": stage, "reason": reason, "tail": tail}
    write_text(folder / "failure.json", srsly.json_dumps(failure, indent=2) + "\n")
    where = f" (see {folder / 'train.log'})" if tail else ""
    return Outcome(system, seed, FAILED, None, seconds, f"{stage}: {reason}{where}")


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Remove what a run makes, and nothing else that lies in its folder."""
    for path in (folder / name for name in names):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
