"""The k best paths of a CRF: against enumeration, and the kernels against plain torch."""

import itertools

import numpy as np
import pytest
import torch
from crf_cases import NEG_INF, enumerate_paths, offsets_of, random_potentials
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_mamba_crf.pytorch.crf import Potentials, ragged
from spacy_mamba_crf.pytorch.schemes import SCHEMES, TagSet

LENGTHS = [4, 0, 1, 3]


@pytest.fixture(params=["kernels", "torch"])
def way(request, monkeypatch):
    """How the CPU does it, and how other devices do."""
    monkeypatch.setattr(ragged, "_has_kernels", lambda emissions: request.param == "kernels")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("k", [1, 2, 7, 20, 500])
def test_they_are_the_first_of_all_paths_by_score(way, scheme, masked, k):
    generator = torch.Generator().manual_seed(k)
    tagset = TagSet(scheme, ("X", "Y") if scheme == "BIO" else ("X",))
    potentials = random_potentials(tagset, generator)
    emissions = torch.randn(sum(LENGTHS), len(tagset), generator=generator)
    allowed = torch.rand(emissions.shape, generator=generator) < 0.7
    allowed[:, 0] = True
    given_mask = allowed if masked else None
    tags, scores = ragged.k_best(emissions, offsets_of(LENGTHS), potentials, k, given_mask)
    assert tags.shape == (k, sum(LENGTHS)) and scores.shape == (k, len(LENGTHS))
    parts = zip(emissions.double().split(LENGTHS), allowed.split(LENGTHS), tags.split(LENGTHS, 1))
    for text, (own, mask, found) in enumerate(parts):
        if not len(own):
            assert scores[:, text].tolist() == [0.0] + [NEG_INF] * (k - 1)
            continue
        paths = enumerate_paths(own, potentials, mask if masked else None)
        best = sorted(paths, key=lambda path: -path[1])[:k]
        n = len(best)
        assert [tuple(path) for path in found[:n].tolist()] == [path for path, _ in best]
        assert scores[:n, text].tolist() == pytest.approx([s for _, s in best], abs=1e-5)
        assert (scores[n:, text] == NEG_INF).all() and (found[n:] == 0).all()


