"""Counting which entity type was taken for which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..chunks import Chunk

NONE = "none"


@dataclass(frozen=True)
class TypeConfusion:
    """counts[i][j]: entities of type labels[i] predicted with the same boundaries as labels[j].

    The last label is "none": its row holds predictions with no gold entity of these boundaries,
    its column gold entities with no prediction of these boundaries.
    """

    labels: list[str]
    counts: list[list[int]]


def type_confusion(
    gold: Sequence[Sequence[Chunk]], predicted: Sequence[Sequence[Chunk]]
) -> TypeConfusion:
    """Count pairs of (gold type, predicted type) over entities with equal boundaries.

    gold, predicted: entities of each text as (start, end exclusive, type); each boundary pair at
    most once in a text. The diagonal holds exactly the strict true positives. Raises ValueError
    where the two differ in the number of texts.
    """
    if len(gold) != len(predicted):
        raise ValueError(
            f"There are {len(gold)} gold texts and {len(predicted)} predicted texts. "
            "Pass the predicted entities of each gold text."
        )
    pairs: Counter[tuple[str, str]] = Counter()
    for true, guess in zip(gold, predicted):
        true_types = {(start, end): label for start, end, label in true}
        guess_types = {(start, end): label for start, end, label in guess}
        for edges in true_types.keys() | guess_types.keys():
            pairs[true_types.get(edges, NONE), guess_types.get(edges, NONE)] += 1
    labels = [*sorted({label for pair in pairs for label in pair} - {NONE}), NONE]
    return TypeConfusion(labels, [[pairs[row, column] for column in labels] for row in labels])
