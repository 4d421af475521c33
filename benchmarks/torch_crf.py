"""A BiLSTM-CRF as it is mostly written with torch and pytorch-crf, without spaCy."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn


class TorchBiLSTMCRF(nn.Module):
    """Characters to tags: an embedding, packed bidirectional LSTM layers, a linear layer, a CRF.

    The weights are random: the time that it takes does not depend on them. Raises ImportError
    without pytorch-crf.
    """

    def __init__(self, texts: Sequence[str], width: int, depth: int, input_width: int, tags: int):
        from torchcrf import CRF

        super().__init__()
        characters = sorted({character for text in texts for character in text})
        self.number = {character: i for i, character in enumerate(characters, start=1)}
        self.embed = nn.Embedding(len(characters) + 1, input_width)
        self.lstm = nn.LSTM(input_width, width // 2, depth, batch_first=True, bidirectional=True)
        self.emit = nn.Linear(width, tags)
        self.crf = CRF(tags, batch_first=True)

    @torch.no_grad()
    def pipe(self, texts: Sequence[str], batch_size: int = 64) -> Iterator[list[int]]:
        """The tag numbers of each text."""
        for start in range(0, len(texts), batch_size):
            yield from self._decode(texts[start : start + batch_size])

    def __call__(self, text: str) -> list[int]:
        """The tag numbers of one text."""
        return next(self.pipe([text]))

    def _decode(self, texts: Sequence[str]) -> list[list[int]]:
        numbers = [
            torch.tensor([self.number.get(character, 0) for character in text]) for text in texts
        ]
        lengths = torch.tensor([len(text) for text in texts])
        device = self.emit.weight.device
        padded = nn.utils.rnn.pad_sequence(numbers, batch_first=True).to(device)
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).to(device)
        emissions: Tensor = self.emit(self._encode(self.embed(padded), lengths))
        return self.crf.decode(emissions, mask)

    def _encode(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]
