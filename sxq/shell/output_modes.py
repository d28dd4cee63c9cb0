"""The forms of results, as DuckDB's shell names them: tables for people, and forms for other programs.

One function per mode, from a result and its `Look` to its lines; `.mode` and `--mode` choose among `MODES`.
People read table, box, markdown, html, latex and line: SQL's values as DuckDB shows them, sxq's own
numbers rounded. Programs read csv, json, jsonlines and insert, where nothing is rounded or left out.
"""

import datetime
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

from sxq.values.result import AuditResult, PlanText, Result, Table
from sxq.values.sql_text import sql_literal, sql_text
from sxq.values.table import WIDEST, cell, csv_line, json_text, printable

DUCKDB_PLAN = ["explain_key", "explain_value"]  # the columns of DuckDB's own EXPLAIN


@dataclass(frozen=True)
class Look:
    """What dot-commands choose about the look of results.

    null     the text that stands for NULL; None: what the mode has for it
    most     most rows of table and box; None: all
    widths   characters of the first columns of table and box; 0: as wide as the content
    name     the table that INSERT statements name
    """

    null: str | None = None
    most: int | None = None
    widths: tuple[int, ...] = ()
    name: str = "table"


PLAIN = Look()


@dataclass(frozen=True)
class Cells:
    """A result as text for people: names, rows, which columns hold numbers, and rows left out."""

    names: list[str]
    rows: list[list[str]]
    right: list[bool]
    hidden: int = 0


def cells(result: Table, look: Look, most: int | None = None) -> Cells:
    """Every value of a result as people read it, in one line each; at most so many rows."""
    rows = result.rows if most is None else result.rows[:most]
    types: Sequence[str | None] = sql_types(result) or [None] * len(result.columns)
    shown = look.null or ""
    return Cells(
        [cell(name, sys.maxsize) for name in result.columns],
        [[read(value, kind, shown) for value, kind in zip(row, types)] for row in rows],
        [numeric(rows, column) for column in range(len(result.columns))],
        len(result) - len(rows),
    )


def read(value: Any, sql_type: str | None, null: str = "") -> str:
    """A value as people read it: one of SQL's as DuckDB shows it, one of sxq's own rounded."""
    if value is None:
        return printable(null.replace("\n", " "))
    text = cell(value, sys.maxsize) if sql_type is None else sql_text(value, sql_type)
    return printable(text.replace("\n", " "))


def sql_types(result: Table) -> Sequence[str]:
    """The types of the columns of a result of DuckDB's; nothing for sxq's own tables."""
    return () if isinstance(result, Result) else result.types


def of_engine(result: Table) -> bool:
    """Whether a table is one of sxq's own, of help and facts, rather than an answer or the user's data."""
    return not isinstance(result, Result) and not result.types


