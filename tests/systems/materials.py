"""Tiny pretrained models, made here, in the forms in which their authors publish them."""

from pathlib import Path

from bert_files import save_bert
from tiny_mamba import make_checkpoints

from spacy_mamba_crf.language_model_training import LMSettings, LMTexts, train_language_models

SAMPLE = Path(__file__).parents[2] / "assets" / "sample_zh" / "sample_FT.txt"


def characters() -> list[str]:
    """The characters of the sample, the most frequent ones first."""
    text = SAMPLE.read_text("utf-8")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row[0]] = counts.get(row[0], 0) + 1
    return sorted(counts, key=lambda character: -counts[character])


def make_bert(folder: Path) -> Path:
    """A BERT of 4 layers of 32, with the characters of the sample."""
    pieces = [*characters(), "as", "##pi", "##rin", "200", "##1"]
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "intermediate_size": 64}
    return save_bert(folder, pieces, 512, **sizes)


def make_language_model(folder: Path) -> Path:
    """Forward and backward language models of the sample's first sentences."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    raw = folder.parent / "sentences.txt"
    rows = [line.split() for line in SAMPLE.read_text("utf-8").splitlines()[:3000]]
    sentences = "".join(row[0] if row else "\n" for row in rows)
    raw.write_text(sentences + "\n", "utf-8")
    settings = LMSettings(width=16, embedding_width=8, vocab_size=500)
    train_language_models(LMTexts([raw], "zh", "NORM", None), folder, settings)
    return folder


def make_mamba(folder: Path) -> Path:
    """A Mamba of two layers with a byte-level tokenizer."""
    return make_checkpoints(folder)["mamba1"]
