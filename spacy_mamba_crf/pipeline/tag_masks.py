"""What a Doc or an Example admits at each token, as (token, tag) masks for the CRF."""

from collections.abc import Callable, Collection, Iterable

import numpy as np
from spacy.attrs import ENT_IOB, ENT_TYPE, IS_SPACE, ORTH
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..pytorch.schemes import TagSet

_INSIDE, _OUTSIDE, _BEGIN = 1, 2, 3  # spaCy's ENT_IOB; 0 is missing


def decoding_mask(
    docs: list[Doc],
    offsets: np.ndarray,
    tagset: TagSet,
    constrained: bool,
    *,
    most: int | None = None,
    is_own: Callable[[Span], bool] | None = None,
) -> np.ndarray | None:
    """The tags that predictions may use: (token, tag) bool over docs side by side, None if all.

    Entities already in doc.ents stay exactly as they are, blocked tokens are O, and no entity
    starts (or, under BIOES, ends) on white space. Not `constrained`: every tag can start an
    entity, because nothing says that the tag before must suit it. offsets: (doc + 1,). most: the
    tokens of the longest entity that the tags can make. is_own: entities of doc.ents that count as
    not there.
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
            if is_own is not None and is_own(ent):
                continue
            if most is not None and len(ent) > most:
                _only(allowed[start:end], slice(ent.start, ent.end), 0)
            else:
                _require_entity(allowed[start:end], ent, tagset)
    return allowed


def target_mask(
    example: Example, tagset: TagSet, correct_spans_key: str | None = None
) -> np.ndarray:
    """The tags that the annotation admits: (token, tag) bool over the predicted doc's tokens.

    Tokens without annotation, or whose annotation cannot be aligned, admit every tag that the
    entities beside them leave possible. Spans under `correct_spans_key` are entities, too: of their
    label, of one of their labels if listed several times, of any without a label; they win over an
    annotation as outside. Raises ValueError if one contradicts an entity or another such span.
    """
    ents, outside = _annotation(example)
    target = np.ones((len(outside), len(tagset)), dtype=bool)
    _only(target, outside, 0)
    for ent in ents:
        if ent.label_ in tagset.labels:
            _require_entity(target, ent, tagset)
    if correct_spans_key is not None and correct_spans_key in example.reference.spans:
        _require_spans(target, outside, example, correct_spans_key, tagset)
    return target


def containing_mask(base: np.ndarray, span: Span, tagset: TagSet) -> np.ndarray:
    """The part of `base` in which exactly this span is an entity, of any type if unlabelled."""
    mask = base.copy()
    admit_only(mask, span.start, span.end, {span.label_}, tagset)
    return mask


def admit_only(
    mask: np.ndarray, start: int, end: int, labels: Collection[str], tagset: TagSet
) -> None:
    """Take all tags out of a mask but those with which exactly this span is an entity.

    mask: (token, tag) bool, of one text; labels: those it may have, "" for any.
    """
    numbers = [i for i, label in enumerate(tagset.labels) if "" in labels or label in labels]
    admitted = np.zeros((end - start + 1, len(tagset)), dtype=bool)
    admitted[-1] = True
    for label in numbers:
        admitted[np.arange(end - start), tagset.span_tags(label, end - start)] = True
        continuing = tagset.continuing_tag(label)
        if continuing is not None:
            admitted[-1, continuing] = False
    window = mask[start : end + 1]
    window &= admitted[: len(window)]


def _require_spans(
    target: np.ndarray, outside: np.ndarray, example: Example, key: str, tagset: TagSet
) -> None:
    """See `target_mask`; outside: (token,) bool, the tokens annotated so."""
    labels: dict[tuple[int, int], set[str]] = {}
    spans = example.get_aligned_spans_y2x(example.reference.spans[key], allow_overlap=True)
    for span in spans:
        labels.setdefault((span.start, span.end), set()).add(span.label_)
    for start, end in labels:
        free = np.arange(start, end)[outside[start:end]]
        target[free] = True
    for (start, end), own in labels.items():
        if "" not in own and own.isdisjoint(tagset.labels):
            continue  # of labels that the component does not have
        admit_only(target, start, end, own, tagset)
    for start, end in labels:
        if not target[start : end + 1].any(1).all():
            raise ValueError(
                f"The span '{example.predicted[start:end].text}' (tokens {start}-{end}) in "
                f"doc.spans['{key}'] contradicts an entity, or another span listed there; keep one."
            )


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
