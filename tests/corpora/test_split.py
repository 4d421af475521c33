"""The split: a stable partition by genre, without a text in two parts; and cutting by length."""

import os
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_mamba_crf.chunks import bio_tags
from spacy_mamba_crf.corpora import Sentence, split_sentences
from spacy_mamba_crf.corpora.pieces import split_long
from spacy_mamba_crf.corpora.split import shared_texts, text_key


def sentence(text: str, genre: str = "FT", line: int = 1) -> Sentence:
    return Sentence(tuple(text), ("O",) * len(text), "a.txt", line, genre)


def numbered(n: int, genre: str = "FT") -> list[Sentence]:
    return [sentence(f"{genre}{i}", genre, i) for i in range(1, n + 1)]


texts = st.lists(
    st.tuples(
        st.sampled_from(["痛", "痛！", "Ａ", "a", "腎", "臟", "！", "？"]), st.sampled_from("XY")
    ),
    max_size=40,
)


def test_each_genre_is_split_80_10_10() -> None:
    parts = split_sentences(numbered(205, "FT") + numbered(40, "SM"))
    assert {p: Counter(s.genre for s in parts[p]) for p in parts} == {
        "train": {"FT": 163, "SM": 32},
        "dev": {"FT": 21, "SM": 4},
        "test": {"FT": 21, "SM": 4},
    }


@given(texts, st.integers(0, 3))
def test_the_parts_are_a_partition(pairs: list[tuple[str, str]], seed: int) -> None:
    sentences = [sentence(text, genre, i) for i, (text, genre) in enumerate(pairs)]
    parts = split_sentences(sentences, seed=seed)
    assert sorted(s.line for part in parts.values() for s in part) == list(range(len(pairs)))


@given(texts)
def test_no_text_is_in_two_parts(pairs: list[tuple[str, str]]) -> None:
    parts = split_sentences([sentence(text, genre) for text, genre in pairs], dev=0.3, test=0.3)
    assert shared_texts(parts["train"], parts["test"] + parts["dev"]) == 0
    assert shared_texts(parts["dev"], parts["test"]) == 0


@settings(deadline=None)
@given(texts, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    pairs: list[tuple[str, str]], rng: random.Random
) -> None:
    sentences = [sentence(text, genre, i) for i, (text, genre) in enumerate(pairs)]
    shuffled = sentences[:]
    rng.shuffle(shuffled)
    one, other = split_sentences(sentences), split_sentences(shuffled)
    assert {p: {s.line for s in one[p]} for p in one} == {
        p: {s.line for s in other[p]} for p in other
    }


def test_another_seed_gives_another_split() -> None:
    sentences = numbered(100)
    assert split_sentences(sentences, seed=0)["test"] != split_sentences(sentences, seed=1)["test"]


def test_hash_randomisation_does_not_matter() -> None:
    code = (
        "from spacy_mamba_crf.corpora import Sentence, split_sentences\n"
        "s = [Sentence((str(i),), ('O',), 'a', i, 'g' + str(i % 3)) for i in range(60)]\n"
        "print([x.line for x in split_sentences(s)['test']])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_text_of_two_genres_goes_to_train() -> None:
    both = [sentence("痛。", "FT", 901), sentence("痛", "SM", 902)]
    parts = split_sentences(both + numbered(8, "FT") + numbered(8, "SM"), dev=0.4, test=0.5)
    assert {901, 902} <= {s.line for s in parts["train"]}


def test_width_case_and_punctuation_make_no_other_text() -> None:
    assert text_key(sentence("服用 ＭＧ，５。")) == text_key(sentence("服用mg5"))


@pytest.mark.parametrize(("dev", "test"), [(0.5, 0.5), (-0.1, 0.1)])
def test_shares_that_leave_nothing_for_train_are_an_error(dev: float, test: float) -> None:
    with pytest.raises(ValueError, match="sum to below 1"):
        split_sentences([], dev=dev, test=test)


def test_a_long_sentence_is_cut_after_sentence_final_punctuation() -> None:
    pieces = split_long(sentence("一二。三，四五六七"), 6)
    assert ["".join(p.tokens) for p in pieces] == ["一二。", "三，四五六七"]


def test_without_punctuation_the_cut_falls_before_an_entity() -> None:
    long = Sentence(tuple("一二三四"), ("O", "O", "B-A", "I-A"), "a.txt", 1, "FT")
    assert ["".join(p.tokens) for p in split_long(long, 3)] == ["一二", "三四"]


@given(st.data(), st.integers(1, 30), st.integers(1, 8))
def test_pieces_join_to_the_sentence_and_keep_its_entities(
    data: st.DataObject, n: int, max_length: int
) -> None:
    tokens = tuple(data.draw(st.lists(st.sampled_from("腎。，"), min_size=n, max_size=n)))
    cuts = sorted(data.draw(st.sets(st.integers(0, n), max_size=6)))
    tags = tuple(bio_tags(n, [(a, b, "A") for a, b in pairwise(cuts)]))
    whole = Sentence(tokens, tags, "a.txt", 1, "FT")
    pieces = split_long(whole, max_length)
    assert tuple(t for p in pieces for t in p.tokens) == tokens
    assert tuple(t for p in pieces for t in p.tags) == tags
    assert all(p.tags[0][0] != "I" for p in pieces)
    assert all(len(p.tokens) <= max_length or len(p.entities) == 1 for p in pieces)
