"""Tiny Mamba checkpoints with a byte-level tokenizer, and docs that are hard to align."""

from pathlib import Path

import torch
from spacy.tokens import Doc
from spacy.vocab import Vocab
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import Mamba2Config, Mamba2ForCausalLM, MambaConfig, MambaForCausalLM

WIDTH = 32
VOCABULARY = 320
TEXT = "Patients like aspirin and ibuprofen in Berlin. 患者服用阿司匹林。"
# Words of several sub-words, tokens that share one, a character of several, white space, nothing.
TOKENS = [
    ["Patients", "like", "aspirinate", "!"],
    ["患", "者", "服", "龘", "x", "y", "😀"],
    [],
    [" "],
    ["a", "  ", "b"],
]


def byte_level_bpe() -> Tokenizer:
    """A small one of GPT-NeoX's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 3, trainer)
    return tokenizer


def make_checkpoints(root: Path) -> dict[str, Path]:
    """A Mamba and a Mamba-2 of two layers in the -hf format, each with a tokenizer."""
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY, "hidden_size": WIDTH, "num_hidden_layers": 2}
    heads = {"num_heads": 4, "head_dim": 16, "n_groups": 1}
    MambaForCausalLM(MambaConfig(**sizes, state_size=8)).save_pretrained(root / "mamba1")
    Mamba2ForCausalLM(Mamba2Config(**sizes, **heads, state_size=8)).save_pretrained(root / "mamba2")
    for name in ("mamba1", "mamba2"):
        byte_level_bpe().save(str(root / name / "tokenizer.json"))
    return {name: root / name for name in ("mamba1", "mamba2")}


def make_docs(tokens: list[list[str]] = TOKENS, spaces: bool = False) -> list[Doc]:
    """One doc a list of words."""
    vocab = Vocab()
    return [Doc(vocab, words=words, spaces=[spaces] * len(words)) for words in tokens]


def overlapping(doc: Doc, offsets: list[tuple[int, int]]) -> list[list[int]]:
    """For each token the sub-words that share a character with it, by enumeration."""
    return [
        [
            i
            for i, (start, end) in enumerate(offsets)
            if set(range(start, end)) & set(range(token.idx, token.idx + len(token)))
        ]
        for token in doc
    ]
