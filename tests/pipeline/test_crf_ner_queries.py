"""Questions to crf_ner beside its prediction: against the sum over every tag sequence."""

import itertools
import math
from collections import defaultdict

import pytest
from path_enumeration import enumerate_paths, read_entities
from spacy.language import Language
from spacy.tokens import Span
from toy_pipelines import blank_pipeline, found_with_probabilities, make_examples

TEXTS = ["a b c d", "c a b b", "d d", "a"]


def span_shares(nlp: Language, text: str) -> dict[tuple[int, int, str], float]:
    """The probability of every span that some tag sequence holds."""
    shares: dict[tuple[int, int, str], float] = defaultdict(float)
    for tags, p in enumerate_paths(nlp, nlp.make_doc(text)):
        for entity in read_entities(tags):
            shares[entity] += p
    return dict(shares)


@pytest.mark.parametrize("text", TEXTS)
def test_any_span_has_the_share_of_the_sequences_that_hold_it(uncertain: Language, text: str):
    doc = uncertain.make_doc(text)
    shares = span_shares(uncertain, text)
    edges = itertools.combinations(range(len(doc) + 1), 2)
    spans = [(start, end, label) for start, end in edges for label in ("X", "Y")]
    p = uncertain.get_pipe("ner").span_probabilities(doc, spans)
    assert p == pytest.approx([shares.get(span, 0.0) for span in spans], abs=1e-6)


def test_spans_can_be_given_as_spacys(uncertain: Language):
    doc = uncertain.make_doc("a b c d")
    ner = uncertain.get_pipe("ner")
    spans = [Span(doc, 2, 3, label="Y"), Span(doc, 0, 4, label="X")]
    rows = [(span.start, span.end, span.label_) for span in spans]
    assert ner.span_probabilities(doc, spans) == ner.span_probabilities(doc, rows)
    assert ner.span_probabilities(doc, []) == []


