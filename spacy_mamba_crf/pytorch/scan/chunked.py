"""Mamba-2's scan as matrix products over chunks of time, in plain torch."""

import torch
import torch.nn.functional as F
from torch import Tensor


def ssd_scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    *,
    chunk_size: int = 64,
    return_final_state: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """The block decomposition of the state-space dual (Dao & Gu 2024, section 6).

    Inside a chunk the output is (C B^T * decay) x, a masked attention; from one chunk to the next
    only the state is carried. Shapes as in `reference.ssd_scan`. A length that is no multiple of
    the chunk is filled up with steps of dt = 0, which leave the state as it is.
    """
    batch, time, head, channel = x.shape
    group, state_size = B.shape[2:]
    if time == 0:
        if initial_state is None:
            initial_state = x.new_zeros(batch, head, channel, state_size)
        return x, initial_state
    size = min(chunk_size, time)
    chunks = -(-time // size)
    fill = chunks * size - time
    if fill:
        x, dt, B, C = (_pad_time(array, fill) for array in (x, dt, B, C))

    # Heads stand before time, so that every product below is one batched matrix product.
    log_decay = (dt * A).reshape(batch, chunks, size, head).permute(0, 1, 3, 2)
    log_decay = log_decay.cumsum(-1)  # (batch, chunk, head, time): from the chunk's start
    dt_x = (dt[..., None] * x).reshape(batch, chunks, size, head, channel).transpose(2, 3)
    B = B.reshape(batch, chunks, size, group, state_size).transpose(2, 3)
    C = C.reshape(batch, chunks, size, group, state_size).transpose(2, 3)

    attention = C @ B.transpose(-1, -2)  # (batch, chunk, group, time, time)
    y = (_per_head(attention, head) * _decay_matrix(log_decay)) @ dt_x

    final_state = initial_state
    if chunks > 1 or return_final_state or initial_state is not None:
        remaining = torch.exp(log_decay[..., -1:] - log_decay)  # decay from here to the chunk's end
        B_head = _per_head(B, head)
        chunk_states = (dt_x * remaining[..., None]).transpose(-1, -2) @ B_head
        chunk_decay = torch.exp(log_decay[..., -1])[..., None, None]  # (batch, chunk, head, 1, 1)
        entering, final_state = _carry(chunk_states, chunk_decay, initial_state)
        carried = _per_head(C, head) @ entering.transpose(-1, -2)
        y = y + carried * torch.exp(log_decay)[..., None]

    y = y.transpose(2, 3).reshape(batch, chunks * size, head, channel)
    return y[:, :time], final_state if return_final_state else None


def _pad_time(array: Tensor, fill: int) -> Tensor:
    return F.pad(array, (0, 0) * (array.dim() - 2) + (0, fill))


def _per_head(array: Tensor, head: int) -> Tensor:
    """(batch, chunk, group, ...) -> (batch, chunk, head, ...), each group for its own heads."""
    group = array.shape[2]
    return array if group == head else array.repeat_interleave(head // group, dim=2)


def _decay_matrix(log_decay: Tensor) -> Tensor:
    """exp of the log decay from step j to step i, 0 above the diagonal. (..., time, time)"""
    time = log_decay.shape[-1]
    future = torch.ones(time, time, dtype=torch.bool, device=log_decay.device).triu(1)
    difference = log_decay[..., :, None] - log_decay[..., None, :]
    return difference.masked_fill(future, float("-inf")).exp()


def _carry(states: Tensor, decay: Tensor, initial: Tensor | None) -> tuple[Tensor, Tensor]:
    """The state that enters each chunk, and the one that leaves the last.

    states: (batch, chunk, head, channel, state); decay: (batch, chunk, head, 1, 1).
    """
    state = torch.zeros_like(states[:, 0]) if initial is None else initial
    entering = []
    for chunk in range(states.shape[1]):
        entering.append(state)
        state = decay[:, chunk] * state + states[:, chunk]
    return torch.stack(entering, dim=1), state
