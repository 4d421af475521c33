"""The state of an unfinished pretraining in one file, which is replaced whole: no pickles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import Model, Optimizer

from ..files import read_tensors, write_bytes
from ..language_model_training.checkpoint import check_settings
from ..layers.parameters import load_optimizer_state, load_weights, optimizer_state, weights

CHECKPOINT = "checkpoint.safetensors"


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
