"""The ROCLING reader on files written here: line endings, dirt, errors, and a round trip."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_mamba_crf.chunks import bio_tags
from spacy_mamba_crf.corpora import ReadReport, genre_of, read_bio
from spacy_mamba_crf.corpora.tags import HEALTH_TYPES

Write = Callable[..., Path]


def kinds(report: ReadReport) -> list[tuple[str, int, str, str]]:
    return [(r.kind, r.line, r.old, r.new) for r in report.repairs]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\r\r\n"])
def test_every_line_ending_gives_the_same_sentences(write: Write, ending: str) -> None:
    path = write("a.txt", ending.join(["腎 B-BODY", "臟 I-BODY", "", "痛 B-SYMP", "。 O", ""]))
    sentences = list(read_bio(path))
    assert [s.tokens for s in sentences] == [("腎", "臟"), ("痛", "。")]
    assert [s.line for s in sentences] == [1, 4]


def test_a_line_of_one_space_separates_sentences_as_in_rocling_2022(write: Write) -> None:
    path = write("a.txt", "腎 O\r\n \r\n痛 O\r\n")
    assert [s.tokens for s in read_bio(path)] == [("腎",), ("痛",)]


def test_a_byte_order_mark_is_no_text(write: Write) -> None:
    path = write("a.txt", "腎 O\n", encoding="utf-8-sig")
    assert next(read_bio(path)).tokens == ("腎",)


def test_known_dirt_is_repaired_and_listed_with_its_line(write: Write) -> None:
    path = write("a.txt", "經 O-SYMP\n蛋 B-CHEM\n白 i-CHEM\n\n早 I-TIME\n期 I-TIME\n")
    report = ReadReport()
    sentences = list(read_bio(path, report=report))
    assert [s.tags for s in sentences] == [("O", "B-CHEM", "I-CHEM"), ("B-TIME", "I-TIME")]
    assert kinds(report) == [
        ("outside-with-type", 1, "O-SYMP", "O"),
        ("tag-case", 3, "i-CHEM", "I-CHEM"),
        ("inside-without-begin", 5, "I-TIME", "B-TIME"),
    ]


def test_an_inside_tag_of_another_type_opens_an_entity(write: Write) -> None:
    path = write("a.txt", "大 B-BODY\n便 I-BODY\n帶 I-SYMP\n血 I-SYMP\n")
    assert next(read_bio(path)).entities == [(0, 2, "BODY"), (2, 4, "SYMP")]


def test_both_published_ways_of_counting_entities_are_kept(write: Write) -> None:
    report = ReadReport()
    list(read_bio(write("a.txt", "圖 I-INST\n腎 B-BODY\n"), report=report))
    assert (report.files["a.txt"].begin_tags, report.files["a.txt"].chunks) == (1, 2)


@pytest.mark.parametrize("space", [" ", "\u3000", "\t"])
def test_a_whitespace_character_is_a_token(write: Write, space: str) -> None:
    path = write("a.txt", f"腎 O\n{space} O\n痛 O\n")
    assert next(read_bio(path)).tokens == ("腎", space, "痛")


def test_a_lost_whitespace_token_is_restored_and_reported(write: Write) -> None:
    report = ReadReport()
    sentence = next(read_bio(write("a.txt", "腎 O\n O\n痛 O\n"), report=report))
    assert sentence.tokens == ("腎", " ", "痛")
    assert report.counts == {"token-lost": 1}


def test_an_entity_gives_up_whitespace_at_its_edges_only(write: Write) -> None:
    report = ReadReport()
    path = write("a.txt", "  B-DRUG\n甲 I-DRUG\n  I-DRUG\n乙 I-DRUG\n\u3000 I-DRUG\n")
    sentence = next(read_bio(path, report=report))
    assert sentence.entities == [(1, 4, "DRUG")]
    assert [(r.line, r.old, r.new) for r in report.repairs] == [
        (1, "B-DRUG", "O"),
        (2, "I-DRUG", "B-DRUG"),
        (5, "I-DRUG", "O"),
    ]


def test_a_token_of_several_characters_is_split_and_continues_its_entity(write: Write) -> None:
    report = ReadReport()
    sentence = next(read_bio(write("a.txt", "DNA B-CHEM\nmg O\n"), report=report))
    assert sentence.tags == ("B-CHEM", "I-CHEM", "I-CHEM", "O", "O")
    assert report.counts == {"token-split": 2}


def test_full_width_text_is_left_as_written(write: Write) -> None:
    report = ReadReport()
    assert next(read_bio(write("a.txt", "５ O\nＡ O\n"), report=report)).tokens == ("５", "Ａ")
    assert not report.repairs


def test_line_breaks_of_unicode_only_are_text(write: Write) -> None:
    path = write("a.txt", "\u2028 O\n\x0b O\n\x85 O\n")
    assert next(read_bio(path)).tokens == ("\u2028", "\x0b", "\x85")


def test_a_comment_stands_before_a_sentence_and_is_counted(write: Write) -> None:
    report = ReadReport()
    path = write("a.txt", "# 合成的例句\n腎 O\n\n# O\n痛 O\n")
    assert [s.tokens for s in read_bio(path, report=report)] == [("腎",), ("#", "痛")]
    assert report.files["a.txt"].comments == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("腎", "has one column"),
        ("腎 NN O", "more than two columns"),
        ("腎 X-BODY", "'X-BODY' is not one of"),
        ("腎 BODY", "'BODY' is not one of"),
        ("腎 B", "'B' has no entity type"),
    ],
)
def test_a_malformed_line_is_an_error_that_names_file_and_line(
    write: Write, line: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=rf"a\.txt:2: .*{complaint}"):
        list(read_bio(write("a.txt", f"腎 O\n{line}\n")))


def test_bytes_that_are_not_utf8_are_an_error_that_names_the_line(write: Write) -> None:
    path = write("a.txt", "腎 O\n痛 O\n", encoding="big5")
    with pytest.raises(ValueError, match=r"a\.txt:1: the file is not utf-8"):
        list(read_bio(path))


@pytest.mark.parametrize(
    ("name", "genre"),
    [
        ("ROCLING22_CHNER_truth.txt", "WA22"),
        ("MultiNER-Health_truth_FT.txt", "FT"),
        ("MultiNER-Health_truth_SM.txt", "SM"),
        ("MultiNER-Health_truth_WA.txt", "WA"),
        ("clinic.txt", "clinic"),
    ],
)
def test_the_genre_comes_from_the_file_name(name: str, genre: str) -> None:
    assert genre_of(name) == genre


def test_reading_is_a_stream(write: Write) -> None:
    sentences = read_bio(write("a.txt", "腎 O\n\n壞\n"))
    assert next(sentences).tokens == ("腎",)


@st.composite
def tagged(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Characters and legal BIO tags, entities on visible characters."""
    n = draw(st.integers(1, 12))
    tokens = draw(st.lists(st.sampled_from("腎臟痛。，５Ａa#"), min_size=n, max_size=n))
    cuts = sorted(draw(st.sets(st.integers(0, n), max_size=6)))
    spans = [(a, b, draw(st.sampled_from(HEALTH_TYPES))) for a, b in pairwise(cuts)]
    kept = [span for span in spans if draw(st.booleans())]
    return tokens, bio_tags(n, kept)


