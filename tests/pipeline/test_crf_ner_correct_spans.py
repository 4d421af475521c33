"""Spans that are known to be entities, of an unknown type or of one of several."""

import numpy as np
import pytest
from path_enumeration import enumerate_paths, read_entities
from spacy.language import Language
from spacy.tokens import Span
from spacy.training import Example
from toy_pipelines import blank_pipeline, found, make_examples, tagger_model, train

KEY = "correct"


@pytest.fixture
def learner(uncertain: Language):
    ner = uncertain.get_pipe("ner")
    ner.correct_spans_key = KEY
    yield uncertain
    ner.correct_spans_key = None


def example_of(nlp: Language, spans, ents=(), default: str = "missing") -> Example:
    """The text "a b c d" with spans known to be correct: (start, end, label)."""
    reference = nlp.make_doc("a b c d")
    reference.spans[KEY] = [Span(reference, *span[:2], label=span[2]) for span in spans]
    if ents or default == "outside":
        entities = [Span(reference, *ent[:2], label=ent[2]) for ent in ents]
        reference.set_ents(entities, default=default)
    return Example(nlp.make_doc("a b c d"), reference)


def loss_of(nlp: Language, example: Example) -> float:
    ner = nlp.get_pipe("ner")
    return ner.get_loss([example], ner.model.predict([example.predicted]))[0]


def surprise(nlp: Language, is_known) -> float:
    """-log of the probability of the tag sequences that agree with what is known."""
    paths = enumerate_paths(nlp, nlp.make_doc("a b c d"))
    return -np.log(sum(p for tags, p in paths if is_known(read_entities(tags))))


def test_a_span_without_a_label_is_an_entity_of_any_type(learner: Language):
    known = example_of(learner, [(1, 3, "")])
    expected = surprise(learner, lambda e: {(1, 3, "X"), (1, 3, "Y")} & e)
    assert loss_of(learner, known) == pytest.approx(expected, abs=1e-5)


def test_a_span_listed_with_several_labels_is_one_of_them(learner: Language):
    one = example_of(learner, [(1, 3, "X")])
    assert loss_of(learner, one) == pytest.approx(surprise(learner, lambda e: (1, 3, "X") in e))
    both = example_of(learner, [(1, 3, "X"), (1, 3, "Y")])
    any_type = example_of(learner, [(1, 3, "")])
    assert loss_of(learner, both) == pytest.approx(loss_of(learner, any_type))


def test_the_other_annotation_holds_as_well(learner: Language):
    known = example_of(learner, [(2, 4, "")], [(0, 1, "Y")], "outside")
    admitted = [frozenset({(0, 1, "Y"), (2, 4, label)}) for label in "XY"]
    expected = surprise(learner, lambda entities: entities in admitted)
    assert loss_of(learner, known) == pytest.approx(expected, abs=1e-5)


def test_a_span_with_a_label_that_is_not_known_says_nothing(learner: Language):
    known = example_of(learner, [(1, 3, "Z")], [(0, 1, "Y")], "missing")
    expected = surprise(learner, lambda e: (0, 1, "Y") in e)
    assert loss_of(learner, known) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ["spans", "ents"],
    [([(1, 3, "")], [(2, 4, "X")]), ([(1, 3, ""), (2, 4, "")], []), ([(0, 1, "X")], [(0, 1, "Y")])],
)
def test_a_span_that_contradicts_another_annotation_is_refused(learner: Language, spans, ents):
    with pytest.raises(ValueError, match=r"in doc.spans\['correct'\] contradicts an entity"):
        loss_of(learner, example_of(learner, spans, ents))


def test_without_the_key_the_spans_are_not_read(uncertain: Language):
    plain = example_of(uncertain, [], [(0, 1, "Y")], "outside")
    with_spans = example_of(uncertain, [(2, 4, "")], [(0, 1, "Y")], "outside")
    assert loss_of(uncertain, with_spans) == loss_of(uncertain, plain)


def test_labels_are_taken_from_correct_spans_as_well():
    nlp = blank_pipeline(correct_spans_key=KEY)
    examples = [example_of(nlp, [(0, 1, ""), (1, 2, "ONE"), (1, 2, "OTHER")], [(3, 4, "X")])]
    nlp.initialize(lambda: examples)
    assert nlp.get_pipe("ner").labels == ("ONE", "OTHER", "X")


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_an_entity_of_unknown_type_is_learnt_and_its_type_comes_from_elsewhere(scheme: str):
    nlp = blank_pipeline(tagger_model(scheme=scheme), correct_spans_key=KEY)
    data = [
        ("I like London .", {"entities": [(7, 13, "LOC")]}),
        ("Who is Khan ?", {"entities": [(7, 11, "PERSON")]}),
        ("Berlin is nice .", {"entities": []}),
        ("I like Berlin .", {"entities": []}),
    ]
    examples = make_examples(nlp, data)
    for example, (start, end) in zip(examples[2:], [(0, 1), (2, 3)]):
        example.reference.spans[KEY] = [example.reference[start:end]]
    train(nlp, examples, 60)
    assert found(nlp("I like Berlin .")) == [("Berlin", "LOC")]
    assert [text for text, _ in found(nlp("Berlin is nice ."))] == ["Berlin"]
