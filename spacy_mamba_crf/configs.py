"""Configs put together from a base and overlays, as thinc's `Config.merge` does.

A config may say what it is merged over, files beside it, in a section of its own:

    [extends]
    configs = ["mamba_crf.cfg"]
"""

from collections.abc import Sequence
from pathlib import Path

from thinc.api import Config

_SECTION = "extends"


def merge_configs(paths: Sequence[str | Path]) -> Config:
    """Merge configs, later ones winning; variables such as ${paths.train} stay as they are.

    A section whose registered function another config exchanges is replaced as a whole. What a
    config extends comes before it, once. Raises ValueError naming the file that cannot be read or
    merged, FileNotFoundError for one that is not there.
    """
    found: dict[Path, Config] = {}
    for path in map(Path, paths):
        _collect(path, (), found)
    merged = Config()
    for path, config in found.items():
        try:
            merged = merged.merge(config)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} cannot be merged: {error}") from error
    return merged


def _collect(path: Path, extending: tuple[Path, ...], found: dict[Path, Config]) -> None:
    """Add what a config extends, and then the config, to those found, each once."""
    if path in extending:
        raise ValueError(f"{path}: [{_SECTION}] leads back to this file.")
    if path in found:
        return
    bases, config = _read(path)
    for base in (path.parent / name for name in bases):
        if not base.is_file():
            raise FileNotFoundError(f"{path}: there is no config {base}, which it extends.")
        _collect(base, (*extending, path), found)
    found[path] = config


def _read(path: Path) -> tuple[list[str], Config]:
    """What a config extends, and the rest of it."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no config {path}.")
    try:
        config = Config().from_disk(path, interpolate=False)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    section = config.pop(_SECTION, {"configs": []})
    bases = section.get("configs")
    if set(section) != {"configs"} or not _is_list_of_strings(bases):
        raise ValueError(f"{path}: [{_SECTION}] must have one setting, configs, a list of files.")
    return bases, config


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
