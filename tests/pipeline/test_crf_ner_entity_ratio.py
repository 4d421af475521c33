"""Learning from known entities alone, with a guess of the share of tokens in entities."""

import numpy as np
import pytest
import torch
from path_enumeration import enumerate_paths
from spacy.language import Language
from spacy.training import Example
from toy_pipelines import TRAIN_DATA, blank_pipeline, found, make_examples, train

from spacy_mamba_crf.pipeline.entity_ratio import EntityRatio
from spacy_mamba_crf.pipeline.lattice import Batch, join_scores

TEXTS = ["a b c d", "c a b"]


def potentials_of(nlp: Language):
    ner = nlp.get_pipe("ner")
    return ner._potentials(ner.model, ner.tagset)


def batch_of(nlp: Language) -> Batch:
    docs = [nlp.make_doc(text) for text in TEXTS]
    return join_scores(nlp.get_pipe("ner").model.predict(docs))


def expected_share(nlp: Language) -> float:
    """The share of tokens in entities, expected over every tag sequence."""
    docs = [nlp.make_doc(text) for text in TEXTS]
    inside = sum(
        p * sum(tag != "O" for tag in tags) for doc in docs for tags, p in enumerate_paths(nlp, doc)
    )
    return inside / sum(map(len, docs))


def test_the_loss_is_the_distance_from_the_share_beyond_the_margin(uncertain: Language):
    batch, potentials = batch_of(uncertain), potentials_of(uncertain)
    share = expected_share(uncertain)
    for guess in (0.1, 0.99):
        value, _ = EntityRatio(guess, 0.05, 10.0).loss(batch, potentials)
        assert value == pytest.approx(10 * max(abs(share - guess) - 0.05, 0), abs=1e-5)
    assert EntityRatio(share, 0.01).loss(batch, potentials) == (0.0, None)


@pytest.mark.parametrize("guess", [0.1, 0.99])
def test_the_gradient_agrees_with_finite_differences(uncertain: Language, guess: float):
    batch, potentials = batch_of(uncertain), potentials_of(uncertain)
    batch = batch._replace(emissions=batch.emissions.double())
    ratio = EntityRatio(guess)
    _, gradient = ratio.loss(batch, potentials)
    rng = np.random.default_rng(0)
    parts = (batch.emissions, *potentials)
    for part, own in zip(parts, gradient):
        places = np.argwhere(np.isfinite(part.numpy()))
        for place in map(tuple, rng.permutation(places)[:6]):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [p.clone() for p in parts]
                moved[[p is part for p in parts].index(True)][place] += step
                scores = type(potentials)(*moved[1:])
                ends.append(ratio.loss(batch._replace(emissions=moved[0]), scores)[0])
            slope = (ends[0] - ends[1]) / 2e-5
            assert float(own[place]) == pytest.approx(slope, abs=1e-4)


def positives_only(nlp: Language) -> list[Example]:
    """The toy examples with nothing said of any token outside of their entities."""
    examples = make_examples(nlp, TRAIN_DATA)
    for example in examples:
        example.reference.set_ents(list(example.reference.ents), default="missing")
    return examples


def test_with_the_share_known_entities_alone_are_enough():
    nlp = blank_pipeline(entity_ratio=0.3)
    train(nlp, positives_only(nlp), 100)
    gold = [[(e.text, e.label_) for e in eg.reference.ents] for eg in make_examples(nlp)]
    assert [found(doc) for doc in nlp.pipe(text for text, _ in TRAIN_DATA)] == gold


@pytest.mark.parametrize("share", [0.25, 0.7])
def test_the_share_of_tokens_in_entities_follows_the_guess(share: float):
    nlp = blank_pipeline(entity_ratio=share)
    train(nlp, positives_only(nlp), 100)
    inside = [token.ent_iob_ != "O" for text, _ in TRAIN_DATA for token in nlp(text)]
    assert abs(np.mean(inside) - share) < 0.12


def test_empty_texts_beside_others_are_fine():
    nlp = blank_pipeline(entity_ratio=0.3)
    losses = train(nlp, [*positives_only(nlp), *make_examples(nlp, [("", {})])], 2)
    assert np.isfinite(losses["ner"])
    nlp.update(make_examples(nlp, [("", {})]))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_a_share_that_is_none_is_refused(share: float):
    with pytest.raises(ValueError, match=r"\[components.ner\] entity_ratio = .* between 0 and 1"):
        blank_pipeline(entity_ratio=share)


def test_emissions_stay_as_they_are(uncertain: Language):
    batch = batch_of(uncertain)
    batch = batch._replace(emissions=batch.emissions.double())
    before = batch.emissions.clone()
    EntityRatio(0.1).loss(batch, potentials_of(uncertain))
    assert torch.equal(batch.emissions, before)
