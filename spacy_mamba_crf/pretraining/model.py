"""A tok2vec with a head that predicts masked tokens, as one thinc model."""

from typing import Any, cast

import numpy as np
import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import ArgsKwargs, Model
from thinc.types import Floats2d, Ints1d
from thinc.util import torch2xp, xp2torch

from ..layers.torch_shim import TorchShim
from ..pytorch.bidirectional import NO_WEIGHT_DECAY
from ..pytorch.linear import Linear
from ..pytorch.masked_prediction import MaskedPrediction
from .masking import MaskedBatch

Tok2Vec = Model[list[Doc], list[Floats2d]]


class MaskedModel:
    """tok2vec: initialized; log_prior: (class,) float32, of the masked tokens; see `learn`."""

    def __init__(self, tok2vec: Tok2Vec, vocab: Vocab, hidden: int, log_prior: np.ndarray):
        head = MaskedPrediction(tok2vec.get_dim("nO"), hidden, torch.from_numpy(log_prior))
        self.tok2vec = tok2vec
        self.vocab = vocab
        self.head = TorchShim(head, NO_WEIGHT_DECAY)
        self.model: Model = Model("masked_tokens", _no_forward, layers=[tok2vec], shims=[self.head])

    def learn(self, batch: MaskedBatch, n_targets: int) -> float:
        """Add the gradient of the batch's loss over n_targets; returns the loss, summed (nats)."""
        docs = self._docs(batch)
        Ys, backprop_tok2vec = self.tok2vec.begin_update(docs)
        ops = self.tok2vec.ops
        states: Any = ops.xp.concatenate(Ys)
        places = ops.asarray1i(cast(Ints1d, batch.places))
        x = xp2torch(states[places], requires_grad=True, device=self.head.device)
        targets = torch.from_numpy(batch.targets).to(self.head.device)
        loss, backprop_head = self.head.begin_update(ArgsKwargs((x, targets), {}))
        scale = torch.tensor(1.0 / n_targets, device=self.head.device)
        gradient = backprop_head(ArgsKwargs(((loss,),), {"grad_tensors": scale}))
        d_states: Any = ops.alloc2f(*states.shape)
        d_states[places] = torch2xp(gradient.args[0])
        sizes = cast(Ints1d, ops.asarray1i([len(doc) for doc in docs]))
        backprop_tok2vec(ops.unflatten(d_states, sizes))
        return float(loss.detach())

    def loss(self, batch: MaskedBatch) -> float:
        """-log p of the batch's targets, summed (nats)."""
        states: Any = self.tok2vec.ops.xp.concatenate(self.tok2vec.predict(self._docs(batch)))
        x = xp2torch(
            states[self.tok2vec.ops.asarray1i(cast(Ints1d, batch.places))], device=self.head.device
        )
        targets = torch.from_numpy(batch.targets).to(self.head.device)
        return float(self.head.predict(ArgsKwargs((x, targets), {})))

    def _docs(self, batch: MaskedBatch) -> list[Doc]:
        return [Doc(self.vocab, words=words) for words in batch.words]


def set_bf16(model: Model, bf16: bool) -> None:
    """Whether to multiply in bfloat16 on a CPU in training, gradients included."""
    for node in model.walk():
        for shim in node.shims:
            module = getattr(shim, "_model", None)
            layers = module.modules() if isinstance(module, torch.nn.Module) else ()
            for layer in layers:
                if isinstance(layer, Linear):
                    layer.bf16_training = bf16


def _no_forward(model: Model, X: Any, is_train: bool) -> Any:
    raise NotImplementedError("MaskedModel.learn and MaskedModel.loss run the layers.")
