"""An HTML page of test sentences with gold and predicted entities, drawn by displaCy.

Each predicted entity shows its probability where `ent._.prob` has one.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from spacy import displacy
from spacy.tokens import Doc, Span
from spacy.training import Example

from .spans import align_entity, gold_entities, predicted_entities

COLOURS = {
    "BODY": "#a8dadc",
    "SYMP": "#ffd6a5",
    "INST": "#cdb4db",
    "EXAM": "#bde0fe",
    "CHEM": "#d0f4a5",
    "DISE": "#ffadad",
    "DRUG": "#9bf6c4",
    "SUPP": "#fdffb6",
    "TREAT": "#ffc6ff",
    "TIME": "#d9d9d9",
    "PER": "#bde0fe",
    "ORG": "#a8dadc",
    "LOC": "#ffd6a5",
    "MISC": "#d9d9d9",
}
_STATES = {"wrong": "wrong", "missed": "missed"}
_SPARE_COLOURS = ("#e2cfc4", "#c1d3fe", "#d8f3dc", "#f6c6ea", "#ffe8a1", "#cfe8ef")

_ENTITY = (
    '<mark class="entity {state}" style="background: {bg}">{text}'
    '<span class="label">{label}<span class="prob">{prob}</span></span></mark>'
)
_PAGE = """<!DOCTYPE html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 60rem; padding: 2rem 1.5rem; color: #222; background: #fafafa;
  font: 17px/1.5 system-ui, "Segoe UI", Helvetica, Arial, "Noto Sans TC", "Noto Sans CJK TC",
  "PingFang TC", "Microsoft JhengHei", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  sans-serif; }}
