"""New labels for a trained crf_ner, further training, and rehearsal against forgetting."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from spacy.language import Language
from toy_pipelines import (
    TEXTS,
    TRAIN_DATA,
    blank_pipeline,
    found,
    found_with_probabilities,
    make_examples,
    tagger_model,
    train,
    trained_pipeline,
)

NEW_DATA = [
    ("Aspirin helps .", {"entities": [(0, 7, "DRUG")]}),
    ("Take some Aspirin now .", {"entities": [(10, 17, "DRUG")]}),
]


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_a_new_label_changes_no_prediction_before_it_is_learnt(scheme: str):
    nlp = trained_pipeline(model=tagger_model(scheme=scheme))
    ner = nlp.get_pipe("ner")
    n_tags = len(ner.tagset)
    before = [found(nlp(text)) for text in TEXTS]
    emissions = ner.model.predict([nlp.make_doc("I like London .")])[0]
    assert ner.add_label("DRUG") == 1
    assert ner.labels == ("LOC", "PERSON", "DRUG")
    assert ner.model.get_dim("nO") == len(ner.tagset) > n_tags
    assert [found(nlp(text)) for text in TEXTS] == before
    grown = ner.model.predict([nlp.make_doc("I like London .")])[0]
    assert_allclose(grown[:, :n_tags], emissions, atol=1e-6)


def test_a_new_label_is_learnt_by_further_training(loaded: Language):
    loaded.get_pipe("ner").add_label("DRUG")
    optimizer = loaded.resume_training()
    train(loaded, make_examples(loaded, [*TRAIN_DATA, *NEW_DATA]), 100, optimizer)
    assert found(loaded("Aspirin helps .")) == [("Aspirin", "DRUG")]
    assert found(loaded("I like London and Berlin .")) == [("London", "LOC"), ("Berlin", "LOC")]


def test_training_goes_on_with_the_same_optimizer_after_a_new_label():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    train(nlp, examples, 3, optimizer)
    nlp.get_pipe("ner").add_label("DRUG")
    train(nlp, make_examples(nlp, NEW_DATA), 3, optimizer)


def test_a_new_label_survives_saving(loaded: Language, tmp_path):
    loaded.get_pipe("ner").add_label("DRUG")
    train(loaded, make_examples(loaded, NEW_DATA), 60, loaded.resume_training())
    loaded.to_disk(tmp_path)
    again = blank_pipeline().from_disk(tmp_path)
    assert again.get_pipe("ner").labels == ("LOC", "PERSON", "DRUG")
    assert found(again("Aspirin helps .")) == [("Aspirin", "DRUG")]
    for text in TEXTS:
        assert found_with_probabilities(again(text)) == found_with_probabilities(loaded(text))


def test_a_label_added_between_update_and_step_does_no_harm():
    nlp = blank_pipeline()
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    ner = nlp.get_pipe("ner")
    ner.update(examples)
    ner.add_label("DRUG")
    ner.update(examples, sgd=optimizer)


def test_resumed_training_starts_where_it_stopped(loaded: Language):
    losses = train(loaded, make_examples(loaded), 1, loaded.resume_training())
    assert losses["ner"] < 0.5


def divergence(one: Language, other: Language, texts: list[str], n_tags: int) -> float:
    """How far apart the emissions for these texts are, over the first tags."""
    total = 0.0
    for text in texts:
        first, second = (
            nlp.get_pipe("ner").model.predict([nlp.make_doc(text)])[0][:, :n_tags]
            for nlp in (one, other)
        )
        total += float(np.abs(first - second).mean())
    return total


def learn_drugs(nlp: Language, rehearse: bool) -> None:
    nlp.get_pipe("ner").add_label("DRUG")
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.003
    old = [text for text, _ in TRAIN_DATA]
    for _ in range(40):
        nlp.update(make_examples(nlp, NEW_DATA), sgd=optimizer)
        if rehearse:
            nlp.rehearse(make_examples(nlp, [(text, {}) for text in old]), sgd=optimizer)


def test_rehearsal_keeps_old_knowledge_while_a_new_label_is_learnt(trained, saved):
    forgetful, rehearsed = (blank_pipeline().from_disk(saved) for _ in range(2))
    learn_drugs(forgetful, rehearse=False)
    learn_drugs(rehearsed, rehearse=True)
    texts = [text for text, _ in TRAIN_DATA]
    n_tags = len(trained.get_pipe("ner").tagset)
    assert divergence(trained, rehearsed, texts, n_tags) < divergence(
        trained, forgetful, texts, n_tags
    )
    for text in texts:
        assert found(rehearsed(text)) == found(trained(text))
    assert found(rehearsed("Aspirin helps .")) == [("Aspirin", "DRUG")]


def test_rehearsal_through_the_pipeline_reaches_every_parameter(loaded: Language):
    """nlp.rehearse hands over a function that collects gradients, not an optimizer."""
    optimizer = loaded.resume_training()
    train(loaded, make_examples(loaded, NEW_DATA[:1]), 3, optimizer)
    model = loaded.get_pipe("ner").model
    encoder = next(node for node in model.walk() if node.shims).shims[0]._model
    weights = {name: value.detach().clone() for name, value in encoder.named_parameters()}
    emissions = model.get_ref("output_layer").get_param("W").copy()
    loaded.rehearse(make_examples(loaded), sgd=optimizer)
    assert np.abs(model.get_ref("output_layer").get_param("W") - emissions).max() > 0
    for name, value in encoder.named_parameters():
        assert (value != weights[name]).any(), name


def test_rehearsal_has_no_loss_before_anything_changed(loaded: Language):
    optimizer = loaded.resume_training()
    losses: dict[str, float] = {}
    loaded.get_pipe("ner").rehearse(make_examples(loaded), losses=losses)
    assert losses["ner"] == pytest.approx(0.0, abs=1e-6)
    loaded.get_pipe("ner").rehearse(make_examples(loaded), sgd=optimizer, losses=losses)


def test_the_loss_of_rehearsal_grows_with_forgetting(loaded: Language):
    optimizer = loaded.resume_training()
    losses = []
    for _ in range(3):
        current: dict[str, float] = {}
        loaded.get_pipe("ner").rehearse(make_examples(loaded), losses=current)
        losses.append(current["ner"])
        train(loaded, make_examples(loaded, [("I like London .", {"entities": []})]), 8, optimizer)
    assert losses[0] < losses[1] < losses[2]


def test_rehearsal_without_resume_training_does_nothing(loaded: Language):
    assert loaded.get_pipe("ner").rehearse(make_examples(loaded)) == {"ner": 0.0}


def test_rehearsal_of_empty_texts_is_fine(loaded: Language):
    loaded.resume_training()
    ner = loaded.get_pipe("ner")
    assert ner.rehearse(make_examples(loaded, [("", {})])) == {"ner": 0.0}
    ner.rehearse(make_examples(loaded, [("", {}), ("I like London .", {})]))
