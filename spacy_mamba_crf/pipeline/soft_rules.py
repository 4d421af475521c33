"""Learning from soft logic rules: a teacher that obeys them, and a model that imitates it.

Posterior regularisation and distillation of Hu et al. (2016), "Harnessing deep neural networks with
logic rules", section 3, with the two rules that its section 4.2 has for named entities.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.types import Floats2d

from ..pytorch.crf import NEG_INF, Potentials
from ..pytorch.crf.ragged import partition_and_counts
from ..pytorch.schemes import TagSet
from .lattice import Batch, join_scores
from .learning import Loss, divergence_loss, mix_losses

_NAME = "spacy_mamba_crf.SoftRules.v1"
DECODERS = ("teacher", "student")


class SoftRules:
    """The teacher q(tags) ~ p(tags) exp(-strength * broken rules), and how far it is imitated.

    Rules: a tag sequence that the scheme forbids is broken at each such step; tokens that stand at
    one place in neighbouring items of a list should have the same label, by the distance of their
    label probabilities.
    """

    def __init__(
        self,
        strength: float = 6.0,
        imitation: float = 0.9,
        decay: float = 0.9,
        updates: int = 100,
        transitions: bool = True,
        lists: bool = True,
        separator: str = "、",
        max_item: int = 8,
        decode: str = "teacher",
    ):
        """spacy_mamba_crf.SoftRules.v1, for [components.ner.rules]: soft rules (Hu et al. 2016).

        strength: C of the paper, the same for both rules. imitation, decay: the loss is (1 - pi) of
        the annotation's and pi of the distance to the teacher, pi = min(imitation, 1 - decay ** t),
        where t counts `updates` of the model. transitions, lists: the rules that hold. separator:
        regular expression of a token between the items of a list, which must not stand between
        clauses, too; max_item: tokens of the longest item. decode: whose tag sequence is predicted,
        "teacher" | "student". Raises ValueError for values that cannot be.
        """
        if decode not in DECODERS:
            raise ValueError(
                f"{_NAME}: decode = {decode!r} is unknown; choose one of {', '.join(DECODERS)}."
            )
        for name, value, fits, what in (
            ("strength", strength, strength >= 0, "not be negative"),
            ("imitation", imitation, 0 <= imitation <= 1, "be in [0, 1]"),
            ("decay", decay, 0 < decay < 1, "be between 0 and 1"),
            ("updates", updates, updates >= 1, "be larger than 0"),
            ("max_item", max_item, max_item >= 1, "be larger than 0"),
        ):
            if not fits:
                raise ValueError(f"{_NAME}: {name} = {value} must {what}.")
        try:
            self.separator = re.compile(separator)
        except re.error as error:
            raise ValueError(
                f"{_NAME}: separator = {separator!r} is no regular expression: {error}."
            ) from error
        self.strength = strength
        self.imitation = imitation
        self.decay = decay
        self.updates = updates
        self.transitions = transitions
        self.lists = lists
        self.max_item = max_item
        self.decode = decode
        self.seen = 0

    @property
    def share(self) -> float:
        """pi, the teacher's share of the loss, after the updates seen so far."""
        return min(self.imitation, 1 - self.decay ** (self.seen / self.updates))

    def teacher(
        self, docs: Sequence[Doc], batch: Batch, potentials: Potentials, tagset: TagSet
    ) -> tuple[Batch, Potentials]:
        """The scores of the teacher: those of the model with what broken rules take away."""
        if self.lists:
            batch = self._with_lists(docs, batch, potentials, tagset)
        return batch, self._with_transitions(potentials, tagset) if self.transitions else potentials

    def mix(
        self,
        loss: Loss,
        docs: Sequence[Doc],
        scores: list[Floats2d],
        potentials: Potentials,
        tagset: TagSet,
    ) -> Loss:
        """The loss of the annotation and that of the teacher, by their shares."""
        share = self.share
        if not share:
            return loss
        batch = join_scores(scores)
        taught = divergence_loss(batch, potentials, *self.teacher(docs, batch, potentials, tagset))
        return mix_losses(loss, taught, 1 - share, share)

    def _with_transitions(self, potentials: Potentials, tagset: TagSet) -> Potentials:
        if bool((potentials.start == NEG_INF).any()):
            return potentials  # a CRF's: forbidden steps cannot happen
        legal = (tagset.legal_transitions(), tagset.legal_start(), tagset.legal_end())
        broken = [torch.from_numpy(~mask).to(potentials.start) for mask in legal]
        return Potentials(*(own - self.strength * part for own, part in zip(potentials, broken)))

    def _with_lists(
        self, docs: Sequence[Doc], batch: Batch, potentials: Potentials, tagset: TagSet
    ) -> Batch:
        pairs = np.concatenate(
            [np.zeros((0, 2), dtype=np.int64)]
            + [self.counterparts(doc) + start for doc, start in zip(docs, batch.offsets)]
        )
        if not len(pairs):
            return batch
        even = batch.put(np.ones(len(batch.offsets) - 1))
        _, counts = partition_and_counts(*batch, potentials, even)  # (token, tag) probabilities
        labels = _label_table(tagset).to(batch.emissions.device)  # (tag, label), O is a label
        of_label = counts.emissions.double() @ labels
        # |e_label - p| for each label, with |p|^2 + 1 - 2 p_label under the root (the rule's norm)
        square = (of_label**2).sum(1, keepdim=True) + 1 - 2 * of_label
        distance = square.clamp(min=0).sqrt() @ labels.T  # (token, tag)
        first, second = batch.put(pairs).T
        broken = torch.zeros_like(distance)
        broken.index_add_(0, first, distance[second])
        broken.index_add_(0, second, distance[first])
        emissions = batch.emissions - (self.strength * broken).to(batch.emissions)
        return batch._replace(emissions=emissions)

    def counterparts(self, doc: Doc) -> np.ndarray:
        """(pair, 2) int64: tokens at the same place in neighbouring items of a list.

        A list is what separators cut into two or more items that are short enough. The first item
        counts its places from its end, since a list may begin in the middle of a sentence, and the
        second for this pair as well; the others count from their beginnings.
        """
        cuts = [token.i for token in doc if self.separator.fullmatch(token.text)]
        if not cuts:
            return np.zeros((0, 2), dtype=np.int64)
        items = list(zip([-1, *cuts], [*cuts, len(doc)]))  # separators around each item
        pairs: list[tuple[int, int]] = []
        for number, ((_, left), (start, end)) in enumerate(pairwise(items)):
            begin = items[number][0] + 1
            if end - start - 1 > self.max_item or (number and left - begin > self.max_item):
                continue
            if number:
                own, other = range(begin, left), range(start + 1, end)
            else:
                own, other = range(left - 1, begin - 1, -1), range(end - 1, start, -1)
            pairs += zip(own, other)
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _label_table(tagset: TagSet) -> torch.Tensor:
    """(tag, 1 + label) float64: 1 where a tag is of a label, O the first of them."""
    labels = torch.from_numpy(tagset.labels_of(np.arange(len(tagset))))
    return torch.eye(1 + len(tagset.labels), dtype=torch.float64)[labels + 1]
