"""How the commands fail: what a user can mend becomes a sentence and exit status 1."""

from collections.abc import Iterator
from contextlib import contextmanager

from wasabi import msg


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Print the message of an OSError or ValueError, without a traceback, and exit with 1."""
    try:
        yield
    except (OSError, ValueError) as error:
        msg.fail(str(error), exits=1)
