"""Taking annotation away: what a corpus looks like whose annotators saw only some entities."""

import random
from collections.abc import Iterable, Iterator

from spacy.tokens import Doc, Span

MARKS = ("missing", "outside", "unknown")


def drop_entities(docs: Iterable[Doc], share: float, mark: str, seed: int = 0) -> Iterator[Doc]:
    """Take a random share of the entities away from copies of the docs.

    share: probability, in [0, 1], of each entity to be dropped; the same entities for every mark.
    mark: what becomes of the tokens. "missing": those of dropped entities have no annotation;
    "outside": they count as outside of entities, as if nothing had been there; "unknown": every
    token outside of the kept entities has no annotation. Raises ValueError for another mark or
    share.
    """
    if mark not in MARKS:
        raise ValueError(f"The mark is {mark!r}; choose one of {', '.join(MARKS)}.")
    if not 0 <= share <= 1:
        raise ValueError(f"The share of dropped entities is {share}; it must be in [0, 1].")
    rng = random.Random(seed)
    for doc in docs:
        kept: list[Span] = []
        dropped: list[Span] = []
        copy = doc.copy()
        for ent in copy.ents:
            (dropped if rng.random() < share else kept).append(ent)
        if mark == "unknown":
            copy.set_ents(kept, default="missing")
        else:
            missing = dropped if mark == "missing" else []
            copy.set_ents(kept, missing=missing, default="outside")
        yield copy
