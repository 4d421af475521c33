"""Published Mamba checkpoints, in the formats of state-spaces (mamba-ssm) and of Hugging Face
(`-hf`): what their config.json means, and their weights under mamba-ssm's names."""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .causal_lm import CausalMamba, Sizes

CONFIG_FILE = "config.json"
# Looked for in this order.
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
# Settings that change nothing here: how a model is initialised, trained, or run fast.
_NEUTRAL = frozenset(
    "A_init_range activation chunk_size dt_init dt_init_floor dt_max dt_min dt_scale "
    "layer_idx sequence_parallel use_fast_path use_mem_eff_path conv_init".split()
)
_USED = frozenset("layer d_state d_conv expand dt_rank headdim bias conv_bias".split())
# Settings of Mamba-2 for which one value is supported.
_FIXED = {
    "ngroups": (1,),
    "d_ssm": (None,),
    "D_has_hdim": (False,),
    "rmsnorm": (True,),
    "norm_before_gate": (False,),
}


def sizes_of(config: dict[str, Any], source: str = CONFIG_FILE) -> Sizes:
    """The sizes that the content of a config.json describes; `source` names it in errors.

    Raises ValueError if it is not a Mamba model's, or of a kind that is not supported.
    """
    try:
        if "model_type" in config:
            return _hf_sizes(config, source)
        if "d_model" in config and "n_layer" in config:
            return _state_spaces_sizes(config, source)
    except KeyError as error:
        raise ValueError(f"{source} has no {error.args[0]!r}, which its format needs.") from error
    raise ValueError(
        f"{source} is of no Mamba checkpoint: it has neither `model_type` (Hugging Face) nor "
        "`d_model` and `n_layer` (state-spaces)."
    )


