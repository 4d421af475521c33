"""A BERT that has seen nothing, in the files in which transformers are published."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def save_bert(folder: Path, pieces: Sequence[str], positions: int, **sizes: Any) -> Path:
    """Write weights, config and tokenizer; the vocabulary is SPECIAL and the pieces."""
    folder.mkdir(parents=True)
    vocabulary = list(dict.fromkeys([*SPECIAL, *pieces]))
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        num_attention_heads=2,
        max_position_embeddings=positions,
        initializer_range=0.3,
        **sizes,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=positions)
    tokenizer.save_pretrained(folder)
    return folder
