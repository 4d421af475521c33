"""A lexicon at decoding: its terms as scores for, or as constraints on, the tags of a batch."""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model

from ..lexicon import UNTYPED, Lexicon
from ..pytorch.schemes import TagSet
from .lattice import Batch

MODES = ("soft", "hard", "off")


class LexiconUse(NamedTuple):
    """mode: one of MODES; weight: what a term adds to the score of an entity, in "soft" mode."""

    mode: str = "soft"
    weight: float = 1.0

    def check(self, name: str) -> None:
        """Raise ValueError, naming the component's config key, for what cannot be."""
        if self.mode not in MODES:
            raise ValueError(
                f"[components.{name}] lexicon_mode = {self.mode!r} is unknown; choose one of "
                f"{', '.join(MODES)}."
            )
        if not np.isfinite(self.weight):
            raise ValueError(
                f"[components.{name}] lexicon_weight = {self.weight} must be a finite number; "
                'lexicon_mode = "hard" makes every term an entity.'
            )


class TagLexicon:
    """A lexicon over the labels of a tagset; other labels are left out, untyped terms have any."""

    def __init__(self, lexicon: Lexicon, tagset: TagSet):
        self.lexicon = lexicon
        self.tagset = tagset
        table = np.zeros((len(lexicon.labels), len(tagset.labels)), dtype=bool)
        for row, name in enumerate(lexicon.labels):
            table[row] = [name in (UNTYPED, label) for label in tagset.labels]
        self.labels = lexicon.label_table @ table
        unknown = [label for label, own in zip(lexicon.labels, table) if not own.any()]
        if unknown:
            warnings.warn(
                f"The lexicon has terms labelled {', '.join(unknown)}, which the component does "
                f"not know; it leaves them out. It knows {', '.join(tagset.labels)}.",
                stacklevel=2,
            )

    def add_scores(self, docs: list[Doc], batch: Batch, weight: float) -> Batch:
        """Make each term's tags more likely where it stands, all together by the weight.

        Where an entity's end does not show in its tags, one that goes on after the term loses it.
        """
        from ..pytorch.term_tags import add_term_scores

        scores = batch.emissions.cpu().numpy().astype("float32")
        spans, table = self.lexicon.matches(docs), self.tagset.span_table()
        add_term_scores(spans, batch.offsets, self.labels, table, weight, scores)
        return batch._replace(emissions=torch.from_numpy(scores))

    def require_terms(
        self, docs: list[Doc], batch: Batch, allowed: np.ndarray | None, most: int | None
    ) -> np.ndarray:
        """Let each term be an entity: of overlapping ones the first, then the longest.

        allowed: (token, tag) bool or None, as the result. What is set already goes before, and
        terms of more than `most` tokens are left out.
        """
        from ..pytorch.term_tags import require_terms

        if allowed is None:
            allowed = np.ones(tuple(batch.emissions.shape), dtype=bool)
        spans, table = self.lexicon.matches(docs), self.tagset.span_table()
        limit = most or len(allowed)
        require_terms(spans, batch.offsets, self.labels, table, limit, allowed)
        return allowed


class HasLexicon:
    """The part of the component that holds a lexicon for predictions."""

    model: Model
    _lexicon: tuple[bytes, Lexicon] | None = None
    _tag_lexicon: TagLexicon | None = None

    @property
    def lexicon(self) -> Lexicon | None:
        """The terms that predictions heed, see `lexicon_mode`; saved with the model."""
        data = self.model.attrs.get("lexicon")
        if data is None:
            return None
        if self._lexicon is None or self._lexicon[0] is not data:
            self._lexicon = data, Lexicon.from_bytes(data)
        return self._lexicon[1]

    @lexicon.setter
    def lexicon(self, lexicon: Lexicon | None) -> None:
        if not isinstance(lexicon, Lexicon | None):
            raise TypeError(
                f"A lexicon must be a spacy_mamba_crf.lexicon.Lexicon or None, not {lexicon!r}; "
                "read a file with Lexicon.from_file(path), or use Lexicon({term: [label]})."
            )
        data = None if lexicon is None else lexicon.to_bytes()
        self.model.attrs["lexicon"] = data
        self._lexicon = None if lexicon is None or data is None else (data, lexicon)

    def _terms(self, tagset: TagSet) -> TagLexicon | None:
        """The lexicon over the tags, made anew when either changes."""
        lexicon = self.lexicon
        if lexicon is None:
            return None
        terms = self._tag_lexicon
        if terms is None or terms.lexicon is not lexicon or terms.tagset != tagset:
            self._tag_lexicon = terms = TagLexicon(lexicon, tagset)
        return terms