@settings(deadline=None, max_examples=60)
@given(
    st.booleans(),
    st.sampled_from(SCHEMES),
    st.lists(st.integers(-2, 2), min_size=20),
    st.integers(1, 40),
)
def test_with_ties_no_path_comes_twice_and_none_is_left_out(kernels, scheme, values, k):
    tagset = TagSet(scheme, ("X",))
    size = len(tagset)
    time = min(len(values) // size, 4)
    emissions = torch.tensor(values[: time * size], dtype=torch.float64).view(time, size)
    legal = (tagset.legal_transitions(), tagset.legal_start(), tagset.legal_end())
    zeros = (torch.zeros(mask.shape, dtype=torch.float64) for mask in legal)
    potentials = Potentials(
        *(zero.masked_fill(~torch.from_numpy(mask), NEG_INF) for zero, mask in zip(zeros, legal))
    )
    all_scores = dict(enumerate_paths(emissions, potentials))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "_has_kernels", lambda emissions: kernels)
        tags, scores = ragged.k_best(emissions, offsets_of([time]), potentials, k)
    found = [tuple(path) for path, s in zip(tags.tolist(), scores[:, 0]) if s > NEG_INF]
    assert len(set(found)) == len(found) == min(k, len(all_scores))
    expected = sorted(all_scores.values(), reverse=True)[: len(found)]
    assert [all_scores[path] for path in found] == pytest.approx(expected)
    assert scores[: len(found), 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("masked", [False, True])
def test_the_probabilities_of_all_paths_sum_to_one(way, scheme, masked):
    generator = torch.Generator().manual_seed(6)
    tagset = TagSet(scheme, ("X",))
    potentials = random_potentials(tagset, generator)
    emissions = torch.randn(sum(LENGTHS), len(tagset), generator=generator)
    allowed = torch.rand(emissions.shape, generator=generator) < 0.7
    allowed[:, 0] = True
    mask, offsets = allowed if masked else None, offsets_of(LENGTHS)
    _, scores = ragged.k_best(emissions, offsets, potentials, len(tagset) ** max(LENGTHS), mask)
    p = (scores - ragged.log_partition(emissions, offsets, potentials, mask)).exp()
    assert p.sum(0).tolist() == pytest.approx([1.0] * len(LENGTHS), abs=1e-9)


@pytest.mark.parametrize(["labels", "lengths"], [(3, [1, 127, 128, 129, 130, 300]), (40, [3, 140])])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("masked", [False, True])
def test_kernels_agree_with_plain_torch_at_any_length(monkeypatch, scheme, labels, lengths, masked):
    """Lengths at and around the number of tokens that the kernels keep, 128."""
    generator = torch.Generator().manual_seed(labels)
    tagset = TagSet(scheme, tuple(f"L{i}" for i in range(labels)))
    potentials = random_potentials(tagset, generator)
    emissions = torch.randn(sum(lengths), len(tagset), generator=generator)
    allowed = torch.rand(emissions.shape, generator=generator) < 0.7
    allowed[:, 0] = True
    mask = allowed if masked else None
    results = []
    for kernels in (True, False):
        monkeypatch.setattr(ragged, "_has_kernels", lambda emissions, kernels=kernels: kernels)
        results.append(ragged.k_best(emissions, offsets_of(lengths), potentials, 6, mask))
    (tags, scores), (their_tags, their_scores) = results
    torch.testing.assert_close(scores, their_scores, atol=1e-9, rtol=1e-12)
    assert torch.equal(tags, their_tags)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_first_is_viterbis_path_and_all_are_different(way, scheme):
    generator = torch.Generator().manual_seed(4)
    tagset = TagSet(scheme, ("X", "Y", "Z"))
    potentials = random_potentials(tagset, generator)
    emissions = torch.randn(40, len(tagset), generator=generator)
    tags, scores = ragged.k_best(emissions, offsets_of([40]), potentials, 20)
    best, score = ragged.viterbi(emissions, offsets_of([40]), potentials)
    assert torch.equal(tags[0], best) and float(scores[0]) == pytest.approx(float(score))
    assert len({tuple(path) for path in tags.tolist()}) == 20
    assert (scores[1:] <= scores[:-1]).all()
    assert all(
        tagset.legal_transitions()[a, b]
        for path in tags.tolist()
        for a, b in itertools.pairwise(path)
    )


def test_a_text_without_any_path_has_none(way):
    tagset = TagSet("BIO", ("X",))
    potentials = random_potentials(tagset, torch.Generator().manual_seed(0))
    allowed = torch.zeros(2, 3, dtype=torch.bool)
    allowed[0, 0] = allowed[1, 2] = True  # O, then I-X
    tags, scores = ragged.k_best(torch.zeros(2, 3), offsets_of([2]), potentials, 3, allowed)
    assert (scores == NEG_INF).all() and (tags == 0).all()


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_texts_without_tokens_have_one_path_of_score_0(way, lengths):
    potentials = random_potentials(TagSet("BIO", ("X",)), torch.Generator())
    tags, scores = ragged.k_best(torch.zeros(0, 3), offsets_of(lengths), potentials, 2)
    assert tags.shape == (2, 0) and tags.dtype == torch.int64
    assert scores.tolist() == [[0.0] * len(lengths), [NEG_INF] * len(lengths)]


def test_they_are_the_same_on_one_thread_and_on_several():
    generator = torch.Generator().manual_seed(8)
    tagset, lengths = TagSet("BIOES", ("X", "Y")), [700, 0, 900, 1, 800, 1200]
    potentials = random_potentials(tagset, generator)
    emissions = torch.randn(sum(lengths), len(tagset), generator=generator)
    results = []
    threads = torch.get_num_threads()
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            results.append(ragged.k_best(emissions, offsets_of(lengths), potentials, 5))
    finally:
        torch.set_num_threads(threads)
    (tags, scores), (their_tags, their_scores) = results
    assert torch.equal(tags, their_tags) and torch.equal(scores, their_scores)


def test_less_than_one_is_refused():
    tagset = TagSet("BIO", ("X",))
    potentials = random_potentials(tagset, torch.Generator())
    with pytest.raises(ValueError, match="it must be at least 1"):
        ragged.k_best(torch.zeros(1, 3), np.array([0, 1]), potentials, 0)
