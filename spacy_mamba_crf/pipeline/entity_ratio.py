"""Learning from known entities alone: a loss on the expected share of tokens in entities.

Where nothing says what is no entity, the marginal likelihood of what is known is best if all is an
entity. A guess of how many tokens are in entities is enough to prevent that (Effland & Collins,
2021: Partially Supervised Named Entity Recognition via the Expected Entity Ratio Loss).
"""

from typing import NamedTuple

import numpy as np

from ..pytorch.crf import Gradient, Potentials
from ..pytorch.crf.ragged import partition_and_counts
from .lattice import Batch

# By how much scores are moved for a difference of expected counts.
_STEP = 1e-3


class EntityRatio(NamedTuple):
    """The share of tokens that are in entities, and how much it weighs.

    margin: by how much a batch may miss the share for free; weight: of the loss, beside that of one
    doc's annotation. Both as in the paper.
    """

    share: float
    margin: float = 0.05
    weight: float = 10.0

    def check(self, name: str) -> None:
        """Raise ValueError, naming the component's config key, for a share that is none."""
        if not 0 < self.share < 1:
            raise ValueError(
                f"[components.{name}] entity_ratio = {self.share} must be a share of the tokens, "
                "between 0 and 1, or null."
            )

    def loss(self, batch: Batch, potentials: Potentials) -> tuple[float, Gradient | None]:
        """weight * max(0, |expected - share| - margin); its gradient, None where it is 0."""
        even = batch.put(np.ones(len(batch.offsets) - 1))
        _, counts = partition_and_counts(*batch, potentials, even)
        tokens = len(batch.emissions)
        expected = float(counts.emissions[:, 1:].sum()) / tokens
        excess = abs(expected - self.share) - self.margin
        if excess <= 0:
            return 0.0, None
        # The gradient of expected counts is a second derivative of the partition function, taken as
        # a difference of its first ones.
        ends = []
        for step in (_STEP, -_STEP):
            emissions = batch.emissions.double() + step
            emissions[:, 0] = batch.emissions[:, 0]
            _, moved = partition_and_counts(emissions, batch.offsets, potentials, even)
            ends.append(moved)
        factor = self.weight / tokens / (2 * _STEP) * (1 if expected > self.share else -1)
        return self.weight * excess, Gradient(*((a - b) * factor for a, b in zip(*ends)))
