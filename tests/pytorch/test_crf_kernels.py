"""The CRF's kernels where numbers are hard: extremes, long texts, ties, NaN, threads."""

import numpy as np
import pytest
import torch
from crf_cases import offsets_of, query_of, random_potentials
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_mamba_crf.pytorch.crf import Potentials, padded, ragged
from spacy_mamba_crf.pytorch.crf.kernels.doubles import LANES, load, store
from spacy_mamba_crf.pytorch.crf.kernels.exponentials import exp, log
from spacy_mamba_crf.pytorch.jit import kernel
from spacy_mamba_crf.pytorch.schemes import TagSet


@kernel
def exp_all(x, y):
    for i in range(0, len(x), LANES):
        store(y, i, exp(load(x, i)))


@kernel
def log_all(x, y):
    for i in range(0, len(x), LANES):
        store(y, i, log(load(x, i)))


def apply(function, x: np.ndarray) -> np.ndarray:
    padded_x = np.append(x, np.ones(-len(x) % LANES))
    y = np.empty_like(padded_x)
    function(padded_x, y)
    return y[: len(x)]


def test_exp_is_numpys():
    x = np.random.default_rng(0).uniform(-708, 709, 100_000)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(apply(exp_all, x) / exact - 1) / (3 + np.abs(x))) < 1e-16
    x = np.array([0.0, -np.inf, -709.0, np.nan])
    np.testing.assert_array_equal(apply(exp_all, x), [1.0, 0.0, 0.0, np.nan])


def test_log_is_numpys():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.exp(rng.uniform(-700, 700, 50_000)), rng.uniform(0.5, 2, 50_000)])
    exact = np.log(x.astype(np.longdouble))
    assert np.max(np.abs(apply(log_all, x) - exact) / (1 + np.abs(exact))) < 3e-16
    x = np.array([1.0, 0.0, np.nan])
    np.testing.assert_array_equal(apply(log_all, x), [0.0, -np.inf, np.nan])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    emission_scale=st.sampled_from([0.1, 30.0, 300.0, 3000.0]),
    step_scale=st.sampled_from([0.0, 1.0, 70.0, 1000.0]),
    time=st.integers(1, 12),
    scheme=st.sampled_from(["BIO", "BIOES"]),
)
def test_extreme_scores_give_what_plain_torch_gives(seed, emission_scale, step_scale, time, scheme):
    generator = torch.Generator().manual_seed(seed)
    tagset = TagSet(scheme, ("A", "B", "C"))
    potentials = random_potentials(tagset, generator, step_scale)
    emissions = torch.randn(time, len(tagset), generator=generator) * emission_scale
    offsets, sizes = offsets_of([time]), torch.tensor([time])
    target = torch.rand(emissions.shape, generator=generator) < 0.5
    target[:, 0] = True
    weights = torch.ones(1, dtype=torch.float64)
    loss, gradient = ragged.loss_and_gradient(emissions, offsets, potentials, target, weights)
    their_loss, theirs = padded.loss_and_gradient(emissions[None], sizes, potentials, target[None])
    torch.testing.assert_close(loss, their_loss, atol=1e-9, rtol=1e-9)
    for ours, part in zip(gradient, [theirs.emissions[0], *theirs[1:]]):
        torch.testing.assert_close(ours, part, atol=1e-7, rtol=0)
    tags, score = ragged.viterbi(emissions, offsets, potentials)
    their_tags, their_score = padded.viterbi(emissions[None], sizes, potentials)
    assert tags.tolist() == their_tags[0].tolist() and float(score) == float(their_score)
    query = query_of(tagset, tagset.entities(tags.numpy(), offsets).tolist())
    ours = ragged.span_log_probability(emissions, offsets, potentials, query)
    lattice = padded.forward_backward(emissions[None], sizes, potentials)
    expected = padded.span_log_probability(lattice, query)
    torch.testing.assert_close(ours, expected, atol=1e-7, rtol=1e-9)


