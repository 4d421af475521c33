"""Linear time-invariant state-space systems: HiPPO, discretisation, recurrence and convolution.

x'(t) = A x(t) + B u(t), y(t) = C x(t). The matrix forms here are the textbook ones; `s4d.py` holds
the diagonal layer that is trained.
"""

import torch
from torch import Tensor


def hippo_legs(state: int) -> tuple[Tensor, Tensor]:
    """HiPPO-LegS (Gu et al. 2020, theorem 2): A (state, state) and B (state,), float64.

    A[n, k] = -sqrt((2n+1)(2k+1)) below the diagonal, -(n+1) on it, 0 above; B[n] = sqrt(2n+1).
    """
    n = torch.arange(state, dtype=torch.float64)
    B = torch.sqrt(2 * n + 1)
    A = -torch.tril(B[:, None] * B[None, :], diagonal=-1) - torch.diag(n + 1)
    return A, B


def hippo_eigenvalues(state: int) -> Tensor:
    """Eigenvalues of the normal part of HiPPO-LegS with positive imaginary part: S4D-LegS.

    (state / 2,) complex128, of real part -1/2 (Gu et al. 2022, "On the Parameterization and
    Initialization of Diagonal State Space Models", section 4). Raises ValueError if state is odd.
    """
    if state % 2:
        raise ValueError(f"A HiPPO state comes in conjugate pairs; {state} is not an even size.")
    A, B = hippo_legs(state)
    normal = A + 0.5 * B[:, None] * B[None, :]  # A = normal - rank one; normal + 1/2 is skew
    skew = normal + 0.5 * torch.eye(state, dtype=A.dtype)
    imaginary = torch.linalg.eigvalsh(-1j * skew.to(torch.complex128))
    return torch.complex(torch.full((state // 2,), -0.5, dtype=A.dtype), imaginary[state // 2 :])


def discretize_zoh(A: Tensor, B: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Zero-order hold: exp(dt A) and A^-1 (exp(dt A) - I) B. A: (state, state); B: (state,)."""
    identity = torch.eye(len(A), dtype=A.dtype)
    A_bar = torch.linalg.matrix_exp(dt * A)
    return A_bar, torch.linalg.solve(A, (A_bar - identity) @ B)


def discretize_bilinear(A: Tensor, B: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Tustin: (I - dt/2 A)^-1 (I + dt/2 A) and (I - dt/2 A)^-1 dt B. Shapes as above."""
    identity = torch.eye(len(A), dtype=A.dtype)
    left = identity - dt / 2 * A
    return torch.linalg.solve(left, identity + dt / 2 * A), torch.linalg.solve(left, dt * B)


def recurrence(A_bar: Tensor, B_bar: Tensor, C: Tensor, u: Tensor) -> Tensor:
    """x_k = A_bar x_{k-1} + B_bar u_k, y_k = C x_k, from x = 0. u, y: (time,)."""
    x = torch.zeros_like(B_bar)
    outputs = []
    for step in u:
        x = A_bar @ x + B_bar * step
        outputs.append(C @ x)
    return torch.stack(outputs)


def kernel(A_bar: Tensor, B_bar: Tensor, C: Tensor, time: int) -> Tensor:
    """(C B_bar, C A_bar B_bar, ..., C A_bar^(time-1) B_bar): the impulse response. (time,)"""
    x = B_bar
    values = []
    for _ in range(time):
        values.append(C @ x)
        x = A_bar @ x
    return torch.stack(values)


def causal_fft_convolution(u: Tensor, kernel: Tensor) -> Tensor:
    """y_k = sum_j kernel_j u_{k-j} along the last axis, by a zero-padded FFT."""
    time = u.shape[-1]
    size = max(2 * time, 1)
    return torch.fft.irfft(torch.fft.rfft(u, size) * torch.fft.rfft(kernel, size), size)[..., :time]
