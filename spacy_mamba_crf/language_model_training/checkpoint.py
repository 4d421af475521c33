"""The state of an unfinished training in one file, which is replaced whole: no pickles."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ..files import read_tensors, write_bytes

CHECKPOINT = "checkpoint.safetensors"


class Progress(NamedTuple):
    """How far training is: buffers done in an epoch (from 0), and tokens seen in all."""

    epoch: int = 0
    buffers: int = 0
    tokens: int = 0


def save_checkpoint(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    settings: dict[str, Any],
) -> None:
    """Write weights and the optimizer's state, and what the training was asked to do."""
    from safetensors.torch import save

    tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    facts = {"progress": json.dumps(progress), "settings": json.dumps(settings)}
    tensors = {name: value.cpu().contiguous() for name, value in tensors.items()}
    write_bytes(folder / CHECKPOINT, save(tensors, facts))


def load_checkpoint(
    folder: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: dict[str, Any],
) -> Progress:
    """Put weights and the optimizer's state in place; nothing is changed without a checkpoint.

    Raises ValueError if the file is damaged, or if a setting is not that of the checkpoint.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return Progress()
    tensors, facts = read_tensors(path, "pt", "; remove it and train anew.")
    check_settings(path, json.loads(facts["settings"]), settings)
    parts: dict[str, dict[str, torch.Tensor]] = {"module": {}, "optimizer": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    module.load_state_dict(parts["module"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in parts["optimizer"].items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return Progress(*json.loads(facts["progress"]))


def check_settings(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise ValueError, naming the settings in which a checkpoint is not what is asked for."""
    changed = [
        f"{name} = {now.get(name)!r} (was {before.get(name)!r})"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if changed:
        raise ValueError(
            f"{path} is of a training with other settings: {', '.join(changed)}. Use the same "
            "ones, or remove it and train anew."
        )
