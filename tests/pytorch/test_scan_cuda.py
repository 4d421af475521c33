"""The CUDA kernels behind our shapes: stand-ins as strict as the kernels, then the kernels."""

import copy
import importlib.util
import logging
import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

from spacy_mamba_crf.pytorch.mamba import Mamba
from spacy_mamba_crf.pytorch.mamba2 import Mamba2
from spacy_mamba_crf.pytorch.scan import causal_conv, cuda, reference, selective_scan, ssd_scan

KERNELS = [cuda.selective_scan_kernel, cuda.ssd_scan_kernel, cuda.causal_conv_kernel]
needs_kernels = pytest.mark.skipif(
    not torch.cuda.is_available()
    or importlib.util.find_spec("mamba_ssm") is None
    or importlib.util.find_spec("causal_conv1d") is None,
    reason="needs a CUDA device, mamba-ssm and causal-conv1d",
)


def selective_scan_fn(
    u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False,
    return_last_state=False,
):  # fmt: skip
    """mamba-ssm's: u, delta (batch, dim, time); A (dim, state); B, C (batch, state, time)."""
    assert D is None and z is None and delta_bias is None and not delta_softplus
    assert u.dtype == delta.dtype == B.dtype == C.dtype and A.dtype == torch.float32
    assert all(array.stride(-1) == 1 or array.shape[-1] == 1 for array in (u, delta, B, C))
    x, dt, B, C = (array.transpose(1, 2).float() for array in (u, delta, B, C))
    y, state = reference.selective_scan(x, dt, A, B, C, x.new_zeros(len(x), *A.shape))
    y = y.transpose(1, 2).to(u.dtype)
    return (y, state) if return_last_state else y


def mamba_chunk_scan_combined(
    x, dt, A, B, C, chunk_size, D=None, z=None, dt_bias=None, initial_states=None, seq_idx=None,
    dt_softplus=False, dt_limit=(0.0, float("inf")), return_final_states=False,
):  # fmt: skip
    """mamba-ssm's: x (batch, time, head, channel); state (batch, head, channel, state)."""
    assert D is None and z is None and dt_bias is None and seq_idx is None and not dt_softplus
    assert chunk_size & (chunk_size - 1) == 0
    assert all(array.stride(-1) == 1 for array in (x, dt, B, C))
    if initial_states is None:
        initial_states = x.new_zeros(x.shape[0], *x.shape[2:], B.shape[3])
    y, state = reference.ssd_scan(x, dt, A, B, C, initial_states)
    return (y, state) if return_final_states else y


def causal_conv1d_fn(
    x, weight, bias=None, seq_idx=None, initial_states=None, return_final_states=False,
    final_states_out=None, activation=None,
):  # fmt: skip
    """causal-conv1d's: x (batch, dim, time), channel-last; weight (dim, width)."""
    assert activation == "silu" and seq_idx is None and not return_final_states
    dim, width = weight.shape
    assert x.stride(1) == 1 and x.stride(2) % 8 == 0 and x.stride(0) % 8 == 0
    assert dim % 8 == 0 and 2 <= width <= 4
    if initial_states is None:
        initial_states = x.new_zeros(len(x), dim, width - 1)
    else:
        assert initial_states.stride(1) == 1 and initial_states.dtype == x.dtype
    padded = torch.cat([initial_states, x], dim=2)
    return F.silu(F.conv1d(padded, weight[:, None], bias, groups=dim))


@pytest.fixture
def no_probes_yet():
    """The answers of earlier probes are forgotten, before and after."""
    for kernel in KERNELS:
        kernel.cache_clear()
    yield
    for kernel in KERNELS:
        kernel.cache_clear()


@pytest.fixture
def stand_ins(no_probes_yet, monkeypatch):
    """The packages' functions replaced by the stand-ins above, and probed on the CPU."""
    for function, module in [
        (selective_scan_fn, "mamba_ssm.ops.selective_scan_interface"),
        (mamba_chunk_scan_combined, "mamba_ssm.ops.triton.ssd_combined"),
        (causal_conv1d_fn, "causal_conv1d"),
    ]:
        fake = ModuleType(module)
        setattr(fake, function.__name__, function)
        monkeypatch.setitem(sys.modules, module, fake)
    monkeypatch.setattr(cuda, "_random", lambda *shape: torch.randn(*shape, requires_grad=True))


def scan_inputs(name, time, with_state, device="cpu", dtype=torch.float32):
    """Arguments of "selective_scan" or "ssd_scan", of sizes that the CUDA kernels take."""
    generator = torch.Generator().manual_seed(time)
    batch, head, group, channel, state = 2, 4, 2, 16, 16
    shapes = {
        "selective_scan": [
            (channel,),
            (channel,),
            (channel, state),
            (state,),
            (state,),
            (channel,),
        ],
        "ssd_scan": [(head, channel), (head,), (head,), (group, state), (group, state), (head,)],
    }[name]
    arrays = []
    for i, shape in enumerate(shapes):
        full = shape if i in (2, 5) else (batch, time, *shape)  # A and D stand for all steps
        arrays.append(torch.randn(full, generator=generator))
    arrays[1] = F.softplus(arrays[1] - 1)
    arrays[2] = -arrays[2].exp()
    initial = torch.randn(batch, *shapes[0], state, generator=generator) if with_state else None
    in_dtype = (0, 1, 3, 4)
    arrays = [a.to(device, dtype if i in in_dtype else a.dtype) for i, a in enumerate(arrays)]
    return arrays, None if initial is None else initial.to(device)


