"""The tables of a comparison's results; each section says which metric its figures are."""

from collections.abc import Sequence

from ..evaluation.markdown import percent
from ..evaluation.published import ThesisScore
from .collect import SystemRuns
from .layout import Cell, Section, Table
from .literature import (
    differs_from,
    is_english_conll,
    is_health,
    strict_scores,
    thesis_tokens,
)
from .measures import (
    Get,
    average,
    epoch_scores,
    genre_f1,
    macro_over_genres,
    of_tag,
    real_test_f1,
    score_of,
    strict_f1,
)
from .systems import FAMILIES

STRICT = (
    "strict entity scores in percent (an entity is right if its type and both boundaries are; "
    "conlleval's definition)"
)
_MEANS = "Where there are several seeds, figures are means over them"
_COLUMNS = 8  # systems side by side
_AVERAGES = ("precision", "recall", "f1")
_THESIS_RECIPE = "HealthNER test, a Mamba of width 2560 and 64 layers, 5 epochs"
_THESIS_TRANSFORMER = "HealthNER test, pretrained weights"


def main_section(systems: Sequence[SystemRuns]) -> Section:
    """Size, strict scores, cost, and published strict F1 of every system."""
    genres = sorted({genre for system in systems for genre in _genres(system)})
    scores: dict[str, Get] = {
        name: score_of("test", f"ents_{name[0].lower()}") for name in ("precision", "recall", "F1")
    }
    scores |= {f"F1 {genre}": genre_f1(genre) for genre in genres}
    if genres:
        scores["F1 macro over genres"] = macro_over_genres
    scores["dev F1"] = score_of("dev", "ents_f")
    before = ["system", "family", "parameters", "seeds"]
    after = ["steps", "training minutes", "characters/s", "published", "what differs"]
    shown: list[list[Cell]] = []
    data: list[list[Cell]] = []
    for system in systems:
        first, last = _described(system), _costs(system)
        means = [system.mean(get) for get in scores.values()]
        deviations = [system.deviation(get) for get in scores.values()]
        shown.append([*first, *map(_with_deviation, means, deviations), *last])
        pairs = [value for pair in zip(means, deviations) for value in pair]
        data.append([*first, *pairs, *last])
    header = [*before, *scores, *after]
    columns = [name for score in scores for name in (score, f"{score} sd")]
    notes = [
        f"Metric: {STRICT}; mean ± standard deviation over the seeds.",
        "Training minutes are of the whole command, with its evaluations on dev, on the machine "
        "of the comparison; characters/s of prediction, after tokenisation.",
        "Published figures are strict F1 on the test set that they name.",
    ]
    if any(run.result["jobs"] > 1 for system in systems for run in system.runs):
        notes.append("Several systems trained at once, which makes each slower.")
    if any(run.result["test"]["test"]["is_dev"] for system in systems for run in system.runs):
        notes.append("**There is no test part: the scores are of the dev part.**")
    return Section(
        "Strict entity scores",
        " ".join(notes),
        [Table(header, shown)],
        {"strict": Table([*before, *columns, *after], data)},
        images=["strict_f1.png"],
    )


def average_section(systems: Sequence[SystemRuns]) -> Section:
    """Token-level micro and macro averages with and without O, beside strict F1 and the thesis."""
    tables = {
        "tokens_with_o": _averages(systems, "with_o", "With O as a class; micro is the accuracy"),
        "tokens_without_o": _averages(systems, "without_o", "Without O"),
    }
    note = (
        "Metric: token level, in percent: each tag is a class (tables 4-6 and 4-7 of the thesis), "
        "and beside it strict entity F1 of the same runs. Macro P and R are means over the tags, "
        f"macro F1 is 2PR/(P+R) of them. {_MEANS}. The thesis counts O, so its figures stand in "
        "the first table."
    )
    return Section("Tokens, micro and macro", note, list(tables.values()), tables)