def test_the_prediction_itself_is_no_constraint_on_questions(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    before, after = uncertain.make_doc("a b c d"), uncertain("a b c d")
    assert after.ents
    spans = [(0, 4, "X"), (0, 1, "Y"), *((e.start, e.end, e.label_) for e in after.ents)]
    asked = ner.span_probabilities(after, spans)
    assert asked == ner.span_probabilities(before, spans)
    assert asked[2:] == pytest.approx([ent._.prob for ent in after.ents], abs=1e-6)
    assert ner.n_best([after], 3)[0][1].prob == ner.n_best([before], 3)[0][1].prob


def test_entities_by_others_are_constraints_on_questions(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    doc = uncertain.make_doc("a b c d")
    doc.set_ents([Span(doc, 1, 2, label="Y")], default="missing")
    doc = uncertain(doc)
    assert ner.span_probabilities(doc, [(1, 2, "Y"), (0, 2, "X"), (1, 2, "X")]) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ["span", "message"],
    [
        ((0, 0, "X"), "is empty"),
        ((2, 5, "X"), "leaves its doc"),
        ((-1, 2, "X"), "leaves its doc"),
        ((0, 1, "Z"), "'Z', which the component 'ner' does not know. It knows X, Y"),
    ],
)
def test_a_span_that_cannot_be_is_refused(uncertain: Language, span, message):
    with pytest.raises(ValueError, match=message):
        uncertain.get_pipe("ner").span_probabilities(uncertain.make_doc("a b c d"), [span])


@pytest.mark.parametrize("text", TEXTS)
def test_every_whole_tag_sequence_has_its_probability(uncertain: Language, text: str):
    doc = uncertain.make_doc(text)
    ner = uncertain.get_pipe("ner")
    paths = enumerate_paths(uncertain, doc)
    for tags, p in paths[:: max(len(paths) // 20, 1)]:
        assert ner.tag_probability(doc, tags) == pytest.approx(p, abs=1e-6)


def test_tags_that_are_left_open_are_summed_over(uncertain: Language):
    doc = uncertain.make_doc("a b c d")
    paths = enumerate_paths(uncertain, doc)
    expected = sum(p for tags, p in paths if tags[1] == "O" and tags[3] == "O")
    p = uncertain.get_pipe("ner").tag_probability(doc, [None, "O", "-", "O"])
    assert p == pytest.approx(expected, abs=1e-6)
    assert uncertain.get_pipe("ner").tag_probability(doc, ["-"] * 4) == pytest.approx(1.0)


def test_tags_are_understood_in_spacys_own_scheme(uncertain: Language):
    doc = uncertain.make_doc("a b c d")
    p = uncertain.get_pipe("ner").tag_probability(doc, ["U-Y", "B-X", "I-X", "L-X"])
    expected = {read_entities(tags): share for tags, share in enumerate_paths(uncertain, doc)}
    assert p == pytest.approx(expected[frozenset({(0, 1, "Y"), (1, 4, "X")})], abs=1e-6)


def test_a_forbidden_tag_sequence_has_no_probability(uncertain: Language):
    doc = uncertain.make_doc("a b c d")
    assert uncertain.get_pipe("ner").tag_probability(doc, ["O", "I-X", "O", "O"]) == 0.0


@pytest.mark.parametrize(
    ["tags", "message"],
    [
        (["O"] * 3, "There are 3 tags for the 4 tokens"),
        (["O", "O", "B-Z", "O"], "'B-Z' of token 2"),
    ],
)
def test_tags_that_do_not_fit_are_refused(uncertain: Language, tags, message):
    with pytest.raises(ValueError, match=message):
        uncertain.get_pipe("ner").tag_probability(uncertain.make_doc("a b c d"), tags)


@pytest.mark.parametrize("k", [1, 3, 20])
def test_the_n_best_analyses_are_the_most_probable_sequences(uncertain: Language, k: int):
    docs = [uncertain.make_doc(text) for text in TEXTS]
    for doc, analyses in zip(docs, uncertain.get_pipe("ner").n_best(docs, k)):
        paths = sorted(enumerate_paths(uncertain, doc), key=lambda path: -path[1])[:k]
        assert [a.prob for a in analyses] == pytest.approx([p for _, p in paths], abs=1e-6)
        assert [tuple(a.tags) for a in analyses] == [tags for tags, _ in paths]
        for analysis in analyses:
            entities = {(ent.start, ent.end, ent.label_) for ent in analysis.ents}
            assert entities == read_entities(tuple(analysis.tags))


def test_the_best_analysis_is_the_prediction(trained: Language):
    texts = ["Shaka Khan and Berlin and New York City .", "Just a sentence ."]
    docs = list(trained.pipe(texts))
    for doc, (best,) in zip(docs, trained.get_pipe("ner").n_best(docs, 1)):
        assert [(e.start, e.end, e.label_) for e in best.ents] == [
            ent[:3] for ent in found_with_probabilities(doc)
        ]


def test_all_analyses_of_a_text_share_out_one(uncertain: Language):
    doc = uncertain.make_doc("d d")
    analyses = uncertain.get_pipe("ner").n_best([doc], 1000)[0]
    assert len(analyses) == len(enumerate_paths(uncertain, doc))
    assert math.fsum(a.prob for a in analyses) == pytest.approx(1.0)


@pytest.mark.parametrize("threshold", [0.05, 0.3])
def test_likely_spans_are_those_whose_share_reaches_the_threshold(uncertain, threshold: float):
    docs = [uncertain.make_doc(text) for text in TEXTS]
    for doc, spans in zip(docs, uncertain.get_pipe("ner").likely_spans(docs, threshold)):
        shares = span_shares(uncertain, doc.text)
        expected = {span: p for span, p in shares.items() if p >= threshold}
        assert {span[:3]: span.prob for span in spans} == pytest.approx(expected, abs=1e-6)


def test_questions_about_nothing_have_answers():
    nlp = blank_pipeline()
    nlp.initialize(lambda: make_examples(nlp))
    ner, empty = nlp.get_pipe("ner"), nlp.make_doc("")
    assert ner.tag_probability(empty, []) == 1.0
    assert ner.likely_spans([empty], 0.5) == [[]]
    ((analysis,),) = ner.n_best([empty], 3)
    assert (analysis.ents, analysis.tags, analysis.prob) == ([], [], 1.0)
    assert ner.n_best([], 3) == []
    mixed = ner.n_best([empty, nlp.make_doc("a b")], 2)
    assert [len(own) for own in mixed] == [1, 2]


def test_a_span_of_another_doc_is_refused(uncertain: Language):
    doc, other = uncertain.make_doc("a b"), uncertain.make_doc("a b")
    with pytest.raises(ValueError, match="The span 'a' belongs to another doc"):
        uncertain.get_pipe("ner").span_probabilities(doc, [Span(other, 0, 1, label="X")])


@pytest.mark.parametrize("wrong", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(uncertain: Language, wrong: float):
    with pytest.raises(ValueError, match="it must be a probability"):
        uncertain.get_pipe("ner").likely_spans([uncertain.make_doc("a")], wrong)


def test_one_doc_in_the_place_of_several_is_refused(uncertain: Language):
    ner, doc = uncertain.get_pipe("ner"), uncertain.make_doc("a b")
    with pytest.raises(TypeError, match=r"n_best takes docs, not one: pass \[doc\]"):
        ner.n_best(doc, 1)
    with pytest.raises(TypeError, match="likely_spans takes docs"):
        ner.likely_spans("a b", 0.5)
    with pytest.raises(TypeError, match="span_probabilities takes one Doc"):
        ner.span_probabilities([doc], [])


def test_n_best_of_less_than_one_is_refused(uncertain: Language):
    with pytest.raises(ValueError, match="at least 1"):
        uncertain.get_pipe("ner").n_best([uncertain.make_doc("a b")], 0)
