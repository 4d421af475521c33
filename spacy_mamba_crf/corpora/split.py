"""The fixed split into train, dev and test: seeded, by sentence, stratified by genre."""

import hashlib
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from .records import Sentence

PARTS = ("train", "dev", "test")


def split_sentences(
    sentences: Iterable[Sentence], *, seed: int = 0, dev: float = 0.1, test: float = 0.1
) -> dict[str, list[Sentence]]:
    """{"train": [...], "dev": [...], "test": [...]}; each part keeps the order of the input.

    Of the n sentences of a genre, dev gets round(n * dev), test round(n * test) (halves up) and
    train the rest: for ROCLING WA22 2563/321/321, FT 1627/204/204, SM 1766/221/221, WA
    1905/238/238. Sentences of the same text (`text_key`) always share a part; where they span
    genres that is train. A group too large for what dev or test still lack is passed over, so the
    sizes hold unless too few single sentences are left. Which sentence goes where is decided by a
    hash of seed, genre and text alone: not by order, file names or Python's hash seed.
    In ROCLING-2022 and 2023 together 3 sentences repeat another letter by letter, and 20 at the
    level of `text_key`.
    Raises ValueError if dev and test leave no share for train.
    """
    if dev < 0 or test < 0 or dev + test >= 1:
        raise ValueError(f"The shares dev={dev} and test={test} must be >= 0 and sum to below 1.")
    sentences = list(sentences)
    strata: dict[str, dict[str, int]] = defaultdict(dict)
    genre_sizes: dict[str, int] = defaultdict(int)
    for key, genres in _genres_by_text(sentences).items():
        for genre, count in genres.items():
            genre_sizes[genre] += count
        if len(genres) == 1:
            genre, count = next(iter(genres.items()))
            strata[genre][key] = count
    part_of: dict[str, str] = {}
    for genre, groups in strata.items():
        wanted = {
            "test": _half_up(genre_sizes[genre] * test),
            "dev": _half_up(genre_sizes[genre] * dev),
        }
        part_of.update(_assign(groups, wanted, seed, genre))
    parts: dict[str, list[Sentence]] = {part: [] for part in PARTS}
    for sentence in sentences:
        parts[part_of.get(text_key(sentence), "train")].append(sentence)
    return parts


def text_key(sentence: Sentence) -> str:
    """The text with width, case, punctuation and spaces levelled: equal for "the same" sentence.

    Sentences without any letter or digit are compared as they are.
    """
    text = " ".join(sentence.tokens)
    level = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())
    return level or text


def shared_texts(first: Iterable[Sentence], second: Iterable[Sentence]) -> int:
    """Number of sentences of `second` whose text (`text_key`) also occurs in `first`."""
    keys = {text_key(sentence) for sentence in first}
    return sum(text_key(sentence) in keys for sentence in second)


def _genres_by_text(sentences: list[Sentence]) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for sentence in sentences:
        groups[text_key(sentence)][sentence.genre] += 1
    return groups


def _assign(
    groups: dict[str, int], wanted: dict[str, int], seed: int, genre: str
) -> dict[str, str]:
    """Text -> "test" or "dev": groups in hash order, each into the first part it still fits."""

    def order(key: str) -> str:
        return hashlib.sha256(f"{seed}\x1f{genre}\x1f{key}".encode()).hexdigest()

    part_of = {}
    for key in sorted(groups, key=order):
        for part, lacking in wanted.items():
            if groups[key] <= lacking:
                part_of[key] = part
                wanted[part] -= groups[key]
                break
    return part_of


def _half_up(x: float) -> int:
    return math.floor(x + 0.5 + 1e-9)
