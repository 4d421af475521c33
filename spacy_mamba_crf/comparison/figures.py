"""Figures of a comparison: losses, validation scores, and strict F1, coloured by family."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..evaluation.plots import new_figure, save_figure
from ..evaluation.training_log import TrainingLog
from .collect import SystemRuns
from .measures import epoch_scores, strict_f1
from .systems import FAMILIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = dict(
    zip(
        FAMILIES,
        ("#08519c", "#6a3d9a", "#d9480f", "#1b7837", "#c2185b", "#00868b", "#222222"),
    )
)
_PALEST = 0.6  # share of white in the last of a family
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
_LOG_SCALE_ABOVE = 5  # ratio of the largest value to the smallest

Curve = dict[int, float]


def training_loss(log: TrainingLog) -> Sequence[float] | None:
    """Loss of a step's batch; None for other components than ours, whose loss is another."""
    return log.losses.get("ner") if validation_loss(log) is not None else None


def validation_loss(log: TrainingLog) -> Sequence[float] | None:
    """Loss on dev per token in nats, where it was logged (spaCy logs every score times 100)."""
    losses = log.scores.get("ents_loss")
    return None if losses is None else [loss / 100 for loss in losses]


def plot_losses(systems: Sequence[SystemRuns], path: str | Path) -> None:
    """Draw training loss (left) and validation loss (right) of all systems by step."""
    panels = [
        ("training loss of a step", [system.curve(training_loss) for system in systems]),
        ("validation loss per token (nats)", [system.curve(validation_loss) for system in systems]),
    ]
    _plot_curves(systems, panels, path, title="Loss", x_label="training step", log_scale=True)


def plot_validation(systems: Sequence[SystemRuns], path: str | Path) -> None:
    """Draw token accuracy (left) and strict F1 (right) on dev by epoch."""
    scores = [epoch_scores(system) for system in systems]
    accuracy = [{e: row[1] for e, row in rows.items() if row[1] is not None} for rows in scores]
    f1 = [{e: row[2] for e, row in rows.items() if row[2] is not None} for rows in scores]
    panels = [("token accuracy on dev (%)", accuracy), ("strict entity F1 on dev (%)", f1)]
    _plot_curves(systems, panels, path, title="Validation by epoch", x_label="epoch")


def plot_strict_f1(systems: Sequence[SystemRuns], path: str | Path) -> None:
    """Draw a bar for each system's strict F1 on test, with the standard deviation over its seeds.

    Systems without a result have no bar, but their name and what became of them.
    """
    colours = _colours(systems)
    with new_figure((8.0, 1.6 + 0.3 * len(systems))) as figure:
        axes = figure.subplots()
        for place, system in enumerate(systems):
            f1, deviation = system.mean(strict_f1), system.deviation(strict_f1)
            if f1 is None:
                text = system.problem.partition(":")[0] or "no entities"
                axes.text(0.5, place, text, va="center", color="#888888", fontsize=8)
                continue
            axes.barh(place, f1, 0.72, color=colours[system.name])
            if deviation is not None:
                axes.errorbar(f1, place, xerr=deviation, color="#222222", capsize=2.5)
            text = f"{f1:.2f}" if deviation is None else f"{f1:.2f} ± {deviation:.2f}"
            axes.text(f1 + (deviation or 0) + 1, place, text, va="center", fontsize=8)
        axes.set_yticks(range(len(systems)), [system.name for system in systems])
        axes.set_ylim(len(systems) - 0.4, -0.6)
        axes.set_xlim(0, 112)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel("strict entity F1 (%)")
        _style(axes, "x")
        _family_legend(figure, systems, colours)
        figure.suptitle("Strict entity F1")
        save_figure(figure, path)


def _plot_curves(
    systems: Sequence[SystemRuns],
    panels: Sequence[tuple[str, Sequence[Curve]]],
    path: str | Path,
    *,
    title: str,
    x_label: str,
    log_scale: bool = False,
) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    drawn = [system for i, system in enumerate(systems) if any(curves[i] for _, curves in panels)]
    styles = _styles(drawn)
    height = max(4.4, 1.2 + 0.19 * (len(drawn) + len({system.family for system in drawn})))
    with new_figure((12.5, height)) as figure:
        for axes, (label, curves) in zip(figure.subplots(1, len(panels)), panels):
            for system, curve in zip(systems, curves):
                if curve:
                    axes.plot(*zip(*curve.items()), **styles[system.name])
            axes.set_xlabel(x_label)
            axes.set_ylabel(label)
            axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            if log_scale:
                _use_log_scale(axes, [value for curve in curves for value in curve.values()])
            _style(axes, "both")
            if not any(curves):
                axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center")
        _system_legend(figure, drawn, styles)
        figure.suptitle(title)
        save_figure(figure, path)


def _use_log_scale(axes: "Axes", values: Sequence[float]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if values and min(values) > 0 and max(values) > _LOG_SCALE_ABOVE * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _colours(systems: Sequence[SystemRuns]) -> dict[str, Any]:
    """A shade of its family's colour for each system, the darkest first."""
    from matplotlib.colors import to_rgb

    colours = {}
    for family, colour in _COLOURS.items():
        names = [system.name for system in systems if system.family == family]
        for i, name in enumerate(names):
            white = _PALEST * i / max(len(names) - 1, 1)
            colours[name] = tuple(part + (1 - part) * white for part in to_rgb(colour))
    return colours


def _styles(systems: Sequence[SystemRuns]) -> dict[str, dict[str, Any]]:
    """Colour by family; within one, lines differ in shade and dashes."""
    colours = _colours(systems)
    styles = {}
    for family in FAMILIES:
        names = [system.name for system in systems if system.family == family]
        for i, name in enumerate(names):
            dashes = _DASHES[i % len(_DASHES)]
            styles[name] = {"color": colours[name], "linestyle": dashes, "marker": "."}
            styles[name] |= {"markersize": 3.5, "linewidth": 1.5}
    return styles


def _system_legend(
    figure: "Figure", systems: Sequence[SystemRuns], styles: dict[str, dict[str, Any]]
) -> None:
    """All systems under their families, right of the panels."""
    from matplotlib.lines import Line2D

    handles, labels = [], []
    for family in FAMILIES:
        names = [system.name for system in systems if system.family == family]
        if names:
            handles += [Line2D([], [], linestyle="none")]
            handles += [Line2D([], [], **styles[name]) for name in names]
            labels += [family, *names]
    legend = figure.legend(
        handles, labels, loc="outside right upper", frameon=False, fontsize=8, handlelength=3.2
    )
    for text in legend.get_texts():
        if text.get_text() in FAMILIES:
            text.set_fontweight("bold")


def _family_legend(
    figure: "Figure", systems: Sequence[SystemRuns], colours: dict[str, Any]
) -> None:
    from matplotlib.patches import Patch

    first: dict[str, Any] = {}
    for system in systems:
        first.setdefault(system.family, colours[system.name])
    handles = [Patch(color=colour, label=family) for family, colour in first.items()]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)


def _style(axes: "Axes", grid: Literal["both", "x", "y"]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis=grid, color="#dddddd", linewidth=0.6)


FIGURES: dict[str, Callable[[Sequence[SystemRuns], str | Path], None]] = {
    "strict_f1.png": plot_strict_f1,
    "validation.png": plot_validation,
    "losses.png": plot_losses,
}
