"""Entity probabilities of crf_ner: against the sum over every tag sequence, and where they go."""

import math

import numpy as np
import pytest
from path_enumeration import enumerate_paths, read_entities
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from toy_pipelines import (
    TEXTS,
    blank_pipeline,
    found,
    found_with_probabilities,
    make_examples,
    tagger_model,
    train,
    trained_pipeline,
)


@pytest.mark.parametrize("text", ["a b c d", "b c d a", "c a b b", "d d", "a", "b b"])
def test_probabilities_agree_with_the_sum_over_all_tag_sequences(uncertain: Language, text: str):
    doc = uncertain(text)
    paths = enumerate_paths(uncertain, uncertain.make_doc(text))
    best, _ = max(paths, key=lambda path: path[1])
    assert {ent[:3] for ent in found_with_probabilities(doc)} == read_entities(best)
    for start, end, label, prob in found_with_probabilities(doc):
        expected = sum(p for path, p in paths if (start, end, label) in read_entities(path))
        assert prob == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", ["a b c d c", "b c d a b"])
def test_with_tokens_blocked_probabilities_are_those_of_the_remaining_sequences(
    uncertain: Language, text: str
):
    doc = uncertain.make_doc(text)
    doc.set_ents([], blocked=[doc[0:1]], default="missing")
    doc = uncertain.get_pipe("ner")(doc)
    paths = enumerate_paths(uncertain, uncertain.make_doc(text))
    paths = [(path, p) for path, p in paths if path[0] == "O"]
    total = sum(p for _, p in paths)
    best, _ = max(paths, key=lambda path: path[1])
    assert {ent[:3] for ent in found_with_probabilities(doc)} == read_entities(best)
    for start, end, label, prob in found_with_probabilities(doc):
        expected = sum(p for path, p in paths if (start, end, label) in read_entities(path))
        assert prob == pytest.approx(expected / total, abs=1e-6)


def test_with_an_entity_set_before_probabilities_are_those_of_the_sequences_with_it(
    uncertain: Language,
):
    doc = uncertain.make_doc("d a b c d")
    preset = (0, 1, "Y")
    doc.set_ents([Span(doc, *preset)], default="missing")
    doc = uncertain.get_pipe("ner")(doc)
    paths = enumerate_paths(uncertain, uncertain.make_doc("d a b c d"))
    paths = [(path, p) for path, p in paths if preset in read_entities(path)]
    total = sum(p for _, p in paths)
    best, _ = max(paths, key=lambda path: path[1])
    predicted = found_with_probabilities(doc)
    assert {ent[:3] for ent in predicted} == read_entities(best)
    for start, end, label, prob in predicted:
        if (start, end, label) == preset:
            assert prob is None
        else:
            expected = sum(p for path, p in paths if (start, end, label) in read_entities(path))
            assert prob == pytest.approx(expected / total, abs=1e-6)


def test_every_entity_has_a_probability_above_0_and_up_to_1(trained):
    docs = list(trained.pipe(TEXTS))
    probs = [ent._.prob for doc in docs for ent in doc.ents]
    assert len(probs) >= 10
    assert all(0 < prob <= 1 for prob in probs)
    assert all(isinstance(prob, float) for prob in probs)


def test_a_model_sure_of_its_entities_says_so(trained):
    probs = [ent._.prob for ent in trained("I like London and Berlin .").ents]
    assert len(probs) == 2
    assert min(probs) > 0.9


def test_without_crf_a_probability_is_the_product_of_the_tokens_own():
    nlp = blank_pipeline(tagger_model(crf=False))
    train(nlp, make_examples(nlp), 30)
    doc = nlp("Shaka Khan lives in London .")
    ner = nlp.get_pipe("ner")
    emissions = ner.model.predict([doc])[0].astype("float64")
    softmax = np.exp(emissions) / np.exp(emissions).sum(1, keepdims=True)
    tag = {name: number for number, name in enumerate(ner.tagset.tags)}
    expected = {
        "Shaka Khan": softmax[0, tag["B-PERSON"]]
        * softmax[1, tag["I-PERSON"]]
        * (1 - softmax[2, tag["I-PERSON"]]),
        "London": softmax[4, tag["B-LOC"]] * (1 - softmax[5, tag["I-LOC"]]),
    }
    assert found(doc) == [("Shaka Khan", "PERSON"), ("London", "LOC")]
    for ent in doc.ents:
        assert ent._.prob == pytest.approx(expected[ent.text], abs=1e-6)


