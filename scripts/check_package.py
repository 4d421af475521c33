"""Check that an installed pipeline finds the same entities as the folder it was packaged from."""

import json
import subprocess
from pathlib import Path
from typing import Annotated

import spacy
import typer
from wasabi import msg

TEXTS = (
    "患者出現發燒與咳嗽，醫師建議服用普拿疼並安排胸部X光檢查。",
    "糖尿病患者應定期檢測血糖，並避免攝取過多的糖分。",
    "",
    "請問懷孕初期可以吃維他命B群嗎？",
)
_FIND = "import sys, json; from check_package import find; print(json.dumps(find(sys.argv[1])))"


def find(name: str) -> list[list[tuple[int, int, str, float]]]:
    """(start, end, label, probability) of each entity in TEXTS."""
    nlp = spacy.load(name)
    found = []
    for doc in nlp.pipe(TEXTS):
        ents = [(e.start, e.end, e.label_, round(e._.prob, 4)) for e in doc.ents]
        found.append(ents)
    return found


def main(
    package: Annotated[str, typer.Argument(help="Name of the installed pipeline")],
    folder: Annotated[Path, typer.Argument(help="The pipeline it was made from", exists=True)],
    against: Annotated[
        str, typer.Option(help="Python of the environment that loads the folder")
    ] = "python",
) -> None:
    """Compare PACKAGE, loaded here, with FOLDER, loaded by another environment's Python."""
    ours = json.loads(json.dumps(find(package)))
    here = str(Path(__file__).parent)
    command = [against, "-c", _FIND, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": here})
    if done.returncode:
        msg.fail(f"{against} could not load {folder}", done.stderr, exits=1)
    theirs = json.loads(done.stdout)
    if ours != theirs:
        msg.fail(f"{package} and {folder} disagree", f"{ours}\n{theirs}", exits=1)
    total = sum(map(len, ours))
    if not total:
        msg.fail(f"{package} finds no entity in any of the test sentences.", exits=1)
    msg.good(f"{package} finds the same {total} entities as {folder}")


if __name__ == "__main__":
    typer.run(main)
