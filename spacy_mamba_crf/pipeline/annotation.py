"""Predicted entities onto a Doc: doc.ents, `span._.prob`, and a span group."""

import warnings
from typing import Any

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE
from spacy.tokens import Doc, Span, SpanGroup

from .decoding import PredictedEntity


def register_extension() -> None:
    """Make `span._.prob`, unless there is one by someone else: then warn."""
    if not Span.has_extension("prob"):
        Span.set_extension("prob", getter=_probability)
    elif Span.get_extension("prob")[2] is not _probability:
        warnings.warn(
            "Span._.prob is already registered by someone else, so crf_ner cannot set it; the "
            "probabilities are in doc.spans if the component has a spans_key.",
            stacklevel=3,
        )


def annotate(doc: Doc, predicted: list[PredictedEntity], name: str) -> None:
    """Add entities to doc.ents, where nothing is yet; all other tokens are outside from then on.

    name: of the component, which knows its entities again by it, see `is_prediction`.
    """
    preset = list(doc.ents)
    free = _free_tokens(doc, preset)
    user_data: dict[Any, Any] = doc.user_data
    spans = []
    for start, end, label, prob in predicted:
        if free is None or free[start:end].all():
            span = Span(doc, start, end, label=label)
            user_data[_probability_key(span)] = (label, prob, name)
            spans.append(span)
    doc.set_ents(preset + spans, blocked=_blocked(doc), default="outside")


def set_span_group(
    doc: Doc, key: str, with_scores: bool, found: list[PredictedEntity] | None
) -> None:
    """Write spans to doc.spans: those found, or, if None, copies of doc.ents.

    Of doc.ents, what was there before the component has the score 1.
    """
    if found is None:
        spans = list(doc.ents)
        probs = [_probability(ent) for ent in doc.ents]
    else:
        spans = [Span(doc, start, end, label=label) for start, end, label, _ in found]
        probs = [span.prob for span in found]
    group = SpanGroup(doc, name=key, spans=spans)
    if with_scores:
        scores = [1.0 if prob is None else prob for prob in probs]
        group.attrs["scores"] = np.array(scores, dtype="float32")
    doc.spans[key] = group


def is_prediction(ent: Span, name: str) -> bool:
    """Whether an entity was found by the component of this name."""
    record = _record(ent)
    return record is not None and record[2] == name


def _probability(span: Span) -> float | None:
    """What crf_ner found for exactly this span with this label, None for any other."""
    record = _record(span)
    return None if record is None else record[1]


def _record(span: Span) -> tuple[str, float | None, str] | None:
    """Label, probability, and name of the component that found exactly this."""
    user_data: dict[Any, Any] = span.doc.user_data
    record = user_data.get(_probability_key(span))
    return record if record is not None and record[0] == span.label_ else None


def _probability_key(span: Span) -> tuple[str, str, int, int]:
    """As spaCy keys extensions, so that Span.as_doc and Doc.from_docs take it along."""
    return ("._.", "prob", span.start_char, span.end_char)


def _free_tokens(doc: Doc, preset: list[Span]) -> np.ndarray | None:
    """(token,) bool: tokens that are in no entity yet; None if all."""
    if not preset:
        return None
    free = np.ones(len(doc), dtype=bool)
    for ent in preset:
        free[ent.start : ent.end] = False
    return free


def _blocked(doc: Doc) -> list[Span]:
    """Tokens set never to be an entity (`doc.set_ents(blocked=...)`), neighbours as one span."""
    flags = doc.to_array([ENT_IOB, ENT_TYPE]).reshape(-1, 2)
    blocked = (flags[:, 0] == 3) & (flags[:, 1] == 0)
    if not blocked.any():
        return []
    edges = np.flatnonzero(np.diff(blocked, prepend=False, append=False)).tolist()
    return [doc[start:end] for start, end in zip(edges[::2], edges[1::2])]
