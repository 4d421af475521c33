"""Plots of training and of errors as PNG files. matplotlib is imported when one is drawn."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..chunks import Chunk
from ..files import replacing
from .confusion import TypeConfusion, type_confusion
from .training_log import TrainingLog, read_training_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOSS_COLOURS = ("#c44e52", "#dd8452", "#937860", "#8c8c8c")
_SCORES = {  # key in the log: name, colour and line width
    "ents_f": ("F1", "#1f4e9c", 2.0),
    "ents_p": ("precision", "#64b5cd", 1.0),
    "ents_r": ("recall", "#55a868", 1.0),
}
_RELIABILITY = (  # key of the measured probabilities, name, colour, widths of line and marker
    ("uncalibrated", "entities, before calibration", "#bbbbbb", 1.4, 4.0),
    ("candidates", "all spans from 0.05", "#f0b48f", 4.0, 9.0),  # behind: the others are part
    ("entities", "entities found", "#1f4e9c", 1.4, 4.0),
)
_FEWEST = 10  # a share of fewer spans is no point of a curve, unless there is no other
_FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK TC",
    "Noto Sans CJK SC",
    "PingFang TC",
    "Microsoft JhengHei",
)
_LOG_SCALE_ABOVE = 20  # ratio of the largest loss to the smallest


def plot_training_curve(
    log: str | Path | Iterable[Mapping[str, Any]], path: str | Path, *, title: str = "Training"
) -> None:
    """Draw loss (above) and dev precision, recall and F1 (below) against the training step.

    log: file or records of `spacy.ConsoleLogger.v3`. path: PNG file to write. Raises ValueError
    if the log is empty or of another kind.
    """
    curve = read_training_log(log)
    with new_figure((8.0, 6.4)) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        _draw_losses(above, curve)
        _draw_epochs(above, curve)
        _draw_scores(below, curve)
        below.set_xlabel("training step")
        figure.suptitle(title)
        figure.align_ylabels()
        save_figure(figure, path)


def plot_confusion(
    gold: Sequence[Sequence[Chunk]],
    predicted: Sequence[Sequence[Chunk]],
    path: str | Path,
    *,
    title: str = "Entity types",
) -> None:
    """Draw which type (columns) was predicted for which gold type (rows), same boundaries.

    gold, predicted: entities of each text as (start, end exclusive, type). Cells show counts,
    the colour is the share of the row. path: PNG file to write.
    """
    confusion = type_confusion(gold, predicted)
    size = 3.0 + 0.62 * len(confusion.labels)
    with new_figure((size + 1.0, size)) as figure:
        _draw_confusion(figure, confusion)
        figure.suptitle(title)
        save_figure(figure, path)


def plot_reliability(
    probabilities: Mapping[str, Any], path: str | Path, *, title: str = "Reliability"
) -> None:
    """Draw how often entities are right (above) by their probability, and how many (below).

    probabilities: as `measure_probabilities` gives them. path: PNG file to write.
    """
    with new_figure((6.4, 6.4)) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.plot([0, 1], [0, 1], color="#444444", linewidth=0.8, linestyle=":", label="perfect")
        for key, name, colour, line, marker in _RELIABILITY:
            scores = probabilities.get(key)
            if scores and scores["bins"]:
                label = f"{name}: {scores['size']:,}, ECE {scores['ece']:.3f}"
                rows = [row for row in scores["bins"] if row["size"] >= _FEWEST] or scores["bins"]
                points = [(row["confidence"], row["accuracy"]) for row in rows]
                style = {"color": colour, "linewidth": line, "markersize": marker}
                above.plot(*zip(*points), marker="o", label=label, **style)
                if key != "uncalibrated":
                    _draw_sizes(below, scores["bins"], colour)
        above.set_ylabel("share that is right")
        above.set_ylim(0, 1)
        below.set_ylabel("spans")
        below.yaxis.set_major_formatter("{x:,.0f}")
        below.set_xlabel("probability")
        below.set_xlim(0, 1)
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_axisbelow(True)
            axes.grid(color="#dddddd", linewidth=0.6)
        above.legend(frameon=False, loc="lower right")
        figure.suptitle(title)
        figure.align_ylabels()
        save_figure(figure, path)


def _draw_sizes(axes: "Axes", bins: Sequence[Mapping[str, Any]], colour: str) -> None:
    """A bar for each bin, as high as it holds spans."""
    for row in bins:
        axes.bar(row["low"], row["size"], row["high"] - row["low"], align="edge", color=colour)


def _draw_losses(axes: "Axes", log: TrainingLog) -> None:
    from matplotlib.ticker import LogFormatter

    values = [value for losses in log.losses.values() for value in losses]
    for i, (name, losses) in enumerate(log.losses.items()):
        if any(losses):  # a shared tok2vec reports no loss of its own
            colour = _LOSS_COLOURS[i % len(_LOSS_COLOURS)]
            axes.plot(log.steps, losses, color=colour, marker=".", label=name)
    positive = [value for value in values if value > 0]
    if min(values, default=0) >= 0 and positive:
        if max(positive) > _LOG_SCALE_ABOVE * min(positive):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(LogFormatter())
            axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
        else:
            axes.set_ylim(bottom=0)
    axes.set_ylabel("training loss per step")
    _finish(axes)


def _draw_scores(axes: "Axes", log: TrainingLog) -> None:
    drawn = {name: style for name, style in _SCORES.items() if name in log.scores}
    for name, (label, colour, width) in drawn.items():
        marker = "." if name == "ents_f" else None
        axes.plot(
            log.steps, log.scores[name], color=colour, linewidth=width, marker=marker, label=label
        )
    if not drawn:
        final = [100 * score for score in log.final]
        axes.plot(log.steps, final, color="#1f4e9c", marker=".", label="final score")
    best = log.best
    height = log.scores["ents_f"][best] if "ents_f" in drawn else 100 * log.final[best]
    axes.axvline(log.steps[best], color="#444444", linewidth=0.8, linestyle=":")
    axes.plot(
        [log.steps[best]],
        [height],
        linestyle="none",
        marker="o",
        markerfacecolor="none",
        markeredgecolor="#1f4e9c",
        markersize=10,
        label=f"best: {height:.2f} at step {log.steps[best]:,}",
    )
    axes.set_ylabel("dev score (%)")
    axes.set_ylim(bottom=0)
    axes.spines[["top"]].set_visible(False)
    _finish(axes)
    axes.legend(loc="lower right", frameon=True)


def _draw_epochs(axes: "Axes", log: TrainingLog) -> None:
    """Mark on the upper edge the first evaluation in each epoch, ten marks at most."""
    first: dict[int, int] = {}
    for step, epoch in zip(log.steps, log.epochs):
        first.setdefault(epoch, step)
    if len(first) < 2:
        return
    every = -(-len(first) // 10)
    marks = list(first.items())[::every]
    upper = axes.secondary_xaxis("top")
    upper.set_xticks([step for _, step in marks], [str(epoch) for epoch, _ in marks])
    upper.set_xlabel("epoch")


def _draw_confusion(figure: "Figure", confusion: TypeConfusion) -> None:
    axes = figure.subplots()
    totals = [sum(row) or 1 for row in confusion.counts]
    shares = [[n / total for n in row] for row, total in zip(confusion.counts, totals)]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(confusion.labels))
    axes.set_xticks(ticks, confusion.labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, confusion.labels)
    axes.set_xticks([i - 0.5 for i in ticks], minor=True)
    axes.set_yticks([i - 0.5 for i in ticks], minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    for row in ticks:
        for column in ticks:
            count = confusion.counts[row][column]
            if count:
                colour = "white" if shares[row][column] > 0.55 else "#222222"
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    axes.set_xlabel("predicted type (none: no entity with these boundaries)")
    axes.set_ylabel("gold type (none: no entity with these boundaries)")
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("share of the row")


def _finish(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.spines[["right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


@contextmanager
def new_figure(size: tuple[float, float]) -> "Iterator[Figure]":
    """A figure on the Agg canvas, apart from pyplot, with fonts that hold Chinese if installed."""
    try:
        import matplotlib
    except ImportError:
        raise ImportError(
            "Plots need matplotlib. Install it with `pip install spacy-mamba-crf[project]`."
        ) from None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    installed = {font.name for font in fontManager.ttflist}
    fonts = [name for name in _FONTS if name in installed]
    with matplotlib.rc_context({"font.family": fonts, "font.size": 10}):
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)  # inches
        figure = Figure(figsize=size, layout=layout)
        FigureCanvasAgg(figure)
        yield figure


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
