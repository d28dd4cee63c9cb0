"""What happens while a statement runs: a terminal shows a line of progress, and Ctrl-C stops the query.

The first Ctrl-C stops the query, which returns what it found so far, marked incomplete; the second aborts it.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sxq.connection import Connection
from sxq.errors import SQLError
from sxq.values.table import printable

CLEAR = "\r\x1b[K"
BAR = 16  # characters


@contextmanager
def watched(con: Connection, show: Callable[[Any], None] | None = None) -> Iterator[list[bool]]:
    """Show progress on a terminal's stderr, or by `show`, and turn Ctrl-C into `con.interrupt()`.

    Yields a list that is empty until Ctrl-C is pressed. SQL that it stopped has no result: KeyboardInterrupt.
    Ctrl-C reaches the main thread only, so that elsewhere nothing is turned.
    """
    pressed: list[bool] = []
    terminal = show is None and sys.stderr.isatty()
    listens = threading.current_thread() is threading.main_thread()

    def stop(number, frame):
        if pressed or not con.interrupt():
            return before(number, frame) if callable(before) else None
        pressed.append(True)
        if terminal:  # not print: the signal may have come in the middle of one
            os.write(2, f"{CLEAR}stopping; Ctrl-C again to abort".encode())

    con.report = _show if terminal else show
    before = signal.signal(signal.SIGINT, stop) if listens else None
    try:
        yield pressed
    except SQLError:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        if listens:
            signal.signal(signal.SIGINT, before)
        con.report = None
        if terminal:
            print(CLEAR, end="", file=sys.stderr, flush=True)


def _show(news: Any) -> None:
    width = shutil.get_terminal_size().columns
    print(f"{CLEAR}{progress_line(news)[: width - 1]}", end="", file=sys.stderr, flush=True)


def progress_line(news: Any) -> str:
    """One line of progress: a bar where `news` has a share (`execution.Progress`), then its text."""
    share = getattr(news, "share", None)
    if share is None:
        return printable(str(news)).replace("\n", " ")
    full = round(BAR * share)
    return f"{'━' * full}{'╌' * (BAR - full)} {share:4.0%}  {printable(str(news))}"
