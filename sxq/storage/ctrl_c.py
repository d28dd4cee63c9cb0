"""Ctrl-C inside DuckDB: the engine's statements run on the main thread, where signals arrive."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hearing_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt for a Ctrl-C inside DuckDB, which makes a RuntimeError of it."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None
