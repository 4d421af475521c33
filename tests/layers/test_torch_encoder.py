"""The torch encoder as a thinc layer: gradients, dropout, empty texts, saving, averages, decay."""

import numpy as np
import pytest
import torch
from thinc.api import Adam, Model, get_current_ops, set_dropout_rate

from spacy_mamba_crf.architectures import MambaEncoder
from spacy_mamba_crf.architectures.encoders import VARIANTS
from spacy_mamba_crf.pytorch.bidirectional import NO_WEIGHT_DECAY

N_IN, N_OUT = 5, 8
LENGTHS = [3, 0, 1, 6]


@pytest.fixture(params=VARIANTS)
def variant(request) -> str:
    return request.param


def make_layer(variant: str, seed: int = 0, **options) -> Model:
    torch.manual_seed(seed)
    sizes = {"depth": 2, "d_state": 4, "headdim": 4, "input_width": N_IN}
    sizes["cpu_precision"] = "float32"
    return MambaEncoder(N_OUT, variant=variant, **(sizes | options))


def random_texts(lengths=LENGTHS, width=N_IN, seed=0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.standard_normal((n, width)).astype("float32") for n in lengths]


def loss(Ys: list[np.ndarray], weights: list[np.ndarray]) -> float:
    return sum(float((Y.astype("float64") * W).sum()) for Y, W in zip(Ys, weights))


def test_a_text_goes_in_and_comes_out_as_one_array_of_its_length(variant):
    layer = make_layer(variant)
    Ys = layer.predict(random_texts())
    assert [Y.shape for Y in Ys] == [(n, N_OUT) for n in LENGTHS]
    assert all(Y.dtype == "float32" for Y in Ys)


def test_dimensions_are_known_before_initialize(variant):
    layer = make_layer(variant)
    assert (layer.get_dim("nI"), layer.get_dim("nO")) == (N_IN, N_OUT)


def test_training_and_predicting_give_the_same_output_without_dropout(variant):
    layer, texts = make_layer(variant), random_texts()
    trained, _ = layer.begin_update(texts)
    for Y, same in zip(trained, layer.predict(texts)):
        np.testing.assert_allclose(Y, same, rtol=1e-4, atol=1e-5)


def test_bfloat16_changes_predictions_a_little_and_training_not_at_all(variant):
    texts = random_texts()
    exact = make_layer(variant)
    reduced = make_layer(variant, cpu_precision="bfloat16")
    for Y, same in zip(exact.begin_update(texts)[0], reduced.begin_update(texts)[0]):
        np.testing.assert_array_equal(Y, same)
    Ys, near = exact.predict(texts), reduced.predict(texts)
    assert any((Y != Z).any() for Y, Z in zip(Ys, near))
    for Y, Z in zip(Ys, near):
        np.testing.assert_allclose(Y, Z, atol=0.1)


def test_the_gradient_of_the_input_is_the_finite_difference(variant):
    layer, Xs = make_layer(variant), random_texts()
    weights, steps = random_texts(width=N_OUT, seed=1), random_texts(seed=2)
    _, backprop = layer.begin_update(Xs)
    dXs = backprop([W.copy() for W in weights])
    assert [dX.shape for dX in dXs] == [X.shape for X in Xs]
    eps = 3e-3
    above = loss(layer.predict([X + eps * V for X, V in zip(Xs, steps)]), weights)
    below = loss(layer.predict([X - eps * V for X, V in zip(Xs, steps)]), weights)
    assert (above - below) / (2 * eps) == pytest.approx(loss(dXs, steps), rel=1e-2, abs=1e-2)


def test_the_gradient_of_the_parameters_is_the_finite_difference(variant):
    layer, Xs = make_layer(variant), random_texts()
    weights = random_texts(width=N_OUT, seed=1)
    _, backprop = layer.begin_update(Xs)
    backprop([W.copy() for W in weights])
    eps = 1e-3
    for name, parameter in layer.shims[0]._model.named_parameters():
        step = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
        expected = float((parameter.grad * step).sum())
        values = []
        for sign in (1, -1):
            parameter.data.add_(sign * eps * step)
            values.append(loss(layer.predict(Xs), weights))
            parameter.data.sub_(sign * eps * step)
        difference = (values[0] - values[1]) / (2 * eps)
        assert difference == pytest.approx(expected, rel=2e-2, abs=2e-2), name


