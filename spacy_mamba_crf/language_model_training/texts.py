"""Raw texts as a stream of tokens, of which some texts are held out; nothing is kept in memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import spacy
from spacy.attrs import NAMES

from ..corpora.raw_texts import check_raw_files, raw_docs

# One text of these many is held out, until there are this many tokens to measure perplexity on.
_EVERY = 50
_ENOUGH = 100_000
# Longer texts are trained on in pieces of this many tokens.
_PIECE = 200


class LMTexts:
    """The texts of some files: a line is a text.

    paths: .txt, .jsonl with a key "text", .xz of these, or .spacy (DocBin) files; lang: language
    of the tokenizer, a blank pipeline's; attr: the token attribute that is modelled; max_tokens:
    what comes after these is not read. Raises ValueError, naming the bad path or value.
    """

    def __init__(self, paths: Sequence[Path], lang: str, attr: str, max_tokens: int | None = None):
        if attr not in NAMES:
            raise ValueError(f'attr = {attr!r} is no token attribute of spaCy; use "NORM" or so.')
        check_raw_files(paths)
        self.paths = list(paths)
        self.nlp = spacy.blank(lang)
        self.attr = attr
        self.max_tokens = max_tokens

    def training(self) -> Iterator[np.ndarray]:
        """(token,) uint64, spaCy's numbers of a piece's tokens, for each piece to train on."""
        for held_out, values in self._texts():
            if not held_out:
                yield from _pieces(values)

    def held_out(self) -> Iterator[np.ndarray]:
        """The same of the texts that are held out."""
        for held_out, values in self._texts():
            if held_out:
                yield from _pieces(values)

    def vocabulary(self, size: int) -> tuple[list[str], int]:
        """At most `size` tokens, the most frequent ones, and how many tokens there are to train on.

        Raises ValueError if there are so few texts that none is held out.
        """
        counts: Counter[int] = Counter()
        any_held_out = False
        for held_out, values in self._texts():
            any_held_out |= held_out
            if not held_out:
                counts.update(values.tolist())
        if not any_held_out:
            raise ValueError(
                f"{', '.join(map(str, self.paths))}: fewer than {_EVERY} texts, of which one is "
                "held out. A line is a text: give more lines, or a larger max_tokens."
            )
        strings = self.nlp.vocab.strings
        by_token = {strings[number]: count for number, count in counts.items()}
        # Of equally frequent ones those of lower code points, so that it is always the same.
        frequent = sorted(by_token, key=lambda token: (-by_token[token], token))[:size]
        return frequent, counts.total()

    def _texts(self) -> Iterator[tuple[bool, np.ndarray]]:
        """(whether it is held out, token numbers) of each text that is not empty."""
        tokens = held_out_tokens = 0
        for number, doc in enumerate(raw_docs(self.paths, self.nlp), start=1):
            values = doc.to_array(self.attr).reshape(-1).astype("uint64")
            held_out = number % _EVERY == 0 and held_out_tokens < _ENOUGH
            held_out_tokens += len(values) * held_out
            tokens += len(values)
            yield held_out, values
            if self.max_tokens is not None and tokens >= self.max_tokens:
                return


def _pieces(values: np.ndarray) -> list[np.ndarray]:
    return [values[start : start + _PIECE] for start in range(0, len(values), _PIECE)]
