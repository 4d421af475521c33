"""The CoNLL reader: columns, schemes, encodings, document borders."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_mamba_crf.chunks import bio_tags
from spacy_mamba_crf.corpora import ReadReport, chunks, read_conll
from spacy_mamba_crf.corpora.tags import bio_to_iob1, open_chunks

Write = Callable[..., Path]

# The example of the format's description (Tjong Kim Sang & De Meulder 2003), and two neighbours
# of one type, which IOB1 parts by a B-.
ENGLISH = """-DOCSTART- -X- O O

U.N. NNP I-NP I-ORG
official NN I-NP O
Ekeus NNP I-NP I-PER
heads VBZ I-VP O
for IN I-PP O
Baghdad NNP I-NP I-LOC
. . O O

-DOCSTART- -X- O O

Japan NNP I-NP I-LOC
Japan NNP I-NP B-LOC
"""

GERMAN = """-DOCSTART- -X- -X- -X- O

Münchner münchner ADJA I-NC I-MISC
Bürger Bürger NN I-NC O
"""


def test_iob1_becomes_bio_without_a_repair(write: Write) -> None:
    report = ReadReport()
    sentences = list(read_conll(write("eng.train", ENGLISH), report=report))
    assert sentences[0].tags == ("B-ORG", "O", "B-PER", "O", "O", "B-LOC", "O")
    assert sentences[1].tags == ("B-LOC", "B-LOC")
    assert not report.repairs


def test_docstart_lines_number_the_documents(write: Write) -> None:
    sentences = read_conll(write("eng.train", ENGLISH))
    assert [(s.id, s.line) for s in sentences] == [("1.1", 3), ("2.1", 13)]


def test_a_bio_file_is_recognised_and_its_missing_begin_tag_repaired(write: Write) -> None:
    text = "\n\n".join(["Ann B-PER", "Bob B-PER", "York I-LOC"])
    report = ReadReport()
    sentences = list(read_conll(write("train.txt", text), report=report))
    assert [s.tags for s in sentences] == [("B-PER",), ("B-PER",), ("B-LOC",)]
    assert report.counts == {"inside-without-begin": 1}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
def test_five_german_columns_are_read_in_any_of_their_encodings(
    write: Write, encoding: str
) -> None:
    sentence = next(read_conll(write("deu.train", GERMAN, encoding)))
    assert (sentence.tokens, sentence.tags) == (("Münchner", "Bürger"), ("B-MISC", "O"))


def test_a_given_encoding_is_used(write: Write) -> None:
    path = write("deu.train", "Köln I-LOC\n", "utf-8")
    assert next(read_conll(path, encoding="latin-1")).tokens == ("KÃ¶ln",)


def test_a_word_with_a_no_break_space_stays_one_word(write: Write) -> None:
    path = write("deu.train", "10\xa0000 x O\n", "latin-1")
    assert next(read_conll(path)).tokens == ("10\xa0000",)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("Rome", "has one column"), ("Rome NNP O", "3 columns"), ("Rome N N Q-LOC", "'Q-LOC'")],
)
def test_a_malformed_line_is_an_error_that_names_file_and_line(
    write: Write, line: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=rf"a\.conll:2: .*{complaint}"):
        list(read_conll(write("a.conll", f"In IN I-PP O\n{line}\n")))


@given(st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), max_size=12))
def test_opening_chunks_keeps_the_entities_and_makes_bio(tags: list[str]) -> None:
    opened = open_chunks(tags)
    assert chunks(opened) == chunks(tags)
    assert sum(tag[0] == "B" for tag in opened) == len(chunks(tags))


@given(st.data(), st.integers(0, 12))
def test_bio_survives_the_way_through_iob1(data: st.DataObject, n: int) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, n))))
    spans = [(a, b, data.draw(st.sampled_from("AB"))) for a, b in pairwise(cuts)]
    bio = tuple(bio_tags(n, [span for span in spans if data.draw(st.booleans())]))
    assert open_chunks(bio_to_iob1(bio)) == bio


def test_iob1_writes_a_begin_tag_only_between_neighbours_of_one_type() -> None:
    assert bio_to_iob1(["B-A", "I-A", "B-A", "B-B"]) == ("I-A", "I-A", "B-A", "I-B")


def test_the_tags_of_another_column_are_read_where_it_is_named(tmp_path):
    path = tmp_path / "eng.train"
    rows = ["EU NNP I-NP I-ORG", "rejects VBZ I-VP O", "German JJ I-NP I-MISC", "call NN I-NP O"]
    path.write_text("\n".join(rows) + "\n")
    (sentence,) = read_conll(path, column=2)
    assert list(sentence.tags) == ["B-NP", "B-VP", "B-NP", "I-NP"]


def test_a_column_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "eng.train"
    path.write_text("EU NNP I-NP I-ORG\n")
    with pytest.raises(ValueError, match=r"eng\.train:1: there is no column 4, 4 in all"):
        list(read_conll(path, column=4))
