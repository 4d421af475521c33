"""The loss of Rei (2017) beside a tok2vec: its gradient, what it learns, what it leaves alone."""

import copy

import numpy as np
import pytest
import spacy
import torch
from spacy.ml.models.tok2vec import BiLSTMEncoder, MaxoutWindowEncoder, build_Tok2Vec_model
from spacy.tokens import Doc
from thinc.api import Adam, Model, fix_random_seed

from spacy_mamba_crf.architectures import CharNgramEmbed, RecurrentEncoder
from spacy_mamba_crf.architectures.language_models import LMLoss
from spacy_mamba_crf.layers import lm_loss

VOCAB = spacy.blank("en").vocab
WIDTH, ROWS, HIDDEN = 8, 11, 5


def make_doc(*words: str) -> Doc:
    return Doc(VOCAB, words=list(words))


DOCS = [make_doc("a", "Rose", "is", "a", "rose"), make_doc(), make_doc("is"), make_doc("a", "b")]


def parts(seed: int = 0) -> tuple[Model, Model]:
    fix_random_seed(seed)
    return CharNgramEmbed(6, [50]), RecurrentEncoder(WIDTH, 1, input_width=6)


def make_layer(weight: float = 0.3, seed: int = 0) -> Model:
    layer = LMLoss(*parts(seed), rows=ROWS, hidden=HIDDEN, weight=weight)
    return layer.initialize(X=DOCS)


def number(word: str) -> int:
    """Class of a word: 0 is the edge of a doc."""
    return 1 + VOCAB.strings.add(word) % ROWS


