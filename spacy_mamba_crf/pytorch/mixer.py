"""What every sequence mixer (Mamba, Mamba-2, S4D) shares: its carried state and its two calls."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .texts import Texts


class MixerState(NamedTuple):
    """What a mixer has to remember of everything before a block.

    conv: (batch, channel, width - 1), the last inputs of the convolution, None if there is none;
    ssm: (batch, ..., state), the state of the recurrence.
    """

    conv: Tensor | None
    ssm: Tensor


class Mixer(nn.Module):
    """A causal map (batch, time, d_model) -> (batch, time, d_model) that can be run in blocks.

    `runs_ragged`: on a CPU it also runs over texts side by side, see `forward_texts`.
    """

    runs_ragged = False

    def forward(self, x: Tensor) -> Tensor:
        """The whole sequence at once, from the zero state."""
        return self.run(x, None, None, want_state=False)[0]

    def forward_block(
        self, x: Tensor, state: MixerState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MixerState]:
        """One block of a longer sequence, from the state that the block before it left.

        lengths: (batch,), how many steps of this block each sequence really has (0 is fine);
        steps past it leave the state alone. None means all. Returns the output and the new state.
        """
        y, new_state = self.run(x, state, lengths, want_state=True)
        assert new_state is not None
        return y, new_state

    def carry(self, x: Tensor, state: MixerState | None) -> MixerState:
        """The state after a block (batch, time, d_model), where its output is not wanted."""
        return self.forward_block(x, state)[1]

    def forward_texts(self, x: Tensor, texts: Texts) -> Tensor:
        """Each text by itself, from the zero state, in the direction that `texts` says.

        x: (token, d_model), float32 on a CPU; rows behind the last text give anything but NaN.
        Returns (token, d_model).
        """
        return self.run(x, None, None, want_state=False, texts=texts)[0]

    def run(
        self,
        x: Tensor,
        state: MixerState | None,
        lengths: Tensor | None,
        want_state: bool,
        texts: Texts | None = None,
    ) -> tuple[Tensor, MixerState | None]:
        """What the calls above have in common. `texts` comes without state and lengths."""
        raise NotImplementedError


def last_inputs(history: Tensor, lengths: Tensor | None, width: int) -> Tensor:
    """The last width - 1 real inputs of each sequence: (batch, channel, width - 1).

    history: (batch, width - 1 + time, channel), the inputs with those before them in front.
    """
    if lengths is None:
        return history[:, history.shape[1] - (width - 1) :].transpose(1, 2)
    steps = lengths[:, None] + torch.arange(width - 1, device=history.device)
    rows = torch.arange(len(history), device=history.device)[:, None]
    return history[rows, steps].transpose(1, 2)


def inverse_softplus_of_dt(shape: int, dt_min: float, dt_max: float, dt_floor: float) -> Tensor:
    """A bias whose softplus is log-uniform in [dt_min, dt_max], never below dt_floor. (shape,)"""
    low, high = torch.log(torch.tensor([dt_min, dt_max])).tolist()
    dt = torch.exp(torch.rand(shape) * (high - low) + low).clamp(min=dt_floor)
    return dt + torch.log(-torch.expm1(-dt))
