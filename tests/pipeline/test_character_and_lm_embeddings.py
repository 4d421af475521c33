"""Character encoders, frozen language models and the loss of a language model inside crf_ner."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from toy_pipelines import (
    TEXTS,
    TRAIN_DATA,
    blank_pipeline,
    embedder,
    found,
    make_examples,
    mamba_tok2vec,
    tagger_model,
    train,
    trained_pipeline,
)

from spacy_mamba_crf.language_model_training import LMSettings, LMTexts, train_language_models
from spacy_mamba_crf.pytorch.char_encoder import KINDS


def beside_words(part: dict) -> dict:
    """The config of a tok2vec whose embedding, 32 wide, is 20 of words and 12 of another part."""
    embed = {"@layers": "concatenate.v1", "*": {"words": embedder(20), "other": part}}
    return {**mamba_tok2vec(), "embed": embed}


def lm_loss_tok2vec(weight: float) -> dict:
    encode = {"@architectures": "spacy_mamba_crf.RecurrentEncoder.v1", "width": 32, "depth": 1}
    return {
        "@architectures": "spacy_mamba_crf.LMLoss.v1",
        "embed": {**embedder(32), "rows": [500]},
        "encode": encode,
        "rows": 50,
        "weight": weight,
    }


@pytest.fixture(scope="module")
def lm_folder(tmp_path_factory) -> Path:
    """Language models of 6 units in each direction, barely trained."""
    folder = tmp_path_factory.mktemp("lm")
    path = folder / "text.txt"
    path.write_text("\n".join(text for text, _ in TRAIN_DATA * 15))
    texts = LMTexts([path], "xx", "NORM")
    train_language_models(texts, folder / "lm", LMSettings(width=6, embedding_width=4))
    return folder / "lm"


def entities(nlp) -> list[list[tuple[str, str]]]:
    return [found(doc) for doc in nlp.pipe(TEXTS)]


LOAD = """
import sys, spacy
nlp = spacy.load(sys.argv[1])
print([[(ent.text, ent.label_) for ent in doc.ents] for doc in nlp.pipe(eval(sys.argv[2]))])
"""


def entities_in_a_fresh_process(folder: Path) -> list[list[tuple[str, str]]]:
    command = [sys.executable, "-c", LOAD, str(folder), repr(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return eval(done.stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_characters_beside_words_learn_and_load_again(kind, tmp_path):
    part = {"@architectures": "spacy_mamba_crf.CharEncoder.v1", "width": 12, "kind": kind}
    nlp = trained_pipeline(model=tagger_model(beside_words(part)))
    expected = entities(nlp)
    assert ("London", "LOC") in expected[1]
    nlp.to_disk(tmp_path)
    assert entities(spacy.load(tmp_path)) == expected


def test_a_pipeline_with_language_models_needs_their_folder_in_training_only(lm_folder, tmp_path):
    copied = tmp_path / "lm"
    shutil.copytree(lm_folder, copied)
    part = {"@architectures": "spacy_mamba_crf.StaticLM.v1", "path": str(copied)}
    nlp = trained_pipeline(model=tagger_model(beside_words(part)))
    expected = entities(nlp)
    assert ("London", "LOC") in expected[1]
    nlp.to_disk(tmp_path / "pipeline")
    shutil.rmtree(copied)
    assert entities_in_a_fresh_process(tmp_path / "pipeline") == expected


def test_a_missing_folder_is_an_error_when_the_pipeline_is_initialized(tmp_path):
    part = {"@architectures": "spacy_mamba_crf.StaticLM.v1", "path": str(tmp_path / "none")}
    nlp = blank_pipeline(tagger_model(beside_words(part)))
    with pytest.raises(ValueError, match="none, which is no folder"):
        nlp.initialize(lambda: make_examples(nlp))


def test_the_loss_of_a_language_model_falls_while_the_entities_are_learnt(tmp_path):
    nlp = blank_pipeline(tagger_model(lm_loss_tok2vec(weight=0.5)))
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.005
    attrs = nlp.get_pipe("ner").model.get_ref("tok2vec").attrs
    train(nlp, examples, 1, optimizer)
    first = attrs["lm_loss"]
    train(nlp, examples, 60, optimizer)
    assert attrs["lm_loss"] < 0.5 * first
    expected = entities(nlp)
    assert ("London", "LOC") in expected[1]
    nlp.to_disk(tmp_path)
    assert entities(spacy.load(tmp_path)) == expected
