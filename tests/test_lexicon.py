"""The lexicon: reading files, folding, labels, and matches against a plain search."""

import copy
import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

from spacy_mamba_crf import token_strings
from spacy_mamba_crf.lexicon import Lexicon

VOCAB = spacy.blank("xx").vocab
Match = tuple[int, int, int, str]


def make_doc(words: list[str], spaces: list[bool] | None = None) -> Doc:
    return Doc(VOCAB, words=words, spaces=spaces or [False] * len(words))


def found(lexicon: Lexicon, docs: list[Doc]) -> list[Match]:
    """Doc, first token, token after the last and term of each match."""
    return [(d, s, e, lexicon.terms[entry]) for d, s, e, entry in lexicon.matches(docs).tolist()]


def plain_search(terms: set[str], docs: list[Doc]) -> list[Match]:
    """Every span of tokens whose text is a term."""
    return [
        (number, start, end, doc[start:end].text)
        for number, doc in enumerate(docs)
        for start in range(len(doc))
        for end in range(start + 1, len(doc) + 1)
        if doc[start:end].text in terms
    ]


WORDS = st.lists(
    st.tuples(st.text("ab。𠀀", min_size=1, max_size=3), st.booleans()), max_size=12
).map(lambda pairs: make_doc([word for word, _ in pairs], [space for _, space in pairs]))
TERMS = st.sets(
    st.text("ab。𠀀 ", min_size=1, max_size=6).filter(lambda term: term == term.strip()),
    max_size=12,
)


@settings(deadline=None, max_examples=200)
@given(terms=TERMS, docs=st.lists(WORDS, max_size=4))
def test_matches_are_the_spans_of_tokens_whose_text_is_a_term(terms, docs):
    lexicon = Lexicon((term, "") for term in terms)
    assert found(lexicon, docs) == plain_search(terms, docs)


def test_every_string_is_found_again_where_many_are_met_in_many_batches(monkeypatch):
    monkeypatch.setattr(token_strings, "_MOST", 7)
    generator = np.random.default_rng(0)
    terms = {"ab", "cab", "b", "dd d"}
    lexicon = Lexicon((term, "") for term in terms)
    for _ in range(30):
        words = ["".join(generator.choice(list("abcd"), size=n)) for n in (1, 2, 1, 3, 1, 2)]
        docs = [make_doc(words, [True, False] * 3), make_doc([])]
        assert found(lexicon, docs) == plain_search(terms, docs)


def test_a_term_of_several_words_is_matched_over_its_spaces():
    doc = spacy.blank("en")("I love New York and new  york, Newark")
    assert found(Lexicon([("New York", "LOC")]), [doc]) == [(0, 2, 4, "new york")]


def test_a_match_must_begin_and_end_where_tokens_do():
    lexicon = Lexicon([("art", ""), ("art is", "")])
    docs = [make_doc(["party"]), make_doc(["art", "ist"]), make_doc(["part", "is"], [True, False])]
    assert found(lexicon, docs) == [(1, 0, 1, "art")]


def test_how_a_term_would_be_tokenised_does_not_matter():
    lexicon = Lexicon([("高血壓", "病")])
    docs = [make_doc(list("高血壓")), make_doc(["高血", "壓"]), make_doc(["高血壓"])]
    assert [match[:3] for match in found(lexicon, docs)] == [(0, 0, 3), (1, 0, 2), (2, 0, 1)]


def test_many_more_matches_than_tokens_are_all_found():
    """In n tokens "a", a term of k begins at n - k + 1 places."""
    lexicon = Lexicon(("a" * length, "") for length in range(1, 51))
    docs = [make_doc(["a"] * 200)]
    assert len(lexicon.matches(docs)) == sum(200 - length + 1 for length in range(1, 51))


def test_no_doc_no_token_and_no_term_match_nothing():
    lexicon = Lexicon([("a", "")])
    for made, docs in [(lexicon, []), (lexicon, [make_doc([])]), (Lexicon(), [make_doc(["a"])])]:
        matches = made.matches(docs)
        assert matches.shape == (0, 4) and matches.dtype == np.int64


def test_no_match_reaches_into_the_next_doc():
    assert not found(Lexicon([("ab", "")]), [make_doc(["a"]), make_doc(["b"])])


