"""A picture of each command's results, drawn from what is in its JSON file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy_mamba_crf.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[str, Any]

# One colour for a peer in every picture; ours stand out.
_COLOURS = {
    "mamba_crf": "#1f4e9c",
    "mamba_crf_pretrained": "#12305e",
    "mamba_crf_small": "#64b5cd",
    "bilstm_crf": "#dd8452",
    "torch_bilstm_crf": "#e9b28c",
    "spacy_ner": "#55a868",
    "bert": "#8c8c8c",
    "cpu": "#1f4e9c",
    "cuda": "#1f4e9c",
    "chunked": "#64b5cd",
    "reference": "#dd8452",
    "stored loop": "#e9b28c",
    "mambapy": "#55a868",
    "mamba-ssm": "#8c8c8c",
    "torch conv1d": "#55a868",
    "ours": "#1f4e9c",
    "pyahocorasick": "#55a868",
}
_SCAN_BATCH = 8


def draw(data: Data, path: Path) -> None:
    """Draw the results of a command to a PNG file, whole or not at all."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    drawn: dict[str, tuple[tuple[float, float], Callable[[Figure, Data], None]]] = {
        "scan": ((12, 7), _scan),
        "pipeline": ((12, 6), _pipeline),
        "stages": ((8, 4), _stages),
        "length": ((11, 4.5), _length),
        "roofline": ((8, 4), _roofline),
        "train": ((8, 4), _train),
        "precision": ((8, 4), _precision),
        "lexicon": ((9, 4), _lexicon),
    }
    size, function = drawn[data["benchmark"]]
    with rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
        FigureCanvasAgg(figure)
        function(figure, data)
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=120)


def _scan(figure: "Figure", data: Data) -> None:
    """A column a kernel, a row a mode: milliseconds against length, at one batch size."""
    kernels = list(dict.fromkeys(row["kernel"] for row in data["rows"]))
    modes = list(dict.fromkeys(row["mode"] for row in data["rows"]))
    batches = {row["batch"] for row in data["rows"]}
    batch = _SCAN_BATCH if _SCAN_BATCH in batches else min(batches)
    axes = figure.subplots(len(modes), len(kernels), sharex=True, squeeze=False)
    for i, mode in enumerate(modes):
        for j, kernel in enumerate(kernels):
            rows = [
                row
                for row in data["rows"]
                if (row["kernel"], row["mode"], row["batch"]) == (kernel, mode, batch)
            ]
            _scan_lines(axes[i][j], rows)
            axes[i][j].set_title(f"{kernel}, {mode}", fontsize=10)
        axes[i][0].set_ylabel("milliseconds a call")
    for axis in axes[-1]:
        axis.set_xlabel("length (steps)")
    figure.suptitle(
        f"Kernels, batch {batch}, {data['settings']['channels']} channels, "
        f"{data['settings']['states']} states (ssd_scan: {2 * data['settings']['states']}); "
        "a line ends where a call would take too much time or memory"
    )


def _scan_lines(axes: "Axes", rows: Sequence[Data]) -> None:
    for name in dict.fromkeys(row["candidate"] for row in rows):
        points = [
            (row["time"], 1e3 * row["seconds"])
            for row in rows
            if row["candidate"] == name and "seconds" in row
        ]
        if points:
            width = 2.2 if name in ("cpu", "cuda") else 1.3
            axes.loglog(
                *zip(*sorted(points)), marker="o", ms=3.5, lw=width, color=_colour(name), label=name
            )
    _powers_of_two(axes, sorted({row["time"] for row in rows}))
    axes.grid(which="major", color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False, fontsize=8)


