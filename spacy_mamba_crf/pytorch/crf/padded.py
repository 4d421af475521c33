"""The CRF over a padded batch in plain torch, on any device; on the CPU, the kernels' reference.

Every function works without per-sequence Python work and takes an `allowed` mask of tags per token.
Inside, numbers are float64.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..padding import flip_index, mirror, step_mask
from .potentials import NEG_INF, Gradient, Potentials, SpanQuery

# exp() of anything between minus this and this is a normal float64.
_SAFE_EXPONENT = 600.0


class Lattice(NamedTuple):
    """The sums over all allowed tag sequences of a batch.

    emissions: (batch, time, tag), -inf where not allowed; lengths: (batch,);
    forward: log-sum of every path up to and with a tag; backward: of every path after it;
    log_partition: (batch,), -inf for a sequence whose constraints leave no path.
    """

    emissions: Tensor
    lengths: Tensor
    forward: Tensor
    backward: Tensor
    log_partition: Tensor
    potentials: Potentials


def forward_backward(
    emissions: Tensor, lengths: Tensor, potentials: Potentials, allowed: Tensor | None = None
) -> Lattice:
    """Run both recursions over the batch at once.

    emissions: (batch, time, tag), padded on the right; lengths: (batch,), each at least 1;
    allowed: (batch, time, tag) bool, None for everything.
    """
    emissions = constrain(emissions, lengths, allowed)
    batch, time, _ = emissions.shape
    flip = flip_index(lengths, time)
    # Two chains in one: the text forwards, and mirrored with transposed transitions.
    both = torch.stack([emissions, mirror(emissions, flip)])  # (2, batch, time, tag)
    transitions = torch.stack([potentials.transitions, potentials.transitions.T])
    first = torch.stack([potentials.start, potentials.end])[:, None]
    entering = _recursion(both, first, _by_product(transitions))
    if not _is_exact(entering, both, transitions):
        entering = _recursion(both, first, _by_logsumexp(transitions))
    forward = entering[0] + emissions
    backward = mirror(entering[1], flip)
    last = forward[torch.arange(batch, device=lengths.device), lengths - 1]
    log_partition = torch.logsumexp(last + potentials.end, dim=-1)
    return Lattice(emissions, lengths, forward, backward, log_partition, potentials)


def tag_marginals(lattice: Lattice) -> Tensor:
    """p(tag at a token | text): (batch, time, tag), 0 in the padding."""
    log_p = lattice.forward + lattice.backward - lattice.log_partition[:, None, None]
    real = step_mask(lattice.lengths, log_p.shape[1])[..., None]
    return torch.where(real, log_p, NEG_INF).exp()


def expected_counts(lattice: Lattice, weights: Tensor) -> Gradient:
    """The gradient of sum(weights * log_partition). weights: (batch,)."""
    emissions, lengths, forward, backward, log_partition, potentials = lattice
    batch, time, _ = emissions.shape
    unary = tag_marginals(lattice) * weights[:, None, None]
    after = emissions + backward - log_partition[:, None, None]
    after = torch.where(step_mask(lengths, time)[..., None], after, NEG_INF)[:, 1:]
    before = forward[:, :-1]
    # p(i, then j) = exp(before[i] - top) exp(transition[i, j]) exp(after[j] + top)
    top = before.amax(-1, keepdim=True)
    right = after + top
    highest = torch.cat([right.flatten(), potentials.transitions.flatten()]).max()
    if float(highest) < _SAFE_EXPONENT:
        right = right.exp() * weights[:, None, None]
        pairs = (before - top).exp().flatten(0, 1).T @ right.flatten(0, 1)
        pairs = pairs * potentials.transitions.exp()
    else:
        pairs = torch.zeros_like(potentials.transitions)
        for t in range(time - 1):
            log_p = before[:, t, :, None] + potentials.transitions + after[:, t, None, :]
            pairs = pairs + (log_p.exp() * weights[:, None, None]).sum(0)
    rows = torch.arange(batch, device=lengths.device)
    return Gradient(unary, pairs, unary[:, 0].sum(0), unary[rows, lengths - 1].sum(0))


def loss_and_gradient(
    emissions: Tensor,
    lengths: Tensor,
    potentials: Potentials,
    target: Tensor,
    allowed: Tensor | None = None,
    weights: Tensor | None = None,
) -> tuple[Tensor, Gradient]:
    """-log p(target | text) of each sequence, and the gradient of its weighted sum.

    target: (batch, time, tag) bool, the tags that the annotation admits at each token: one where
    it is complete, all where it is missing, so that the loss is the marginal likelihood of what is
    known (Tsuboi et al. 2008). `allowed` bounds target and alternatives alike. weights: (batch,).
    """
    if allowed is None:
        allowed = torch.ones_like(target)
    lattice = forward_backward(
        emissions.repeat(2, 1, 1),
        lengths.repeat(2),
        potentials,
        torch.cat([allowed, target & allowed]),
    )
    all_paths, target_paths = lattice.log_partition.chunk(2)
    if weights is None:
        weights = torch.ones_like(all_paths)
    counts = expected_counts(lattice, torch.cat([weights, -weights]))
    expected, observed = counts.emissions.chunk(2)
    return all_paths - target_paths, counts._replace(emissions=expected + observed)


def path_score(emissions: Tensor, lengths: Tensor, potentials: Potentials, tags: Tensor) -> Tensor:
    """The unnormalised log score of one tag sequence each. tags: (batch, time) -> (batch,)."""
    time = tags.shape[1]
    rows = torch.arange(len(tags), device=tags.device)
    own = emissions.double().gather(2, tags[..., None])[..., 0]
    steps = potentials.transitions[tags[:, :-1], tags[:, 1:]]
    own = torch.where(step_mask(lengths, time), own, 0.0).sum(1)
    steps = torch.where(step_mask(lengths - 1, time - 1), steps, 0.0).sum(1)
    return own + steps + potentials.start[tags[:, 0]] + potentials.end[tags[rows, lengths - 1]]


def viterbi(
    emissions: Tensor, lengths: Tensor, potentials: Potentials, allowed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The best tag sequence of each text and its score: (batch, time) int64 and (batch,).

    Tags in the padding are 0. Shapes as in `forward_backward`.
    """
    emissions = constrain(emissions, lengths, allowed)
    batch, time, tag = emissions.shape
    score = potentials.start + emissions[:, 0]
    stay = torch.arange(tag, device=emissions.device).expand(batch, tag)
    pointers = []
    for t in range(1, time):
        best, pointer = (score[:, :, None] + potentials.transitions).max(dim=1)
        going_on = (t < lengths)[:, None]
        score = torch.where(going_on, best + emissions[:, t], score)
        pointers.append(torch.where(going_on, pointer, stay))
    best_score, current = (score + potentials.end).max(dim=-1)
    path = [current]
    for pointer in reversed(pointers):
        current = pointer.gather(1, current[:, None])[:, 0]
        path.append(current)
    tags = torch.stack(path[::-1], dim=1)
    return tags * step_mask(lengths, time), best_score


