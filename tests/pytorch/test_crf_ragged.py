"""The ragged CRF, in kernels and in torch: against enumeration, pytorch-crf, and the padded one."""

import itertools
import math

import numpy as np
import pytest
import torch
import torchcrf
from crf_cases import NEG_INF, enumerate_paths, log_sum, offsets_of, query_of, random_potentials

from spacy_mamba_crf.pytorch.crf import Potentials, padded, ragged
from spacy_mamba_crf.pytorch.schemes import TagSet

LENGTHS = [4, 0, 1, 3, 0]


@pytest.fixture(params=["kernels", "torch"])
def way(request, monkeypatch):
    """How the CPU does it, and how other devices do."""
    monkeypatch.setattr(ragged, "_has_kernels", lambda emissions: request.param == "kernels")


@pytest.fixture(params=["BIO", "BIOES"])
def case(request, way):
    """Short texts, some without tokens, over two labels (one for BIOES), and allowed tags."""
    generator = torch.Generator().manual_seed(7)
    tagset = TagSet(request.param, ("X", "Y") if request.param == "BIO" else ("X",))
    emissions = torch.randn(sum(LENGTHS), len(tagset), generator=generator) * 2
    allowed = torch.rand(emissions.shape, generator=generator) < 0.7
    allowed[:, 0] = True
    return tagset, emissions, random_potentials(tagset, generator), allowed


def texts(*arrays):
    """The parts of (token, tag) arrays that belong to each text."""
    yield from zip(*(array.split(LENGTHS) for array in arrays))


def test_viterbi_finds_the_best_path_of_each_text(case):
    _, emissions, potentials, allowed = case
    tags, scores = ragged.viterbi(emissions, offsets_of(LENGTHS), potentials, allowed)
    for b, (own, mask, found) in enumerate(texts(emissions, allowed, tags)):
        if len(own):
            path, score = max(enumerate_paths(own, potentials, mask), key=lambda path: path[1])
            assert found.tolist() == list(path)
            assert float(scores[b]) == pytest.approx(score, abs=1e-5)
        else:
            assert float(scores[b]) == 0.0


def test_log_partition_and_counts_are_those_of_every_path(case):
    _, emissions, potentials, allowed = case
    weights = torch.tensor([1.0, 5.0, 0.5, -2.0, 0.0], dtype=torch.float64)
    log_partition, counts = ragged.partition_and_counts(
        emissions, offsets_of(LENGTHS), potentials, weights, allowed
    )
    expected = [torch.zeros_like(part) for part in counts]
    of_texts = texts(emissions.double(), allowed, expected[0])
    for b, (own, mask, unary) in enumerate(of_texts):
        if not len(own):
            assert float(log_partition[b]) == 0.0
            continue
        paths = list(enumerate_paths(own, potentials, mask))
        total = log_sum(score for _, score in paths)
        assert float(log_partition[b]) == pytest.approx(total, abs=1e-9)
        for tags, score in paths:
            p = float(weights[b]) * math.exp(score - total)
            for t, tag in enumerate(tags):
                unary[t, tag] += p
            for pair in itertools.pairwise(tags):
                expected[1][pair] += p
            expected[2][tags[0]] += p
            expected[3][tags[-1]] += p
    for ours, theirs in zip(counts, expected):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


def test_span_probability_is_the_share_of_the_paths_with_exactly_that_span(case):
    tagset, emissions, potentials, allowed = case
    for text, (own, mask) in enumerate(texts(emissions.double(), allowed)):
        if not len(own):
            continue
        paths = list(enumerate_paths(own, potentials, mask))
        total = log_sum(score for _, score in paths)
        spans = itertools.combinations(range(len(own) + 1), 2)
        for (start, end), label in itertools.product(spans, range(len(tagset.labels))):
            query = query_of(tagset, [(text, start, end, label)])
            log_p = ragged.span_log_probability(
                emissions, offsets_of(LENGTHS), potentials, query, allowed
            )
            with_span = [
                score
                for tags, score in paths
                if (start, end, label) in tagset.decode(np.array(tags))
            ]
            assert math.exp(log_p[0]) == pytest.approx(math.exp(log_sum(with_span) - total))


def test_likelihood_gradient_and_best_path_are_pytorch_crfs(way):
    generator = torch.Generator().manual_seed(11)
    lengths, tags = [9, 1, 4, 7, 2], 6
    oracle = torchcrf.CRF(tags, batch_first=True).double()
    emissions = torch.randn(sum(lengths), tags, generator=generator, dtype=torch.float64)
    gold = torch.randint(0, tags, (sum(lengths),), generator=generator)
    leaf = emissions.clone().requires_grad_()
    rows = torch.nn.utils.rnn.pad_sequence(leaf.split(lengths), batch_first=True)
    gold_rows = torch.nn.utils.rnn.pad_sequence(gold.split(lengths), batch_first=True)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    expected = -oracle(rows, gold_rows, mask=mask, reduction="none")
    expected.sum().backward()

    potentials = Potentials(
        oracle.transitions.detach(),
        oracle.start_transitions.detach(),
        oracle.end_transitions.detach(),
    )
    target = torch.nn.functional.one_hot(gold, tags).bool()
    weights = torch.ones(len(lengths), dtype=torch.float64)
    offsets = offsets_of(lengths)
    loss, gradient = ragged.loss_and_gradient(emissions, offsets, potentials, target, weights)
    torch.testing.assert_close(loss, expected.detach(), atol=1e-9, rtol=0)
    theirs = [oracle.transitions, oracle.start_transitions, oracle.end_transitions]
    for ours, parameter in zip(gradient, [leaf, *theirs]):
        torch.testing.assert_close(ours, parameter.grad, atol=1e-9, rtol=0)
    found, _ = ragged.viterbi(emissions, offsets, potentials)
    assert [part.tolist() for part in found.split(lengths)] == oracle.decode(rows, mask)


