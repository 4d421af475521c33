"""`spacy pretrain` on a Mamba tok2vec, and training that starts from its weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from spacy.language import DEFAULT_CONFIG_PRETRAIN_PATH, Language
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.pretrain import pretrain
from spacy.util import load_config
from thinc.api import Config, Model, fix_random_seed
from toy_pipelines import (
    TRAIN_DATA,
    blank_pipeline,
    embedder,
    encoder,
    found,
    make_examples,
    train,
)

TEXTS = ["I like London .", "Shaka Khan lives in New York City .", "", "患者服用阿司匹林"] * 4


@spacy.registry.readers("toy_corpus.v1")
def make_toy_corpus() -> Callable[[Language], list[Example]]:
    """A reader of the toy training data, for configs."""
    return make_examples


def weights(model: Model) -> dict[str, np.ndarray]:
    """Every parameter of a tok2vec by name, those of torch included."""
    found = {}
    for number, node in enumerate(model.walk()):
        for name in node.param_names:
            found[f"{number}.{node.name}.{name}"] = node.get_param(name).copy()
        for shim in node.shims:
            for name, value in shim._model.named_parameters():
                found[f"{number}.{node.name}.{name}"] = value.detach().numpy().copy()
    return found


def pretraining_config(raw_text: Path, init_tok2vec: Path | None) -> Config:
    """The config of a crf_ner pipeline that can be pretrained on raw text and then trained."""
    config = blank_pipeline().config.copy()
    config["initialize"]["init_tok2vec"] = str(init_tok2vec) if init_tok2vec else None
    config["corpora"] = {
        "train": {"@readers": "toy_corpus.v1"},
        "dev": {"@readers": "toy_corpus.v1"},
        "pretrain": {"@readers": "spacy.JsonlCorpus.v1", "path": str(raw_text), "limit": 0},
    }
    pretraining = load_config(DEFAULT_CONFIG_PRETRAIN_PATH)["pretraining"]
    objective = {
        "@architectures": "spacy.PretrainCharacters.v1",
        "maxout_pieces": 2,
        "hidden_size": 16,
        "n_characters": 2,
    }
    batcher = {"@batchers": "spacy.batch_by_words.v1", "size": 40, "discard_oversize": False}
    settings = {
        "component": "ner",
        "layer": "tok2vec",
        "max_epochs": 4,
        "corpus": "corpora.pretrain",
    }
    config["pretraining"] = {
        **pretraining,
        **settings,
        "objective": objective,
        "batcher": {**batcher, "tolerance": 0.2, "get_length": None},
    }
    return config.interpolate()


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The raw texts, and the folder that `spacy pretrain` wrote."""
    folder = tmp_path_factory.mktemp("pretraining")
    raw = folder / "raw.jsonl"
    srsly.write_jsonl(raw, [{"text": text} for text in TEXTS])
    out = folder / "out"
    out.mkdir()
    pretrain(pretraining_config(raw, None), out, use_gpu=-1, silent=True)
    return raw, out


def initialized(config: Config) -> Language:
    """The pipeline that training would start from."""
    fix_random_seed(0)
    return init_nlp(config)


def test_pretraining_lowers_its_loss_and_writes_the_weights(pretrained: tuple[Path, Path]):
    _, folder = pretrained
    log = list(srsly.read_jsonl(folder / "log.jsonl"))
    first, *_, last = [row["epoch_loss"] for row in log if row["epoch_loss"]]
    assert last < first
    assert (folder / "model-last.bin").exists()


def test_training_starts_from_the_pretrained_weights(pretrained: tuple[Path, Path]):
    raw, folder = pretrained
    fresh = initialized(pretraining_config(raw, None))
    primed = initialized(pretraining_config(raw, folder / "model-last.bin"))
    before, after = (
        weights(nlp.get_pipe("ner").model.get_ref("tok2vec")) for nlp in (fresh, primed)
    )
    assert set(before) == set(after)
    unchanged = [name for name in before if np.array_equal(before[name], after[name])]
    assert unchanged == []
    examples = make_examples(primed, TRAIN_DATA)
    train(primed, examples, 60, primed.resume_training())
    assert found(primed("I like London .")) == [("London", "LOC")]


def test_the_loaded_weights_are_those_of_the_file(pretrained: tuple[Path, Path]):
    raw, folder = pretrained
    primed = initialized(pretraining_config(raw, folder / "model-last.bin"))
    tok2vec = spacy.registry.architectures.get("spacy.Tok2Vec.v2")
    architectures = spacy.registry.resolve({"embed": embedder(), "encode": encoder()})
    alone = tok2vec(**architectures).initialize()
    alone.from_bytes((folder / "model-last.bin").read_bytes())
    expected = weights(alone)
    loaded = weights(primed.get_pipe("ner").model.get_ref("tok2vec"))
    assert list(expected) == list(loaded)
    for name, value in expected.items():
        np.testing.assert_array_equal(loaded[name], value, err_msg=name)