@st.composite
def dirty_line(draw: st.DrawFn, token: str, tag: str, previous: str) -> str:
    """One way in which the real files write a line."""
    forms = [tag]
    if tag == "O":
        forms += ["o", "O-SYMP"]
    else:
        forms += [tag[0].lower() + tag[1:], tag.lower()]
    if tag.startswith("B-") and previous[2:] != tag[2:]:
        forms.append("I" + tag[1:])
    separator = draw(st.sampled_from([" ", "\t", "  "]))
    return token + separator + draw(st.sampled_from(forms)) + draw(st.sampled_from(["", " "]))


@settings(max_examples=100, deadline=None)
@given(sentences=st.lists(tagged(), min_size=1, max_size=4), data=st.data())
def test_what_was_written_with_dirt_is_read_back(
    sentences: list[tuple[list[str], list[str]]], data: st.DataObject
) -> None:
    lines: list[str] = []
    for tokens, tags in sentences:
        for token, tag, previous in zip(tokens, tags, ["O", *tags]):
            lines.append(data.draw(dirty_line(token, tag, previous)))
        lines.append(data.draw(st.sampled_from(["", " "])))
    endings = data.draw(
        st.one_of(
            st.just(["\r"] * len(lines)),
            st.lists(st.sampled_from(["\n", "\r\n"]), min_size=len(lines), max_size=len(lines)),
        )
    )
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        path.write_bytes("".join(a + b for a, b in zip(lines, endings)).encode())
        read = [(list(s.tokens), list(s.tags)) for s in read_bio(path)]
    assert read == sentences
