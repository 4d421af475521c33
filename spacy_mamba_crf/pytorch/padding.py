"""Right-padded batches: how they are made, which steps are real, and each text mirrored."""

import torch
from torch import Tensor


def step_mask(lengths: Tensor, time: int) -> Tensor:
    """(batch, time) bool, True for the steps that each sequence really has."""
    return torch.arange(time, device=lengths.device) < lengths[:, None]


def flip_index(lengths: Tensor, time: int) -> Tensor:
    """(batch, time): for each step its mirror image within the sequence; padding stays put."""
    steps = torch.arange(time, device=lengths.device).expand(len(lengths), time)
    mirrored = lengths[:, None] - 1 - steps
    return torch.where(mirrored >= 0, mirrored, steps)


def mirror(x: Tensor, flip: Tensor) -> Tensor:
    """Reorder the steps of x (batch, time, channel) by a flip index; its own inverse."""
    return x.gather(1, flip[..., None].expand(-1, -1, x.shape[2]))


def pad(x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Texts side by side (token, channel) -> one row a text (batch, time, channel), 0 behind.

    Also returns where each token went, (token,): `padded.flatten(0, 1)[index]` undoes it.
    """
    time = int(lengths.max())
    index = step_mask(lengths, time).flatten().nonzero()[:, 0]
    padded = x.new_zeros(len(lengths) * time, x.shape[1]).index_copy(0, index, x)
    return padded.unflatten(0, (len(lengths), time)), index