def padded_batch(emissions, lengths):
    rows = torch.nn.utils.rnn.pad_sequence(emissions.split(lengths), batch_first=True)
    return rows, torch.tensor(lengths)


@pytest.mark.parametrize("labels", [0, 1, 3, 10, 80])
@pytest.mark.parametrize("scheme", ["BIO", "BIOES"])
@pytest.mark.parametrize("masked", [False, True])
def test_kernels_agree_with_plain_torch_for_any_number_of_tags_and_tokens(labels, scheme, masked):
    """Text lengths at and around the number of tokens that the kernels keep, 128."""
    generator = torch.Generator().manual_seed(labels)
    lengths = [1, 2, 127, 128, 129, 130, 300] if labels < 80 else [3, 130]
    tagset = TagSet(scheme, tuple(f"L{i}" for i in range(labels)))
    potentials = random_potentials(tagset, generator)
    emissions = torch.randn(sum(lengths), len(tagset), generator=generator) * 2
    target = torch.rand(emissions.shape, generator=generator) < 0.5
    target[:, 0] = True
    allowed = target | (torch.rand(emissions.shape, generator=generator) < 0.7)
    allowed = allowed if masked else torch.ones_like(target)
    offsets = offsets_of(lengths)
    rows, sizes = padded_batch(emissions, lengths)
    mask_rows, _ = padded_batch(allowed, lengths)
    given = allowed if masked else None

    tags, scores = ragged.viterbi(emissions, offsets, potentials, given)
    their_tags, their_scores = padded.viterbi(rows, sizes, potentials, mask_rows)
    for ours, theirs, size in zip(tags.split(lengths), their_tags, lengths):
        assert ours.tolist() == theirs[:size].tolist()
    torch.testing.assert_close(scores, their_scores, atol=0, rtol=1e-12)

    lattice = padded.forward_backward(rows, sizes, potentials, mask_rows)
    spans = tagset.entities(tags.numpy(), offsets)
    query = query_of(tagset, spans.tolist())
    log_p = ragged.span_log_probability(emissions, offsets, potentials, query, given)
    theirs = padded.span_log_probability(lattice, query)
    torch.testing.assert_close(log_p, theirs, atol=1e-9, rtol=1e-9)

    weights = torch.rand(len(lengths), generator=generator, dtype=torch.float64)
    loss, gradient = ragged.loss_and_gradient(
        emissions, offsets, potentials, target, weights, given
    )
    their_loss, their_gradient = padded.loss_and_gradient(
        rows, sizes, potentials, padded_batch(target, lengths)[0], mask_rows, weights
    )
    torch.testing.assert_close(loss, their_loss, atol=1e-9, rtol=1e-9)
    unary = torch.cat([row[:size] for row, size in zip(their_gradient.emissions, lengths)])
    for ours, theirs in zip(gradient, [unary, *their_gradient[1:]]):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)


def test_empty_spans_and_spans_beyond_their_text_are_refused(way):
    tagset = TagSet("BIO", ("X",))
    potentials = random_potentials(tagset, torch.Generator())
    emissions, offsets = torch.zeros(6, 3), offsets_of([4, 2])
    for wrong in ((1, 1, 3), (0, -1, 1), (0, 2, 2)):
        query = query_of(tagset, [(0, 0, 1, 0)])
        query = query._replace(**{n: torch.tensor([v]) for n, v in zip(query._fields, wrong)})
        with pytest.raises(ValueError, match="is empty or leaves its text"):
            ragged.span_log_probability(emissions, offsets, potentials, query)


def test_no_texts_no_tokens_and_no_spans_are_fine():
    tagset = TagSet("BIOES", ("X",))
    potentials = random_potentials(tagset, torch.Generator())
    for lengths in ([], [0], [0, 0, 2]):
        emissions, offsets = torch.zeros(sum(lengths), 5), offsets_of(lengths)
        tags, scores = ragged.viterbi(emissions, offsets, potentials)
        assert len(tags) == sum(lengths) and len(scores) == len(lengths)
        none = query_of(tagset, [])
        assert not len(ragged.span_log_probability(emissions, offsets, potentials, none))
        weights = torch.ones(len(lengths), dtype=torch.float64)
        target = torch.ones(len(emissions), 5, dtype=torch.bool)
        loss, _ = ragged.loss_and_gradient(emissions, offsets, potentials, target, weights)
        assert loss.abs().sum() == 0


def test_contradictory_constraints_leave_no_path_and_count_nothing():
    tagset = TagSet("BIO", ("X",))
    potentials = random_potentials(tagset, torch.Generator().manual_seed(0))
    allowed = torch.zeros(2, 3, dtype=torch.bool)
    allowed[0, 0] = allowed[1, 2] = True  # O, then I-X
    emissions, offsets = torch.zeros(2, 3), offsets_of([2])
    weights = torch.ones(1, dtype=torch.float64)
    log_partition, counts = ragged.partition_and_counts(
        emissions, offsets, potentials, weights, allowed
    )
    assert float(log_partition[0]) == NEG_INF
    assert all(float(part.abs().sum()) == 0 for part in counts)
    _, scores = ragged.viterbi(emissions, offsets, potentials, allowed)
    assert float(scores[0]) == NEG_INF
    query = query_of(tagset, [(0, 0, 2, 0)])
    log_p = ragged.span_log_probability(emissions, offsets, potentials, query, allowed)
    assert float(log_p[0]) == NEG_INF
