"""Spans that are known not to be entities (`incorrect_spans_key`)."""

import pytest
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from toy_pipelines import blank_pipeline, found, make_examples, tagger_model, train

KEY = "incorrect"


@pytest.fixture(params=["BIO", "BIOES"])
def nlp(request: pytest.FixtureRequest) -> Language:
    """An untrained pipeline that reads incorrect spans."""
    nlp = blank_pipeline(tagger_model(scheme=request.param), incorrect_spans_key=KEY)
    for label in ("PERSON", "ORG", "LOC"):
        nlp.get_pipe("ner").add_label(label)
    return nlp


def person(nlp: Language, *incorrect: tuple[int, int, str]) -> Example:
    """ "Who is Shaka Khan ?" with its person and some incorrect spans."""
    doc = nlp.make_doc("Who is Shaka Khan ?")
    example = Example.from_dict(doc, {"entities": [(7, 17, "PERSON")]})
    spans = [Span(example.reference, start, end, label) for start, end, label in incorrect]
    example.reference.spans[KEY] = spans
    return example


def test_incorrect_spans_beside_a_correct_one_are_fine(nlp: Language):
    example = person(nlp, (2, 4, "ORG"), (2, 3, "PERSON"), (1, 4, "PERSON"))
    train(nlp, [example], 40, nlp.initialize())
    assert found(nlp("Who is Shaka Khan ?")) == [("Shaka Khan", "PERSON")]


def test_an_incorrect_span_that_is_annotated_as_an_entity_raises(nlp: Language):
    example = person(nlp, (2, 4, "PERSON"))
    optimizer = nlp.initialize()
    with pytest.raises(ValueError, match="Shaka Khan"):
        nlp.update([example], sgd=optimizer)


def test_an_incorrect_span_without_a_label_contradicts_any_entity_there(nlp: Language):
    example = person(nlp, (2, 4, ""))
    optimizer = nlp.initialize()
    with pytest.raises(ValueError, match="any label"):
        nlp.update([example], sgd=optimizer)


def learn_london(nlp: Language) -> str:
    text = "I like London"
    examples = make_examples(nlp, [(text, {"entities": [(7, 13, "LOC")]})])
    train(nlp, examples, 40)
    assert found(nlp(text)) == [("London", "LOC")]
    return text


@pytest.mark.parametrize("label", ["LOC", ""])
def test_an_entity_can_be_unlearnt(nlp: Language, label: str):
    text = learn_london(nlp)
    doc = nlp.make_doc(text)
    example = Example(doc, Doc(nlp.vocab, words=[token.text for token in doc]))
    example.reference.spans[KEY] = [Span(example.reference, 2, 3, label)]
    train(nlp, [example], 60, nlp.resume_training())
    assert found(nlp(text)) == []


def test_an_incorrect_span_without_a_label_weighs_the_sum_over_all_labels(nlp: Language):
    nlp.initialize()
    ner = nlp.get_pipe("ner")
    doc = nlp.make_doc("London")
    scores = ner.model.predict([doc])
    p = {}
    for label in ("PERSON", "ORG", "LOC", ""):
        example = Example(doc, Doc(nlp.vocab, words=["London"]))
        example.reference.spans[KEY] = [Span(example.reference, 0, 1, label)]
        loss, _ = ner.get_loss([example], scores)
        p[label] = 1 - 2.718281828459045**-loss
    assert p[""] == pytest.approx(p["PERSON"] + p["ORG"] + p["LOC"], abs=1e-9)


def test_a_longer_entity_through_an_incorrect_span_stays_possible(nlp: Language):
    doc = nlp.make_doc("Shaka Khan")
    example = Example.from_dict(doc, {"entities": ["B-PERSON", "L-PERSON"]})
    example.reference.spans[KEY] = [Span(example.reference, 0, 1, "PERSON")]
    optimizer = nlp.initialize()
    losses = train(nlp, [example], 40, optimizer)
    assert losses["ner"] < 0.5
    assert found(nlp("Shaka Khan")) == [("Shaka Khan", "PERSON")]


def test_labels_and_texts_that_the_model_does_not_know_are_fine(nlp: Language):
    example = person(nlp, (0, 1, "UNKNOWN"))
    empty = make_examples(nlp, [("", {})])
    train(nlp, [example, *empty], 2, nlp.initialize())


def test_without_the_key_incorrect_spans_are_not_read():
    nlp = blank_pipeline()
    example = person(nlp, (2, 4, "PERSON"))
    train(nlp, [example], 2)