def tag_section(systems: Sequence[SystemRuns]) -> Section:
    """Token-level F1 of each tag; precision, recall and support in the CSV file."""
    rows: list[list[Cell]] = []
    for system in systems:
        for tag in _tags([system]):
            figures = [system.mean(of_tag(tag, name)) for name in _AVERAGES]
            count = _whole(system.mean(of_tag(tag, "support")))
            strict = system.mean(strict_f1)
            rows.append([system.name, tag, *map(percent, figures), count, strict])
    header = ["system", "tag", "precision", "recall", "F1", "support", "strict entity F1"]
    note = (
        "Metric: token-level F1 of each tag in percent, O included (tables 4-4 and 4-5 of the "
        f"thesis); strict entity F1 in the last row. {_MEANS}.{_without_runs(systems)}"
    )
    tables = [_tag_table(caption, members) for caption, members in _side_by_side(systems)]
    return Section("Tags", note, tables, {"tags": Table(header, rows)})


def epoch_section(systems: Sequence[SystemRuns]) -> Section:
    """Token accuracy and strict F1 on dev at the last evaluation of each epoch."""
    rows: list[list[Cell]] = []
    for system in systems:
        for epoch, (step, accuracy, f1) in epoch_scores(system).items():
            rows.append([system.name, epoch, step, accuracy, f1])
    header = ["system", "epoch", "step", "token accuracy", "strict entity F1"]
    note = (
        "Metric: on the dev part in percent, `token accuracy (O included) / strict entity F1` at "
        "the last evaluation in each epoch (tables 4-1 to 4-3 of the thesis); the first epoch is "
        "1. Systems that are not `crf_ner` log no token accuracy. "
        f"{_MEANS}.{_without_runs(systems)} In the figure of losses, the training loss is that of "
        "a step's whole batch, the validation loss is per token."
    )
    tables = [_epoch_table(caption, members) for caption, members in _side_by_side(systems)]
    images = ["validation.png", "losses.png"]
    return Section("Epochs", note, tables, {"epochs": Table(header, rows)}, images)


def conll_section(systems: Sequence[SystemRuns]) -> Section | None:
    """Strict F1 beside published test figures of CoNLL-2003; None for any other corpus."""
    if not any(is_english_conll(system) for system in systems):
        return None
    rows: list[list[Cell]] = []
    for system in systems:
        on_dev, on_test = system.mean(lambda r: strict_f1(r, "dev")), system.mean(real_test_f1)
        first: list[Cell] = [system.name, on_dev, on_test]
        scores = strict_scores(system)
        rows += [
            [*first, score.f1, score.name, score.source, differs_from(score.recipe, system)]
            for score in scores
        ]
        if not scores:
            rows.append([*first, None, None, None, system.problem])
    header = ["system", "our dev F1", "our test F1", "published test F1", "as", "source"]
    table = Table([*header, "what differs"], rows)
    note = (
        "Metric: strict entity F1 in percent (table 4-8 of the thesis). Published figures are on "
        "the test part (testb), where scores are lower than on the dev part (testa). "
        f"{_MEANS}."
    )
    return Section("CoNLL-2003", note, [table], {"conll2003": table})


def _described(system: SystemRuns) -> list[Cell]:
    count = _whole(system.mean(lambda result: result["parameters"]))
    return [system.name, system.family, count, len(system.runs)]


def _costs(system: SystemRuns) -> list[Cell]:
    minutes = system.mean(lambda result: result["training"]["seconds"] / 60)
    speed = system.mean(lambda result: result["characters_per_second"])
    published = strict_scores(system)
    recipes = "; ".join(dict.fromkeys(score.recipe for score in published))
    remarks = [system.problem] if system.problem else []
    if published:
        remarks.append(differs_from(recipes, system))
    steps = system.mean(lambda result: result["budget"]["max_steps"])
    figures = "; ".join(map(str, published))
    return [_whole(steps), minutes, _whole(speed), figures, "; ".join(remarks)]


