"""Published checkpoints in both formats, against transformers' own Mamba and Mamba-2."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import Mamba2Config, Mamba2ForCausalLM, MambaConfig, MambaForCausalLM

from spacy_mamba_crf.files import write_text
from spacy_mamba_crf.pytorch.causal_lm import CausalMamba, Pool
from spacy_mamba_crf.pytorch.checkpoints import read_sizes, read_weights, sizes_of

# transformers' names and values, and the ssm_cfg of the same model in mamba-ssm's format.
MAMBA1 = {"hidden_size": 24, "state_size": 5, "expand": 2, "time_step_rank": 3}
MAMBA1_SSM = {"d_state": 5, "expand": 2, "dt_rank": 3}
MAMBA2 = {"hidden_size": 32, "state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1}
MAMBA2_SSM = {"layer": "Mamba2", "d_state": 8, "headdim": 16}
KINDS: dict[str, tuple[Any, Any, dict[str, Any], dict[str, Any]]] = {
    "mamba1": (MambaConfig, MambaForCausalLM, MAMBA1, MAMBA1_SSM),
    "mamba2": (Mamba2Config, Mamba2ForCausalLM, MAMBA2, MAMBA2_SSM),
}
VOCABULARY = 21
LENGTHS = [7, 0, 1, 13]
# As published: huggingface.co/state-spaces/mamba-2.8b, config.json.
MAMBA_2_8B = {
    "d_model": 2560,
    "n_layer": 64,
    "vocab_size": 50277,
    "ssm_cfg": {},
    "rms_norm": True,
    "residual_in_fp32": True,
    "fused_add_norm": True,
    "pad_vocab_size_multiple": 8,
}


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


def make_oracle(kind: str, **settings: Any) -> Any:
    """transformers' model, with random weights everywhere."""
    config, model, sizes, _ = KINDS[kind]
    torch.manual_seed(0)
    oracle = model(config(vocab_size=VOCABULARY, num_hidden_layers=2, **(sizes | settings)))
    with torch.no_grad():
        for parameter in oracle.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return oracle.eval()


def state_spaces_config(kind: str, **settings: Any) -> dict[str, Any]:
    _, _, sizes, ssm = KINDS[kind]
    config = {"d_model": sizes["hidden_size"], "n_layer": 2, "vocab_size": VOCABULARY}
    config |= {"ssm_cfg": ssm, "rms_norm": True, "pad_vocab_size_multiple": 1}
    return config | settings


def save_state_spaces(oracle: Any, kind: str, folder: Path, name: str) -> None:
    """As mamba-ssm would: `embedding` instead of `embeddings`, the tied head once more."""
    weights = {
        key.replace("embeddings", "embedding"): value.clone()
        for key, value in oracle.state_dict().items()
    }
    write_text(folder / "config.json", json.dumps(state_spaces_config(kind)))
    if name.endswith(".bin"):
        torch.save(weights, folder / name)
    else:
        save_file(weights, folder / name)


def load(folder: Path, **settings: Any) -> CausalMamba:
    sizes = read_sizes(folder)
    encoder = CausalMamba(sizes, **settings)
    encoder.load_state_dict(read_weights(folder, sizes), assign=True)
    return encoder.eval()


def random_ids(lengths: list[int] = LENGTHS) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(VOCABULARY, (sum(lengths),), generator=generator)


def encode(encoder: CausalMamba, ids: torch.Tensor, lengths: list[int], both: bool = False):
    """Every sub-word is a token."""
    place = torch.arange(len(ids))
    pool = Pool(place, place, torch.ones(len(ids)))
    return encoder(ids, torch.tensor(lengths), (pool, pool) if both else (pool,), len(ids))


