"""Run the commands of docs/session.md, and write the page with what they print."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.files import write_text

_TEXT = "患者有高血壓病史，服用降血壓藥後出現頭暈與心悸。"
_HEAD = """# A session on the command line

What `python -m spacy` shows of `crf_ner`, on the ROCLING corpora. `python scripts/session.py` ran
these commands after

```bash
python -m spacy project run all . --vars.corpus rocling --vars.raw FOLDER
python -m spacy project run partial . --vars.corpus rocling --vars.raw FOLDER
python -m spacy project run all . --vars.corpus rocling --vars.raw FOLDER --vars.config cnn_crf
```

and wrote down what they printed. [crf_ner.md](crf_ner.md) explains the settings.
"""
# Heading, what to say first, and the command; MODEL, CORPUS and TERMS are replaced when it runs.
_STEPS = [
    (
        "Scores",
        "On the test part, by spaCy's own command:",
        "spacy evaluate MODEL CORPUS/test.spacy",
    ),
    (
        "Are the probabilities right?",
        "How often entities are right, by their probability. The expected calibration error (ECE) "
        "stands beside the one that perfect probabilities would have on as many spans.",
        "spacy crf reliability MODEL CORPUS/test.spacy",
    ),
    (
        "A threshold",
        "Which least probability gives the best F1 on the development part?",
        "spacy find-threshold MODEL CORPUS/dev.spacy ner threshold ents_f --n_trials 11",
    ),
    (
        "All likely spans",
        "Entities with their probabilities, and what else could be one:",
        f"spacy crf spans MODEL {_TEXT} --threshold 0.03",
    ),
    (
        "n best",
        "The most probable analyses of the whole text:",
        f"spacy crf n-best MODEL {_TEXT} -k 5",
    ),
    (
        "Constraints",
        "The same with a longest entity of three characters, a setting of the config:",
        f"spacy crf n-best MODEL {_TEXT} -k 2 --components.ner.max_entity_length 3",
    ),
    (
        "A lexicon",
        "With a lexicon of two lines, whose terms must be entities:",
        f"spacy crf n-best MODEL {_TEXT} -k 2 --lexicon TERMS --components.ner.lexicon_mode hard",
    ),
    (
        "Another encoder",
        "The same component over spaCy's own CNN, on the test part:",
        "spacy evaluate training/rocling/cnn_crf/model-best CORPUS/test.spacy",
    ),
]
_TERMS = "高血壓病史\tDISE\n降血壓藥\tDRUG\n"


def main(
    output: Annotated[Path, typer.Argument(help="Page to write")] = Path("docs/session.md"),
    model: Annotated[Path, typer.Option(help="Trained pipeline")] = Path(
        "training/rocling/mamba_crf/model-best"
    ),
    corpus: Annotated[Path, typer.Option(help="Converted corpus")] = Path("corpus/rocling"),
    partial: Annotated[Path, typer.Option(help="Table that `partial` wrote")] = Path(
        "reports/rocling/partial.md"
    ),
) -> None:
    """Run the session and write OUTPUT."""
    for path in (model, corpus / "test.spacy", partial):
        if not path.exists():
            msg.fail(
                f"There is no {path}; see the head of docs/session.md for what to run.", exits=1
            )
    parts = [_HEAD]
    with tempfile.TemporaryDirectory() as folder:
        terms = Path(folder) / "terms.tsv"
        terms.write_text(_TERMS, encoding="utf-8")
        places = {"MODEL": str(model), "CORPUS": str(corpus), "TERMS": str(terms)}
        for heading, text, command in _STEPS:
            parts.append(_step(heading, text, command, places))
    parts.append(
        "## Partial annotation\n\nHalf of the training part's entities were taken away, in three "
        "ways of saying so; strict scores on the test part:\n\n" + partial.read_text("utf-8")
    )
    write_text(output, "\n".join(parts))
    msg.good(f"Wrote {output}")


def _step(heading: str, text: str, command: str, places: dict[str, str]) -> str:
    """A section: what was typed and what was printed. Exits if the command fails."""
    msg.info(command)
    filled = shlex.split(command)
    for name, place in places.items():
        filled = [word.replace(name, place) for word in filled]
    done = subprocess.run(
        [sys.executable, "-m", *filled],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "ANSI_COLORS_DISABLED": "1", "NO_COLOR": "1"},
    )
    if done.returncode:
        msg.fail(f"The command failed: {command}", done.stdout + done.stderr, exits=1)
    shown = command.replace("MODEL", places["MODEL"]).replace("CORPUS", places["CORPUS"])
    shown = shown.replace("TERMS", "terms.tsv")
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    return "\n".join(
        [f"## {heading}\n", f"{text}\n", "```console", f"$ python -m {shown}", *lines, "```\n"]
    )


if __name__ == "__main__":
    typer.run(main)
