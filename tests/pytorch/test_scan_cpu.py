"""The CPU kernels against the plain loops in float64: outputs, states, gradients, any size."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from spacy_mamba_crf.pytorch.scan import (
    causal_conv,
    gated_rms_norm,
    selective_scan,
    ssd_scan,
)
from spacy_mamba_crf.pytorch.texts import Texts

# One step, around a vector of steps, and around the interval of the states kept for the way back.
TIMES = [1, 2, 5, 31, 33, 64, 65, 130]
TOLERANCE = 1e-5  # relative to the largest number of an array
LENGTHS = [3, 0, 70, 1, 64]


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def selective_inputs(batch: int, time: int, channel: int, state: int) -> dict[str, Tensor]:
    return {
        "x": random(batch, time, channel),
        "dt": F.softplus(random(batch, time, channel, seed=1) - 2),
        "A": -random(channel, state).exp(),
        "B": random(batch, time, state, seed=2),
        "C": random(batch, time, state, seed=3),
        "D": random(channel),
        "initial_state": random(batch, channel, state),
    }


def ssd_inputs(batch: int, time: int, head: int, channel: int, group: int, state: int):
    return {
        "x": random(batch, time, head, channel),
        "dt": F.softplus(random(batch, time, head, seed=1) - 2),
        "A": -random(head).exp(),
        "B": random(batch, time, group, state, seed=2),
        "C": random(batch, time, group, state, seed=3),
        "D": random(head),
        "initial_state": random(batch, head, channel, state),
    }


def conv_inputs(batch: int, time: int, channel: int, width: int) -> dict[str, Tensor]:
    return {
        "x": random(batch, time, channel),
        "weight": random(channel, 1, width),
        "bias": random(channel),
        "state": random(batch, channel, width - 1),
    }


def run(function, inputs: dict[str, Tensor], dtype: torch.dtype, **options) -> list[Tensor]:
    """All outputs, then the gradient of one projection of them by every input."""
    leaves = {name: array.to(dtype).requires_grad_() for name, array in inputs.items()}
    outputs = function(**leaves, **options)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = sum((output * random(*output.shape, seed=9).to(dtype)).sum() for output in outputs)
    return [*outputs, *torch.autograd.grad(loss, list(leaves.values()))]


def assert_equal_results(got: list[Tensor], expected: list[Tensor]) -> None:
    for ours, exact in zip(got, expected, strict=True):
        error = (ours.double() - exact).abs().max() / exact.abs().max().clamp(min=1e-6)
        assert error < TOLERANCE


def check(function, inputs: dict[str, Tensor]) -> None:
    got = run(function, inputs, torch.float32, backend="cpu")
    assert_equal_results(got, run(function, inputs, torch.float64, backend="reference"))


@pytest.mark.parametrize("time", TIMES)
def test_the_selective_scan_equals_the_loop_at_any_length(time):
    check(selective_scan, selective_inputs(2, time, channel=64, state=4))


@pytest.mark.parametrize(("channel", "state"), [(1, 1), (5, 3), (63, 16), (80, 2), (128, 17)])
def test_the_selective_scan_equals_the_loop_at_any_width_and_state_size(channel, state):
    check(selective_scan, selective_inputs(3, 9, channel, state))


@pytest.mark.parametrize("time", TIMES)
def test_the_ssd_scan_equals_the_loop_at_any_length(time):
    check(ssd_scan, ssd_inputs(2, time, head=2, channel=32, group=1, state=5))


@pytest.mark.parametrize(
    ("head", "channel", "group", "state"),
    [(1, 1, 1, 1), (4, 16, 2, 8), (3, 20, 1, 4), (6, 16, 3, 5), (4, 64, 1, 32), (2, 8, 2, 3)],
)
def test_the_ssd_scan_equals_the_loop_at_any_width_and_grouping(head, channel, group, state):
    check(ssd_scan, ssd_inputs(3, 9, head, channel, group, state))


@pytest.mark.parametrize("width", [2, 3, 4])
@pytest.mark.parametrize(("time", "channel"), [(1, 16), (2, 5), (3, 320), (40, 33)])
def test_the_convolution_equals_the_shifted_sums(time, channel, width):
    check(causal_conv, conv_inputs(2, time, channel, width))


def test_a_convolution_of_one_tap_has_no_history():
    inputs = conv_inputs(2, 6, 20, 2)
    inputs["weight"] = inputs["weight"][..., :1]
    del inputs["state"]
    check(causal_conv, inputs)


@pytest.mark.parametrize("scan", [selective_scan, ssd_scan])
def test_very_large_steps_forget_everything_without_overflow(scan):
    if scan is selective_scan:
        inputs = selective_inputs(2, 8, 64, 4)
    else:
        inputs = ssd_inputs(2, 8, 4, 16, 1, 4)
    inputs["dt"] = inputs["dt"] * 1e4
    check(scan, inputs)


def ragged(array: Tensor) -> Tensor:
    """Random tokens with a part of the texts' channels, seen within a wider array."""
    return torch.cat([random(len(array), 3), array.flatten(1), random(len(array), 2)], dim=1)[
        :, 3:-2
    ].unflatten(1, array.shape[1:])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["selective", "ssd", "conv"])
