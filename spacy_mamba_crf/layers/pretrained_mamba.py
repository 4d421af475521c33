"""A pretrained Mamba language model as a thinc layer: docs in, one vector a token out."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model
from thinc.types import Floats2d, Ints1d
from thinc.util import get_torch_default_device, partial, torch2xp, xp2torch
from torch import Tensor, nn

from ..pytorch.bidirectional import NO_WEIGHT_DECAY
from ..pytorch.causal_lm import CausalMamba, Pool, Sizes
from ..pytorch.checkpoints import CONFIG_FILE, read_sizes, read_weights
from ..pytorch.threads import shares_only
from .subwords import Pairs, cut, read_tokenizer
from .torch_shim import TorchShim

InT = list[Doc]
OutT = list[Floats2d]

# A msgpack item, such as the bytes of thinc's models are made of, holds less than 4 GiB.
PART = 1 << 30


class PretrainedShim(TorchShim):
    """Holds a CausalMamba whose weights come from a checkpoint, or with its sizes from our bytes.

    Before either, its parameters are on the meta device; without a checkpoint, it has none.
    """

    def __init__(
        self, encoder: CausalMamba | None, block_size: int, trainable: bool, mixed_precision: bool
    ):
        empty = nn.Module()  # thinc moves what it is given to a device, where meta cannot go
        super().__init__(empty, (*NO_WEIGHT_DECAY, "norm_f"), mixed_precision)
        self._model = encoder or empty
        self.block_size = block_size
        self.trainable = trainable

    @property
    def has_weights(self) -> bool:
        """Whether the encoder can run."""
        parameter = next(self._model.parameters(), None)
        return parameter is not None and not parameter.is_meta

    def set_weights(self, sizes: Sizes, weights: dict[str, Tensor]) -> None:
        """Take the place of the encoder that is there, on the device that spaCy uses."""
        encoder = CausalMamba(sizes, self.block_size)
        encoder.load_state_dict(weights, assign=True)
        encoder.requires_grad_(self.trainable)
        self._model = encoder.to(get_torch_default_device())

    def to_bytes(self) -> Any:
        """A safetensors file with the sizes in its metadata, in parts that msgpack can take."""
        from safetensors.torch import save

        if not self.has_weights:
            return []
        weights = {name: value.contiguous() for name, value in self._model.state_dict().items()}
        data = save(weights, metadata={"sizes": json.dumps(asdict(self._model.sizes))})
        return [data[start : start + PART] for start in range(0, len(data), PART)]

    def from_bytes(self, bytes_data: Any) -> "PretrainedShim":
        """What `to_bytes` gave."""
        from safetensors.torch import load

        if bytes_data:
            data = b"".join(bytes_data)
            self.set_weights(_sizes_in(data), load(data))
        return self


def PretrainedMambaLayer(
    path: str | None,
    tokenizer: str | None,
    bidirectional: bool,
    pooling: str,
    shim: Callable[[CausalMamba | None], PretrainedShim],
) -> Model[InT, OutT]:
    """Each token's vector from the sub-words that overlap it, zeros if none does: (token, nO).

    nO is the checkpoint's width, twice that if bidirectional. `shim` makes the shim around the
    encoder. The checkpoint's config is read here if it is there; its weights and tokenizer
    are read by `initialize`, or by the first use of a model that was not loaded from bytes.
    """
    encoder = None
    if path is not None and (Path(path) / CONFIG_FILE).is_file():
        encoder = CausalMamba(read_sizes(path))
    width = None if encoder is None else encoder.sizes.d_model * (1 + bidirectional)
    return Model(
        "pretrained_mamba",
        partial(_forward, path, tokenizer),
        init=partial(_init, path, tokenizer),
        dims={"nO": width},
        attrs={
            "tokenizer_json": None,
            "bidirectional": bidirectional,
            "pooling": pooling,
            "dropout_rate": 0.0,
        },
        shims=[shim(encoder)],
    )


def _init(path: str | None, tokenizer: str | None, model: Model, X=None, Y=None) -> None:
    """Read the checkpoint anew; where the folder has gone, weights that were loaded stay."""
    shim = cast(PretrainedShim, model.shims[0])
    if not (shim.has_weights and (path is None or not Path(path).is_dir())):
        _read_checkpoint(path, tokenizer, model)


def _read_checkpoint(path: str | None, tokenizer: str | None, model: Model) -> None:
    if path is None or not Path(path).is_dir():
        state = "null" if path is None else f"{path}, which is no folder"
        raise ValueError(
            "spacy_mamba_crf.PretrainedMamba.v1 has no weights: the config's `path` (in this "
            f"project, --paths.mamba) is {state}. Set it to the folder of a checkpoint; only a "
            "trained pipeline that is loaded with its weights does without."
        )
    sizes = read_sizes(path)
    model.attrs["tokenizer_json"] = read_tokenizer(path, tokenizer, sizes.vocab_size)
    cast(PretrainedShim, model.shims[0]).set_weights(sizes, read_weights(path, sizes))
    model.set_dim("nO", sizes.d_model * (1 + model.attrs["bidirectional"]))


def _forward(
    path: str | None, tokenizer: str | None, model: Model, docs: InT, is_train: bool
) -> tuple[OutT, Callable]:
    shim = cast(PretrainedShim, model.shims[0])
    if not shim.has_weights:
        _read_checkpoint(path, tokenizer, model)
    lengths = model.ops.asarray1i([len(doc) for doc in docs])
    rate = (model.attrs["dropout_rate"] or 0.0) if is_train else 0.0
    Y, backprop_encoder = _encode(model, shim, docs, is_train and shim.trainable)
    mask = model.ops.get_dropout_mask(Y.shape, rate) if rate else None

    def backprop(dYs: OutT) -> InT:
        dY = model.ops.xp.concatenate([model.ops.alloc2f(0, model.get_dim("nO")), *dYs])
        backprop_encoder(dY if mask is None else dY * mask)
        return []

    return model.ops.unflatten(Y if mask is None else Y * mask, cast(Ints1d, lengths)), backprop


def _encode(
    model: Model, shim: PretrainedShim, docs: InT, is_train: bool
) -> tuple[Floats2d, Callable[[Any], None]]:
    """All tokens' vectors (token, nO), and what takes their gradient to the weights."""
    subwords = cut(docs, model.attrs["tokenizer_json"])
    tokens = len(subwords.first)
    if not len(subwords.covering):
        return model.ops.alloc2f(tokens, model.get_dim("nO")), lambda dY: None
    pooling, device = model.attrs["pooling"], shim.device
    pools = [_pool(subwords.pairs(pooling), device)]
    if model.attrs["bidirectional"]:
        pools.append(_pool(subwords.pairs(pooling, reverse=True), device))
    ids, lengths = (torch.from_numpy(part).to(device) for part in (subwords.ids, subwords.lengths))
    with shares_only():
        arguments = ArgsKwargs((ids, lengths, tuple(pools), tokens), {})
        Y, torch_backprop = shim(arguments, is_train)

    def backprop(dY: Any) -> None:
        if is_train:
            gradient = xp2torch(dY, device=device)
            with shares_only():
                torch_backprop(ArgsKwargs(((Y,),), {"grad_tensors": gradient}))

    return cast(Floats2d, torch2xp(Y)), backprop


def _pool(pairs: Pairs, device: torch.device) -> Pool:
    return Pool(*(torch.from_numpy(part).to(device) for part in pairs))


def _sizes_in(data: bytes) -> Sizes:
    """From a safetensors file's metadata: its header is JSON, behind its length in 8 bytes."""
    end = 8 + int.from_bytes(data[:8], "little")
    return Sizes(**json.loads(json.loads(data[8:end])["__metadata__"]["sizes"]))
