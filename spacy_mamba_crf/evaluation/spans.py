"""Entities and tags of an Example, gold and predicted, both counted in the gold tokens."""

from spacy.tokens import Span
from spacy.training import Example

from ..chunks import Chunk, bio_tags


def gold_entities(example: Example) -> list[Chunk]:
    """Gold entities as (start, end exclusive, label) in gold tokens."""
    return [(ent.start, ent.end, ent.label_) for ent in example.reference.ents]


def align_entity(example: Example, ent: Span) -> Chunk | None:
    """One predicted entity in gold tokens, or None where its truth is not known.

    That is so where no gold token aligns with it, and where it touches a gold token without
    annotation (`ent_iob` 0). Both as in `spacy.scorer.get_ner_prf`.
    """
    indices = example.alignment.x2y[ent.start : ent.end]
    if not len(indices):
        return None
    start, end = int(indices[0]), int(indices[-1]) + 1
    if any(token.ent_iob == 0 for token in example.reference[start:end]):
        return None
    return start, end, ent.label_


def predicted_entities(example: Example) -> list[Chunk]:
    """Predicted entities as (start, end exclusive, label) in gold tokens, if the truth is known."""
    aligned = (align_entity(example, ent) for ent in example.predicted.ents)
    return [chunk for chunk in aligned if chunk is not None]


def tag_pair(example: Example) -> tuple[list[str], list[str]]:
    """Gold and predicted IOB2 tags of the gold tokens that have annotation."""
    reference = example.reference
    known = [token.ent_iob != 0 for token in reference]
    gold = bio_tags(len(reference), gold_entities(example))
    predicted = bio_tags(len(reference), predicted_entities(example))
    return (
        [tag for tag, keep in zip(gold, known) if keep],
        [tag for tag, keep in zip(predicted, known) if keep],
    )
