"""Emissions and transition scores: gradients, legality, scale, growing by new labels, saving."""

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from thinc.api import Adam, Linear, Model, list2array

from spacy_mamba_crf.architectures import CharNgramEmbed, CRFTagger
from spacy_mamba_crf.layers.crf_output import (
    Emissions,
    TransitionScores,
    add_gradient,
    read_potentials,
    resize_tagger,
)
from spacy_mamba_crf.pytorch.crf import Gradient
from spacy_mamba_crf.pytorch.schemes import TagSet

NEG_INF = float("-inf")


def random_array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def ones_gradient(size: int) -> Gradient:
    return Gradient(
        torch.zeros(1, 1, size),
        torch.ones(size, size, dtype=torch.float64),
        torch.ones(size, dtype=torch.float64),
        torch.ones(size, dtype=torch.float64),
    )


@pytest.fixture(scope="module")
def docs() -> list[Doc]:
    vocab = spacy.blank("en").vocab
    return [Doc(vocab, words=list("abc")), Doc(vocab), Doc(vocab, words=["d"])]


def make_tagger(docs: list[Doc], nO: int | None = 3, **options) -> Model:
    """A tagger of one label (BIO: O, B, I) with random scores."""
    tagger = CRFTagger(CharNgramEmbed(4, [50]), nO=nO, **options)
    tagger.initialize(X=docs)
    for seed, ref in enumerate(("output_layer", "transition_scores")):
        layer = tagger.get_ref(ref)
        for name in layer.param_names:
            layer.set_param(name, random_array(*layer.get_param(name).shape, seed=seed))
    return tagger


def scores(tagger: Model) -> dict[str, np.ndarray]:
    layers = [tagger.get_ref("output_layer"), tagger.get_ref("transition_scores")]
    return {name: layer.get_param(name).copy() for layer in layers for name in layer.param_names}


def learn(tagger: Model, docs: list[Doc], optimizer: Adam) -> None:
    """One update that pulls every score of every tag down."""
    Ys, backprop = tagger.begin_update(docs)
    backprop([np.ones_like(Y) for Y in Ys])
    transitions = tagger.get_ref("transition_scores")
    add_gradient(transitions, ones_gradient(transitions.get_dim("nO")))
    tagger.finish_update(optimizer)


def test_emissions_start_by_finding_nothing():
    layer = Emissions(4, 3).initialize()
    np.testing.assert_array_equal(layer.predict(random_array(2, 3)), [[1, 0, 0, 0]] * 2)


def test_emissions_compute_as_thincs_linear_layer_forward_and_backward():
    ours, theirs = Emissions(4, 3).initialize(), Linear(4, 3).initialize()
    for name, values in {"W": random_array(4, 3, seed=1), "b": random_array(4, seed=2)}.items():
        ours.set_param(name, values)
        theirs.set_param(name, values.copy())
    X, dY = random_array(5, 3, seed=3), random_array(5, 4, seed=4)
    (Y, backprop), (expected, their_backprop) = ours(X, True), theirs(X, True)
    np.testing.assert_allclose(Y, expected, rtol=1e-5)
    np.testing.assert_allclose(backprop(dY), their_backprop(dY), rtol=1e-5)
    for name in ("W", "b"):
        np.testing.assert_allclose(ours.get_grad(name), theirs.get_grad(name), rtol=1e-5)


def test_a_step_moves_scaled_emissions_that_much_further():
    plain, scaled = Emissions(4, 3).initialize(), Emissions(4, 3, scale=5.0).initialize()
    X, dY = random_array(5, 3, seed=3), random_array(5, 4, seed=4)
    before = scaled.predict(X)
    np.testing.assert_allclose(before, plain.predict(X), rtol=1e-6)
    changes = []
    for layer in (plain, scaled):
        _, backprop = layer(X, True)
        backprop(dY)
        # Adam's first step is the learning rate by the gradient's sign, whatever its size.
        layer.finish_update(Adam(0.001, L2=0.0, grad_clip=0.0))
        changes.append(layer.predict(X) - before)
    np.testing.assert_allclose(changes[1], 5 * changes[0], rtol=1e-3, atol=1e-6)


def test_the_gradient_of_scaled_emissions_is_that_of_a_linear_layer():
    ours, theirs = Emissions(4, 3, scale=5.0).initialize(), Linear(4, 3).initialize()
    W, b = random_array(4, 3, seed=1), random_array(4, seed=2)
    for layer, factor in ((ours, 1.0), (theirs, 5.0)):
        layer.set_param("W", W * factor)
        layer.set_param("b", b * factor)
    X, dY = random_array(5, 3, seed=3), random_array(5, 4, seed=4)
    (Y, backprop), (expected, their_backprop) = ours(X, True), theirs(X, True)
    np.testing.assert_allclose(Y, expected, rtol=1e-5)
    np.testing.assert_allclose(backprop(dY), their_backprop(dY), rtol=1e-5)
    for name in ("W", "b"):
        np.testing.assert_allclose(ours.get_grad(name), 5 * theirs.get_grad(name), rtol=1e-5)


def test_emissions_take_their_input_width_from_a_sample():
    layer = Emissions(2)
    layer.initialize(X=random_array(3, 7))
    assert layer.get_dim("nI") == 7


def test_transition_scores_let_emissions_through_both_ways():
    layer = TransitionScores(3, 5.0, constrained=True).initialize()
    Xs = [random_array(2, 3), random_array(0, 3)]
    Ys, backprop = layer(Xs, True)
    assert Ys is Xs
    assert backprop(Xs) is Xs


