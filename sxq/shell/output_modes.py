"""The forms of results: aligned tables, CSV, JSON, Markdown, or one line per value.

One function per mode, from a result to its lines; `.mode` and `--mode` choose among `MODES`.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from sxq.values.result import AuditResult, PlanText, Result, Table
from sxq.values.table import cell, csv_line, json_text, text_table


def table(result: Table) -> Iterator[str]:
    """Aligned columns; EXPLAIN and AUDIT also get their summary, and a plan is a tree."""
    if isinstance(result, Result | PlanText):
        yield str(result)
    elif result.columns:
        yield text_table(result.columns, result.rows, most=sys.maxsize)
    if isinstance(result, AuditResult):
        yield result.summary()


def csv_lines(result: Table) -> Iterator[str]:
    """Comma-separated values with a header; NULL is empty, lists and maps are JSON."""
    for row in [result.columns, *result.rows] if result.columns else []:
        yield csv_line(_scalar(value) for value in row)


def json_lines(result: Table) -> Iterator[str]:
    """One JSON object per row."""
    for row in result.rows:
        text = json.dumps(
            plain(dict(zip(result.columns, row))), ensure_ascii=False, allow_nan=False
        )
        yield json_text(text)


def markdown(result: Table) -> Iterator[str]:
    """A Markdown table, its numbers aligned to the right."""
    if not result.columns:
        return
    yield _piped(cell(name, sys.maxsize).replace("|", "\\|") for name in result.columns)
    yield _piped("---:" if numeric(result.rows, i) else "---" for i in range(len(result.columns)))
    for row in result.rows:
        yield _piped(cell(value, sys.maxsize).replace("|", "\\|") for value in row)


def lines(result: Table) -> Iterator[str]:
    """One `column = value` per line, a blank line between rows: for rows too wide to read."""
    names = [cell(name, sys.maxsize) for name in result.columns]
    width = max(map(len, names), default=0)
    for number, row in enumerate(result.rows):
        if number:
            yield ""
        for name, value in zip(names, row):
            yield f"{name.rjust(width)} = {cell(value, sys.maxsize)}".rstrip()


MODES: dict[str, Callable[[Table], Iterator[str]]] = {
    "table": table,
    "csv": csv_lines,
    "json": json_lines,
    "markdown": markdown,
    "line": lines,
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
    return str(value)


def numeric(rows: list[tuple], column: int) -> bool:
    """Whether a column holds numbers (and NULLs) only."""
    values = [row[column] for row in rows]
    return all(
        isinstance(v, int | float | Decimal | None) and not isinstance(v, bool) for v in values
    )


def _scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        json.dumps(plain(value), ensure_ascii=False)
        if isinstance(value, dict | list | tuple)
        else value
    )


def _piped(cells) -> str:
    return f"| {' | '.join(cells)} |"
