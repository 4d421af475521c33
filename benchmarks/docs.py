"""docs/benchmarks.md, written from the JSON files alone."""

from collections.abc import Mapping
from typing import Any

from spacy_mamba_crf.evaluation.markdown import markdown_table
from spacy_mamba_crf.files import write_text

from .goals import goals
from .results import NAMES, Places, shown

_INTRODUCTION = """# Benchmarks

This page is written by `python -m benchmarks docs` from the files in `benchmarks/results`;
`python -m benchmarks all` measures everything anew. Each peer runs in a process of its own, bound
to the same cores with as many threads as cores; peers take turns, and a ratio is the median of the
ratios within the rounds. What a peer is, and how fairness is kept, is written in
[`benchmarks/__init__.py`](../benchmarks/__init__.py).
"""
_EXPLAINED = {
    "scan": "Milliseconds of a call and the largest error of an output (with backward: of a "
    "gradient) against the plain loop in float64, over the largest value of that output. "
    "`cpu` and `chunked` are ours; `reference` is the plain loop step by step, `stored loop` the "
    "one that makes the products of all steps at once, as published code does.",
    "pipeline": "Characters per second of `nlp.pipe`, and milliseconds of one document at a time. "
    "`torch_bilstm_crf` returns tags only: it makes no Docs, spans or probabilities.",
    "stages": "Microseconds a character of each stage of the default config, one after the other "
    "on batches of 64 sentences. The cost of the probabilities is that of decoding with them less "
    "that of decoding without.",
    "length": "The components' time on one Doc that was made beforehand, the tokenizer's beside "
    "it, and the memory at the peak over the loaded pipeline, the Doc itself included.",
    "roofline": "The encoder's and the emissions' matrix products alone, each by the fastest "
    "routine that torch has for its shape, over the time of the encoder, of the whole model, and "
    "of `nlp.pipe`.",
    "precision": "Strict F1 of the pipelines that `spacy project run train` left in `training`, "
    "with products in either precision, and tokens per second of their components.",
    "lexicon": "Microseconds a character of `nlp.pipe` with and without a lexicon in the "
    "embedding, in turn in one process. The terms are n-grams of the very texts that are read, of "
    "which a text has more than of a real lexicon's. Matching alone: ours is given Docs, folds, "
    "and returns spans of tokens; pyahocorasick is given texts folded beforehand, and returns "
    "places.",
    "train": "Characters per second of `nlp.update` with the optimiser's step, at the batches of "
    "each peer's own config.",
}
_TITLES = {
    "scan": "Kernels",
    "pipeline": "Pipelines",
    "stages": "Where the time goes",
    "length": "Long documents",
    "roofline": "Distance to the matrix products",
    "train": "Training",
    "precision": "Precision",
    "lexicon": "Lexicons",
}


def write_docs(places: Places) -> None:
    """Write the page. Raises FileNotFoundError if there are no results at all."""
    found = {name: places.read(name) for name in NAMES}
    on_gpu = {name: places.read(name, "cuda") for name in NAMES}
    if not any(found.values()) and not any(on_gpu.values()):
        raise FileNotFoundError(
            f"There are no results in {places.json('scan', 'cpu').parent}; run `python -m "
            "benchmarks all` first."
        )
    parts = [_INTRODUCTION, _goals(found)]
    parts += [_section(data) for data in found.values() if data]
    parts += [_section(data) for data in on_gpu.values() if data]
    write_text(places.page, "\n".join(parts))


def _goals(found: Mapping[str, Any]) -> str:
    commands = {name: data["command"] for name, data in found.items() if data}
    rows = [goal.cells(commands) for goal in goals(found)]
    header = ["figure", "at least", "measured", "met", "command"]
    return "## Goals\n\n" + markdown_table(header, rows)


def _section(data: Mapping[str, Any]) -> str:
    name, device = data["benchmark"], data["device"]
    title = _TITLES[name] + (" (GPU)" if device == "cuda" else "")
    image = name if device == "cpu" else f"{name}-{device}"
    notes = "".join(f"- {note}\n" for note in data["notes"])
    tables = {
        "scan": _scan,
        "pipeline": _pipeline,
        "stages": _stages,
        "length": _length,
        "roofline": _roofline,
        "train": _train,
        "precision": _precision,
        "lexicon": _lexicon,
    }
    return "\n".join(
        [
            f"## {title}\n",
            f"{_EXPLAINED[name]}\n",
            f"![{title}](images/benchmarks/{image}.png)\n",
            tables[name](data),
            *([notes] if notes else []),
            _provenance(data),
        ]
    )


