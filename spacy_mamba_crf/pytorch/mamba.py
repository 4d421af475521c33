"""The Mamba-1 block (Gu & Dao 2023) as a plain torch module; checkpoints of mamba-ssm load."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .linear import Linear
from .mixer import Mixer, MixerState, inverse_softplus_of_dt, last_inputs
from .padding import step_mask
from .scan import MAX_TAPS, causal_conv, pad_history, selective_scan
from .texts import Texts


class Mamba(Mixer):
    """Gated selective state-space block, (batch, time, d_model) -> (batch, time, d_model).

    Parameters, named, shaped and initialised as mamba-ssm's `Mamba`, with d_inner = expand d_model:
    in_proj (2 d_inner, d_model), in the order x, z; conv1d (d_inner, 1, d_conv); x_proj
    (dt_rank + 2 d_state, d_inner), in the order dt, B, C; dt_proj (d_inner, dt_rank);
    A_log (d_inner, d_state) = log(1 ... d_state); D (d_inner,) = 1; out_proj (d_model, d_inner).
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | None = None,
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        dt_floor: float = 1e-4,
        bias: bool = False,
        conv_bias: bool = True,
    ):
        super().__init__()
        self.runs_ragged = d_conv <= MAX_TAPS
        self.d_state = d_state
        self.d_conv = d_conv
        self.d_inner = expand * d_model
        self.dt_rank = math.ceil(d_model / 16) if dt_rank is None else dt_rank
        self.in_proj = Linear(d_model, 2 * self.d_inner, bias=bias)
        self.conv1d = nn.Conv1d(
            self.d_inner,
            self.d_inner,
            d_conv,
            groups=self.d_inner,
            padding=d_conv - 1,
            bias=conv_bias,
        )
        self.x_proj = Linear(self.d_inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt_proj = Linear(self.dt_rank, self.d_inner)
        self.A_log = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(self.d_inner, 1))
        self.D = nn.Parameter(torch.ones(self.d_inner))
        self.out_proj = Linear(self.d_inner, d_model, bias=bias)
        bound = self.dt_rank**-0.5
        nn.init.uniform_(self.dt_proj.weight, -bound, bound)
        with torch.no_grad():
            self.dt_proj.bias.copy_(inverse_softplus_of_dt(self.d_inner, dt_min, dt_max, dt_floor))

    def run(
        self,
        x: Tensor,
        state: MixerState | None,
        lengths: Tensor | None,
        want_state: bool,
        texts: Texts | None = None,
    ) -> tuple[Tensor, MixerState | None]:
        conv_state, ssm_state = (None, None) if state is None else state
        x, z = self.in_proj(x).chunk(2, dim=-1)  # (batch, time, d_inner) each
        convolved = causal_conv(x, self.conv1d.weight, self.conv1d.bias, conv_state, texts=texts)
        dt, B, C = self.x_proj(convolved).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        dt = F.softplus(self.dt_proj(dt))  # (batch, time, d_inner)
        if lengths is not None:
            dt = dt * step_mask(lengths, x.shape[1])[..., None]
        A = -torch.exp(self.A_log)
        y, ssm_state = selective_scan(
            convolved, dt, A, B, C, self.D, initial_state=ssm_state, texts=texts
        )
        y = self.out_proj(y * F.silu(z))
        if not want_state:
            return y, None
        history = pad_history(x, conv_state, self.d_conv)
        return y, MixerState(last_inputs(history, lengths, self.d_conv), ssm_state)
