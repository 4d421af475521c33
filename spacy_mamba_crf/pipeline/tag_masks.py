"""What a Doc or an Example admits at each token, as (token, tag) masks for the CRF."""

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE, IS_SPACE
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..pytorch.schemes import TagSet

_INSIDE, _BEGIN = 1, 3  # spaCy's ENT_IOB: 0 missing, 1 inside, 2 outside, 3 begin


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
    ents, tags = example.get_aligned_ents_and_ner()
    target = np.ones((len(tags), len(tagset)), dtype=bool)
    _only(target, np.array([tag == "O" for tag in tags], dtype=bool), 0)
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
