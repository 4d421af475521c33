"""S4D: the diagonal time-invariant state-space layer (Gu et al. 2022), a baseline for Mamba."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .lti import causal_fft_convolution, hippo_eigenvalues
from .mixer import Mixer, MixerState
from .padding import step_mask
from .texts import Texts

INITIALISATIONS = ("hippo", "real")
DISCRETISATIONS = ("zoh", "bilinear")


class S4D(Mixer):
    """One LTI system a channel, a gelu, and a gated linear output.

    init "hippo": d_state / 2 conjugate pairs from HiPPO-LegS; "real": A_n = -(n + 1), n < d_state.
    discretization "zoh" or "bilinear". Parameters: log_dt, D (d_model,); log_A_real, A_imag
    (d_model, pair | state); C (d_model, pair | state, 2), real and imaginary part; out_proj.
    The convolutional form is used for whole sequences, `recurrent` is its twin step by step.
    """

    def __init__(
        self,
        d_model: int,
        d_state: int = 64,
        init: str = "hippo",
        discretization: str = "zoh",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
    ):
        super().__init__()
        if init not in INITIALISATIONS:
            raise ValueError(f"S4D init is {init!r}; choose one of {', '.join(INITIALISATIONS)}.")
        if discretization not in DISCRETISATIONS:
            choices = ", ".join(DISCRETISATIONS)
            raise ValueError(f"S4D discretization is {discretization!r}; choose one of {choices}.")
        self.discretization = discretization
        self.paired = init == "hippo"
        if self.paired:
            A = hippo_eigenvalues(d_state)
            A_imag = A.imag.float().repeat(d_model, 1)
        else:
            A = -torch.arange(1.0, d_state + 1).to(torch.complex128)
            A_imag = None
        self.log_A_real = nn.Parameter((-A.real).log().float().repeat(d_model, 1))
        self.A_imag = None if A_imag is None else nn.Parameter(A_imag)
        self.C = nn.Parameter(torch.randn(d_model, len(A), 2) * 0.5**0.5)
        low, high = math.log(dt_min), math.log(dt_max)
        self.log_dt = nn.Parameter(torch.rand(d_model) * (high - low) + low)
        self.D = nn.Parameter(torch.ones(d_model))
        self.out_proj = nn.Linear(d_model, 2 * d_model)

    def discretized(self) -> tuple[Tensor, Tensor, Tensor]:
        """A_bar, B_bar and C, each (channel, pair | state) complex; B is 1."""
        A = -torch.exp(self.log_A_real)
        A = torch.complex(A, torch.zeros_like(A) if self.A_imag is None else self.A_imag)
        dt = torch.exp(self.log_dt)[:, None]
        C = torch.view_as_complex(self.C) * (2 if self.paired else 1)
        if self.discretization == "zoh":
            A_bar = torch.exp(dt * A)
            return A_bar, (A_bar - 1) / A, C
        return (1 + dt / 2 * A) / (1 - dt / 2 * A), dt / (1 - dt / 2 * A), C

    def convolutional(self, u: Tensor, state: Tensor | None = None) -> Tensor:
        """y = u * kernel + what the state adds. u: (batch, time, channel); state: complex
        (batch, channel, pair | state)."""
        A_bar, B_bar, C = self.discretized()
        kernel = _sums_of_powers(C * B_bar, A_bar, u.shape[1])  # (channel, time)
        y = causal_fft_convolution(u.transpose(1, 2), kernel).transpose(1, 2)
        if state is not None:
            fading = _sums_of_powers(state * C * A_bar, A_bar, u.shape[1])
            y = y + fading.transpose(1, 2)
        return y + self.D * u

    def recurrent(self, u: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x_k = A_bar x_{k-1} + B_bar u_k, y_k = Re(C x_k) + D u_k. Returns y and the state."""
        A_bar, B_bar, C = self.discretized()
        x = u.new_zeros(len(u), *A_bar.shape, dtype=A_bar.dtype) if state is None else state
        outputs = []
        for t in range(u.shape[1]):
            x = A_bar * x + B_bar * u[:, t, :, None]
            outputs.append((C * x).sum(-1).real)
        y = torch.stack(outputs, dim=1) if outputs else torch.zeros_like(u)
        return y + self.D * u, x

    def run(
        self,
        x: Tensor,
        state: MixerState | None,
        lengths: Tensor | None,
        want_state: bool,
        texts: Texts | None = None,
    ) -> tuple[Tensor, MixerState | None]:
        ssm_state = None if state is None else state.ssm
        y = F.glu(self.out_proj(F.gelu(self.convolutional(x, ssm_state))), dim=-1)
        if not want_state:
            return y, None
        return y, MixerState(None, self._state_after(x, ssm_state, lengths))

    def _state_after(self, u: Tensor, state: Tensor | None, lengths: Tensor | None) -> Tensor:
        """A_bar^length state + sum_j A_bar^(length-1-j) B_bar u_j, for each sequence's length."""
        A_bar, B_bar, _ = self.discretized()
        time = u.shape[1]
        if lengths is None:
            lengths = torch.full((len(u),), time, device=u.device)
        steps = (lengths[:, None] - 1 - torch.arange(time, device=u.device)).clamp(min=0)
        rows = torch.arange(len(u), device=u.device)[:, None]
        # Reversed by its own length, each sequence meets the powers of A_bar in order.
        backwards = (u[rows, steps] * step_mask(lengths, time)[..., None]).to(A_bar.dtype)
        powers = _powers(A_bar, time + 1)
        new = torch.einsum("btc,cnt->bcn", backwards, powers[..., :time]) * B_bar
        if state is None:
            return new
        return new + state * powers.permute(2, 0, 1)[lengths]


def _sums_of_powers(weights: Tensor, base: Tensor, time: int) -> Tensor:
    """Re(sum_n weights_n base_n^t) for 0 <= t < time: (..., channel, time).

    weights: (..., channel, state), base: (channel, state), both complex. With t = i m + j it is a
    product of the matrices weights base^(i m) and base^j, of which each has about sqrt(time)
    powers; all powers at once would take most of the time and memory of a layer.
    """
    size = max(math.isqrt(time), 1)
    fine = _powers(base, size)  # (channel, state, j)
    coarse = _powers(base**size, -(-time // size)).transpose(-1, -2)  # (channel, i, state)
    sums = (weights[..., None, :] * coarse) @ fine  # (..., channel, i, j)
    return sums.real.flatten(-2)[..., :time]


def _powers(base: Tensor, time: int) -> Tensor:
    exponents = torch.arange(time, device=base.device)
    return torch.exp(torch.log(base)[..., None] * exponents)
