"""Train variations of a config, one change each, and tabulate what each change is worth on dev."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.comparison.ablations import read_ablations, write_table
from spacy_mamba_crf.comparison.plan import Plan, read_override, read_seeds
from spacy_mamba_crf.comparison.runs import Outcome, run_all


def main(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus, as in configs/corpora")],
    report: Annotated[Path, typer.Argument(help="Table to write, .md; a .csv goes beside it")],
    folder: Annotated[Path, typer.Option(help="Of the variations' configs")] = Path(
        "configs/ablations"
    ),
    only: Annotated[str, typer.Option(help="Some of them beside base, with spaces between")] = "",
    seeds: Annotated[str, typer.Option(help="With spaces between")] = "0",
    max_steps: Annotated[int, typer.Option(help="Steps of each; 0: what its config says")] = 0,
    paths: Annotated[
        str, typer.Option(help="NAME=VALUE of a config's paths, with spaces between")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of the runs")] = None,
    jobs: Annotated[int, typer.Option(help="To train at once")] = 1,
    again: Annotated[bool, typer.Option("--again", help="Run finished ones again")] = False,
    tables_only: Annotated[bool, typer.Option("--tables-only", help="Run nothing")] = False,
) -> None:
    """Train each of the configs in FOLDER; `base.cfg` is what the others are compared with."""
    try:
        ablations = read_ablations(folder, only.split())
        plan = Plan(
            corpus=corpus,
            systems=[f"{folder.name}/{ablation.name}" for ablation in ablations],
            configs=folder.parent,
            corpus_dir=Path("corpus") / corpus,
            out=out or Path("comparison") / f"{corpus}-ablations",
            seeds=read_seeds(seeds),
            max_steps=max_steps,
            paths=[read_override(text) for text in paths.split()],
            jobs=jobs,
        )
        outcomes = [] if tables_only else run_all(plan, again=again, report=_print)
        write_table(plan, ablations, report)
    except (OSError, ValueError) as error:
        msg.fail(str(error), exits=1)
    msg.good(f"Wrote {report}")
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def _print(outcome: Outcome) -> None:
    took = f"{outcome.seconds / 60:.1f} min"
    msg.info(f"{outcome.system}, seed {outcome.seed}: {outcome.status}, {took} {outcome.reason}")


if __name__ == "__main__":
    typer.run(main)
