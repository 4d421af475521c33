"""Scores beside those of entities that a training log can show: loss and accuracy of tags."""

from typing import TYPE_CHECKING

from spacy.training import Example
from spacy.util import minibatch

from ..evaluation.spans import tag_pair

if TYPE_CHECKING:
    from .recognizer import CRFEntityRecognizer

_DOCS = 64


def loss_and_accuracy(
    recognizer: "CRFEntityRecognizer", examples: list[Example]
) -> dict[str, float | None]:
    """`ents_loss`: of the annotation, in nats a token; `ents_tag_acc`: share of right IOB2 tags.

    Examples must have predictions. Tokens without annotation, and O among the tags, count for the
    loss; only tokens with annotation, O included, for the accuracy. Both are None without tokens.
    """
    loss, tokens = 0.0, 0
    for part in minibatch(examples, _DOCS):
        scores = recognizer.model.predict([example.predicted for example in part])
        loss += recognizer.get_loss(part, scores)[0]
        tokens += sum(len(example.predicted) for example in part)
    pairs = [pair for example in examples for pair in zip(*tag_pair(example))]
    right = sum(gold == found for gold, found in pairs)
    return {
        "ents_loss": loss / tokens if tokens else None,
        "ents_tag_acc": right / len(pairs) if pairs else None,
    }
