"""The models of crf_ner as thinc models: repeatable, independent of the batch, copied whole."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import spacy
from numpy.testing import assert_allclose, assert_array_equal
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Adam, Model, data_validation, fix_random_seed, set_dropout_rate
from toy_pipelines import mamba_tok2vec, tagger_model

SENTENCES = [
    "I like London and Berlin .",
    "",
    "Shaka Khan",
    "x",
    "患者服用阿司匹林 , and a longer text that has some more words than any other of them .",
]
MODELS = {
    "CRF": {**tagger_model(), "nO": 5},
    "CRF, mamba1": {**tagger_model(mamba_tok2vec(variant="mamba1")), "nO": 5},
    "CRF, s4d": {**tagger_model(mamba_tok2vec(variant="s4d")), "nO": 5},
    "softmax": {**tagger_model(crf=False), "nO": 5},
    "tok2vec": mamba_tok2vec(),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS.keys())
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.param


def make_model(config: dict[str, Any], seed: int = 0) -> Model:
    """An initialised model."""
    fix_random_seed(seed)
    return registry.resolve({"model": config})["model"].initialize()


def make_docs() -> list[Doc]:
    nlp = spacy.blank("xx")
    return [nlp.make_doc(text) for text in SENTENCES]


def parameters(model: Model) -> np.ndarray:
    """Every parameter, those of torch included, side by side."""
    values = []
    for node in model.walk():
        values += [node.get_param(name).ravel() for name in node.param_names]
        for shim in node.shims:
            values += [value.detach().numpy().ravel() for value in shim._model.parameters()]
    return np.concatenate(values)


def updated(config: dict[str, Any], dropout: float) -> Model:
    """A model after five updates towards random gradients."""
    model = make_model(config)
    optimizer = Adam(0.001)
    rng = np.random.default_rng(0)
    set_dropout_rate(model, dropout)
    for _ in range(5):
        Ys, backprop = model.begin_update(make_docs())
        backprop([rng.uniform(-1, 1, Y.shape).astype("float32") for Y in Ys])
        model.finish_update(optimizer)
    return model


def test_the_same_seed_gives_the_same_parameters(config: dict):
    assert_array_equal(parameters(make_model(config)), parameters(make_model(config)))


def test_another_seed_gives_other_parameters(config: dict):
    assert (parameters(make_model(config, 0)) != parameters(make_model(config, 1))).any()


def test_the_same_seed_gives_the_same_predictions(config: dict):
    for one, other in zip(*(make_model(config).predict(make_docs()) for _ in range(2))):
        assert_array_equal(one, other)


def test_the_same_updates_give_the_same_parameters(config: dict):
    one, other = (updated(config, dropout=0.2) for _ in range(2))
    assert (parameters(one) != parameters(make_model(config))).any()
    assert_allclose(parameters(one), parameters(other), atol=1e-5)


def test_a_doc_gets_the_same_scores_alone_and_in_a_batch(config: dict):
    model = updated(config, dropout=0.0)
    docs = make_docs()
    with data_validation(True):
        batch = model.predict(docs)
        for doc, scores in zip(docs, batch):
            assert scores.shape[0] == len(doc)
            assert_allclose(model.predict([doc])[0], scores, atol=1e-5)


@pytest.mark.parametrize("n_docs", [1, 2])
def test_batches_of_empty_docs_run_forwards_and_back(config: dict, n_docs: int):
    model = make_model(config)
    docs = [spacy.blank("xx")("") for _ in range(n_docs)]
    assert [len(Y) for Y in model.predict(docs)] == [0] * n_docs
    Ys, backprop = model.begin_update(docs)
    assert [Y.shape[1] for Y in Ys] == [model.get_dim("nO")] * n_docs
    backprop(Ys)


def test_a_copy_predicts_the_same_and_learns_by_itself(config: dict):
    model = updated(config, dropout=0.0)
    docs = make_docs()
    expected = model.predict(docs)
    for copied in (model.copy(), deepcopy(model)):
        for one, other in zip(copied.predict(docs), expected):
            assert_array_equal(one, other)
        Ys, backprop = copied.begin_update(docs)
        backprop([Y * 0 + 1 for Y in Ys])
        copied.finish_update(Adam(0.1))
    for one, other in zip(model.predict(docs), expected):
        assert_array_equal(one, other)


def test_a_model_goes_round_through_bytes(config: dict):
    model = updated(config, dropout=0.0)
    again = make_model(config, seed=1).from_bytes(model.to_bytes())
    for one, other in zip(again.predict(make_docs()), model.predict(make_docs())):
        assert_array_equal(one, other)
