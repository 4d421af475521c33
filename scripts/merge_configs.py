"""Write one training config from a base and overlays."""

from pathlib import Path
from typing import Annotated

import typer
from thinc.api import Config
from wasabi import msg

from spacy_mamba_crf.files import write_text


def main(
    output: Annotated[Path, typer.Argument(help="Config to write", dir_okay=False)],
    configs: Annotated[list[Path], typer.Argument(help="Base, then overlays", exists=True)],
) -> None:
    """Merge CONFIGS, later ones winning, as thinc's Config.merge does, into OUTPUT."""
    merged = Config()
    for path in configs:
        try:
            merged = merged.merge(Config().from_disk(path, interpolate=False))
        except ValueError as error:
            msg.fail(f"Cannot merge {path}", str(error), exits=1)
    write_text(output, merged.to_str(interpolate=False))
    msg.good(f"Wrote {output} from {', '.join(str(path) for path in configs)}")


if __name__ == "__main__":
    typer.run(main)
