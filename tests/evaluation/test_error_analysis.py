"""Two systems' entities: kinds, cells, tests and page, against counts made by hand."""

import math

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_mamba_crf.evaluation.error_analysis import (
    BOUNDARY,
    GOLD_KINDS,
    MISSED,
    PREDICTED_KINDS,
    RIGHT,
    SPURIOUS,
    TYPE,
    TYPE_AND_BOUNDARY,
    ErrorAnalysis,
    analyse_errors,
    bootstrap_f1,
    entity_labels,
    error_kinds,
    exact_binomial,
    length_group,
)
from spacy_mamba_crf.evaluation.error_page import differing_documents, errors_page
from spacy_mamba_crf.evaluation.error_report import errors_markdown, name_systems
from spacy_mamba_crf.evaluation.error_tables import (
    cell_counts,
    findings,
    groups,
    kind_counts,
    scores,
)
from spacy_mamba_crf.evaluation.scorer import ner_scorer

GOLD = [(0, 2, "X"), (3, 4, "Y"), (5, 8, "X"), (9, 10, "Y"), (12, 14, "X")]
A = [(0, 2, "X"), (3, 4, "X"), (5, 7, "X"), (10, 11, "Y")]  # right, type, boundary, spurious
B = [(0, 2, "X"), (3, 4, "Y"), (6, 8, "Y"), (10, 11, "Y"), (12, 14, "X"), (15, 16, "X")]


@pytest.fixture
def analysis(make_example) -> ErrorAnalysis:
    return analyse_errors([make_example(17, GOLD, A)], [make_example(17, GOLD, B)])


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        ([(2, 5, "X")], RIGHT),
        ([(2, 5, "Y")], TYPE),
        ([(2, 4, "X")], BOUNDARY),
        ([(0, 9, "X")], BOUNDARY),
        ([(4, 6, "Y")], TYPE_AND_BOUNDARY),
        ([(0, 2, "X"), (5, 6, "X")], MISSED),
        ([], MISSED),
        ([(1, 3, "X"), (3, 5, "Y")], TYPE_AND_BOUNDARY),  # two tokens beat one
        ([(1, 3, "Y"), (4, 6, "X")], BOUNDARY),  # of equals, the same type
        ([(0, 9, "X"), (2, 5, "Y")], TYPE),  # the same edges come first
    ],
)
def test_each_entity_has_the_kind_of_its_nearest_counterpart(other, kind):
    assert error_kinds([(2, 5, "X")], other, MISSED) == [kind]


def test_each_gold_entity_is_in_one_of_four_cells(analysis: ErrorAnalysis):
    assert [item.cell for item in analysis.gold] == [
        "both",
        "only_b",
        "neither",
        "neither",
        "only_b",
    ]


def test_gold_entities_have_a_kind_for_each_system(analysis: ErrorAnalysis):
    assert [item.a for item in analysis.gold] == [RIGHT, TYPE, BOUNDARY, MISSED, MISSED]
    assert [item.b for item in analysis.gold] == [RIGHT, RIGHT, TYPE_AND_BOUNDARY, MISSED, RIGHT]


def test_wrong_predictions_are_shared_or_of_one_system(analysis: ErrorAnalysis):
    found = [(item.start, item.label, item.a, item.b, item.cell) for item in analysis.wrong]
    assert found == [
        (3, "X", TYPE, None, "only_a"),
        (5, "X", BOUNDARY, None, "only_a"),
        (6, "Y", None, TYPE_AND_BOUNDARY, "only_b"),
        (10, "Y", SPURIOUS, SPURIOUS, "both"),
        (15, "X", None, SPURIOUS, "only_b"),
    ]


@pytest.mark.parametrize(
    ("length", "group"),
    [(1, "1"), (2, "2"), (3, "3-4"), (4, "3-4"), (5, "5-8"), (8, "5-8"), (9, "9+"), (40, "9+")],
)
def test_lengths_fall_into_five_groups(make_example, length: int, group: str):
    example = make_example(41, [(0, length, "X")], [])
    assert length_group(analyse_errors([example], [example]).gold[0]) == group


