"""Fixtures for the tests of the pipeline package."""

from pathlib import Path

import numpy as np
import pytest
from spacy.language import Language
from spacy.util import load_model_from_path
from toy_pipelines import blank_pipeline, make_examples, tagger_model, train, trained_pipeline


@pytest.fixture(scope="session")
def trained() -> Language:
    """A pipeline that knows its training data by heart; tests must leave it as it is."""
    return trained_pipeline()


@pytest.fixture(scope="session")
def saved(trained: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to which the trained pipeline was saved."""
    folder = tmp_path_factory.mktemp("pipeline") / "trained"
    trained.to_disk(folder)
    return folder


@pytest.fixture
def loaded(saved: Path) -> Language:
    """The trained pipeline, loaded anew, for a test to change."""
    return load_model_from_path(saved)


@pytest.fixture(scope="session", params=["BIO", "BIOES"])
def uncertain(request: pytest.FixtureRequest) -> Language:
    """A pipeline whose transitions are at work and which is sure of little."""
    nlp = blank_pipeline(tagger_model(scheme=request.param))
    data = [
        ("a b c d", {"entities": [(0, 7, "X")]}),
        ("b c d a", {"entities": [(0, 1, "Y"), (2, 7, "X")]}),
        ("c a b b", {"entities": [(2, 5, "X"), (6, 7, "X")]}),
    ]
    train(nlp, make_examples(nlp, data), 12)
    layer = nlp.get_pipe("ner").model.get_ref("transition_scores")
    rng = np.random.default_rng(1)
    for name in ("transitions", "start", "end"):
        noise = rng.normal(scale=0.1, size=layer.get_param(name).shape).astype("float32")
        layer.set_param(name, layer.get_param(name) + noise)
    return nlp
