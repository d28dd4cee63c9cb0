"""A terminal as a person has it: keys go in, and `screen` is what the eye would see (pyte draws it)."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager

import pyte

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE = 60.0  # seconds to wait for what must appear


class Terminal:
    """A process at a pseudo-terminal of some rows and columns."""

    def __init__(self, master: int, child: subprocess.Popen, rows: int, columns: int):
        self.master, self.child = master, child
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._screen.write_process_input = lambda answer: os.write(master, answer.encode())
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""  # all that was written, as it came

    @property
    def screen(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def resize(self, rows: int, columns: int) -> None:
        """Make the window larger or smaller; the kernel tells the process."""
        self._screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait(self, sees, message: str = "") -> str:
        """Read until the screen holds a text, or a predicate of the screen is true; the screen."""
        holds = sees if callable(sees) else lambda screen: sees in screen
        deadline = time.monotonic() + PATIENCE
        while not holds(self.screen):
            assert time.monotonic() < deadline, (
                f"waited for {message or sees!r}, saw\n{self.screen}"
            )
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    news = os.read(self.master, 65536)
                except OSError:  # the other side is closed
                    news = b""
                assert news or holds(self.screen), (
                    f"it ended before {message or sees!r}\n{self.screen}"
                )
                self.raw += news
                self._stream.feed(news)
        return self.screen

    def prompt(self) -> str:
        """Wait until the last line is an empty prompt; the screen."""
        return self.wait(lambda screen: screen.split("\n")[-1] == "sxq>", "an empty prompt")

    def answer(self, statement: str) -> str:
        """Type a statement and Enter, wait for the next prompt; the screen."""
        self.prompt()
        self.type(statement)
        last = statement.split("\r")[-1]
        self.wait(lambda screen: screen.split("\n")[-1].endswith(last), last)
        self.type("\r")
        self.wait(lambda screen: not screen.split("\n")[-1].endswith(last), "an answer")
        return self.prompt()


@contextmanager
def terminal(*arguments, rows=40, columns=120, cwd=None, program=("-m", "sxq"), **environment):
    """`sxq`, or another Python program, at a terminal, killed at the end if it is still there."""
    master, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    settings = {
        **os.environ,
        "PYTHONPATH": ROOT,
        "OMP_NUM_THREADS": "1",
        "TERM": "xterm-256color",
        "HOME": str(cwd or "/nonexistent"),
        "PYTHONIOENCODING": "utf-8",
        **environment,
    }
    settings = {
        name: value
        for name, value in settings.items()
        if name not in ("LINES", "COLUMNS", "NO_COLOR")
    }
    child = subprocess.Popen(
        [sys.executable, *program, *arguments],
        stdin=side,
        stdout=side,
        stderr=side,
        cwd=cwd,
        env=settings,
        preexec_fn=_take_terminal,
    )
    os.close(side)
    try:
        yield Terminal(master, child, rows, columns)
    finally:
        child.kill()
        child.wait()
        os.close(master)


def _take_terminal() -> None:
    """Make the pseudo-terminal on stdin the child's own, so that Ctrl-C on it is a signal to the child."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
