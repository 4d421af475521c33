"""A Mamba tok2vec shared by crf_ner and spaCy's tagger through listeners."""

from pathlib import Path

import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2Vec, Tok2VecListener
from spacy.util import load_model_from_config
from thinc.api import fix_random_seed
from toy_pipelines import (
    TEXTS,
    WIDTH,
    found,
    found_with_probabilities,
    listener,
    make_examples,
    mamba_tok2vec,
    tagger_model,
    train,
)

DATA = [
    ("I like London", {"tags": ["N", "V", "N"], "entities": [(7, 13, "LOC")]}),
    ("Shaka eats ham", {"tags": ["N", "V", "N"], "entities": [(0, 5, "PERSON")]}),
]


def shared_pipeline() -> Language:
    """tok2vec, crf_ner and tagger, untrained."""
    fix_random_seed(0)
    tagger = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener(), "nO": None}
    config = {
        "nlp": {"lang": "xx", "pipeline": ["tok2vec", "ner", "tagger"]},
        "components": {
            "tok2vec": {"factory": "tok2vec", "model": mamba_tok2vec()},
            "ner": {"factory": "crf_ner", "model": tagger_model(listener())},
            "tagger": {"factory": "tagger", "model": tagger},
        },
    }
    return load_model_from_config(config, auto_fill=True, validate=True)


def listens(nlp: Language, name: str) -> bool:
    """Whether a component has a listener in its model."""
    return any(isinstance(node, Tok2VecListener) for node in nlp.get_pipe(name).model.walk())


@pytest.fixture(scope="module")
def shared() -> Language:
    """tok2vec, crf_ner and tagger, which know DATA by heart; tests must leave it as it is."""
    nlp = shared_pipeline()
    train(nlp, make_examples(nlp, DATA), 70, annotates=["tok2vec"])
    return nlp


@pytest.fixture(scope="module")
def shared_folder(shared: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared") / "pipeline"
    shared.to_disk(folder)
    return folder


def test_the_tok2vec_finds_its_listeners():
    nlp = shared_pipeline()
    nlp.initialize(lambda: make_examples(nlp, DATA))
    tok2vec = nlp.get_pipe("tok2vec")
    assert isinstance(tok2vec, Tok2Vec)
    assert tok2vec.listening_components == ["ner", "tagger"]
    assert tok2vec.listener_map["ner"] == [nlp.get_pipe("ner").model.get_ref("tok2vec")]


def test_the_listener_hears_what_the_tok2vec_says(shared: Language):
    doc = shared("Running the pipeline as a whole .")
    heard = shared.get_pipe("ner").model.get_ref("tok2vec").predict([doc])[0]
    assert_allclose(doc.tensor, heard)
    assert doc.tensor.shape == (7, WIDTH)


def test_backprop_runs_through_the_listener():
    nlp = shared_pipeline()
    examples = make_examples(nlp, DATA)
    nlp.initialize(lambda: examples)
    nlp.get_pipe("tok2vec").update(examples)
    scores, backprop = nlp.get_pipe("ner").model.begin_update([eg.predicted for eg in examples])
    assert backprop(scores) is not None


def test_both_components_learn_by_heart(shared: Language):
    doc = shared("I like London")
    assert found(doc) == [("London", "LOC")]
    assert [token.tag_ for token in doc] == ["N", "V", "N"]


def test_saving_and_batches_change_nothing(shared: Language, shared_folder: Path):
    loaded = spacy.load(shared_folder)
    expected = [found_with_probabilities(shared(text)) for text in TEXTS]
    assert [found_with_probabilities(loaded(text)) for text in TEXTS] == expected
    for doc, entities in zip(shared.pipe(TEXTS, batch_size=3), expected):
        assert [ent[:3] for ent in found_with_probabilities(doc)] == [ent[:3] for ent in entities]


def test_empty_texts_in_the_batch_are_fine():
    nlp = shared_pipeline()
    data = [("", {"tags": [], "entities": []}), *DATA, ("", {"tags": [], "entities": []})]
    assert train(nlp, make_examples(nlp, data), 3)["ner"] > 0
    empty = make_examples(nlp, data[:1])
    train(nlp, empty, 2, nlp.resume_training())
    assert len(nlp("")) == 0


def test_texts_without_entity_annotation_in_the_batch_are_fine():
    nlp = shared_pipeline()
    data = [*DATA, ("Who knows", {"tags": ["N", "V"]})]
    assert train(nlp, make_examples(nlp, data), 3)["ner"] > 0


def test_a_disabled_tok2vec_does_not_break_the_listener(shared_folder: Path):
    nlp = spacy.load(shared_folder, disable=["tok2vec"])
    assert nlp.pipe_names == ["ner", "tagger"]
    nlp("Running the pipeline without its tok2vec .")


def test_a_frozen_tok2vec_that_does_not_annotate_raises():
    nlp = shared_pipeline()
    examples = make_examples(nlp, DATA)
    optimizer = nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match="the tok2vec embedding layer is not updated"):
        nlp.update(examples, sgd=optimizer, exclude=["tok2vec"])


