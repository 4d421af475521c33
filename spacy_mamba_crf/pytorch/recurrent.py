"""Bidirectional LSTM and GRU encoders: the baseline that a state-space encoder has to beat."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .dropout import Dropout, VariationalDropout
from .padding import flip_index, mirror, pad
from .shares import encode_in_shares

KINDS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"LSTM": nn.LSTM, "GRU": nn.GRU}

# Texts of similar length that run together on a CPU: few enough for little padding, enough to fill
# the vector registers of a matrix product.
_GROUP = 16


class RecurrentLayer(nn.Module):
    """One unidirectional network a direction, joined: (batch, time, width) from any width.

    The texts are mirrored for the backward one, so that neither reads padding before it reads text,
    and both can use oneDNN's kernels, which torch does not offer for packed sequences.
    """

    def __init__(self, kind: str, input_width: int, width: int):
        super().__init__()
        self.forward_rnn = KINDS[kind](input_width, width // 2, batch_first=True)
        self.backward_rnn = KINDS[kind](input_width, width // 2, batch_first=True)

    def forward(self, x: Tensor, flip: Tensor) -> Tensor:
        y, _ = self.forward_rnn(x)
        mirrored_y, _ = self.backward_rnn(mirror(x, flip))
        return torch.cat([y, mirror(mirrored_y, flip)], dim=-1)


class RecurrentEncoder(nn.Module):
    """depth bidirectional layers of LSTM (Hochreiter & Schmidhuber 1997) or GRU (Cho et al. 2014).

    width: of the output and of each layer, half for each direction; input_width: width if None;
    kind: "LSTM" | "GRU". bf16: without gradients on a CPU, run in bfloat16. variational_dropout:
    drop the same channels at every step of a text. Raises ValueError for an unknown kind or an odd
    width.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        kind: str = "LSTM",
        input_width: int | None = None,
        *,
        bf16: bool = False,
        variational_dropout: bool = False,
    ):
        super().__init__()
        self.bf16 = bf16
        if kind not in KINDS:
            raise ValueError(
                f"RecurrentEncoder: kind = {kind!r} is unknown; choose one of {', '.join(KINDS)}."
            )
        if width % 2:
            raise ValueError(
                f"RecurrentEncoder: width = {width} is odd, but each of the two directions makes "
                "half of it."
            )
        widths = [input_width or width] + [width] * (depth - 1)
        self.layers = nn.ModuleList(RecurrentLayer(kind, size, width) for size in widths)
        dropout = VariationalDropout if variational_dropout else Dropout
        self.dropouts = nn.ModuleList(dropout(0.0) for _ in range(depth + 1))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (token, input_width), the texts side by side; lengths: (batch,), 0 allowed.

        Returns (token, width). A text's result does not depend on what else is in the batch.
        """
        if self.bf16 and x.dtype == torch.float32 and not (x.is_cuda or torch.is_grad_enabled()):
            rounded = {name: value.bfloat16() for name, value in self.named_parameters()}
            return functional_call(self, rounded, (x.bfloat16(), lengths)).float()
        return encode_in_shares(self._encode_texts, x, lengths.tolist(), self)

    def _encode_texts(self, x: Tensor, sizes: list[int]) -> Tensor:
        """The same, on this thread."""
        lengths = torch.tensor([size for size in sizes if size], device=x.device)
        size = len(lengths) if x.is_cuda else _GROUP
        if len(lengths) <= size:
            return self._encode(x, lengths)
        order = lengths.argsort()
        index = _token_index(lengths, order)
        groups = lengths[order].split(size)
        pieces = x[index].split([int(group.sum()) for group in groups])
        y = torch.cat([self._encode(piece, group) for piece, group in zip(pieces, groups)])
        return torch.empty_like(y).index_copy(0, index, y)

    def _encode(self, x: Tensor, lengths: Tensor) -> Tensor:
        """As `forward`, as one padded batch."""
        padded, index = pad(x, lengths)
        flip = flip_index(lengths, padded.shape[1])
        y = self.dropouts[0](padded)
        for layer, dropout in zip(self.layers, self.dropouts[1:]):
            y = dropout(layer(y, flip))
        return y.flatten(0, 1)[index]

    def set_dropout(self, rate: float) -> None:
        """Set the rate of the dropout before, between and after the layers."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = rate


def _token_index(lengths: Tensor, order: Tensor) -> Tensor:
    """(token,): where the tokens stand now that will stand side by side in the order of texts."""
    starts = lengths.cumsum(0) - lengths
    ordered = lengths[order]
    shift = starts[order] - (ordered.cumsum(0) - ordered)
    steps = torch.arange(int(lengths.sum()), device=lengths.device)
    return shift.repeat_interleave(ordered) + steps