def span_log_probability(lattice: Lattice, query: SpanQuery) -> Tensor:
    """log p(exactly these spans with these tags and both their edges | text): (span,).

    The sum over every path through the span's own tags that does not go on with `continuing`.
    """
    emissions, lengths, forward, backward, log_partition, potentials = lattice
    row, start, end, first, middle, last, continuing = query
    last = torch.where(end - start == 1, first, last)
    score = forward[row, start, first]
    # From the second token on: its own scores by prefix sums, then the steps between its tags.
    # Tags that are not allowed are counted beside: beyond a -inf, sums have no differences.
    forbidden = emissions == NEG_INF
    sums = _prefix_sums(emissions.masked_fill(forbidden, 0.0))
    barred = _prefix_sums(forbidden.to(emissions.dtype))
    longer = end - start >= 2
    second, beyond = (row, start + 1, middle), (row, end - 1, middle)
    inner = sums[beyond] - sums[second]
    inner = inner.masked_fill(barred[beyond] > barred[second], NEG_INF)
    transitions = potentials.transitions
    steps = torch.where(end - start == 2, transitions[first, last], 0.0)
    longest = end - start >= 3
    between = (end - start - 3).clamp(min=0)
    repeated = torch.where(between > 0, between * transitions[middle, middle], 0.0)
    steps = steps + torch.where(
        longest, transitions[first, middle] + repeated + transitions[middle, last], 0.0
    )
    score = score + torch.where(longest, inner, 0.0) + steps
    score = score + torch.where(longer, emissions[row, end - 1, last], 0.0)
    # After the last token: the end, or any tag but the one that would make the span go on.
    at_end = end >= lengths[row]
    following = end.clamp(max=emissions.shape[1] - 1)
    after = transitions[last] + emissions[row, following] + backward[row, following]
    tags = torch.arange(after.shape[1], device=after.device)
    after = after.masked_fill(tags == continuing[:, None], NEG_INF)
    closing = torch.where(at_end, potentials.end[last], torch.logsumexp(after, dim=-1))
    return score + closing - log_partition[row]


def _prefix_sums(values: Tensor) -> Tensor:
    """(batch, time, tag) -> (batch, time + 1, tag): the sums over all tokens before."""
    return torch.cat([torch.zeros_like(values[:, :1]), values.cumsum(1)], dim=1)


def constrain(emissions: Tensor, lengths: Tensor, allowed: Tensor | None) -> Tensor:
    """float64 emissions, -inf where not allowed, 0 in the padding."""
    emissions = emissions.double()
    if allowed is not None:
        emissions = emissions.masked_fill(~allowed, NEG_INF)
    return torch.where(step_mask(lengths, emissions.shape[1])[..., None], emissions, 0.0)


def _recursion(scores: Tensor, first: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    """The log-sum over all paths before each token's own score: (2, batch, time, tag)."""
    entering = [first.expand_as(scores[:, :, 0])]
    for t in range(scores.shape[2] - 1):
        entering.append(step(entering[t] + scores[:, :, t]))
    return torch.stack(entering, dim=2)


def _by_product(transitions: Tensor) -> Callable[[Tensor], Tensor]:
    """score (2, batch, tag) -> log-sum over the tag before, as a product of exponentials."""
    weights = transitions.exp()

    def step(score: Tensor) -> Tensor:
        top = score.amax(-1, keepdim=True).clamp_min(-1e300)
        return torch.log((score - top).exp() @ weights) + top

    return step


def _by_logsumexp(transitions: Tensor) -> Callable[[Tensor], Tensor]:
    """The same without under- or overflow, several times slower."""
    return lambda score: torch.logsumexp(score[..., :, None] + transitions[:, None], dim=-2)


def _is_exact(entering: Tensor, scores: Tensor, transitions: Tensor) -> bool:
    """Whether no sum of exponentials came near the smallest or largest float64.

    A tag that some tag before it can reach must have a finite log-sum, not too far below the best.
    """
    before = (entering + scores)[:, :, :-1]
    possible = (before > NEG_INF).double() @ (transitions > NEG_INF).double()[:, None]
    top = before.amax(-1, keepdim=True)
    good = (entering[:, :, 1:] - top > -_SAFE_EXPONENT) & (entering[:, :, 1:] < float("inf"))
    return bool((good | (possible == 0)).all())