def _provenance(data: Mapping[str, Any]) -> str:
    machine = data["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    device = f"; GPU {machine['gpu']}" if machine["gpu"] else ""
    return (
        f"`{data['command']}`, {machine['date'][:10]}, on {machine['cpu']}, {machine['cores']} "
        f"cores{device}; {machine['system']}, Python {machine['python']}, {packages}.\n"
    )


def _scan(data: Mapping[str, Any]) -> str:
    headline = tuple(data["settings"]["headline"])
    rows = []
    for row in data["rows"]:
        if (row["batch"], row["time"]) == headline and "seconds" in row:
            time, error = 1e3 * row["seconds"], row.get("error")
            error = None if error is None else f"{error:.1e}"
            rows.append([row["kernel"], row["mode"], row["candidate"], shown(time), error])
    ratios = [
        [row["kernel"], row["mode"], row["of"], row["over"], f"{row['ratio']:.1f}x"]
        for row in data["summary"]["ratios"]
    ]
    worst = [[name, f"{error:.1e}"] for name, error in data["summary"]["errors"].items()]
    batch, time = headline
    return "\n".join(
        [
            f"At batch {batch}, length {time}, {data['settings']['channels']} channels and "
            f"{data['settings']['states']} states, on {data['settings']['cores']} core(s):\n",
            markdown_table(["kernel", "mode", "candidate", "ms", "error"], rows),
            markdown_table(["kernel", "mode", "ours", "over", "faster"], ratios),
            "The largest error at any size:\n",
            markdown_table(["kernel", "error"], worst),
        ]
    )


def _pipeline(data: Mapping[str, Any]) -> str:
    header = ["peer", "cores", "characters/s", "p50 ms", "p95 ms", "entities/1000 characters"]
    rows = [
        [row["peer"], row["cores"], shown(row["characters_per_second"])]
        + [shown(1e3 * row[key]) for key in ("latency_p50", "latency_p95")]
        + [shown(row.get("entities_per_1000_characters"))]
        for row in data["rows"]
    ]
    return _peers(data) + markdown_table(header, rows) + "\n" + _ratios(data)


def _train(data: Mapping[str, Any]) -> str:
    header = ["peer", "cores", "characters/s"]
    rows = [
        [row["peer"], row["cores"], shown(row["characters_per_second"])] for row in data["rows"]
    ]
    return markdown_table(header, rows) + "\n" + _ratios(data)


def _peers(data: Mapping[str, Any]) -> str:
    lines = []
    for row in {row["peer"]: row for row in data["rows"]}.values():
        size = row["encoder_parameters"]
        parameters = f", {size:,} parameters in the encoder" if size else ""
        lines.append(f"- `{row['peer']}`: {row['what']}; {row['weights']}{parameters}\n")
    return "".join(lines) + "\n"


def _ratios(data: Mapping[str, Any]) -> str:
    rows = [
        [row["of"], row["over"], row["cores"], f"{row['ratio']:.2f}x"]
        for row in data["summary"]["ratios"]
    ]
    return markdown_table(["ours", "over", "cores", "ratio"], rows)


def _length(data: Mapping[str, Any]) -> str:
    header = ["peer", "characters", "s", "us a character", "tokenizer s", "peak MiB", "of it Doc"]
    rows = []
    for row in sorted(data["rows"], key=lambda row: row["peer"]):
        sizes = [row["peak_bytes"], row["doc_bytes"]]
        mib = [None if size is None else shown(size / 2**20) for size in sizes]
        each = 1e6 * row["seconds"] / row["characters"]
        times = [shown(time) for time in (row["seconds"], each, row["tokenizer_seconds"])]
        rows.append([row["peer"], f"{row['characters']:,}", *times, *mib])
    return markdown_table(header, rows)


def _roofline(data: Mapping[str, Any]) -> str:
    summary, row = data["summary"], data["rows"][0]
    fractions = [
        [precision, shown(summary["gflop_per_second"][precision])]
        + [f"{value:.2f}" for value in parts.values()]
        for precision, parts in summary["fractions"].items()
    ]
    rates = []
    for rate in row["rates"]:
        shape = " x ".join(map(str, rate["shape"]))
        rates.append([shape, rate["dtype"], rate["routine"], shown(rate["gflop_per_second"])])
    return "\n".join(
        [
            f"By default the encoder runs in {summary['precision']} here. Over {row['tokens']:,} "
            f"characters in {row['batches']} batches, on {data['settings']['cores']} core(s):\n",
            markdown_table(
                [
                    "encoder and products in",
                    "GFLOP/s",
                    "of the encoder",
                    "of the model",
                    "of nlp.pipe",
                ],
                fractions,
            ),
            "The rate at each shape (rows x inner x outer) of the first batch:\n",
            markdown_table(["shape", "numbers", "routine", "GFLOP/s"], rates),
        ]
    )


def _precision(data: Mapping[str, Any]) -> str:
    rows = [
        [
            *(row["corpus"], row["precision"], shown(row["tokens_per_second"])),
            ", ".join(f"{part} {f1:.2f}" for part, f1 in row["f1"].items()),
        ]
        for row in data["rows"]
    ]
    return markdown_table(["corpus", "encoder in", "tokens/s", "F1"], rows)


def _lexicon(data: Mapping[str, Any]) -> str:
    pipelines = [
        [
            *(row[key] for key in ("pipeline", "use")),
            *(shown(row[key]) for key in ("without", "with")),
            f"{row['added']:.1%}",
        ]
        for row in data["rows"]
        if "pipeline" in row
    ]
    matchers = [
        [row["matcher"], shown(row["microseconds"]), shown(row["bytes"] / 2**20)]
        + [shown(row[key]) for key in ("make_seconds", "matches_per_1000_characters")]
        for row in data["rows"]
        if "matcher" in row
    ]
    header = ["matcher", "us a character", "MiB", "s to make", "matches/1000 characters"]
    uses = ["pipeline", "lexicon as", "us a character", "with the lexicon", "added"]
    settings = data["settings"]
    return "\n".join(
        [
            f"{settings['terms']:,} terms, on {settings['cores']} core(s):\n",
            markdown_table(uses, pipelines),
            "Matching alone:\n",
            markdown_table(header, matchers),
        ]
    )


def _stages(data: Mapping[str, Any]) -> str:
    rows = [
        [row["stage"], shown(row["microseconds"]), f"{row['share']:.0%}"] for row in data["rows"]
    ]
    return markdown_table(["stage", "us a character", "share"], rows)
