"""Signals to stop, held back until a step is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back_signals() -> Iterator[list[int]]:
    """Yield the list of the SIGINT and SIGTERM that have come, which do nothing else meanwhile.

    One that is ignored, as SIGINT is in a shell's background, stays ignored. Elsewhere than in the
    main thread, where Python takes no signals, the list stays empty.
    """
    come: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield come
        return
    heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda n, _: come.append(n)) for number in heeded}
    try:
        yield come
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
