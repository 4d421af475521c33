"""The thresholds of crf_ner: which entities are chosen, and where they go."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli.find_threshold import find_threshold
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.util import load_model_from_path
from toy_pipelines import TRAIN_DATA, blank_pipeline, make_examples, tagger_model

from spacy_mamba_crf.pipeline.decoding import PredictedEntity, select

TEXTS = ["a b c d", "b c d a", "c a b b", "d d", "a"]


def span_lists() -> st.SearchStrategy[list[PredictedEntity]]:
    edges = st.tuples(st.integers(0, 8), st.integers(1, 4))
    span = st.builds(
        lambda edge, p: PredictedEntity(edge[0], edge[0] + edge[1], "X", p / 16),
        edges,
        st.integers(0, 16),
    )
    return st.lists(span, max_size=8)


def gain(spans, threshold: float) -> float:
    return sum(span.prob - threshold for span in spans)


def overlap(spans) -> bool:
    return any(a.start < b.end and b.start < a.end for a, b in itertools.combinations(spans, 2))


@given(span_lists(), st.integers(0, 16).map(lambda n: n / 16))
def test_no_set_without_overlap_has_a_larger_sum_above_the_threshold(spans, threshold):
    chosen = select(spans, threshold)
    assert not overlap(chosen)
    assert all(span.prob >= threshold for span in chosen)
    assert [span.start for span in chosen] == sorted(span.start for span in chosen)
    sets = itertools.chain.from_iterable(
        itertools.combinations(spans, n) for n in range(len(spans) + 1)
    )
    best = max(gain(own, threshold) for own in sets if not overlap(own))
    assert gain(chosen, threshold) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5, 0.9])
def test_with_a_threshold_the_likely_spans_that_do_not_overlap_are_found(uncertain, threshold):
    ner = uncertain.get_pipe("ner")
    likely = ner.likely_spans([uncertain.make_doc(text) for text in TEXTS], threshold)
    ner.threshold = threshold
    try:
        docs = list(uncertain.pipe(TEXTS))
    finally:
        ner.threshold = None
    for doc, spans in zip(docs, likely):
        found = [(ent.start, ent.end, ent.label_, ent._.prob) for ent in doc.ents]
        assert found == [tuple(span) for span in select(spans, threshold)]


def test_a_higher_threshold_finds_no_more_entities(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    counts = []
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        ner.threshold = threshold
        counts.append(sum(len(doc.ents) for doc in uncertain.pipe(TEXTS)))
    ner.threshold = None
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_a_span_group_can_hold_all_likely_spans_with_their_scores(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    likely = ner.likely_spans([uncertain.make_doc("a b c d")], 0.05)[0]
    ner.spans_key, ner.spans_threshold = "likely", 0.05
    try:
        doc = uncertain("a b c d")
    finally:
        ner.spans_key = ner.spans_threshold = None
    group = doc.spans["likely"]
    assert [(s.start, s.end, s.label_) for s in group] == [span[:3] for span in likely]
    assert group.attrs["scores"].tolist() == pytest.approx([span.prob for span in likely])
    assert len(group) > len(doc.ents)
    assert uncertain("a b c d").spans == {}


def test_an_empty_text_gets_an_empty_group(saved: Path):
    nlp = load_model_from_path(
        saved, config={"components": {"ner": {"spans_key": "sc", "spans_threshold": 0.1}}}
    )
    empty = nlp("")
    assert len(empty.spans["sc"]) == 0
    doc = nlp("I like London .")
    assert [span.text for span in doc.spans["sc"]] == ["London"]


def test_entities_set_before_stay_below_any_threshold(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    doc = uncertain.make_doc("a b c d")
    doc.set_ents([doc.char_span(2, 3, label="OTHER")], default="missing")
    ner.threshold = 1.0
    try:
        assert [(ent.text, ent.label_) for ent in uncertain(doc).ents] == [("b", "OTHER")]
    finally:
        ner.threshold = None


def test_spacys_find_threshold_searches_the_setting(saved: Path, tmp_path: Path):
    nlp = load_model_from_path(saved)
    docs = [example.reference for example in make_examples(nlp, TRAIN_DATA)]
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    _, score, scores = find_threshold(
        saved, tmp_path / "dev.spacy", "ner", "threshold", "ents_f", n_trials=3, silent=True
    )
    assert score == 1.0
    assert list(scores) == [0.0, 0.5, 1.0]
    assert scores[1.0] < 1.0  # no probability is quite 1


def test_without_crf_a_threshold_works_as_well():
    nlp = blank_pipeline(tagger_model(scheme="BIOES", crf=False), threshold=0.3)
    nlp.initialize(lambda: make_examples(nlp))
    for doc in nlp.pipe(["I like London .", "", "London"]):
        assert all(ent._.prob >= 0.3 for ent in doc.ents)


@pytest.mark.parametrize(
    ["settings", "message"],
    [
        ({"threshold": 1.5}, r"\[components.ner\] threshold = 1.5 must be a probability"),
        ({"spans_threshold": -1, "spans_key": "sc"}, "spans_threshold = -1"),
        ({"spans_threshold": 0.5}, "spans_threshold needs spans_key"),
    ],
)
def test_a_threshold_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        blank_pipeline(**settings)
