"""The CRF against brute-force enumeration of every path, and against pytorch-crf."""

import itertools
import math

import pytest
import torch
import torchcrf
from crf_cases import NEG_INF, enumerate_paths, log_sum, query_of, random_potentials
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_mamba_crf.pytorch.crf import (
    Potentials,
    expected_counts,
    forward_backward,
    loss_and_gradient,
    path_score,
    span_log_probability,
    tag_marginals,
    viterbi,
)
from spacy_mamba_crf.pytorch.schemes import TagSet


@pytest.fixture(params=["BIO", "BIOES"])
def case(request):
    """A batch of short texts of different lengths over two labels (one for BIOES)."""
    generator = torch.Generator().manual_seed(7)
    tagset = TagSet(request.param, ("X", "Y") if request.param == "BIO" else ("X",))
    lengths = torch.tensor([4, 1, 3])
    emissions = torch.randn(3, 4, len(tagset), generator=generator, dtype=torch.float64) * 2
    return tagset, emissions, lengths, random_potentials(tagset, generator)


def test_log_partition_is_the_sum_over_every_legal_path(case):
    _, emissions, lengths, potentials = case
    lattice = forward_backward(emissions, lengths, potentials)
    for b, length in enumerate(lengths):
        expected = log_sum(s for _, s in enumerate_paths(emissions[b, :length], potentials))
        assert float(lattice.log_partition[b]) == pytest.approx(expected, abs=1e-9)


def test_marginals_are_the_shares_of_the_paths_through_a_tag(case):
    _, emissions, lengths, potentials = case
    marginals = tag_marginals(forward_backward(emissions, lengths, potentials))
    for b, length in enumerate(lengths):
        paths = list(enumerate_paths(emissions[b, :length], potentials))
        total = log_sum(s for _, s in paths)
        expected = torch.zeros_like(marginals[b])
        for tags, score in paths:
            for t, tag in enumerate(tags):
                expected[t, tag] += math.exp(score - total)
        torch.testing.assert_close(marginals[b], expected, atol=1e-9, rtol=0)


def test_viterbi_finds_the_best_path_and_its_score(case):
    _, emissions, lengths, potentials = case
    tags, scores = viterbi(emissions, lengths, potentials)
    for b, length in enumerate(lengths):
        paths = enumerate_paths(emissions[b, :length], potentials)
        best, score = max(paths, key=lambda path: path[1])
        assert tags[b, :length].tolist() == list(best)
        assert float(scores[b]) == pytest.approx(score, abs=1e-9)
    torch.testing.assert_close(path_score(emissions, lengths, potentials, tags), scores)


def test_constraints_leave_exactly_the_allowed_paths(case):
    _, emissions, lengths, potentials = case
    generator = torch.Generator().manual_seed(3)
    allowed = torch.rand(emissions.shape, generator=generator) < 0.7
    allowed[:, :, 0] = True
    lattice = forward_backward(emissions, lengths, potentials, allowed)
    tags, _ = viterbi(emissions, lengths, potentials, allowed)
    for b, length in enumerate(lengths):
        paths = list(enumerate_paths(emissions[b, :length], potentials, allowed[b]))
        expected = log_sum(score for _, score in paths)
        assert float(lattice.log_partition[b]) == pytest.approx(expected, abs=1e-9)
        assert tags[b, :length].tolist() == list(max(paths, key=lambda path: path[1])[0])


def test_gradient_of_the_loss_is_autograds(case):
    _, emissions, lengths, potentials = case
    generator = torch.Generator().manual_seed(5)
    target = torch.rand(emissions.shape, generator=generator) < 0.5
    target[:, :, 0] = True
    weights = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    loss, gradient = loss_and_gradient(emissions, lengths, potentials, target, weights=weights)

    leaves = [emissions.clone().requires_grad_()]
    leaves += [p.clone().requires_grad_() for p in potentials]
    total = torch.zeros((), dtype=torch.float64)
    for b, length in enumerate(lengths):
        scored = {}
        for tags, _ in enumerate_paths(emissions[b, :length], potentials):
            score = leaves[2][tags[0]] + leaves[3][tags[-1]]
            score = score + sum(leaves[0][b, t, tag] for t, tag in enumerate(tags))
            scored[tags] = score + sum(leaves[1][i, j] for i, j in itertools.pairwise(tags))
        everything = torch.logsumexp(torch.stack(list(scored.values())), 0)
        admitted = [
            score
            for tags, score in scored.items()
            if all(target[b, t, tag] for t, tag in enumerate(tags))
        ]
        expected = everything - torch.logsumexp(torch.stack(admitted), 0)
        assert float(loss[b]) == pytest.approx(float(expected.detach()), abs=1e-9)
        total = total + weights[b] * expected
    total.backward()
    for ours, leaf in zip(gradient, leaves):
        torch.testing.assert_close(ours, leaf.grad, atol=1e-9, rtol=0)


