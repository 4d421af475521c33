"""The losses of the CRF component: annotation, forbidden spans, rehearsal, agreement."""

from typing import Any, NamedTuple, cast

import numpy as np
import torch
from spacy.training import Example
from thinc.types import Floats2d
from thinc.util import torch2xp

from ..pytorch.crf import Gradient, Potentials
from ..pytorch.crf.ragged import loss_and_gradient, partition_and_counts
from ..pytorch.schemes import TagSet
from .entity_ratio import EntityRatio
from .lattice import Batch, join_scores
from .tag_masks import containing_mask, target_mask


class Loss(NamedTuple):
    """value: summed over docs; d_scores: one array a doc; d_potentials: of the CRF's scores."""

    value: float
    d_scores: list[Floats2d]
    d_potentials: Gradient


@torch.no_grad()
def annotation_loss(
    examples: list[Example],
    scores: list[Floats2d],
    potentials: Potentials,
    tagset: TagSet,
    incorrect_spans_key: str | None,
    correct_spans_key: str | None = None,
    entity_ratio: EntityRatio | None = None,
) -> Loss:
    """-log p(annotation | text), marginal over what is not annotated (Tsuboi et al. 2008).

    A span under `incorrect_spans_key` adds -log(1 - p(span)). Gradients are means over the docs
    that have tokens. correct_spans_key: see `target_mask`; entity_ratio:
    a loss beside it. Raises ValueError if a forbidden span is
    annotated as an entity, too.
    """
    batch = join_scores(scores)
    masks = [target_mask(example, tagset, correct_spans_key) for example in examples]
    target = batch.put(np.concatenate(masks))
    losses, gradient = loss_and_gradient(*batch, potentials, target, _mean_weights(batch))
    value = float(losses.sum())
    if incorrect_spans_key is not None:
        forbidden = _forbidden_spans(examples, masks, incorrect_spans_key, tagset)
        if forbidden:
            extra, gradient = _add_forbidden(forbidden, batch, masks, potentials, gradient)
            value += extra
    if entity_ratio is not None and len(batch.emissions):
        extra, d_ratio = entity_ratio.loss(batch, potentials)
        value += extra * np.count_nonzero(np.diff(batch.offsets))
        if d_ratio is not None:
            gradient = Gradient(*(a + b for a, b in zip(gradient, d_ratio)))
    return Loss(value, _split(gradient.emissions, batch), gradient)


@torch.no_grad()
def rehearsal_loss(
    scores: list[Floats2d],
    potentials: Potentials,
    tutor_scores: list[Floats2d],
    tutor_potentials: Potentials,
) -> Loss:
    """KL(tutor || student) over tag sequences of the tags that the tutor knows.

    What the student says of labels learnt since is left alone.
    """
    return divergence_loss(
        join_scores(scores), potentials, join_scores(tutor_scores), tutor_potentials
    )


@torch.no_grad()
def divergence_loss(
    batch: Batch, potentials: Potentials, tutor_batch: Batch, tutor_potentials: Potentials
) -> Loss:
    """KL(tutor || student) over the tag sequences of the tags that the tutor knows, of one batch.

    The gradient is by the student's scores, a mean over docs, the tutor's being fixed.
    """
    known = torch.zeros_like(batch.emissions, dtype=torch.bool)
    known[:, : tutor_batch.emissions.shape[1]] = True
    weights = _mean_weights(batch)
    student, counts = partition_and_counts(*batch, potentials, weights, known)
    tutor, tutor_counts = partition_and_counts(*tutor_batch, tutor_potentials, weights)
    divergence = float((weights * (student - tutor)).sum())
    divergence += _expected_score(tutor_batch, tutor_potentials, tutor_counts)
    divergence -= _expected_score(batch, potentials, tutor_counts)
    for own, taught in zip(counts, tutor_counts):
        own[tuple(slice(0, size) for size in taught.shape)] -= taught
    value = divergence * np.count_nonzero(np.diff(batch.offsets))
    return Loss(value, _split(counts.emissions, batch), counts)


