"""The Mamba-2 block (Dao & Gu 2024) as a plain torch module; checkpoints of mamba-ssm load."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .linear import Linear, linear
from .mixer import Mixer, MixerState, inverse_softplus_of_dt, last_inputs
from .padding import step_mask
from .scan import (
    MAX_TAPS,
    causal_conv,
    fuses,
    gated_rms_norm,
    mamba2_inner,
    mamba2_stream,
    pad_history,
    runs_ragged,
    ssd_scan,
)
from .texts import Texts


class GatedRMSNorm(nn.Module):
    """RMSNorm(x silu(z)) within groups of channels; the weight stands for the whole width."""

    def __init__(self, width: int, groups: int = 1, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.groups = groups
        self.eps = eps

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        return gated_rms_norm(x, z, self.weight, self.groups, self.eps)


class Mamba2(Mixer):
    """Gated state-space-dual block, (batch, time, d_model) -> (batch, time, d_model).

    Parameters, named, shaped and initialised as mamba-ssm's `Mamba2`, with d_inner = expand d_model
    and head = d_inner / headdim: in_proj (2 d_inner + 2 ngroups d_state + head, d_model), in the
    order z, x, B, C, dt; conv1d (d_inner + 2 ngroups d_state, 1, d_conv); dt_bias, A_log and
    D (head,); norm (d_inner,); out_proj (d_model, d_inner). Raises ValueError if headdim does not
    divide d_inner or ngroups does not divide the heads.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 128,
        d_conv: int = 4,
        expand: int = 2,
        headdim: int = 64,
        ngroups: int = 1,
        A_init_range: tuple[float, float] = (1.0, 16.0),
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        dt_floor: float = 1e-4,
        bias: bool = False,
        conv_bias: bool = True,
        chunk_size: int = 64,
    ):
        super().__init__()
        self.d_state = d_state
        self.d_conv = d_conv
        self.d_inner = expand * d_model
        self.headdim = headdim
        self.ngroups = ngroups
        self.chunk_size = chunk_size
        if self.d_inner % headdim:
            raise ValueError(
                f"headdim = {headdim} does not divide the inner width {self.d_inner} "
                f"(expand {expand} x width {d_model}); headdim = "
                f"{math.gcd(headdim, self.d_inner)} would."
            )
        self.nheads = self.d_inner // headdim
        if self.nheads % ngroups:
            raise ValueError(f"ngroups {ngroups} does not divide the {self.nheads} heads.")
        self.runs_ragged = d_conv <= MAX_TAPS
        self.fuses = fuses(self.d_inner, self.nheads, ngroups, d_state, d_conv)
        conv_width = self.d_inner + 2 * ngroups * d_state
        self.in_proj = Linear(d_model, self.d_inner + conv_width + self.nheads, bias=bias)
        self.conv1d = nn.Conv1d(
            conv_width, conv_width, d_conv, groups=conv_width, padding=d_conv - 1, bias=conv_bias
        )
        self.dt_bias = nn.Parameter(inverse_softplus_of_dt(self.nheads, dt_min, dt_max, dt_floor))
        self.A_log = nn.Parameter(torch.empty(self.nheads).uniform_(*A_init_range).log())
        self.D = nn.Parameter(torch.ones(self.nheads))
        self.norm = GatedRMSNorm(self.d_inner, ngroups)
        self.out_proj = Linear(self.d_inner, d_model, bias=bias)

    def run(
        self,
        x: Tensor,
        state: MixerState | None,
        lengths: Tensor | None,
        want_state: bool,
        texts: Texts | None = None,
    ) -> tuple[Tensor, MixerState | None]:
        conv_state, ssm_state = (None, None) if state is None else state
        projected = self.in_proj(x)
        if self.fuses and runs_ragged(projected):
            if texts is not None:
                y = mamba2_inner(projected, *self._inner(), **self._sizes(), texts=texts)
                return self.out_proj(y), None
            if lengths is None and not torch.is_grad_enabled():
                return self._stream(projected, conv_state, ssm_state)
        group_width = self.ngroups * self.d_state
        z, xBC, dt = projected.split(
            [self.d_inner, self.d_inner + 2 * group_width, self.nheads], dim=-1
        )
        convolved = causal_conv(xBC, self.conv1d.weight, self.conv1d.bias, conv_state, texts=texts)
        x, B, C = convolved.split([self.d_inner, group_width, group_width], dim=-1)
        dt = F.softplus(dt + self.dt_bias)  # (batch, time, head)
        if lengths is not None:
            dt = dt * step_mask(lengths, x.shape[1])[..., None]
        y, ssm_state = ssd_scan(
            x.unflatten(-1, (self.nheads, self.headdim)),
            dt,
            -torch.exp(self.A_log),
            B.unflatten(-1, (self.ngroups, self.d_state)),
            C.unflatten(-1, (self.ngroups, self.d_state)),
            self.D,
            initial_state=ssm_state,
            return_final_state=want_state,
            chunk_size=self.chunk_size,
            texts=texts,
        )
        y = self.out_proj(self.norm(y.flatten(-2), z))
        if not want_state:
            return y, None
        assert ssm_state is not None
        history = pad_history(xBC, conv_state, self.d_conv)
        return y, MixerState(last_inputs(history, lengths, self.d_conv), ssm_state)

    def carry(self, x: Tensor, state: MixerState | None) -> MixerState:
        if not (self.fuses and runs_ragged(x)) or torch.is_grad_enabled():
            return super().carry(x, state)
        without_z = slice(self.d_inner, None)
        projection = self.in_proj
        bias = None if projection.bias is None else projection.bias[without_z]
        projected = linear(x, projection.weight[without_z], bias, bf16=projection.bf16)
        states = (None, None) if state is None else state
        _, conv_state, ssm_state = self._run_stream(projected, *states)
        return MixerState(conv_state, ssm_state)

    def _stream(
        self, projected: Tensor, conv_state: Tensor | None, ssm_state: Tensor | None
    ) -> tuple[Tensor, MixerState]:
        y, *states = self._run_stream(projected, conv_state, ssm_state)
        return self.out_proj(y), MixerState(*states)

    def _run_stream(
        self, projected: Tensor, conv_state: Tensor | None, ssm_state: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        return mamba2_stream(
            *(projected, *self._inner()),
            **self._sizes(),
            conv_state=conv_state,
            ssm_state=ssm_state,
        )

    def _inner(self) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor, Tensor]:
        """The parameters between the projections."""
        A = -torch.exp(self.A_log)
        conv = self.conv1d
        return conv.weight, conv.bias, self.dt_bias, A, self.D, self.norm.weight

    def _sizes(self) -> dict[str, Any]:
        return {"groups": self.ngroups, "states": self.d_state, "eps": self.norm.eps}
