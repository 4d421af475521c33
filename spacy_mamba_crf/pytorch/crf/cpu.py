"""The CRF's kernels behind tensors: the CPU's side of `ragged`. Importing it imports Numba."""

import itertools

import numpy as np
import torch
from torch import Tensor

from ..threads import available_threads, run_shares
from .kernels.best_path import best_paths
from .kernels.counts import Counts, log_partitions
from .kernels.counts import partition_and_counts as count_paths
from .kernels.k_best import k_best_paths
from .kernels.likely import Search
from .kernels.likely import likely_spans as find_likely_spans
from .kernels.products import PAIR
from .kernels.rows import SAFE_EXPONENT
from .kernels.spans import span_log_probabilities
from .kernels.structures import Scores, Steps, Texts
from .potentials import NEG_INF, Gradient, Potentials, SpanQuery, SpanTags

# Fewer tokens than this are not worth the handing over to a thread.
_TOKENS_PER_SHARE = 1024


def viterbi(
    emissions: Tensor, offsets: np.ndarray, potentials: Potentials, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    """See `ragged.viterbi`."""
    texts, scores = _texts(emissions, offsets, allowed), _scores(potentials)
    tags = np.empty(len(emissions), dtype=np.int64)
    best = np.empty(len(offsets) - 1)

    def run(share: slice) -> None:
        best_paths(_some(texts, share), scores, tags, best[share])

    run_shares(run, _shares(texts.offsets))
    return torch.from_numpy(tags), torch.from_numpy(best)


def k_best(
    emissions: Tensor, offsets: np.ndarray, potentials: Potentials, k: int, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    """See `ragged.k_best`."""
    texts, scores = _texts(emissions, offsets, allowed), _scores(potentials)
    tags = np.zeros((k, len(emissions)), dtype=np.int64)
    best = np.empty((len(offsets) - 1, k))

    def run(share: slice) -> None:
        k_best_paths(_some(texts, share), scores, k, tags, best[share])

    run_shares(run, _shares(texts.offsets))
    return torch.from_numpy(tags), torch.from_numpy(best.T.copy())


def span_log_probability(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    query: SpanQuery,
    allowed: Tensor | None,
    stride: int,
) -> Tensor:
    """See `ragged.span_log_probability`."""
    texts, scores = _texts(emissions, offsets, allowed), _scores(potentials)
    columns = np.stack([column.numpy() for column in query])
    order = np.lexsort(columns[[2, 1, 0]])
    row, start, end, *tags = columns[:, order]
    shift = texts.offsets[row]
    spans = np.stack([start + shift, end + shift, *tags], axis=1)
    span_offsets = np.searchsorted(row, np.arange(len(offsets)))
    by_stop = np.lexsort((end, row))
    log_p = np.empty(len(row))

    def run(share: slice) -> None:
        own = span_offsets[share.start : share.stop + 1]
        span_log_probabilities(_some(texts, share), scores, stride, own, spans, by_stop, log_p)

    run_shares(run, _shares(texts.offsets))
    result = np.empty(len(row))
    result[order] = log_p
    return torch.from_numpy(result)


def likely_spans(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    tags: SpanTags,
    floor: float,
    allowed: Tensor | None,
) -> tuple[np.ndarray, np.ndarray]:
    """See `ragged.likely_spans`."""
    texts, scores = _texts(emissions, offsets, allowed), _scores(potentials)
    search = Search(tags.table, tags.stride, tags.limit or len(emissions), floor)

    def run(share: slice) -> tuple[np.ndarray, np.ndarray]:
        spans, p = find_likely_spans(_some(texts, share), scores, search)
        spans[:, 0] += share.start
        return spans, p

    parts = list(zip(*run_shares(run, _shares(texts.offsets))))
    return np.concatenate(parts[0]), np.concatenate(parts[1])


def log_partition(
    emissions: Tensor, offsets: np.ndarray, potentials: Potentials, allowed: Tensor | None
) -> Tensor:
    """See `ragged.log_partition`."""
    texts, scores = _texts(emissions, offsets, allowed), _scores(potentials)
    sums = np.empty(len(offsets) - 1)

    def run(share: slice) -> None:
        log_partitions(_some(texts, share), scores, sums[share])

    run_shares(run, _shares(texts.offsets))
    return torch.from_numpy(sums)


def partition_and_counts(
    emissions: Tensor,
    offsets: np.ndarray,
    potentials: Potentials,
    cases: list[tuple[Tensor, Tensor | None]],
) -> tuple[list[Tensor], Gradient]:
    """See `ragged.partition_and_counts`, for several (weights, allowed); gradients are added up."""
    scores = _scores(potentials)
    texts = [_texts(emissions, offsets, allowed) for _, allowed in cases]
    all_weights = [weights.double().numpy() for weights, _ in cases]
    log_partitions = np.empty((len(cases), len(offsets) - 1))
    tags, width = emissions.shape[1], len(scores.start)
    d_emissions = np.zeros(emissions.numel())

    def run(share: slice) -> list[np.ndarray]:
        counts = Counts(d_emissions, *map(np.zeros, (width * width, width, width)))
        for own, weights, log_p in zip(texts, all_weights, log_partitions):
            count_paths(_some(own, share), scores, weights[share], log_p[share], counts)
        return list(counts[1:])

    parts = zip(*run_shares(run, _shares(texts[0].offsets)))
    transitions, start, end = (torch.from_numpy(np.sum(part, axis=0)) for part in parts)
    gradient = Gradient(
        torch.from_numpy(d_emissions).view(-1, tags),
        transitions.view(width, width)[:tags, :tags],
        start[:tags],
        end[:tags],
    )
    return list(torch.from_numpy(log_partitions)), gradient


def _shares(offsets: np.ndarray) -> list[slice]:
    """Neighbouring texts of about as many tokens for each thread; one share if they are few."""
    tokens, texts = int(offsets[-1]), len(offsets) - 1
    wanted = min(available_threads(), tokens // _TOKENS_PER_SHARE)
    if wanted <= 1:
        return [slice(0, texts)]
    cuts = np.searchsorted(offsets, np.linspace(0, tokens, wanted + 1)[1:-1])
    edges = sorted({0, *cuts.tolist(), texts})
    return [slice(*edge) for edge in itertools.pairwise(edges)]


def _some(texts: Texts, share: slice) -> Texts:
    return texts._replace(offsets=texts.offsets[share.start : share.stop + 1])


def _scores(potentials: Potentials) -> Scores:
    transitions, start, end = map(_padded, potentials)
    finite = np.where(transitions > NEG_INF, transitions, 0.0)
    safe = bool(np.abs(finite).max() <= SAFE_EXPONENT)
    weights = np.exp(transitions) if safe else np.zeros_like(transitions)
    steps = Steps(transitions.ravel(), weights.ravel(), safe)
    transposed = Steps(transitions.T.ravel(), weights.T.ravel(), safe)
    return Scores(steps, transposed, start, end)


def _padded(scores: Tensor) -> np.ndarray:
    """(tag,) or (tag, tag) -> the same up to a multiple of PAIR tags, padded with -inf."""
    width = -(-len(scores) // PAIR) * PAIR
    result = np.full((width,) * scores.ndim, NEG_INF)
    result[tuple(slice(0, size) for size in scores.shape)] = scores.numpy()
    return result


def _texts(emissions: Tensor, offsets: np.ndarray, allowed: Tensor | None) -> Texts:
    if emissions.dtype not in (torch.float32, torch.float64):
        emissions = emissions.float()
    tags = emissions.shape[1]
    mask = torch.empty(0, dtype=torch.bool) if allowed is None else allowed
    offsets = np.ascontiguousarray(offsets, dtype=np.int64)
    flat_emissions, flat_mask = emissions.detach().reshape(-1), mask.reshape(-1)
    return Texts(flat_emissions.numpy(), flat_mask.numpy(), offsets, tags)
