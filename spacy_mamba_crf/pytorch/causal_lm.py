"""The body of a pretrained Mamba language model: embedding, causal stack, and the pooling of its
states to tokens. How its sizes and weights are read is in `checkpoints`."""

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .linear import ROWS
from .mamba import Mamba
from .mamba2 import Mamba2
from .mixer import Mixer, MixerState
from .padding import pad
from .scan import runs_ragged
from .shares import encode_in_shares
from .texts import Texts


@dataclass(frozen=True)
class Sizes:
    """What a checkpoint's config says of the model's shape, in the names of mamba-ssm.

    version: 1 (Gu & Dao 2023) or 2 (Dao & Gu 2024); vocab_size: rows of the embedding, padding
    included; dt_rank is Mamba-1's, headdim is Mamba-2's; eps: of every norm.
    """

    version: int
    d_model: int
    n_layer: int
    vocab_size: int
    d_state: int
    d_conv: int
    expand: int
    dt_rank: int | None = None
    headdim: int = 64
    bias: bool = False
    conv_bias: bool = True
    eps: float = 1e-5

    def make_mixer(self) -> Mixer:
        """The mixer of one layer."""
        if self.version == 1:
            return Mamba(
                self.d_model,
                d_state=self.d_state,
                d_conv=self.d_conv,
                expand=self.expand,
                dt_rank=self.dt_rank,
                bias=self.bias,
                conv_bias=self.conv_bias,
            )
        mixer = Mamba2(
            self.d_model,
            d_state=self.d_state,
            d_conv=self.d_conv,
            expand=self.expand,
            headdim=self.headdim,
            bias=self.bias,
            conv_bias=self.conv_bias,
        )
        mixer.norm.eps = self.eps
        return mixer


class Pool(NamedTuple):
    """How states of sub-words are summed to vectors of tokens; one row a pair of the two.

    subwords, tokens: (pair,) int64; weights: (pair,) float32. A token without a pair gets zeros.
    """

    subwords: Tensor
    tokens: Tensor
    weights: Tensor


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang & Sennrich 2019)."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class CausalLayer(nn.Module):
    """x + mixer(norm(x)), named as mamba-ssm's `Block`."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.norm = RMSNorm(sizes.d_model, sizes.eps)
        self.mixer = sizes.make_mixer()


class CausalMamba(nn.Module):
    """Sub-words in, vectors of tokens out; parameters named as in mamba-ssm's `backbone`.

    They stand on the meta device, without memory, until weights are assigned. `block_size`: without
    gradients, longer texts run block by block with carried state, and shorter ones in groups of
    about as many sub-words.
    """

    def __init__(self, sizes: Sizes, block_size: int = 1024):
        super().__init__()
        self.sizes = sizes
        self.block_size = block_size
        self.embedding = nn.Embedding(sizes.vocab_size, sizes.d_model, device="meta")
        # A mixer draws its first weights, which cannot be done on the meta device: one is enough.
        layer = CausalLayer(sizes).to("meta")
        self.layers = nn.ModuleList(copy.deepcopy(layer) for _ in range(sizes.n_layer))
        self.norm_f = RMSNorm(sizes.d_model, sizes.eps).to("meta")
        self.runs_ragged = layer.mixer.runs_ragged

    def forward(self, ids: Tensor, lengths: Tensor, pools: tuple[Pool, ...], tokens: int) -> Tensor:
        """ids: (subword,), the texts side by side; lengths: (text,), 0 allowed.

        pools: how the states that read forwards are summed to the `tokens` tokens, and, if there is
        a second one, those of the same weights reading each text backwards. Returns
        (token, pool * d_model). A text's result does not depend on what else is in the batch.
        """
        x = self.embedding(ids)
        states = encode_in_shares(self._encode, x, lengths.tolist(), self)
        y = _pooled(states, pools[0], tokens)
        if len(pools) == 1:
            return y
        mirrored = mirror_index(lengths)
        states = encode_in_shares(self._encode, x[mirrored], lengths.tolist(), self)
        return torch.cat([y, _pooled(states[mirrored], pools[1], tokens)], dim=-1)

    def _encode(self, x: Tensor, lengths: list[int]) -> Tensor:
        """Embedded sub-words (subword, d_model) -> their causal states, (subword, d_model)."""
        if torch.is_grad_enabled():
            return self._encode_together(x, lengths)
        y = torch.empty_like(x)
        start = 0
        for portion in self._portions(lengths):
            part = slice(start, start + sum(portion))
            start = part.stop
            if max(portion) > self.block_size:
                self._encode_long(x[part], y[part])
            elif sum(portion):
                y[part] = self._encode_together(x[part], portion)
        return y

    def _portions(self, lengths: list[int]) -> Iterator[list[int]]:
        """Neighbouring texts that begin in the same block; longer ones alone."""
        starts = itertools.accumulate(lengths, initial=0)
        blocks = [
            (start // self.block_size, n > self.block_size) for start, n in zip(starts, lengths)
        ]
        pairs = itertools.groupby(zip(blocks, lengths), key=lambda pair: pair[0])
        return ([length for _, length in group] for _, group in pairs)

    def _encode_together(self, x: Tensor, lengths: list[int]) -> Tensor:
        if not (self.runs_ragged and runs_ragged(x)):
            padded, index = pad(x, torch.tensor(lengths, device=x.device))
            for layer in self._layers():  # causal, so that padding on the right is never read
                padded = padded + layer.mixer(layer.norm(padded))
            return self.norm_f(padded.flatten(0, 1)[index])
        count = len(x)
        texts = Texts.of_lengths(lengths)
        x = F.pad(x, (0, 0, 0, -count % ROWS))
        for layer in self._layers():
            x = x + layer.mixer.forward_texts(layer.norm(x), texts)
        return self.norm_f(x[:count])

    def _encode_long(self, x: Tensor, y: Tensor) -> None:
        """One text (subword, d_model), through all layers block by block, written to y."""
        states: list[MixerState | None] = [None] * len(self.layers)
        for start in range(0, len(x), self.block_size):
            block = slice(start, start + self.block_size)
            hidden = x[None, block]
            for i, layer in enumerate(self._layers()):
                change, states[i] = layer.mixer.forward_block(layer.norm(hidden), states[i])
                hidden = hidden + change
            y[block] = self.norm_f(hidden[0])

    def _layers(self) -> Iterator[CausalLayer]:
        return (cast(CausalLayer, layer) for layer in self.layers)


def mirror_index(lengths: Tensor) -> Tensor:
    """(subword,): the mirror image of each place within its own text; its own inverse."""
    ends = lengths.cumsum(0)
    first_and_last = (2 * ends - lengths - 1).repeat_interleave(lengths)
    return first_and_last - torch.arange(len(first_and_last), device=lengths.device)


def _pooled(states: Tensor, pool: Pool, tokens: int) -> Tensor:
    """(subword, d_model) -> (token, d_model)"""
    parts = states[pool.subwords] * pool.weights[:, None]
    return parts.new_zeros(tokens, states.shape[1]).index_add(0, pool.tokens, parts)
