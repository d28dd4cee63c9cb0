"""The prompt: read a statement, run it, show the result, and go on after an error.

A terminal that can move its cursor gets the editor; any other (TERM=dumb) gets a plain prompt.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from sxq.connection import Connection
from sxq.errors import Error
from sxq.language import complete
from sxq.shell import interactive
from sxq.shell.dot_commands import QUIT
from sxq.shell.interrupts import Interrupts
from sxq.shell.script_steps import is_dot_command
from sxq.shell.shell import Shell, format_error

GREETING = "sxq: end statements with ; — .help lists the dot-commands, Ctrl-D leaves"


def run_prompt(con: Connection, mode: str = "table", init: bool = True) -> int:
    """Read and run statements until Ctrl-D; return the exit code.

    Before the first prompt the script in ~/.sxqrc runs (SXQ_INIT names another). The history of
    inputs is kept in ~/.sxq_history (SXQ_HISTORY names another file).
    """
    interrupts = Interrupts()
    with interrupts.installed():
        return _prompt(con, mode, init, interrupts)


def _prompt(con: Connection, mode: str, init: bool, interrupts: Interrupts) -> int:
    fancy = os.environ.get("TERM", "dumb") != "dumb" and sys.stdout.isatty()
    shell = Shell(con, mode, fancy)
    if init:
        _guarded(shell, lambda: _read_init(shell), interrupts)
    print(GREETING, file=sys.stderr)
    read = _editor(shell) if fancy else _plain_line
    try:
        while _guarded(shell, lambda: _turn(shell, read), interrupts) != QUIT:
            pass
    finally:
        shell.close()
    return 0


def _turn(shell: Shell, read: Callable[[], str]) -> int:
    try:
        text = read()
    except KeyboardInterrupt:
        return 0  # the line is cleared
    except EOFError:
        return QUIT
    return shell.run(text)


def _guarded(shell: Shell, action: Callable[[], int], interrupts: Interrupts) -> int:
    """Run an action; an error or Ctrl-C ends it and not the shell, however often the key is pressed."""
    interrupts.install()
    try:
        interrupts.armed = True
        code = _without_errors(shell, action)
        interrupts.armed = False
        return code
    except KeyboardInterrupt:
        interrupts.armed = False
        print("interrupted", file=sys.stderr)
        return 0


def _without_errors(shell: Shell, action: Callable[[], int]) -> int:
    try:
        return action()
    except Error as problem:
        _print_error(shell, problem)
        return 0


def _print_error(shell: Shell, problem: Error) -> None:
    if shell.fancy:
        interactive.show_error(problem, shell.step)
    else:
        print(f"Error: {format_error(problem)}", file=sys.stderr)


def _read_init(shell: Shell) -> int:
    path = Path(os.environ.get("SXQ_INIT") or Path.home() / ".sxqrc")
    return shell.read(str(path)) if path.is_file() else 0


def _editor(shell: Shell) -> Callable[[], str]:
    history = os.environ.get("SXQ_HISTORY", str(Path.home() / ".sxq_history"))
    return interactive.editor(lambda: shell.con, history)


def _plain_line() -> str:
    """Read lines up to the end of a statement.

    Raises EOFError at the end of the input, and KeyboardInterrupt for Ctrl-C.
    """
    lines: list[str] = []
    while not lines or not (complete("\n".join(lines)) or is_dot_command(lines[0])):
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