h1 {{ font-size: 1.5rem; margin: 0 0 .5rem; }}
p.note {{ color: #555; font-size: .9rem; margin: .25rem 0; }}
.legend {{ margin: 1rem 0 1.5rem; line-height: 2.2; }}
.legend mark {{ display: inline-block; line-height: 1.4; border-radius: .3em;
  padding: .15em .55em; margin: 0 .4em 0 0; font-size: .85rem; }}
section {{ background: #fff; border: 1px solid #e3e3e3; border-radius: .5rem;
  margin: 0 0 1rem; padding: .7rem 1rem; }}
section h2 {{ font-size: .8rem; font-weight: 600; color: #777; margin: 0 0 .2rem; }}
.row {{ display: flex; gap: .8rem; }}
.row + .row {{ border-top: 1px dashed #e3e3e3; margin-top: .3rem; padding-top: .3rem; }}
.row > .who {{ flex: 0 0 4.6rem; color: #777; font-size: .8rem; line-height: 2.5rem; }}
.entities {{ line-height: 2.2 !important; overflow-wrap: anywhere; min-width: 0; }}
mark {{ color: inherit; }}
mark.entity {{ display: inline-block; max-width: 100%; box-sizing: border-box; line-height: 1.35;
  border-radius: .3em; padding: .1em .3em; margin: 0 .1em; }}
mark.wrong {{ outline: 2px dashed #c1121f; outline-offset: -1px; }}
mark.missed {{ outline: 2px dotted #555; outline-offset: -1px; }}
.label {{ font-size: .68em; font-weight: 700; margin-left: .4em; white-space: nowrap; }}
.prob {{ font-weight: 400; margin-left: .3em; }}
.prob:empty {{ margin: 0; }}
{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def entities_page(
    examples: Sequence[Example], *, limit: int = 50, title: str = "Entities", lang: str = "zh"
) -> str:
    """The page as a string of HTML.

    examples: with predictions. limit: how many of those with a gold or predicted entity to show;
    they are taken at even distances, so that the choice favours nobody.
    """
    chosen = _choose(examples, limit)
    labels = {ent.label_ for i in chosen for ent in examples[i].reference.ents}
    labels |= {ent.label_ for i in chosen for ent in examples[i].predicted.ents}
    colours = label_colours(labels)
    has_probability = any(_probability(e) for i in chosen for e in examples[i].predicted.ents)
    parts = [
        f'<p class="note">{_note(len(chosen), len(examples), has_probability)}</p>',
        legend(colours, _STATES),
        *(_section(i, examples[i], colours) for i in chosen),
    ]
    return page("\n".join(parts), title=title, lang=lang)


def page(body: str, *, title: str, lang: str, style: str = "") -> str:
    """A whole HTML page around `body`, which is HTML; title: text; style: further CSS."""
    return _PAGE.format(title=escape(title), lang=escape(lang), style=style, body=body)


def legend(colours: Mapping[str, str], states: Mapping[str, str]) -> str:
    """The line that explains the colours of labels, and the outlines: CSS class and its meaning."""
    marks = [f'<mark style="background: {c}">{escape(name)}</mark>' for name, c in colours.items()]
    marks += [
        f'<mark class="{state}" style="background: none">{escape(meaning)}</mark>'
        for state, meaning in states.items()
    ]
    return f'<div class="legend">{"".join(marks)}</div>'


def heading(number: int, doc: Doc) -> str:
    """The heading of a document's section: its place, counted from 1, and its genre if it has one.

    number: counted from 0.
    """
    genre = doc.user_data.get("genre")
    return f"<h2>document {number + 1}" + (f" · {escape(str(genre))}" if genre else "") + "</h2>"


def row(who: str, text: str, entities: list[dict[str, Any]], colours: Mapping[str, str]) -> str:
    """One line of a section: `text` with `entities`, each made by `entity`. who: HTML."""
    body = displacy.render(
        {"text": text, "ents": entities},
        style="ent",
        manual=True,
        jupyter=False,
        options={"colors": dict(colours), "template": _ENTITY},
    )
    return f'<div class="row"><div class="who">{who}</div>{body}</div>'


def entity(ent: Span, comment: str, state: str) -> dict[str, Any]:
    """An entity as displaCy draws it. comment: shown after the label; state: its CSS class."""
    params = {"label": escape(ent.label_), "prob": escape(comment), "state": state}
    edges = {"start": ent.start_char, "end": ent.end_char}
    return {**edges, "label": ent.label_, "params": params}


def label_colours(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label, in alphabetical order."""
    names = sorted(labels)
    spare = (label for label in names if label not in COLOURS)
    drawn = {label: _SPARE_COLOURS[i % len(_SPARE_COLOURS)] for i, label in enumerate(spare)}
    return {label: COLOURS.get(label) or drawn[label] for label in names}


def at_even_distances(items: Sequence[int], limit: int) -> list[int]:
    """At most `limit` of `items`, in order, so that the choice favours nobody."""
    count = min(limit, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _choose(examples: Sequence[Example], limit: int) -> list[int]:
    worth = [i for i, eg in enumerate(examples) if eg.reference.ents or eg.predicted.ents]
    return at_even_distances(worth, limit)


def _section(number: int, example: Example, colours: dict[str, str]) -> str:
    gold, found = set(gold_entities(example)), set(predicted_entities(example))
    missed = [
        entity(ent, "", "" if (ent.start, ent.end, ent.label_) in found else "missed")
        for ent in example.reference.ents
    ]
    scored = []
    for ent in example.predicted.ents:
        chunk = align_entity(example, ent)
        scored.append(entity(ent, _probability(ent), "wrong" if chunk in found - gold else ""))
    rows = [
        row("gold", example.reference.text, missed, colours),
        row("predicted", example.predicted.text, scored, colours),
    ]
    return f"<section>{heading(number, example.reference)}{''.join(rows)}</section>"


def _probability(ent: Span) -> str:
    """The probability as `.97`, or nothing where the component gives none."""
    value = ent._.prob if Span.has_extension("prob") else None
    return "" if value is None else f"{value:.2f}".removeprefix("0")


def _note(shown: int, total: int, has_probability: bool) -> str:
    note = (
        f"{shown} of {total:,} test documents, at even distances among those with entities. "
        "Wrong: no gold entity has this type and these boundaries. Missed: no prediction has."
    )
    if has_probability:
        note += " The number after a type is the probability that the model gives the entity."
    return note
