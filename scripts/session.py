"""Run the commands of docs/session.md, and write the page with what they print."""

import os
import re
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
python -m spacy project run all . --vars.corpus rocling --vars.raw FOLDER \\
    --vars.config mamba_crf
python -m spacy project run partial . --vars.corpus rocling --vars.raw FOLDER \\
    --vars.config mamba_crf
python -m spacy project run all . --vars.corpus rocling --vars.raw FOLDER --vars.config cnn_crf
```

and wrote down what they printed. [crf_ner.md](crf_ner.md) explains the settings.
"""
_MODEL = "training/rocling/mamba_crf/model-best"
_CORPUS = "corpus/rocling"
# Heading, what to say first, and the commands; OUT is a folder of the session's own.
_STEPS = [
    (
        "Scores",
        "On the test part, by spaCy's own command:",
        [f"spacy evaluate {_MODEL} {_CORPUS}/test.spacy"],
    ),
    (
        "Are the probabilities right?",
        "How often entities are right, by their probability. The expected calibration error (ECE)\n"
        "stands beside the one that perfect probabilities would have on as many spans.",
        [f"spacy crf reliability {_MODEL} {_CORPUS}/test.spacy"],
    ),
    (
        "A threshold",
        "Which least probability gives the best F1 on the development part?",
        [f"spacy find-threshold {_MODEL} {_CORPUS}/dev.spacy ner threshold ents_f --n_trials 11"],
    ),
    (
        "All likely spans",
        "Entities with their probabilities, and what else could be one:",
        [f"spacy crf spans {_MODEL} {_TEXT} --threshold 0.03"],
    ),
    (
        "n best",
        "The most probable analyses of the whole text:",
        [f"spacy crf n-best {_MODEL} {_TEXT} -k 5"],
    ),
    (
        "Constraints",
        "The same with a longest entity of three characters, a setting of the config:",
        [f"spacy crf n-best {_MODEL} {_TEXT} -k 2 --components.ner.max_entity_length 3"],
    ),
    (
        "A lexicon",
        "With [two terms](session/terms.tsv) that must be entities:",
        [
            f"spacy crf n-best {_MODEL} {_TEXT} -k 2 --lexicon docs/session/terms.tsv"
            " --components.ner.lexicon_mode hard"
        ],
    ),
    (
        "Learning on",
        "The trained component learns a new label from [four texts](session/doses.iob), by a\n"
        "[config](session/learn.cfg) with `source` and `spacy_mamba_crf.add_labels.v1`:",
        [
            "spacy convert docs/session/doses.iob OUT --converter ner --lang zh",
            "spacy init fill-config docs/session/learn.cfg OUT/learn.cfg",
            "spacy train OUT/learn.cfg --paths.train OUT/doses.spacy --paths.dev OUT/doses.spacy"
            " --output OUT/learned",
            "spacy crf spans OUT/learned/model-last 高血壓患者每日服用200毫克 --threshold 0.3",
        ],
    ),
    (
        "Another encoder",
        "The same component over spaCy's own CNN, on the test part:",
        [f"spacy evaluate training/rocling/cnn_crf/model-best {_CORPUS}/test.spacy"],
    ),
]
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main(
    output: Annotated[Path, typer.Argument(help="Page to write")] = Path("docs/session.md"),
    partial: Annotated[Path, typer.Option(help="Table that `partial` wrote")] = Path(
        "reports/rocling/partial.md"
    ),
) -> None:
    """Run the session in the project's folder, and write OUTPUT."""
    for path in (Path(_MODEL), Path(_CORPUS), partial):
        if not path.exists():
            msg.fail(f"There is no {path}; docs/session.md says what to run before.", exits=1)
    with tempfile.TemporaryDirectory() as folder:
        sections = [_section(*step, folder) for step in _STEPS]
    table = partial.read_text(encoding="utf-8")
    sections.append(
        "## Partial annotation\n\nHalf of the training part's entities were taken away, in three\n"
        f"ways of saying so; strict scores on the test part:\n\n{table}"
    )
    write_text(output, "\n".join([_HEAD, *sections]))
    msg.good(f"Wrote {output}")


def _section(heading: str, text: str, commands: list[str], folder: str) -> str:
    shown = "\n\n".join(_run(command, folder) for command in commands)
    return f"## {heading}\n\n{text}\n\n```console\n{shown}\n```\n"


def _run(command: str, folder: str) -> str:
    """What was typed and what was printed. Exits if the command fails."""
    msg.info(command)
    done = subprocess.run(
        [sys.executable, "-m", *(word.replace("OUT", folder) for word in shlex.split(command))],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    if done.returncode:
        msg.fail(f"The command failed: {command}", done.stdout + done.stderr, exits=1)
    printed = _COLOURS.sub("", done.stdout).replace(folder, "OUT").strip()
    lines = [line.rstrip() for line in printed.splitlines()]
    return "\n".join([f"$ python -m {command}", *lines])


if __name__ == "__main__":
    typer.run(main)
