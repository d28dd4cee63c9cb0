"""Rows as Arrow tables and Polars frames, column by column in the type that SQL gave it.

The only file that imports pyarrow and polars (extra `frames`), and only when somebody asks.
"""

import importlib
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sxq.errors import DataError
from sxq.values.sql_text import sql_text

if TYPE_CHECKING:
    import polars
    import pyarrow

_PLAIN = {  # SQL type -> the function of pyarrow that makes its type, with arguments
    **{
        f"{sign}{name}INT": (f"{letter}int{bits}",)
        for sign, letter in (("", ""), ("U", "u"))
        for name, bits in (("TINY", 8), ("SMALL", 16), ("BIG", 64))
    },
    "INTEGER": ("int32",),
    "UINTEGER": ("uint32",),
    "HUGEINT": ("decimal128", 38, 0),
    "FLOAT": ("float32",),
    "DOUBLE": ("float64",),
    "BOOLEAN": ("bool_",),
    "BLOB": ("binary",),
    "DATE": ("date32",),
    "TIME": ("time64", "us"),
    "TIMESTAMP": ("timestamp", "us"),
    "TIMESTAMP_S": ("timestamp", "s"),
    "TIMESTAMP_MS": ("timestamp", "ms"),
    "TIMESTAMP_NS": ("timestamp", "ns"),
    "TIMESTAMP WITH TIME ZONE": ("timestamp", "us", "UTC"),
    "INTERVAL": ("duration", "us"),
}
_TEXT = ("VARCHAR", "UUID", "JSON", "BIT", "UHUGEINT", "BIGNUM", "TIME WITH TIME ZONE", "TIME_NS")
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")
_LIST = re.compile(r"(.*)\[\d*\]", re.DOTALL)


def arrow_table(
    columns: Sequence[str], rows: Sequence[tuple], types: Sequence[str] = ()
) -> "pyarrow.Table":
    """Rows as a table of Arrow. Without `types`, and for keys of any type, Arrow infers the type of a column."""
    pa = _library("pyarrow")
    kinds = list(types) or [""] * len(columns)
    arrays = [_column(pa, [row[i] for row in rows], kind) for i, kind in enumerate(kinds)]
    return pa.Table.from_arrays(arrays, names=list(columns))


def polars_frame(
    columns: Sequence[str], rows: Sequence[tuple], types: Sequence[str] = ()
) -> "polars.DataFrame":
    """Rows as a frame of Polars, which refuses two columns of one name."""
    twice = sorted({name for name in columns if list(columns).count(name) > 1})
    if twice:
        raise DataError(
            f"{len(twice)} names stand for several columns ({', '.join(twice)}), which Polars does not take;"
            " name them by AS"
        )
    return _library("polars").from_arrow(arrow_table(columns, rows, types))


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"this needs {name}, which is not installed: pip install 'sxq[frames]'"
        ) from error


def _column(pa: ModuleType, values: list[Any], kind: str) -> Any:
    made = _type(pa, kind)
    plain = [_plain(value, kind) for value in values]
    try:
        return _inferred(pa, plain) if made is None else pa.array(plain, made)
    except pa.ArrowException:  # a number that no type of Arrow holds
        return _inferred(pa, plain)


def _inferred(pa: ModuleType, values: list[Any]) -> Any:
    """A column of values of any type; of several types, and of those that Arrow lacks, their text."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array(
            [None if value is None else sql_text(value) for value in values], pa.string()
        )


def _type(pa: ModuleType, kind: str) -> Any:
    """The type of Arrow for an SQL type; None where there is none."""
    if kind in _PLAIN:
        name, *arguments = _PLAIN[kind]
        return getattr(pa, str(name))(*arguments)
    if kind in _TEXT or kind.startswith("ENUM("):
        return pa.string()
    if found := _DECIMAL.fullmatch(kind):
        return pa.decimal128(int(found[1]), int(found[2]))
    if found := _LIST.fullmatch(kind):
        inner = _type(pa, found[1])
        return None if inner is None else pa.list_(inner)
    parts = _parts(kind)
    inside = [_type(pa, part) for _, part in parts]
    if not parts or None in inside:
        return None
    if kind.startswith("MAP("):
        return pa.map_(*inside)
    return pa.struct([(name, part) for (name, _), part in zip(parts, inside)])


def _parts(kind: str) -> list[tuple[str, str]]:
    """The names and types inside of MAP(...) and STRUCT(...)."""
    head, _, rest = kind.partition("(")
    if head not in ("MAP", "STRUCT") or not rest.endswith(")"):
        return []
    parts = _split(rest[:-1])
    return [("", part) for part in parts] if head == "MAP" else list(map(_named, parts))


def _split(text: str) -> list[str]:
    """Text cut at commas that stand outside of parentheses and quotes."""
    parts = [""]
    depth = 0
    for piece in re.findall(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'|.', text, re.DOTALL):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in parts]


def _named(part: str) -> tuple[str, str]:
    """The name and the type of a field of a STRUCT."""
    found = re.match(r'"((?:[^"]|"")*)" |(\S+) ', part, re.DOTALL)
    if found is None:
        return "", ""
    name = found[2] if found[1] is None else found[1].replace('""', '"')
    return name, part[found.end() :]


def _plain(value: Any, kind: str) -> Any:
    """A value as Arrow takes it for its SQL type."""
    if value is None or isinstance(value, int | float | bytes):
        return str(value) if kind in _TEXT and value is not None else value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple):
        inner = _LIST.fullmatch(kind)
        return [_plain(item, inner[1] if inner else "") for item in value]
    if isinstance(value, Mapping):
        return _inside(value, kind)
    return str(value) if kind in _TEXT and not isinstance(value, str) else value


def _inside(value: Mapping, kind: str) -> Any:
    """The values in a MAP, as pairs, or in a STRUCT."""
    parts = _parts(kind)
    if kind.startswith("MAP("):
        (_, of_key), (_, of_value) = parts
        return [(_plain(key, of_key), _plain(item, of_value)) for key, item in value.items()]
    return {name: _plain(value.get(name), of) for name, of in parts}
