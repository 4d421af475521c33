"""`score_loss`: the loss of the annotation and the accuracy of tags among the scores."""

import math

import pytest
from spacy.training import Example
from toy_pipelines import blank_pipeline, make_examples, tagger_model, train

DATA = [("London is big .", {"entities": [(0, 6, "LOC")]}), ("", {"entities": []})]


def test_without_it_scores_are_those_of_the_scorer():
    nlp = blank_pipeline()
    train(nlp, make_examples(nlp), 1)
    assert "ents_loss" not in nlp.evaluate(make_examples(nlp))


@pytest.mark.parametrize("crf", [True, False])
def test_the_loss_is_minus_the_log_probability_of_the_annotation_a_token(crf):
    nlp = blank_pipeline(tagger_model(crf=crf), score_loss=True)
    train(nlp, make_examples(nlp), 5)
    (example, _) = make_examples(nlp, DATA)
    scores = nlp.evaluate([example])
    p = nlp.get_pipe("ner").tag_probability(nlp("London is big ."), ["B-LOC", "O", "O", "O"])
    assert scores["ents_loss"] == pytest.approx(-math.log(p) / 4, rel=1e-4)


def test_the_accuracy_counts_each_token_with_annotation():
    nlp = blank_pipeline(score_loss=True)
    train(nlp, make_examples(nlp), 1)
    doc = nlp.make_doc("London is big .")
    example = Example.from_dict(doc, {"entities": ["U-LOC", "O", "O", None]})
    example.predicted.set_ents([])
    scores = nlp.get_pipe("ner").score([example])
    assert scores["ents_tag_acc"] == pytest.approx(2 / 3)


def test_examples_without_tokens_have_neither():
    nlp = blank_pipeline(score_loss=True)
    train(nlp, make_examples(nlp), 1)
    scores = nlp.evaluate(make_examples(nlp, DATA[1:]))
    assert scores["ents_loss"] is None and scores["ents_tag_acc"] is None
