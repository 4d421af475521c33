"""`nlp.pipe` with several processes, and texts that fail."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import raise_error
from toy_pipelines import TEXTS, found, found_with_probabilities

IN_SPAWNED_PROCESSES = """
import multiprocessing, sys
import spacy

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    nlp = spacy.load(sys.argv[1])
    texts = ["I like London .", "", "Shaka Khan and Berlin ."] * 4
    def read(docs):
        return [[(e.start, e.end, e.label_, round(e._.prob, 5)) for e in d.ents] for d in docs]
    alone = read(nlp.pipe(texts))
    assert sum(map(len, alone)) == 12, alone
    assert read(nlp.pipe(texts, n_process=2, batch_size=3)) == alone
    print("the same")
"""


def test_two_processes_find_what_one_finds(trained: Language):
    one = list(trained.pipe(TEXTS, batch_size=2))
    two = list(trained.pipe(TEXTS, batch_size=2, n_process=2))
    assert [doc.text for doc in two] == TEXTS
    assert any(doc.ents for doc in one)
    for expected, doc in zip(map(found_with_probabilities, one), two):
        assert [ent[:3] for ent in found_with_probabilities(doc)] == [ent[:3] for ent in expected]
        probs = [ent[3] for ent in expected]
        assert [ent._.prob for ent in doc.ents] == pytest.approx(probs, abs=1e-6)


@pytest.mark.slow
def test_spawned_processes_find_what_one_finds(saved: Path, tmp_path: Path):
    script = tmp_path / "spawn.py"
    script.write_text(IN_SPAWNED_PROCESSES)
    command = [sys.executable, str(script), str(saved)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "the same" in result.stdout


@Language.component("toy_fails_on_666")
def fail_on_666(doc: Doc) -> Doc:
    """Raise for a text with 666 in it."""
    if "666" in doc.text:
        raise ValueError("no entities here")
    return doc


class Refusing:
    """A model's stand-in that raises where a text of the batch has 666 in it."""

    def __init__(self, component):
        self.predict_all = component.predict

    def __call__(self, docs):
        docs = list(docs)
        if any("666" in doc.text for doc in docs):
            raise ValueError("no entities here")
        return self.predict_all(docs)


NUMBERED = [f"I like London . {number}" for number in (111, 222, 666, 444)]


@pytest.mark.parametrize("n_process", [1, 2])
def test_a_failing_component_beside_it_costs_only_its_own_texts(loaded: Language, n_process: int):
    loaded.add_pipe("toy_fails_on_666", first=True)
    with pytest.raises(ValueError):
        list(loaded.pipe(NUMBERED, n_process=n_process))
    failed = []
    loaded.set_error_handler(lambda name, proc, docs, error: failed.extend(docs))
    docs = list(loaded.pipe(NUMBERED, n_process=n_process))
    assert [doc.text for doc in docs] == [*NUMBERED[:2], NUMBERED[3]]
    assert all(("London", "LOC") in found(doc) for doc in docs)
    if n_process == 1:  # else the handler's list is in another process
        assert [doc.text for doc in failed] == [NUMBERED[2]]


@pytest.mark.parametrize("batch_size, lost", [(1, NUMBERED[2:3]), (2, NUMBERED[2:])])
def test_a_batch_that_fails_is_reported_and_the_others_go_on(
    loaded: Language, monkeypatch, batch_size: int, lost: list[str]
):
    reported = []

    def report(name, component, docs, error):
        reported.append((name, [doc.text for doc in docs], str(error)))

    wrapped = loaded.get_pipe("ner")
    refusing = Refusing(wrapped)
    monkeypatch.setattr(type(wrapped), "predict", lambda self, docs: refusing(docs))
    wrapped.set_error_handler(report)
    docs = list(loaded.pipe(NUMBERED, batch_size=batch_size))
    assert [doc.text for doc in docs] == [text for text in NUMBERED if text not in lost]
    assert reported == [("ner", lost, "no entities here")]


def test_an_error_is_raised_where_no_handler_is_set(loaded: Language, monkeypatch):
    wrapped = loaded.get_pipe("ner")
    refusing = Refusing(wrapped)
    monkeypatch.setattr(type(wrapped), "predict", lambda self, docs: refusing(docs))
    with pytest.raises(ValueError, match="no entities here"):
        list(loaded.pipe(NUMBERED))
    with pytest.raises(ValueError, match="no entities here"):
        loaded(NUMBERED[2])
    assert wrapped.get_error_handler() is raise_error


def test_nothing_is_logged_as_an_error_in_a_quiet_run(trained: Language, caplog):
    with caplog.at_level(logging.WARNING):
        list(trained.pipe(TEXTS))
    assert caplog.records == []


def test_context_travels_with_its_text(trained: Language):
    pairs = [(text, {"number": number}) for number, text in enumerate(TEXTS)]
    out = list(trained.pipe(pairs, as_tuples=True, batch_size=3))
    assert [context["number"] for _, context in out] == list(range(len(TEXTS)))


def test_docs_can_be_given_instead_of_texts(trained: Language):
    docs = [trained.make_doc(text) for text in TEXTS]
    assert list(map(found, trained.pipe(docs))) == [found(trained(text)) for text in TEXTS]
