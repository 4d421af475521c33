"""Variations of one config, each with one change: which there are, and what each is worth."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from ..files import write_text
from .collect import SystemRuns, collect
from .layout import Table
from .measures import strict_f1
from .plan import Plan

BASE = "base"
_HEADER = ("change", "strict F1, dev", "difference", "seeds", "million parameters", "minutes")


class Ablation(NamedTuple):
    """name: stem of its config; change: the first comment line of the config."""

    name: str
    change: str


def read_ablations(folder: Path, only: Sequence[str] = ()) -> list[Ablation]:
    """The variations in a folder, base.cfg first, then by name; `only` some of them, and base.

    Raises ValueError if one of these is missing, or begins with no comment that says its change.
    """
    names = sorted(path.stem for path in folder.glob("*.cfg"))
    missing = [name for name in (BASE, *only) if name not in names]
    if missing:
        raise ValueError(
            f"There is no {', '.join(missing)} in {folder}; it has {', '.join(names)}."
        )
    chosen = [BASE, *(n for n in names if n != BASE and (not only or n in only))]
    return [Ablation(name, _change(folder / f"{name}.cfg")) for name in chosen]


def write_table(plan: Plan, ablations: Sequence[Ablation], path: Path) -> None:
    """Write the table of what has been run, .md and .csv: scores are of the dev part."""
    runs = {system.name.rpartition("/")[2]: system for system in collect(plan)}
    rows = [_row(ablation, runs[ablation.name], runs[BASE]) for ablation in ablations]
    named = [[ablation.name, *row] for ablation, row in zip(ablations, rows)]
    write_text(path, Table(_HEADER, rows).to_markdown() + "\n")
    write_text(path.with_suffix(".csv"), Table(("name", *_HEADER), named).to_csv())


def _row(ablation: Ablation, system: SystemRuns, base: SystemRuns) -> list[str]:
    f1, deviation = system.mean(_dev_f1), system.deviation(_dev_f1)
    if f1 is None:
        return [ablation.change, system.problem, "", "", "", ""]
    spread = "" if deviation is None else f" ± {deviation:.2f}"
    difference = "" if ablation.name == BASE else _difference(system, base)
    parameters = system.mean(lambda result: result["parameters"] / 1e6)
    minutes = system.mean(lambda result: result["training"]["seconds"] / 60)
    return [
        ablation.change,
        f"{f1:.2f}{spread}",
        difference,
        str(len(system.runs)),
        f"{parameters:.1f}",
        f"{minutes:.1f}",
    ]


def _difference(system: SystemRuns, base: SystemRuns) -> str:
    """Mean difference over the seeds that both have."""
    ours, theirs = (
        {run.seed: score for run in side.runs if (score := _dev_f1(run.result)) is not None}
        for side in (system, base)
    )
    differences = [ours[seed] - theirs[seed] for seed in ours.keys() & theirs.keys()]
    return f"{mean(differences):+.2f}" if differences else ""


def _dev_f1(result) -> float | None:
    return strict_f1(result, "dev")


def _change(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    first = lines[0] if lines else ""
    if not first.startswith("# "):
        raise ValueError(f"{path}:1: begin with a comment that says what is changed.")
    return first[2:].rstrip(".")
