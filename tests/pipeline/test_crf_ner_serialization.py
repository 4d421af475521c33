"""Saving and loading crf_ner: bytes, folders, fresh processes, before and after training."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.util import load_model_from_config
from toy_pipelines import (
    TEXTS,
    blank_pipeline,
    found,
    found_with_probabilities,
    make_examples,
    mamba_tok2vec,
    tagger_model,
    train,
)

READ_IN_A_FRESH_PROCESS = """
import json, sys, spacy
nlp = spacy.load(sys.argv[1])
texts = json.loads(sys.argv[2])
docs = nlp.pipe(texts, batch_size=1)
print(json.dumps([[[e.start, e.end, e.label_, e._.prob] for e in doc.ents] for doc in docs]))
"""


def test_a_fresh_process_finds_the_same_entities_and_probabilities(trained: Language, saved: Path):
    command = [sys.executable, "-c", READ_IN_A_FRESH_PROCESS, str(saved), json.dumps(TEXTS)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = json.loads(result.stdout.splitlines()[-1])
    for text, entities in zip(TEXTS, loaded):
        expected = found_with_probabilities(trained(text))
        assert [entity[:3] for entity in entities] == [list(entity[:3]) for entity in expected]
        probs = [entity[3] for entity in expected]
        assert [entity[3] for entity in entities] == pytest.approx(probs, abs=1e-6)


def test_bytes_go_round_unchanged(trained: Language):
    ner = trained.get_pipe("ner")
    again = blank_pipeline().get_pipe("ner").from_bytes(ner.to_bytes())
    assert again.to_bytes() == ner.to_bytes()
    assert again.labels == ner.labels


def test_a_folder_goes_round_unchanged(trained: Language, tmp_path: Path):
    ner = trained.get_pipe("ner")
    ner.to_disk(tmp_path / "ner")
    again = blank_pipeline().get_pipe("ner").from_disk(tmp_path / "ner")
    assert again.to_bytes() == ner.to_bytes()
    assert again.labels == ner.labels


def test_the_vocab_can_be_left_out(trained: Language):
    ner = trained.get_pipe("ner")
    data = ner.to_bytes(exclude=["vocab"])
    assert len(data) < len(ner.to_bytes())
    again = blank_pipeline().get_pipe("ner").from_bytes(data, exclude=["vocab"])
    assert again.labels == ner.labels


def test_the_labels_strings_are_saved(trained: Language):
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("RARE_LABEL_OF_A_TEST")
    nlp.initialize()
    again = blank_pipeline().from_bytes(nlp.to_bytes())
    assert "RARE_LABEL_OF_A_TEST" in again.vocab.strings


def test_no_pickle_is_written(saved: Path):
    for path in saved.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"torch._utils" not in data
            assert b"cpickle" not in data.lower()


def test_an_uninitialised_component_saves_and_loads_and_then_learns(tmp_path: Path):
    nlp = blank_pipeline()
    nlp.get_pipe("ner").add_label("LOC")
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert loaded.get_pipe("ner").labels == ("LOC",)
    train(loaded, make_examples(loaded), 60)
    assert found(loaded("I like London .")) == [("London", "LOC")]


def test_an_uninitialised_component_without_labels_saves_and_loads(tmp_path: Path):
    blank_pipeline().to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("ner").labels == ()


def test_a_loaded_pipeline_saves_again_as_the_same(saved: Path, tmp_path: Path):
    spacy.load(saved).to_disk(tmp_path)
    once, twice = spacy.load(saved), spacy.load(tmp_path)
    assert once.get_pipe("ner").to_bytes() == twice.get_pipe("ner").to_bytes()


def test_disabled_and_excluded_components_stay_so(saved: Path, tmp_path: Path):
    nlp = spacy.load(saved)
    nlp.disable_pipe("ner")
    nlp.to_disk(tmp_path)
    disabled = spacy.load(tmp_path)
    assert disabled.pipe_names == []
    disabled.enable_pipe("ner")
    assert found(disabled("I like London .")) == [("London", "LOC")]
    assert spacy.load(saved, disable=["ner"]).disabled == ["ner"]
    assert spacy.load(saved, enable=["ner"]).pipe_names == ["ner"]
    assert spacy.load(saved, exclude=["ner"]).component_names == []


def test_the_settings_are_saved(tmp_path: Path):
    nlp = blank_pipeline(spans_key="sc", probabilities=False, incorrect_spans_key="wrong")
    nlp.get_pipe("ner").add_label("LOC")
    nlp.initialize()
    nlp.to_disk(tmp_path)
    ner = spacy.load(tmp_path).get_pipe("ner")
    assert ner.spans_key == "sc"
    assert ner.probabilities is False
    assert ner.incorrect_spans_key == "wrong"


def test_the_settings_can_be_changed_when_a_pipeline_is_loaded(saved: Path):
    changed = {"components": {"ner": {"probabilities": False, "spans_key": "sc"}}}
    doc = spacy.load(saved, config=changed)("I like London .")
    assert [ent._.prob for ent in doc.ents] == [None]
    assert [span.text for span in doc.spans["sc"]] == ["London"]


def test_the_config_alone_makes_the_same_component(trained: Language):
    again = load_model_from_config(trained.config, auto_fill=False)
    assert again.config["components"] == trained.config["components"]
    again.from_bytes(trained.to_bytes())
    assert found(again("I like London .")) == [("London", "LOC")]


def test_weights_of_another_encoder_are_refused(saved: Path):
    tok2vec = mamba_tok2vec()
    tok2vec["encode"]["depth"] = 2
    nlp = blank_pipeline(tagger_model(tok2vec))
    with pytest.raises(ValueError, match="do not fit the encoder"):
        nlp.from_disk(saved)


def test_a_component_can_be_sourced_from_a_trained_pipeline(trained: Language):
    nlp = spacy.blank("xx")
    nlp.add_pipe("ner", source=trained)
    assert found(nlp("I like London .")) == [("London", "LOC")]