def test_tables_group_by_type_and_keep_all(analysis: ErrorAnalysis):
    assert groups(analysis.gold, "type") == {
        "X": {"both": 1, "only_a": 0, "only_b": 1, "neither": 1},
        "Y": {"both": 0, "only_a": 0, "only_b": 1, "neither": 1},
    }
    assert groups(analysis.gold, "genre") == groups(analysis.gold, "seen") == {}


def test_seen_means_the_same_text_in_training(make_example):
    example = make_example(6, [(0, 1, "X"), (1, 2, "X"), (2, 3, "X")], [(0, 1, "Y")])
    training = entity_labels([make_example(6, [(0, 1, "X"), (1, 2, "Y")], []).reference])
    analysis = analyse_errors([example], [example], training)
    assert [item.seen for item in analysis.gold] == ["same type", "another type", "never"]
    assert [item.seen for item in analysis.wrong] == ["another type"]


def test_genres_are_those_of_the_documents(make_example):
    examples = [make_example(2, [(0, 1, "X")], []) for _ in range(3)]
    for example, genre in zip(examples, ["web", "web", "news"]):
        example.reference.user_data["genre"] = genre
    by_genre = groups(analyse_errors(examples, examples).gold, "genre")
    assert {name: cells["neither"] for name, cells in by_genre.items()} == {"news": 1, "web": 2}


def test_predictions_whose_truth_is_unknown_are_not_counted(make_example):
    example = make_example(4, [(0, 1, "X")], [(2, 3, "X")], missing=[(2, 3, "")])
    assert analyse_errors([example], [example]).wrong == []


def test_systems_that_tokenise_differently_are_compared_in_gold_tokens(vocab):
    def example(words: list[str], entity: tuple[int, int, str]) -> Example:
        gold = Doc(vocab, words=["New", "York", "!"], spaces=[True, False, False])
        gold.set_ents([Span(gold, 0, 2, "LOC")])
        guess = Doc(vocab, words=words, spaces=[word == "New" for word in words])
        guess.set_ents([Span(guess, *entity)])
        return Example(guess, gold)

    a = example(["New", "York", "!"], (0, 2, "LOC"))
    b = example(["New", "Yo", "rk", "!"], (0, 3, "LOC"))
    assert [item.cell for item in analyse_errors([a], [b]).gold] == ["both"]


def test_other_gold_documents_are_refused_by_number(make_example):
    same, other = make_example(4, [(0, 1, "X")], []), make_example(4, [(1, 2, "X")], [])
    with pytest.raises(ValueError, match="Document 2 is not the same"):
        analyse_errors([same, same], [same, other])
    with pytest.raises(ValueError, match="A has 2 documents and system B 1"):
        analyse_errors([same, same], [same])


@st.composite
def entities(draw: st.DrawFn) -> list[tuple[int, int, str]]:
    edges = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
    pairs = zip(edges[::2], edges[1::2])
    return [(start, end, draw(st.sampled_from("XY"))) for start, end in pairs]


VOCAB = spacy.blank("en").vocab


def _example(gold: list[tuple[int, int, str]], found: list[tuple[int, int, str]]) -> Example:
    docs = [Doc(VOCAB, words=list("abcdefghijkl")) for _ in range(2)]
    for doc, ents in zip(docs, (gold, found)):
        doc.set_ents([Span(doc, *ent) for ent in ents], default="outside")
    return Example(docs[1], docs[0])


@given(st.lists(st.tuples(entities(), entities(), entities()), min_size=1, max_size=3))
def test_the_counts_add_up(texts):
    examples_a = [_example(gold, a) for gold, a, _ in texts]
    examples_b = [_example(gold, b) for gold, _, b in texts]
    analysis = analyse_errors(examples_a, examples_b)
    kinds, cells, wrong = (
        kind_counts(analysis),
        cell_counts(analysis.gold),
        cell_counts(analysis.wrong),
    )
    gold = sum(len(text[0]) for text in texts)
    assert sum(cells.values()) == gold
    for place, key in ((1, "a"), (2, "b")):
        true, found = kinds["gold"][key], kinds["predicted"][key]
        assert tuple(true) == GOLD_KINDS and tuple(found) == PREDICTED_KINDS
        assert sum(true.values()) == gold
        assert sum(found.values()) == sum(len(text[place]) for text in texts)
        assert true[RIGHT] == found[RIGHT] == cells["both"] + cells[f"only_{key}"]
        assert true[TYPE] == found[TYPE]  # equal edges pair one with one
        errors = sum(found.values()) - found[RIGHT]
        assert errors == wrong["both"] + wrong[f"only_{key}"]


