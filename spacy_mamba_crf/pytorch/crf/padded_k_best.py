"""The k best paths over a padded batch in plain torch, on any device; the kernels' reference."""

import torch
from torch import Tensor

from ..padding import step_mask
from .padded import constrain
from .potentials import NEG_INF, Potentials


def k_best(
    emissions: Tensor,
    lengths: Tensor,
    potentials: Potentials,
    k: int,
    allowed: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The k best tag sequences of each text and their scores, best first.

    Returns (k, batch, time) int64, 0 in the padding and where there is no path, and (k, batch),
    -inf where there is none. Shapes of the arguments as in `padded.forward_backward`.
    """
    emissions = constrain(emissions, lengths, allowed)
    batch, time, tags = emissions.shape
    score = emissions.new_full((batch, tags, k), NEG_INF)
    score[:, :, 0] = potentials.start + emissions[:, 0]
    stay = torch.arange(tags * k, device=emissions.device).view(1, tags, k)
    came = []
    for t in range(1, time):
        # (batch, tag before and rank, tag) -> the k best for each tag
        steps = (score[..., None] + potentials.transitions[:, None]).flatten(1, 2)
        best, number = steps.topk(k, dim=1)
        best = best.transpose(1, 2) + emissions[:, t, :, None]
        going_on = (t < lengths)[:, None, None]
        score = torch.where(going_on, best, score)
        came.append(torch.where(going_on, number.transpose(1, 2), stay).flatten(1))
    scores, number = (score + potentials.end[:, None]).flatten(1).topk(k, dim=1)
    path = [number]
    for row in reversed(came):
        path.append(row.gather(1, path[-1]))
    found = torch.stack(path[::-1], dim=-1) // k
    found = found * step_mask(lengths, time)[:, None] * (scores > NEG_INF)[..., None]
    return found.transpose(0, 1), scores.T