def expected_states(oracle: Any, ids: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """transformers', one text at a time."""
    with torch.no_grad():
        texts = [text[None] for text in ids.split(lengths) if len(text)]
        return torch.cat([oracle.backbone(text).last_hidden_state[0] for text in texts])


def check_same_states(folder: Path, oracle: Any) -> None:
    ids = random_ids()
    with torch.no_grad():
        states = encode(load(folder), ids, LENGTHS)
    torch.testing.assert_close(states, expected_states(oracle, ids, LENGTHS), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_state_spaces_checkpoint_gives_the_states_of_transformers(kind, name, tmp_path):
    oracle = make_oracle(kind)
    save_state_spaces(oracle, kind, tmp_path, name)
    check_same_states(tmp_path, oracle)


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
@pytest.mark.parametrize("shard", ["1GB", "8KB"], ids=["whole", "sharded"])
def test_an_hf_checkpoint_gives_the_states_of_transformers(kind, safe, shard, tmp_path):
    oracle = make_oracle(kind)
    oracle.save_pretrained(tmp_path, safe_serialization=safe, max_shard_size=shard)
    assert bool(list(tmp_path.glob("*.index.json"))) == (shard == "8KB")
    check_same_states(tmp_path, oracle)


def test_biases_and_the_epsilon_of_the_norms_are_read_from_an_hf_config(kind, tmp_path):
    oracle = make_oracle(kind, use_bias=True, use_conv_bias=False, layer_norm_epsilon=0.1)
    oracle.save_pretrained(tmp_path)
    check_same_states(tmp_path, oracle)


def test_a_model_saved_without_its_head_is_read(kind, tmp_path):
    oracle = make_oracle(kind)
    oracle.backbone.save_pretrained(tmp_path)
    check_same_states(tmp_path, oracle)


def test_half_precision_weights_become_float32(kind, tmp_path):
    make_oracle(kind).half().save_pretrained(tmp_path)
    weights = read_weights(tmp_path, read_sizes(tmp_path))
    assert {value.dtype for value in weights.values()} == {torch.float32}


def test_the_second_half_is_the_first_of_each_text_reversed(kind, tmp_path):
    oracle = make_oracle(kind)
    oracle.save_pretrained(tmp_path)
    ids = random_ids()
    reversed_ids = torch.cat([text.flip(0) for text in ids.split(LENGTHS)])
    states = expected_states(oracle, reversed_ids, LENGTHS)
    expected = torch.cat([text.flip(0) for text in states.split(LENGTHS)])
    with torch.no_grad():
        both = encode(load(tmp_path), ids, LENGTHS, both=True)
    width = both.shape[1] // 2
    torch.testing.assert_close(both[:, width:], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("block_size", [1, 5, 13, 16])
def test_blocks_with_carried_state_give_what_one_run_gives(kind, block_size, tmp_path):
    oracle = make_oracle(kind)
    oracle.save_pretrained(tmp_path)
    ids = random_ids()
    with torch.no_grad():
        states = encode(load(tmp_path, block_size=block_size), ids, LENGTHS)
    torch.testing.assert_close(states, expected_states(oracle, ids, LENGTHS), atol=1e-4, rtol=1e-4)


def test_gradients_are_those_of_transformers(kind, tmp_path):
    oracle, ids = make_oracle(kind), random_ids([9])
    oracle.save_pretrained(tmp_path)
    encoder = load(tmp_path)
    weights = torch.randn(9, encoder.sizes.d_model)
    (encode(encoder, ids, [9]) * weights).sum().backward()
    (oracle.backbone(ids[None]).last_hidden_state[0] * weights).sum().backward()
    expected = {
        name.replace("embeddings", "embedding"): parameter.grad
        for name, parameter in oracle.backbone.named_parameters()
    }
    for name, parameter in encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-3, rtol=1e-3)


def test_gradients_in_a_padded_batch_are_those_in_a_ragged_one(kind, tmp_path):
    make_oracle(kind).save_pretrained(tmp_path)
    ids, gradients = random_ids(), []
    for ragged in (True, False):
        encoder = load(tmp_path)
        encoder.runs_ragged = ragged
        encode(encoder, ids, LENGTHS, both=True).square().sum().backward()
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-3)


def test_mamba_2_8b_has_its_published_number_of_parameters():
    encoder = CausalMamba(sizes_of(MAMBA_2_8B))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 2_768_345_600
    assert all(parameter.is_meta for parameter in encoder.parameters())


def test_the_rows_of_the_embedding_are_padded_as_the_config_says():
    assert sizes_of(MAMBA_2_8B).vocab_size == 50280
    assert sizes_of(MAMBA_2_8B | {"pad_vocab_size_multiple": 16}).vocab_size == 50288


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ssm_cfg": {"layer": "Mamba3"}}, "ssm_cfg.layer = 'Mamba3' is not supported"),
        ({"ssm_cfg": {"layer": "Mamba2", "ngroups": 8}}, "ssm_cfg.ngroups = 8"),
        ({"ssm_cfg": {"layer": "Mamba2", "dt_limit": [0.0, 1.0]}}, "ssm_cfg.dt_limit"),
        ({"ssm_cfg": {"mystery": 1}}, "ssm_cfg.mystery = 1"),
        ({"attn_layer_idx": [9, 18]}, r"attn_layer_idx = \[9, 18\].*attention"),
        ({"d_intermediate": 64}, "d_intermediate = 64"),
        ({"rms_norm": False}, "only RMSNorm"),
    ],
)
def test_a_state_spaces_model_of_another_kind_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=f"config.json: .*{message}"):
        sizes_of(MAMBA_2_8B | change)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "falcon_mamba"}, "model_type = 'falcon_mamba' is not supported"),
        ({"model_type": "mamba2", "hidden_size": 64}, "n_groups = 8 is not supported"),
        ({"model_type": "mamba", "hidden_act": "gelu"}, "hidden_act = 'gelu'"),
        ({"model_type": "mamba", "expand": 1.5}, "expand = 1.5"),
        ({"model_type": "mamba"}, "has no 'hidden_size'"),
        ({"model_type": "mamba2", "n_groups": 1, "hidden_size": 64}, "num_heads x head_dim = 8192"),
        ({"vocab_size": 3}, "is of no Mamba checkpoint"),
    ],
)
def test_an_hf_model_of_another_kind_is_refused_by_name(config, message):
    with pytest.raises(ValueError, match=f"config.json.*{message}"):
        sizes_of(config)


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    save_state_spaces(make_oracle("mamba1"), "mamba1", folder, "pytorch_model.bin")
    return torch.load(folder / "pytorch_model.bin", weights_only=True)


