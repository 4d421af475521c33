"""`python -m spacy crf errors`: two rule pipelines of spaCy's own on three texts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from typer.testing import CliRunner, Result

from spacy_mamba_crf.cli.crf import crf

TEXTS = [
    ("I like London and Berlin .", [(7, 13, "LOC"), (18, 24, "LOC")], "travel"),
    ("Who is Shaka Khan ?", [(7, 17, "PERSON")], "news"),
    ("This is about nothing .", [], "news"),
]
RULES = {
    "one": {"London": "LOC", "Berlin": "PERSON", "Shaka": "PERSON"},
    "two": {"London": "LOC", "Berlin": "LOC", "nothing": "LOC"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("errors")
    blank = spacy.blank("en")
    for name, rules in RULES.items():
        nlp = spacy.blank("en")
        patterns = [{"label": label, "pattern": text} for text, label in rules.items()]
        nlp.add_pipe("entity_ruler").add_patterns(patterns)  # type: ignore[attr-defined]
        (folder / name).mkdir()
        nlp.to_disk(folder / name / "model-best")
    docs = []
    for text, entities, genre in TEXTS:
        doc = Example.from_dict(blank.make_doc(text), {"entities": entities}).reference
        doc.user_data["genre"] = genre
        docs.append(doc)
    DocBin(docs=docs, store_user_data=True).to_disk(folder / "test.spacy")
    DocBin(docs=docs[:1]).to_disk(folder / "train.spacy")
    DocBin(docs=[Doc(blank.vocab, words=["none"])]).to_disk(folder / "plain.spacy")
    DocBin().to_disk(folder / "empty.spacy")
    (folder / "broken.spacy").write_text("I like London .")
    (folder / "file").write_text("")
    return folder


MODELS = ["one/model-best", "two/model-best"]


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(crf, ["errors", *arguments])

    return invoke


def test_the_command_is_one_of_spacys(folder: Path):
    command = [sys.executable, "-m", "spacy", "crf", "errors", *MODELS, "test.spacy", "by-spacy"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    files = {path.name for path in (folder / "by-spacy").iterdir()}
    assert files == {"errors.md", "errors.json", "errors.html"}


def test_the_counts_are_those_made_by_hand(run, folder: Path):
    done = run(*MODELS, "test.spacy", "counts", "--train", "train.spacy")
    assert done.exit_code == 0, done.output
    results = json.loads((folder / "counts/errors.json").read_text("utf-8"))
    assert [results["systems"][key]["name"] for key in "ab"] == ["one", "two"]
    assert results["gold"]["all"] == {"both": 1, "only_a": 0, "only_b": 1, "neither": 1}
    assert results["wrong"]["all"] == {"both": 0, "only_a": 2, "only_b": 1, "neither": 0}
    assert results["kinds"]["gold"]["a"] == {
        "right": 1,
        "type only": 1,
        "boundary only": 1,
        "type and boundary": 0,
        "missed": 0,
    }
    assert list(results["gold"]["by"]["genre"]) == ["news", "travel"]
    assert results["gold"]["by"]["seen"]["never"]["neither"] == 1  # Shaka Khan
    assert results["mcnemar"]["p"] == 1.0
    assert {item["text"] for item in results["entities"]["gold"]} == {"Berlin", "Shaka Khan"}


def test_without_training_data_nothing_is_said_of_it(run, folder: Path):
    assert run(*MODELS, "test.spacy", "untrained").exit_code == 0
    assert "training" not in (folder / "untrained/errors.md").read_text("utf-8")


def test_a_test_set_that_repeats_the_dev_set_is_said_to(run, folder: Path):
    (folder / "repeated").mkdir()
    (folder / "repeated/test.spacy").write_bytes((folder / "test.spacy").read_bytes())
    (folder / "repeated/stats.json").write_text('{"test_is_dev": true}')
    assert run(*MODELS, "repeated/test.spacy", "repeats").exit_code == 0
    assert run(*MODELS, "test.spacy", "fresh").exit_code == 0
    for name in ("errors.md", "errors.html"):
        assert "repeats the development set" in (folder / "repeats" / name).read_text("utf-8")
        assert "repeats the development set" not in (folder / "fresh" / name).read_text("utf-8")


def test_systems_can_be_named(run, folder: Path):
    assert run(*MODELS, "test.spacy", "named", "--names", "rules, more rules").exit_code == 0
    text = (folder / "named/errors.md").read_text("utf-8")
    assert text.startswith("# Errors of rules and more rules\n")


def test_the_page_shows_as_many_documents_as_asked(run, folder: Path):
    assert run(*MODELS, "test.spacy", "short", "--limit", "1").exit_code == 0
    assert (folder / "short/errors.html").read_text("utf-8").count("<section>") == 1


def test_two_runs_write_the_same(run, folder: Path):
    for out in ("first", "second"):
        assert run(*MODELS, "test.spacy", out).exit_code == 0
    for name in ("errors.md", "errors.json", "errors.html"):
        assert (folder / "first" / name).read_bytes() == (folder / "second" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", MODELS[1], "test.spacy", "out"], "nowhere"),
        ([*MODELS, "nowhere.spacy", "out"], "no test file nowhere.spacy"),
        ([*MODELS, "test.spacy", "out", "--train", "gone.spacy"], "no training file gone.spacy"),
        ([*MODELS, "empty.spacy", "out"], "empty.spacy holds no documents"),
        ([*MODELS, "plain.spacy", "out"], "plain.spacy holds no entities"),
        ([*MODELS, "broken.spacy", "out"], "broken.spacy cannot be read as a .spacy file"),
        ([MODELS[0], MODELS[0], "test.spacy", "out"], "Both systems are called"),
        ([*MODELS, "test.spacy", "out", "--names", "a,a"], "Both systems are called 'a'"),
        ([*MODELS, "test.spacy", "out", "--names", "a"], "'a' is not two names"),
        ([*MODELS, "test.spacy", "file"], "file is a file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(run, folder: Path, arguments, message):
    done = run(*arguments)
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())
    assert not (folder / "out").exists()
