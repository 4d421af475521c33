"""Tagging schemes: legal steps enumerated by hand, and decoding against conlleval's rules."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_mamba_crf.pytorch.schemes import SCHEMES, TagSet

# From the tag of the row to the tag of the column, in the order of `tags`.
BIO_TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]
BIO_LEGAL = """
    11010
    11110
    11110
    11011
    11011
"""
BIOES_TAGS = ["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"]
BIOES_LEGAL = """
    110011001
    001100000
    001100000
    110011001
    110011001
    000000110
    000000110
    110011001
    110011001
"""
TAGS = {"BIO": BIO_TAGS, "BIOES": BIOES_TAGS}
LEGAL = {"BIO": BIO_LEGAL, "BIOES": BIOES_LEGAL}
START = {"BIO": "11010", "BIOES": "110011001"}
END = {"BIO": "11111", "BIOES": "100110011"}
# A first token in BIO; in BIOES also a last one.
EDGES = {"BIO": "01010", "BIOES": "010111011"}
each_scheme = pytest.mark.parametrize("scheme", SCHEMES)


def bits(text: str) -> list[bool]:
    return [character == "1" for character in text]


@each_scheme
def test_tags_are_numbered_label_by_label_after_o(scheme):
    tagset = TagSet(scheme, ("X", "Y"))
    assert tagset.tags == TAGS[scheme]
    assert len(tagset) == len(TAGS[scheme])
    for number, tag in enumerate(tagset.tags[1:], start=1):
        assert tagset.number(tag[0], "XY".index(tag[2:])) == number


@each_scheme
def test_legal_transitions_of_two_labels_are_those_listed_by_hand(scheme):
    legal = TagSet(scheme, ("X", "Y")).legal_transitions()
    assert legal.tolist() == [bits(row) for row in LEGAL[scheme].split()]


@each_scheme
def test_legal_first_and_last_tags_are_those_listed_by_hand(scheme):
    tagset = TagSet(scheme, ("X", "Y"))
    assert tagset.legal_start().tolist() == bits(START[scheme])
    assert tagset.legal_end().tolist() == bits(END[scheme])


@each_scheme
def test_edge_tags_are_those_that_show_an_edge(scheme):
    assert TagSet(scheme, ("X", "Y")).edge_tags().tolist() == bits(EDGES[scheme])


@pytest.mark.parametrize(
    ["scheme", "length", "expected"],
    [
        ("BIO", 1, ["B-Y"]),
        ("BIO", 2, ["B-Y", "I-Y"]),
        ("BIO", 4, ["B-Y", "I-Y", "I-Y", "I-Y"]),
        ("BIOES", 1, ["S-Y"]),
        ("BIOES", 2, ["B-Y", "E-Y"]),
        ("BIOES", 4, ["B-Y", "I-Y", "I-Y", "E-Y"]),
    ],
)
def test_the_tags_of_an_entity_are_the_schemes(scheme, length, expected):
    tagset = TagSet(scheme, ("X", "Y"))
    assert [tagset.tags[tag] for tag in tagset.span_tags(1, length)] == expected


def test_only_bio_has_a_tag_that_lets_an_entity_go_on():
    assert BIO_TAGS[TagSet("BIO", ("X", "Y")).continuing_tag(1)] == "I-Y"
    assert TagSet("BIOES", ("X", "Y")).continuing_tag(1) is None


def conlleval_entities(tags: list[str]) -> list[tuple[int, int, str]]:
    """conlleval's reading of any tags: an entity ends before O, B, S or another label, and after
    E or S; whatever has a label and continues nothing begins one."""
    entities = []
    position = 0
    for label, run in itertools.groupby(tags, key=lambda tag: tag[2:]):
        letters = "".join(tag[0] for tag in run)
        if label:
            for match in re.finditer("S|BI*E?|I+E?|E", letters):
                entities.append((position + match.start(), position + match.end(), label))
        position += len(letters)
    return entities


def names(tagset: TagSet, entities: list[tuple[int, int, int]]) -> list[tuple[int, int, str]]:
    return [(start, end, tagset.labels[label]) for start, end, label in entities]


@each_scheme
@given(data=st.data())
def test_any_tag_sequence_decodes_as_conlleval_reads_it(scheme, data):
    tagset = TagSet(scheme, ("X", "Y"))
    numbers = data.draw(st.lists(st.integers(0, len(tagset) - 1), max_size=12))
    decoded = tagset.decode(np.array(numbers, dtype="int64"))
    assert names(tagset, decoded) == conlleval_entities([tagset.tags[n] for n in numbers])


@pytest.mark.parametrize(
    ["scheme", "tags", "entities"],
    [
        ("BIO", "", []),
        ("BIO", "O O", []),
        ("BIO", "B-X I-X O", [(0, 2, "X")]),
        ("BIO", "B-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),
        ("BIO", "I-X I-X", [(0, 2, "X")]),
        ("BIO", "B-X I-Y I-X", [(0, 1, "X"), (1, 2, "Y"), (2, 3, "X")]),
        ("BIOES", "B-X E-X S-Y", [(0, 2, "X"), (2, 3, "Y")]),
        ("BIOES", "B-X O", [(0, 1, "X")]),
        ("BIOES", "E-X E-X", [(0, 1, "X"), (1, 2, "X")]),
        ("BIOES", "S-X I-X", [(0, 1, "X"), (1, 2, "X")]),
        ("BIOES", "B-X S-X E-X", [(0, 1, "X"), (1, 2, "X"), (2, 3, "X")]),
    ],
)
def test_these_tags_decode_to_these_entities(scheme, tags, entities):
    tagset = TagSet(scheme, ("X", "Y"))
    numbers = np.array([tagset.tags.index(tag) for tag in tags.split()], dtype="int64")
    assert names(tagset, tagset.decode(numbers)) == entities


@st.composite
def disjoint_entities(draw) -> tuple[int, list[tuple[int, int, int]]]:
    """A text length and entities of three labels in it, in order, some of them adjacent."""
    entities = []
    position = 0
    for gap, size, label in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(0, 2)), max_size=5)
    ):
        entities.append((position + gap, position + gap + size, label))
        position += gap + size
    return position + draw(st.integers(0, 2)), entities


@each_scheme
@given(case=disjoint_entities())
def test_entities_survive_tagging_and_decoding_and_their_tags_are_legal(scheme, case):
    length, entities = case
    tagset = TagSet(scheme, ("X", "Y", "Z"))
    tags = np.zeros(length, dtype="int64")
    for start, end, label in entities:
        tags[start:end] = tagset.span_tags(label, end - start)
    assert tagset.decode(tags) == entities
    assert tagset.legal_transitions()[tags[:-1], tags[1:]].all()
    if length:
        assert tagset.legal_start()[tags[0]] and tagset.legal_end()[tags[-1]]


@each_scheme
def test_a_new_label_changes_no_number_and_no_step_between_old_tags(scheme):
    old, new = TagSet(scheme, ("X", "Y")), TagSet(scheme, ("X", "Y", "Z"))
    size = len(old)
    assert new.tags[:size] == old.tags
    assert (new.legal_transitions()[:size, :size] == old.legal_transitions()).all()
    assert (new.legal_start()[:size] == old.legal_start()).all()
    assert (new.legal_end()[:size] == old.legal_end()).all()


@each_scheme
def test_without_labels_there_is_only_o(scheme):
    tagset = TagSet(scheme, ())
    assert tagset.tags == ["O"]
    assert tagset.legal_transitions().tolist() == [[True]]
    assert tagset.decode(np.zeros(3, dtype="int64")) == []


def test_an_unknown_scheme_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"scheme is 'IOB1'; choose one of BIO, BIOES\."):
        TagSet("IOB1", ("X",))


def test_an_entity_of_no_tokens_is_an_error():
    with pytest.raises(ValueError, match=r"An entity has at least one token, not 0\."):
        TagSet("BIO", ("X",)).span_tags(0, 0)


@each_scheme
def test_entities_of_texts_side_by_side_are_those_of_each_alone(scheme):
    tagset = TagSet(scheme, ("X", "Y"))
    tags = np.random.default_rng(0).integers(0, len(tagset), 400)
    offsets = np.array([0, 0, 1, 1, 90, 91, 200, 400, 400])
    alone = []
    for text, (start, end) in enumerate(itertools.pairwise(offsets)):
        alone += [(text, *entity) for entity in tagset.decode(tags[start:end])]
    assert len(alone) > 100
    assert [tuple(row) for row in tagset.entities(tags, offsets).tolist()] == alone


def test_no_entity_reaches_into_the_next_text():
    tagset = TagSet("BIO", ("X",))
    begin, inside = tagset.number("B", 0), tagset.number("I", 0)
    tags = np.array([begin, inside, inside, inside])
    found = tagset.entities(tags, np.array([0, 2, 4]))
    assert found.tolist() == [[0, 0, 2, 0], [1, 0, 2, 0]]


def test_texts_without_tokens_have_no_entities():
    assert TagSet("BIO", ("X",)).entities(np.array([], dtype=int), np.array([0, 0])).size == 0
