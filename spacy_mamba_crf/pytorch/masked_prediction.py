"""Predicting which token is masked from an encoder's vector of it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .linear import ROWS, Linear


class MaskedPrediction(nn.Module):
    """A layer with GELU and norm, and a softmax over classes (Devlin et al. 2019).

    log_prior: (class,), of the classes' frequencies, at which the softmax starts.
    """

    def __init__(self, width: int, hidden: int, log_prior: Tensor):
        super().__init__()
        self.transform = Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.output = Linear(hidden, len(log_prior))
        with torch.no_grad():
            self.output.weight.mul_(0.1)
            self.output.bias.copy_(log_prior)

    def forward(self, states: Tensor, targets: Tensor) -> Tensor:
        """-log p(target), summed: states (target, width), targets (target,) int64 classes."""
        padded = F.pad(states, (0, 0, 0, -len(states) % ROWS))
        hidden = self.norm(F.gelu(self.transform(padded)))
        logits = self.output(hidden)[: len(states)]
        return F.cross_entropy(logits, targets, reduction="sum")
