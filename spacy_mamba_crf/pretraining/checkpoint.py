"""The folder of a pretraining. Its state, while unfinished, is one file, replaced as a whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import Model, Optimizer

from ..files import read_tensors, write_bytes
from ..language_model_training.checkpoint import check_settings
from ..layers.parameters import load_optimizer_state, load_weights, optimizer_state, weights

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "tok2vec.safetensors"


def check_folder(folder: Path, resume: bool) -> None:
    """Raise ValueError for a finished training, and an unfinished one that is not to go on."""
    unfinished, finished = folder / CHECKPOINT, folder / WEIGHTS
    if unfinished.is_file() and not resume:
        raise ValueError(
            f"{unfinished} is of an unfinished training: go on with it (--resume), or remove it."
        )
    if finished.is_file() and not unfinished.is_file():
        raise ValueError(
            f"{finished} is of a finished training: remove it, or write to another folder."
        )


def save_checkpoint(
    folder: Path, model: Model, optimizer: Optimizer, step: int, asked: dict[str, Any]
) -> None:
    """Write weights and the optimizer's state after a step, and what was asked for."""
    from safetensors.numpy import save

    tensors = {f"weights/{name}": values for name, values in weights(model).items()}
    tensors |= {f"state/{name}": v for name, v in optimizer_state(model, optimizer).items()}
    facts = {"step": json.dumps(step), "asked": json.dumps(asked)}
    write_bytes(folder / CHECKPOINT, save(tensors, facts))


def load_checkpoint(folder: Path, model: Model, optimizer: Optimizer, asked: dict[str, Any]) -> int:
    """Put weights and the optimizer's state in place; returns the step, 0 without a checkpoint.

    Raises ValueError if the file is damaged, or if a setting is not that of the checkpoint.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return 0
    tensors, facts = read_tensors(path, "np", "; remove it and begin again.")
    parts: dict[str, dict[str, np.ndarray]] = {"weights": {}, "state": {}}
    for key, values in tensors.items():
        part, _, name = key.partition("/")
        parts[part][name] = values
    check_settings(path, json.loads(facts["asked"]), asked)
    load_weights(model, parts["weights"])
    load_optimizer_state(model, optimizer, parts["state"])
    return int(json.loads(facts["step"]))
