"""The subprocesses of a comparison: started with a log file, ended together, and their errors."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FAIL = "✘"  # how spaCy's commands mark an error
_EXCEPTION = re.compile(r"[\w.]*(Error|Exception|Interrupt|Exit)\b(:|$)")
_TAIL = 20  # lines
_LONGEST = 200  # characters of a reason


class Processes:
    """Runs commands, from several threads, until it is stopped.

    one_thread: let each use one thread for its arithmetic, where several run at once.
    """

    def __init__(self, *, one_thread: bool = False):
        self.stopped = False
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
        if one_thread:
            self._environment["OMP_NUM_THREADS"] = "1"

    def run(self, command: Sequence[str], log: Path) -> int:
        """Run a command, append what it prints to `log`, and return its exit status.

        The status is the negative number of the signal that ended it, as in `subprocess`.
        Raises RuntimeError after `stop`, OSError if the command cannot be started.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            with self._lock:
                if self.stopped:
                    raise RuntimeError("The comparison was stopped.")
                # A session of its own: Ctrl-C reaches us alone, and we end it (see `stop`).
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=self._environment,
                    start_new_session=True,
                )
                self._running.add(process)
            try:
                return process.wait()
            finally:
                with self._lock:
                    self._running.discard(process)

    def stop(self) -> None:
        """End all that run, and start no more."""
        with self._lock:
            self.stopped = True
            for process in self._running:
                process.terminate()


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, as Ctrl-C does, if this is the main thread."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def error_in(printed: str, status: int) -> tuple[str, str]:
    """What went wrong, in a line, and the last lines that a failed command printed.

    printed: its whole output; status: its exit status, negative for a signal.
    """
    text = _COLOURS.sub("", printed).replace("\r", "\n")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    tail = "\n".join(lines[-_TAIL:])
    if status < 0:
        return f"killed by {_signal_name(-status)}{_hint(-status)}", tail
    marked = [
        i
        for i, line in enumerate(lines)
        if line.startswith(_FAIL) or _EXCEPTION.match(line.strip("│ "))
    ]
    said = lines[marked[-1] : marked[-1] + 3] if marked else lines[-1:]
    reason = " ".join(line.strip(f"{_FAIL}│ ") for line in said) or f"exit status {status}"
    return reason if len(reason) <= _LONGEST else reason[: _LONGEST - 1] + "…", tail


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _hint(number: int) -> str:
    return " (out of memory?)" if number == getattr(signal, "SIGKILL", None) else ""
