"""The warning about labels in examples that a component does not know."""

import warnings

import pytest
import spacy
from spacy.training import Example
from toy_pipelines import TRAIN_DATA, make_examples

from spacy_mamba_crf.pipeline.label_check import warn_of_unknown_labels


@pytest.fixture
def examples() -> list[Example]:
    """Their labels are LOC and PERSON."""
    nlp = spacy.blank("xx")
    return make_examples(nlp, [*TRAIN_DATA, ("", {}), ("No annotation", {})])


def test_known_labels_pass_in_silence(examples: list[Example]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_unknown_labels("ner", examples, ("LOC", "PERSON"), set())


def test_each_unknown_label_has_one_warning(examples: list[Example]):
    warned: set[str] = set()
    with pytest.warns(UserWarning) as caught:
        for _ in range(2):
            warn_of_unknown_labels("ner", examples, (), warned)
    assert warned == {"LOC", "PERSON"}
    assert len(caught) == 2


def test_the_warning_names_label_and_component_and_what_to_call(examples: list[Example]):
    with pytest.warns(UserWarning) as caught:
        warn_of_unknown_labels("entities", examples, ("PERSON",), set())
    (message,) = [str(warning.message) for warning in caught]
    assert "labelled 'LOC'" in message
    assert "nlp.get_pipe('entities').add_label('LOC')" in message
