"""The shell: a connection, the place that results go to, and their form. Scripts and the prompt run through here.

Results go to stdout (or a file); errors and progress go to stderr. Where stdout is not a terminal it carries
nothing but results.
"""

import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TextIO

from sxq import language
from sxq.connection import Connection
from sxq.errors import DataError, Error
from sxq.shell import dot_commands, interactive
from sxq.shell.output_modes import MODES, PLAIN
from sxq.shell.progress import watched
from sxq.shell.script_steps import DotCommand, Statement, steps
from sxq.started import INTERRUPTED
from sxq.values.files import replacing
from sxq.values.result import Table
from sxq.values.table import printable


def format_error(problem: Error) -> str:
    """The text of an error: its message, then the script and line where it arose."""
    return printable("\n".join([str(problem), *getattr(problem, "__notes__", ())]))


class Shell:
    """One user at one connection.

    mode     the form of results, one of `MODES`
    fancy    colours, bars and a pager in mode `table`: for a person at a terminal
    """

    def __init__(self, con: Connection, mode: str = "table", fancy: bool = False):
        self.con = con
        self.mode = mode
        self.look = PLAIN  # what .nullvalue, .maxrows and .width have chosen
        self.fancy = fancy
        self.timer = fancy
        self.pager = fancy
        self.file: TextIO | None = None  # takes the results in place of stdout
        self._written = ExitStack()  # closes that file and gives it its name
        self.once = False  # only the next result goes there
        self.step = ""  # the text that runs, or ran last: an error puts its caret below it
        self.statement = ""  # the last one, which `.edit` changes
        self._reading: list[str] = []  # the scripts that are being read, the innermost last

    def run(self, script: str) -> int:
        """Run every step of a script and show each result.

        The first error stops the script; the caller reports it. Returns an exit code: 130 where Ctrl-C
        stopped a statement, because the next statement may build on its result.
        """
        for step in steps(script):
            self.step = step.text
            try:
                code = self._run_step(step)
            except Error as problem:
                if self._reading and not hasattr(problem, "__notes__"):
                    problem.add_note(f"in {self._reading[-1]}, line {step.line}")
                raise
            if code:
                return code
        return 0

    def _run_step(self, step: Statement | DotCommand) -> int:
        if isinstance(step, DotCommand):
            return dot_commands.run(self, step.text)
        return self._run_statement(step)

    def _run_statement(self, step: Statement) -> int:
        self.statement = step.text
        started = time.perf_counter()
        with watched(self.con) as pressed:
            statement = language.parse(step.text, step.line, step.column)
            result = self.con.run(*language.bind([statement], None))
        self.show(result)
        if self.timer:
            print(f"{time.perf_counter() - started:.3f} s", file=sys.stderr)
        return INTERRUPTED if pressed else 0

    def read(self, path: str) -> int:
        """Run the script in a file; raises DataError for a file that cannot be read, or that reads itself."""
        if path in self._reading:
            raise DataError(f"{path!r} reads itself")
        with ExitStack() as stack:
            try:
                file = stack.enter_context(open(path, encoding="utf-8"))
                script = file.read()
            except (OSError, ValueError) as problem:
                reason = getattr(problem, "strerror", None) or problem
                raise DataError(f"cannot read {path!r}: {reason}") from None
            self._reading.append(path)
            stack.callback(self._reading.pop)
            return self.run(script)

    def open(self, path: str) -> None:
        """Go on with another database, under the same rights; where it cannot be opened the old one stays."""
        fresh = Connection(path, read_only=self.con.rights.read_only)
        self.con.close()
        self.con = fresh

    def close(self) -> None:
        """End the file that takes the results, and close the database."""
        self.output(None)
        self.con.close()

    def show(self, result: Table) -> None:
        """Write one result in the current mode."""
        if self.fancy and self.mode == "table" and not self.file:
            interactive.show_result(result, self.pager, self.look)
        else:
            self.write(MODES[self.mode](result, self.look))

    def write(self, lines: Iterable[str]) -> None:
        """Write lines to the file that takes the results, or to stdout."""
        goes_to = self.file or sys.stdout
        terminal = goes_to.isatty()
        for line in lines:
            print(printable(line) if terminal else line, file=goes_to)
        (self.file or sys.stdout).flush()
        if self.once:
            self.output(None)

    def output(self, path: str | None, once: bool = False) -> None:
        """Send results to a file, or back to stdout; raises DataError for a file that cannot be written.

        The file gets its name, and replaces one of that name, when the next `output` ends it.
        """
        try:
            self.file = None
            self._written.close()
            self.once = once
            if path:
                fresh = self._written.enter_context(replacing(path))
                opened = open(fresh, "w", encoding="utf-8", errors="backslashreplace")
                self.file = self._written.enter_context(opened)
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise DataError(f"cannot write {path!r}: {reason}") from None
