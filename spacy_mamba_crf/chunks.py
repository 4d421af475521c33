"""Entities of a tag sequence as conlleval defines them, for IOB1, IOB2 and BIOES (BMESO, BILOU).

A phrase starts at every B-, S- or U- tag, and also at any other tag that cannot continue the
phrase before it: an I- after O, after another type, or after an end (E-, S-, L-, U-). Nothing is
dropped because a tag sequence is illegal. Source: E. F. Tjong Kim Sang and F. De Meulder,
"Introduction to the CoNLL-2003 shared task" (2003), and the score files of ROCLING-2023.
"""

from collections.abc import Iterable, Sequence

HEALTH_TYPES = ("BODY", "SYMP", "INST", "EXAM", "CHEM", "DISE", "DRUG", "SUPP", "TREAT", "TIME")

Chunk = tuple[int, int, str]

_PREFIXES = frozenset("BIESMLU")
_STARTS = frozenset("BSU")
_ENDS = frozenset("ESLU")
_OUTSIDE = ("O", "")


def split_tag(tag: str) -> tuple[str, str]:
    """Return (prefix in capitals, type) of `tag`; ("O", "") outside of phrases.

    `i-CHEM` reads as `I-CHEM` and `O-SYMP` as `O`, the only two kinds of dirt known in the
    ROCLING files. Raises ValueError for anything else that is not a tag.
    """
    prefix, _, kind = tag.partition("-")
    prefix = prefix.upper()
    if prefix == "O":
        return _OUTSIDE
    if prefix not in _PREFIXES or not kind:
        raise ValueError(
            f"{tag!r} is not a tag. Write O, or one of B- I- E- S- M- L- U- and an entity type."
        )
    return prefix, kind


def chunks(tags: Iterable[str]) -> list[Chunk]:
    """Phrases of one sentence as (start, end exclusive, type), in order.

    tags: one per token. Raises ValueError for a tag that cannot be read.
    """
    return _chunks([split_tag(tag) for tag in tags])


def bio_tags(length: int, entities: Iterable[Chunk]) -> list[str]:
    """BIO tags of `length` tokens; where two entities overlap, the first one keeps its tokens."""
    tags = ["O"] * length
    for start, end, label in entities:
        if all(tag == "O" for tag in tags[start:end]):
            tags[start:end] = [f"B-{label}"] + [f"I-{label}"] * (end - start - 1)
    return tags


def _chunks(tags: Sequence[tuple[str, str]]) -> list[Chunk]:
    found: list[Chunk] = []
    previous = _OUTSIDE
    start = -1
    for i, tag in enumerate([*tags, _OUTSIDE]):
        opens = tag[0] != "O" and _opens(previous, tag)
        if previous[0] != "O" and (opens or tag[0] == "O"):
            found.append((start, i, previous[1]))
        if opens:
            start = i
        previous = tag
    return found


def _opens(previous: tuple[str, str], tag: tuple[str, str]) -> bool:
    continues = previous[0] != "O" and previous[1] == tag[1]
    return not continues or tag[0] in _STARTS or previous[0] in _ENDS