@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
def test_potentials_are_the_stored_scores_times_the_scale_where_a_step_is_legal(scheme):
    tagset = TagSet(scheme, ("X", "Y"))
    size = len(tagset)
    layer = TransitionScores(size, 5.0, constrained=True).initialize()
    layer.set_param("transitions", random_array(size, size))
    potentials = read_potentials(layer, tagset)
    legal = tagset.legal_transitions()
    expected = np.where(legal, layer.get_param("transitions").astype("float64") * 5, NEG_INF)
    np.testing.assert_allclose(potentials.transitions.numpy(), expected, rtol=1e-6)
    assert potentials.transitions.dtype == torch.float64
    assert (potentials.start.numpy() == np.where(tagset.legal_start(), 0, NEG_INF)).all()
    assert (potentials.end.numpy() == np.where(tagset.legal_end(), 0, NEG_INF)).all()


def test_the_scale_makes_one_gradient_step_scale_squared_as_long():
    """potential = scale * stored, so d stored = scale * d potential."""
    tagset = TagSet("BIO", ("X",))
    layer = TransitionScores(3, 5.0, constrained=True).initialize()
    add_gradient(layer, ones_gradient(3))
    np.testing.assert_array_equal(layer.get_grad("start"), np.full(3, 5.0))
    layer.finish_update(Adam(0.01, beta1=0.0, beta2=0.0, grad_clip=0.0, L2=0.0))
    assert read_potentials(layer, tagset).start[0] == pytest.approx(-0.01 * 5**2)


def test_without_a_crf_every_step_is_legal_and_nothing_is_learnt_of_it():
    tagset = TagSet("BIO", ("X",))
    layer = TransitionScores(3, 1.0, constrained=False).initialize()
    layer.set_param("transitions", random_array(3, 3))
    assert all((potential == 0).all() for potential in read_potentials(layer, tagset))
    add_gradient(layer, ones_gradient(3))
    assert not layer.has_grad("transitions")


def test_a_resized_tagger_keeps_its_scores_and_starts_new_tags_at_zero(docs):
    tagger = make_tagger(docs)
    before, emissions = scores(tagger), tagger.predict(docs)
    resize_tagger(tagger, 5)
    after = scores(tagger)
    assert after["W"].shape == (5, 4) and after["transitions"].shape == (5, 5)
    for name, old in before.items():
        inside = tuple(slice(0, size) for size in old.shape)
        np.testing.assert_array_equal(after[name][inside], old)
        rest = after[name].copy()
        rest[inside] = 0
        assert not rest.any()
    for old, new in zip(emissions, tagger.predict(docs)):
        np.testing.assert_array_equal(new, np.pad(old, ((0, 0), (0, 2))))


def test_a_resized_tagger_says_its_new_size_and_keeps_its_settings(docs):
    tagger = make_tagger(docs, transition_scale=3.0)
    resize_tagger(tagger, 5)
    transitions = tagger.get_ref("transition_scores")
    assert tagger.get_dim("nO") == 5
    assert tagger.get_ref("output_layer").get_dim("nO") == transitions.get_dim("nO") == 5
    assert transitions.attrs["scale"] == 3.0 and transitions.attrs["constrained"] is True


def test_a_resized_tagger_goes_on_learning_with_the_same_optimizer_and_averages(docs):
    tagger, optimizer = make_tagger(docs), Adam(0.1)
    learn(tagger, docs, optimizer)
    resize_tagger(tagger, 5)
    before = scores(tagger)
    learn(tagger, docs, optimizer)
    after = scores(tagger)
    for name in before:
        assert (after[name][-1] < before[name][-1]).any(), f"the new tags' {name} did not move"
    with tagger.use_params(optimizer.averages):
        assert [Y.shape for Y in tagger.predict(docs)] == [(3, 5), (0, 5), (1, 5)]


def test_a_tagger_can_be_resized_twice(docs):
    tagger = make_tagger(docs)
    resize_tagger(resize_tagger(tagger, 5), 9)
    assert tagger.predict(docs)[0].shape == (3, 9)


def test_a_tagger_without_parameters_takes_any_size(docs):
    tagger = CRFTagger(CharNgramEmbed(4, [50]))
    resize_tagger(resize_tagger(tagger, 3), 5)
    tagger.initialize(X=docs)
    assert tagger.predict(docs)[0].shape == (3, 5)


def test_a_resized_tagger_can_be_initialized_anew(docs):
    tagger = resize_tagger(make_tagger(docs), 5)
    tagger.initialize(X=docs)
    assert tagger.predict(docs)[0].shape == (3, 5)


def test_a_resized_tagger_is_saved_and_read_into_a_new_one(docs):
    tagger = resize_tagger(make_tagger(docs), 5)
    other = CRFTagger(CharNgramEmbed(4, [50]))
    other.from_bytes(tagger.to_bytes())
    np.testing.assert_array_equal(
        list2array().predict(other.predict(docs)), list2array().predict(tagger.predict(docs))
    )
    for name, values in scores(tagger).items():
        np.testing.assert_array_equal(scores(other)[name], values)


@pytest.mark.parametrize("lengths", [[0], [0, 0]])
def test_docs_without_tokens_pass_both_ways(docs, lengths):
    tagger = make_tagger(docs)
    empty = [docs[1]] * len(lengths)
    Ys, backprop = tagger.begin_update(empty)
    assert [Y.shape for Y in Ys] == [(0, 3)] * len(lengths)
    backprop(Ys)


def test_the_tagger_carries_the_refs_that_listeners_and_sourcing_need(docs):
    tagger = make_tagger(docs)
    assert tagger.get_ref("tok2vec") is tagger.layers[0]
    assert tagger.get_ref("output_layer").name == "emissions"
