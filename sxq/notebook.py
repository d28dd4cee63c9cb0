"""Magics of IPython: `%load_ext sxq`, then `%sxq statement` and `%%sxq [name]` above a script.

%sxq connect tx.duckdb          another database; the connection is `sxq_connection` in the notebook
%sxq SHOW MODELS
answer = %sxq EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, conc

%%sxq answer
EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc
"""

import time
from html import escape
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import HTML, DisplayHandle, display

from sxq.connection import Connection
from sxq.errors import Error
from sxq.shell import watched
from sxq.values.result import Table
from sxq.values.table import printable

NAME = (
    "sxq_connection"  # of the connection in the notebook, where a cell of Python registers models
)
EVERY = 0.2  # seconds between two looks at the progress


@magics_class
class SxqMagics(Magics):
    """`%sxq` and `%%sxq`; one connection, in memory until `connect` names a file."""

    @line_cell_magic
    def sxq(self, line: str, cell: str | None = None) -> Table | None:
        """Run a statement; or run the script in a cell, and keep its result under the name on the magic's line.

        Errors are raised, so that a notebook that is executed as a whole fails there; the message is shown
        without a traceback, which would bury it. Interrupting the kernel once stops an EXPLAIN, which returns
        what it found; twice aborts it.
        """
        con = self._variables.get(NAME)
        if not isinstance(con, Connection):
            con = self._connect(None)
        if cell is None and line.split()[:1] == ["connect"]:
            fresh = self._connect(line.removeprefix("connect").strip() or None)
            if con is not fresh:
                con.close()
            return None
        result = self._run(con, line if cell is None else cell)
        if cell is not None and line.strip():
            self._variables[line.strip()] = result
        return result if result.columns else None

    def _run(self, con: Connection, script: str) -> Table:
        # FROM df finds the variables of the user, not those of IPython.
        __sxq_variables__ = self._variables  # noqa: F841
        bar = ProgressBar() if getattr(self.shell, "kernel", None) is not None else None
        try:
            with watched(con, bar):
                return con.execute(script)
        except Error as error:
            message = f"{type(error).__name__}: {printable(str(error))}"
            vars(error)["_render_traceback_"] = lambda: [message]  # IPython asks for it
            raise
        finally:
            if bar:
                bar.clear()

    @property
    def _variables(self) -> dict[str, Any]:
        """The user's variables."""
        assert self.shell is not None, "magics are registered in a shell"
        return self.shell.user_ns

    def _connect(self, path: str | None) -> Connection:
        con = Connection(path)
        self._variables[NAME] = con
        return con


class ProgressBar:
    """A live bar below a cell that runs, told how far the statement has come; `clear` takes it away."""

    def __init__(self) -> None:
        self._shown: DisplayHandle | None = None
        self._next = 0.0  # when it may change again

    def __call__(self, news: Any) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        if self._shown is None:
            self._shown = display(HTML(progress_html(news)), display_id=True)
        else:
            self._shown.update(HTML(progress_html(news)))

    def clear(self) -> None:
        if self._shown is not None:
            self._shown.update(HTML(""))


def progress_html(news: Any) -> str:
    """One line of progress: a bar where `news` has a share (`execution.Progress`), then its text."""
    share = getattr(news, "share", None)
    bar = "" if share is None else f'<progress max="1" value="{share:.3f}"></progress> {share:.0%} '
    return f"<div>{bar}{escape(printable(str(news)))}</div>"


def load(ipython) -> None:
    """Register the magics: `%load_ext sxq` calls this."""
    ipython.register_magics(SxqMagics)
