"""The table of goals: each figure that must be shown, what is required, what was measured."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LEXICON_USES = ("features", "scores")
Found = Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class Goal:
    """A figure with what it should be and what it is (None: not measured).

    benchmark: the command that measures it; unit: what is written behind the values.
    """

    figure: str
    benchmark: str
    required: str
    measured: float | None
    met: bool | None
    unit: str = ""

    def cells(self, commands: Mapping[str, str]) -> list[str]:
        """As a row of the table; commands: the command line of each benchmark that has run."""
        if self.measured is None:
            value, verdict = "not measured", ""
        else:
            digits = f"{self.measured:.1e}" if self.measured < 1e-3 else f"{self.measured:.2f}"
            value, verdict = digits + self.unit, "yes" if self.met else "**no**"
        command = commands.get(self.benchmark, f"python -m benchmarks {self.benchmark}")
        return [self.figure, self.required, value, verdict, f"`{command}`"]


def goals(found: Found) -> list[Goal]:
    """All goals in order. found: what each command's JSON file holds, None if there is none."""
    return [
        *_scan_goals(found.get("scan")),
        *_speed_goals(found),
        *_roofline_goals(found.get("roofline")),
        *_length_goals(found.get("length")),
        _error_goal(found.get("scan")),
        _probabilities_goal(found.get("stages")),
        *_precision_goals(found.get("precision")),
        *_lexicon_goals(found.get("lexicon")),
    ]


def _scan_goals(data: Mapping[str, Any] | None) -> list[Goal]:
    ratios = _summary(data).get("ratios", [])
    wanted = [
        ("forward", "stored loop", 20, "plain loop (all steps' products at once)"),
        ("forward", "reference", 20, "plain loop (step by step, leaner)"),
        ("forward+backward", "stored loop", 10, "plain loop (all steps' products at once)"),
        ("forward+backward", "reference", 10, "plain loop (step by step, leaner)"),
        ("forward", "mambapy", 35, "mambapy"),
    ]
    return [
        _at_least(
            f"selective scan {mode}, fused / {name}",
            "scan",
            least,
            _ratio(ratios, over=over, mode=mode, kernel="selective_scan"),
        )
        for mode, over, least, name in wanted
    ]


def _speed_goals(found: Found) -> list[Goal]:
    speeds = _summary(found.get("pipeline")).get("ratios", [])
    training = _summary(found.get("train")).get("ratios", [])
    wanted = [
        ("mamba_crf_pretrained", "spacy_ner", 0.8, "default config / spaCy's `ner`"),
        ("mamba_crf", "spacy_ner", 1.0, "config mamba_crf / spaCy's `ner`"),
        ("mamba_crf_small", "spacy_ner", 2.0, "small config / spaCy's `ner`"),
        ("mamba_crf", "bert", 15.0, "config mamba_crf / BERT-base-shaped transformer"),
        ("mamba_crf", "bilstm_crf", 1.0, "config mamba_crf / BiLSTM-CRF at equal parameters"),
    ]
    rows = [
        _at_least(
            f"pipeline characters/s, {name}, one core",
            "pipeline",
            least,
            _ratio(speeds, of=ours, over=peer, cores=1),
        )
        for ours, peer, least, name in wanted
    ]
    ratio = _ratio(training, of="mamba_crf", over="bilstm_crf", cores=2)
    name = "training characters/s, config mamba_crf / BiLSTM-CRF at equal parameters, two cores"
    return [*rows, _at_least(name, "train", 1.0, ratio)]


def _roofline_goals(data: Mapping[str, Any] | None) -> list[Goal]:
    fractions = _summary(data).get("fractions", {"float32": {}})
    names = {"encoder": "encoder", "model": "whole model", "pipe": "`nlp.pipe`"}
    return [
        _at_least(
            f"fraction of the GEMM limit in {precision}, {name}",
            "roofline",
            0.6,
            parts.get(part),
            unit="",
        )
        for precision, parts in fractions.items()
        for part, name in names.items()
    ]


def _length_goals(data: Mapping[str, Any] | None) -> list[Goal]:
    ours = _summary(data).get("mamba_crf", {})
    reached = ours.get("characters", 0)
    exponent = ours.get("exponent")
    size = ours.get("peak_bytes") if reached == 1_000_000 else None
    gib = None if size is None else size / 2**30
    return [
        Goal(
            f"exponent of cost by length, 1,000 to {reached or 1_000_000:,} characters",
            "length",
            "1.00 ± 0.05",
            exponent,
            exponent is not None and abs(exponent - 1) <= 0.05,
        ),
        Goal(
            "peak memory over the loaded pipeline, 1,000,000 characters",
            "length",
            "below 2 GiB",
            gib,
            gib is not None and gib < 2,
            " GiB",
        ),
    ]


def _error_goal(data: Mapping[str, Any] | None) -> Goal:
    errors = _summary(data).get("errors", {})
    worst = max(errors.values(), default=None)
    return Goal(
        "largest error of any kernel against float64, over the largest value",
        "scan",
        "below 1e-5",
        worst,
        worst is not None and worst < 1e-5,
    )


def _at_least(
    figure: str, benchmark: str, least: float, value: float | None, unit: str = "x"
) -> Goal:
    met = None if value is None else value >= least
    return Goal(figure, benchmark, f"{least:g}{unit}", value, met, unit)


def _ratio(ratios: list[dict[str, Any]], **wanted: Any) -> float | None:
    for row in ratios:
        if all(row[key] == value for key, value in wanted.items()):
            return row["ratio"]
    return None


def _summary(data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return data["summary"] if data else {}


def _precision_goals(data: Mapping[str, Any] | None) -> list[Goal]:
    changes = [corpus["largest_change_of_f1"] for corpus in _summary(data).values()]
    largest = max(changes, default=None)
    met = None if largest is None else largest <= 0.1
    name = "largest change of F1 by bfloat16 in the encoder"
    return [Goal(name, "precision", "at most 0.1", largest, met)]


def _lexicon_goals(data: Mapping[str, Any] | None) -> list[Goal]:
    added = _summary(data).get("added", {})
    rows = []
    for pipeline, use in itertools.product(("mamba_crf", "mamba_crf_small"), _LEXICON_USES):
        key = f"{pipeline} {use}"
        percent = 100 * added[key] if key in added else None
        met = None if percent is None else percent < 15
        figure = f"time that 100,000 lexicon terms add to nlp.pipe, {pipeline}, {use}"
        rows.append(Goal(figure, "lexicon", "below 15 %", percent, met, " %"))
    return rows


def _probabilities_goal(data: Mapping[str, Any] | None) -> Goal:
    share = _summary(data).get("probabilities")
    percent = None if share is None else 100 * share
    met = None if percent is None else percent < 10
    return Goal("entity probabilities, of nlp.pipe", "stages", "below 10 %", percent, met, " %")
