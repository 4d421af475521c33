"""`python -m spacy crf`: the commands as a user runs them."""

import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import load_model_from_path
from thinc.api import fix_random_seed

TEXTS = [
    ("I like London and Berlin .", [(7, 13, "LOC"), (18, 24, "LOC")]),
    ("Who is Shaka Khan ?", [(7, 17, "PERSON")]),
    ("This is about nothing .", []),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained pipeline and the texts it knows."""
    folder = tmp_path_factory.mktemp("cli")
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    nlp.add_pipe("crf_ner", name="ner")
    examples = [
        Example.from_dict(nlp.make_doc(text), {"entities": entities}) for text, entities in TEXTS
    ]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.005
    for _ in range(25):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(folder / "model")
    DocBin(docs=[example.reference for example in examples]).to_disk(folder / "dev.spacy")
    spacy.blank("xx").to_disk(folder / "blank")
    return folder


def run(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "spacy", "crf", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
    )


def test_the_commands_are_listed_by_spacys_help(folder: Path):
    done = run(folder, "--help")
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("n-best", "spans", "calibrate", "reliability"))


def test_n_best_prints_analyses_from_the_most_probable_on(folder: Path):
    done = run(folder, "n-best", "model", "I like London .", "-k", "3")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("0.", "1."))]
    assert len(lines) == 3 and "London (LOC)" in lines[0]
    assert sorted(lines, reverse=True) == lines


def test_spans_reads_the_text_from_standard_input(folder: Path):
    done = run(folder, "spans", "model", "-", stdin="I like London .\n")
    assert done.returncode == 0, done.stderr
    assert "London" in done.stdout and "2-3" in done.stdout


def test_settings_can_be_overridden_and_a_lexicon_given(folder: Path):
    (folder / "terms.tsv").write_text("like\tLOC\n", encoding="utf-8")
    arguments = ["--lexicon", "terms.tsv", "--components.ner.lexicon_mode", "hard"]
    done = run(folder, "n-best", "model", "I like London .", "-k", "1", *arguments)
    assert done.returncode == 0, done.stderr
    assert "like (LOC)" in done.stdout
    done = run(folder, "n-best", "model", "Shaka Khan", "--components.ner.max_entity_length", "1")
    assert done.returncode == 0, done.stderr
    assert "Shaka Khan" not in done.stdout


def test_calibrate_saves_a_pipeline_with_the_temperature_it_prints(folder: Path):
    done = run(folder, "calibrate", "model", "dev.spacy", "calibrated")
    assert done.returncode == 0, done.stderr
    temperature = load_model_from_path(folder / "calibrated").get_pipe("ner").temperature
    assert f"{temperature:.3f}" in done.stdout


def test_reliability_prints_the_tables(folder: Path):
    done = run(folder, "reliability", "model", "dev.spacy")
    assert done.returncode == 0, done.stderr
    assert "Entities found: 3" in done.stdout and "oracle F1" in done.stdout


@pytest.mark.parametrize(
    ["arguments", "message"],
    [
        (["n-best", "nowhere", "a"], "nowhere"),
        (["n-best", "blank", "a"], "blank has no component 'crf_ner'"),
        (["spans", "model", "a", "-c", "other"], "no component 'other'"),
        (["spans", "model", "a", "--components.ner.threshold", "3"], "threshold = 3 must be"),
        (["calibrate", "model", "nowhere.spacy", "out"], "no file nowhere.spacy"),
        (["reliability", "model", "nowhere.spacy"], "no test file nowhere.spacy"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(folder: Path, arguments, message):
    done = run(folder, *arguments)
    assert done.returncode == 1
    assert message in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stderr
    assert not (folder / "out").exists()


def test_annotate_writes_docs_with_what_the_pipeline_is_sure_of(folder: Path):
    (folder / "raw.txt").write_text("I like London .\nThis is about nothing .\n" * 20, "utf-8")
    done = run(folder, "annotate", "raw.txt", "silver.spacy", "-m", "model", "--certain", "0.6")
    assert done.returncode == 0, done.stdout + done.stderr
    docs = list(DocBin().from_disk(folder / "silver.spacy").get_docs(spacy.blank("xx").vocab))
    assert len(docs) == 20  # without --keep-empty, those with entities
    assert {(ent.text, ent.label_) for doc in docs for ent in doc.ents} == {("London", "LOC")}


def test_annotate_writes_bare_texts_where_there_are_entities(folder: Path):
    (folder / "raw.txt").write_text("I like London .\nThis is about nothing .\n" * 20, "utf-8")
    options = ["-m", "model", "--certain", "0.6", "--bare"]
    done = run(folder, "annotate", "raw.txt", "bare.spacy", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    docs = list(DocBin().from_disk(folder / "bare.spacy").get_docs(spacy.blank("xx").vocab))
    assert [doc.text for doc in docs] == ["I like London ."] * 20
    assert not any(token.ent_iob for doc in docs for token in doc)


def test_annotate_reads_a_share_of_the_texts_by_the_seed(folder: Path):
    (folder / "more.txt").write_text("\n".join(f"I like London {n} ." for n in range(100)), "utf-8")
    found = []
    for seed in ("0", "0", "1"):
        options = ["-m", "model", "--certain", "0.6", "--sample", "0.3", "--seed", seed]
        done = run(folder, "annotate", "more.txt", f"{seed}.spacy", *options, "--keep-empty")
        assert done.returncode == 0, done.stdout + done.stderr
        docs = DocBin().from_disk(folder / f"{seed}.spacy").get_docs(spacy.blank("xx").vocab)
        found.append([doc.text for doc in docs])
    assert found[0] == found[1] != found[2]
    assert 15 < len(found[0]) < 45


def test_robustness_prints_f1_of_each_way_to_write_the_texts(folder: Path):
    done = run(folder, "robustness", "model", "dev.spacy")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line.rsplit(maxsplit=3)[0].strip(): line for line in done.stdout.splitlines() if line}
    assert "100.0" in lines["as they are"]
    assert "20 sentences a doc" in lines
