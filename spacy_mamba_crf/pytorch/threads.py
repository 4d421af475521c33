"""One level of threads: the texts of a batch are dealt out, and each share runs on one core.

A share's matrix products and kernels then need no threads of their own, so that torch, BLAS and
Numba cannot get into each other's way. How many threads there are is torch's setting, but in the
worker processes of `nlp.pipe(n_process=...)`, which share the cores already.
"""

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_local = threading.local()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def available_threads() -> int:
    """How many threads may work at once in this process."""
    granted: int | None = getattr(_local, "granted", None)
    if granted is not None:
        return granted
    _settle_in(os.getpid())
    return torch.get_num_threads()


@contextmanager
def shares_only() -> Iterator[None]:
    """Within this, torch starts no threads of its own on this thread: only shares run at once.

    OpenMP's threads wait for more work by running on, and would take the cores from the shares.
    """
    threads = available_threads()
    if threads == 1 or getattr(_local, "granted", None) is not None:
        yield
        return
    _local.granted = threads
    try:
        with _one_torch_thread():
            yield
    finally:
        _local.granted = None


@functools.cache
def _settle_in(process: int) -> None:
    """In a worker process, one thread is enough, unless the environment asks for a number."""
    asked = any(name in os.environ for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))
    if multiprocessing.parent_process() is not None and not asked:
        torch.set_num_threads(1)


def run_shares(function: Callable[[T], R], shares: Sequence[T]) -> list[R]:
    """function(share) of each share, the first on this thread and the others beside it.

    Within the function torch runs on a single thread. Results come in the order of the shares; an
    error in any of them is raised once all have ended.
    """
    if len(shares) <= 1:
        return [function(share) for share in shares]
    with _one_torch_thread():
        pool = _pool(len(shares) - 1)
        others = [pool.submit(function, share) for share in shares[1:]]
        try:
            first = function(shares[0])
        finally:
            for future in others:
                future.exception()
        return [first, *(future.result() for future in others)]


def deal(sizes: Sequence[int], shares: int) -> list[list[int]]:
    """Deal numbered items into at most `shares` lists of about equal total size, each in order.

    No list holds items of size 0 alone, unless all are.
    """
    totals = [0] * max(shares, 1)
    dealt: list[list[int]] = [[] for _ in totals]
    for item in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        emptiest = totals.index(min(totals)) if sizes[item] else 0
        dealt[emptiest].append(item)
        totals[emptiest] += sizes[item]
    return [sorted(items) for items in dealt if items]


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """torch's number of threads is kept by each thread, so this changes it for this one only."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _pool(workers: int) -> ThreadPoolExecutor:
    """Made in each process anew: threads do not live on in a forked one."""
    key = (os.getpid(), workers)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(
            workers, "spacy_mamba_crf", initializer=torch.set_num_threads, initargs=(1,)
        )
    return _pools[key]
