"""The commands of `benchmarks/`, at sizes of seconds: results, pictures and page are made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.goals import goals
from benchmarks.length import exponent
from benchmarks.peers import config_of, parameters_of, recurrent_settings
from benchmarks.results import NAMES
from benchmarks.timing import in_turn, paired_ratio, percentile
from benchmarks.workers import Worker, WorkerError
from spacy_mamba_crf.architectures import MambaEncoder, RecurrentEncoder

REPOSITORY = Path(__file__).parents[1]
PEERS = ("mamba_crf", "spacy_ner")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `all --quick` of two peers has written."""
    folder = tmp_path_factory.mktemp("benchmarks")
    done = run("all", "--quick", *(f"--peer={peer}" for peer in PEERS), root=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(*arguments: str, root: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    command += [] if "--help" in arguments else ["--root", str(root)]
    environment = {**os.environ, "SPACY_MAMBA_CRF_BENCHMARKS": str(root / "cache")}
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def result(root: Path, name: str) -> dict:
    path = root / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_each_command_writes_its_figures_with_machine_and_command(root, name):
    data = result(root, name)
    assert data["rows"] or data["notes"]
    assert data["command"].startswith(f"python -m benchmarks {name} --quick")
    assert data["machine"]["packages"]["torch"]
    assert data["machine"]["cpu"]
    assert str(root) not in json.dumps(data)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_draws_a_picture(root, name):
    image = root / "docs" / "images" / "benchmarks" / f"{name}.png"
    assert image.read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_every_goal_and_every_picture(root):
    page = (root / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"(images/benchmarks/{name}.png)" in page
    for goal in goals({name: result(root, name) for name in NAMES}):
        assert goal.figure in page


def test_results_that_are_there_are_kept_if_asked(root):
    before = result(root, "scan")["machine"]["date"]
    done = run("scan", "--quick", "--keep", root=root)
    assert "Keeping" in done.stdout
    assert result(root, "scan")["machine"]["date"] == before


def test_the_page_needs_results(tmp_path):
    done = run("docs", root=tmp_path)
    assert done.returncode == 1
    assert "There are no results" in done.stdout


@pytest.mark.parametrize("name", [*NAMES, "docs", "all"])
def test_each_command_explains_itself(name, tmp_path):
    assert "--quick" in run(name, "--help", root=tmp_path).stdout


def test_the_errors_of_all_kernels_are_measured(root):
    errors = result(root, "scan")["summary"]["errors"]
    assert {name.split()[0] for name in errors} == {"selective_scan", "ssd_scan", "causal_conv"}


def test_both_peers_are_compared_on_the_same_texts(root):
    rows = result(root, "pipeline")["rows"]
    assert {row["peer"] for row in rows} == set(PEERS)
    (ratio,) = result(root, "pipeline")["summary"]["ratios"]
    assert (ratio["of"], ratio["over"], ratio["cores"]) == ("mamba_crf", "spacy_ner", 1)


def test_the_recurrent_peer_has_as_many_parameters_within_three_percent():
    settings = recurrent_settings(config_of("mamba_crf", "cpu"))
    settings.pop("@architectures")
    ours = parameters_of(MambaEncoder(256, 2, input_width=128))
    assert abs(parameters_of(RecurrentEncoder(**settings)) / ours - 1) <= 0.03


def test_runs_take_turns():
    order: list[str] = []
    in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b", "a", "b"]


def test_a_ratio_is_the_median_of_the_ratios_within_rounds():
    assert paired_ratio([2.0, 30.0, 4.0], [1.0, 10.0, 4.0]) == 2.0


def test_a_percentile_lies_between_its_neighbours():
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([0.0, 10.0], 0.95) == pytest.approx(9.5)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_of_a_power_law_is_found(power):
    points = [(length, 3e-6 * length**power) for length in (1e3, 1e4, 1e5)]
    assert exponent(points) == pytest.approx(power)


def test_figures_that_were_not_measured_are_said_to_be_so():
    for goal in goals({}):
        assert "not measured" in goal.cells({})


def test_a_worker_tells_what_went_wrong():
    with pytest.raises(WorkerError, match=r"ValueError: invalid literal") as caught:
        Worker(int, "no number")
    assert "Traceback" in str(caught.value)


def test_more_cores_than_there_are_is_an_error_that_says_how_many_there_are():
    with pytest.raises(ValueError, match=r"this process may use \d+"):
        Worker(int, "1", cores=10_000)
