"""A process of its own for each peer, bound to some cores and holding one object.

Imports nothing heavy: a worker is bound to its cores, and the number of its threads is set, before
torch, BLAS or Numba are loaded there.
"""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from .machine import usable_cores

_THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


class WorkerError(RuntimeError):
    """Something failed in a worker. reason: in a line; the message holds the traceback, too."""

    def __init__(self, reason: str, trace: str = ""):
        super().__init__(f"{reason}\n{trace}".strip())
        self.reason = reason


class Worker:
    """A process that makes `factory(*arguments)` and then calls methods of what it made.

    cores: how many cores and threads it has. device: "cpu" | "cuda". Raises WorkerError if making
    it fails, ValueError if there are not as many cores.
    """

    def __init__(
        self, factory: Callable[..., Any], *arguments: Any, cores: int = 1, device: str = "cpu"
    ):
        available = usable_cores()
        if not 1 <= cores <= len(available):
            raise ValueError(
                f"{cores} cores were asked for, but this process may use {len(available)}; "
                "choose another --threads."
            )
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        target = (theirs, available[:cores], device)
        self._process = context.Process(target=_serve, args=target, daemon=True)
        with _thread_settings(cores):
            self._process.start()
        theirs.close()
        self._exchange((factory, arguments))

    def call(self, method: str, *arguments: Any) -> Any:
        """The result of a method of the worker's object. Raises WorkerError if that raises."""
        return self._exchange((method, arguments))

    def close(self) -> None:
        """End the process, at once."""
        self._connection.close()
        self._process.terminate()
        self._process.join()

    def _exchange(self, message: Any) -> Any:
        try:
            self._connection.send(message)
            failed, result = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            raise WorkerError(f"The process of a peer ended by itself (code {code}).") from None
        if failed:
            self.close()
            raise WorkerError(*result)
        return result


@contextmanager
def workers(
    factories: Mapping[str, tuple[Callable[..., Any], Sequence[Any]]],
    *,
    cores: int,
    device: str,
    failed: Callable[[str, str], None],
) -> Iterator[dict[str, Worker]]:
    """Workers by name. One that cannot be made is left out, and failed(name, why) is called."""
    with ExitStack() as stack:
        made: dict[str, Worker] = {}
        for name, (factory, arguments) in factories.items():
            try:
                made[name] = Worker(factory, *arguments, cores=cores, device=device)
            except WorkerError as error:
                failed(name, error.reason)
            else:
                stack.callback(made[name].close)
        yield made


def turns(made: Mapping[str, Worker], method: str, *arguments: Any) -> dict[str, Callable[[], Any]]:
    """For each worker a function without arguments that calls the method, for `in_turn`."""
    return {name: partial(worker.call, method, *arguments) for name, worker in made.items()}


@contextmanager
def _thread_settings(threads: int) -> Iterator[None]:
    """A new process takes over the environment that stands while it is started."""
    before = {name: os.environ.get(name) for name in _THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(_THREAD_SETTINGS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection, cores: list[int], device: str) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    import torch

    torch.set_num_threads(len(cores))
    if device == "cuda":
        import spacy
        from thinc.api import use_pytorch_for_gpu_memory

        spacy.require_gpu()
        use_pytorch_for_gpu_memory()  # one pool, whose peak torch can tell
    made: Any = None
    while True:
        try:
            what, arguments = connection.recv()
        except EOFError:
            return
        try:
            if isinstance(what, str):
                connection.send((False, getattr(made, what)(*arguments)))
            else:
                made = what(*arguments)
                connection.send((False, None))
        except Exception as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            result = f"{type(error).__name__}: {reason}", traceback.format_exc()
            connection.send((True, result))
