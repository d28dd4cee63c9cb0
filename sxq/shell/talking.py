"""The conversation with a person: read, run, show, and on with the next, whatever went wrong.

A terminal that can place its cursor gets the editor; any other (TERM=dumb) a plain prompt.
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sxq.connection import Connection
from sxq.errors import Error
from sxq.language import complete
from sxq.shell.dots import QUIT
from sxq.shell.session import Session, told

GREETING = "sxq: end statements with ; — .help lists the dot-commands, Ctrl-D leaves"


def talk(con: Connection, mode: str = "table", init: bool = True) -> int:
    """Read statements until Ctrl-D; the exit code.

    Runs the script in ~/.sxqrc first (SXQ_INIT names another); history is kept in ~/.sxq_history (SXQ_HISTORY).
    """
    fancy = os.environ.get("TERM", "dumb") != "dumb" and sys.stdout.isatty()
    session = Session(con, mode, fancy)
    if init:
        _guarded(session, lambda: _read_init(session))
    print(GREETING, file=sys.stderr)
    read = _editor(con) if fancy else _plain_line
    with suppress(EOFError):
        while _turn(session, read) != QUIT:
            pass
    session.output(None)
    return 0


def _turn(session: Session, read: Callable[[], str]) -> int:
    try:
        text = read()
    except KeyboardInterrupt:
        return 0  # the line is cleared
    return _guarded(session, lambda: session.run(text))


def _guarded(session: Session, action: Callable[[], int]) -> int:
    try:
        return action()
    except Error as problem:
        _tell(session, problem)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return 0


def _tell(session: Session, problem: Error) -> None:
    if session.fancy:
        from sxq.shell import display

        return display.error(problem, session.step)
    print(f"Error: {told(problem)}", file=sys.stderr)


def _read_init(session: Session) -> int:
    path = Path(os.environ.get("SXQ_INIT") or Path.home() / ".sxqrc")
    return session.read(str(path)) if path.is_file() else 0


def _editor(con: Connection) -> Callable[[], str]:
    from sxq.shell.editor import Editor

    return Editor(con, os.environ.get("SXQ_HISTORY", str(Path.home() / ".sxq_history"))).read


def _plain_line() -> str:
    """Lines up to a finished statement; raises EOFError at the end of the input, KeyboardInterrupt for Ctrl-C."""
    lines: list[str] = []
    while not lines or not (complete("\n".join(lines)) or lines[0].lstrip().startswith(".")):
        try:
            lines.append(input("sxq> " if not lines else "...> "))
        except EOFError:
            if not lines:
                raise
            return "\n".join(lines)
        except KeyboardInterrupt:
            print(file=sys.stderr)
            raise
        if not "".join(lines).strip():
            lines = []
    return "\n".join(lines)
