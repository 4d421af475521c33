"""The losses of the CRF component: annotation, forbidden spans, rehearsal."""

from typing import NamedTuple, cast

import numpy as np
import torch
from spacy.training import Example
from thinc.types import Floats2d
from thinc.util import torch2xp

from ..pytorch.crf import (
    Gradient,
    Lattice,
    Potentials,
    expected_counts,
    forward_backward,
    loss_and_gradient,
)
from ..pytorch.schemes import TagSet
from .decoding import Batch, pad_scores
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
) -> Loss:
    """-log p(annotation | text), marginal over what is not annotated (Tsuboi et al. 2008).

    A span under `incorrect_spans_key` adds -log(1 - p(span)). Gradients are means over the docs.
    Raises ValueError if a forbidden span is annotated as an entity, too.
    """
    kept = [i for i, doc_scores in enumerate(scores) if len(doc_scores)]
    batch = pad_scores([scores[i] for i in kept])
    masks = [target_mask(examples[i], tagset) for i in kept]
    target = batch.stack_masks(masks)
    weights = torch.full((len(kept),), 1.0 / len(kept), dtype=torch.float64)
    weights = weights.to(batch.emissions.device)
    losses, gradient = loss_and_gradient(
        batch.emissions, batch.lengths, potentials, target, weights=weights
    )
    value = float(losses.sum())
    if incorrect_spans_key is not None:
        forbidden = _forbidden_spans(
            [examples[i] for i in kept], masks, incorrect_spans_key, tagset
        )
        if forbidden:
            extra, gradient = _add_forbidden(forbidden, batch, target, potentials, gradient)
            value += extra
    return Loss(value, _unpad(gradient.emissions, scores, kept), gradient)


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
    kept = [i for i, doc_scores in enumerate(scores) if len(doc_scores)]
    batch = pad_scores([scores[i] for i in kept])
    tutor_batch = pad_scores([tutor_scores[i] for i in kept])
    known = torch.zeros_like(batch.emissions, dtype=torch.bool)
    n_known = tutor_batch.emissions.shape[-1]
    known[..., :n_known] = True
    weights = torch.full((len(kept),), 1.0 / len(kept), dtype=torch.float64)
    weights = weights.to(batch.emissions.device)
    student = forward_backward(batch.emissions, batch.lengths, potentials, known)
    tutor = forward_backward(tutor_batch.emissions, tutor_batch.lengths, tutor_potentials)
    student_counts = expected_counts(student, weights)
    tutor_counts = expected_counts(tutor, weights)
    divergence = _expected_score(tutor, tutor_counts) - float((weights * tutor.log_partition).sum())
    divergence -= _expected_score(student, tutor_counts)
    divergence += float((weights * student.log_partition).sum())
    parts = []
    for own, taught in zip(student_counts, tutor_counts):
        own = own.clone()
        own[tuple(slice(0, size) for size in taught.shape)] -= taught
        parts.append(own)
    gradient = Gradient(*parts)
    return Loss(divergence * len(kept), _unpad(gradient.emissions, scores, kept), gradient)


def _expected_score(lattice: Lattice, counts: Gradient) -> float:
    """The mean score, under a lattice's scores, of paths with these expected counts."""
    scores = (lattice.emissions, *lattice.potentials)
    total = 0.0
    for count, score in zip(counts, scores):
        score = score[tuple(slice(0, size) for size in count.shape)]
        total += float((count * torch.where(count > 0, score, 0.0)).sum())
    return total


def _forbidden_spans(
    examples: list[Example], masks: list[np.ndarray], key: str, tagset: TagSet
) -> list[tuple[int, np.ndarray]]:
    """(row in the batch, mask of the annotation's paths that contain the span) for each."""
    found = []
    for row, (example, mask) in enumerate(zip(examples, masks)):
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
                found.append((row, containing))
    return found


def _add_forbidden(
    forbidden: list[tuple[int, np.ndarray]],
    batch: Batch,
    target: torch.Tensor,
    potentials: Potentials,
    gradient: Gradient,
) -> tuple[float, Gradient]:
    """Add the loss and the gradient of -log(1 - p(span | annotation)) for each span."""
    device = batch.emissions.device
    rows = torch.tensor([row for row, _ in forbidden], device=device)
    repeated = Batch(batch.emissions[rows], batch.lengths[rows])
    containing = repeated.stack_masks([mask for _, mask in forbidden])
    # log p(span | annotation) is minus the loss of the containing paths among the admitted ones.
    log_odds, _ = loss_and_gradient(*repeated, potentials, containing, target[rows])
    p = torch.exp(-log_odds).clamp(max=1 - 1e-6)
    weights = -(p / (1 - p)) / len(batch.lengths)
    _, parts = loss_and_gradient(*repeated, potentials, containing, target[rows], weights)
    emissions = gradient.emissions.index_add(0, rows, parts.emissions)
    summed = [a + b for a, b in zip(gradient[1:], parts[1:])]
    return float(-torch.log1p(-p).sum()), Gradient(emissions, *summed)


def _unpad(d_emissions: torch.Tensor, scores: list[Floats2d], kept: list[int]) -> list[Floats2d]:
    """(batch, time, tag) -> one float32 (token, tag) array a doc, in the order of the docs."""
    d_scores = [doc_scores * 0 for doc_scores in scores]
    for row, i in enumerate(kept):
        gradient = torch2xp(d_emissions[row, : len(scores[i])].float().contiguous())
        d_scores[i] = cast(Floats2d, gradient)
    return d_scores
