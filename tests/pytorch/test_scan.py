"""The scans against a recurrence written out number by number, and every form against that loop."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spacy_mamba_crf.pytorch.scan import causal_conv, chunked, selective_scan, ssd_scan

CHUNK = 4
# Nothing, one step, and every way to meet the edge of a chunk.
TIMES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 3]

Inputs = dict[str, Tensor]


def random_inputs(seed: int, dtype: torch.dtype, **shapes: tuple[int, ...]) -> Inputs:
    """Normal arrays of the given shapes, but dt > 0 and A < 0 as the scans want them."""
    generator = torch.Generator().manual_seed(seed)
    arrays = {
        name: torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }
    arrays["dt"] = F.softplus(arrays["dt"] - 1)
    arrays["A"] = -arrays["A"].exp()
    return {name: array.to(dtype) for name, array in arrays.items()}


def selective_inputs(time: int, batch=2, channel=3, state=4, dtype=torch.float64) -> Inputs:
    return random_inputs(
        time,
        dtype,
        x=(batch, time, channel),
        dt=(batch, time, channel),
        A=(channel, state),
        B=(batch, time, state),
        C=(batch, time, state),
        D=(channel,),
        initial_state=(batch, channel, state),
    )


def ssd_inputs(
    time: int, group=1, batch=2, head=4, channel=3, state=5, dtype=torch.float64
) -> Inputs:
    return random_inputs(
        time,
        dtype,
        x=(batch, time, head, channel),
        dt=(batch, time, head),
        A=(head,),
        B=(batch, time, group, state),
        C=(batch, time, group, state),
        D=(head,),
        initial_state=(batch, head, channel, state),
    )


def outputs_and_gradients(scan, inputs: Inputs, **options) -> tuple[list[Tensor], Inputs]:
    """y, the final state, and the gradient of a fixed projection of both by every input."""
    leaves = {name: array.clone().requires_grad_() for name, array in inputs.items()}
    outputs = scan(**leaves, **options)
    generator = torch.Generator().manual_seed(99)
    loss = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        weights = torch.randn(output.shape, generator=generator, dtype=torch.float64)
        loss = loss + (output.double() * weights).sum()
    if loss.requires_grad:
        loss.backward()
    gradients = {
        name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for name, leaf in leaves.items()
    }
    return [output.detach() for output in outputs], gradients


@pytest.mark.parametrize("time", TIMES)
def test_reference_selective_scan_is_the_recurrence_number_by_number(time):
    inputs = selective_inputs(time)
    x, dt, A, B, C, D, start = (array.numpy() for array in inputs.values())
    h, expected = start.copy(), np.zeros_like(x)
    for b, t, c in np.ndindex(*x.shape):
        expected[b, t, c] = D[c] * x[b, t, c]
        for n in range(A.shape[1]):
            decay = math.exp(dt[b, t, c] * A[c, n])
            h[b, c, n] = decay * h[b, c, n] + dt[b, t, c] * B[b, t, n] * x[b, t, c]
            expected[b, t, c] += C[b, t, n] * h[b, c, n]
    y, state = selective_scan(**inputs, backend="reference")
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(state.numpy(), h, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_reference_ssd_scan_is_the_recurrence_number_by_number(group):
    inputs = ssd_inputs(6, group)
    x, dt, A, B, C, D, start = (array.numpy() for array in inputs.values())
    h, expected = start.copy(), np.zeros_like(x)
    heads_per_group = x.shape[2] // group
    for b, t, k, c in np.ndindex(*x.shape):
        g = k // heads_per_group
        expected[b, t, k, c] = D[k] * x[b, t, k, c]
        for n in range(B.shape[3]):
            decay = math.exp(dt[b, t, k] * A[k])
            h[b, k, c, n] = decay * h[b, k, c, n] + dt[b, t, k] * B[b, t, g, n] * x[b, t, k, c]
            expected[b, t, k, c] += C[b, t, g, n] * h[b, k, c, n]
    y, state = ssd_scan(**inputs, backend="reference")
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(state.numpy(), h, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("time", TIMES)
def test_chunked_scan_and_its_gradients_are_the_references(time, group, with_state):
    inputs = ssd_inputs(time, group)
    if not with_state:
        del inputs["initial_state"]
    expected, expected_gradients = outputs_and_gradients(ssd_scan, inputs, backend="reference")
    ours, gradients = outputs_and_gradients(ssd_scan, inputs, backend="chunked", chunk_size=CHUNK)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ["dtype", "tolerance"], [(torch.float32, 2e-6), (torch.bfloat16, 6e-2)], ids=str
)
@pytest.mark.parametrize("backend", ["reference", "chunked"])
def test_ssd_scan_in_low_precision_stays_near_float64(backend, dtype, tolerance):
    inputs = ssd_inputs(150, group=2, dtype=dtype)
    exact = {name: array.double() for name, array in inputs.items()}
    expected, expected_gradients = outputs_and_gradients(ssd_scan, exact, backend="reference")
    ours, gradients = outputs_and_gradients(ssd_scan, inputs, backend=backend)
    for got, want in zip([*ours, *gradients.values()], [*expected, *expected_gradients.values()]):
        assert got.dtype == dtype
        assert (got.double() - want).norm() <= tolerance * want.norm()


@pytest.mark.parametrize(
    ["dtype", "tolerance"], [(torch.float32, 2e-6), (torch.bfloat16, 3e-2)], ids=str
)
def test_selective_scan_in_low_precision_stays_near_float64(dtype, tolerance):
    inputs = selective_inputs(150, dtype=dtype)
    exact = {name: array.double() for name, array in inputs.items()}
    expected, expected_gradients = outputs_and_gradients(selective_scan, exact)
    ours, gradients = outputs_and_gradients(selective_scan, inputs)
    for got, want in zip([*ours, *gradients.values()], [*expected, *expected_gradients.values()]):
        assert got.dtype == dtype
        assert (got.double() - want).norm() <= tolerance * want.norm()


def test_strong_decay_leaves_outputs_and_gradients_finite():
    inputs = ssd_inputs(3 * CHUNK, dtype=torch.float32)
    inputs["A"] = torch.full_like(inputs["A"], -1e4)
    outputs, gradients = outputs_and_gradients(ssd_scan, inputs, chunk_size=CHUNK)
    assert all(array.isfinite().all() for array in [*outputs, *gradients.values()])


def test_selective_scan_passes_gradcheck():
    inputs = selective_inputs(3, batch=1, channel=2, state=2)
    leaves = [array.requires_grad_() for array in inputs.values()]
    assert torch.autograd.gradcheck(lambda *a: selective_scan(*a[:6], initial_state=a[6]), leaves)


@pytest.mark.parametrize("backend", ["reference", "chunked"])
def test_ssd_scan_passes_gradcheck(backend):
    inputs = ssd_inputs(3, group=2, batch=1, head=2, channel=2, state=2)
    leaves = [array.requires_grad_() for array in inputs.values()]

    def scan(*arrays):
        options = {"initial_state": arrays[6], "backend": backend, "chunk_size": 2}
        return ssd_scan(*arrays[:6], **options)

    assert torch.autograd.gradcheck(scan, leaves)


def test_without_cuda_the_chunked_form_is_the_default(monkeypatch):
    monkeypatch.setattr(chunked, "ssd_scan", lambda *args, **options: (args[0], "chunked"))
    assert ssd_scan(**ssd_inputs(3))[1] == "chunked"


@pytest.mark.parametrize("backend", ["reference", "chunked"])
def test_a_scan_of_no_steps_from_no_state_is_empty_and_zero(backend):
    inputs = ssd_inputs(0)
    initial = inputs.pop("initial_state")
    y, state = ssd_scan(**inputs, backend=backend)
    assert y.shape == inputs["x"].shape
    assert state is not None and torch.equal(state, torch.zeros_like(initial))


@pytest.mark.parametrize("backend", ["reference", "chunked"])
@pytest.mark.parametrize("with_state", [False, True])
def test_leaving_the_final_state_out_changes_no_output(backend, with_state):
    inputs = ssd_inputs(CHUNK - 1)
    if not with_state:
        del inputs["initial_state"]
    y, _ = ssd_scan(**inputs, backend=backend)
    alone, state = ssd_scan(**inputs, backend=backend, return_final_state=False)
    assert state is None
    torch.testing.assert_close(alone, y, rtol=1e-12, atol=1e-12)


def conv_inputs(time: int, width: int, bias: bool, state: bool) -> list[Tensor | None]:
    shapes = {"x": (2, time, 3), "weight": (3, 1, width), "dt": (1,), "A": (1,)}
    shapes |= {"bias": (3,), "state": (2, 3, width - 1)}
    arrays = random_inputs(time, torch.float64, **shapes)
    return [
        arrays["x"],
        arrays["weight"],
        arrays["bias"] if bias else None,
        arrays["state"] if state else None,
    ]


@pytest.mark.parametrize(
    ["time", "width", "bias", "state"],
    list(itertools.product([0, 1, 2, 7], [1, 2, 4], [False, True], [False, True])),
)
def test_causal_conv_is_conv1d_then_silu(time, width, bias, state):
    x, weight, b, history = conv_inputs(time, width, bias, state)
    assert x is not None and weight is not None
    before = torch.zeros(2, 3, width - 1, dtype=x.dtype) if history is None else history
    padded = torch.cat([before, x.transpose(1, 2)], dim=2)
    expected = torch.zeros(2, 3, 0, dtype=x.dtype)
    if time:  # conv1d refuses an input shorter than its kernel
        expected = F.silu(F.conv1d(padded, weight, b, groups=3))
    ours = causal_conv(x, weight, b, history)
    torch.testing.assert_close(ours, expected.transpose(1, 2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("time", [1, 5])
def test_causal_conv_passes_gradcheck(time):
    leaves = [a.requires_grad_() for a in conv_inputs(time, 4, True, True) if a is not None]
    assert torch.autograd.gradcheck(causal_conv, leaves)


@pytest.mark.parametrize("name", ["dt", "A", "B", "C", "initial_state"])
@pytest.mark.parametrize(
    ["scan", "make_inputs"], [(selective_scan, selective_inputs), (ssd_scan, ssd_inputs)]
)
def test_a_wrong_shape_is_named_with_the_one_that_is_needed(scan, make_inputs, name):
    inputs = make_inputs(5)
    needed = tuple(inputs[name].shape)
    inputs[name] = F.pad(inputs[name], (0, 0) * (inputs[name].dim() - 1) + (0, 1))
    # The widths of A and B define what the other arrays must have.
    pattern = rf"^\w+ has shape \(.*\), but \({needed[0]}\b.*\) is needed\.$"
    with pytest.raises(ValueError, match=pattern):
        scan(**inputs)


def test_causal_conv_names_a_wrong_shape():
    with pytest.raises(ValueError, match=r"weight has shape \(3, 4\), but \(3, 1, 4\) is needed\."):
        causal_conv(torch.zeros(2, 5, 3), torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"state has shape \(2, 3, 4\), but \(2, 3, 3\) is needed"):
        causal_conv(torch.zeros(2, 5, 3), torch.zeros(3, 1, 4), state=torch.zeros(2, 3, 4))


def test_groups_that_do_not_divide_the_heads_are_an_error():
    inputs = ssd_inputs(2, group=3)
    with pytest.raises(ValueError, match=r"3 groups, which do not divide the 4 heads of x\."):
        ssd_scan(**inputs)


def test_an_unknown_backend_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no scan backend 'fast'; .* reference, cpu, cuda\."):
        selective_scan(**selective_inputs(2), backend="fast")
    with pytest.raises(
        ValueError, match=r"no scan backend 'fast'; .* reference, chunked, cpu, cuda\."
    ):
        ssd_scan(**ssd_inputs(2), backend="fast")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize(
    ["scan", "make_inputs"], [(selective_scan, selective_inputs), (ssd_scan, ssd_inputs)]
)
def test_asking_for_cuda_where_there_is_none_says_what_to_do(scan, make_inputs):
    with pytest.raises(ValueError, match=r"needs a CUDA device .* leave backend=None to fall back"):
        scan(**make_inputs(2), backend="cuda")
