"""Learning from trained pipelines: their probabilities of whole tag sequences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.types import Floats2d

from ..doc_copies import copies_for
from ..layers.crf_output import read_potentials
from ..pytorch.crf import Potentials
from ..pytorch.schemes import TagSet
from .lattice import Batch, join_scores
from .learning import Loss, divergence_loss, mix_losses
from .parts import find_recogniser

_NAME = "spacy_mamba_crf.Teachers.v1"


class Teachers:
    """Trained pipelines and how far they are imitated: distillation (Hinton et al. 2015).

    They teach together by the mean of their scores, each divided by its temperature, which is the
    normalized product of their distributions over tag sequences. The divergence from it is exact,
    summed over all sequences, not over tokens.
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

        Raises ValueError if a pipeline is missing, has no crf_ner, or has other tags.
        """
        if not self.share:
            return loss
        taught = divergence_loss(join_scores(scores), potentials, *self.scores(docs, tagset))
        return mix_losses(loss, taught, 1 - self.share, self.share)

    def scores(self, docs: Sequence[Doc], tagset: TagSet) -> tuple[Batch, Potentials]:
        """The teachers' mean scores of docs, by the tags of a tagset that must be theirs."""
        if not self.paths:
            raise ValueError(f"{_NAME}: paths names no pipeline to learn from.")
        if not self._loaded:
            self._loaded = [self._load(path, tagset) for path in self.paths]
        batches, potentials = zip(*(_scores(*own, docs, tagset) for own in self._loaded))
        emissions = sum(batch.emissions for batch in batches) / len(batches)
        means = [sum(parts) / len(parts) for parts in zip(*potentials)]
        return batches[0]._replace(emissions=emissions), Potentials(*means)

    def _load(self, path: str, tagset: TagSet) -> tuple[Language, Any]:
        if not Path(path).is_dir():
            raise ValueError(f"{_NAME}: there is no folder {path} of a trained pipeline.")
        nlp = spacy.load(path)
        recogniser = find_recogniser(nlp, self.component, path)
        if recogniser.tagset != tagset:
            theirs, ours = recogniser.tagset, tagset
            raise ValueError(
                f"{_NAME}: {path} has {theirs.scheme} tags of {', '.join(theirs.labels)}; the "
                f"pipeline that is trained has {ours.scheme} tags of {', '.join(ours.labels)}. "
                "They must be the same."
            )
        return nlp, recogniser


def _scores(
    nlp: Language, recogniser: Any, docs: Sequence[Doc], tagset: TagSet
) -> tuple[Batch, Potentials]:
    """A teacher's scores of docs that pass the components before it, by its temperature."""
    batch = join_scores(recogniser.model.predict(copies_for(nlp, recogniser, docs)))
    potentials = read_potentials(recogniser.model.get_ref("transition_scores"), tagset)
    emissions = batch.emissions / recogniser.temperature
    return batch._replace(emissions=emissions), Potentials(
        *(part / recogniser.temperature for part in potentials)
    )