def _pipeline(figure: "Figure", data: Data) -> None:
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _speed_bars(left, data["rows"])
    rows = [row for row in data["rows"] if row["cores"] == min(r["cores"] for r in data["rows"])]
    labels = [row["peer"] for row in rows]
    middle = [1e3 * row["latency_p50"] for row in rows]
    above = [1e3 * (row["latency_p95"] - row["latency_p50"]) for row in rows]
    for label, time, longer in zip(labels, middle, above):
        bar = right.errorbar(time, label, xerr=[[0.0], [longer]], fmt="o", color=_colour(label))
        bar[0].set_markersize(9)
    right.margins(y=0.1)
    right.grid(axis="x", color="#dddddd", linewidth=0.6)
    right.invert_yaxis()
    right.set_xscale("log")
    _plain_ticks(right)
    right.set_xlabel("milliseconds a document: median, line to 95 %")
    right.set_title(f"one document at a time, {rows[0]['cores']} core(s)", fontsize=10)
    left.set_title("nlp.pipe", fontsize=10)
    figure.suptitle(f"Pipelines on the corpus {data['settings']['corpus']}")


def _train(figure: "Figure", data: Data) -> None:
    axes = figure.subplots()
    _speed_bars(axes, data["rows"])
    figure.suptitle(f"Training on the corpus {data['settings']['corpus']}: nlp.update")


def _speed_bars(axes: "Axes", rows: Sequence[Data]) -> None:
    """Characters per second: a group of bars a peer, a bar a number of cores."""
    peers = list(dict.fromkeys(row["peer"] for row in rows))
    counts = sorted({row["cores"] for row in rows})
    height = 0.8 / len(counts)
    for number, count in enumerate(counts):
        own = [row for row in rows if row["cores"] == count]
        places = [
            peers.index(row["peer"]) + (number - (len(counts) - 1) / 2) * height for row in own
        ]
        speeds = [row["characters_per_second"] for row in own]
        bars = axes.barh(
            places,
            speeds,
            height=0.92 * height,
            color=[_colour(row["peer"]) for row in own],
            alpha=1.0 if number == 0 else 0.6,
        )
        labels = [f"{speed:,.0f} ({count} core{'s' * (count > 1)})" for speed in speeds]
        axes.bar_label(bars, labels, padding=4, fontsize=8.5)
    axes.set_yticks(range(len(peers)), peers)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max(row["characters_per_second"] for row in rows))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("characters per second (more is better)")


def _length(figure: "Figure", data: Data) -> None:
    left, right = figure.subplots(1, 2)
    for peer in dict.fromkeys(row["peer"] for row in data["rows"]):
        rows = [row for row in data["rows"] if row["peer"] == peer]
        lengths = [row["characters"] for row in rows]
        exponent = data["summary"][peer]["exponent"]
        label = peer if exponent is None else f"{peer}: cost ~ length$^{{{exponent:.2f}}}$"
        times = [1e6 * row["seconds"] / row["characters"] for row in rows]
        left.loglog(lengths, times, marker="o", ms=4, color=_colour(peer), label=label)
        known = [row for row in rows if row["peak_bytes"] is not None]
        right.loglog(
            [row["characters"] for row in known],
            [max(row["peak_bytes"], 2**20) / 2**20 for row in known],
            **{"marker": "o", "ms": 4, "color": _colour(peer), "label": peer},
        )
    right.axhline(2048, color="#444444", linewidth=0.8, linestyle=":")
    right.text(lengths[0], 2200, "2 GiB", fontsize=8.5, va="bottom")
    left.set_ylabel("microseconds a character")
    right.set_ylabel("peak memory over the loaded pipeline (MiB)")
    for axes in (left, right):
        axes.set_xlabel("length of the document (characters)")
        axes.grid(which="major", color="#dddddd", linewidth=0.6)
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.legend(frameon=False, fontsize=9)
    low, high = left.get_ylim()
    left.set_ylim(low / 2, high * 2.5)
    figure.suptitle(f"One document, {data['settings']['cores']} core(s)")


