"""Magics of IPython: `%load_ext sxq`, then `%sxq statement` and `%%sxq [name]` above a script.

%sxq connect tx.duckdb          another database; the connection is `sxq_connection` in the notebook
%sxq SHOW MODELS
answer = %sxq EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, conc

%%sxq answer
EXPLAIN NODE 42 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc
"""

from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class

from sxq.connection import Connection
from sxq.errors import Error
from sxq.values.result import Table
from sxq.values.table import printable

NAME = (
    "sxq_connection"  # of the connection in the notebook, where a cell of Python registers models
)


@magics_class
class SxqMagics(Magics):
    """`%sxq` and `%%sxq`; one connection, in memory until `connect` names a file."""

    @line_cell_magic
    def sxq(self, line: str, cell: str | None = None) -> Table | None:
        """Run a statement; or run the script in a cell, and keep its result under the name on the magic's line."""
        con = self._variables.get(NAME)
        if not isinstance(con, Connection):
            con = self._connect(None)
        if cell is None and line.split()[:1] == ["connect"]:
            con.close()
            self._connect(line.removeprefix("connect").strip() or None)
            return None
        # FROM df finds the user's variables by it, not those of IPython
        __sxq_variables__ = self._variables  # noqa: F841
        try:
            result = con.execute(line if cell is None else cell)
        except Error as error:
            print(
                f"Error: {printable(str(error))}"
            )  # the message is enough; a traceback would bury it
            return None
        if cell is not None and line.strip():
            self._variables[line.strip()] = result
        return result if result.columns else None

    @property
    def _variables(self) -> dict[str, Any]:
        """The user's variables."""
        assert self.shell is not None, "magics are registered in a shell"
        return self.shell.user_ns

    def _connect(self, path: str | None) -> Connection:
        con = Connection(path)
        self._variables[NAME] = con
        return con


def load(ipython) -> None:
    """Register the magics: `%load_ext sxq` calls this."""
    ipython.register_magics(SxqMagics)
