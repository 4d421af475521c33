"""Writing a comparison: comparison.md, a CSV file for each table, and the figures."""

from collections.abc import Sequence
from pathlib import Path

from ..about import __version__
from ..files import write_text
from .collect import SystemRuns, collect
from .corpus_tables import corpus_section
from .figures import FIGURES
from .layout import Section
from .plan import Plan
from .tables import average_section, conll_section, epoch_section, main_section, tag_section


def write_comparison(plan: Plan, report: Path) -> list[SystemRuns]:
    """Write what is known of the plan's systems to the folder `report`, and return it.

    Results are taken only if they were made with the plan's settings. Raises FileNotFoundError or
    ValueError as `Plan.check` does.
    """
    systems = collect(plan)
    sections = [
        main_section(systems),
        conll_section(systems),
        average_section(systems),
        tag_section(systems),
        epoch_section(systems),
        corpus_section(plan.corpus_dir),
    ]
    for name, draw in FIGURES.items():
        draw(systems, report / name)
    kept = [section for section in sections if section is not None]
    for section in kept:
        for name, table in section.files.items():
            write_text(report / f"{name}.csv", table.to_csv())
    write_text(report / "comparison.md", _page(plan, systems, kept))
    return systems


def _page(plan: Plan, systems: Sequence[SystemRuns], sections: Sequence[Section]) -> str:
    done = sum(len(system.runs) for system in systems)
    steps = "what each config says"
    if plan.max_steps:
        steps = (
            f"{plan.max_steps:,} for every system (schedule, warm-up and evaluations scaled): "
            "a budget of this comparison, not that of the configs"
        )
    settings = [f"paths.{name} = {value}" for name, value in plan.paths if value is not None]
    settings += [f"{key} = {value}" for key, value in plan.overrides]
    settings += [
        f"{system}: {key} = {value}"
        for system, overrides in plan.system_overrides.items()
        for key, value in overrides
    ]
    facts = {
        "Systems": f"{len(systems)}, of which {sum(bool(s.runs) for s in systems)} have results",
        "Seeds": f"{', '.join(map(str, plan.seeds))}; finished runs: {done}",
        "Training steps": steps,
        "Device": plan.device,
        "Other settings": "; ".join(settings),
        "Made with": f"spacy-mamba-crf {__version__}, `python scripts/compare.py`",
    }
    lines = [f"- {name}: {fact}" for name, fact in facts.items() if fact]
    head = f"# Systems on {plan.corpus}\n\n" + "\n".join(lines) + "\n"
    return "\n".join([head, *(section.to_markdown() for section in sections)])
