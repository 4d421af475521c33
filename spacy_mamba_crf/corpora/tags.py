"""Tag-level rules: which written tags are legal, how a faulty one is repaired, IOB1 and BIO."""

import re
from collections.abc import Sequence

from ..chunks import HEALTH_TYPES, bio_tags, chunks

_WRITTEN_TAG = re.compile(r"([BIObio])(?:-(\S+))?")


def is_legal_tag(tag: str) -> bool:
    """Whether `tag` is "O", "B-TYPE" or "I-TYPE"."""
    return tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2)


def is_tag_like(tag: str) -> bool:
    """Whether `tag` is legal or becomes so by `repair_tag`."""
    try:
        repair_tag(tag)
    except ValueError:
        return False
    return True


def repair_tag(tag: str) -> tuple[str, str | None]:
    """The legal form of one written tag, and the kind of repair it took (None: none needed).

    "i-CHEM" -> "I-CHEM" (tag-case; the case of a type changes only where it is then one of
    HEALTH_TYPES), "O-SYMP" -> "O" (outside-with-type; conlleval reads it as O too).
    Raises ValueError if the tag is none of these.
    """
    if is_legal_tag(tag) and tag[2:].upper() not in HEALTH_TYPES:
        return tag, None
    match = _WRITTEN_TAG.fullmatch(tag)
    if match is None:
        raise ValueError(f"the tag {tag!r} is not one of O, B-TYPE, I-TYPE")
    prefix, label = match[1].upper(), match[2]
    if prefix == "O":
        return "O", "outside-with-type" if label else "tag-case"
    if not label:
        raise ValueError(f"the tag {tag!r} has no entity type")
    fixed = f"{prefix}-{label.upper() if label.upper() in HEALTH_TYPES else label}"
    return fixed, None if fixed == tag else "tag-case"


def open_chunks(tags: Sequence[str]) -> tuple[str, ...]:
    """Every entity begun with B-: the BIO form of IOB1, and of BIO with missing B- tags.

    conlleval already begins an entity at such an I-, so the entities stay the same.
    """
    return tuple(bio_tags(len(tags), chunks(tags)))


def bio_to_iob1(tags: Sequence[str]) -> tuple[str, ...]:
    """IOB1 form of BIO tags: B- only where an entity follows one of the same type directly."""
    out = []
    previous = "O"
    for tag in tags:
        follows_same = previous != "O" and previous[2:] == tag[2:]
        out.append("I" + tag[1:] if tag.startswith("B-") and not follows_same else tag)
        previous = tag
    return tuple(out)


def trim_whitespace(tokens: Sequence[str], tags: Sequence[str]) -> tuple[str, ...]:
    """BIO tags whose entities neither begin nor end in a token of whitespace only.

    `spacy debug data` rejects other entities, and the transition-based `ner` cannot learn them. An
    entity of nothing but whitespace becomes O.
    """
    entities = []
    for start, end, label in chunks(tags):
        while start < end and not tokens[start].strip():
            start += 1
        while start < end and not tokens[end - 1].strip():
            end -= 1
        if start < end:
            entities.append((start, end, label))
    return tuple(bio_tags(len(tokens), entities))
