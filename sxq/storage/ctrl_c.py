"""Ctrl-C inside DuckDB: the engine's statements run on the main thread, where signals arrive."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb


@contextmanager
def hearing_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt for a Ctrl-C inside DuckDB, which makes another error of it.

    That is a RuntimeError while SQL runs, and a duckdb.Error while parameters are read from Python.
    """
    try:
        yield
    except (RuntimeError, duckdb.Error) as error:
        if not str(error).startswith(("Query interrupted", "KeyboardInterrupt")):
            raise
        raise KeyboardInterrupt from None
