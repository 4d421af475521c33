"""An HTML page of the documents in which two systems differ: gold, A and B, below the tables."""

from collections.abc import Mapping, Sequence
from html import escape

from spacy.tokens import Span
from spacy.training import Example

from .displacy_page import (
    at_even_distances,
    entity,
    heading,
    label_colours,
    legend,
    page,
    row,
)
from .error_analysis import BOTH, MISSED, NEITHER, ONLY_A, ONLY_B, ErrorAnalysis, Judged
from .error_tables import Names, Table, tables
from .spans import align_entity

_GETS = {BOTH: "A✓ B✓", ONLY_A: "A✓ B✗", ONLY_B: "A✗ B✓", NEITHER: "A✗ B✗"}
_STATES = {
    "right": "✓ right",
    "wrong": "✗ wrong, and how",
    "missed": "missed",
}
_STYLE = """
.tables { display: flex; flex-wrap: wrap; gap: 0 2.5rem; align-items: flex-start; }
figure { margin: 1rem 0; max-width: 100%; overflow-x: auto; }
figcaption { font-weight: 600; font-size: .9rem; margin: 0 0 .3rem; }
figcaption p.note { font-weight: 400; max-width: 36rem; }
table { border-collapse: collapse; font-size: .85rem; background: #fff; }
th, td { border: 1px solid #e3e3e3; padding: .15rem .5rem; text-align: right;
  font-variant-numeric: tabular-nums; }
th { background: #f2f2f2; vertical-align: bottom; }
.text { text-align: left; }
h2.part { font-size: 1.15rem; margin: 1.5rem 0 .5rem; }
.row > .who { overflow-wrap: anywhere; line-height: 1.3; padding-top: .55rem; }
mark.absent { background: none !important; }
@media (max-width: 40rem) {
  body { padding: 1rem .6rem; }
  .row { display: block; }
  .row > .who { padding-top: .2rem; }
}
"""

_CLASS = ' class="text"'

_Places = Mapping[tuple[int, int, int, str], Judged]


def errors_page(
    analysis: ErrorAnalysis,
    examples_a: Sequence[Example],
    examples_b: Sequence[Example],
    *,
    names: Names,
    sentences: Sequence[str],
    limit: int = 50,
    lang: str = "zh",
) -> str:
    """The page as a string of HTML.

    analysis: of these examples. sentences: what to say above the tables. limit: how many of the
    documents with unequal predictions to show; they are taken at even distances. lang: of the text.
    """
    differing = differing_documents(analysis)
    chosen = at_even_distances(differing, limit)
    predictions = [(examples_a[i].predicted, examples_b[i].predicted) for i in chosen]
    drawn = [examples_a[i].reference for i in chosen] + [
        doc for pair in predictions for doc in pair
    ]
    colours = label_colours({ent.label_ for doc in drawn for ent in doc.ents})
    gold = {_place(item): item for item in analysis.gold}
    wrong = {_place(item): item for item in analysis.wrong}
    sections = []
    for i in chosen:
        rows = [
            _gold_row(i, examples_a[i], gold, colours),
            _system_row(i, examples_a[i], "a", names[0], gold, wrong, colours),
            _system_row(i, examples_b[i], "b", names[1], gold, wrong, colours),
        ]
        parts = heading(i, examples_a[i].reference) + "".join(rows)
        sections.append(f"<section>{parts}</section>")
    body = [
        *(f'<p class="note">{escape(sentence)}</p>' for sentence in sentences),
        '<p class="note"><a href="#documents">Documents in which they differ</a></p>',
        f'<div class="tables">{"".join(_table(table) for table in tables(analysis, names))}</div>',
        '<h2 class="part" id="documents">Documents in which they differ</h2>',
        f'<p class="note">{escape(_note(len(chosen), len(differing), len(examples_a), names))}</p>',
        legend(colours, _STATES),
        *sections,
    ]
    title = f"Errors of {names[0]} and {names[1]}"
    return page("\n".join(body), title=title, lang=lang, style=_STYLE)


def differing_documents(analysis: ErrorAnalysis) -> list[int]:
    """Places in the test set, from 0, where the two systems predict different entities."""
    items = [*analysis.gold, *analysis.wrong]
    return sorted({item.document for item in items if item.cell in (ONLY_A, ONLY_B)})


def _gold_row(number: int, example: Example, gold: _Places, colours: Mapping[str, str]) -> str:
    drawn = []
    for ent in example.reference.ents:
        item = gold[number, ent.start, ent.end, ent.label_]
        drawn.append(entity(ent, _GETS[item.cell], "missed" if item.cell == NEITHER else ""))
    return row("gold", example.reference.text, drawn, colours)


def _system_row(
    number: int,
    example: Example,
    system: str,
    name: str,
    gold: _Places,
    wrong: _Places,
    colours: Mapping[str, str],
) -> str:
    """Predictions of one system, and the gold entities that none of them touches."""
    predicted = list(example.predicted.ents)
    drawn = [entity(ent, *_verdict(number, example, ent, system, wrong)) for ent in predicted]
    for ent in example.reference.ents:
        item = gold[number, ent.start, ent.end, ent.label_]
        # A prediction on tokens without annotation is not counted, and may still stand here.
        free = all(p.end_char <= ent.start_char or ent.end_char <= p.start_char for p in predicted)
        if getattr(item, system) == MISSED and free:
            drawn.append(entity(ent, "missed", "missed absent"))
    who = f"{system.upper()}<br>{escape(name)}"
    return row(who, example.predicted.text, drawn, colours)


def _verdict(
    number: int, example: Example, ent: Span, system: str, wrong: _Places
) -> tuple[str, str]:
    """What to write after a prediction's label, and its CSS class."""
    chunk = align_entity(example, ent)
    if chunk is None:
        return "truth unknown", ""
    item = wrong.get((number, *chunk))
    if item is None:
        return "✓", "right"
    return f"✗ {getattr(item, system)}", "wrong"


def _place(item: Judged) -> tuple[int, int, int, str]:
    return item.document, item.start, item.end, item.label


def _table(table: Table) -> str:
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    first = table.rows[0] if table.rows else [""] * len(table.header)
    head = "".join(
        f"<th{_CLASS if isinstance(value, str) else ''}>{escape(name)}</th>"
        for name, value in zip(table.header, first)
    )
    rows = "".join(f"<tr>{''.join(_cell(value) for value in cells)}</tr>" for cells in table.rows)
    return (
        f"<figure><figcaption>{escape(table.title)}{note}</figcaption>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></figure>"
    )


def _cell(value: object) -> str:
    if isinstance(value, str):
        return f"<td{_CLASS}>{escape(value)}</td>"
    return f"<td>{value:,.2f}</td>" if isinstance(value, float) else f"<td>{value:,}</td>"


def _note(shown: int, differing: int, total: int, names: Names) -> str:
    return (
        f"{shown:,} of {differing:,} such documents, at even distances, of {total:,} in the test "
        f"set. A is {names[0]}, B is {names[1]}. After the type of a gold entity: who gets it "
        "(✓) and who does not (✗); dotted where neither does. After the type of a prediction: "
        "✓, or ✗ and the kind of the error; dotted: a gold entity that no prediction overlaps."
    )
