"""What happens while a statement runs: a terminal shows a line of progress, and Ctrl-C stops the query.

The first Ctrl-C stops the query, which returns what it found so far, marked incomplete; the second aborts it.
"""

import os
import signal
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sxq.connection import Connection
from sxq.errors import SQLError
from sxq.values.table import printable

CLEAR = "\r\x1b[K"
BAR = 16  # characters
RESIZED = getattr(signal, "SIGWINCH", None)


class ProgressLine:
    """The last line of a terminal, written over and over. It takes one row, whatever becomes of the window.

    fd  of the terminal. Nothing is buffered, so that a handler of a signal may write as well
    """

    def __init__(self, fd: int, encoding: str = "utf-8"):
        self.fd = fd
        self.encoding = encoding
        self.text = ""
        self.cells = 0  # that the line takes on the screen

    def show(self, text: str) -> None:
        """Write a text over what is there, cut to the width of the window."""
        width = max(self._width(), 2)
        line = clipped(text, width - 1)
        os.write(self.fd, f"{self._cleared(width)}{line}".encode(self.encoding, "replace"))
        self.text = text
        self.cells = cells(line)

    def resized(self, *_: Any) -> None:
        """Write the line anew in a window of another width."""
        if self.text:
            self.show(self.text)

    def clear(self) -> None:
        """Leave nothing of the line."""
        os.write(self.fd, self._cleared(max(self._width(), 2)).encode())
        self.text = ""
        self.cells = 0

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size(self.fd).columns
        except OSError:
            columns = 0
        return columns or 80  # some terminals do not know

    def _cleared(self, width: int) -> str:
        """What clears the line. A window that became narrower has broken it into several rows."""
        rows = max(self.cells - 1, 0) // width
        return f"\r\x1b[{rows}A\x1b[J" if rows and breaks_lines() else CLEAR


def breaks_lines() -> bool:
    """Whether a terminal breaks lines anew when its width changes; xterm and the console of Linux cut them."""
    return not (os.environ.get("XTERM_VERSION") or os.environ.get("TERM", "").startswith("linux"))


def cells(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(map(_cells, text))


def clipped(text: str, width: int) -> str:
    """The beginning of a text that takes at most so many columns."""
    taken = 0
    for place, sign in enumerate(text):
        taken += _cells(sign)
        if taken > width:
            return text[:place]
    return text


def _cells(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


@contextmanager
def watched(con: Connection, show: Callable[[Any], None] | None = None) -> Iterator[list[bool]]:
    """Show progress on a terminal's stderr, or by `show`, and turn Ctrl-C into `con.interrupt()`.

    Yields a list that is empty until Ctrl-C is pressed. SQL that it stopped has no result: KeyboardInterrupt.
    Ctrl-C reaches the main thread only, so that elsewhere nothing is turned.
    """
    pressed: list[bool] = []
    terminal = show is None and sys.stderr.isatty()
    line = ProgressLine(sys.stderr.fileno(), sys.stderr.encoding) if terminal else None
    listens = threading.current_thread() is threading.main_thread()

    def stop(number, frame):
        if pressed or not con.interrupt():
            return before(number, frame) if callable(before) else None
        pressed.append(True)
        if line:
            line.show("stopping; Ctrl-C again to abort")

    con.report = (lambda news: line.show(progress_line(news))) if line else show
    before = signal.signal(signal.SIGINT, stop) if listens else None
    try:
        with _fitted(line if listens else None):
            yield pressed
    except SQLError:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        if listens:
            signal.signal(signal.SIGINT, before)
        con.report = None
        if line:
            line.clear()


@contextmanager
def _fitted(line: ProgressLine | None) -> Iterator[None]:
    """Fit the line to the window while its size changes."""
    if line is None or RESIZED is None:
        yield
        return
    before = signal.signal(RESIZED, line.resized)
    try:
        yield
    finally:
        signal.signal(RESIZED, before)


def progress_line(news: Any) -> str:
    """One line of progress: a bar where `news` has a share (`execution.Progress`), then its text."""
    share = getattr(news, "share", None)
    if share is None:
        return printable(str(news)).replace("\n", " ")
    full = round(BAR * share)
    return f"{'━' * full}{'╌' * (BAR - full)} {share:4.0%}  {printable(str(news))}"
