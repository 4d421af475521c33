"""The small commands of the project that no other test runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from thinc.api import Config

SCRIPTS = Path(__file__).parent.parent / "scripts"
WAYS = ("outside", "missing", "unknown", "unknown-ratio")


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


def test_a_config_is_made_longer_with_its_schedule(tmp_path):
    (tmp_path / "base.cfg").write_text(
        "[training]\nmax_steps = 200\neval_frequency = 25\n\n[training.optimizer]\n\n"
        "[training.optimizer.learn_rate]\ntotal_steps = 200\nwarmup_steps = 40\n"
    )
    done = run("merge_configs.py", "out.cfg", "base.cfg", "--longer", "1.5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    training = Config().from_disk(tmp_path / "out.cfg")["training"]
    assert (training["max_steps"], training["eval_frequency"]) == (300, 38)
    assert training["optimizer"]["learn_rate"] == {"total_steps": 300, "warmup_steps": 60}
    done = run("merge_configs.py", "out.cfg", "base.cfg", "--longer", "0", cwd=tmp_path)
    assert done.returncode == 1 and "is no number of steps" in " ".join(done.stdout.split())


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


@pytest.fixture
def annotated(folder: Path) -> Path:
    """all.spacy: 10 docs of two entities each."""
    vocab = spacy.blank("zh").vocab
    docs = DocBin()
    for _ in range(10):
        doc = Doc(vocab, words=list("肺炎會咳嗽"), spaces=[False] * 5)
        doc.set_ents([Span(doc, 0, 2, label="DISE"), Span(doc, 3, 5, label="SYMP")])
        docs.add(doc)
    docs.to_disk(folder / "all.spacy")
    return folder


def read_docs(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("zh").vocab))


def test_dropping_entities_writes_a_copy_and_counts_what_is_left(annotated: Path):
    before = (annotated / "all.spacy").read_bytes()
    arguments = ("all.spacy", "new/half.spacy", "--mark", "unknown", "--share", "0.4")
    done = run("drop_entities.py", *arguments, cwd=annotated)
    assert done.returncode == 0, done.stderr
    docs = read_docs(annotated / "new" / "half.spacy")
    left = sum(len(doc.ents) for doc in docs)
    assert 0 < left < 20
    assert f"{left} of 20 entities" in done.stdout
    assert {token.ent_iob for doc in docs for token in doc if not token.ent_type} == {0}
    assert (annotated / "all.spacy").read_bytes() == before


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--mark", "gone", "mark is 'gone'"), ("--share", "1.5", "entities is 1.5")],
)
def test_settings_that_drop_no_entities_are_named_and_nothing_is_written(
    annotated: Path, option: str, value: str, message: str
):
    done = run("drop_entities.py", "all.spacy", "out.spacy", option, value, cwd=annotated)
    assert done.returncode == 1
    assert message in done.stdout and "all.spacy" in done.stdout
    assert not (annotated / "out.spacy").exists()


def test_dropping_entities_of_no_docbin_file_names_it(annotated: Path):
    done = run("drop_entities.py", "base.cfg", "out.spacy", cwd=annotated)
    assert done.returncode == 1
    assert "base.cfg" in done.stdout and "Traceback" not in done.stderr
    assert not (annotated / "out.spacy").exists()


@pytest.fixture
def scored(folder: Path) -> Path:
    """The scores of all five models of the table of partial annotation."""
    names = ["mamba_crf/evaluation", *(f"partial/{way}" for way in WAYS)]
    for number, name in enumerate(names):
        path = folder / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        scores = {"ents_p": 0.8, "ents_r": 0.5, "ents_f": 0.7 - number / 10, "speed": 1.0}
        path.write_text(json.dumps(scores))
    return folder


def test_the_table_of_partial_annotation_has_each_way_beside_full_annotation(scored: Path):
    done = run("partial_table.py", ".", "reports/partial.md", cwd=scored)
    assert done.returncode == 0, done.stderr
    rows = (scored / "reports" / "partial.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
    assert [row[1:] for row in cells] == [
        ["80.00", "50.00", f"{f1}.00"] for f1 in range(70, 20, -10)
    ]
    assert "all entities" in cells[0][0] and "entity_ratio" in cells[-1][0]


def test_the_table_of_partial_annotation_takes_the_asked_models_scores(scored: Path):
    (scored / "mamba_crf").rename(scored / "other")
    done = run("partial_table.py", ".", "partial.md", "--config", "other", cwd=scored)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["mamba_crf/evaluation.json", "partial/unknown.json"])
def test_a_score_that_the_table_lacks_is_named_and_nothing_is_written(scored: Path, missing: str):
    (scored / missing).unlink()
    done = run("partial_table.py", ".", "partial.md", cwd=scored)
    assert done.returncode == 1
    assert missing in "".join(done.stdout.split()) and "`evaluate`" in done.stdout
    assert not (scored / "partial.md").exists()


def test_scores_without_entities_are_named_by_their_file(scored: Path):
    (scored / "partial" / "missing.json").write_text('{"tag_acc": 0.5}')
    done = run("partial_table.py", ".", "partial.md", cwd=scored)
    assert done.returncode == 1
    assert "missing.json" in done.stdout and "Traceback" not in done.stderr
    assert not (scored / "partial.md").exists()