def test_two_backward_passes_before_an_update_add_up(variant):
    layer = make_layer(variant)
    weights = random_texts(width=N_OUT, seed=1)
    for _ in range(2):
        _, backprop = layer.begin_update(random_texts())
        backprop([W.copy() for W in weights])
    twice = [p.grad.clone() for p in layer.shims[0]._model.parameters()]
    layer = make_layer(variant)
    _, backprop = layer.begin_update(random_texts())
    backprop([2 * W for W in weights])
    for got, parameter in zip(twice, layer.shims[0]._model.parameters()):
        torch.testing.assert_close(got, parameter.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("texts", [[], [0], [0, 0, 0]], ids=str)
def test_a_batch_without_any_token_passes_both_ways(variant, texts):
    layer = make_layer(variant)
    Xs = random_texts(texts)
    Ys, backprop = layer.begin_update(Xs)
    assert [Y.shape for Y in Ys] == [(0, N_OUT)] * len(Xs)
    assert [dX.shape for dX in backprop(Ys)] == [(0, N_IN)] * len(Xs)
    assert [Y.shape for Y in layer.predict(Xs)] == [(0, N_OUT)] * len(Xs)


def test_thinc_sets_the_dropout_and_predicting_is_free_of_it(variant):
    layer, texts = make_layer(variant), random_texts()
    plain = np.concatenate(layer.predict(texts))
    set_dropout_rate(layer, 0.5)
    first, second = (np.concatenate(layer.begin_update(texts)[0]) for _ in range(2))
    assert not np.allclose(first, second)
    assert np.array_equal(np.concatenate(layer.predict(texts)), plain)
    set_dropout_rate(layer, 0.0)
    np.testing.assert_allclose(
        np.concatenate(layer.begin_update(texts)[0]), plain, rtol=1e-4, atol=1e-5
    )


def test_bytes_of_one_layer_make_another_give_its_output(variant):
    layer, other = make_layer(variant), make_layer(variant, seed=1)
    texts = random_texts()
    expected = np.concatenate(layer.predict(texts))
    assert not np.allclose(np.concatenate(other.predict(texts)), expected)
    other.from_bytes(layer.to_bytes())
    assert np.array_equal(np.concatenate(other.predict(texts)), expected)


def test_a_layer_saved_to_disk_is_read_back(variant, tmp_path):
    layer, other = make_layer(variant), make_layer(variant, seed=1)
    texts = random_texts()
    layer.to_disk(tmp_path / "layer")
    other.from_disk(tmp_path / "layer")
    assert np.array_equal(
        np.concatenate(other.predict(texts)), np.concatenate(layer.predict(texts))
    )


def test_a_copy_of_a_layer_has_weights_of_its_own(variant):
    layer, texts = make_layer(variant), random_texts()
    before = np.concatenate(layer.predict(texts))
    copied = layer.copy()
    with torch.no_grad():
        for parameter in copied.shims[0]._model.parameters():
            parameter.add_(1)
    assert np.array_equal(np.concatenate(layer.predict(texts)), before)
    assert not np.allclose(np.concatenate(copied.predict(texts)), before)


def update(layer: Model, optimizer: Adam, scale: float = 1.0) -> None:
    Ys, backprop = layer.begin_update(random_texts())
    backprop([get_current_ops().asarray2f(Y * scale) for Y in Ys])
    layer.finish_update(optimizer)


def named_parameters(layer: Model) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in layer.shims[0]._model.named_parameters()}


@pytest.mark.parametrize("L2_is_weight_decay", [True, False])
def test_weight_decay_spares_decay_rates_skips_norms_and_biases(variant, L2_is_weight_decay):
    layer = make_layer(variant)
    before = named_parameters(layer)
    optimizer = Adam(0.1, L2=0.5, L2_is_weight_decay=L2_is_weight_decay)
    update(layer, optimizer, scale=0.0)  # no gradient: all that can move them is the L2
    spared = set()
    for name, after in named_parameters(layer).items():
        if set(name.split(".")) & set(NO_WEIGHT_DECAY):
            spared.add(name.split(".")[-1])
            assert torch.equal(after, before[name]), name
        elif L2_is_weight_decay:  # w - learn_rate * L2 * w
            torch.testing.assert_close(after, before[name] * (1 - 0.1 * 0.5))
        else:
            assert not torch.equal(after, before[name]), name
    own = {
        "mamba1": {"A_log", "D"},
        "mamba2": {"A_log", "D", "dt_bias"},
        "s4d": {"log_A_real", "A_imag", "log_dt", "D"},
    }
    assert spared == own[variant] | {"weight", "bias"}
    assert optimizer.L2 == 0.5


def test_an_update_lowers_the_loss(variant):
    layer = make_layer(variant)
    optimizer = Adam(0.01)

    def energy() -> float:
        return sum(float((Y**2).sum()) for Y in layer.predict(random_texts()))

    before = energy()
    for _ in range(5):
        update(layer, optimizer)
    assert energy() < before


def test_averages_of_the_optimizer_are_used_inside_use_params_only(variant):
    layer, texts = make_layer(variant), random_texts()
    optimizer = Adam(0.05)
    for _ in range(3):
        update(layer, optimizer)
    trained = named_parameters(layer)
    plain = np.concatenate(layer.predict(texts))
    with layer.use_params(optimizer.averages):
        for name, average in named_parameters(layer).items():
            expected = optimizer.averages[(layer.shims[0].id, name)]
            np.testing.assert_array_equal(average.numpy(), expected.reshape(average.shape))
        assert not np.allclose(np.concatenate(layer.predict(texts)), plain)
    assert all(torch.equal(now, trained[name]) for name, now in named_parameters(layer).items())


def test_the_trained_parameters_return_even_after_an_error_inside_use_params():
    layer, optimizer = make_layer("mamba2"), Adam(0.05)
    for _ in range(3):
        update(layer, optimizer)
    trained = named_parameters(layer)
    with pytest.raises(KeyboardInterrupt), layer.use_params(optimizer.averages):
        raise KeyboardInterrupt
    assert all(torch.equal(now, trained[name]) for name, now in named_parameters(layer).items())


def test_averages_of_another_layer_are_left_alone():
    layer, other = make_layer("mamba2"), make_layer("mamba2", seed=1)
    optimizer = Adam(0.05)
    update(other, optimizer)
    before = named_parameters(layer)
    with layer.use_params(optimizer.averages):
        assert all(torch.equal(p, before[name]) for name, p in named_parameters(layer).items())
