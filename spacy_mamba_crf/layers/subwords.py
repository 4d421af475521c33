"""The sub-words of docs, as a tokenizer.json (of the package tokenizers) cuts them, and which
tokens they overlap."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from spacy.tokens import Doc

if TYPE_CHECKING:  # an extra, imported where it is used
    from tokenizers import Tokenizer

FILE = "tokenizer.json"
POOLINGS = ("mean", "last", "first")


class Pairs(NamedTuple):
    """Overlapping sub-words and tokens, and the sub-word's share in the token's vector.

    subwords, tokens: (pair,) int64; weights: (pair,) float32.
    """

    subwords: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray


class Subwords(NamedTuple):
    """The sub-words of a batch of docs, side by side.

    ids: (subword,) int64; lengths: (doc,) int64, how many each doc has; first, stop: (token,)
    int64, the sub-words that overlap each token are `covering[first:stop]`.
    """

    ids: np.ndarray
    lengths: np.ndarray
    covering: np.ndarray
    first: np.ndarray
    stop: np.ndarray

    def pairs(self, pooling: str, reverse: bool = False) -> Pairs:
        """Which sub-words make up each token: all ("mean"), or the "first" or "last" that is read.

        reverse: the text is read from its end, so that its last sub-word is the first that is read.
        """
        counts = self.stop - self.first
        tokens = np.flatnonzero(counts)
        if pooling == "mean":
            tokens = np.repeat(np.arange(len(counts)), counts)
            starts = np.repeat(self.first - (counts.cumsum() - counts), counts)
            return Pairs(
                self.covering[starts + np.arange(len(tokens))],
                tokens,
                (1 / counts[tokens]).astype("float32"),
            )
        chosen = self.first if (pooling == "first") != reverse else self.stop - 1
        weights = np.ones(len(tokens), dtype="float32")
        return Pairs(self.covering[chosen[tokens]], tokens, weights)


def cut(docs: list[Doc], tokenizer_json: str) -> Subwords:
    """Cut the docs' texts into sub-words, without special ones, and align these to their tokens.

    A sub-word overlaps a token if they share a character. White space may have none.
    """
    tokenizer = _tokenizer(tokenizer_json)
    ids, lengths, edges, places = [], [], [], []
    shift = 0  # texts are laid out side by side, so that one search finds the sub-words of all
    for doc in docs:
        found = tokenizer.encode(doc.text, add_special_tokens=False)
        ids.append(np.array(found.ids, dtype="int64"))
        lengths.append(len(found.ids))
        edges.append(np.array(found.offsets, dtype="int64").reshape(-1, 2) + shift)
        place = doc.to_array(["IDX", "LENGTH"]).astype("int64").reshape(-1, 2)
        places.append(place + np.array([shift, 0]))
        shift += len(doc.text)
    start, end = _columns(edges)
    token_start, token_length = _columns(places)
    covering = np.flatnonzero(end > start)
    first = np.searchsorted(end[covering], token_start, side="right")
    stop = np.searchsorted(start[covering], token_start + token_length, side="left")
    all_ids = np.concatenate([np.zeros(0, dtype="int64"), *ids])
    return Subwords(all_ids, np.array(lengths, dtype="int64"), covering, first, stop)


def read_tokenizer(folder: str | Path, name: str | None, vocab_size: int) -> str:
    """The content of a tokenizer.json, for `cut`, without truncation and padding.

    It is in the checkpoint's folder, or in the folder or file that `name` gives; a name that is no
    local path is looked up in the Hugging Face hub. Raises ValueError if there is none, it cannot
    be read, or it has more sub-words than the `vocab_size` rows of the embedding; ImportError if
    the package tokenizers is missing.
    """
    Tokenizer = _import_tokenizers()
    path = Path(folder if name is None else name)
    path = path / FILE if path.is_dir() else path
    if name is None and not path.is_file():
        raise ValueError(
            f"The checkpoint folder {folder} has no {FILE}. state-spaces checkpoints come without: "
            "set the config's `tokenizer` to a folder or file that has GPT-NeoX's, or to "
            '"EleutherAI/gpt-neox-20b" to download it.'
        )
    local = path.is_file()
    if not local and (path.is_absolute() or path.suffix == ".json"):
        raise ValueError(
            f"The config's `tokenizer` is {name}, but there is no file {path}; correct it."
        )
    try:
        tokenizer = Tokenizer.from_file(str(path)) if local else Tokenizer.from_pretrained(name)
    except Exception as error:  # the package raises nothing more special
        raise ValueError(f"The tokenizer {path if local else name} cannot be read: {error}") from (
            error
        )
    if tokenizer.get_vocab_size() > vocab_size:
        raise ValueError(
            f"The tokenizer {path if local else name} has {tokenizer.get_vocab_size()} sub-words, "
            f"but the checkpoint {folder} embeds {vocab_size}; they do not belong together."
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer.to_str()


@functools.lru_cache(maxsize=8)
def _tokenizer(content: str) -> "Tokenizer":
    return _import_tokenizers().from_str(content)


def _import_tokenizers() -> "type[Tokenizer]":
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ImportError(
            "spacy_mamba_crf.PretrainedMamba.v1 needs the package tokenizers: "
            "pip install spacy-mamba-crf[transformers]"
        ) from error
    return Tokenizer


def _columns(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Both columns of (row, 2) arrays, one below the other."""
    joined = np.concatenate([np.zeros((0, 2), dtype="int64"), *parts])
    return joined[:, 0], joined[:, 1]