def check_weights_refused(folder: Path, weights: Any, message: str) -> None:
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=message):
        read_weights(folder, read_sizes(folder))


def test_a_missing_tensor_is_named(tmp_path):
    weights = saved_weights(tmp_path)
    del weights["backbone.layers.1.mixer.D"]
    check_weights_refused(tmp_path, weights, r"pytorch_model.bin lacks 1 of .*layers\.1\.mixer\.D")


def test_an_unknown_tensor_is_named(tmp_path):
    weights = saved_weights(tmp_path) | {"backbone.layers.0.mlp.weight": torch.ones(3)}
    check_weights_refused(tmp_path, weights, r"does not describe.*backbone\.layers\.0\.mlp\.weight")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path):
    weights = saved_weights(tmp_path) | {"backbone.norm_f.weight": torch.ones(25)}
    check_weights_refused(tmp_path, weights, r"backbone\.norm_f\.weight.*\(25,\).*\(24,\)")


def test_a_pickle_that_would_run_code_is_not_read(tmp_path):
    saved_weights(tmp_path)
    check_weights_refused(tmp_path, {"x": Path("x")}, "pytorch_model.bin cannot be read")


@pytest.mark.parametrize("content", [torch.ones(3), {"model": {"x": torch.ones(3)}}])
def test_a_file_of_something_else_is_named(content, tmp_path):
    saved_weights(tmp_path)
    check_weights_refused(tmp_path, content, "pytorch_model.bin holds something else")


def test_a_folder_without_weights_is_named(tmp_path):
    write_text(tmp_path / "config.json", json.dumps(state_spaces_config("mamba1")))
    with pytest.raises(ValueError, match=r"has no weights: none of model\.safetensors"):
        read_weights(tmp_path, read_sizes(tmp_path))


def test_a_missing_shard_is_named(tmp_path):
    make_oracle("mamba1").save_pretrained(tmp_path, max_shard_size="8KB")
    shard = sorted(tmp_path.glob("model-*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(ValueError, match=rf"index\.json lists {shard.name}, which is not"):
        read_weights(tmp_path, read_sizes(tmp_path))


def test_a_config_that_is_missing_or_broken_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        read_sizes(tmp_path)
    write_text(tmp_path / "config.json", '{\n"d_model": }')
    with pytest.raises(ValueError, match=r"config\.json:2 is not JSON"):
        read_sizes(tmp_path)