def table(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """Aligned columns; EXPLAIN and AUDIT also get their summary, and a plan is a tree."""
    yield from _for_people(result, look, _aligned)


def box(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """A table in a box of lines, otherwise as `table`."""
    yield from _for_people(result, look, _boxed)


def _for_people(result: Table, look: Look, drawn: Callable) -> Iterator[str]:
    if isinstance(result, PlanText):
        yield str(result)
    elif isinstance(result, Result | AuditResult):
        for part in result.shown():
            yield from drawn(part, look)
        yield from map(printable, result.sentences())
    elif result.columns == DUCKDB_PLAN:
        for _, plan in result.rows:
            yield printable(plan)
    elif result.columns:
        yield from drawn(result, look)


def _aligned(result: Table, look: Look) -> Iterator[str]:
    found = cells(result, look, look.most)
    widths = _widths(found, look, of_engine(result))
    yield "  ".join(_padded(found.names, widths, found.right)).rstrip()
    yield "  ".join("-" * width for width in widths)
    for row in found.rows:
        yield "  ".join(_padded(row, widths, found.right)).rstrip()
    yield from _hidden(found)


def _boxed(result: Table, look: Look) -> Iterator[str]:
    found = cells(result, look, look.most)
    widths = _widths(found, look, of_engine(result))

    def rule(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (width + 2) for width in widths) + right

    def line(row: Sequence[str]) -> str:
        return f"│ {' │ '.join(_padded(row, widths, found.right))} │"

    yield rule("┌", "┬", "┐")
    yield line(found.names)
    yield rule("├", "┼", "┤")
    yield from map(line, found.rows)
    yield rule("└", "┴", "┘")
    yield from _hidden(found)


def _widths(found: Cells, look: Look, whole: bool) -> list[int]:
    """The width of each column: that of its widest text, unless `.width` sets it; `whole` cuts no text."""
    widest = [max(map(len, column)) for column in zip(found.names, *found.rows)]
    # a long text would push away what follows it
    fitting = widest if whole else [*(min(width, WIDEST) for width in widest[:-1]), widest[-1]]
    given = [*look.widths, *[0] * len(widest)]
    return [wanted or width for wanted, width in zip(given, fitting)]


def _padded(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> Iterator[str]:
    for text, width, number in zip(row, widths, right):
        fitting = text if len(text) <= width else text[: max(0, width - 3)] + "..."[:width]
        yield fitting.rjust(width) if number else fitting.ljust(width)


def _hidden(found: Cells) -> Iterator[str]:
    if found.hidden:
        yield f"... {found.hidden:,} more {'row' if found.hidden == 1 else 'rows'} (.maxrows)"


def csv_lines(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """Comma-separated values with a header; NULL is empty, lists and maps are JSON."""
    for row in [result.columns, *result.rows] if result.columns else []:
        yield csv_line(look.null if value is None else _scalar(value) for value in row)


def json_lines(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """One JSON object per row; columns of one name are there as often as in the result."""
    names = [json.dumps(name, ensure_ascii=False) for name in result.columns]
    for row in result.rows:
        values = (json.dumps(plain(value), ensure_ascii=False, allow_nan=False) for value in row)
        yield json_text(f"{{{', '.join(map(': '.join, zip(names, values)))}}}")


def json_array(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """A JSON array of one object per row, each on its line; nothing for a statement without a result."""
    if not result.columns:
        return
    objects = list(json_lines(result))
    for number, text in enumerate(objects):
        last = number == len(objects) - 1
        yield f"{'' if number else '['}{text}{']' if last else ','}"
    if not objects:
        yield "[]"


def markdown(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """A Markdown table, its numbers aligned to the right."""
    if not result.columns:
        return
    found = cells(result, look)
    yield _piped(map(_markdown_text, found.names))
    yield _piped("---:" if right else "---" for right in found.right)
    for row in found.rows:
        yield _piped(map(_markdown_text, row))


def lines(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """One `column = value` per line, a blank line between rows: for rows too wide to read."""
    found = cells(result, look)
    width = max(map(len, found.names), default=0)
    for number, row in enumerate(found.rows):
        if number:
            yield ""
        for name, text in zip(found.names, row):
            yield f"{name.rjust(width)} = {text}".rstrip()


def html(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """A table of HTML, everything in it escaped."""
    if not result.columns:
        return
    found = cells(result, look)
    yield "<table>"
    yield _html_row("th", found.names)
    yield from (_html_row("td", row) for row in found.rows)
    yield "</table>"


def latex(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """A tabular of LaTeX, numbers to the right."""
    if not result.columns:
        return
    found = cells(result, look)
    yield f"\\begin{{tabular}}{{|{''.join('r' if right else 'l' for right in found.right)}|}}"
    yield "\\hline"
    yield _latex_row(found.names)
    yield "\\hline"
    yield from map(_latex_row, found.rows)
    yield "\\hline"
    yield "\\end{tabular}"


def insert(result: Table, look: Look = PLAIN) -> Iterator[str]:
    """One INSERT statement per row, into the table that `.mode insert NAME` names."""
    types = sql_types(result) or [""] * len(result.columns)
    names = ", ".join(map(_identifier, result.columns))
    into = f"INSERT INTO {_identifier(look.name)} ({names})"
    for row in result.rows:
        yield f"{into} VALUES ({', '.join(map(sql_literal, row, types))});"


MODES: dict[str, Callable[[Table, Look], Iterator[str]]] = {
    "table": table,
    "box": box,
    "markdown": markdown,
    "line": lines,
    "csv": csv_lines,
    "json": json_array,
    "jsonlines": json_lines,
    "html": html,
    "latex": latex,
    "insert": insert,
}


def plain(value: Any) -> Any:
    """An SQL value for JSON: numbers as numbers, NaN and infinity as null, other values as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
    return sql_text(value)


def numeric(rows: list[tuple], column: int) -> bool:
    """Whether a column holds numbers (and NULLs) only."""
    values = [row[column] for row in rows]
    return all(
        isinstance(v, int | float | Decimal | None) and not isinstance(v, bool) for v in values
    )


def _scalar(value: Any) -> Any:
    match value:
        case dict() | list() | tuple():
            return json.dumps(plain(value), ensure_ascii=False)
        case bool() | bytes() | datetime.timedelta():
            return sql_text(value)
        case float() if math.isnan(value):
            return "nan"  # empty is NULL
    return value


def _markdown_text(text: str) -> str:
    """Text in which nothing ends a cell, begins a tag or marks code."""
    return re.sub(r"[|<`\\]", r"\\\g<0>", text)


def _piped(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _html_row(tag: str, texts: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(text)}</{tag}>' for text in texts)}</tr>"


_LATEX = {sign: f"\\{sign}" for sign in "#$%&_{}"} | {
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "\\textquotedbl{}",
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
}


def _latex_row(texts: Sequence[str]) -> str:
    safe = ("".join(_LATEX.get(sign, sign) for sign in text) for text in texts)
    return f"{' & '.join(safe)} \\\\"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
