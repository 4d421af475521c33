"""Recurrent language models of both directions, and a loss that has an encoder predict words."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout
from .padding import flip_index, mirror, step_mask
from .recurrent import KINDS
from .threads import available_threads, deal, run_shares

# Ids of the vocabulary: the edge of a text, a token that is not in it, and then its tokens.
BOUNDARY, UNKNOWN, FIRST = 0, 1, 2

_GROUP = 16  # texts that run together on a CPU, as in recurrent.py
_STEPS = 4096  # of a text that run at once: a long one needs memory for its states only


class LanguageModelConfig(NamedTuple):
    """kind: "LSTM" | "GRU"; vocabulary_size: number of ids; width: of the states."""

    kind: str
    vocabulary_size: int
    width: int
    embedding_width: int


class LanguageModel(nn.Module):
    """One network that reads ids and predicts the next one, by the embedding that it reads with.

    (Tied weights: Press & Wolf 2017.) Where the widths differ, a state is projected first.
    """

    def __init__(self, config: LanguageModelConfig):
        super().__init__()
        embedding_width = config.embedding_width
        self.embedding = nn.Embedding(config.vocabulary_size, embedding_width)
        nn.init.normal_(self.embedding.weight, std=embedding_width**-0.5)
        self.rnn = KINDS[config.kind](embedding_width, config.width, batch_first=True)
        self.projection = nn.Linear(config.width, embedding_width)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        self.dropout = Dropout(0.0)

    def states(self, ids: Tensor) -> Tensor:
        """ids: (batch, time) int64, right-padded -> (batch, time, width), after reading each id."""
        pieces, state = [], None
        for part in ids.split(_STEPS, dim=1):
            piece, state = self.rnn(self.dropout(self.embedding(part)), state)
            pieces.append(piece)
        return torch.cat(pieces, dim=1) if len(pieces) > 1 else pieces[0]

    def nll(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """-log p of each text's ids and of its end, summed: ids (batch, time), lengths (batch,)."""
        edge = ids.new_full((len(ids), 1), BOUNDARY)
        states = self.states(torch.cat([edge, ids], dim=1))
        real = step_mask(lengths + 1, states.shape[1])
        # Behind a text's end lies padding, whose first id must be the edge that is to be predicted.
        targets = torch.cat([ids, edge], dim=1)[real]
        projected = self.projection(self.dropout(states[real]))
        logits = F.linear(projected, self.embedding.weight, self.bias)
        return F.cross_entropy(logits, targets, reduction="sum")


class BidirectionalLanguageModel(nn.Module):
    """Two language models, one of which reads each text from its end (Peters et al. 2017)."""

    def __init__(self, config: LanguageModelConfig):
        super().__init__()
        self.config = config
        self.forward_lm = LanguageModel(config)
        self.backward_lm = LanguageModel(config)

    def forward(self, texts: Sequence[Tensor]) -> Tensor:
        """The loss of both directions, (2,), in nats, summed over the texts: (token,) int64 each.

        Each text counts one token more than it has, its end. A text has at least one token.
        """
        ids, mirrored, lengths = _pad(texts)
        return torch.stack(
            [self.forward_lm.nll(ids, lengths), self.backward_lm.nll(mirrored, lengths)]
        )

    @torch.no_grad()
    def states(self, texts: Sequence[Tensor]) -> list[Tensor]:
        """One (token, 2 * width) a text: forward states beside backward ones, without gradient.

        A token's forward state has read the text up to and with it, its backward state the text
        from the end down to and with it. texts: (token,) int64 each, 0 tokens allowed.
        """
        sizes = [len(text) for text in texts]
        device = self.forward_lm.bias.device
        found = [torch.zeros(0, 2 * self.config.width, device=device)] * len(texts)
        on_cpu = device.type == "cpu"
        filled = [i for i, size in enumerate(sizes) if size]
        shares = deal([sizes[i] for i in filled], available_threads() if on_cpu else 1)

        def run(share: list[int]) -> None:
            order = sorted((filled[i] for i in share), key=sizes.__getitem__)
            step = _GROUP if on_cpu else len(order)
            for start in range(0, len(order), step):
                group = order[start : start + step]
                for i, state in zip(group, self._group_states([texts[i] for i in group])):
                    found[i] = state

        run_shares(run, shares)
        return found

    @torch.no_grad()  # which each thread decides for itself
    def _group_states(self, texts: Sequence[Tensor]) -> list[Tensor]:
        ids, mirrored, lengths = _pad(texts)
        edge = ids.new_full((len(ids), 1), BOUNDARY)
        forward = self.forward_lm.states(torch.cat([edge, ids], dim=1))[:, 1:]
        backward = self.backward_lm.states(torch.cat([edge, mirrored], dim=1))[:, 1:]
        backward = mirror(backward, flip_index(lengths, ids.shape[1]))
        both = torch.cat([forward, backward], dim=2)
        return [states[:length].clone() for states, length in zip(both, lengths.tolist())]

    def set_dropout(self, rate: float) -> None:
        """Set the rate of the dropout before and after both networks."""
        self.forward_lm.dropout.p = self.backward_lm.dropout.p = rate


class NeighbourLoss(nn.Module):
    """How badly an encoder's states predict the words around each token (Rei 2017, sec. 4).

    Each half of a state has a tanh layer of its own (eq. 14) and a softmax over the words' classes
    (eq. 15).
    """

    def __init__(self, width: int, hidden: int, classes: int):
        super().__init__()
        self.next_word = _head(width // 2, hidden, classes)
        self.previous_word = _head(width // 2, hidden, classes)

    def forward(self, states: Tensor, after: Tensor, before: Tensor) -> Tensor:
        """-log p(next | forward half) - log p(previous | backward half), summed over tokens.

        states: (token, width); after, before: (token,) int64, classes of the neighbours.
        """
        forward, backward = states.chunk(2, dim=1)
        loss = F.cross_entropy(self.next_word(forward), after, reduction="sum")
        return loss + F.cross_entropy(self.previous_word(backward), before, reduction="sum")


def _head(width: int, hidden: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, classes))


def _pad(texts: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """ids and mirrored ids, (batch, time), with BOUNDARY behind, and lengths, (batch,)."""
    ids = nn.utils.rnn.pad_sequence(list(texts), batch_first=True, padding_value=BOUNDARY)
    lengths = torch.tensor([len(text) for text in texts], device=ids.device)
    return ids, ids.gather(1, flip_index(lengths, ids.shape[1])), lengths