def test_probabilities_can_be_left_out():
    nlp = blank_pipeline(probabilities=False)
    train(nlp, make_examples(nlp), 60)
    doc = nlp("I like London .")
    assert found_with_probabilities(doc) == [(2, 3, "LOC", None)]


def test_predict_gives_probabilities_and_leaves_the_doc_alone(trained):
    doc = trained.make_doc("I like London .")
    ((entities, _),) = trained.get_pipe("ner").predict([doc])
    assert [(e.start, e.end, e.label) for e in entities] == [(2, 3, "LOC")]
    assert entities[0].prob == pytest.approx(trained("I like London .").ents[0]._.prob, abs=1e-6)
    assert not doc.has_annotation("ENT_IOB")
    assert not doc.user_data


def test_a_span_group_holds_the_entities_and_their_scores():
    nlp = blank_pipeline(spans_key="ner")
    train(nlp, make_examples(nlp), 60)
    doc = nlp("Shaka Khan likes London .")
    group = doc.spans["ner"]
    assert [(span.text, span.label_) for span in group] == found(doc)
    assert len(group) == 2
    np.testing.assert_allclose(group.attrs["scores"], [ent._.prob for ent in doc.ents], rtol=1e-6)


def test_a_text_without_entities_gets_an_empty_span_group():
    nlp = blank_pipeline(spans_key="ner")
    nlp.get_pipe("ner").add_label("LOC")
    nlp.initialize()
    for doc in nlp.pipe(["Nothing here .", ""]):
        assert len(doc.spans["ner"]) == 0
        assert len(doc.spans["ner"].attrs["scores"]) == 0


def test_a_span_group_survives_a_doc_bin():
    nlp = blank_pipeline(spans_key="ner")
    train(nlp, make_examples(nlp), 60)
    doc = nlp("Shaka Khan likes London .")
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    (again,) = DocBin().from_bytes(data).get_docs(nlp.vocab)
    assert again.spans["ner"].attrs["scores"] == pytest.approx([e._.prob for e in doc.ents])


def test_probabilities_survive_a_doc_bin(trained):
    docs = list(trained.pipe(TEXTS))
    data = DocBin(docs=docs, store_user_data=True).to_bytes()
    again = list(DocBin().from_bytes(data).get_docs(trained.vocab))
    assert list(map(found_with_probabilities, again)) == list(map(found_with_probabilities, docs))
    assert any(math.isfinite(ent._.prob) for doc in again for ent in doc.ents)


def test_a_probability_belongs_to_the_label_it_was_found_for(trained):
    doc = trained("I like London .")
    assert [ent._.prob is None for ent in doc.ents] == [False]
    doc.ents = [Span(doc, ent.start, ent.end, label="OTHER") for ent in doc.ents]
    assert [ent._.prob for ent in doc.ents] == [None]


def test_a_probability_goes_along_with_a_span_and_with_joined_docs(trained):
    doc = trained("I like London .")
    prob = doc.ents[0]._.prob
    joined = Doc.from_docs([trained("I like ."), doc])
    assert [ent._.prob for ent in joined.ents] == [prob]
    assert [ent._.prob for ent in doc[1:4].as_doc(copy_user_data=True).ents] == [prob]


def test_without_probabilities_a_span_group_has_no_scores():
    doc = trained_pipeline(spans_key="sc", probabilities=False)("I like London .")
    assert [span.text for span in doc.spans["sc"]] == ["London"]
    assert "scores" not in doc.spans["sc"].attrs