SCANS = {"selective_scan": selective_scan, "ssd_scan": ssd_scan}


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("time", [1, 2, 7])
@pytest.mark.parametrize("name", SCANS)
def test_the_adapted_scan_is_the_reference(stand_ins, name, time, with_state):
    arrays, initial = scan_inputs(name, time, with_state)
    expected = SCANS[name](*arrays, initial_state=initial, backend="reference")
    ours = SCANS[name](*arrays, initial_state=initial, backend="cuda")
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_the_adapted_selective_scan_takes_what_autocast_leaves(stand_ins):
    """Under autocast softplus gives float32, the convolution and projections half precision."""
    arrays, _ = scan_inputs("selective_scan", 5, False)
    expected, _ = selective_scan(*arrays, backend="reference")
    x, dt, A, B, C, D = arrays
    y, _ = selective_scan(x.bfloat16(), dt, A, B.bfloat16(), C.bfloat16(), D, backend="cuda")
    torch.testing.assert_close(y.float(), expected, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(["batch", "time"], [(1, 1), (2, 1), (1, 2), (2, 7)])
def test_the_adapted_convolution_is_the_plain_one(stand_ins, batch, time, with_bias, with_state):
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(batch, time, 27, generator=generator)
    x = wide[..., 8:24]  # a slice of a projection, as the blocks pass it
    weight = torch.randn(16, 1, 4, generator=generator)
    bias = torch.randn(16, generator=generator) if with_bias else None
    state = torch.randn(batch, 16, 3, generator=generator) if with_state else None
    kernel = cuda.causal_conv_kernel()
    assert kernel is not None
    torch.testing.assert_close(kernel(x, weight, bias, state), causal_conv(x, weight, bias, state))


@pytest.mark.parametrize(
    ["channel", "width", "fits"], [(8, 4, True), (64, 2, True), (12, 4, False), (8, 5, False)]
)
def test_sizes_that_causal_conv1d_refuses_are_known(channel, width, fits):
    assert cuda.causal_conv_fits(channel, width) is fits


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_missing_package_is_reported_once_and_answered_with_none(
    no_probes_yet, monkeypatch, caplog, kernel
):
    for package in ("mamba_ssm", "causal_conv1d"):
        monkeypatch.setitem(sys.modules, package, None)  # importing it now raises ImportError
    with caplog.at_level(logging.INFO, logger="spacy_mamba_crf"):
        assert kernel() is None
        assert kernel() is None
    assert len(caplog.records) == 1
    assert "is not usable" in caplog.text and "using the plain torch path" in caplog.text


def test_a_kernel_that_imports_but_fails_is_answered_with_none(stand_ins, monkeypatch, caplog):
    def broken(*args, **kwargs):
        raise RuntimeError("no kernel image is available for execution on the device")

    module = sys.modules["mamba_ssm.ops.selective_scan_interface"]
    monkeypatch.setattr(module, "selective_scan_fn", broken)
    with caplog.at_level(logging.INFO, logger="spacy_mamba_crf"):
        assert cuda.selective_scan_kernel() is None
    assert "no kernel image is available" in caplog.text


def test_a_probe_is_made_once(stand_ins, monkeypatch):
    first = cuda.ssd_scan_kernel()
    monkeypatch.setitem(sys.modules, "mamba_ssm.ops.triton.ssd_combined", None)
    assert first is not None and cuda.ssd_scan_kernel() is first


# From here on the real kernels. Triton multiplies float32 matrices in TF32, hence the tolerance.
TOLERANCE = {torch.float32: 1e-2, torch.bfloat16: 5e-2}


@needs_kernels
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("time", [0, 1, 63, 64, 65, 300])
@pytest.mark.parametrize("name", SCANS)
def test_the_real_scan_and_its_gradients_are_the_references(name, time, with_state, dtype):
    arrays, initial = scan_inputs(name, time, with_state, "cuda", dtype)
    results = []
    for backend in (None, "reference"):
        leaves = [array.clone().requires_grad_() for array in arrays]
        y, state = SCANS[name](*leaves, initial_state=initial, backend=backend)
        (y.float() * torch.linspace(-1, 1, y.shape[-1], device="cuda")).sum().backward()
        results.append([y, state, *(leaf.grad for leaf in leaves)])
    for ours, expected in zip(*results):
        if expected is None:  # no step, no gradient
            assert ours is None or not ours.any()
            continue
        error = (ours.float() - expected.float()).norm()
        assert error <= TOLERANCE[dtype] * expected.float().norm() + 1e-6


@needs_kernels
@pytest.mark.parametrize("channel", [16, 12])
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("time", [0, 1, 300])
def test_the_real_convolution_is_the_one_on_the_cpu(time, with_state, channel):
    x, weight = torch.randn(2, time, channel), torch.randn(channel, 1, 4)
    state = torch.randn(2, channel, 3) if with_state else None
    expected = causal_conv(x, weight, None, state)
    on_gpu = None if state is None else state.cuda()
    ours = causal_conv(x.cuda(), weight.cuda(), None, on_gpu)
    torch.testing.assert_close(ours.cpu(), expected, rtol=1e-4, atol=1e-4)


@needs_kernels
@pytest.mark.parametrize("cls", [Mamba, Mamba2])
def test_our_block_with_mamba_ssms_weights_is_mamba_ssms_block(cls):
    mamba_ssm = pytest.importorskip("mamba_ssm")
    torch.manual_seed(0)
    theirs = getattr(mamba_ssm, cls.__name__)(d_model=128).cuda()
    ours = cls(d_model=128).cuda()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    on_cpu = copy.deepcopy(ours).cpu()
    x = torch.randn(2, 100, 128, device="cuda")
    expected = theirs(x)
    for y in (ours(x), on_cpu(x.cpu()).cuda()):
        assert (y - expected).norm() <= 1e-2 * expected.norm()