def test_a_frozen_tok2vec_that_annotates_stays_as_it_is_while_the_rest_learns():
    nlp = shared_pipeline()
    examples = make_examples(nlp, DATA)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.02
    before = nlp.get_pipe("tok2vec").model.to_bytes()
    train(nlp, examples, 80, optimizer, exclude=["tok2vec"], annotates=["tok2vec"])
    assert nlp.get_pipe("tok2vec").model.to_bytes() == before
    assert found(nlp("I like London")) == [("London", "LOC")]


def test_replace_listeners_gives_the_component_its_own_copy(shared: Language, shared_folder: Path):
    nlp = spacy.load(shared_folder)
    nlp.replace_listeners("tok2vec", "ner", ["model.tok2vec"])
    assert not listens(nlp, "ner")
    assert listens(nlp, "tagger")
    assert nlp.get_pipe("tok2vec").listening_components == ["tagger"]
    components = nlp.config["components"]
    assert components["ner"]["model"]["tok2vec"] == components["tok2vec"]["model"]
    for text in TEXTS:
        assert found_with_probabilities(nlp(text)) == found_with_probabilities(shared(text))


@pytest.mark.parametrize(
    "arguments",
    [
        ("invalid", "ner", ["model.tok2vec"]),
        ("tok2vec", "parser", ["model.tok2vec"]),
        ("tok2vec", "ner", ["model.yolo"]),
        ("tok2vec", "ner", ["model.tok2vec", "model.yolo"]),
    ],
)
def test_replace_listeners_refuses_what_is_not_there(arguments):
    with pytest.raises(ValueError):
        shared_pipeline().replace_listeners(*arguments)


def test_a_component_with_replaced_listeners_trains_and_saves(shared_folder: Path, tmp_path: Path):
    nlp = spacy.load(shared_folder)
    nlp.replace_listeners("tok2vec", "ner", ["model.tok2vec"])
    examples = make_examples(nlp, DATA)
    train(nlp, examples, 5, nlp.resume_training())
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    expected = found_with_probabilities(nlp("I like London"))
    assert found_with_probabilities(loaded("I like London")) == expected
    losses = train(nlp, examples, 2)  # initialised anew
    assert losses["ner"] > 0


def test_components_can_be_sourced_with_and_without_their_listeners(shared_folder: Path):
    source = {"source": str(shared_folder)}
    config = {
        "nlp": {"lang": "xx", "pipeline": ["tok2vec", "ner2", "tagger3", "ner4"]},
        "components": {
            "tok2vec": source,
            "ner2": {**source, "component": "ner", "replace_listeners": ["model.tok2vec"]},
            "tagger3": {**source, "component": "tagger"},
            "ner4": {**source, "component": "ner"},
        },
    }
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.pipe_names == ["tok2vec", "ner2", "tagger3", "ner4"]
    assert nlp.get_pipe("tok2vec").listening_components == ["tagger3", "ner4"]
    assert not listens(nlp, "ner2")
    assert listens(nlp, "ner4")
    components = nlp.config["components"]
    assert components["ner2"]["model"]["tok2vec"] == components["tok2vec"]["model"]
    assert components["ner4"]["model"]["tok2vec"]["@architectures"] == "spacy.Tok2VecListener.v1"
    assert found(nlp("I like London")) == [("London", "LOC")]
    nlp.initialize(lambda: make_examples(nlp, DATA))


def test_a_sourced_component_joins_another_pipeline(shared_folder: Path):
    source = spacy.load(shared_folder)
    nlp = spacy.blank("xx")
    nlp.add_pipe("tok2vec", source=source)
    nlp.add_pipe("ner", name="entities", source=source)
    assert nlp.get_pipe("tok2vec").listening_components == ["entities"]
    assert found(nlp("I like London")) == [("London", "LOC")]
    nlp.remove_pipe("entities")
    assert nlp.get_pipe("tok2vec").listening_components == []


def test_the_tok2vec_learns_from_the_entities_alone():
    nlp = shared_pipeline()
    nlp.remove_pipe("tagger")
    examples = make_examples(nlp, DATA)
    optimizer = nlp.initialize(lambda: examples)
    before = nlp.get_pipe("tok2vec").model.to_bytes()
    losses = train(nlp, examples, 60, optimizer)
    assert nlp.get_pipe("tok2vec").model.to_bytes() != before
    assert losses["ner"] < 1.0