def _roofline(figure: "Figure", data: Data) -> None:
    axes = figure.subplots()
    fractions = data["summary"]["fractions"]
    colours = {"float32": "#1f4e9c", "bfloat16": "#dd8452"}
    for number, (precision, parts) in enumerate(fractions.items()):
        rate = data["summary"]["gflop_per_second"][precision]
        places = [place + 0.38 * (number - 0.5) for place in range(len(parts))]
        bars = axes.barh(
            places,
            list(parts.values()),
            height=0.35,
            color=colours[precision],
            label=f"{precision}, {rate:,.0f} GFLOP/s",
        )
        axes.bar_label(bars, [f"{value:.2f}" for value in parts.values()], padding=4, fontsize=9)
    names = {"encoder": "encoder", "model": "whole model", "pipe": "nlp.pipe"}
    axes.set_yticks(range(len(parts)), [names[part] for part in parts])
    axes.invert_yaxis()
    axes.axvline(0.6, color="#444444", linewidth=0.8, linestyle=":", label="goal: 0.6")
    axes.set_xlabel("time of the matrix products alone, over the time taken")
    axes.set_xlim(0, 1.0)
    figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=3)
    figure.suptitle(f"Fraction of the GEMM limit, {data['settings']['cores']} core(s)")


def _stages(figure: "Figure", data: Data) -> None:
    """A bar a stage, the first on top."""
    axes = figure.subplots()
    rows = [row for row in data["rows"] if row["stage"] != "nlp.pipe"][::-1]
    times = [row["microseconds"] for row in rows]
    bars = axes.barh([row["stage"] for row in rows], times, color=_COLOURS["mamba_crf"])
    axes.bar_label(bars, [f"{row['share']:.0%}" for row in rows], padding=3)
    axes.set_xlabel("microseconds a character (with the share of nlp.pipe)")
    axes.margins(x=0.1)


def _precision(figure: "Figure", data: Data) -> None:
    """F1 by part in both precisions, side by side."""
    axes = figure.subplots()
    parts = [f"{row['corpus']}\n{part}" for row in data["rows"][::2] for part in row["f1"]]
    for number, precision in enumerate(("float32", "bfloat16")):
        rows = [row for row in data["rows"] if row["precision"] == precision]
        scores = [f1 for row in rows for f1 in row["f1"].values()]
        places = [place + 0.4 * (number - 0.5) for place in range(len(parts))]
        bars = axes.bar(places, scores, 0.38, label=precision)
        axes.bar_label(bars, fmt="%.2f", padding=2)
    axes.set_xticks(range(len(parts)), parts)
    axes.set_ylabel("strict F1, percent")
    axes.set_ylim(0, 110)
    axes.legend(loc="lower right")


def _lexicon(figure: "Figure", data: Data) -> None:
    """Pipelines with and without the lexicon on the left, matchers on the right."""
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    rows = [row for row in data["rows"] if "pipeline" in row]
    for number, part in enumerate(("without", "with")):
        places = [place + 0.4 * (number - 0.5) for place in range(len(rows))]
        alpha = 0.6 if part == "without" else 1.0
        colours = [_colour(row["pipeline"]) for row in rows]
        bars = left.bar(places, [row[part] for row in rows], 0.38, color=colours, alpha=alpha)
        added = [f"+{row['added']:.1%}" if part == "with" else "" for row in rows]
        left.bar_label(bars, added, padding=2)
    names = [f"{row['pipeline']}\n{row['use']}" for row in rows]
    left.set_xticks(range(len(rows)), names, fontsize=7)
    left.set_title(f"nlp.pipe without and with {data['settings']['terms']:,} terms", fontsize=10)
    left.set_ylabel("microseconds a character")
    rows = [row for row in data["rows"] if "matcher" in row]
    names = [row["matcher"] for row in rows]
    times = [row["microseconds"] for row in rows]
    bars = right.bar(names, times, color=[_colour(name) for name in names])
    right.bar_label(bars, [f"{row['bytes'] / 2**20:.1f} MiB" for row in rows], padding=2)
    right.set_title("matching alone", fontsize=10)


def _colour(name: str) -> str:
    return _COLOURS.get(name, "#937860")


def _powers_of_two(axes: "Axes", times: Sequence[int]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xticks(times, [f"{time:,}" for time in times], fontsize=8.5)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:,g}")


def _plain_ticks(axes: "Axes") -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
