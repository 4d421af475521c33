"""Shared data and small documents for the tests of evaluation."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vocab import Vocab


@pytest.fixture(scope="session")
def data(real_data: Callable[[str], Path]) -> Path:
    """The folder of real corpora; the test is skipped where there is none."""
    return real_data("rocling2023").parent


@pytest.fixture(scope="session")
def vocab() -> Vocab:
    return spacy.blank("en").vocab


Chunks = Sequence[tuple[int, int, str]]
MakeExample = Callable[..., Example]


@pytest.fixture
def make_example(vocab: Vocab) -> MakeExample:
    """(length, gold, predicted, missing) -> Example over `length` one-letter words."""

    def make(length: int, gold: Chunks, predicted: Chunks, missing: Chunks = ()) -> Example:
        words = [chr(ord("a") + i % 26) for i in range(length)]
        reference, guess = Doc(vocab, words=words), Doc(vocab, words=words)
        reference.set_ents(
            [Span(reference, *chunk) for chunk in gold],
            missing=[reference[start:end] for start, end, _ in missing],
            default="outside",
        )
        guess.set_ents([Span(guess, *chunk) for chunk in predicted])
        return Example(guess, reference)

    return make
