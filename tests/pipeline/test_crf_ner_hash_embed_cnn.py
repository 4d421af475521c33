"""crf_ner over spaCy's own tok2vec, spacy.HashEmbedCNN."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from path_enumeration import enumerate_paths, read_entities
from spacy.cli.train import train as spacy_train
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.util import load_model_from_path
from thinc.api import Config
from toy_pipelines import (
    TEXTS,
    TRAIN_DATA,
    blank_pipeline,
    found,
    found_with_probabilities,
    make_examples,
    tagger_model,
    train,
)

CONFIGS = Path(__file__).parents[2] / "configs"
CNN = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 32,
    "depth": 2,
    "embed_size": 500,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}
FIND_ENTITIES = """
import json, sys, spacy
nlp = spacy.load(sys.argv[1])
docs = nlp.pipe(json.loads(sys.argv[2]))
print(json.dumps([[[e.start, e.end, e.label_, e._.prob] for e in doc.ents] for doc in docs]))
"""


@pytest.fixture(scope="module")
def cnn() -> Language:
    """A pipeline that knows its training data by heart; tests must leave it as it is."""
    nlp = blank_pipeline(tagger_model(CNN, scheme="BIOES"))
    train(nlp, make_examples(nlp), 60)
    return nlp


def test_it_learns_by_heart(cnn: Language):
    for text, annotation in TRAIN_DATA:
        entities = [(ent.start_char, ent.end_char, ent.label_) for ent in cnn(text).ents]
        assert entities == annotation["entities"]


def test_a_fresh_process_finds_the_same_entities_and_probabilities(cnn: Language, tmp_path: Path):
    cnn.to_disk(tmp_path)
    command = [sys.executable, "-c", FIND_ENTITIES, str(tmp_path), json.dumps(TEXTS)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    for text, entities in zip(TEXTS, json.loads(result.stdout.splitlines()[-1])):
        expected = found_with_probabilities(cnn(text))
        assert [entity[:3] for entity in entities] == [list(entity[:3]) for entity in expected]
        probs = [entity[3] for entity in expected]
        assert [entity[3] for entity in entities] == pytest.approx(probs, abs=1e-6)


def test_a_text_gets_the_same_entities_alone_and_in_a_batch(cnn: Language):
    for text, doc in zip(TEXTS, cnn.pipe(TEXTS, batch_size=4)):
        alone = found_with_probabilities(cnn(text))
        batch = found_with_probabilities(doc)
        assert [entity[:3] for entity in batch] == [entity[:3] for entity in alone]
        probs = [entity[3] for entity in alone]
        assert [entity[3] for entity in batch] == pytest.approx(probs, abs=1e-6)


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
@pytest.mark.parametrize("text", ["a b c d", "c a b b", "d b", "d"])
def test_probabilities_agree_with_the_sum_over_all_tag_sequences(scheme: str, text: str):
    nlp = blank_pipeline(tagger_model(CNN, scheme=scheme))
    data = [
        ("a b c d", {"entities": [(0, 7, "X")]}),
        ("b c d a", {"entities": [(0, 1, "Y"), (2, 7, "X")]}),
        ("c a b b", {"entities": [(2, 5, "X"), (6, 7, "X")]}),
    ]
    train(nlp, make_examples(nlp, data), 8)
    predicted = found_with_probabilities(nlp(text))
    paths = enumerate_paths(nlp, nlp.make_doc(text))
    best, _ = max(paths, key=lambda path: path[1])
    assert {ent[:3] for ent in predicted} == read_entities(best)
    for start, end, label, prob in predicted:
        expected = sum(p for path, p in paths if (start, end, label) in read_entities(path))
        assert prob == pytest.approx(expected, abs=1e-6)


def test_texts_without_tokens_train_and_predict():
    nlp = blank_pipeline(tagger_model(CNN))
    train(nlp, make_examples(nlp, [("", {"entities": []}), *TRAIN_DATA]), 2)
    assert [len(doc) for doc in nlp.pipe(["", "London", ""])] == [0, 1, 0]


def test_a_new_label_is_learnt(cnn: Language, tmp_path: Path):
    cnn.to_disk(tmp_path)
    nlp = load_model_from_path(tmp_path)
    nlp.get_pipe("ner").add_label("DRUG")
    data = [*TRAIN_DATA, ("Aspirin helps .", {"entities": [(0, 7, "DRUG")]})]
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.005
    train(nlp, make_examples(nlp, data), 40, optimizer)
    assert found(nlp("Aspirin helps .")) == [("Aspirin", "DRUG")]
    assert found(nlp("I like London and Berlin .")) == [("London", "LOC"), ("Berlin", "LOC")]


def test_the_config_trains_with_spacy_train(tmp_path: Path):
    config = Config()
    for name in ("mamba_crf", "cnn_crf", "corpora/sample", "devices/cpu"):
        config = config.merge(Config().from_disk(CONFIGS / f"{name}.cfg", interpolate=False))
    config.to_disk(tmp_path / "config.cfg")
    blank = spacy.blank("zh")
    data = [("患者服用阿司匹林。", {"entities": [(4, 8, "DRUG")]}), ("有头痛", {"entities": []})]
    docs = [example.reference for example in make_examples(blank, data)]
    DocBin(docs=docs).to_disk(tmp_path / "data.spacy")
    path = str(tmp_path / "data.spacy")
    overrides = {
        "paths.train": path,
        "paths.dev": path,
        "training.max_steps": 60,
        "training.eval_frequency": 30,
    }
    spacy_train(tmp_path / "config.cfg", tmp_path / "out", overrides=overrides)
    nlp = load_model_from_path(tmp_path / "out" / "model-last")
    tok2vec = nlp.config["components"]["ner"]["model"]["tok2vec"]
    assert tok2vec["@architectures"] == "spacy.HashEmbedCNN.v2"
    assert found(nlp("患者服用阿司匹林。")) == [("阿司匹林", "DRUG")]
