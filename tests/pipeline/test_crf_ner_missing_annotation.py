"""crf_ner learns from what is annotated and is told nothing where nothing is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from toy_pipelines import blank_pipeline, found, make_examples, tagger_model, train


def partly_annotated(nlp: Language, text: str, tags: list[str | None]) -> Example:
    """An example with BILUO tags, None where nothing is known."""
    return Example.from_dict(nlp.make_doc(text), {"entities": tags})


@pytest.fixture(params=["BIO", "BIOES"])
def untrained(request: pytest.FixtureRequest) -> Language:
    """A pipeline with the labels LOC and PERSON that has learnt nothing."""
    nlp = blank_pipeline(tagger_model(scheme=request.param))
    nlp.initialize(lambda: make_examples(nlp))
    return nlp


def loss_and_gradient(nlp: Language, example: Example) -> tuple[float, np.ndarray]:
    """The loss of one example and its gradient, (token, tag), at uneven emissions."""
    ner = nlp.get_pipe("ner")
    shape = (len(example.predicted), len(ner.tagset))
    scores = np.random.default_rng(0).normal(size=shape).astype("float32")
    value, gradient = ner.get_loss([example], [scores])
    return value, gradient[0]


def test_a_text_without_annotation_has_no_loss_and_no_gradient(untrained: Language):
    doc = untrained.make_doc("I like London .")
    for reference in (Doc(untrained.vocab, words=[token.text for token in doc]), doc.copy()):
        value, gradient = loss_and_gradient(untrained, Example(doc, reference))
        assert value == pytest.approx(0.0, abs=1e-9)
        assert_allclose(gradient, 0.0, atol=1e-7)


def test_tokens_without_annotation_have_no_loss_and_no_gradient(untrained: Language):
    example = partly_annotated(untrained, "I like London .", [None] * 4)
    value, gradient = loss_and_gradient(untrained, example)
    assert value == pytest.approx(0.0, abs=1e-9)
    assert_allclose(gradient, 0.0, atol=1e-7)


def test_other_annotation_teaches_nothing_about_entities(untrained: Language):
    doc = untrained.make_doc("I like London .")
    example = Example.from_dict(doc, {"tags": ["N", "V", "N", "P"], "cats": {"A": 1.0}})
    assert loss_and_gradient(untrained, example)[0] == pytest.approx(0.0, abs=1e-9)


def test_an_annotation_of_no_entities_has_a_loss(untrained: Language):
    example = partly_annotated(untrained, "I like London .", ["O"] * 4)
    assert loss_and_gradient(untrained, example)[0] > 0.1


def test_the_emissions_of_a_known_token_get_the_gradient_of_that_token(untrained: Language):
    tags = untrained.get_pipe("ner").tagset.tags
    only = "S-LOC" if "S-LOC" in tags else "B-LOC"
    example = partly_annotated(untrained, "I like London .", [None, None, "U-LOC", None])
    _, gradient = loss_and_gradient(untrained, example)
    assert gradient[2, tags.index(only)] < 0
    others = [i for i, tag in enumerate(tags) if tag != only]
    assert (gradient[2, others] >= 0).all()
    assert_allclose(gradient.sum(1), 0.0, atol=1e-6)


def test_known_entities_are_learnt_and_unknown_tokens_are_not_taught_to_be_outside():
    texts = ["I like London .", "Berlin is big .", "She saw London ."]
    partial = [
        [None, None, "U-LOC", None],
        ["U-LOC", None, None, None],
        [None, None, None, None],
    ]
    outside = [["O", "O", "U-LOC", "O"], ["U-LOC", "O", "O", "O"], ["O"] * 4]
    p_outside = []
    for annotation in (partial, outside):
        nlp = blank_pipeline()
        examples = [partly_annotated(nlp, *pair) for pair in zip(texts, annotation)]
        train(nlp, examples, 60)
        doc = nlp("Berlin is big .")
        assert (doc[0].ent_iob_, doc[0].ent_type_) == ("B", "LOC")
        emissions = nlp.get_pipe("ner").model.predict([nlp.make_doc("She saw London .")])[0]
        p = np.exp(emissions) / np.exp(emissions).sum(1, keepdims=True)
        p_outside.append(p[2, 0])
    assert p_outside[0] < 0.2  # London is known from the first text, and nothing speaks against it
    assert p_outside[1] > 0.8


def test_a_missing_token_beside_an_entity_cannot_make_it_longer(untrained: Language):
    entity = partly_annotated(untrained, "a b c d", [None, "U-LOC", None, None])
    _, gradient = loss_and_gradient(untrained, entity)
    tags = untrained.get_pipe("ner").tagset.tags
    assert gradient[2, tags.index("I-LOC")] > 0


def test_incomplete_data_is_learnt_where_it_is_complete():
    nlp = blank_pipeline()
    examples = [
        partly_annotated(nlp, "I like London .", [None, "O", "U-LOC", None]),
        partly_annotated(nlp, "Shaka Khan eats .", ["B-PERSON", "L-PERSON", None, None]),
    ]
    assert train(nlp, examples, 80)["ner"] < 0.05
    assert ("London", "LOC") in found(nlp("I like London ."))
    assert ("Shaka Khan", "PERSON") in found(nlp("Shaka Khan eats ."))


def test_an_entity_whose_edges_fall_inside_tokens_counts_as_unknown(untrained: Language):
    doc = untrained.make_doc("I like London.")
    assert [token.text for token in doc] == ["I", "like", "London", "."]
    words = {"words": ["I", "li", "ke", "London", "."], "spaces": [True, False, True, False, False]}
    split = Example.from_dict(doc, {**words, "entities": ["O", "O", "U-LOC", "O", "O"]})
    partial = partly_annotated(untrained, "I like London.", ["O", None, "O", "O"])
    assert loss_and_gradient(untrained, split)[0] == pytest.approx(
        loss_and_gradient(untrained, partial)[0], rel=1e-9
    )


def test_an_entity_of_two_words_that_are_one_token_here_is_learnt(untrained: Language):
    doc = Doc(untrained.vocab, words=["I", "like", "New York", "."])
    words = {"words": ["I", "like", "New", "York", "."]}
    merged = Example.from_dict(doc, {**words, "entities": ["O", "O", "B-LOC", "L-LOC", "O"]})
    plain = doc.copy()
    plain.set_ents([Span(plain, 2, 3, label="LOC")], default="outside")
    assert loss_and_gradient(untrained, merged)[0] == pytest.approx(
        loss_and_gradient(untrained, Example(doc, plain))[0], rel=1e-9
    )
