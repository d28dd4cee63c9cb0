"""Running scripts and a plain prompt on a connection: results to stdout, errors and progress to stderr.

The first Ctrl-C stops the query and shows what was found, the second aborts.
"""

import json
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from sxq.connection import Connection
from sxq.errors import Error
from sxq.language import complete, split
from sxq.result import PlanText, Result, Table
from sxq.tables import text_table

INTERRUPTED = 130


def run_script(con: Connection, text: str, as_json: bool = False) -> int:
    """Run every statement and show each result; stops at the first error, which the caller reports."""
    with watched(con) as pressed:
        for piece in split(text):
            # A statement that the user stopped ends the script: the next one may build on it.
            show(con.execute("\n" * (piece.line - 1) + piece.text), as_json)
            if pressed:
                return INTERRUPTED
    return 0


def talk(con: Connection, as_json: bool = False) -> int:
    """A plain prompt: statements end with `;`, errors are shown and the next statement is read."""
    print("sxq: end statements with ; and leave with Ctrl-D", file=sys.stderr)
    while (text := _read_statement()) is not None:
        try:
            run_script(con, text, as_json)
        except Error as error:
            print(f"Error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
    return 0


def show(result: Table, as_json: bool = False) -> None:
    """Print one result: a table for people, or one JSON object per row."""
    if as_json:
        for row in result.rows:
            print(json.dumps(_plain(dict(zip(result.columns, row))), ensure_ascii=False, allow_nan=False))
    elif isinstance(result, Result | PlanText):
        print(result)
    elif result.columns:
        print(text_table(result.columns, result.rows, most=sys.maxsize))
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    """A value of SQL as JSON can say it: numbers as numbers, NaN and infinity as null, all else as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return str(value)


@contextmanager
def watched(con: Connection) -> Iterator[list[bool]]:
    """Progress on a terminal's stderr, and Ctrl-C as `con.interrupt()`; yields a list that is filled when pressed."""
    pressed: list[bool] = []

    def stop(number, frame):
        if pressed or not con.interrupt():
            raise KeyboardInterrupt
        pressed.append(True)

    terminal = sys.stderr.isatty()
    con.report = _progress if terminal else None
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
        con.report = None
        if terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _progress(news: Any) -> None:
    print(f"\r\x1b[K{news}", end="", file=sys.stderr, flush=True)


def _read_statement() -> str | None:
    """Lines up to a finished statement; None at the end of the input; Ctrl-C clears what was typed."""
    lines: list[str] = []
    while not lines or not complete("\n".join(lines)):
        try:
            lines.append(input("sxq> " if not lines else "...> "))
        except EOFError:
            return "\n".join(lines) if lines else None
        except KeyboardInterrupt:
            print(file=sys.stderr)
            lines = []
        if lines and not "".join(lines).strip():
            lines = []
    return "\n".join(lines)