def agreement_loss(scores: list[Floats2d], potentials: Potentials, n_docs: int) -> Loss:
    """The divergence of two readings of the same n_docs docs, whose scores follow one another.

    The mean of KL(first || second) and KL(second || first) over tag sequences, in which each is
    fixed while the other learns from it. Where the model itself gives several scores of each
    reading, those of both readings stand together.
    """
    other: list[Floats2d] = []
    for start in range(0, len(scores), 2 * n_docs):
        middle, end = start + n_docs, start + 2 * n_docs
        other += scores[middle:end] + scores[start:middle]
    return divergence_loss(join_scores(scores), potentials, join_scores(other), potentials)


def mix_losses(first: Loss, second: Loss, first_weight: float, second_weight: float) -> Loss:
    """The weighted sum of two losses of the same scores."""

    def mixed(first: Any, second: Any) -> Any:
        return first_weight * first + second_weight * second

    return Loss(
        mixed(first.value, second.value),
        [mixed(*own) for own in zip(first.d_scores, second.d_scores)],
        Gradient(*(mixed(*own) for own in zip(first.d_potentials, second.d_potentials))),
    )


def _mean_weights(batch: Batch) -> torch.Tensor:
    """(doc,) float64: 1 / the number of docs that have tokens."""
    sizes = np.diff(batch.offsets)
    return batch.put(np.full(len(sizes), 1.0 / max(int(np.count_nonzero(sizes)), 1)))


def _expected_score(batch: Batch, potentials: Potentials, counts: Gradient) -> float:
    """The mean score of paths with these expected counts, of this batch's first tags."""
    scores = (batch.emissions, *potentials)
    total = 0.0
    for count, score in zip(counts, scores):
        score = score[tuple(slice(0, size) for size in count.shape)]
        total += float((count * torch.where(count > 0, score, 0.0)).sum())
    return total


def _forbidden_spans(
    examples: list[Example], masks: list[np.ndarray], key: str, tagset: TagSet
) -> list[tuple[int, np.ndarray]]:
    """(number of the doc, mask of the annotation's paths that contain the span) for each."""
    found = []
    for number, (example, mask) in enumerate(zip(examples, masks)):
        spans = example.reference.spans.get(key, [])
        for span in example.get_aligned_spans_y2x(spans, allow_overlap=True):
            containing = containing_mask(mask, span, tagset)
            if (containing.sum(1) > 0).all():
                if np.array_equal(containing, mask):
                    raise ValueError(
                        f"The span '{span.text}' ({span.label_ or 'any label'}, tokens "
                        f"{span.start}-{span.end}) is annotated as an entity and is also listed as "
                        f"incorrect in doc.spans['{key}']; remove one of the two."
                    )
                found.append((number, containing))
    return found


def _add_forbidden(
    forbidden: list[tuple[int, np.ndarray]],
    batch: Batch,
    masks: list[np.ndarray],
    potentials: Potentials,
    gradient: Gradient,
) -> tuple[float, Gradient]:
    """Add the loss and the gradient of -log(1 - p(span | annotation)) for each span."""
    docs = [doc for doc, _ in forbidden]
    starts, ends = batch.offsets[docs], batch.offsets[np.array(docs) + 1]
    tokens = np.concatenate([np.arange(*edges) for edges in zip(starts, ends)])
    places = batch.put(tokens)
    repeated = Batch(batch.emissions[places], np.cumsum([0, *(ends - starts)]))
    containing = batch.put(np.concatenate([mask for _, mask in forbidden]))
    admitted = batch.put(np.concatenate([masks[doc] for doc in docs]))
    none = batch.put(np.zeros(len(docs)))
    # log p(span | annotation) is minus the loss of the containing paths among the admitted ones.
    log_odds, _ = loss_and_gradient(*repeated, potentials, containing, none, admitted)
    p = torch.exp(-log_odds).clamp(max=1 - 1e-6)
    weights = -(p / (1 - p)) * _mean_weights(batch)[docs]
    _, parts = loss_and_gradient(*repeated, potentials, containing, weights, admitted)
    emissions = gradient.emissions.index_add(0, places, parts.emissions)
    summed = [a + b for a, b in zip(gradient[1:], parts[1:])]
    return float(-torch.log1p(-p).sum()), Gradient(emissions, *summed)


def _split(d_emissions: torch.Tensor, batch: Batch) -> list[Floats2d]:
    """(token, tag) -> one float32 array a doc."""
    gradient = d_emissions.float()
    return [
        cast(Floats2d, torch2xp(gradient[start:end].contiguous()))
        for start, end in zip(batch.offsets, batch.offsets[1:])
    ]
