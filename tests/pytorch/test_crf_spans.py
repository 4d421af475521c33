"""Spans of a CRF, any and all of them, and a longest entity: against enumeration."""

import itertools
import math

import numpy as np
import pytest
import torch
from crf_cases import NEG_INF, enumerate_paths, log_sum, offsets_of, query_of, random_potentials
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_mamba_crf.pytorch.crf import SpanQuery, SpanTags, ragged
from spacy_mamba_crf.pytorch.crf.limits import count_tokens
from spacy_mamba_crf.pytorch.schemes import SCHEMES, TagSet

LENGTHS = [4, 0, 1, 3]


@pytest.fixture(params=SCHEMES)
def case(request):
    generator = torch.Generator().manual_seed(3)
    tagset = TagSet(request.param, ("X", "Y") if request.param == "BIO" else ("X",))
    emissions = torch.randn(sum(LENGTHS), len(tagset), generator=generator) * 1.5
    return tagset, emissions, random_potentials(tagset, generator)


def span_probabilities(tagset, emissions, potentials, allowed=None, most=None):
    """{(start, end, label): probability} of every span of one text, by enumeration."""
    found: dict[tuple[int, int, int], list[float]] = {}
    scores = []
    for tags, score in enumerate_paths(emissions, potentials, allowed):
        spans = tagset.decode(np.array(tags))
        if most is None or all(end - start <= most for start, end, _ in spans):
            scores.append(score)
            for span in spans:
                found.setdefault(span, []).append(score)
    total = log_sum(scores)
    return {span: math.exp(log_sum(own) - total) for span, own in found.items()}


def expected_spans(tagset, emissions, potentials, most=None):
    """{(text, start, end, label): probability} over texts of LENGTHS."""
    return {
        (text, *span): p
        for text, own in enumerate(emissions.double().split(LENGTHS))
        if len(own)
        for span, p in span_probabilities(tagset, own, potentials, most=most).items()
    }


def test_all_spans_at_once_in_any_order_get_their_share_of_the_paths(case):
    tagset, emissions, potentials = case
    expected = expected_spans(tagset, emissions, potentials)
    spans = sorted(expected, key=lambda span: hash((span, 5)))
    log_p = ragged.span_log_probability(
        emissions, offsets_of(LENGTHS), potentials, query_of(tagset, spans)
    )
    np.testing.assert_allclose(log_p.exp(), [expected[span] for span in spans], rtol=1e-9)


def test_overlapping_spans_over_block_borders_get_what_each_gets_alone():
    tagset = TagSet("BIO", ("X", "Y"))
    generator = torch.Generator().manual_seed(0)
    potentials = random_potentials(tagset, generator)
    emissions = torch.randn(400, 5, generator=generator)
    offsets = offsets_of([100, 300])
    spans = [(1, 20, 290, 0), (0, 3, 4, 1), (1, 0, 129, 1), (1, 127, 128, 0), (1, 100, 257, 0)]
    together = ragged.span_log_probability(emissions, offsets, potentials, query_of(tagset, spans))
    for span, log_p in zip(spans, together):
        alone = ragged.span_log_probability(
            emissions, offsets, potentials, query_of(tagset, [span])
        )
        assert float(alone[0]) == pytest.approx(float(log_p), abs=1e-9)


@pytest.mark.parametrize("floor", [1e-9, 0.05, 0.3, 1.0])
def test_likely_spans_are_all_that_reach_the_floor(case, floor):
    tagset, emissions, potentials = case
    expected = expected_spans(tagset, emissions, potentials)
    spans, p = ragged.likely_spans(
        emissions, offsets_of(LENGTHS), potentials, SpanTags(tagset.span_table()), floor
    )
    assert {tuple(span) for span in spans.tolist()} == {
        span for span, share in expected.items() if share >= floor
    }
    np.testing.assert_allclose(p, [expected[tuple(span)] for span in spans.tolist()], rtol=1e-9)
    assert sorted(spans[:, :2].tolist()) == spans[:, :2].tolist()


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(SCHEMES), st.lists(st.integers(-40, 40), min_size=35, max_size=35), st.data()
)
def test_likely_spans_respect_what_is_allowed(scheme, values, data):
    tagset = TagSet(scheme, ("X", "Y"))
    emissions = torch.tensor(values, dtype=torch.float64).repeat(2)[: 4 * len(tagset)] / 8
    emissions = emissions.view(4, len(tagset))
    potentials = random_potentials(tagset, torch.Generator().manual_seed(1))
    bans = data.draw(st.sets(st.tuples(st.integers(0, 3), st.integers(1, len(tagset) - 1))))
    allowed = torch.ones(emissions.shape, dtype=torch.bool)
    for token, tag in bans:
        allowed[token, tag] = False
    expected = span_probabilities(tagset, emissions, potentials, allowed)
    spans, p = ragged.likely_spans(
        emissions, offsets_of([4]), potentials, SpanTags(tagset.span_table()), 0.02, allowed
    )
    found = {tuple(span[1:]): share for span, share in zip(spans.tolist(), p)}
    assert found == pytest.approx({s: share for s, share in expected.items() if share >= 0.02})


