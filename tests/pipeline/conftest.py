"""Fixtures for the tests of the pipeline package."""

from pathlib import Path

import pytest
from spacy.language import Language
from spacy.util import load_model_from_path
from toy_pipelines import trained_pipeline


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
