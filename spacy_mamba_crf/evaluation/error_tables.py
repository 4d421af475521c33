"""What an `ErrorAnalysis` says, as sentences and tables; Markdown, HTML and JSON are made of them.

Systems are called by their names.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .error_analysis import (
    BOTH,
    CELLS,
    GOLD_KINDS,
    LENGTHS,
    NEITHER,
    ONLY_A,
    ONLY_B,
    PREDICTED_KINDS,
    RIGHT,
    SEEN,
    ErrorAnalysis,
    Interval,
    Judged,
    breakdown,
    exact_binomial,
    f1_score,
    length_group,
)

Names = tuple[str, str]

_GROUPS: dict[str, tuple[str, Callable[[Judged], str | None]]] = {
    "type": ("Type", lambda item: item.label),
    "length": ("Tokens", length_group),
    "genre": ("Genre", lambda item: item.genre),
    "seen": ("In training", lambda item: item.seen),
}
_ORDERS: dict[str, Sequence[str]] = {"length": LENGTHS, "seen": SEEN}
_BY = {"type": "by type", "length": "by length", "genre": "by genre", "seen": "by training data"}
_ALL = "all"
_SEEN_NOTE = (
    "Whether the training data has an entity of exactly this text: with the same type, only with "
    "another type, or never. Of a prediction, the type is the predicted one."
)
KIND_NOTE = (
    "Each entity is set beside the one of the other side with the same boundaries or, if there is "
    "none, the one that shares most tokens with it. Type only: the boundaries agree. Boundary "
    "only: the type agrees. Type and boundary: they overlap, and neither agrees. Missed, spurious: "
    "nothing of the other side overlaps."
)


@dataclass(frozen=True)
class Table:
    """A table, its title, and how to read it (may be empty). Floats are percents or points."""

    title: str
    note: str
    header: list[str]
    rows: list[list[object]]


def scores(analysis: ErrorAnalysis) -> dict[str, dict[str, Any]]:
    """Strict scores of systems "a" and "b" in [0, 1], and the counts behind them."""
    gold, found_a, right_a, found_b, right_b = analysis.counts.sum(axis=0).tolist()
    result = {}
    for key, found, right in (("a", found_a, right_a), ("b", found_b, right_b)):
        result[key] = {
            "ents_p": right / found if found else 0.0,
            "ents_r": right / gold if gold else 0.0,
            "ents_f": f1_score(gold, found, right),
            "gold": gold,
            "predicted": found,
            "right": right,
        }
    return result


def kind_counts(analysis: ErrorAnalysis) -> dict[str, dict[str, dict[str, int]]]:
    """How many gold entities and how many predictions of each system are of each kind."""
    right = {key: values["right"] for key, values in scores(analysis).items()}
    result: dict[str, dict[str, dict[str, int]]] = {"gold": {}, "predicted": {}}
    for key in ("a", "b"):
        gold = Counter(getattr(item, key) for item in analysis.gold)
        found = Counter(getattr(item, key) for item in analysis.wrong)
        result["gold"][key] = {kind: gold[kind] for kind in GOLD_KINDS}
        result["predicted"][key] = {kind: found[kind] for kind in PREDICTED_KINDS}
        result["predicted"][key][RIGHT] = right[key]
    return result


def groups(items: Sequence[Judged], by: str) -> dict[str, dict[str, int]]:
    """CELLS by group, in the order in which tables show them; empty if no item has such a group.

    by: "type", "length", "genre" or "seen".
    """
    table = breakdown(items, _GROUPS[by][1])
    names = [name for name in _ORDERS.get(by, sorted(table)) if name in table]
    return {name: {cell: table[name][cell] for cell in CELLS} for name in names}


def cell_counts(items: Sequence[Judged]) -> dict[str, int]:
    """How many of all items are in each of CELLS."""
    counted = Counter(item.cell for item in items)
    return {cell: counted[cell] for cell in CELLS}


def findings(
    analysis: ErrorAnalysis, interval: Interval, names: Names, *, samples: int, seed: int
) -> list[str]:
    """The two tests, a sentence each."""
    a, b = names
    cells = cell_counts(analysis.gold)
    p = exact_binomial(cells[ONLY_A], cells[ONLY_B])
    documents = len(analysis.counts)
    sentences = [
        f"Of {len(analysis.gold):,} gold entities, {cells[ONLY_A]:,} are right in {a} alone and "
        f"{cells[ONLY_B]:,} in {b} alone: exact binomial (McNemar) p {_p(p)}, two-sided, taking "
        "entities as independent."
    ]
    difference = f"F1 of {a} less F1 of {b}: {100 * interval.difference:+.2f} points"
    if interval.low is None or interval.high is None:
        sentences.append(f"{difference}; one document is too few for an interval.")
    else:
        sentences.append(
            f"{difference}, 95 % interval {100 * interval.low:+.2f} to {100 * interval.high:+.2f} "
            f"(paired bootstrap over {documents:,} documents, {samples:,} samples, seed {seed})."
        )
    return sentences


def tables(analysis: ErrorAnalysis, names: Names, *, most: int = 15) -> list[Table]:
    """All tables. most: how many of the most frequent entities that just one system gets."""
    return [
        _score_table(analysis, names),
        *_gold_tables(analysis.gold, names),
        *_wrong_tables(analysis.wrong, names),
        *_kind_tables(analysis, names),
        *_frequent_tables(analysis.gold, names, most),
    ]


def _score_table(analysis: ErrorAnalysis, names: Names) -> Table:
    header = ["System", "Precision", "Recall", "F1", "Gold", "Predicted", "Right"]
    rows: list[list[object]] = []
    for name, values in zip(names, scores(analysis).values()):
        percents = [100 * values[key] for key in ("ents_p", "ents_r", "ents_f")]
        rows.append([name, *percents, *(values[key] for key in ("gold", "predicted", "right"))])
    note = "An entity is right if its type and both boundaries are. Percent."
    return Table("Strict entity scores", note, header, rows)


def _gold_tables(items: Sequence[Judged], names: Names) -> list[Table]:
    a, b = names
    columns = ["Gold", "Both", f"Only {a}", f"Only {b}", "Neither", f"Recall {a}", f"Recall {b}"]

    def row(name: str, cells: dict[str, int]) -> list[object]:
        total = sum(cells.values())
        recalls = (100 * (cells[BOTH] + cells[only]) / total for only in (ONLY_A, ONLY_B))
        return [name, total, *(cells[cell] for cell in CELLS), *recalls]

    return _grouped("Gold entities", "which system gets them", items, columns, row)


def _wrong_tables(items: Sequence[Judged], names: Names) -> list[Table]:
    columns = ["Wrong", "Both", f"Only {names[0]}", f"Only {names[1]}"]

    def row(name: str, cells: dict[str, int]) -> list[object]:
        return [name, sum(cells.values()), *(cells[cell] for cell in CELLS if cell != NEITHER)]

    return _grouped("Wrong predictions", "which system makes them", items, columns, row)


def _grouped(
    what: str,
    question: str,
    items: Sequence[Judged],
    columns: list[str],
    row: Callable[[str, dict[str, int]], list[object]],
) -> list[Table]:
    result = []
    for by, (heading, _) in _GROUPS.items():
        rows = [row(name, cells) for name, cells in groups(items, by).items()]
        if not rows:
            continue
        if by == "type":
            rows.append(row(_ALL, cell_counts(items)))
        note = _SEEN_NOTE if by == "seen" else ""
        result.append(Table(f"{what} {_BY[by]}: {question}", note, [heading, *columns], rows))
    return result


def _kind_tables(analysis: ErrorAnalysis, names: Names) -> list[Table]:
    counts = kind_counts(analysis)
    result = []
    for side, title, kinds in (
        ("gold", "Gold entities by kind", GOLD_KINDS),
        ("predicted", "Predictions by kind", PREDICTED_KINDS),
    ):
        a, b = counts[side]["a"], counts[side]["b"]
        rows: list[list[object]] = [[kind, a[kind], b[kind]] for kind in kinds]
        rows.append([_ALL, sum(a.values()), sum(b.values())])
        result.append(Table(title, KIND_NOTE if side == "gold" else "", ["Kind", *names], rows))
    pairs = Counter((item.a, item.b) for item in analysis.gold)
    crossed: list[list[object]] = [
        [kind, *(pairs[kind, other] for other in GOLD_KINDS)] for kind in GOLD_KINDS
    ]
    note = f"Rows: the kind that a gold entity has in {names[0]}; columns: in {names[1]}."
    result.append(Table("The same gold entities in both", note, [names[0], *GOLD_KINDS], crossed))
    return result


def _frequent_tables(items: Sequence[Judged], names: Names, most: int) -> list[Table]:
    result = []
    for cell, name, other, key in ((ONLY_A, *names, "b"), (ONLY_B, *reversed(names), "a")):
        counted = Counter(
            (item.text, item.label, getattr(item, key)) for item in items if item.cell == cell
        )
        rows: list[list[object]] = [
            [text, label, error, count]
            for (text, label, error), count in sorted(
                counted.items(), key=lambda pair: (-pair[1], pair[0])
            )[:most]
        ]
        if rows:
            title = f"What only {name} gets, the most frequent"
            header = ["Entity", "Type", f"In {other}", "Times"]
            result.append(Table(title, "", header, rows))
    return result


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"= {p:.4f}"