def test_likely_spans_of_a_long_text_have_the_probabilities_of_queries():
    """Spans may cross the borders of the blocks of 128 tokens."""
    tagset = TagSet("BIOES", tuple("ABCDEFGH"))
    generator = torch.Generator().manual_seed(2)
    potentials = random_potentials(tagset, generator)
    emissions = torch.randn(1000, len(tagset), generator=generator) * 3
    offsets = offsets_of([300, 700])
    tags = SpanTags(tagset.span_table())
    spans, p = ragged.likely_spans(emissions, offsets, potentials, tags, 0.01)
    assert len(spans) > 300
    query = query_of(tagset, spans.tolist())
    log_p = ragged.span_log_probability(emissions, offsets, potentials, query)
    np.testing.assert_allclose(p, log_p.exp(), rtol=1e-9)


@pytest.mark.parametrize("floor", [0.0, -1.0, 1.5, float("nan")])
def test_a_floor_that_is_no_probability_is_refused(floor):
    tagset = TagSet("BIO", ("X",))
    potentials = random_potentials(tagset, torch.Generator())
    with pytest.raises(ValueError, match=r"must be in \(0, 1\]"):
        ragged.likely_spans(
            torch.zeros(1, 3), offsets_of([1]), potentials, SpanTags(tagset.span_table()), floor
        )


def test_log_partition_sums_all_paths(case):
    _, emissions, potentials = case
    sums = ragged.log_partition(emissions, offsets_of(LENGTHS), potentials)
    for own, found in zip(emissions.double().split(LENGTHS), sums):
        scores = [score for _, score in enumerate_paths(own, potentials)] if len(own) else [0.0]
        assert float(found) == pytest.approx(log_sum(scores), abs=1e-9)


@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_with_a_longest_entity_the_paths_are_those_without_longer_ones(case, most):
    tagset, emissions, potentials = case
    counting = count_tokens(tagset, potentials, most)
    wide = emissions[:, counting.base]
    offsets = offsets_of(LENGTHS)
    tags, scores = ragged.viterbi(wide, offsets, counting.potentials)
    sums = ragged.log_partition(wide, offsets, counting.potentials)
    parts = zip(emissions.double().split(LENGTHS), counting.base[tags].split(LENGTHS))
    for text, (own, path) in enumerate(parts):
        if not len(own):
            continue
        short = [
            (tags, score)
            for tags, score in enumerate_paths(own, potentials)
            if all(end - start <= most for start, end, _ in tagset.decode(np.array(tags)))
        ]
        best, score = max(short, key=lambda scored: scored[1])
        assert path.tolist() == list(best)
        assert float(scores[text]) == pytest.approx(score, abs=1e-5)
        assert float(sums[text]) == pytest.approx(log_sum(s for _, s in short), abs=1e-9)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_with_a_longest_entity_spans_get_their_share_of_the_paths_without_longer_ones(case, most):
    tagset, emissions, potentials = case
    expected = expected_spans(tagset, emissions, potentials, most)
    counting = count_tokens(tagset, potentials, most)
    wide = emissions[:, counting.base]
    offsets = offsets_of(LENGTHS)
    arguments = (wide, offsets, counting.potentials)
    spans, p = ragged.likely_spans(*arguments, counting.spans, 1e-9)
    assert {tuple(span): share for span, share in zip(spans.tolist(), p)} == pytest.approx(
        {span: share for span, share in expected.items() if share >= 1e-9}
    )
    columns = counting.spans.query(np.array(list(expected)))
    query = SpanQuery(*(torch.from_numpy(np.ascontiguousarray(column)) for column in columns))
    log_p = ragged.span_log_probability(*arguments, query, stride=counting.spans.stride)
    np.testing.assert_allclose(log_p.exp(), list(expected.values()), rtol=1e-9)


def test_queries_are_made_of_the_schemes_tags():
    for scheme, labels in itertools.product(SCHEMES, [("X",), ("X", "Y", "Z")]):
        tagset = TagSet(scheme, labels)
        spans = [(0, 0, size, label) for size in (1, 2, 5) for label in range(len(labels))]
        columns = SpanTags(tagset.span_table()).query(np.array(spans))
        expected = query_of(tagset, spans)
        for name, ours, theirs in zip(SpanQuery._fields, columns, expected):
            assert ours.tolist() == theirs.tolist(), name


def test_a_longest_entity_of_no_tokens_is_refused():
    tagset = TagSet("BIO", ("X",))
    with pytest.raises(ValueError, match="must be at least 1"):
        count_tokens(tagset, random_potentials(tagset, torch.Generator()), 0)


def test_contradictions_leave_no_likely_spans():
    tagset = TagSet("BIO", ("X",))
    potentials = random_potentials(tagset, torch.Generator().manual_seed(0))
    allowed = torch.zeros(2, 3, dtype=torch.bool)
    allowed[0, 0] = allowed[1, 2] = True  # O, then I-X
    emissions, tags = torch.zeros(2, 3), SpanTags(tagset.span_table())
    spans, p = ragged.likely_spans(emissions, offsets_of([2]), potentials, tags, 0.1, allowed)
    assert not len(spans) and not len(p)
    assert float(ragged.log_partition(emissions, offsets_of([2]), potentials, allowed)) == NEG_INF
