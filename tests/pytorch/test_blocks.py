"""Any mixer run in blocks, with carried state, against the unbroken run; and its causality."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_mamba_crf.pytorch.mamba import Mamba
from spacy_mamba_crf.pytorch.mamba2 import Mamba2
from spacy_mamba_crf.pytorch.mixer import Mixer
from spacy_mamba_crf.pytorch.s4d import S4D

WIDTH = 8


def make_mixer(name: str) -> Mixer:
    """A small float64 mixer with a convolution of width 4 where it has one."""
    torch.manual_seed(3)
    mixers = {
        "mamba1": lambda: Mamba(WIDTH, d_state=3),
        "mamba2": lambda: Mamba2(WIDTH, d_state=3, headdim=4, ngroups=2, chunk_size=4),
        "s4d-hippo": lambda: S4D(WIDTH, d_state=4),
        "s4d-real": lambda: S4D(WIDTH, d_state=3, init="real", discretization="bilinear"),
    }
    return mixers[name]().double().requires_grad_(False)


MIXERS = {name: make_mixer(name) for name in ("mamba1", "mamba2", "s4d-hippo", "s4d-real")}
every_mixer = pytest.mark.parametrize("mixer", MIXERS.values(), ids=MIXERS.keys())


def random_x(batch: int, time: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch * 100 + time)
    return torch.randn(batch, time, WIDTH, generator=generator, dtype=torch.float64)


def assert_close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


@every_mixer
@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 7), min_size=1, max_size=6))
def test_blocks_of_any_sizes_equal_the_unbroken_run(mixer, sizes):
    x = random_x(2, sum(sizes))
    state, outputs = None, []
    for block in x.split(sizes, dim=1):
        y, state = mixer.forward_block(block, state)
        outputs.append(y)
    assert_close(torch.cat(outputs, dim=1), mixer(x))


@every_mixer
@pytest.mark.parametrize("size", [1, 2, 3])
def test_blocks_shorter_than_the_convolution_equal_the_unbroken_run(mixer, size):
    x = random_x(2, 12)
    state, outputs = None, []
    for block in x.split(size, dim=1):
        y, state = mixer.forward_block(block, state)
        outputs.append(y)
    assert_close(torch.cat(outputs, dim=1), mixer(x))


@every_mixer
@settings(max_examples=40, deadline=None)
@given(
    blocks=st.integers(1, 6).flatmap(
        lambda size: st.lists(
            st.tuples(*[st.integers(0, size)] * 3).map(lambda lengths: (size, lengths)),
            min_size=1,
            max_size=4,
        )
    )
)
def test_padding_inside_blocks_touches_no_sequence(mixer, blocks):
    """Each sequence has its own number of steps in each block, and garbage behind them."""
    totals = [sum(lengths[row] for _, lengths in blocks) for row in range(3)]
    rows = [random_x(1, total)[0] for total in totals]
    done = [0, 0, 0]
    state = None
    outputs: list[list[torch.Tensor]] = [[], [], []]
    for size, lengths in blocks:
        block = torch.full((3, size, WIDTH), 1e3, dtype=torch.float64)
        for row, length in enumerate(lengths):
            block[row, :length] = rows[row][done[row] : done[row] + length]
            done[row] += length
        y, state = mixer.forward_block(block, state, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            outputs[row].append(y[row, :length])
    for row, pieces in enumerate(outputs):
        _, alone = mixer.forward_block(rows[row][None])
        assert_close(torch.cat(pieces), mixer(rows[row][None])[0])
        assert_close(state.ssm[row], alone.ssm[0])
        if alone.conv is not None:
            assert_close(state.conv[row], alone.conv[0])


@every_mixer
def test_lengths_that_fill_the_block_change_nothing(mixer):
    x = random_x(2, 5)
    y, state = mixer.forward_block(x)
    same_y, same_state = mixer.forward_block(x, None, torch.tensor([5, 5]))
    assert_close(same_y, y)
    assert_close(same_state.ssm, state.ssm)


@every_mixer
def test_a_later_input_never_changes_an_earlier_output(mixer):
    x = random_x(1, 9)
    before = mixer(x)
    for t in range(9):
        changed = x.clone()
        changed[:, t] += 10
        after = mixer(changed)
        assert_close(after[:, :t], before[:, :t])
        assert not torch.allclose(after[:, t], before[:, t])


@every_mixer
def test_carried_state_passes_the_gradient_back_through_earlier_blocks(mixer):
    gradients = []
    for cut in (None, 4):
        x = random_x(2, 9).requires_grad_()
        if cut is None:
            last = mixer(x)[:, -1]
        else:
            _, state = mixer.forward_block(x[:, :cut])
            last = mixer.forward_block(x[:, cut:], state)[0][:, -1]
        last.square().sum().backward()
        gradients.append(x.grad)
    assert_close(gradients[1], gradients[0])
