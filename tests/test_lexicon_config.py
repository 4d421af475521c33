"""configs/mamba_crf_lexicon.cfg: it trains on the sample, with the sample's lexicon."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.cli.train import train
from thinc.api import Config

from spacy_mamba_crf.corpora import load_corpus, to_docbin

ROOT = Path(__file__).parent.parent
CONFIGS = ("mamba_crf", "mamba_crf_lexicon", "corpora/sample", "devices/cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config, the sample's parts and its lexicon."""
    folder = tmp_path_factory.mktemp("sample")
    config = Config()
    for name in CONFIGS:
        path = ROOT / "configs" / f"{name}.cfg"
        config = config.merge(Config().from_disk(path, interpolate=False))
    config.to_disk(folder / "config.cfg", interpolate=False)
    corpus = load_corpus("sample", ROOT / "assets" / "sample_zh")
    for part in ("train", "dev"):
        to_docbin(corpus.parts[part][:40], corpus.unit).to_disk(folder / f"{part}.spacy")
    shutil.copy(ROOT / "assets" / "sample_zh" / "lexicon.tsv", folder)
    return folder


def run(folder: Path, **overrides: str | None) -> Path:
    """Train 4 steps, as `spacy train` does, and the folder of the last pipeline."""
    settings = {
        "paths.train": str(folder / "train.spacy"),
        "paths.dev": str(folder / "dev.spacy"),
        "training.max_steps": 4,
        "training.eval_frequency": 4,
        "training.optimizer.learn_rate.warmup_steps": 1,
    }
    train(folder / "config.cfg", folder / "out", overrides=settings | overrides)
    return folder / "out" / "model-last"


def test_the_trained_pipeline_needs_the_lexicons_file_no_more(folder: Path):
    path = folder / "lexicon.tsv"
    terms = {line.split("\t")[0].lower() for line in path.read_text("utf-8").splitlines()}
    model = run(folder, **{"paths.lexicon": str(path)})
    path.unlink()
    ner: Any = spacy.load(model).get_pipe("ner")
    (layer,) = (node for node in ner.model.walk() if node.name == "lexicon_rows")
    assert set(layer.attrs["lexicon"].terms) == terms
    assert layer.get_param("E").any(), "the rows, which start at 0, were not trained"


def test_without_a_lexicon_the_config_key_is_named(folder: Path):
    with pytest.raises(ValueError, match=r"`lexicon` of spacy_mamba_crf\.LexiconEmbed.*is null"):
        run(folder)
