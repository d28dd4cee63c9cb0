"""Tables as text, the same for a repr, a terminal and a golden test: columns aligned, numbers to the right."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

WIDEST = 60  # characters of a cell before it is cut; the last column is never cut


def cell(value: Any, widest: int = WIDEST) -> str:
    """One value as people read it: four significant digits, NULL as nothing, long text cut, nothing that would move
    the cursor of a terminal or colour it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value).replace("\n", " ")
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    return text if len(text) <= widest else text[: widest - 3] + "..."


def _number(value: float) -> str:
    """Four significant digits; six where four would say a whole number that it is not."""
    if 0 < abs(value) < 1e-4:
        return f"{value:.1e}"
    short = f"{value:.4g}"
    hides = abs(value) < 1e4 and value != round(value) and float(short) == round(value)
    return f"{value:.6g}" if hides else short


def text_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], most: int = 40) -> str:
    """Columns and rows as aligned text; rows beyond `most` are counted, not shown."""
    rows = list(rows)
    last = len(columns) - 1
    shown = [
        [cell(value, sys.maxsize if i == last else WIDEST) for i, value in enumerate(row)]
        for row in rows[:most]
    ]
    numeric = [
        all(
            isinstance(row[i], int | float | None) and not isinstance(row[i], bool)
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