@given(st.lists(st.tuples(entities(), entities()), min_size=1, max_size=3))
def test_scores_are_those_of_the_scorer(texts):
    examples = [_example(*text) for text in texts]
    expected = ner_scorer(examples)
    found = scores(analyse_errors(examples, examples))["a"]
    for key in ("ents_p", "ents_r", "ents_f"):
        assert found[key] == pytest.approx(expected[key] or 0.0, abs=1e-9)


def test_one_against_five_has_the_p_value_of_the_binomial_table():
    assert exact_binomial(1, 5) == 2 * (1 + 6) / 64
    assert exact_binomial(5, 1) == exact_binomial(1, 5)
    assert exact_binomial(0, 0) == exact_binomial(3, 3) == 1.0


@given(st.integers(0, 400), st.integers(0, 400))
def test_p_values_are_those_of_scipy(only_a: int, only_b: int):
    stats = pytest.importorskip("scipy.stats")
    if only_a + only_b:
        expected = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue
        assert exact_binomial(only_a, only_b) == pytest.approx(expected, rel=1e-6)


def test_p_values_of_very_many_entities_do_not_overflow():
    assert exact_binomial(2000, 9000) < 1e-300
    assert exact_binomial(10_000, 10_000) == 1.0


@pytest.mark.parametrize(("correct", "p"), [(3, "p = 0.2500"), (20, "p < 0.0001")])  # 2 / 2 ** n
def test_the_p_value_is_written_as_a_reader_expects(make_example, correct: int, p: str):
    gold = [(i, i + 1, "X") for i in range(correct)]
    analysis = analyse_errors([make_example(20, gold, gold)], [make_example(20, gold, [])])
    interval = bootstrap_f1(analysis.counts)
    sentences = findings(analysis, interval, ("one", "two"), samples=1000, seed=0)
    assert p in sentences[0] and "one document is too few" in sentences[1]


def test_the_interval_is_near_the_normal_one_where_f1_is_accuracy():
    # One gold entity and one prediction of each system in every document: F1 = accuracy, and the
    # difference is a mean of +1, 0 and -1, whose standard error is known.
    rng = np.random.default_rng(1)
    right = rng.random((600, 2)) < [0.8, 0.7]
    ones = np.ones(600, dtype=int)
    counts = np.stack([ones, ones, right[:, 0], ones, right[:, 1]], axis=1)
    gains = right[:, 0].astype(float) - right[:, 1]
    half = 1.96 * gains.std() / math.sqrt(600)
    interval = bootstrap_f1(counts, samples=4000)
    assert interval.difference == pytest.approx(gains.mean())
    assert interval.low == pytest.approx(gains.mean() - half, abs=0.15 * half)
    assert interval.high == pytest.approx(gains.mean() + half, abs=0.15 * half)


def test_the_interval_depends_on_the_seed_alone():
    right = np.random.default_rng(0).integers(0, 100, size=(20, 2))
    counts = np.insert(right, [0, 0, 1], 100, axis=1)  # gold, then predicted and right of each
    assert bootstrap_f1(counts, seed=3) == bootstrap_f1(counts, seed=3)
    assert bootstrap_f1(counts, seed=3) != bootstrap_f1(counts, seed=4)


def test_systems_that_agree_everywhere_have_an_interval_of_zero():
    counts = np.array([[3, 2, 1, 2, 1], [5, 4, 4, 4, 4]])
    interval = bootstrap_f1(counts)
    assert (interval.difference, interval.low, interval.high) == (0.0, 0.0, 0.0)


