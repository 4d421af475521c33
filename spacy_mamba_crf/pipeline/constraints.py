"""What a user may ask of tag sequences beside the scheme: a longest entity, and neighbours."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from ..pytorch.crf import NEG_INF, Potentials
from ..pytorch.schemes import TagSet

Neighbours = Mapping[str, Sequence[str]]
OUTSIDE = "O"


class Constraints(NamedTuple):
    """Settings of the component; they bound predictions and their probabilities, not training.

    max_entity_length: in tokens; allowed_transitions, forbidden_transitions: from the label of an
    entity (or "O") to what may, or may not, come right after it.
    """

    max_entity_length: int | None = None
    allowed_transitions: Neighbours | None = None
    forbidden_transitions: Neighbours | None = None

    def __bool__(self) -> bool:
        return any(value is not None for value in self)

    def check(self, name: str, constrained: bool) -> None:
        """Raise ValueError, naming the config key, for settings that cannot be.

        name: of the component. constrained: whether the model has a CRF.
        """
        if self and not constrained:
            raise ValueError(
                f"[components.{name}] sets {self._first_key()}, but its model has crf = false and "
                "tags every token by itself. Remove the setting, or set crf = true."
            )
        if self.max_entity_length is not None and self.max_entity_length < 1:
            raise ValueError(
                f"[components.{name}] max_entity_length = {self.max_entity_length} must be at "
                "least 1."
            )

    def check_labels(self, tagset: TagSet, name: str) -> None:
        """Raise ValueError, naming the config key, for labels that the component does not have."""
        self._forbidden_steps(tagset, name)

    def forbid(self, potentials: Potentials, tagset: TagSet, name: str) -> Potentials:
        """The potentials without the steps that are forbidden; raises as `check_labels`."""
        forbidden = self._forbidden_steps(tagset, name)
        if forbidden is None:
            return potentials
        mask = torch.from_numpy(forbidden).to(potentials.transitions.device)
        return potentials._replace(transitions=potentials.transitions.masked_fill(mask, NEG_INF))

    def _forbidden_steps(self, tagset: TagSet, name: str) -> np.ndarray | None:
        """(from tag, to tag) bool, None if nothing is forbidden."""
        if self.allowed_transitions is None and self.forbidden_transitions is None:
            return None
        banned = np.zeros((len(tagset.labels) + 1,) * 2, dtype=bool)
        for key, rules in zip(self._fields[1:], self[1:]):
            for label, after in (rules or {}).items():
                columns = [_index(to, tagset, name, key) for to in after]
                listed = np.isin(np.arange(len(banned)), columns)
                row = _index(label, tagset, name, key)
                banned[row] |= listed if key == "forbidden_transitions" else ~listed
        leaves, enters = _edges(tagset)
        return leaves.T @ banned @ enters

    def _first_key(self) -> str:
        return next(key for key, value in zip(self._fields, self) if value is not None)


def _edges(tagset: TagSet) -> tuple[np.ndarray, np.ndarray]:
    """(label + 1, tag) bool: the tags that can end, and those that begin, O or an entity."""
    table = tagset.span_table()
    leaves = np.zeros((len(table) + 1, len(tagset)), dtype=bool)
    enters = leaves.copy()
    leaves[0, 0] = enters[0, 0] = True
    for label, (only, first, _, last, _) in enumerate(table, start=1):
        leaves[label, [only, last]] = True
        enters[label, [only, first]] = True
    return leaves, enters


def _index(label: str, tagset: TagSet, name: str, key: str) -> int:
    if label == OUTSIDE:
        return 0
    if label not in tagset.labels:
        raise ValueError(
            f"[components.{name}.{key}] names the label {label!r}, which the component does not "
            f"have. It has {', '.join(tagset.labels)}; write O for the outside of entities."
        )
    return 1 + tagset.labels.index(label)
