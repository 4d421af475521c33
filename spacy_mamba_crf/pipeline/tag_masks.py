"""What a Doc or an Example admits at each token, as (token, tag) masks for the CRF."""

from collections.abc import Iterable

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE, IS_SPACE, ORTH
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..pytorch.schemes import TagSet

_INSIDE, _OUTSIDE, _BEGIN = 1, 2, 3  # spaCy's ENT_IOB; 0 is missing


def decoding_mask(
    docs: list[Doc], offsets: np.ndarray, tagset: TagSet, constrained: bool
) -> np.ndarray | None:
    """The tags that predictions may use: (token, tag) bool over docs side by side, None if all.

    Entities already in doc.ents stay exactly as they are, blocked tokens are O, and no entity
    starts (or, under BIOES, ends) on white space. Not `constrained`: every tag can start an
    entity, because nothing says that the tag before must suit it. offsets: (doc + 1,).
    """
    attributes = [ENT_IOB, ENT_TYPE, IS_SPACE]
    flags = np.concatenate([doc.to_array(attributes).reshape(-1, 3) for doc in docs])
    annotated = (flags[:, 0] == _BEGIN) | (flags[:, 0] == _INSIDE)
    spaces = flags[:, 2] != 0
    if not annotated.any() and not spaces.any():
        return None
    allowed = np.ones((len(flags), len(tagset)), dtype=bool)
    edges = tagset.edge_tags() if constrained else np.arange(len(tagset)) > 0
    allowed[spaces] = ~edges
    blocked = (flags[:, 0] == _BEGIN) & (flags[:, 1] == 0)
    _only(allowed, blocked, 0)
    for doc, start, end in zip(docs, offsets, offsets[1:]):
        for ent in doc.ents:
            _require_entity(allowed[start:end], ent, tagset)
    return allowed


def target_mask(example: Example, tagset: TagSet) -> np.ndarray:
    """The tags that the annotation admits: (token, tag) bool over the predicted doc's tokens.

    Tokens without annotation, or whose annotation cannot be aligned, admit every tag that the
    entities beside them leave possible.
    """
    ents, outside = _annotation(example)
    target = np.ones((len(outside), len(tagset)), dtype=bool)
    _only(target, outside, 0)
    for ent in ents:
        if ent.label_ in tagset.labels:
            _require_entity(target, ent, tagset)
    return target


def containing_mask(base: np.ndarray, span: Span, tagset: TagSet) -> np.ndarray:
    """The part of `base` in which exactly this span is an entity, of any type if unlabelled."""
    labels = [i for i, label in enumerate(tagset.labels) if span.label_ in ("", label)]
    admitted = np.zeros((len(span) + 1, len(tagset)), dtype=bool)
    admitted[-1] = True
    for label in labels:
        admitted[np.arange(len(span)), tagset.span_tags(label, len(span))] = True
        continuing = tagset.continuing_tag(label)
        if continuing is not None:
            admitted[-1, continuing] = False
    mask = base.copy()
    window = mask[span.start : span.end + 1]
    window &= admitted[: len(window)]
    return mask


def _annotation(example: Example) -> tuple[Iterable[Span], np.ndarray]:
    """The entities, and the tokens annotated as outside, (token,) bool, on the predicted doc.

    Where tokens are the same in both docs, this reads what `get_aligned_ents_and_ner` would align.
    """
    predicted, reference = example.predicted, example.reference
    if not np.array_equal(predicted.to_array(ORTH), reference.to_array(ORTH)):
        ents, tags = example.get_aligned_ents_and_ner()
        return ents, np.array([tag == "O" for tag in tags], dtype=bool)
    if not reference.has_annotation("ENT_IOB"):
        return [], np.zeros(len(predicted), dtype=bool)
    flags = reference.to_array([ENT_IOB, ENT_TYPE, IS_SPACE]).reshape(-1, 3)
    free = (flags[:, 0] != _INSIDE) & ((flags[:, 0] != _BEGIN) | (flags[:, 1] == 0))
    return reference.ents, (flags[:, 0] == _OUTSIDE) | (free & (flags[:, 2] != 0))


def _require_entity(allowed: np.ndarray, ent: Span, tagset: TagSet) -> None:
    """Leave only this entity at its tokens, and nothing that would make it go on."""
    if ent.label_ not in tagset.labels:  # not ours: nothing of ours may overlap with it
        _only(allowed, slice(ent.start, ent.end), 0)
        return
    label = tagset.labels.index(ent.label_)
    tags = tagset.span_tags(label, len(ent))
    allowed[ent.start : ent.end] = False
    allowed[np.arange(ent.start, ent.end), tags] = True
    continuing = tagset.continuing_tag(label)
    if continuing is not None and ent.end < len(allowed):
        allowed[ent.end, continuing] = False


def _only(allowed: np.ndarray, tokens: np.ndarray | slice, tag: int) -> None:
    allowed[tokens] = False
    allowed[tokens, tag] = True
