"""Remove files and folders that a command of the project wrote."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg


def main(paths: Annotated[list[Path], typer.Argument(help="Files and folders")]) -> None:
    """Remove PATHS; those that do not exist are no error."""
    here = Path.cwd().resolve()
    for path in paths:
        if here not in path.resolve().parents:
            msg.fail(f"{path} is not inside the project, so it is not removed.", exits=1)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    typer.run(main)
