"""The encoder: a pre-norm residual stack of mixers that read the text in both directions."""

from collections.abc import Callable, Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .dropout import Dropout
from .linear import ROWS, Linear
from .mixer import Mixer, MixerState
from .padding import flip_index, mirror, pad
from .scan import runs_ragged
from .shares import encode_in_shares
from .texts import Texts

# Weight decay pulls towards 0, which is no neutral value for these: decay rates, skips and norms.
NO_WEIGHT_DECAY = ("A_log", "D", "dt_bias", "log_dt", "log_A_real", "A_imag", "norm", "bias")
# Tokens that run together without gradients, where texts need no padding: enough for fast matrix
# products, few enough for the cache.
PORTION = 1024


class BidirectionalLayer(nn.Module):
    """x + dropout(forward(norm(x)) + backward(norm(x))): (batch, time, width) each.

    Each mixer ends in a linear layer of its own, so the sum is what one linear layer over the
    states of both directions, side by side, would make. tied: one mixer reads in both directions.
    """

    def __init__(self, width: int, make_mixer: Callable[[], Mixer], tied: bool = False):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.forward_mixer = make_mixer()
        self.backward_mixer = None if tied else make_mixer()
        self.dropout = Dropout(0.0)

    @property
    def backward(self) -> Mixer:
        """The mixer that reads from the end to the start."""
        return self.forward_mixer if self.backward_mixer is None else self.backward_mixer

    def forward(self, x: Tensor, flip: Tensor) -> Tensor:
        """Padded: x (batch, time, width); flip as `padding.flip_index` makes it."""
        normed = self.norm(x)
        y = self.forward_mixer(normed)
        reversed_y = self.backward(mirror(normed, flip))
        return x + self.dropout(y + mirror(reversed_y, flip))

    def forward_texts(self, x: Tensor, texts: Texts) -> Tensor:
        """Ragged: x (token, width)."""
        normed = self.norm(x)
        y = self.forward_mixer.forward_texts(normed, texts)
        reversed_y = self.backward.forward_texts(normed, texts._replace(reverse=True))
        if torch.is_grad_enabled():
            return x + self.dropout(y + reversed_y)
        return self.dropout(y.add_(reversed_y)).add_(x)

    def forward_long(self, x: Tensor, block_size: int) -> None:
        """Without gradients: one text (token, width), replaced by its result block by block.

        First the backward mixer's states at the edges of the blocks are found, from the end to the
        start, then both directions of each block run from the states that enter it.
        """
        starts = range(0, len(x), block_size)
        entering: list[MixerState | None] = [None]
        for start in reversed(starts[1:]):
            block = self.norm(x[None, start : start + block_size])
            entering.append(self.backward.carry(block.flip(1), entering[-1]))
        state: MixerState | None = None
        for start in starts:
            block = self.norm(x[None, start : start + block_size])
            reversed_y, _ = self.backward.forward_block(block.flip(1), entering.pop())
            y, state = self.forward_mixer.forward_block(block, state)
            x[start : start + block_size] += (y + reversed_y.flip(1))[0]


class BidirectionalEncoder(nn.Module):
    """depth bidirectional layers between an optional input projection and a final norm.

    `block_size`: without gradients, texts longer than this run block by block with carried state,
    so that the memory they take beside input and output is bounded. `bf16`: without gradients on a
    CPU, matrix products in bfloat16. `tied`: both directions of a layer share their parameters.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        make_mixer: Callable[[], Mixer],
        *,
        input_width: int | None = None,
        block_size: int = 4096,
        bf16: bool = False,
        tied: bool = False,
    ):
        super().__init__()
        input_width = input_width or width
        self.width = width
        self.input = nn.Identity() if input_width == width else Linear(input_width, width)
        self.input_dropout = Dropout(0.0)
        self.layers = nn.ModuleList(
            BidirectionalLayer(width, make_mixer, tied) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.output_dropout = Dropout(0.0)
        self.block_size = block_size
        mixers = [module for module in self.modules() if isinstance(module, Mixer)]
        self.runs_ragged = all(mixer.runs_ragged for mixer in mixers)
        for module in self.modules():
            if isinstance(module, Linear):
                module.bf16 = bf16

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (token, input_width), the texts side by side; lengths: (batch,), 0 allowed.

        Returns (token, width). A text's result does not depend on what else is in the batch.
        """
        return encode_in_shares(self._encode, x, lengths.tolist(), self)

    def _encode(self, x: Tensor, lengths: list[int]) -> Tensor:
        """The same, on this thread."""
        if torch.is_grad_enabled():
            return self._encode_together(x, lengths)
        y = x.new_empty(len(x), self.width)
        start = 0
        most = min(PORTION, self.block_size) if self._is_ragged(x) else len(x)
        for portion in _portions(lengths, self.block_size, most):
            end = start + sum(portion)
            if max(portion) > self.block_size:
                self._encode_long(x[start:end], y[start:end])
            elif end > start:
                y[start:end] = self._encode_together(x[start:end], portion)
            start = end
        return y

    def _is_ragged(self, x: Tensor) -> bool:
        return self.runs_ragged and runs_ragged(x)

    def _encode_together(self, x: Tensor, lengths: list[int]) -> Tensor:
        if not self._is_ragged(x):
            sizes = torch.tensor(lengths, device=x.device)
            padded, index = pad(x, sizes)
            return self.encode_padded(padded, sizes).flatten(0, 1)[index]
        tokens = len(x)
        texts = Texts.of_lengths(lengths)
        x = self.input(self.input_dropout(F.pad(x, (0, 0, 0, -tokens % ROWS))))
        for layer in self._layers():
            x = layer.forward_texts(x, texts)
        return self.output_dropout(self.norm(x[:tokens]))

    def encode_padded(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (batch, time, input_width), padded on the right. Returns (batch, time, width).

        What stands in the padding never reaches a real step.
        """
        flip = flip_index(lengths, x.shape[1])
        x = self.input(self.input_dropout(x))
        for layer in self.layers:
            x = layer(x, flip)
        return self.output_dropout(self.norm(x))

    def _encode_long(self, x: Tensor, y: Tensor) -> None:
        """One text (token, input_width) to y (token, width), which is written in place."""
        for start in range(0, len(x), self.block_size):
            block = slice(start, start + self.block_size)
            y[block] = self.input(x[block])
        for layer in self._layers():
            layer.forward_long(y, self.block_size)
        for start in range(0, len(x), self.block_size):
            block = slice(start, start + self.block_size)
            y[block] = self.norm(y[block])

    def _layers(self) -> Iterator[BidirectionalLayer]:
        return (cast(BidirectionalLayer, layer) for layer in self.layers)

    def set_dropout(self, rate: float) -> None:
        """Set the rate of every dropout in the stack."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.p = rate


def _portions(lengths: list[int], block_size: int, most: int) -> list[list[int]]:
    """Neighbouring texts of up to `most` tokens together; longer ones, and long ones, alone."""
    portions: list[list[int]] = []
    tokens = 0
    for length in lengths:
        if not portions or tokens + length > most or max(length, portions[-1][-1]) > block_size:
            portions.append([])
            tokens = 0
        portions[-1].append(length)
        tokens += length
    return portions
