"""Each benchmark, tiny: its JSON, table, picture and page. What it finds is not judged."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PEERS = ["--peer", "mamba_crf_small", "--peer", "spacy_ner"]
COMMANDS = {
    "scan": [],
    "pipeline": ["--corpus", "sample", *PEERS],
    "stages": ["--corpus", "sample"],
    "length": ["--corpus", "sample", *PEERS[2:], "--peer", "mamba_crf"],
    "roofline": ["--corpus", "sample"],
    "train": ["--corpus", "sample", *PEERS[2:], "--peer", "mamba_crf"],
    "precision": [],
}
pytest.importorskip("matplotlib")
pytest.importorskip("mambapy")


def benchmark(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder with the results of every command."""
    root = tmp_path_factory.mktemp("results")
    for name, options in COMMANDS.items():
        run = benchmark(name, "--quick", "--threads", "1", "--root", str(root), *options)
        assert run.returncode == 0, f"{name}: {run.stdout}\n{run.stderr}"
    return root


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_writes_its_measurements_and_a_picture(results, name):
    data = json.loads((results / f"benchmarks/results/{name}.json").read_text(encoding="utf-8"))
    assert data["benchmark"] == name
    assert data["command"].startswith(f"python -m benchmarks {name}")
    assert data["machine"]["packages"]["torch"]
    assert data["rows"] or data["notes"]
    picture = (results / f"docs/images/benchmarks/{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 5000


def test_the_page_has_the_goals_and_a_section_for_every_command(results):
    run = benchmark("docs", "--root", str(results))
    assert run.returncode == 0, run.stderr
    page = (results / "docs/benchmarks.md").read_text(encoding="utf-8")
    assert "## Goals" in page
    for name in COMMANDS:
        assert f"images/benchmarks/{name}.png" in page


def test_the_page_without_results_is_an_error_that_names_the_folder(tmp_path):
    run = benchmark("docs", "--root", str(tmp_path))
    assert run.returncode == 1
    assert str(tmp_path) in "".join(run.stdout.split()) and "There are no results" in run.stdout