def stated_loss(head: torch.nn.Module, docs: list[Doc], Ys: list[torch.Tensor]) -> torch.Tensor:
    """A token at a time: the NLL of its neighbours' classes, the mean over docs with tokens."""
    weights = dict(head.named_parameters())

    def log_p(direction: str, state: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(
            weights[f"{direction}.0.weight"] @ state + weights[f"{direction}.0.bias"]
        )
        scores = weights[f"{direction}.2.weight"] @ hidden + weights[f"{direction}.2.bias"]
        return scores - scores.exp().sum().log()

    total = torch.zeros(())
    for doc, Y in zip(docs, Ys):
        classes = [0, *(number(token.norm_) for token in doc), 0]
        for i, state in enumerate(Y):
            total = total - log_p("next_word", state[: WIDTH // 2])[classes[i + 2]]
            total = total - log_p("previous_word", state[WIDTH // 2 :])[classes[i]]
    return total / sum(len(doc) > 0 for doc in docs)


def run(layer: Model, docs: list[Doc] = DOCS, scale: float = 0.0) -> list[np.ndarray]:
    """One pass both ways, with a gradient of `scale` at each output."""
    Ys, backprop = layer.begin_update(docs)
    backprop([np.full_like(Y, scale) for Y in Ys])
    return Ys


@pytest.mark.parametrize("block", [256, 3])
def test_the_gradient_is_that_of_the_stated_loss(block, monkeypatch):
    monkeypatch.setattr(lm_loss, "_BLOCK", block)
    layer = make_layer(weight=0.3)
    seen = {}
    encode = layer.get_ref("encode")
    forward = encode._func

    def watched(model, Xs, is_train):
        Ys, backprop = forward(model, Xs, is_train)
        return Ys, lambda dYs: backprop(seen.setdefault("dYs", dYs))

    encode._func = watched
    Ys = run(layer)
    head = copy.deepcopy(layer.shims[0]._model)
    head.zero_grad()
    leaves = [torch.tensor(Y, requires_grad=True) for Y in Ys]
    loss = stated_loss(head, DOCS, leaves)
    (0.3 * loss).backward()
    for dY, leaf in zip(seen["dYs"], leaves):
        expected = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        np.testing.assert_allclose(dY, expected, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(layer.shims[0]._model.parameters(), head.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    assert layer.attrs["lm_loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_the_loss_reaches_the_embedding():
    layer = make_layer()
    run(layer)
    (table,) = [node for node in layer.walk() if node.name == "hashed_rows"]
    assert np.abs(table.get_grad("E")).max() > 0


def test_the_gradient_from_above_is_added_to():
    """Gradients are linear: that of both is the sum of those of each."""

    def gradient(weight: float, scale: float) -> np.ndarray:
        layer = make_layer(weight)
        run(layer, scale=scale)
        (table,) = [node for node in layer.walk() if node.name == "hashed_rows"]
        return table.get_grad("E")

    both = gradient(0.3, 1.0)
    np.testing.assert_allclose(both, gradient(0.3, 0.0) + gradient(0.0, 1.0), rtol=1e-4, atol=1e-6)


def test_without_a_weight_it_learns_what_tok2vec_learns():
    layer = make_layer(weight=0.0)
    plain = build_Tok2Vec_model(*parts()).initialize(X=DOCS)
    plain.from_bytes(layer.layers[0].to_bytes())
    for model in (layer, plain):
        run(model, scale=1.0)
        model.finish_update(Adam(0.01))
    for Y, expected in zip(layer.predict(DOCS), plain.predict(DOCS)):
        np.testing.assert_array_equal(Y, expected)
    assert layer.attrs["lm_loss"] is None


def test_predictions_are_those_of_the_tok2vec_inside():
    layer = make_layer()
    for Y, expected in zip(layer.predict(DOCS), layer.layers[0].predict(DOCS)):
        np.testing.assert_array_equal(Y, expected)


def test_a_batch_without_any_token_passes_both_ways():
    layer = make_layer()
    assert [Y.shape for Y in run(layer, [make_doc(), make_doc()])] == [(0, WIDTH)] * 2
    assert layer.attrs["lm_loss"] is None


def test_the_words_are_learnt_in_training_and_the_loss_is_kept():
    """After a, b, c and d there is one next and one previous word: nothing is left to doubt."""
    layer, optimizer = make_layer(weight=1.0), Adam(0.02)
    docs = [make_doc(*"abcd")] * 4
    losses = []
    for _ in range(150):
        run(layer, docs)
        layer.finish_update(optimizer)
        losses.append(layer.attrs["lm_loss"])
    # Eight predictions a doc, at first about as good as one among ROWS + 1 classes.
    assert losses[0] == pytest.approx(8 * np.log(ROWS + 1), rel=0.2)
    assert losses[-1] < 0.1 * losses[0]


def test_the_head_takes_part_in_the_averages_of_the_optimizer():
    layer, optimizer = make_layer(), Adam(0.05)
    for _ in range(3):
        run(layer)
        layer.finish_update(optimizer)
    head = layer.shims[0]._model
    trained = {name: value.detach().clone() for name, value in head.named_parameters()}
    with layer.use_params(optimizer.averages):
        for name, value in head.named_parameters():
            assert not torch.equal(value, trained[name]), name
    assert all(torch.equal(value, trained[name]) for name, value in head.named_parameters())


def test_bytes_of_one_layer_make_another_that_goes_on_the_same():
    layer, optimizer = make_layer(), Adam(0.01)
    for _ in range(3):
        run(layer)
        layer.finish_update(optimizer)
    other = LMLoss(*parts(seed=1), rows=ROWS, hidden=HIDDEN, weight=0.3)
    other.from_bytes(layer.to_bytes())
    for Y, expected in zip(other.predict(DOCS), layer.predict(DOCS)):
        np.testing.assert_array_equal(Y, expected)
    for model in (layer, other):
        run(model)
    assert other.attrs["lm_loss"] == layer.attrs["lm_loss"]


def test_it_has_the_width_and_the_references_of_a_tok2vec():
    layer = make_layer()
    assert layer.get_dim("nO") == WIDTH
    assert layer.get_ref("embed").name == "split_by_doc"
    assert layer.get_ref("encode").name == "torch_encoder"


def test_spacys_own_bidirectional_encoder_fits():
    fix_random_seed(0)
    layer = LMLoss(CharNgramEmbed(WIDTH, [50]), BiLSTMEncoder(WIDTH, 1, 0.0), rows=ROWS)
    layer.initialize(X=DOCS)
    run(layer)
    assert layer.attrs["lm_loss"] > 0


@pytest.mark.parametrize(
    ["settings", "message"],
    [
        ({"rows": 0}, "rows = 0 must be larger than 0"),
        ({"hidden": 0}, "hidden = 0 must be larger than 0"),
        ({"weight": -0.1}, "weight = -0.1 must not be negative"),
        ({"encode": MaxoutWindowEncoder(7, 1, 3, 1)}, "the width of encode is 7"),
    ],
    ids=str,
)
def test_bad_settings_are_sentences_that_name_the_config_key(settings, message):
    embed, encode = parts()
    with pytest.raises(ValueError, match=f"LMLoss: {message}"):
        LMLoss(**{"embed": embed, "encode": encode, **settings})
