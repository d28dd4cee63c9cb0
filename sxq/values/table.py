"""Tables as text, the same for a repr, a terminal and a golden test: columns aligned, numbers to the right."""

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from sxq.values.sql_text import sql_text

# everything but ASCII is looked at; JSON itself spells out the control signs of ASCII but this one
_UNPRINTED = re.compile(r"\x7f|[^\x00-\x7f]+")
_FORMULA = re.compile(r"[\s\x00-\x1f]*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
WIDEST = 60  # characters of a cell before it is cut; the last column is never cut


def cell(value: Any, widest: int = WIDEST) -> str:
    """One value for people: four significant digits, NULL as nothing, long text cut, nothing that would move
    the cursor of a terminal or colour it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = printable(str(value).replace("\n", " "))
    return text if len(text) <= widest else text[: widest - 3] + "..."


def sql_cell(value: Any, sql_type: str | None, widest: int = WIDEST) -> str:
    """One value for people: of SQL's as DuckDB shows it, of sxq's own (no type) as `cell` does; NULL as nothing."""
    if sql_type is None or value is None:
        return cell(value, widest)
    return cell(sql_text(value, sql_type), widest)


def printable(text: str) -> str:
    """Text without characters that a terminal would obey: control and bidirectional ones are spelled out.

    Line breaks stay.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text
    )


def json_text(text: str) -> str:
    """JSON whose strings spell out the characters that `printable` does; its value stays the same."""
    if text.replace("\n", "").isprintable():
        return text
    return _UNPRINTED.sub(
        lambda found: "".join(
            sign if sign.isprintable() else json.dumps(sign)[1:-1] if sign != "\x7f" else "\\u007f"
            for sign in found.group()
        ),
        text,
    )


def counted(count: int, noun: str) -> str:
    """A number of things in words: 1 row, 2,000 rows."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def csv_line(values: Iterable[Any]) -> str:
    """One row of CSV, without its line end; NULL and NaN are empty."""
    line = io.StringIO()
    csv.writer(line).writerow("" if value != value else csv_cell(value) for value in values)
    return line.getvalue().removesuffix(
        "\r\n"
    )  # without these, a field that holds them is not quoted


def csv_cell(value: Any) -> Any:
    """A value for CSV: text that a spreadsheet would take for a formula gets an apostrophe in front, as numbers do not."""
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def _number(value: float) -> str:
    """Four significant digits; six where four would show a whole number and the value is not one."""
    if 0 < abs(value) < 1e-4:
        return f"{value:.1e}"
    short = f"{value:.4g}"
    hides = abs(value) < 1e4 and value != round(value) and float(short) == round(value)
    return f"{value:.6g}" if hides else short


def text_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], most: int = 40, types: Sequence[str] = ()
) -> str:
    """Columns and rows as aligned text; rows beyond `most` are counted, not shown.

    types  of the columns, where they are SQL's: then values look as DuckDB shows them
    """
    rows = list(rows)
    columns = [printable(name.replace("\n", " ")) for name in columns]
    last = len(columns) - 1
    shown = [
        [
            sql_cell(value, types[i] if types else None, sys.maxsize if i == last else WIDEST)
            for i, value in enumerate(row)
        ]
        for row in rows[:most]
    ]
    numeric = [
        all(
            isinstance(row[i], int | float | Decimal | None) and not isinstance(row[i], bool)
            for row in rows[:most]
        )
        for i in range(len(columns))
    ]
    widths = [max([len(name), *(len(row[i]) for row in shown)]) for i, name in enumerate(columns)]

    def line(cells: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(cells, widths, numeric)
        )
        return "  ".join(padded).rstrip()

    lines = [line(columns), "  ".join("-" * width for width in widths), *map(line, shown)]
    if len(rows) > most:
        lines.append(f"... {len(rows) - most} more rows")
    return "\n".join(lines)
