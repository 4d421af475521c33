"""Each system of configs/ trains on the sample, and is the same after it was saved and loaded.

A few steps on a few sentences: enough to reach every layer, forwards and back.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from materials import make_bert, make_language_model, make_mamba
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import load_model_from_config
from thinc.api import Config, fix_random_seed

from spacy_mamba_crf.configs import merge_configs
from spacy_mamba_crf.corpora import create_bio_corpus

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
SAMPLE = ROOT / "assets" / "sample_zh"
SYSTEMS = sorted(path.stem for path in CONFIGS.glob("*.cfg") if path.stem != "curves")
TRANSFORMERS = [
    name
    for name in SYSTEMS
    if "transformer" in merge_configs([CONFIGS / f"{name}.cfg"])["components"]
]
TEXTS = [
    "",
    "病",
    "患者服用 aspirin 200毫克，龘靐！",
    "   ",
    "高血壓、糖尿病與氣喘的患者，每日量血壓。" * 3,
]
STEPS = 6


class Materials:
    """What a system needs beside its config, made once."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._made: dict[str, str] = {}

    def __call__(self, name: str, make: Callable[[Path], Path]) -> str:
        if name not in self._made:
            self._made[name] = str(make(self.folder / name))
        return self._made[name]


@pytest.fixture(scope="session")
def materials(tmp_path_factory) -> Materials:
    return Materials(tmp_path_factory.mktemp("materials"))


@pytest.fixture(scope="session")
def raw() -> Path:
    return SAMPLE / "sample_FT.txt"


def settings(system: str, materials: Materials, raw: Path) -> dict[str, Any]:
    """What the config leaves to its user, and sizes for a test."""
    found: dict[str, Any] = {"paths.train": str(raw), "paths.dev": None}
    if system in TRANSFORMERS:
        found["paths.transformer"] = materials("bert", make_bert)
        found["transformer.width"] = 32
        found["components.transformer.model.mixed_precision"] = False
    if system in ("yang2016", "yang2016_no_chars", "mamba_crf_lexicon"):
        found["paths.lexicon"] = str(SAMPLE / "lexicon.tsv")
    if system == "yang2017":
        found["paths.transfer"] = materials(
            "source", lambda path: untrained("yang2016_no_gazetteer", path, raw)
        )
    if system == "peters2017":
        found["paths.language_model"] = materials("language_model", make_language_model)
        found["second.input_width"] = 256 + 2 * 16
    if system in ("pretrained_mamba_crf", "mamba_2.8b_crf"):
        found["paths.mamba"] = materials("mamba", make_mamba)
        found["encoder.input_width"] = 2 * 32
    return found


def untrained(system: str, path: Path, raw: Path) -> Path:
    """A pipeline that was only initialized."""
    nlp, _ = initialized(system, {"paths.train": str(raw), "paths.dev": None})
    nlp.to_disk(path)
    return path


def initialized(system: str, overrides: dict[str, Any]) -> tuple[Language, Config]:
    """The pipeline of a system, with the corpus read from the raw file."""
    fix_random_seed(0)
    paths = [CONFIGS / f"{system}.cfg", CONFIGS / "corpora/sample.cfg", CONFIGS / "devices/cpu.cfg"]
    if system == "spacy_ner":
        del paths[1]  # which has a schedule for an optimizer that this config leaves to spaCy
    config = merge_configs(paths)
    if system == "spacy_ner":  # which leaves everything to spaCy
        config = load_model_from_config(config, auto_fill=True).config
    reader = {"@readers": "spacy_mamba_crf.BIOCorpus.v1", "path": "${paths.train}"}
    config = config.merge({"corpora": {"train": reader, "dev": reader}})
    config = Config().from_str(config.to_str(), interpolate=False, overrides=overrides)
    return init_nlp(config), config


def sentences(nlp: Language, number: int = 12) -> list[Example]:
    examples = list(create_bio_corpus(SAMPLE / "sample_FT.txt")(nlp))
    return [example for example in examples if example.reference.ents][:number]


def learn(nlp: Language, examples: list[Example]) -> list[float]:
    """The loss of each step on the same examples."""
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.003
    found = []
    for _ in range(STEPS):
        losses: dict[str, float] = {}
        nlp.update(examples, sgd=optimizer, losses=losses, drop=0.1)
        found.append(losses["ner"])
    return found


def emissions(nlp: Language) -> list[np.ndarray]:
    """The scores of all tags for all texts, from the recogniser's model."""
    docs = [nlp.make_doc(text) for text in TEXTS]
    for name, pipe in nlp.pipeline:
        if name == "ner":
            return pipe.model.predict(docs)
        docs = [pipe(doc) for doc in docs]
    raise AssertionError("there is no component ner")


def entities(docs: list[Doc]) -> list[list[tuple[int, int, str]]]:
    return [[(ent.start, ent.end, ent.label_) for ent in doc.ents] for doc in docs]


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_system_learns_from_the_sample_and_is_the_same_once_saved_and_loaded(
    system, materials, raw, tmp_path
):
    nlp, _ = initialized(system, settings(system, materials, raw))
    losses = learn(nlp, sentences(nlp))
    assert losses[-1] < losses[0]
    nlp.to_disk(tmp_path / "model")
    again = spacy.load(tmp_path / "model")
    assert entities(list(again.pipe(TEXTS))) == entities(list(nlp.pipe(TEXTS)))
    if system != "spacy_ner":
        ner = again.get_pipe("ner")
        ner.threshold = nlp.get_pipe("ner").threshold = 0.01  # so that there is something to find
        assert any(entities(list(again.pipe(TEXTS))))
        for one, other in zip(emissions(nlp), emissions(again)):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("system", TRANSFORMERS)
def test_a_transformer_reads_a_text_longer_than_its_positions_to_the_end(system, materials, raw):
    nlp, _ = initialized(system, settings(system, materials, raw))
    learn(nlp, sentences(nlp))
    doc = nlp(TEXTS[2] * 60)
    assert len(doc) > 1000
    scores = nlp.get_pipe("ner").model.predict([doc])[0]
    assert len(scores) == len(doc)
    assert len(np.unique(scores[-10:], axis=0)) > 1