def _averages(systems: Sequence[SystemRuns], table: str, caption: str) -> Table:
    names = [(kind, figure) for kind in ("micro", "macro") for figure in _AVERAGES]
    header = ["system", "strict entity F1"]
    header += [f"{kind} {'F1' if figure == 'f1' else figure[0].upper()}" for kind, figure in names]
    with_thesis = table == "with_o" and any(is_health(system) for system in systems)
    if with_thesis:
        header += ["thesis micro", "thesis macro P", "thesis macro R", "thesis macro F1"]
    rows: list[list[Cell]] = []
    for system in systems:
        figures = [system.mean(average(table, kind, figure)) for kind, figure in names]
        row: list[Cell] = [system.name, system.mean(strict_f1), *map(percent, figures)]
        score = thesis_tokens(system) if with_thesis else None
        if with_thesis:
            row += _thesis(score)
        recipe = _THESIS_RECIPE if "mamba" in system.name else _THESIS_TRANSFORMER
        differs = differs_from(recipe, system) if score else ""
        rows.append([*row, "; ".join(filter(None, [system.problem, differs]))])
    return Table([*header, "what differs"], rows, caption)


def _thesis(score: ThesisScore | None) -> list[float | None]:
    if score is None:
        return [None] * 4
    return [score.micro, *(score.macro or (None, None, None))]


def _tag_table(caption: str, systems: Sequence[SystemRuns]) -> Table:
    rows: list[list[Cell]] = [
        [tag, *(percent(system.mean(of_tag(tag, "f1"))) for system in systems)]
        for tag in _tags(systems)
    ]
    rows.append(["**strict entity F1**", *(system.mean(strict_f1) for system in systems)])
    return Table(["tag", *(system.name for system in systems)], rows, caption)


def _epoch_table(caption: str, systems: Sequence[SystemRuns]) -> Table:
    scores = {system.name: epoch_scores(system) for system in systems}
    epochs = sorted(set().union(*scores.values()))
    rows: list[list[Cell]] = [
        [epoch, *(_pair(*scores[name].get(epoch, (0, None, None))[1:]) for name in scores)]
        for epoch in epochs
    ]
    return Table(["epoch", *scores], rows, caption)


def _side_by_side(systems: Sequence[SystemRuns]) -> list[tuple[str, list[SystemRuns]]]:
    """Systems that have results, as columns of tables: whole families, while there is room."""
    groups: list[tuple[list[str], list[SystemRuns]]] = []
    for family in FAMILIES:
        members = [system for system in systems if system.family == family and system.runs]
        if not members:
            continue
        if not groups or len(groups[-1][1]) + len(members) > _COLUMNS:
            groups.append(([], []))
        groups[-1][0].append(family)
        groups[-1][1].extend(members)
    return [(", ".join(families), members) for families, members in groups]


def _without_runs(systems: Sequence[SystemRuns]) -> str:
    missing = [f"{system.name} ({system.problem})" for system in systems if not system.runs]
    return f" Without results: {', '.join(missing)}." if missing else ""


def _tags(systems: Sequence[SystemRuns]) -> list[str]:
    """All tags of the systems' runs, in the order of their tables, O last."""
    tags = [
        tag
        for system in systems
        for run in system.runs
        for tag in run.result["test"]["token_level"]["with_o"]["per_tag"]
    ]
    return sorted(dict.fromkeys(tags), key=lambda tag: (tag == "O", *tag.partition("-")[::-1]))


def _genres(system: SystemRuns) -> set[str]:
    """Genres of the test part; a single one is no genre to speak of."""
    genres = {genre for run in system.runs for genre in run.result["test"]["per_genre"] or {}}
    return genres if len(genres) > 1 else set()


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _with_deviation(value: float | None, deviation: float | None) -> Cell:
    return value if value is None or deviation is None else f"{value:.2f} ± {deviation:.2f}"


def _pair(accuracy: float | None, f1: float | None) -> str:
    return " / ".join("–" if value is None else f"{value:.2f}" for value in (accuracy, f1))
