"""The encoder: a pre-norm residual stack of mixers that read the text in both directions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .mixer import Mixer
from .padding import flip_index, mirror, pad

# Weight decay pulls towards 0, which is no neutral value for these: decay rates, skips and norms.
NO_WEIGHT_DECAY = ("A_log", "D", "dt_bias", "log_dt", "log_A_real", "A_imag", "norm", "bias")


class BidirectionalLayer(nn.Module):
    """x + dropout(forward(norm(x)) + backward(norm(x))): (batch, time, width) each."""

    def __init__(self, width: int, make_mixer: Callable[[], Mixer]):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.forward_mixer = make_mixer()
        self.backward_mixer = make_mixer()
        self.dropout = nn.Dropout(0.0)

    def forward(self, x: Tensor, flip: Tensor, block_size: int) -> Tensor:
        normed = self.norm(x)
        y = _run(self.forward_mixer, normed, block_size)
        reversed_y = _run(self.backward_mixer, mirror(normed, flip), block_size)
        return x + self.dropout(y + mirror(reversed_y, flip))


class BidirectionalEncoder(nn.Module):
    """depth bidirectional layers between an optional input projection and a final norm.

    `block_size`: without gradients, sequences longer than this run block by block with carried
    state, so that memory beside the activations of one layer stays bounded.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        make_mixer: Callable[[], Mixer],
        *,
        input_width: int | None = None,
        block_size: int = 4096,
    ):
        super().__init__()
        input_width = input_width or width
        self.input = nn.Identity() if input_width == width else nn.Linear(input_width, width)
        self.input_dropout = nn.Dropout(0.0)
        self.layers = nn.ModuleList(BidirectionalLayer(width, make_mixer) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.output_dropout = nn.Dropout(0.0)
        self.block_size = block_size

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (token, input_width), the texts side by side; lengths: (batch,), 0 allowed.

        Returns (token, width). A text's result does not depend on what else is in the batch.
        """
        padded, index = pad(x, lengths)
        return self.encode_padded(padded, lengths).flatten(0, 1)[index]

    def encode_padded(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (batch, time, input_width), padded on the right. Returns (batch, time, width).

        What stands in the padding never reaches a real step.
        """
        flip = flip_index(lengths, x.shape[1])
        x = self.input(self.input_dropout(x))
        for layer in self.layers:
            x = layer(x, flip, self.block_size)
        return self.output_dropout(self.norm(x))

    def set_dropout(self, rate: float) -> None:
        """Set the rate of every dropout in the stack."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = rate


def _run(mixer: Mixer, x: Tensor, block_size: int) -> Tensor:
    # Padding is on the right, so a state that has run through it only ever reaches more padding.
    time = x.shape[1]
    if time <= block_size or torch.is_grad_enabled():
        return mixer(x)
    state = None
    blocks = []
    for start in range(0, time, block_size):
        y, state = mixer.forward_block(x[:, start : start + block_size], state)
        blocks.append(y)
    return torch.cat(blocks, dim=1)