def test_span_probability_is_the_share_of_the_paths_with_exactly_that_span(case):
    tagset, emissions, lengths, potentials = case
    lattice = forward_backward(emissions, lengths, potentials)
    for b, length in enumerate(lengths.tolist()):
        paths = list(enumerate_paths(emissions[b, :length], potentials))
        total = log_sum(s for _, s in paths)
        for label, start in itertools.product(range(len(tagset.labels)), range(length)):
            for end in range(start + 1, length + 1):
                with_span = [
                    score
                    for tags, score in paths
                    if (start, end, label) in tagset.decode(torch.tensor(tags).numpy())
                ]
                query = query_of(tagset, [(b, start, end, label)])
                ours = float(span_log_probability(lattice, query).exp()[0])
                assert ours == pytest.approx(math.exp(log_sum(with_span) - total))


def test_log_likelihood_and_best_path_are_pytorch_crfs():
    generator = torch.Generator().manual_seed(11)
    batch, time, tag = 5, 9, 6
    oracle = torchcrf.CRF(tag, batch_first=True).double()
    emissions = torch.randn(batch, time, tag, generator=generator, dtype=torch.float64)
    lengths = torch.tensor([9, 1, 4, 7, 2])
    gold = torch.randint(0, tag, (batch, time), generator=generator)
    mask = torch.arange(time) < lengths[:, None]
    potentials = Potentials(
        oracle.transitions.detach(),
        oracle.start_transitions.detach(),
        oracle.end_transitions.detach(),
    )
    target = torch.nn.functional.one_hot(gold, tag).bool()
    loss, _ = loss_and_gradient(emissions, lengths, potentials, target)
    expected = -oracle(emissions, gold, mask=mask, reduction="none")
    torch.testing.assert_close(loss, expected.detach(), atol=1e-4, rtol=0)
    tags, _ = viterbi(emissions, lengths, potentials)
    assert [row[:n].tolist() for row, n in zip(tags, lengths)] == oracle.decode(emissions, mask)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.sampled_from([0.1, 1.0, 30.0, 3000.0]),
    time=st.integers(1, 12),
    scheme=st.sampled_from(["BIO", "BIOES"]),
)
def test_any_emissions_give_a_legal_best_path_and_marginals_that_sum_to_one(
    seed, scale, time, scheme
):
    generator = torch.Generator().manual_seed(seed)
    tagset = TagSet(scheme, ("A", "B", "C"))
    emissions = torch.randn(2, time, len(tagset), generator=generator) * scale
    lengths = torch.tensor([time, max(1, time // 2)])
    potentials = random_potentials(tagset, generator)
    _, scores = viterbi(emissions, lengths, potentials)
    lattice = forward_backward(emissions, lengths, potentials)
    assert torch.isfinite(scores).all()
    assert (scores <= lattice.log_partition + 1e-6).all()
    sums = tag_marginals(lattice).sum(-1)
    for b, length in enumerate(lengths):
        torch.testing.assert_close(sums[b, :length], torch.ones(int(length)).double())
    counts = expected_counts(lattice, torch.ones(2, dtype=torch.float64))
    assert float(counts.transitions.sum()) == pytest.approx(float(lengths.sum() - 2), abs=1e-6)


def test_a_text_has_the_same_scores_alone_and_in_a_padded_batch(case):
    _, emissions, lengths, potentials = case
    together = forward_backward(emissions, lengths, potentials)
    for b, length in enumerate(lengths):
        alone = forward_backward(emissions[b : b + 1, :length], lengths[b : b + 1], potentials)
        torch.testing.assert_close(alone.log_partition[0], together.log_partition[b])
        torch.testing.assert_close(
            tag_marginals(alone)[0], tag_marginals(together)[b, :length], atol=1e-12, rtol=0
        )


@pytest.mark.parametrize("gap", [5.0, -5.0])
def test_long_constraints_that_pull_scores_apart_stay_exact(gap):
    """A hundred tokens may only go on with A or B; in the end only B, far behind, is left."""
    tagset = TagSet("BIO", ("A", "B"))
    time = 300
    inside = [tagset.number("I", 0), tagset.number("I", 1)]
    allowed = torch.zeros(1, time, len(tagset), dtype=torch.bool)
    allowed[0, 0, [tagset.number("B", 0), tagset.number("B", 1)]] = True
    allowed[0, 1:, inside] = True
    allowed[0, -1, inside[0]] = False
    emissions = torch.zeros(1, time, len(tagset), dtype=torch.float64)
    emissions[0, :, inside[0]] = gap
    zeros = random_potentials(tagset, torch.Generator(), scale=0.0)
    lattice = forward_backward(emissions, torch.tensor([time]), zeros, allowed)
    assert float(lattice.log_partition[0]) == pytest.approx(0.0, abs=1e-9)  # one path is left
    counts = expected_counts(lattice, torch.ones(1, dtype=torch.float64))
    assert float(counts.transitions[inside[1], inside[1]]) == pytest.approx(time - 2)


def test_contradictory_constraints_leave_no_path():
    tagset = TagSet("BIO", ("X",))
    generator = torch.Generator().manual_seed(0)
    allowed = torch.zeros(1, 2, 3, dtype=torch.bool)
    allowed[0, 0, 0] = allowed[0, 1, 2] = True  # O, then I-X
    potentials = random_potentials(tagset, generator)
    lattice = forward_backward(torch.zeros(1, 2, 3), torch.tensor([2]), potentials, allowed)
    assert float(lattice.log_partition[0]) == NEG_INF