def read_sizes(folder: str | Path) -> Sizes:
    """The sizes in a checkpoint folder's config.json.

    Raises ValueError if it is missing, is not JSON, or describes what is not supported.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"The checkpoint folder {folder} has no {CONFIG_FILE}.")
    config = _read_json(path)
    return sizes_of(config, str(path))


def read_weights(folder: str | Path, sizes: Sizes) -> dict[str, Tensor]:
    """A checkpoint folder's weights, float32, under the names of CausalMamba's parameters.

    Raises ValueError, naming file and tensor, if a file cannot be read, or if weights are missing,
    not known, or not of the shape that the sizes give.
    """
    source, tensors = _read_tensors(Path(folder))
    names = {_parameter_name(name): name for name in tensors}
    # The head predicts the next sub-word, which no encoder wants.
    found = {name: old for name, old in names.items() if not name.startswith("lm_head.")}
    expected = {name: tuple(p.shape) for name, p in CausalMamba(sizes).named_parameters()}
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise ValueError(
            f"{source} lacks {len(missing)} of the {len(expected)} weights that {CONFIG_FILE} "
            f"asks for, first `{missing[0]}`."
        )
    unknown = sorted(found[name] for name in found.keys() - expected.keys())
    if unknown:
        raise ValueError(
            f"{source} has {len(unknown)} weights that {CONFIG_FILE} does not describe, first "
            f"`{unknown[0]}`; this kind of model is not supported, or the files do not belong "
            "together."
        )
    for name, shape in expected.items():
        if tuple(tensors[found[name]].shape) != shape:
            raise ValueError(
                f"`{found[name]}` in {source} has shape {tuple(tensors[found[name]].shape)}, but "
                f"{CONFIG_FILE} asks for {shape}."
            )
    return {name: tensors.pop(old).float().contiguous() for name, old in found.items()}


def _state_spaces_sizes(config: dict[str, Any], source: str) -> Sizes:
    ssm = dict(config.get("ssm_cfg") or {})
    layer = ssm.get("layer", "Mamba1")
    if layer not in ("Mamba1", "Mamba2"):
        raise _unsupported(source, "ssm_cfg.layer", layer, "Mamba1 and Mamba2 are")
    if config.get("attn_layer_idx"):
        message = "hybrids with attention layers are not read"
        raise _unsupported(source, "attn_layer_idx", config["attn_layer_idx"], message)
    if config.get("d_intermediate"):
        message = "layers with an MLP are not read"
        raise _unsupported(source, "d_intermediate", config["d_intermediate"], message)
    if not config.get("rms_norm", True):
        raise _unsupported(source, "rms_norm", False, "only RMSNorm is")
    for name, supported in _FIXED.items():
        if ssm.get(name, supported[0]) not in supported:
            raise _unsupported(source, f"ssm_cfg.{name}", ssm[name], f"only {supported[0]} is")
    _check_step_limit(ssm.get("dt_limit"), source, "ssm_cfg.dt_limit")
    for name in ssm.keys() - _USED - _NEUTRAL - _FIXED.keys() - {"dt_limit"}:
        raise _unsupported(source, f"ssm_cfg.{name}", ssm[name], "its meaning is not known")
    multiple = config.get("pad_vocab_size_multiple", 8)
    version = 1 if layer == "Mamba1" else 2
    return Sizes(
        version=version,
        d_model=config["d_model"],
        n_layer=config["n_layer"],
        vocab_size=-(-config["vocab_size"] // multiple) * multiple,
        d_state=ssm.get("d_state", 16 if version == 1 else 128),
        d_conv=ssm.get("d_conv", 4),
        expand=_whole(ssm.get("expand", 2), source, "ssm_cfg.expand"),
        dt_rank=_rank(ssm.get("dt_rank", "auto")),
        headdim=ssm.get("headdim", 64),
        bias=ssm.get("bias", False),
        conv_bias=ssm.get("conv_bias", True),
    )


def _hf_sizes(config: dict[str, Any], source: str) -> Sizes:
    kind = config["model_type"]
    if kind not in ("mamba", "mamba2"):
        raise _unsupported(source, "model_type", kind, "mamba and mamba2 are")
    if config.get("hidden_act", "silu") not in ("silu", "swish"):
        raise _unsupported(source, "hidden_act", config["hidden_act"], "only silu is")
    version = 1 if kind == "mamba" else 2
    expand = _whole(config.get("expand", 2), source, "expand")
    if version == 2:
        if config.get("n_groups", 8) != 1:
            raise _unsupported(source, "n_groups", config.get("n_groups", 8), "only 1 is")
        _check_step_limit(config.get("time_step_limit"), source, "time_step_limit")
        heads = config.get("num_heads", 128) * config.get("head_dim", 64)
        if heads != expand * config["hidden_size"]:
            raise ValueError(
                f"{source}: num_heads x head_dim = {heads} is not expand x hidden_size = "
                f"{expand * config['hidden_size']}."
            )
    return Sizes(
        version=version,
        d_model=config["hidden_size"],
        n_layer=config["num_hidden_layers"],
        vocab_size=config["vocab_size"],
        d_state=config.get("state_size", 16 if version == 1 else 128),
        d_conv=config.get("conv_kernel", 4),
        expand=expand,
        dt_rank=_rank(config.get("time_step_rank", "auto")),
        headdim=config.get("head_dim", 64),
        bias=config.get("use_bias", False),
        conv_bias=config.get("use_conv_bias", True),
        eps=config.get("layer_norm_epsilon", 1e-5),
    )


def _rank(value: int | str) -> int | None:
    return None if value == "auto" else int(value)


def _whole(value: float, source: str, key: str) -> int:
    if value != int(value):
        raise _unsupported(source, key, value, "only whole numbers are")
    return int(value)


def _check_step_limit(limit: Any, source: str, key: str) -> None:
    """dt may not be clamped: (0, infinity) is the default of both formats."""
    if limit is not None and [float(edge) for edge in limit] != [0.0, float("inf")]:
        raise _unsupported(source, key, limit, "only 0 to infinity is")


def _unsupported(source: str, key: str, value: Any, supported: str) -> ValueError:
    return ValueError(f"{source}: {key} = {value!r} is not supported; {supported}.")


def _parameter_name(name: str) -> str:
    """A checkpoint's name of a tensor -> ours: without `backbone.`; Hugging Face has a plural."""
    name = name.removeprefix("backbone.")
    return "embedding.weight" if name == "embeddings.weight" else name


def _read_tensors(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """All tensors of a checkpoint, and the file that holds or lists them."""
    source = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if source is None:
        raise ValueError(
            f"The checkpoint folder {folder} has no weights: none of {', '.join(WEIGHT_FILES)}."
        )
    if source.suffix != ".json":
        return source, _read_file(source)
    index = _read_json(source)
    if not isinstance(index.get("weight_map"), dict):
        raise ValueError(f"{source} is no index of weights: it has no `weight_map`.")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(index["weight_map"].values())):
        if not (folder / name).is_file():
            raise ValueError(f"{source} lists {name}, which is not in the folder.")
        tensors |= _read_file(folder / name)
    return source, tensors


def _read_file(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError

    read = _read_safetensors if path.suffix == ".safetensors" else _read_pickle
    try:
        tensors = read(path)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"The weights in {path} cannot be read: {error}") from error
    if not (isinstance(tensors, dict) and all(map(torch.is_tensor, tensors.values()))):
        raise ValueError(f"{path} holds something else than tensors by their names.")
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _read_pickle(path: Path) -> dict[str, Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno} is not JSON: {error.msg}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object.")
    return content
