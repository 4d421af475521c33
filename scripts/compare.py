"""Train, evaluate and compare many systems on one corpus; see docs/comparison.md."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.comparison.page import write_comparison
from spacy_mamba_crf.comparison.plan import Plan, read_override, read_seeds, read_system_override
from spacy_mamba_crf.comparison.runs import FAILED, SKIPPED, Outcome, run_all


def main(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus, as in configs/corpora")],
    systems: Annotated[str, typer.Option(help="Systems, the stems of CONFIGS/*.cfg")],
    configs: Annotated[Path, typer.Option(help="Folder of configs")] = Path("configs"),
    corpus_dir: Annotated[
        Path | None, typer.Option(help="Folder of the .spacy files; corpus/CORPUS if left out")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the runs; comparison/CORPUS if left out")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder of the tables; reports/CORPUS/comparison")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, with spaces between")] = "0",
    max_steps: Annotated[int, typer.Option(help="Steps of each; 0: what its config says")] = 0,
    device: Annotated[str, typer.Option(help="Name of a config in configs/devices")] = "cpu",
    gpu: Annotated[int, typer.Option(help="Number of the GPU, -1 for none")] = -1,
    jobs: Annotated[int, typer.Option(help="Systems to train at once")] = 1,
    paths: Annotated[
        str, typer.Option(help="NAME=VALUE of a config's paths, with spaces between")
    ] = "",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of all configs; repeatable")
    ] = None,
    system_overrides: Annotated[
        list[str] | None, typer.Option("--system-set", help="SYSTEM:KEY=VALUE; repeatable")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Run finished systems again")] = False,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Run nothing; tables of what is finished")
    ] = False,
) -> None:
    """Write comparison.md, CSV tables and figures. Exits with 1 if a system failed."""
    try:
        of_systems = defaultdict(list)
        for text in system_overrides or []:
            system, override = read_system_override(text)
            of_systems[system].append(override)
        plan = Plan(
            corpus=corpus,
            systems=list(dict.fromkeys(systems.split())),
            configs=configs,
            corpus_dir=corpus_dir or Path("corpus", corpus),
            out=out or Path("comparison", corpus),
            seeds=read_seeds(seeds),
            max_steps=max_steps,
            device=device,
            gpu=gpu,
            jobs=jobs,
            paths=[read_override(text) for text in paths.split()],
            overrides=[read_override(text) for text in overrides or []],
            system_overrides=of_systems,
        )
        plan.check()
    except (OSError, ValueError) as error:
        msg.fail("Cannot compare", str(error), exits=1)
    report = report or Path("reports", corpus, "comparison")
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        if not tables_only:
            run_all(plan, again=again, report=_tell(len(plan.systems) * len(plan.seeds), outcomes))
    except KeyboardInterrupt:
        interrupted = True
        msg.warn("Stopped; the same command goes on with what is not finished.")
    write_comparison(plan, report)
    msg.good(f"Wrote {report / 'comparison.md'}")
    failed = [outcome for outcome in outcomes if outcome.status == FAILED]
    if failed:
        names = ", ".join(f"{outcome.system} (seed {outcome.seed})" for outcome in failed)
        msg.fail(f"Failed: {names}", "The same command tries them again.")
    raise typer.Exit(130 if interrupted else 1 if failed else 0)


def _tell(total: int, outcomes: list[Outcome]) -> Callable[[Outcome], None]:
    """A function that notes an outcome and prints a line about it."""

    def tell(outcome: Outcome) -> None:
        outcomes.append(outcome)
        name = f"{len(outcomes)}/{total} {outcome.system}, seed {outcome.seed}"
        f1 = "nothing scored" if outcome.f1 is None else f"strict F1 {100 * outcome.f1:.2f}"
        if outcome.status == FAILED:
            msg.fail(f"{name}: {outcome.reason}")
        elif outcome.status == SKIPPED:
            msg.info(f"{name}: finished before, {f1}")
        else:
            msg.good(f"{name}: {f1} ({outcome.seconds / 60:.1f} min)")

    return tell


if __name__ == "__main__":
    typer.run(main)