@pytest.mark.parametrize("gap", [5.0, -5.0])
def test_long_constraints_that_pull_scores_apart_stay_exact(gap):
    """A hundred tokens may only go on with A or B; in the end only B, far behind, is left."""
    tagset = TagSet("BIO", ("A", "B"))
    time = 300
    inside = [tagset.number("I", 0), tagset.number("I", 1)]
    allowed = torch.zeros(time, len(tagset), dtype=torch.bool)
    allowed[0, [tagset.number("B", 0), tagset.number("B", 1)]] = True
    allowed[1:, inside] = True
    allowed[-1, inside[0]] = False
    emissions = torch.zeros(time, len(tagset), dtype=torch.float64)
    emissions[:, inside[0]] = gap
    zeros = random_potentials(tagset, torch.Generator(), scale=0.0)
    weights = torch.ones(1, dtype=torch.float64)
    texts = emissions, offsets_of([time]), zeros
    log_partition, counts = ragged.partition_and_counts(*texts, weights, allowed)
    assert float(log_partition[0]) == pytest.approx(0.0, abs=1e-9)  # one path is left
    assert float(counts.transitions[inside[1], inside[1]]) == pytest.approx(time - 2)
    query = query_of(tagset, [(0, 0, time, 1)])
    log_p = ragged.span_log_probability(*texts, query, allowed)
    assert float(log_p[0]) == pytest.approx(0.0, abs=1e-9)


def test_in_a_very_long_text_a_probability_is_as_exact_as_in_a_short_one():
    """Without transition scores, it is the product of the softmax of the span's own tags."""
    tagset = TagSet("BIO", ("A", "B"))
    size, time = len(tagset), 200_000
    emissions = torch.randn(time, size, generator=torch.Generator().manual_seed(0)) * 3
    zeros = torch.zeros(size, dtype=torch.float64)
    free = Potentials(zeros.expand(size, size), zeros, zeros)
    spans = [(50, 51, 0), (128, 500, 1), (600, 602, 1), (99_000, 99_005, 0), (time - 1, time, 0)]
    query = query_of(tagset, [(0, *span) for span in spans])
    log_p = ragged.span_log_probability(emissions, offsets_of([time]), free, query)
    log_softmax = emissions.double().log_softmax(1)
    for ours, (start, end, label) in zip(log_p, spans):
        tags = tagset.span_tags(label, end - start)
        expected = sum(float(log_softmax[start + t, tag]) for t, tag in enumerate(tags))
        if end < time:
            going_on = log_softmax[end, tagset.number("I", label)].exp()
            expected += float(torch.log1p(-going_on))
        assert float(ours) == pytest.approx(expected, rel=1e-12)


def test_of_paths_that_are_equally_good_it_takes_the_one_that_torch_takes():
    tagset = TagSet("BIOES", ("A", "B"))
    generator = torch.Generator().manual_seed(0)
    emissions = torch.randint(0, 2, (200, len(tagset)), generator=generator).float()
    potentials = random_potentials(tagset, generator, scale=0.0)
    tags, _ = ragged.viterbi(emissions, offsets_of([200]), potentials)
    theirs, _ = padded.viterbi(emissions[None], torch.tensor([200]), potentials)
    assert tags.tolist() == theirs[0].tolist()


def test_a_number_that_is_none_shows_in_the_loss():
    tagset = TagSet("BIO", ("A",))
    potentials = random_potentials(tagset, torch.Generator())
    emissions = torch.zeros(5, 3)
    emissions[2, 1] = float("nan")
    target = torch.ones(5, 3, dtype=torch.bool)
    weights = torch.ones(1, dtype=torch.float64)
    loss, _ = ragged.loss_and_gradient(emissions, offsets_of([5]), potentials, target, weights)
    assert not torch.isfinite(loss).any()


def test_the_number_of_threads_changes_nothing_but_the_last_digits_of_sums_over_texts():
    tagset = TagSet("BIOES", ("A", "B", "C"))
    generator = torch.Generator().manual_seed(3)
    lengths = [700, 0, 1500, 900, 3, 2000]
    emissions = torch.randn(sum(lengths), len(tagset), generator=generator) * 2
    potentials = random_potentials(tagset, generator)
    target = torch.rand(emissions.shape, generator=generator) < 0.5
    target[:, 0] = True
    weights = torch.rand(len(lengths), generator=generator, dtype=torch.float64)
    texts = emissions, offsets_of(lengths), potentials
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            tags, scores = ragged.viterbi(*texts)
            query = query_of(tagset, tagset.entities(tags.numpy(), texts[1]).tolist())
            log_p = ragged.span_log_probability(*texts, query)
            loss, gradient = ragged.loss_and_gradient(*texts, target, weights)
            results.append((tags, scores, log_p, loss, gradient.emissions, *gradient[1:]))
    finally:
        torch.set_num_threads(threads)
    for one, three in zip(*results):
        torch.testing.assert_close(one, three, atol=0, rtol=1e-12)
    for one, three in list(zip(*results))[:5]:
        assert torch.equal(one, three)
