"""A session: a connection, where results go and how they look. Scripts and the prompt run through here.

Results go to stdout (or a file), errors and progress to stderr. Where stdout is no terminal it carries results
and nothing else.
"""

import sys
import time
from contextlib import ExitStack
from typing import TextIO

from sxq.connection import Connection
from sxq.errors import DataError, Error
from sxq.shell import dots
from sxq.shell.modes import MODES
from sxq.shell.scripts import DotCommand, steps
from sxq.shell.watching import watched
from sxq.values.result import Table

INTERRUPTED = 130


def told(problem: Error) -> str:
    """An error as a person is told of it: the message, and in which script it came up."""
    return "\n".join([str(problem), *getattr(problem, "__notes__", ())])


class Session:
    """One user at one connection.

    mode     how results are written, of `MODES`
    fancy    colours, bars and a pager in mode `table`: for a person at a terminal
    """

    def __init__(self, con: Connection, mode: str = "table", fancy: bool = False):
        self.con, self.mode, self.fancy = con, mode, fancy
        self.timer, self.pager = fancy, fancy
        self.file: TextIO | None = None  # where results go in place of stdout
        self.once = False  # only the next result goes there
        self.step = ""  # what runs, or ran last: where an error puts its caret
        self._reading: list[str] = []  # scripts that are being read

    def run(self, script: str) -> int:
        """Run every step of a script and show each result; stops at the first error, which the caller reports.

        Returns an exit code: 130 where Ctrl-C stopped a statement, for the next one may build on it.
        """
        for step in steps(script):
            self.step = step.text
            try:
                code = (
                    dots.run(self, step.text)
                    if isinstance(step, DotCommand)
                    else self._statement(step.text)
                )
            except Error as problem:
                if self._reading and not hasattr(problem, "__notes__"):
                    problem.add_note(f"in {self._reading[-1]}, line {step.line}")
                raise
            if code:
                return code
        return 0

    def _statement(self, text: str) -> int:
        started = time.perf_counter()
        with watched(self.con) as pressed:
            result = self.con.execute(text)
        self.show(result)
        if self.timer:
            print(f"{time.perf_counter() - started:.3f} s", file=sys.stderr)
        return INTERRUPTED if pressed else 0

    def read(self, path: str) -> int:
        """Run the script in a file; raises DataError where it cannot be read, or reads itself."""
        if path in self._reading:
            raise DataError(f"{path!r} reads itself")
        with ExitStack() as stack:
            try:
                file = stack.enter_context(open(path, encoding="utf-8"))
                script = file.read()
            except (OSError, UnicodeDecodeError) as problem:
                raise DataError(
                    f"cannot read {path!r}: {getattr(problem, 'strerror', None) or problem}"
                ) from None
            self._reading.append(path)
            stack.callback(self._reading.pop)
            return self.run(script)

    def show(self, result: Table) -> None:
        """Write one result where results go."""
        if self.fancy and self.mode == "table" and not self.file:
            from sxq.shell import display

            return display.show(result, self.pager)
        self.write(MODES[self.mode](result))

    def write(self, lines) -> None:
        """Write lines where results go."""
        for line in lines:
            print(line, file=self.file or sys.stdout)
        (self.file or sys.stdout).flush()
        if self.once:
            self.output(None)

    def output(self, path: str | None, once: bool = False) -> None:
        """Send results to a file, or back to stdout; raises DataError where it cannot be written."""
        if self.file:
            self.file.close()
        self.file, self.once = None, once
        if path:
            try:
                self.file = open(path, "w", encoding="utf-8")  # closed by the next `output`
            except OSError as problem:
                raise DataError(f"cannot write {path!r}: {problem.strerror}") from None
