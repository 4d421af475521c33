"""Vectors of words from their characters: a convolution and a maximum, or a recurrent network."""

import torch
from torch import Tensor, nn

from .dropout import Dropout
from .padding import flip_index, pad, step_mask
from .recurrent import KINDS as RECURRENT
from .recurrent import RecurrentLayer

KINDS = ("cnn", *(kind.lower() for kind in RECURRENT))

# Rows of the embedding: where a word begins, where it ends, and then the hashed characters.
BEGIN, END, FIRST = 0, 1, 2

# Words that run together: few enough for little padding on a CPU, enough to keep a GPU busy.
_GROUP = 128
_GPU_GROUP = 4096


class CharConvolution(nn.Module):
    """width filters over window_size characters each, and the largest value of each filter.

    (Chiu & Nichols 2016, sec. 2.2; Ma & Hovy 2016, sec. 2.1.) Beyond a word's ends are zeros.
    """

    def __init__(self, char_width: int, width: int, window_size: int):
        super().__init__()
        self.convolution = nn.Conv1d(char_width, width, window_size, padding=window_size // 2)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (word, time, char_width), 0 behind a word's end -> (word, width)"""
        y = self.convolution(x.transpose(1, 2))  # (word, width, time)
        real = step_mask(lengths, x.shape[1])[:, None]
        return y.masked_fill(~real, float("-inf")).amax(2)


class CharRecurrence(nn.Module):
    """The last state of a forward network beside the last one of a backward network.

    (LSTM: Lample et al. 2016, sec. 4.1; GRU: Yang et al. 2016.)
    """

    def __init__(self, kind: str, char_width: int, width: int):
        super().__init__()
        self.layer = RecurrentLayer(kind.upper(), char_width, width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x: (word, time, char_width) -> (word, width)"""
        y = self.layer(x, flip_index(lengths, x.shape[1]))
        half = y.shape[2] // 2
        last = y[torch.arange(len(y), device=y.device), lengths - 1, :half]
        return torch.cat([last, y[:, 0, half:]], dim=1)


class CharEncoder(nn.Module):
    """Embedded characters, read by one of the networks above.

    kind: one of KINDS; rows: of the characters' table, to which BEGIN and END are added;
    window_size: an odd number, for "cnn" only. An even width is for the other kinds only.
    """

    def __init__(self, width: int, kind: str, char_width: int, rows: int, window_size: int):
        super().__init__()
        self.embedding = nn.Embedding(FIRST + rows, char_width)
        bound = (3 / char_width) ** 0.5  # Ma & Hovy 2016, sec. 3.1
        nn.init.uniform_(self.embedding.weight, -bound, bound)
        self.dropout = Dropout(0.0)
        if kind == "cnn":
            self.words: nn.Module = CharConvolution(char_width, width, window_size)
        else:
            self.words = CharRecurrence(kind, char_width, width)

    def forward(self, characters: Tensor, lengths: Tensor, index: Tensor) -> Tensor:
        """The vector of each token's word, (token, width).

        characters: (character,) rows of the table, the words side by side, best sorted by length;
        lengths: (word,), each at least 1; index: (token,), the number of each token's word.
        """
        groups = lengths.split(_GPU_GROUP if characters.is_cuda else _GROUP)
        pieces = characters.split([int(group.sum()) for group in groups])
        vectors = [self._encode(piece, group) for piece, group in zip(pieces, groups)]
        return torch.cat(vectors)[index]

    def set_dropout(self, rate: float) -> None:
        """Set the rate of the dropout on the characters' vectors."""
        self.dropout.p = rate

    def _encode(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """As one padded batch: (word, width)."""
        padded, _ = pad(self.dropout(self.embedding(characters)), lengths)
        return self.words(padded, lengths)
