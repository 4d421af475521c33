"""The Mamba blocks against the published shapes and initialisations, and against plain NumPy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spacy_mamba_crf.pytorch.mamba import Mamba
from spacy_mamba_crf.pytorch.mamba2 import Mamba2

# (block, options, parameters of mamba-ssm's block of that name with these options). The widths of
# 768 are those of the checkpoints state-spaces/mamba-130m and mamba2-130m.
PUBLISHED = {
    "mamba-defaults": (
        Mamba,
        {"d_model": 64},
        {
            "A_log": (128, 16),
            "D": (128,),
            "in_proj.weight": (256, 64),
            "conv1d.weight": (128, 1, 4),
            "conv1d.bias": (128,),
            "x_proj.weight": (36, 128),
            "dt_proj.weight": (128, 4),
            "dt_proj.bias": (128,),
            "out_proj.weight": (64, 128),
        },
    ),
    "mamba-130m": (
        Mamba,
        {"d_model": 768},
        {
            "A_log": (1536, 16),
            "D": (1536,),
            "in_proj.weight": (3072, 768),
            "conv1d.weight": (1536, 1, 4),
            "conv1d.bias": (1536,),
            "x_proj.weight": (80, 1536),
            "dt_proj.weight": (1536, 48),
            "dt_proj.bias": (1536,),
            "out_proj.weight": (768, 1536),
        },
    ),
    "mamba-every-option": (
        Mamba,
        {
            "d_model": 64,
            "d_state": 8,
            "d_conv": 3,
            "expand": 1,
            "dt_rank": 5,
            "bias": True,
            "conv_bias": False,
        },
        {
            "A_log": (64, 8),
            "D": (64,),
            "in_proj.weight": (128, 64),
            "in_proj.bias": (128,),
            "conv1d.weight": (64, 1, 3),
            "x_proj.weight": (21, 64),
            "dt_proj.weight": (64, 5),
            "dt_proj.bias": (64,),
            "out_proj.weight": (64, 64),
            "out_proj.bias": (64,),
        },
    ),
    "mamba2-defaults": (
        Mamba2,
        {"d_model": 64},
        {
            "dt_bias": (2,),
            "A_log": (2,),
            "D": (2,),
            "in_proj.weight": (514, 64),
            "conv1d.weight": (384, 1, 4),
            "conv1d.bias": (384,),
            "norm.weight": (128,),
            "out_proj.weight": (64, 128),
        },
    ),
    "mamba2-130m": (
        Mamba2,
        {"d_model": 768},
        {
            "dt_bias": (24,),
            "A_log": (24,),
            "D": (24,),
            "in_proj.weight": (3352, 768),
            "conv1d.weight": (1792, 1, 4),
            "conv1d.bias": (1792,),
            "norm.weight": (1536,),
            "out_proj.weight": (768, 1536),
        },
    ),
    "mamba2-every-option": (
        Mamba2,
        {
            "d_model": 64,
            "d_state": 16,
            "d_conv": 3,
            "headdim": 32,
            "ngroups": 2,
            "bias": True,
            "conv_bias": False,
        },
        {
            "dt_bias": (4,),
            "A_log": (4,),
            "D": (4,),
            "in_proj.weight": (324, 64),
            "in_proj.bias": (324,),
            "conv1d.weight": (192, 1, 3),
            "norm.weight": (128,),
            "out_proj.weight": (64, 128),
            "out_proj.bias": (64,),
        },
    ),
}


def published(*names: str) -> pytest.MarkDecorator:
    cases = [PUBLISHED[name] for name in names]
    return pytest.mark.parametrize(["block", "options", "shapes"], cases, ids=names)


@published(*PUBLISHED)
def test_parameters_have_the_published_names_and_shapes(block, options, shapes):
    state = block(**options).state_dict()
    assert {name: tuple(array.shape) for name, array in state.items()} == shapes


@published("mamba-defaults", "mamba-every-option", "mamba2-defaults", "mamba2-every-option")
def test_weights_of_the_published_shapes_load_strictly_and_are_used(block, options, shapes):
    torch.manual_seed(0)
    weights = {name: torch.randn(shape) * 0.1 for name, shape in shapes.items()}
    module = block(**options)
    module.load_state_dict(weights, strict=True)
    x = torch.randn(1, 5, options["d_model"])
    before = module(x)
    for name, array in weights.items():
        module.load_state_dict(weights | {name: array + 0.5})
        assert not torch.allclose(module(x), before), f"{name} has no influence"


def test_mamba1_starts_as_published():
    torch.manual_seed(0)
    module = Mamba(64)
    expected = torch.log(torch.arange(1, 17).float()).expand(128, 16)
    torch.testing.assert_close(module.A_log.data, expected)
    assert (module.D == 1).all()
    assert module.dt_proj.weight.abs().max() <= 4**-0.5  # dt_rank = 64 / 16
    dt = F.softplus(module.dt_proj.bias)
    assert dt.min() >= 1e-3 * 0.999 and dt.max() <= 1e-1 * 1.001


def test_mamba2_starts_as_published():
    torch.manual_seed(0)
    module = Mamba2(64, headdim=1)  # 128 heads, enough to see the ranges
    A = module.A_log.exp()
    assert A.min() >= 1 and A.max() <= 16.001 and A.max() - A.min() > 12
    assert (module.D == 1).all() and (module.norm.weight == 1).all()
    dt = F.softplus(module.dt_bias)
    assert dt.min() >= 1e-3 * 0.999 and dt.max() <= 1e-1 * 1.001


def test_dt_is_log_uniform_above_its_floor():
    torch.manual_seed(0)
    module = Mamba(1024, dt_min=1e-5, dt_max=1e-1, dt_floor=1e-4)
    dt = F.softplus(module.dt_proj.bias.double()).detach()
    # A quarter of the log-uniform range lies under the floor, a half above 1e-3.
    assert ((dt < 1.001e-4).double().mean() - 0.25).abs() < 0.04
    assert ((dt > 1e-3).double().mean() - 0.5).abs() < 0.04
    assert dt.min() > 0.999e-4


def test_the_bias_of_dt_is_the_exact_inverse_of_softplus():
    module = Mamba(64, dt_min=0.1, dt_max=0.1)
    torch.testing.assert_close(F.softplus(module.dt_proj.bias.detach()), torch.full((128,), 0.1))


def silu(x):
    return x / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def convolve(x, weight, bias):
    """x: (time, channel); weight: (channel, 1, width); zeros before the first step."""
    y = np.zeros_like(x)
    width = weight.shape[2]
    for t in range(len(x)):
        for back in range(min(width, t + 1)):
            y[t] += weight[:, 0, width - 1 - back] * x[t - back]
    return silu(y + bias)


def numpy_mamba(p, x, d_state):
    """Algorithm 2 and figure 3 of Gu & Dao 2023, for one sequence x (time, d_model)."""
    u, z = np.split(x @ p["in_proj.weight"].T, 2, axis=1)
    u = convolve(u, p["conv1d.weight"], p["conv1d.bias"])
    dt_rank = p["dt_proj.weight"].shape[1]
    dt, B, C = np.split(u @ p["x_proj.weight"].T, [dt_rank, dt_rank + d_state], axis=1)
    dt = softplus(dt @ p["dt_proj.weight"].T + p["dt_proj.bias"])
    A = -np.exp(p["A_log"])
    h = np.zeros_like(A)
    y = np.zeros_like(u)
    for t in range(len(x)):
        h = np.exp(dt[t][:, None] * A) * h + np.outer(dt[t] * u[t], B[t])
        y[t] = h @ C[t] + p["D"] * u[t]
    return (y * silu(z)) @ p["out_proj.weight"].T


def numpy_mamba2(p, x, d_state, headdim, ngroups):
    """Listing 1 and figure 6 of Dao & Gu 2024, for one sequence x (time, d_model)."""
    heads, d_inner = len(p["D"]), len(p["norm.weight"])
    proj = x @ p["in_proj.weight"].T
    z, xBC, dt = np.split(proj, [d_inner, proj.shape[1] - heads], axis=1)
    xBC = convolve(xBC, p["conv1d.weight"], p["conv1d.bias"])
    u, B, C = np.split(xBC, [d_inner, d_inner + ngroups * d_state], axis=1)
    dt = softplus(dt + p["dt_bias"])
    y = np.zeros_like(u)
    for head in range(heads):
        group = head // (heads // ngroups)
        channels = slice(head * headdim, (head + 1) * headdim)
        states = slice(group * d_state, (group + 1) * d_state)
        h = np.zeros((headdim, d_state))
        for t in range(len(x)):
            decay = np.exp(-dt[t, head] * np.exp(p["A_log"][head]))
            h = decay * h + dt[t, head] * np.outer(u[t, channels], B[t, states])
            y[t, channels] = h @ C[t, states] + p["D"][head] * u[t, channels]
    gated = (y * silu(z)).reshape(len(x), ngroups, -1)
    gated = gated / np.sqrt((gated**2).mean(-1, keepdims=True) + 1e-5)
    return (gated.reshape(len(x), -1) * p["norm.weight"]) @ p["out_proj.weight"].T


def random_block(block, **options):
    """A float64 block whose every parameter is random, and its parameters as arrays."""
    torch.manual_seed(1)
    module = block(**options).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return module, {name: array.numpy() for name, array in module.state_dict().items()}


@pytest.mark.parametrize("time", [1, 2, 9])
def test_mamba1_is_the_papers_block_in_numpy(time):
    module, parameters = random_block(Mamba, d_model=20, d_state=3)
    x = torch.randn(2, time, 20, dtype=torch.float64)
    expected = np.stack([numpy_mamba(parameters, row, 3) for row in x.numpy()])
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ngroups", [1, 2])
@pytest.mark.parametrize("time", [1, 2, 9])
def test_mamba2_is_the_papers_block_in_numpy(time, ngroups):
    options = {"d_state": 3, "headdim": 5, "ngroups": ngroups}
    module, parameters = random_block(Mamba2, d_model=10, chunk_size=4, **options)
    x = torch.randn(2, time, 10, dtype=torch.float64)
    expected = np.stack([numpy_mamba2(parameters, row, **options) for row in x.numpy()])
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def test_sizes_that_do_not_divide_are_errors_with_the_numbers():
    with pytest.raises(ValueError, match=r"headdim = 48 does not divide the inner width 128"):
        Mamba2(64, headdim=48)
    with pytest.raises(ValueError, match=r"ngroups 3 does not divide the 2 heads"):
        Mamba2(64, ngroups=3)