@pytest.mark.parametrize(
    ["fold_width", "lower", "same"],
    [
        (True, True, ["ct", "CT", "ＣＴ", "ｃt"]),
        (True, False, ["CT", "ＣＴ"]),
        (False, True, ["ct", "CT"]),
        (False, False, ["CT"]),
    ],
)
def test_width_and_case_are_folded_in_terms_and_texts_if_asked(fold_width, lower, same):
    forms = ["ct", "CT", "ＣＴ", "ｃt"]
    for term in same:
        lexicon = Lexicon([(term, "")], fold_width=fold_width, lower=lower)
        matches = found(lexicon, [make_doc([form]) for form in forms])
        assert [forms[match[0]] for match in matches] == same


def test_folding_keeps_the_length_of_every_character():
    lexicon = Lexicon()
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000:
            character = chr(code)
            folded = lexicon.fold(character)
            normal = unicodedata.normalize("NFKC", character)
            plain = normal if len(normal) == 1 else character
            assert folded == (plain.lower() if len(plain.lower()) == 1 else plain)


def test_terms_that_fold_together_are_one_with_all_labels():
    lexicon = Lexicon([("CT", "TEST"), ("ｃｔ", "IMAGE"), ("CT", "TEST")])
    assert lexicon.terms == ("ct",)
    assert len(lexicon) == 1
    assert lexicon.entry_labels(0) == ("IMAGE", "TEST")


def test_a_mapping_of_labels_gives_what_pairs_give():
    pairs = Lexicon([("b", "Y"), ("a", "X"), ("a", ""), ("c", "")])
    mapping = Lexicon({"a": {"X", ""}, "b": {"Y"}, "c": set()})
    assert mapping.to_bytes() == pairs.to_bytes()


def test_the_label_table_says_which_labels_an_entry_has():
    lexicon = Lexicon({"a": {"X", ""}, "b": {"Y"}})
    assert lexicon.labels == ("", "X", "Y")
    np.testing.assert_array_equal(lexicon.label_table, [[1, 1, 0], [0, 0, 1]])


def test_an_empty_term_is_an_error():
    with pytest.raises(ValueError, match=r"A lexicon's term is empty: ' '"):
        Lexicon([("a", "X"), (" ", "Y")])


@pytest.mark.parametrize(
    "copied",
    [
        lambda lexicon: Lexicon.from_bytes(lexicon.to_bytes()),
        lambda lexicon: pickle.loads(pickle.dumps(lexicon)),
        copy.deepcopy,
    ],
    ids=["bytes", "pickle", "deepcopy"],
)
@pytest.mark.parametrize("used", [False, True])
def test_a_copy_finds_the_same(copied, used):
    lexicon = Lexicon({"Ab": {"X", ""}, "b": {"Y"}}, lower=False)
    docs = [make_doc(list("bAbab"))]
    if used:
        lexicon.matches(docs)
    other = copied(lexicon)
    np.testing.assert_array_equal(other.matches(docs), lexicon.matches(docs))
    np.testing.assert_array_equal(other.label_table, lexicon.label_table)
    assert (other.terms, other.labels) == (lexicon.terms, lexicon.labels)
    assert (other.fold_width, other.lower) == (True, False)


def test_an_empty_lexicon_survives_bytes():
    assert len(Lexicon.from_bytes(Lexicon().to_bytes())) == 0


def write(folder: Path, data: str | bytes) -> Path:
    path = folder / "terms.tsv"
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["no BOM", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
def test_a_file_has_terms_with_and_without_labels_and_blank_lines(tmp_path, start, end):
    lines = ["高血壓\tDISE", "", "咳嗽", "  ", "咳嗽\tSYMP", "New York\tLOC", "發燒\t", "# 1"]
    lexicon = Lexicon.from_file(write(tmp_path, start + end.join(lines)))
    labels = {term: lexicon.entry_labels(n) for n, term in enumerate(lexicon.terms)}
    assert labels == {
        "高血壓": ("DISE",),
        "咳嗽": ("", "SYMP"),
        "new york": ("LOC",),
        "發燒": ("",),
        "# 1": ("",),
    }


@pytest.mark.parametrize(
    ["data", "message"],
    [
        ("a\n\tX\n", r"terms\.tsv:2: the term before the tab is empty; write"),
        ("a\tX\t12\n", r"terms\.tsv:1: the line has 3 columns; .* such as a frequency"),
        ("a\n\nb\t6069\n", r"terms\.tsv:3: the label '6069' of 'b' is a number; if it is a freq"),
        (b"a\nb\n\xff\n", r"terms\.tsv:3: the line is not UTF-8 .* convert the lexicon"),
        ("\n \n", r"terms\.tsv holds no term; write one a line"),
    ],
)
def test_a_line_that_is_none_of_a_lexicon_is_an_error_with_its_place(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        Lexicon.from_file(write(tmp_path, data))
