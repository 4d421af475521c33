"""A lexicon at decoding: its terms as scores for, or as constraints on, the tags of a batch."""

from typing import NamedTuple

import numpy as np
from spacy.tokens import Doc

from ..lexicon import UNTYPED, Lexicon
from ..pytorch.schemes import TagSet
from .lattice import Batch
from .tag_masks import admit_only

MODES = ("soft", "hard", "off")


class LexiconUse(NamedTuple):
    """mode: one of MODES; weight: what a term adds to the score of an entity, in "soft" mode."""

    mode: str = "soft"
    weight: float = 1.0

    def check(self, name: str) -> None:
        """Raise ValueError, naming the component's config key, for an unknown mode."""
        if self.mode not in MODES:
            raise ValueError(
                f"[components.{name}] lexicon_mode = {self.mode!r} is unknown; choose one of "
                f"{', '.join(MODES)}."
            )

    def add_scores(
        self, lexicon: Lexicon | None, docs: list[Doc], batch: Batch, tagset: TagSet
    ) -> Batch:
        """Make each term's tags more likely where it stands, all together by the weight.

        Where an entity's end does not show in its tags, one that goes on after the term loses it.
        """
        if lexicon is None or self.mode != "soft" or not self.weight:
            return batch
        spans, known = _known_matches(lexicon, docs, tagset)
        match, label = np.nonzero(known)
        doc, start, end = spans[match].T
        size = end - start
        place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        only, first, middle, last = np.repeat(tagset.span_table()[label, :4], size, axis=0).T
        size_of = np.repeat(size, size)
        tag = np.where(place == 0, first, np.where(place == size_of - 1, last, middle))
        tag = np.where(size_of == 1, only, tag)
        token = np.repeat(batch.offsets[doc] + start, size) + place
        bonus = np.zeros(tuple(batch.emissions.shape), dtype="float32")
        np.add.at(bonus, (token, tag), self.weight / size_of)
        goes_on = tagset.span_table()[label, 4]
        beside = np.flatnonzero((goes_on >= 0) & (end < np.diff(batch.offsets)[doc]))
        after = batch.offsets[doc[beside]] + end[beside]
        np.add.at(bonus, (after, goes_on[beside]), -self.weight)
        return batch._replace(emissions=batch.emissions + batch.put(bonus))

    def require_terms(
        self,
        lexicon: Lexicon | None,
        docs: list[Doc],
        batch: Batch,
        tagset: TagSet,
        allowed: np.ndarray | None,
    ) -> np.ndarray | None:
        """Let each term be an entity: of overlapping ones the first, then the longest.

        allowed: (token, tag) bool or None, as the result. What is set already goes before.
        """
        if lexicon is None or self.mode != "hard":
            return allowed
        spans, known = _known_matches(lexicon, docs, tagset)
        if allowed is None:
            allowed = np.ones(tuple(batch.emissions.shape), dtype=bool)
        reach = (0, 0)  # doc and token up to which entities are required
        for match in np.lexsort((-spans[:, 2], spans[:, 1], spans[:, 0])).tolist():
            doc, start, end = spans[match].tolist()
            if (doc, start) < reach or not known[match].any():
                continue
            own = allowed[batch.offsets[doc] : batch.offsets[doc + 1]]
            before = own[start : end + 1].copy()
            labels = {tagset.labels[label] for label in np.flatnonzero(known[match])}
            admit_only(own, start, end, labels, tagset)
            if own[start : end + 1].any(1).all():
                reach = (doc, end)
            else:
                own[start : end + 1] = before
        return allowed


def _known_matches(
    lexicon: Lexicon, docs: list[Doc], tagset: TagSet
) -> tuple[np.ndarray, np.ndarray]:
    """(match, 3): doc, start, end; (match, label) bool: the tagset's labels that it can have."""
    matches = lexicon.matches(docs)
    table = np.zeros((len(lexicon.labels), len(tagset.labels)), dtype=bool)
    for row, name in enumerate(lexicon.labels):
        if name == UNTYPED:
            table[row] = True
        elif name in tagset.labels:
            table[row, tagset.labels.index(name)] = True
    return matches[:, :3], lexicon.label_table[matches[:, 3]] @ table
