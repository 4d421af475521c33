"""Tiny pretrained models, made here, in the forms in which their authors publish them."""

from pathlib import Path

import torch

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
    """A BERT of 4 layers of 32 that has seen nothing, with the sample's characters and word pieces."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *characters(), "as", "##pi", "##rin", "200", "##1"]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(pieces)) + "\n", "utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(dict.fromkeys(pieces)),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)
    return folder


def make_language_model(folder: Path) -> Path:
    """To be replaced when there is something to make it with."""
    raise NotImplementedError


def make_mamba(folder: Path) -> Path:
    raise NotImplementedError
