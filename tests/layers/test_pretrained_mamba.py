"""A pretrained Mamba as a layer over docs: its vectors, what it reads, training, saving."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from spacy.tokens import Doc
from thinc.api import Adam, Model, set_dropout_rate
from tiny_mamba import WIDTH, make_checkpoints, make_docs, overlapping
from tokenizers import Tokenizer
from transformers import AutoModel

from spacy_mamba_crf.architectures.pretrained import PretrainedMamba
from spacy_mamba_crf.layers import pretrained_mamba


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    return make_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(params=["mamba1", "mamba2"])
def checkpoint(request, checkpoints) -> Path:
    return checkpoints[request.param]


def make_layer(path: Path | None, **settings: Any) -> Model:
    return PretrainedMamba(None if path is None else str(path), **settings)


def test_a_token_has_one_vector_of_the_checkpoints_width_a_direction(checkpoint):
    docs = make_docs()
    for bidirectional, width in ((True, 2 * WIDTH), (False, WIDTH)):
        layer = make_layer(checkpoint, bidirectional=bidirectional)
        assert layer.get_dim("nO") == width
        Ys = layer.predict(docs)
        assert [Y.shape for Y in Ys] == [(len(doc), width) for doc in docs]
        assert all(Y.dtype == "float32" for Y in Ys)


def oracle_states(checkpoint: Path, text: str) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """transformers' hidden states of a text (subword, width), and where its sub-words lie."""
    found = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).encode(text)
    model = AutoModel.from_pretrained(checkpoint).eval()
    with torch.no_grad():
        return model(torch.tensor([found.ids])).last_hidden_state[0], found.offsets


POOL: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": lambda states: states.mean(0),
    "last": lambda states: states[-1],
    "first": lambda states: states[0],
}


@pytest.mark.parametrize("pooling", POOL)
def test_a_tokens_vector_is_pooled_from_transformers_states(checkpoint, pooling):
    [doc] = make_docs([["Patients", "dislike", "aspirinate", "龘"]], spaces=True)
    states, offsets = oracle_states(checkpoint, doc.text)
    expected = [POOL[pooling](states[places]).numpy() for places in overlapping(doc, offsets)]
    layer = make_layer(checkpoint, bidirectional=False, pooling=pooling)
    np.testing.assert_allclose(layer.predict([doc])[0], expected, atol=1e-4)


def test_white_space_without_subwords_gets_zeros(checkpoint):
    [Y] = make_layer(checkpoint).predict(make_docs([["a", "  ", "b"]]))
    assert not Y[1].any()
    assert Y[0].any() and Y[2].any()


def test_forwards_a_token_knows_nothing_of_what_comes_after_it(checkpoint):
    docs = make_docs([["Patients", "like", "aspirin"], ["Patients", "like", "Berlin"]], True)
    for pooling in POOL:
        one, other = make_layer(checkpoint, bidirectional=False, pooling=pooling).predict(docs)
        np.testing.assert_allclose(one[:2], other[:2], atol=1e-5)
        assert not np.allclose(one[2], other[2], atol=1e-3)


def test_in_both_directions_each_half_knows_one_side(checkpoint):
    docs = make_docs([["Patients", "like", "aspirin"], ["Berlin", "like", "aspirin"]], True)
    one, other = make_layer(checkpoint).predict(docs)
    np.testing.assert_allclose(one[1:, WIDTH:], other[1:, WIDTH:], atol=1e-5)
    assert not np.allclose(one[1:, :WIDTH], other[1:, :WIDTH], atol=1e-3)


@pytest.mark.parametrize("trainable", [True, False])
def test_a_doc_alone_and_in_a_batch_predicted_and_trained_gives_the_same(checkpoint, trainable):
    layer, docs = make_layer(checkpoint, trainable=trainable), make_docs()
    together = layer.predict(docs)
    trained, _ = layer.begin_update(docs)
    for doc, Y, same in zip(docs, together, trained):
        np.testing.assert_allclose(layer.predict([doc])[0], Y, atol=1e-5)
        np.testing.assert_allclose(same, Y, atol=1e-5)


def test_a_long_doc_in_blocks_is_one_run_and_nothing_is_cut_off(checkpoint, tmp_path):
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    docs = make_docs([["Patients", "like", "aspirin"] * 200, ["a"]], spaces=True)
    long, short = make_layer(checkpoint, block_size=10**6).predict(docs)
    blocks = make_layer(checkpoint, tokenizer=str(tmp_path), block_size=37).predict(docs)
    np.testing.assert_allclose(blocks[0], long, atol=1e-4)
    np.testing.assert_allclose(blocks[1], short, atol=1e-4)
    assert long[-1].any()


