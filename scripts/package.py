"""Package a trained pipeline as a wheel whose model card says how it was trained and measured."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import srsly
import typer
from spacy.cli.package import package
from wasabi import msg

from spacy_mamba_crf.evaluation.model_card import describe


def main(
    model: Annotated[Path, typer.Argument(help="Trained pipeline", exists=True, file_okay=False)],
    metrics: Annotated[Path, typer.Argument(help="metrics.json of its report", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder for the wheel", file_okay=False)],
    name: Annotated[str, typer.Option(help="Package name without the language")] = "mamba_med",
    version: Annotated[str, typer.Option(help="Version of the package")] = "0.1.0",
    corpus: Annotated[str, typer.Option(help="Corpus it was trained on")] = "sample",
    licence: Annotated[str, typer.Option(help="Licence of the pipeline")] = "",
) -> None:
    """Write the wheel of MODEL to OUTPUT."""
    output.mkdir(parents=True, exist_ok=True)
    meta = srsly.read_json(model / "meta.json")
    meta = describe(meta, srsly.read_json(metrics), corpus, licence)
    with tempfile.TemporaryDirectory() as folder:
        meta_path = Path(folder) / "meta.json"
        srsly.write_json(meta_path, meta)
        package(
            model,
            Path(folder),
            meta_path=meta_path,
            name=name,
            version=version,
            create_sdist=False,
            force=True,
            silent=False,
        )
        source = next(path for path in Path(folder).iterdir() if path.is_dir())
        # Without isolation the build needs no network.
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--wheel-dir", str(output), str(source)], check=True)
    wheel = f"{meta['lang']}_{name}-{version}-py3-none-any.whl"
    msg.good(f"Wrote {output / wheel}")


if __name__ == "__main__":
    typer.run(main)
