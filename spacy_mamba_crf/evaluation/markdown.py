"""`report.md`: the metrics as a page of Markdown. Every table says which figure it shows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .comparison import Comparison
from .published import PublishedTable, published_tables
from .token_level import TokenTable

_SPANS = {
    "entities": "entities found",
    "uncalibrated": "the same, before calibration",
    "candidates": "all spans from 0.05",
}
_ERRORS = ("ece", "ece_by_chance")
_SAME_TEST = {True: "same", False: "**another**", None: "not recorded"}


def render_report(
    metrics: Mapping[str, Any],
    *,
    title: str,
    comparisons: Sequence[Comparison] = (),
    images: Sequence[str] = (),
    pages: Sequence[str] = (),
) -> str:
    """The whole report.

    metrics: as `metrics.measure` gives them, with `model` and `speed`. comparisons: other models.
    images, pages: file names beside the report to show and to link.
    """
    parts = [
        f"# {title}\n",
        _summary(metrics),
        _strict(metrics),
        _genres(metrics),
        _probabilities(metrics.get("probabilities")),
        _comparisons(metrics, comparisons),
        _tokens(metrics["token_level"]),
        _literature(metrics),
        _figures(images, pages),
    ]
    return "\n".join(part for part in parts if part)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: first column to the left, the others to the right; None is left blank."""
    lines = ["| " + " | ".join(header) + " |", "|:--|" + "--:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|")


def percent(value: float | None) -> float | None:
    """A share in percent; None stays None."""
    return None if value is None else 100 * value


_DEV_NOTE = "- **This test set repeats the development set: these are not test scores.**\n"


def _summary(metrics: Mapping[str, Any]) -> str:
    model, test, speed = metrics["model"], metrics["test"], metrics["speed"]
    return (
        f"- Model: {model['lang']}_{model['name']} {model['version']}, "
        f"pipeline {', '.join(model['pipeline']) or 'empty'}\n"
        f"- Test set: {test['name']}, {test['documents']:,} documents, "
        f"{test['sentences']:,} sentences, {test['tokens']:,} tokens, "
        f"{test['characters']:,} characters, {test['entities']:,} entities\n"
        f"{_DEV_NOTE if test['is_dev'] else ''}"
        f"- Time: {speed['seconds']:.1f} s after tokenisation, "
        f"{speed['tokens_per_second']:,.0f} tokens/s\n"
    )


def _strict(metrics: Mapping[str, Any]) -> str:
    header = ["type", "precision", "recall", "F1", "gold", "found", "correct"]
    rows = [_prf_row(kind, scores) for kind, scores in (metrics["ents_per_type"] or {}).items()]
    total = {"p": metrics["ents_p"], "r": metrics["ents_r"], "f": metrics["ents_f"]}
    rows.append(_prf_row("**all (micro)**", {**metrics, **total}))
    macro = percent(metrics["ents_macro_f"])
    rows.append(["macro (mean of F1s)", None, None, macro, None, None, None])
    return (
        "## Entities, strict\n\n"
        "An entity is right if its type and both boundaries are (conlleval's definition); "
        "in percent.\n\n" + markdown_table(header, rows)
    )


def _prf_row(name: str, scores: Mapping[str, Any]) -> list[object]:
    prf = [percent(scores[key]) for key in ("p", "r", "f")]
    return [name, *prf, scores["gold"], scores["found"], scores["correct"]]


def _genres(metrics: Mapping[str, Any]) -> str:
    genres, macro = metrics["per_genre"], metrics["macro_over_genres"]
    if not genres:
        return ""
    header = ["genre", "precision", "recall", "F1", "gold", "found", "correct", "documents"]
    keys = ("ents_p", "ents_r", "ents_f")
    rows = [
        [name, *(percent(scores[key]) for key in keys)]
        + [scores[key] for key in ("gold", "found", "correct", "documents")]
        for name, scores in genres.items()
    ]
    if macro is not None:
        rows.append(["macro over genres", *(percent(macro[key]) for key in keys), *[None] * 4])
    return (
        "## Genres, strict\n\nEntity scores in percent; macro: unweighted mean over the genres, "
        "of each figure by itself.\n\n" + markdown_table(header, rows)
    )