def test_dropout_falls_on_the_result_in_training_only(checkpoint):
    layer, docs = make_layer(checkpoint), make_docs()
    set_dropout_rate(layer, 0.5)
    whole = np.concatenate(layer.predict(docs))
    dropped = np.concatenate(layer.begin_update(docs)[0])
    kept = dropped != 0
    assert 0.4 < kept[whole != 0].mean() < 0.6
    np.testing.assert_allclose(dropped[kept], 2 * whole[kept], rtol=1e-4)


def parameters(layer: Model) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in layer.shims[0]._model.state_dict().items()}


def update(layer: Model, docs: list[Doc]) -> None:
    Ys, backprop = layer.begin_update(docs)
    backprop([np.ones_like(Y) for Y in Ys])
    layer.finish_update(Adam(0.01))


def test_a_frozen_model_keeps_its_weights_and_gives_the_optimizer_nothing(checkpoint):
    layer = make_layer(checkpoint)
    layer.initialize()
    before = parameters(layer)
    update(layer, make_docs())
    torch.testing.assert_close(parameters(layer), before, rtol=0, atol=0)
    assert not any(p.requires_grad for p in layer.shims[0]._model.parameters())


def test_a_trainable_model_moves_all_its_weights(checkpoint):
    layer = make_layer(checkpoint, trainable=True)
    layer.initialize()
    before = parameters(layer)
    update(layer, make_docs())
    assert all((value != before[name]).any() for name, value in parameters(layer).items())


def test_initialize_takes_the_checkpoints_weights_again(checkpoint):
    layer = make_layer(checkpoint, trainable=True)
    layer.initialize()
    before = parameters(layer)
    update(layer, make_docs())
    layer.initialize()
    torch.testing.assert_close(parameters(layer), before, rtol=0, atol=0)


def test_docs_without_subwords_pass_both_ways(checkpoint):
    layer = make_layer(checkpoint, trainable=True)
    for docs in ([], make_docs([[]]), make_docs([[], [" "]])):
        Ys, backprop = layer.begin_update(docs)
        assert all(Y.shape == (len(doc), 2 * WIDTH) and not Y.any() for doc, Y in zip(docs, Ys))
        backprop(Ys)


@pytest.mark.parametrize("part", [1000, 1 << 30])
def test_a_saved_layer_needs_no_folder(checkpoint, part, monkeypatch):
    monkeypatch.setattr(pretrained_mamba, "PART", part)
    layer, docs = make_layer(checkpoint), make_docs()
    Ys = layer.predict(docs)
    loaded = make_layer(None).from_bytes(layer.to_bytes())
    assert loaded.get_dim("nO") == 2 * WIDTH
    for Y, same in zip(Ys, loaded.predict(docs)):
        np.testing.assert_array_equal(Y, same)
    loaded.initialize()  # what was loaded stays
    np.testing.assert_array_equal(loaded.predict(docs)[0], Ys[0])


def test_whether_it_trains_is_the_configs_choice_also_where_it_is_loaded(checkpoint):
    layer = make_layer(checkpoint)
    layer.initialize()
    loaded = make_layer(None, trainable=True).from_bytes(layer.to_bytes())
    before = parameters(loaded)
    update(loaded, make_docs())
    assert all((value != before[name]).any() for name, value in parameters(loaded).items())


def test_a_layer_saved_before_it_has_weights_reads_them_later(checkpoint):
    loaded = make_layer(checkpoint).from_bytes(make_layer(checkpoint).to_bytes())
    np.testing.assert_array_equal(
        loaded.predict(make_docs())[0], make_layer(checkpoint).predict(make_docs())[0]
    )


@pytest.mark.parametrize("copy", [Model.copy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_as_for_another_component_or_process_gives_the_same(copy, checkpoint):
    layer, docs = make_layer(checkpoint), make_docs()
    Ys = layer.predict(docs)
    np.testing.assert_array_equal(copy(layer).predict(docs)[0], Ys[0])


@pytest.mark.parametrize("path", [None, Path("no-such-folder")])
def test_without_weights_and_folder_initializing_predicting_and_training_are_errors(path):
    layer = make_layer(path)
    message = "has no weights: the config's `path` .* is (null|no-such-folder, which is no folder)"
    for use in (layer.initialize, lambda: layer.predict(make_docs())):
        with pytest.raises(ValueError, match=message):
            use()
    with pytest.raises(ValueError, match=message):
        layer.begin_update(make_docs())


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"pooling": "max"}, "pooling = 'max' is unknown"), ({"block_size": 0}, "block_size = 0")],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_layer(None, **settings)
