"""States of frozen language models as a layer, and the folder that the models are read from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import srsly
import torch
from spacy.strings import get_string_id
from spacy.tokens import Doc
from thinc.api import Model, deserialize_attr, serialize_attr
from thinc.types import Floats2d
from thinc.util import get_torch_default_device, partial, torch2xp

from ..files import write_bytes, write_text
from ..pytorch.language_model import (
    FIRST,
    UNKNOWN,
    BidirectionalLanguageModel,
    LanguageModelConfig,
)
from .initial_path import check_path

CONFIG, WEIGHTS, VOCABULARY = "config.json", "model.safetensors", "vocab.json"


class TrainedLM:
    """Language models of both directions, with their vocabulary.

    vocabulary: tokens by id, from FIRST on; attr: the token attribute that they are values of;
    facts: what else config.json says, such as perplexities.
    """

    def __init__(
        self,
        module: BidirectionalLanguageModel,
        vocabulary: Sequence[str],
        attr: str,
        facts: dict[str, Any],
    ):
        self.module = module.eval()
        self.vocabulary = list(vocabulary)
        self.attr = attr
        self.facts = facts

    @property
    def width(self) -> int:
        """Of a token's states, those of both directions."""
        return 2 * self.module.config.width

    def states(self, docs: list[Doc]) -> list[torch.Tensor]:
        """(token, width) a doc, see BidirectionalLanguageModel.states; on thinc's device."""
        device = get_torch_default_device()
        self.module.to(device)
        values = [doc.to_array(self.attr).reshape(-1).astype("uint64") for doc in docs]
        return self.module.states([torch.from_numpy(self.ids(v)).to(device) for v in values])

    def ids(self, values: np.ndarray) -> np.ndarray:
        """spaCy's numbers of strings, (token,) uint64 -> ids of the vocabulary, (token,) int64."""
        numbers, ids = self._lookup
        if not len(numbers):
            return np.full(len(values), UNKNOWN, dtype="int64")
        places = np.minimum(np.searchsorted(numbers, values), len(numbers) - 1)
        return np.where(numbers[places] == values, ids[places], UNKNOWN)

    @cached_property
    def _lookup(self) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.array([get_string_id(token) for token in self.vocabulary], dtype="uint64")
        order = np.argsort(numbers)
        return numbers[order], order + FIRST

    def to_folder(self, folder: str | Path) -> None:
        """Write config.json, vocab.json and model.safetensors; config.json, the last, is the sign
        that the folder is complete."""
        folder = Path(folder)
        (folder / CONFIG).unlink(missing_ok=True)
        write_bytes(folder / WEIGHTS, self._weights())
        write_text(folder / VOCABULARY, srsly.json_dumps(self.vocabulary, indent=0))
        write_text(folder / CONFIG, srsly.json_dumps(self._config(), indent=2) + "\n")

    @classmethod
    def from_folder(cls, folder: str | Path) -> "TrainedLM":
        """Read what `to_folder` wrote. Raises ValueError naming a file that is absent or broken."""
        folder = Path(folder)
        for name in (CONFIG, WEIGHTS, VOCABULARY):
            if not (folder / name).is_file():
                raise ValueError(
                    f"{folder / name} is missing; write the folder with scripts/train_lm.py."
                )
        try:
            config = srsly.read_json(folder / CONFIG)
            vocabulary = srsly.read_json(folder / VOCABULARY)
            return cls._build(config, vocabulary, (folder / WEIGHTS).read_bytes())
        except Exception as error:  # three formats, each with errors of its own
            raise ValueError(
                f"The language models of {folder} cannot be read: {error}. Train them again with "
                "scripts/train_lm.py."
            ) from error

    def to_bytes(self) -> bytes:
        """All of it, for a saved pipeline."""
        return srsly.msgpack_dumps((self._config(), self.vocabulary, self._weights()))

    @classmethod
    def from_bytes(cls, data: bytes) -> "TrainedLM":
        """What `to_bytes` gave."""
        return cls._build(*srsly.msgpack_loads(data))

    def _config(self) -> dict[str, Any]:
        return {"attr": self.attr, **self.module.config._asdict(), **self.facts}

    def _weights(self) -> bytes:
        from safetensors.torch import save

        return save({name: value.cpu() for name, value in self.module.state_dict().items()})

    @classmethod
    def _build(cls, config: dict[str, Any], vocabulary: list[str], weights: bytes) -> "TrainedLM":
        from safetensors.torch import load

        sizes = LanguageModelConfig(*(config.pop(name) for name in LanguageModelConfig._fields))
        if sizes.vocabulary_size != FIRST + len(vocabulary):
            raise ValueError(
                f"{VOCABULARY} has {len(vocabulary)} tokens, but {CONFIG} says vocabulary_size = "
                f"{sizes.vocabulary_size}, which is {FIRST} more than there should be tokens"
            )
        module = BidirectionalLanguageModel(sizes)
        module.load_state_dict(load(weights))
        return cls(module.requires_grad_(False), vocabulary, config.pop("attr"), config)


@dataclass
class StoredLM:
    """What a layer holds of the language models: nothing before `initialize`."""

    trained: TrainedLM | None = None


def LanguageModelStates(path: str | None) -> Model[list[Doc], list[Floats2d]]:
    """One (token, width) array a doc, the states of language models that are never updated.

    The folder `path` is read by `initialize` only; the models are saved with this layer.
    """
    return Model(
        "static_lm",
        _forward,
        init=partial(_init, path),
        dims={"nO": None},
        attrs={"language_model": StoredLM()},
    )


@serialize_attr.register(StoredLM)
def _serialize(_: Any, value: StoredLM, name: str, model: Model) -> bytes:
    return b"" if value.trained is None else value.trained.to_bytes()


@deserialize_attr.register(StoredLM)
def _deserialize(_: Any, value: bytes, name: str, model: Model) -> StoredLM:
    return StoredLM(TrainedLM.from_bytes(value) if value else None)


def _init(path: str | None, model: Model, X=None, Y=None) -> None:
    key = "`path` of spacy_mamba_crf.StaticLM.v1 (in this project, --paths.language_model)"
    content = "written by scripts/train_lm.py"
    remedy = "correct the path, or write the folder with scripts/train_lm.py"
    trained = TrainedLM.from_folder(check_path(path, key, Path.is_dir, "folder", content, remedy))
    model.attrs["language_model"] = StoredLM(trained)
    model.set_dim("nO", trained.width, force=True)


def _forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[list[Floats2d], Callable]:
    trained = cast(StoredLM, model.attrs["language_model"]).trained
    if trained is None:
        raise ValueError(
            "The language models of spacy_mamba_crf.StaticLM.v1 are read when the pipeline is "
            "initialized: call nlp.initialize first, or load a trained pipeline."
        )
    Ys = [cast(Floats2d, torch2xp(states)) for states in trained.states(docs)]
    return Ys, lambda dYs: []
