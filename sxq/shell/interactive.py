"""The gate to what only a person at a terminal needs: rich draws results, prompt_toolkit reads input.

Both are imported here and nowhere else, on first use: a script never waits for them.
"""

from collections.abc import Callable

from sxq.connection import Connection
from sxq.errors import Error
from sxq.shell.output_modes import PLAIN, Look
from sxq.values.result import Table


def show_result(result: Table, pager: bool, look: Look = PLAIN) -> None:
    """Print a result with colours and bars, in a pager where it does not fit and `pager` allows one."""
    from sxq.shell import display

    display.show(result, pager, look)


def show_error(problem: Error, statement: str) -> None:
    """Print an error in red, with a caret below the unknown name in `statement`."""
    from sxq.shell import display

    display.error(problem, statement)


def editor(connection: Callable[[], Connection], history: str) -> Callable[[], str]:
    """The function that reads one finished input; `history` is the file of earlier ones.

    `connection` gives that of the moment: `.open` changes it.
    """
    from sxq.shell.editor import Editor

    return Editor(connection, history).read
