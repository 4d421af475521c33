"""R-Drop and adversarial embeddings in a recogniser's updates."""

import numpy as np
import pytest
from toy_pipelines import TRAIN_DATA, blank_pipeline, found, listener, make_examples, tagger_model
from toy_pipelines import train as train_toy

from spacy_mamba_crf.pipeline.regularization import adversarial_embeddings, table_gradients


def tables(nlp) -> list[np.ndarray]:
    model = nlp.get_pipe("ner").model
    return [node.get_param("E").copy() for node in model.walk() if "E" in node.param_names]


@pytest.mark.parametrize("settings", [{"agreement": 0.5}, {"adversarial": 0.5}])
def test_a_pipeline_learns_with_it(settings):
    nlp = blank_pipeline(**settings)
    train_toy(nlp, make_examples(nlp), 60, drop=0.1)
    for text, annotation in TRAIN_DATA:
        expected = [(text[start:end], label) for start, end, label in annotation["entities"]]
        assert found(nlp(text)) == expected


@pytest.mark.parametrize("settings", [{"agreement": 3.0}, {"adversarial": 2.0}])
def test_the_loss_that_is_told_is_that_of_the_docs(settings):
    """Without dropout both readings are alike, and adversarial examples are not counted."""
    losses = []
    for own in ({}, settings):
        nlp = blank_pipeline(**own)
        losses.append(train_toy(nlp, make_examples(nlp), 1)["ner"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_agreement_costs_where_dropout_makes_readings_differ():
    losses = []
    for weight in (1e-9, 10.0):
        nlp = blank_pipeline(agreement=weight)
        examples = make_examples(nlp)
        train_toy(nlp, examples, 20)
        optimizer = nlp.resume_training()
        losses.append(train_toy(nlp, examples, 1, optimizer, drop=0.5)["ner"])
    assert losses[1] > losses[0]


def test_embeddings_are_moved_along_the_gradient_and_back():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    train_toy(nlp, examples, 3)  # the output layer starts at 0, and lets no gradient through
    nlp.get_pipe("ner").update(examples)
    before = tables(nlp)
    model = nlp.get_pipe("ner").model
    nodes = [node for node in model.walk() if "E" in node.param_names]
    gradients = [node.get_grad("E").copy() for node in nodes]
    with adversarial_embeddings(model, 0.7, {}):
        moved = [own - old for own, old in zip(tables(nlp), before)]
    length = np.sqrt(sum(float((step**2).sum()) for step in moved))
    assert length == pytest.approx(0.7, rel=1e-3)
    for step, gradient in zip(moved, gradients):
        assert (step * gradient).sum() > 0
        np.testing.assert_array_equal(np.abs(step).max(1) > 0, np.abs(gradient).max(1) > 0)
    for own, old in zip(tables(nlp), before):
        np.testing.assert_array_equal(own, old)


def test_gradients_of_earlier_docs_do_not_move_them():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    train_toy(nlp, examples, 3)
    ner = nlp.get_pipe("ner")
    nodes = [node for node in ner.model.walk() if "E" in node.param_names]
    moved = []
    for earlier in ([], examples[:2]):
        for node in nodes:
            if node.has_grad("E"):
                node.set_grad("E", node.get_grad("E") * 0)
        if earlier:
            ner.update(earlier)
        kept = table_gradients(ner.model)
        ner.update(examples[2:3])
        before = tables(nlp)
        with adversarial_embeddings(ner.model, 0.5, kept):
            moved.append([own - old for own, old in zip(tables(nlp), before)])
    for own, other in zip(*moved):
        np.testing.assert_allclose(own, other, atol=1e-4)


@pytest.mark.parametrize("settings", [{"agreement": 1.0}, {"adversarial": 1.0}])
def test_a_component_that_listens_is_refused(settings):
    nlp = blank_pipeline()
    nlp.add_pipe("tok2vec", first=True)
    width = nlp.get_pipe("tok2vec").model.get_dim("nO")
    nlp.remove_pipe("ner")
    model = tagger_model(listener(width))
    nlp.add_pipe("crf_ner", name="ner", config={"model": model, **settings})
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    with pytest.raises(ValueError, match="need a tok2vec of the component's own; it listens to"):
        nlp.update(examples, sgd=optimizer)


@pytest.mark.parametrize("settings", [{"agreement": -1.0}, {"adversarial": -0.5}])
def test_settings_that_cannot_be_are_refused(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name} = .* must be 0 or larger"):
        blank_pipeline(**settings)
