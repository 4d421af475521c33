"""Write one training config from configs and what they extend."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.configs import merge_configs
from spacy_mamba_crf.files import write_text


def main(
    output: Annotated[Path, typer.Argument(help="Config to write", dir_okay=False)],
    configs: Annotated[list[Path], typer.Argument(help="Configs, later ones win", exists=True)],
) -> None:
    """Merge CONFIGS, and before each what its section [extends] names, into OUTPUT."""
    try:
        merged = merge_configs(configs)
    except (OSError, ValueError) as error:
        msg.fail("Cannot merge the configs", str(error), exits=1)
    write_text(output, merged.to_str(interpolate=False))
    msg.good(f"Wrote {output} from {', '.join(str(path) for path in configs)}")


if __name__ == "__main__":
    typer.run(main)