def test_a_ragged_batch_equals_each_text_by_itself_in_either_direction(kind, reverse):
    tokens = sum(LENGTHS)
    texts = Texts.of_lengths(LENGTHS)._replace(reverse=reverse)
    if kind == "conv":
        function, inputs = causal_conv, conv_inputs(1, tokens, 48, 4)
        inputs["state"] = random(len(LENGTHS), 48, 3)
    elif kind == "ssd":
        function, inputs = ssd_scan, ssd_inputs(1, tokens, 4, 16, 1, 4)
        inputs["initial_state"] = random(len(LENGTHS), 4, 16, 4)
    else:
        function, inputs = selective_scan, selective_inputs(1, tokens, 64, 4)
        inputs["initial_state"] = random(len(LENGTHS), 64, 4)
    sequences = ("x", "dt", "B", "C")
    states = ("state", "initial_state")
    together = {
        name: ragged(array[0]) if name in sequences else array for name, array in inputs.items()
    }
    with torch.no_grad():
        y = function(**{k: v.float() for k, v in together.items()}, texts=texts)
        y = (y if isinstance(y, Tensor) else y[0]).double()
        start = 0
        for text, length in enumerate(LENGTHS):
            rows = slice(start, start + length)
            start += length
            if not length:
                continue
            own = {}
            for name, array in inputs.items():
                if name in sequences:
                    own[name] = array[:, rows].flip(1) if reverse else array[:, rows]
                else:
                    own[name] = array[text : text + 1] if name in states else array
            expected = function(**own, backend="reference")
            expected = (expected if isinstance(expected, Tensor) else expected[0])[0]
            assert_equal_results([y[rows]], [expected.flip(0) if reverse else expected])


@pytest.mark.parametrize("groups", [1, 2])
def test_the_gated_norm_equals_its_definition_with_gradients(groups):
    inputs = {"y": random(7, 64), "z": random(7, 64, seed=1) * 4, "weight": random(64)}
    got = run(gated_rms_norm, inputs, torch.float32, groups=groups, eps=1e-5)
    assert_equal_results(got, run(gated_rms_norm, inputs, torch.float64, groups=groups, eps=1e-5))


def test_arrays_that_the_cpu_kernels_do_not_take_are_an_error():
    inputs = selective_inputs(2, 3, 4, 2)
    with pytest.raises(ValueError, match=r"takes float32 arrays on a CPU .* not torch\.float64"):
        selective_scan(**inputs, backend="cpu")
    with pytest.raises(ValueError, match="4 taps at most, not 5"):
        causal_conv(torch.zeros(1, 2, 3), torch.zeros(3, 1, 5), backend="cpu")
