"""Write one training config from configs and what they extend."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.comparison.plan import set_budget
from spacy_mamba_crf.configs import merge_configs
from spacy_mamba_crf.files import write_text


def main(
    output: Annotated[Path, typer.Argument(help="Config to write", dir_okay=False)],
    configs: Annotated[list[Path], typer.Argument(help="Configs, later ones win", exists=True)],
    longer: Annotated[
        float, typer.Option(help="Times as many steps, of the learning rate's schedule, too")
    ] = 1.0,
) -> None:
    """Merge CONFIGS, and before each what its section [extends] names, into OUTPUT."""
    try:
        merged = merge_configs(configs)
        if longer != 1.0:
            steps = merged.get("training", {}).get("max_steps")
            if not steps or round(steps * longer) < 1:
                raise ValueError(f"longer = {longer} of max_steps = {steps} is no number of steps.")
            set_budget(merged, round(steps * longer))
    except (OSError, ValueError) as error:
        msg.fail("Cannot merge the configs", str(error), exits=1)
    write_text(output, merged.to_str(interpolate=False))
    msg.good(f"Wrote {output} from {', '.join(str(path) for path in configs)}")


if __name__ == "__main__":
    typer.run(main)