def _probabilities(measured: Mapping[str, Any] | None) -> str:
    if measured is None:
        return ""
    rows: list[list[object]] = [
        [name, measured[key]["size"]] + [f"{measured[key][part]:.4f}" for part in _ERRORS]
        for key, name in _SPANS.items()
        if measured.get(key)
    ]
    oracle = measured["oracle"]
    return (
        "## Probabilities\n\n"
        f"Of the component `{measured['component']}`, at the temperature "
        f"{measured['temperature']:.3f}. ECE: expected calibration error, the mean distance "
        "between probability and share of right entities over 15 bins; by chance: what perfect "
        "probabilities would show on as many.\n\n"
        + markdown_table(["spans", "number", "ECE", "ECE by chance"], rows)
        + "\nOracle: F1 in percent if the best of the k most probable analyses of each document "
        "were chosen.\n\n"
        + markdown_table(
            ["k", *oracle], [["oracle F1", *(percent(score) for score in oracle.values())]]
        )
    )


def _comparisons(metrics: Mapping[str, Any], comparisons: Sequence[Comparison]) -> str:
    if not comparisons:
        return ""
    macro = metrics["macro_over_genres"]
    ours = [percent(metrics[key]) for key in ("ents_p", "ents_r", "ents_f")]
    rows: list[list[object]] = [
        ["**this model**", *ours, None, percent(macro and macro["ents_f"]), None, None]
    ]
    for other in comparisons:
        prf = [other.precision, other.recall, other.f1, f"{other.difference:+.2f}"]
        points = other.macro_difference
        gain = None if points is None else f"{points:+.2f}"
        rows.append([other.name, *prf, other.macro, gain, _SAME_TEST[other.same_test]])
    header = ["model", "precision", "recall", "F1", "gain in F1"]
    header += ["F1 macro over genres", "gain in macro", "test set"]
    return (
        "## Beside other models\n\nStrict entity scores in percent. Gain: this model's figure less "
        "the other's, in points. Only models on the same test set can be compared.\n\n"
        + markdown_table(header, rows)
    )


def _tokens(token_level: Mapping[str, Any]) -> str:
    tables = {name: TokenTable.from_dict(data) for name, data in token_level.items()}
    return (
        "## Tokens\n\nEach tag is a class and each token a case, in percent: the layout of tables "
        "4-4 and 4-5 of the thesis. These are not entity scores.\n\n"
        "### With O\n\nThe micro average is the token accuracy.\n\n"
        + tables["with_o"].to_markdown()
        + "\n### Without O\n\n"
        + tables["without_o"].to_markdown()
    )


def _literature(metrics: Mapping[str, Any]) -> str:
    types = [kind for kind, s in (metrics["ents_per_type"] or {}).items() if s["gold"]]
    tables = published_tables(types)
    if not tables:
        return ""
    note = (
        "## Figures from the literature\n\nFor orientation only: each table names its own test set "
        "and training data, which need not be those of this report. Compare a figure only with "
        "one of the same metric on the same test set.\n"
    )
    return "\n".join([note, *(_published(table) for table in tables)])


def _published(table: PublishedTable) -> str:
    rows = [
        [name, *(f"{figure:.{table.decimals}f}" for figure in figures)]
        for name, figures in table.rows
    ]
    return (
        f"### {table.title}\n\n- Metric: {table.metric}\n- Test set: {table.test_set}\n"
        f"- Trained on: {table.trained_on}\n\n" + markdown_table(["system", *table.columns], rows)
    )


def _figures(images: Sequence[str], pages: Sequence[str]) -> str:
    lines = [f"![{name.partition('.')[0]}]({name})\n" for name in images]
    lines += [f"Test sentences with their entities: [{name}]({name})\n" for name in pages]
    return "## Figures\n\n" + "\n".join(lines) if lines else ""
