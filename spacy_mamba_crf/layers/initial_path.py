"""The check of a path in the config whose content is saved with the model."""

from collections.abc import Callable
from pathlib import Path


def check_path(
    path: str | None,
    key: str,
    is_there: Callable[[Path], bool],
    kind: str,
    content: str,
    remedy: str = "correct the path",
) -> Path:
    """The path, which `initialize` reads. Raises ValueError if it is null or not there.

    key: of the config; is_there: such as `Path.is_dir`; kind: "file" | "folder"; content: what is
    to be in it; remedy: what to do if there is nothing.
    """
    if path is None:
        raise ValueError(
            f"The config's {key} is null; set it to a {kind} {content}. It is read when the "
            "pipeline is initialized, and saved with the model."
        )
    if not is_there(Path(path)):
        raise ValueError(f"The config's {key} is {path}, which is no {kind}; {remedy}.")
    return Path(path)
