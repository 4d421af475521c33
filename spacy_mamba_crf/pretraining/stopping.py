"""Signals to stop, held back until a step is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back_signals() -> Iterator[list[int]]:
    """Yield the list of the SIGINT and SIGTERM that have come, which do nothing else meanwhile.

    Elsewhere than in the main thread, where Python takes no signals, the list stays empty.
    """
    come: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield come
        return
    before = {number: signal.signal(number, lambda n, _: come.append(n)) for number in _SIGNALS}
    try:
        yield come
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
