"""The small commands of the project that no other test runs."""

import subprocess
import sys
from pathlib import Path

import pytest
from thinc.api import Config

SCRIPTS = Path(__file__).parent.parent / "scripts"


def run(script: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.cfg").write_text("[nlp]\nlang = zh\nsize = 1\n\n[paths]\nlog = null\n")
    (tmp_path / "over.cfg").write_text("[nlp]\nsize = 2\nlog = ${paths.log}\n")
    return tmp_path


def test_later_configs_win_and_variables_stay_variables(folder: Path):
    done = run("merge_configs.py", "new/out.cfg", "base.cfg", "over.cfg", cwd=folder)
    assert done.returncode == 0, done.stderr
    merged = Config().from_disk(folder / "new" / "out.cfg", interpolate=False)
    assert merged["nlp"] == {"lang": "zh", "size": 2, "log": "${paths.log}"}


def test_a_config_that_cannot_be_read_is_named(folder: Path):
    (folder / "bad.cfg").write_text("no section = 1\n")
    done = run("merge_configs.py", "out.cfg", "base.cfg", "bad.cfg", cwd=folder)
    assert done.returncode == 1
    assert "bad.cfg" in done.stdout
    assert not (folder / "out.cfg").exists()


def test_cleaning_removes_files_and_folders_and_forgives_missing_ones(folder: Path):
    (folder / "made").mkdir()
    (folder / "made" / "file").touch()
    done = run("clean.py", "made", "base.cfg", "missing", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["over.cfg"]


def test_cleaning_never_leaves_the_project(folder: Path):
    (folder / "project").mkdir()
    done = run("clean.py", "../base.cfg", cwd=folder / "project")
    assert done.returncode == 1
    assert "not inside the project" in done.stdout
    assert (folder / "base.cfg").exists()


def test_a_corpus_folder_that_lacks_files_is_an_error_that_lists_them(folder: Path):
    done = run("convert.py", "rocling", ".", "out", cwd=folder)
    assert done.returncode == 1
    assert "ROCLING22_CHNER_truth.txt" in done.stdout
    assert not (folder / "out").exists()
