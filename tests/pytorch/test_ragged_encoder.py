"""The encoder in float32 on a CPU: ragged batches, threads, blocks, half precision."""

import multiprocessing
import random
import threading

import pytest
import torch

from spacy_mamba_crf.pytorch.bidirectional import BidirectionalEncoder
from spacy_mamba_crf.pytorch.linear import Linear, onednn_works
from spacy_mamba_crf.pytorch.mamba import Mamba
from spacy_mamba_crf.pytorch.mamba2 import Mamba2
from spacy_mamba_crf.pytorch.threads import available_threads, deal, run_shares, shares_only

WIDTH = 64
MAKERS = {
    "mamba1": lambda: Mamba(WIDTH, d_state=3),
    "mamba2": lambda: Mamba2(WIDTH, d_state=8, headdim=16, expand=1),
    "mamba2 of two groups": lambda: Mamba2(WIDTH, d_state=4, headdim=32, ngroups=2),
    "mamba2 of odd sizes": lambda: Mamba2(WIDTH, d_state=3, headdim=8, ngroups=2, d_conv=2),
    "mamba2 of many taps": lambda: Mamba2(WIDTH, d_state=3, headdim=8, d_conv=6),
}
LENGTHS = [5, 0, 1, 12, 70, 3, 0]


@pytest.fixture(params=MAKERS)
def encoder(request) -> BidirectionalEncoder:
    torch.manual_seed(2)
    return BidirectionalEncoder(WIDTH, 2, MAKERS[request.param], input_width=20)


@pytest.fixture
def threads():
    """Set torch's number of threads; it is what it was afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def tokens(width: int = 20, lengths=LENGTHS) -> torch.Tensor:
    return torch.randn(sum(lengths), width, generator=torch.Generator().manual_seed(8))


def encode_and_gradients(encoder, x, lengths=LENGTHS) -> list[torch.Tensor]:
    x = x.clone().requires_grad_()
    y = encoder(x, torch.tensor(lengths))
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y, *torch.autograd.grad((y * weights).sum(), [x, *encoder.parameters()])]


def assert_close(got, expected, tolerance=1e-4):
    for ours, exact in zip(got, expected, strict=True):
        scale = exact.abs().max().clamp(min=1e-3)
        assert (ours.double() - exact.double()).abs().max() / scale < tolerance


def test_ragged_batches_encode_and_learn_as_padded_ones_in_float64_do(encoder):
    ours = encode_and_gradients(encoder, tokens())
    assert_close(ours, encode_and_gradients(encoder.double(), tokens().double()))


def test_a_text_encodes_the_same_alone_and_in_any_batch(encoder):
    with torch.no_grad():
        together = encoder(tokens(), torch.tensor(LENGTHS)).split(LENGTHS)
        for text, expected in zip(tokens().split(LENGTHS), together):
            if len(text):
                assert_close([encoder(text, torch.tensor([len(text)]))], [expected], 1e-5)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_any_number_of_threads_gives_the_same_results_and_gradients(encoder, threads, count):
    threads(1)
    expected = encode_and_gradients(encoder, tokens())
    with torch.no_grad():
        expected_y = encoder(tokens(), torch.tensor(LENGTHS))
    threads(count)
    assert_close(encode_and_gradients(encoder, tokens()), expected, 1e-5)
    with torch.no_grad():
        assert_close([encoder(tokens(), torch.tensor(LENGTHS))], [expected_y], 1e-5)
    assert torch.get_num_threads() == count


def test_dropout_over_threads_depends_on_the_seed_alone(encoder, threads):
    threads(3)
    encoder.set_dropout(0.5)

    def learn(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return encode_and_gradients(encoder, tokens())

    first, again, other = learn(1), learn(1), learn(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("block_size", [1, 3, 12, 69])
def test_long_texts_run_in_blocks_as_in_one_piece(encoder, block_size):
    with torch.no_grad():
        whole = encoder(tokens(), torch.tensor(LENGTHS))
        encoder.block_size = block_size
        assert_close([encoder(tokens(), torch.tensor(LENGTHS))], [whole], 1e-5)


def test_portions_of_a_large_batch_leave_no_trace(encoder):
    shuffled = random.Random(4)
    lengths = [shuffled.randint(0, 60) for _ in range(90)]  # several portions
    x = tokens(lengths=lengths)
    with torch.no_grad():
        y = encoder(x, torch.tensor(lengths))
    assert_close([y], [encoder.double()(x.double(), torch.tensor(lengths))])


def test_half_precision_is_for_prediction_only(encoder):
    exact = encode_and_gradients(encoder, tokens())
    for module in encoder.modules():
        if isinstance(module, Linear):
            module.bf16 = True
    assert all(torch.equal(a, b) for a, b in zip(encode_and_gradients(encoder, tokens()), exact))
    with torch.no_grad():
        half = encoder(tokens(), torch.tensor(LENGTHS))
    assert not torch.equal(half, exact[0])
    assert_close([half], [exact[0]], 0.05)  # bfloat16 has eight bits


@pytest.mark.skipif(not onednn_works(), reason="torch has no oneDNN here")
@pytest.mark.parametrize("shape", [(7, 20), (2, 5, 20), (1, 20)])
def test_the_linear_layer_is_torchs_with_its_gradients(shape):
    torch.manual_seed(0)
    ours = Linear(20, 6)
    plain = torch.nn.Linear(20, 6)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(shape)
    results = []
    for layer in (ours, plain):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        results.append([y, *torch.autograd.grad(y.square().sum(), [leaf, *layer.parameters()])])
    assert_close(*results, 1e-5)


def test_shares_are_dealt_evenly_and_keep_their_order():
    shares = deal([5, 1, 9, 3, 0, 4], 2)
    assert sorted(i for share in shares for i in share) == list(range(6))
    assert all(share == sorted(share) for share in shares)
    assert max(sum([5, 1, 9, 3, 0, 4][i] for i in share) for share in shares) <= 12
    assert deal([2], 4) == [[0]]
    assert deal([], 4) == []
    assert deal([3, 0, 0], 3) == [[0, 1, 2]]


def test_shares_run_at_the_same_time_each_on_one_torch_thread(threads):
    threads(2)
    barrier = threading.Barrier(2, timeout=30)

    def meet(share: int) -> tuple[int, int]:
        barrier.wait()  # broken unless both run at once
        return share, torch.get_num_threads()

    assert run_shares(meet, [7, 8]) == [(7, 1), (8, 1)]
    assert torch.get_num_threads() == 2


def test_within_shares_only_torch_has_one_thread_and_shares_have_all(threads):
    threads(3)
    with shares_only():
        assert torch.get_num_threads() == 1
        assert available_threads() == 3
        with shares_only():
            assert available_threads() == 3
    assert (torch.get_num_threads(), available_threads()) == (3, 3)


def test_an_error_in_a_share_is_raised_after_all_have_ended(threads):
    threads(2)
    ended = []

    def fail(share: int) -> None:
        if share:
            raise ValueError("share 1")
        ended.append(share)

    with pytest.raises(ValueError, match="share 1"):
        run_shares(fail, [0, 1])
    assert ended == [0]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_process_keeps_to_one_thread(method, monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(available_threads) == 1


def test_a_worker_process_takes_the_threads_that_the_environment_asks_for(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(available_threads) == 2
