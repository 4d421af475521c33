"""The recurrences of Mamba-1 and Mamba-2 as plain loops over time: the oracle for every kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor


def selective_scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t, y_t = C_t h_t (Gu & Dao 2023, eq. 2 and 4).

    x, dt: (batch, time, channel); A: (channel, state); B, C: (batch, time, state);
    initial_state: (batch, channel, state). Returns y (batch, time, channel) and the last state.
    """
    state = initial_state
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t, :, None] * A)  # (batch, channel, state)
        update = (dt[:, t] * x[:, t])[:, :, None] * B[:, t, None, :]  # (batch, channel, state)
        state = decay * state + update
        outputs.append((state * C[:, t, None, :]).sum(-1))  # (batch, channel)
    return _stack_time(outputs, x), state


def ssd_scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, initial_state: Tensor
) -> tuple[Tensor, Tensor]:
    """The same recurrence with one scalar decay a head (Dao & Gu 2024, section 3).

    x: (batch, time, head, channel); dt: (batch, time, head); A: (head,);
    B, C: (batch, time, group, state), each group serving head/group neighbouring heads;
    initial_state: (batch, head, channel, state). Returns y like x and the last state.
    """
    heads_per_group = x.shape[2] // B.shape[2]
    B = B.repeat_interleave(heads_per_group, dim=2)  # (batch, time, head, state)
    C = C.repeat_interleave(heads_per_group, dim=2)  # (batch, time, head, state)
    state = initial_state
    outputs = []
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t] * A)[:, :, None, None]  # (batch, head, 1, 1)
        update = (dt[:, t, :, None] * x[:, t])[..., None] * B[:, t, :, None, :]
        state = decay * state + update  # (batch, head, channel, state)
        outputs.append((state * C[:, t, :, None, :]).sum(-1))  # (batch, head, channel)
    return _stack_time(outputs, x), state


def causal_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """silu of a depthwise convolution, as a sum of shifted products.

    x: (batch, width - 1 + time, channel), history in front; weight: (channel, 1, width).
    """
    width = weight.shape[-1]
    time = x.shape[1] - (width - 1)
    y = x[:, width - 1 :] * weight[:, 0, width - 1]
    for shift in range(width - 1):
        y = y + x[:, shift : shift + time] * weight[:, 0, shift]
    return F.silu(y if bias is None else y + bias)


def _stack_time(outputs: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(outputs, dim=1) if outputs else torch.zeros_like(like)
