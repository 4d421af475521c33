"""`spacy_mamba_crf.transfer.v1`: weights of another pipeline to begin with."""

import numpy as np
import pytest
import spacy
from spacy.language import Language
from toy_pipelines import (
    blank_pipeline,
    make_examples,
    mamba_tok2vec,
    tagger_model,
    trained_pipeline,
)

from spacy_mamba_crf.pipeline.transfer import make_transfer

DRINKS = [("Tea is good .", {"entities": [(0, 3, "DRINK")]})]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    trained_pipeline(steps=3).to_disk(folder / "model")
    return str(folder / "model")


def begin(transfer, model=None) -> Language:
    nlp = blank_pipeline(model)
    nlp.config["initialize"]["after_init"] = None
    nlp.initialize(lambda: make_examples(nlp, DRINKS))
    return transfer(nlp)


def vectors(nlp: Language) -> np.ndarray:
    tok2vec = nlp.get_pipe("ner").model.get_ref("tok2vec")
    return tok2vec.predict([nlp.make_doc("Shaka Khan likes tea .")])[0]


def test_the_encoder_is_that_of_the_source_and_the_labels_are_new(source):
    nlp = begin(make_transfer(source))
    assert np.array_equal(vectors(nlp), vectors(spacy.load(source)))
    assert nlp.get_pipe("ner").labels == ("DRINK",)


def test_it_learns_on_and_leaves_the_source_alone(source):
    nlp = begin(make_transfer(source))
    before = vectors(nlp)
    optimizer = nlp.resume_training()
    nlp.update(make_examples(nlp, DRINKS), sgd=optimizer)
    assert not np.array_equal(vectors(nlp), before)
    assert np.array_equal(vectors(spacy.load(source)), before)


def test_a_part_is_taken_by_the_name_of_its_layer(source):
    nlp = begin(make_transfer(source, parts=["torch_encoder"]))
    other = spacy.load(source)
    layers = [
        {node.name: node for node in pipeline.get_pipe("ner").model.walk()}
        for pipeline in (nlp, other)
    ]
    weights = [own["torch_encoder"].shims[0]._model.state_dict() for own in layers]
    assert all(np.array_equal(weights[0][key], weights[1][key]) for key in weights[1])
    assert not np.array_equal(vectors(nlp), vectors(other))  # the embedding is its own


def test_no_path_is_an_error_that_says_what_to_set():
    with pytest.raises(ValueError, match=r"path is null in .*--paths\.transfer"):
        begin(make_transfer(None))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"component": "tagger"}, r"no component 'tagger' in the pipeline; it has ner\."),
        ({"source_component": "tagger"}, r"no component 'tagger' in .*model"),
        ({"parts": ["brain"]}, r"parts names 'brain', of which .* has 0"),
    ],
)
def test_what_is_not_there_is_named(source, settings, message):
    with pytest.raises(ValueError, match=message):
        begin(make_transfer(source, **settings))


def test_a_path_that_is_no_pipeline_is_named():
    with pytest.raises(FileNotFoundError, match=r"path = 'nowhere' in \[initialize\.after_init\]"):
        begin(make_transfer("nowhere"))


def test_layers_of_another_size_are_an_error_and_nothing_is_copied(source):
    model = tagger_model(mamba_tok2vec(width=16))
    plain = begin(lambda nlp: nlp, model)
    nlp = blank_pipeline(model)
    nlp.initialize(lambda: make_examples(nlp, DRINKS))
    with pytest.raises(ValueError, match=r"the part 'tok2vec' of .* does not fit"):
        make_transfer(source)(nlp)
    assert np.array_equal(vectors(nlp), vectors(plain))
