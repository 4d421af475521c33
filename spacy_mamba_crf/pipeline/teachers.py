"""Learning from trained pipelines: their probabilities of whole tag sequences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from thinc.types import Floats2d

from ..doc_copies import copies_for
from ..layers.crf_output import read_potentials
from ..pytorch.crf import NEG_INF, Potentials
from ..pytorch.schemes import TagSet
from .lattice import Batch, divide_scores, join_scores
from .learning import Loss, divergence_loss, mix_losses
from .parts import find_recogniser

_NAME = "spacy_mamba_crf.Teachers.v1"


class Teachers:
    """Trained pipelines and how far they are imitated: distillation (Hinton et al. 2015).

    They teach together by the mean of their scores, each divided by its temperature: the normalized
    geometric mean of their distributions over tag sequences. The divergence from it is exact,
    summed over all sequences, not over tokens. What a pipeline adds to its scores, such as
    thresholds, lexicons and constraints, is not imitated.
    """

    def __init__(self, paths: list[str], share: float = 0.5, component: str | None = None):
        """spacy_mamba_crf.Teachers.v1, for [components.ner.teachers]: trained pipelines to imitate.

        paths: folders of pipelines, which are loaded at the first update and are not part of the
        pipeline that is trained. share: of the loss; the rest is the annotation's. Docs without
        annotation are learnt from the teachers alone. component: name of their recognisers, None
        for the last crf_ner of each. Raises ValueError for values that cannot be.
        """
        if isinstance(paths, str):
            raise ValueError(f'{_NAME}: paths = {paths!r} must be a list, such as ["model-best"].')
        if not 0 <= share <= 1:
            raise ValueError(f"{_NAME}: share = {share} must be in [0, 1].")
        self.paths = list(paths)
        self.share = share
        self.component = component
        self._loaded: list[tuple[Language, Any]] = []

    def mix(
        self,
        loss: Loss,
        docs: Sequence[Doc],
        scores: list[Floats2d],
        potentials: Potentials,
        tagset: TagSet,
    ) -> Loss:
        """The loss of the annotation and that of the teachers, by their shares.

        Raises ValueError if a pipeline is missing, has no crf_ner, has other tags, or has no CRF
        where the scores are a CRF's.
        """
        if not self.share:
            return loss
        batch, taught = self.scores(docs, tagset)
        if bool(((potentials.start == NEG_INF) & (taught.start != NEG_INF)).any()):
            raise ValueError(
                f"{_NAME}: teachers without CRF think tag sequences possible that a CRF forbids; "
                "name at least one with a CRF, or train without."
            )
        divergence = divergence_loss(join_scores(scores), potentials, batch, taught)
        return mix_losses(loss, divergence, 1 - self.share, self.share)

    def scores(self, docs: Sequence[Doc], tagset: TagSet) -> tuple[Batch, Potentials]:
        """The teachers' mean scores of docs, by the tags of a tagset that must be theirs."""
        if not self.paths:
            raise ValueError(f"{_NAME}: paths names no pipeline to learn from.")
        if not self._loaded:
            self._loaded = [self._load(path) for path in self.paths]
        for path, (_, recogniser) in zip(self.paths, self._loaded):
            _check_tags(path, recogniser.tagset, tagset)
        different = list({id(doc): doc for doc in docs}.values())  # each is read once
        batches, potentials = zip(*(_scores(*own, different, tagset) for own in self._loaded))
        emissions = sum(batch.emissions for batch in batches) / len(batches)
        parts = dict(zip(map(id, different), emissions.split([len(doc) for doc in different])))
        together = torch.cat([parts[id(doc)] for doc in docs])
        offsets = np.cumsum([0, *map(len, docs)], dtype=np.int64)
        means = Potentials(*(sum(own) / len(own) for own in zip(*potentials)))
        return Batch(together, offsets), means

    def _load(self, path: str) -> tuple[Language, Any]:
        if not Path(path).is_dir():
            raise ValueError(
                f"{_NAME}: there is no folder {path} of a trained pipeline; correct the path, or "
                "set the component's teachers to null to learn without them."
            )
        nlp = spacy.load(path)
        return nlp, find_recogniser(nlp, self.component, path)


def _check_tags(path: str, theirs: TagSet, ours: TagSet) -> None:
    if theirs != ours:
        raise ValueError(
            f"{_NAME}: {path} has {theirs.scheme} tags of {', '.join(theirs.labels)}; the pipeline "
            f"that is trained has {ours.scheme} tags of {', '.join(ours.labels)}. They must be the "
            "same, in the same order; or set the component's teachers to null."
        )


def _scores(
    nlp: Language, recogniser: Any, docs: Sequence[Doc], tagset: TagSet
) -> tuple[Batch, Potentials]:
    """A teacher's scores of docs that pass the components before it, by its temperature."""
    batch = join_scores(recogniser.model.predict(copies_for(nlp, recogniser, docs)))
    potentials = read_potentials(recogniser.model.get_ref("transition_scores"), tagset)
    return divide_scores(batch, potentials, recogniser.temperature)