def test_one_document_gives_no_interval():
    interval = bootstrap_f1(np.array([[2, 2, 2, 2, 1]]))
    assert (interval.difference, interval.low, interval.high) == (0.5, None, None)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("run/mamba/model-best", "run/cnn/model-best"), ("mamba", "cnn")),
        (("zh_one", "zh_two"), ("zh_one", "zh_two")),
        (("a/model", "a/model"), ("a/model", "a/model")),
    ],
)
def test_systems_are_named_by_what_differs_in_their_paths(paths, names):
    assert name_systems(*paths) == names


def page_of(examples_a: list[Example], examples_b: list[Example], **settings) -> str:
    analysis = analyse_errors(examples_a, examples_b)
    settings = {"names": ("one", "two"), "sentences": [], **settings}
    return errors_page(analysis, examples_a, examples_b, **settings)


def test_the_page_marks_right_wrong_and_missed_in_each_row(make_example):
    page = page_of([make_example(17, GOLD, A)], [make_example(17, GOLD, B)])
    gold, one, two = page.split('<div class="who">')[1:]
    assert [gold.count(mark) for mark in ("A✓ B✓", "A✓ B✗", "A✗ B✓", "A✗ B✗")] == [1, 0, 2, 2]
    states = ('class="entity right"', 'class="entity wrong"', 'class="entity missed absent"')
    assert [one.count(state) for state in states] == [1, 3, 2]
    assert [two.count(state) for state in states] == [3, 3, 1]
    assert "✗ type only" in one and "✗ boundary only" in one and "✗ type and boundary" in two


def test_the_page_shows_only_documents_in_which_they_differ(make_example):
    example, other = (
        make_example(4, [(0, 1, "X")], [(0, 1, "X")]),
        make_example(4, [(0, 1, "X")], []),
    )
    examples_a, examples_b = [example] * 4, [example, other, example, other]
    assert differing_documents(analyse_errors(examples_a, examples_b)) == [1, 3]
    page = page_of(examples_a, examples_b)
    assert page.count("<section>") == 2 and "document 2<" in page and "document 4<" in page


def test_the_page_takes_documents_at_even_distances(make_example):
    one, two = make_example(4, [(0, 1, "X")], [(0, 1, "X")]), make_example(4, [(0, 1, "X")], [])
    page = page_of([one] * 6, [two] * 6, limit=2)
    assert page.count("<section>") == 2 and "document 1<" in page and "document 4<" in page


def test_the_page_of_equal_systems_is_whole(make_example):
    example = make_example(4, [(0, 1, "X")], [])
    page = page_of([example], [example])
    assert "<section>" not in page and page.rstrip().endswith("</html>")


def test_the_page_escapes_text_labels_genres_and_names(vocab):
    def example(found: bool) -> Example:
        docs = [Doc(vocab, words=["<b>", "&", "肺炎"]) for _ in range(2)]
        docs[0].set_ents([Span(docs[0], 0, 1, "<i>")])
        docs[1].set_ents([Span(docs[1], 0, 1, "<i>")] if found else [])
        docs[0].user_data["genre"] = "<u>"
        return Example(docs[1], docs[0])

    page = page_of([example(True)], [example(False)], names=("<s>", "b"), sentences=["<em>"])
    assert not any(tag in page for tag in ("<b>", "<i>", "<u>", "<s>", "<em>"))
    assert all(text in page for text in ("&lt;b&gt;", "&lt;i&gt;", "&lt;s&gt;", "肺炎"))


def test_the_page_loads_nothing(make_example):
    page = page_of([make_example(17, GOLD, A)], [make_example(17, GOLD, B)])
    assert not any(word in page for word in ("http", "src=", "url(", "@import", "<script", "<link"))


def test_the_markdown_says_what_each_alone_gets(analysis: ErrorAnalysis):
    text = errors_markdown(analysis, ("one", "two"), ["A sentence."])
    assert "- A sentence.\n" in text
    assert "| all | 5 | 1 | 0 | 2 | 2 | 20.00 | 60.00 |" in text
    assert "What only two gets" in text and "What only one gets" not in text
