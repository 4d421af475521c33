"""Frozen language models as an `embed` layer: the folder, docs, vocabulary, saving, errors."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from thinc.api import Adam, Model

from spacy_mamba_crf.architectures.language_models import StaticLM
from spacy_mamba_crf.layers.static_lm import TrainedLM
from spacy_mamba_crf.pytorch.language_model import (
    FIRST,
    UNKNOWN,
    BidirectionalLanguageModel,
    LanguageModelConfig,
)

VOCAB = spacy.blank("en").vocab
WORDS = ["the", "cat", "sat", "mat"]


def make_doc(*words: str) -> Doc:
    return Doc(VOCAB, words=list(words))


DOCS = [make_doc("The", "cat", "sat"), make_doc(), make_doc("mat"), make_doc("dog", "sat")]


def make_trained() -> TrainedLM:
    torch.manual_seed(0)
    sizes = LanguageModelConfig("LSTM", FIRST + len(WORDS), width=5, embedding_width=4)
    return TrainedLM(BidirectionalLanguageModel(sizes), WORDS, "NORM", {"lang": "en"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_trained().to_folder(tmp_path / "lm")
    return tmp_path / "lm"


def make_layer(folder: Path) -> Model:
    return StaticLM(str(folder)).initialize(X=DOCS)


def test_each_token_has_the_states_of_both_directions(folder):
    layer = make_layer(folder)
    ids = [[FIRST, FIRST + 1, FIRST + 2], [], [FIRST + 3], [UNKNOWN, FIRST + 2]]
    expected = make_trained().module.states([torch.tensor(i, dtype=torch.int64) for i in ids])
    assert layer.get_dim("nO") == 10
    for Y, states in zip(layer.predict(DOCS), expected):
        np.testing.assert_allclose(Y, states, atol=1e-6)


def test_a_doc_has_the_same_vectors_alone_and_in_a_batch(folder):
    layer = make_layer(folder)
    together = layer.predict(DOCS)
    assert [Y.shape for Y in together] == [(len(doc), 10) for doc in DOCS]
    for doc, Y in zip(DOCS, together):
        np.testing.assert_allclose(layer.predict([doc])[0], Y, atol=1e-6)


def test_words_outside_the_vocabulary_are_one_word(folder):
    first, second = make_layer(folder).predict([make_doc("dog"), make_doc("zebra")])
    np.testing.assert_array_equal(first, second)


def test_nothing_is_given_to_the_optimizer(folder):
    layer, optimizer = make_layer(folder), Adam(0.1)
    before = np.concatenate(layer.predict(DOCS))
    Ys, backprop = layer.begin_update(DOCS)
    assert backprop(Ys) == []
    layer.finish_update(optimizer)
    assert not optimizer.averages and not optimizer.mom1
    np.testing.assert_array_equal(np.concatenate(layer.predict(DOCS)), before)


def test_a_saved_layer_loads_without_the_folder(folder):
    layer = make_layer(folder)
    expected, data = layer.predict(DOCS), layer.to_bytes()
    shutil.rmtree(folder)
    other = StaticLM(str(folder)).from_bytes(data)
    assert other.get_dim("nO") == 10
    for Y, same in zip(other.predict(DOCS), expected):
        np.testing.assert_array_equal(Y, same)


def test_a_layer_can_be_saved_before_it_is_initialized(folder):
    other = make_layer(folder)
    with pytest.raises(ValueError, match=r"call nlp\.initialize first"):
        other.from_bytes(StaticLM(None).to_bytes()).predict(DOCS)


def test_a_folder_says_what_it_holds(folder):
    config = json.loads((folder / "config.json").read_text())
    expected = {"attr": "NORM", "kind": "LSTM", "width": 5, "embedding_width": 4, "lang": "en"}
    assert config == expected | {"vocabulary_size": FIRST + 4}
    assert json.loads((folder / "vocab.json").read_text()) == WORDS


def test_a_path_that_is_no_folder_is_an_error_when_the_layer_is_initialized(tmp_path):
    layer = StaticLM(str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"none, which is no folder.* scripts/train_lm.py"):
        layer.initialize(X=DOCS)


def test_no_path_is_an_error_that_names_the_config_key():
    with pytest.raises(ValueError, match=r"`path` of spacy_mamba_crf.StaticLM.v1.* is null"):
        StaticLM(None).initialize(X=DOCS)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        make_layer(folder)


@pytest.mark.parametrize(
    ["name", "content", "message"],
    [
        ("config.json", "{", "cannot be read"),
        ("config.json", "{}", "cannot be read: 'kind'"),
        ("model.safetensors", "x", "cannot be read"),
        ("vocab.json", '["the"]', "vocab.json has 1 tokens, but config.json says vocabulary_size"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_the_folder(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        make_layer(folder)
    assert str(folder) in str(error.value)
