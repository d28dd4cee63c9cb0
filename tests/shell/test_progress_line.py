"""The line of progress takes one row of the terminal, also in a window that changes its width."""

import fcntl
import os
import pty
import re
import select
import struct
import termios

import pytest

from sxq.shell.progress import ProgressLine, cells, clipped
from tests.terminal import terminal


@pytest.fixture
def window():
    """A line, how to give its window so many columns, and what was written since the last time."""
    master, side = pty.openpty()

    def widen(columns):
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def written():
        """The kernel hands on what was written a moment later, perhaps in pieces."""
        pieces = [os.read(master, 65536)]
        while select.select([master], [], [], 0.2)[0]:
            pieces.append(os.read(master, 65536))
        return b"".join(pieces).decode()

    widen(100)
    yield ProgressLine(side), widen, written
    os.close(master)
    os.close(side)


def test_a_long_line_is_cut_to_the_window(window):
    line, widen, written = window
    line.show("x" * 300)
    assert written() == "\r\x1b[K" + "x" * 99
    line.show("short")
    line.clear()
    assert written() == "\r\x1b[Kshort\r\x1b[K"


@pytest.mark.parametrize(
    "term, cleared", [("xterm-256color", "\r\x1b[3A\x1b[J"), ("linux", "\r\x1b[K")]
)
def test_a_narrower_window_keeps_no_ghost(window, monkeypatch, term, cleared):
    """99 columns have become four rows of 30, where the terminal breaks lines anew."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("XTERM_VERSION", raising=False)
    line, widen, written = window
    line.show("x" * 300)
    written()
    widen(30)
    line.resized()
    assert written() == cleared + "x" * 29
    widen(120)
    line.resized()
    assert written() == "\r\x1b[K" + "x" * 119


def test_wide_signs_count_twice():
    assert (cells("表a"), clipped("表表表", 5), clipped("e\u0301e", 1)) == (3, "表表", "e\u0301")


@pytest.mark.slow
def test_a_running_query_hears_of_the_window(tmp_path):
    with terminal(cwd=tmp_path, rows=24, columns=110) as shell:
        shell.answer(
            "CREATE GRAPH g FROM DATASET 'KarateClub'; TRAIN MODEL m ON GRAPH g (EPOCHS = 2);"
        )
        shell.type(
            "EXPLAIN NODES 0, 33 USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 30000 CANDIDATES;\r"
        )
        shell.wait("candidates,")
        shell.resize(24, 40)
        before = len(shell.raw)
        shell.wait(lambda _: b"\x1b[J" in shell.raw[before:], "the line anew")
        shell.wait(lambda _: shell.raw[before:].count("━".encode()) > 2, "further lines")
        narrow = shell.raw[before:].decode(errors="ignore")
        shell.resize(24, 200)  # the answer fits, so that no pager comes
        shell.type("\x03")
        shell.prompt()
        lines = re.findall(r"\x1b\[(?:J|K)([^\x1b\r]*━[^\x1b\r]*)", narrow)
        assert lines[1:] and all(len(line) < 40 for line in lines[1:])
