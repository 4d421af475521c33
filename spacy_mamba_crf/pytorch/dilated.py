"""Iterated dilated convolutions over texts side by side, without padding."""

import torch
from torch import Tensor, nn

from .dropout import Dropout
from .linear import Linear
from .shares import encode_in_shares


class DilatedConv(nn.Module):
    """A convolution over 2 window_size + 1 tokens that lie `dilation` apart: (token, channel).

    Beyond the ends of its text a token sees zeros.
    """

    def __init__(self, input_width: int, width: int, window_size: int, dilation: int):
        super().__init__()
        self.reach = window_size
        self.dilation = dilation
        self.linear = Linear((2 * window_size + 1) * input_width, width)
        nn.init.kaiming_normal_(self.linear.weight, nonlinearity="relu")
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, place: Tensor, lengths: Tensor) -> Tensor:
        """place: (token,), of a token in its text; lengths: (token,), of its text."""
        seen = []
        for step in range(-self.reach, self.reach + 1):
            offset = step * self.dilation
            inside = (place + offset >= 0) & (place + offset < lengths)
            seen.append(x.roll(-offset, 0) * inside[:, None])
        return self.linear(torch.cat(seen, dim=1))


class DilatedEncoder(nn.Module):
    """Iterated dilated CNN (Strubell et al. 2017, section 4): a block of layers, run again.

    A first convolution (eq. 5), then in each block `depth` of dilation 1, 2, 4 ... and a last one
    of dilation 1 (eqs. 6-7), ReLU after each; blocks share their parameters (eq. 8). readings: in
    training, give the outputs of all blocks, one after the other, for a loss on each (section 4.3).
    """

    def __init__(
        self,
        width: int,
        depth: int,
        blocks: int,
        window_size: int = 1,
        input_width: int | None = None,
        readings: bool = False,
    ):
        super().__init__()
        self.blocks = blocks
        self.readings = readings
        self.input = DilatedConv(input_width or width, width, window_size, 1)
        dilations = [2**layer for layer in range(depth)] + [1]
        self.layers = nn.ModuleList(DilatedConv(width, width, window_size, d) for d in dilations)
        self.input_dropout = Dropout(0.0)
        self.output_dropout = Dropout(0.0)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (token, input_width), the texts side by side; lengths: (batch,), 0 allowed.

        Returns (token, width), or in training with `readings` (block * token, width), block by
        block.
        """
        if self.training and self.readings:
            return torch.cat(self._encode_blocks(x, lengths.tolist()))
        return encode_in_shares(self._encode, x, lengths.tolist(), self)

    def _encode(self, x: Tensor, lengths: list[int]) -> Tensor:
        return self._encode_blocks(x, lengths)[-1]

    def _encode_blocks(self, x: Tensor, sizes: list[int]) -> list[Tensor]:
        """The output of each block, (token, width) each."""
        lengths = torch.tensor(sizes, device=x.device)
        starts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        where = (torch.arange(len(x), device=x.device) - starts, lengths.repeat_interleave(lengths))
        y = torch.relu(self.input(self.input_dropout(x), *where))
        found = []
        for _ in range(self.blocks):
            for layer in self.layers:
                y = torch.relu(layer(y, *where))
            found.append(self.output_dropout(y))
        return found

    def set_dropout(self, rate: float) -> None:
        """Set the rate of the dropout before the first layer and after each block."""
        self.input_dropout.p = rate
        self.output_dropout.p = rate
