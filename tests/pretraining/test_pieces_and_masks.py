"""Text cut into pieces on disk, and which tokens of them are hidden."""

import numpy as np
import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

from spacy_mamba_crf.pretraining import pieces as pieces_module
from spacy_mamba_crf.pretraining.masking import MASK, MaskedBatch, Masker
from spacy_mamba_crf.pretraining.pieces import write_pieces

VOCAB = spacy.blank("zh").vocab
LONGEST = 12


def make_docs(texts: list[str]) -> list[Doc]:
    return [Doc(VOCAB, words=list(text)) for text in texts]


def masker(words: str, rate: float = 0.3, longest: int = 3) -> Masker:
    return Masker({word: i for i, word in enumerate(words)}, str.lower, rate, longest)


@pytest.fixture
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pieces")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(st.text("甲乙丙\x1f", min_size=8, max_size=40), min_size=80, max_size=120))
def test_nothing_is_lost_and_no_piece_is_too_long(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("pieces") / "pieces.txt"
    pieces, counts = write_pieces(make_docs(texts), path, LONGEST, None, seed=0)
    found = [pieces[i] for i in range(len(pieces.table.tokens))]
    assert "".join("".join(words) for words in found).replace("\n", "") == "".join(texts).replace(
        "\x1f", " "
    )
    assert [len(words) for words in found] == pieces.table.tokens.tolist()
    assert max(map(len, found)) <= LONGEST
    assert counts.total() == sum(map(len, found))
    assert len(pieces.numbers(True)) + len(pieces.numbers(False)) == len(found)
    pieces.close()


def test_neighbouring_lines_are_joined_by_line_ends(folder):
    texts = ["甲乙", "丙"] * 400
    pieces, _ = write_pieces(make_docs(texts), folder / "p.txt", LONGEST, None, seed=0)
    joined = ["".join(pieces[i]) for i in range(20)]
    assert any("\n" in piece for piece in joined)
    for piece in joined:
        assert set(piece.strip("\n").split("\n")[1:-1]) <= {"甲乙", "丙"}


def test_what_comes_after_max_tokens_is_not_read(folder):
    texts = ["甲乙丙"] * 1000
    pieces, _ = write_pieces(make_docs(texts), folder / "p.txt", LONGEST, 1000, seed=0)
    words = [word for i in range(len(pieces.table.tokens)) for word in pieces[i]]
    assert sum(word != "\n" for word in words) == 1000


def test_held_out_pieces_come_from_everywhere_and_are_few(folder, monkeypatch):
    monkeypatch.setattr(pieces_module, "_ENOUGH", 300)
    pieces, _ = write_pieces(make_docs(["甲乙丙丁"] * 5000), folder / "p.txt", LONGEST, None, 0)
    held_out = pieces.numbers(True)
    assert 200 < pieces.table.tokens[held_out].sum() < 400
    middle = len(pieces.table.tokens) / 2
    assert abs((held_out < middle).mean() - 0.5) < 0.1


def test_hidden_tokens_are_what_is_to_be_predicted():
    generator = np.random.default_rng(0)
    pieces = [list("甲乙丙丁" * 500), list("丁丙乙甲" * 500)]
    batch = masker("甲乙丙丁")(pieces, generator)
    flat = [word for words in pieces for word in words]
    seen = [word for words in batch.words for word in words]
    assert [flat[place] for place in batch.places] == ["甲乙丙丁"[t] for t in batch.targets]
    changed = [place for place in range(len(flat)) if flat[place] != seen[place]]
    assert set(changed) <= set(batch.places.tolist())
    hidden = sum(seen[place] == MASK for place in batch.places)
    assert 0.7 < hidden / len(batch.places) < 0.9
    # Runs that overlap count once, so that it is somewhat less than the rate.
    assert 0.22 < len(batch.places) / len(flat) < 0.3


def test_tokens_without_a_class_stay_and_are_not_predicted():
    pieces = [list("甲X甲\n" * 50)]
    batch = masker("甲", rate=0.9)(pieces, np.random.default_rng(0))
    assert {pieces[0][place] for place in batch.places} == {"甲"}
    assert [word for word in batch.words[0] if word not in ("甲", MASK)] == ["X", "\n"] * 50


def test_classes_are_of_the_norm():
    batch = masker("a", rate=0.9)([list("Aa" * 20)], np.random.default_rng(0))
    assert set(batch.targets) == {0} and len(batch.places) > 10


def test_no_run_goes_on_in_the_next_piece():
    pieces = [["甲"]] * 200
    batch = masker("甲", rate=0.3, longest=10)(pieces, np.random.default_rng(0))
    # With a rate of 0.3 and runs of 5.5 on average, 11 of 200 tokens start one.
    assert len(batch.places) == 11


@pytest.mark.parametrize("shares", [1, 2, 3, 7])
def test_shares_of_a_batch_are_the_batch(shares):
    sizes = [3, 1, 4, 1, 5]
    words = [[f"{piece}.{i}" for i in range(size)] for piece, size in enumerate(sizes)]
    flat = [word for piece in words for word in piece]
    places = np.array([0, 2, 3, 6, 9, 13])
    batch = MaskedBatch(words, places, np.arange(6))
    found = {}
    for number in range(shares):
        own = batch.share(number, shares)
        own_flat = [word for piece in own.words for word in piece]
        found |= {own_flat[place]: int(target) for place, target in zip(own.places, own.targets)}
    assert found == {flat[place]: i for i, place in enumerate(places)}
