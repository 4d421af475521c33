"""A longest entity in a linear chain: tags that count an entity's tokens."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..schemes import TagSet
from .potentials import NEG_INF, Potentials, SpanTags


class CountingTags(NamedTuple):
    """Tags of a scheme, those inside of an entity once for each place that a token can have there.

    base: (counting tag,) int64, the tag of the scheme that each one is; potentials: over the
    counting tags; spans: how they make entities.
    """

    base: Tensor
    potentials: Potentials
    spans: SpanTags


def count_tokens(tagset: TagSet, potentials: Potentials, most: int) -> CountingTags:
    """Make entities of more than `most` tokens impossible; all other paths keep their scores.

    potentials: over the tags of the tagset. Raises ValueError if `most` is less than 1.
    """
    if most < 1:
        raise ValueError(f"The largest length of an entity is {most}; it must be at least 1.")
    tags = [_Tag(0, 0, 0)]
    table = []
    for label in range(len(tagset.labels)):
        own = _tags_of(tagset, label, most)
        table.append(_row(tagset, own, len(tags), most))
        tags += own
    base, place, ends = (torch.tensor(column) for column in zip(*tags))
    inside = place >= 2
    transitions = potentials.transitions[base][:, base]
    continues = (place[:, None] + 1 == place) & (place[:, None] > 0)
    legal = torch.where(inside, continues | (ends > 0), True)
    transitions = transitions.masked_fill(~legal, NEG_INF)
    counted = Potentials(transitions, potentials.start[base], potentials.end[base])
    rows = np.array(table, dtype=np.int64).reshape(-1, 5)
    return CountingTags(base, counted, SpanTags(rows, stride=1, limit=most))


class _Tag(NamedTuple):
    """base: tag of the scheme; place: of its token in an entity, 1 for the first, 0 for none.

    ends: 1 for the last token of a longer entity, where the scheme shows it: at any place.
    """

    base: int
    place: int
    ends: int


def _tags_of(tagset: TagSet, label: int, most: int) -> list[_Tag]:
    first, inside = tagset.number("B", label), tagset.number("I", label)
    if tagset.scheme == "BIO":
        return [_Tag(first, 1, 0)] + [_Tag(inside, n, 0) for n in range(2, most + 1)]
    tags = [_Tag(tagset.number("S", label), 0, 0)]
    if most > 1:
        tags += [_Tag(first, 1, 0)] + [_Tag(inside, n, 0) for n in range(2, most)]
        tags += [_Tag(tagset.number("E", label), most, 1)]
    return tags


def _row(tagset: TagSet, own: list[_Tag], begin: int, most: int) -> list[int]:
    """A label's row of `SpanTags.table`; what is too long to be is never looked up."""
    if tagset.scheme == "BIO":
        second = begin + 1
        return [begin, begin, second, second, second if most > 1 else -1]
    return [begin, begin + min(1, len(own) - 1), begin + 2, begin + len(own) - 1, -1]
