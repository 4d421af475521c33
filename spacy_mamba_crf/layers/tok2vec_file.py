"""The weights of a pretrained tok2vec in one safetensors file: float32, float16 or int8.

Matrices in int8 have a scale for each row; vectors stay float32, they are small. What the
tok2vec must look like is written beside, so that a file is never loaded into another.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from thinc.api import Model

from ..files import read_tensors, write_bytes
from .parameters import weights

PRECISIONS = ("float32", "float16", "int8")
_FORMAT = "spacy-mamba-crf tok2vec 1"
_SCALE = "scale/"
# Settings that change how a tok2vec is run or trained, not what its weights mean (fold_emoji: those
# of emoji alone, which raw text to learn from hardly has).
_FREE = {
    "fold_emoji",
    "ngram_dropout",
    "mask_rate",
    "cpu_precision",
    "mixed_precision",
    "block_size",
}


class Tok2VecFile(NamedTuple):
    """weights: float32 by name; settings: of the tok2vec, as in a config; facts: its making."""

    weights: dict[str, np.ndarray]
    settings: dict[str, Any]
    facts: dict[str, Any]


def write_tok2vec(
    path: Path, tok2vec: Model, settings: dict[str, Any], facts: dict[str, Any], precision: str
) -> None:
    """Write an initialized tok2vec. Raises ValueError for an unknown precision."""
    write_file(path, Tok2VecFile(weights(tok2vec), settings, facts), precision)


def write_file(path: Path, content: Tok2VecFile, precision: str) -> None:
    """Write weights in a precision, whole or not at all."""
    from safetensors.numpy import save

    if precision not in PRECISIONS:
        raise ValueError(
            f"precision = {precision!r} is unknown; choose one of {', '.join(PRECISIONS)}."
        )
    tensors: dict[str, np.ndarray] = {}
    for name, values in content.weights.items():
        tensors |= _packed(name, np.ascontiguousarray(values, dtype="float32"), precision)
    header = {"settings": content.settings, "facts": content.facts}
    metadata = {"format": _FORMAT} | {key: json.dumps(value) for key, value in header.items()}
    write_bytes(path, save(tensors, metadata))


def read_file(path: Path) -> Tok2VecFile:
    """Raises ValueError, naming the file, if it is missing, damaged or something else."""
    if not path.is_file():
        raise ValueError(f"There is no file {path} of a pretrained tok2vec; correct the path.")
    tensors, metadata = read_tensors(path, "np")
    if metadata.get("format") != _FORMAT:
        raise ValueError(
            f"{path} is no file of a pretrained tok2vec; make one with "
            "`python -m spacy mamba-pretrain`."
        )
    names = [name for name in tensors if not name.startswith(_SCALE)]
    unpacked = {name: _unpacked(tensors[name], tensors.get(_SCALE + name)) for name in names}
    return Tok2VecFile(unpacked, json.loads(metadata["settings"]), json.loads(metadata["facts"]))


def differences(theirs: Any, ours: Any, key: str) -> list[tuple[str, Any, Any]]:
    """(setting, theirs, ours) of each that differs; of two functions, only which they are."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        function = theirs.get("@architectures"), ours.get("@architectures")
        if function[0] != function[1]:
            return [(f"{key}.@architectures", *function)]
        names = [name for name in {**theirs, **ours} if name not in _FREE]
        return [
            difference
            for name in names
            for difference in differences(theirs.get(name), ours.get(name), f"{key}.{name}")
        ]
    return [] if theirs == ours else [(key, theirs, ours)]


def _packed(name: str, values: np.ndarray, precision: str) -> dict[str, np.ndarray]:
    if precision == "float32" or values.ndim < 2:
        return {name: values}
    if precision == "float16":
        return {name: values.astype("float16")}
    rows = values.reshape(len(values), -1)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scale = np.where(largest > 0, largest, 1) / np.float32(127)
    quantized = np.clip(np.rint(rows / scale), -127, 127).astype("int8")
    return {name: quantized.reshape(values.shape), _SCALE + name: scale[:, 0]}


def _unpacked(values: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    unpacked = values.astype("float32")
    if scale is None:
        return unpacked
    return unpacked * scale.reshape(-1, *[1] * (values.ndim - 1))
