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
    merged = Config()
    for path in _in_order(paths, ()):
        try:
            merged = merged.merge(_read(path)[1])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} cannot be merged: {error}") from error
    return merged


def _in_order(paths: Sequence[str | Path], extending: tuple[Path, ...]) -> list[Path]:
    """The configs and all that they extend, each before what is merged over it."""
    order: list[Path] = []
    for path in map(Path, paths):
        if path in extending:
            raise ValueError(f"{path}: [{_SECTION}] leads back to this file.")
        bases = [path.parent / base for base in _read(path)[0]]
        for base in bases:
            if not base.is_file():
                raise FileNotFoundError(f"{path}: there is no config {base}, which it extends.")
        found = _in_order(bases, (*extending, path))
        order += [own for own in (*found, path) if own not in order]
    return order


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
