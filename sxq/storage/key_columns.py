"""Keys in tables: the SQL type that holds the keys of a graph, and the keys read back by it.

The type is stored in the file (`graphs.key_type`, `graphs.graph_key_type`), and anyone may have
written the file. So the type never becomes part of SQL: it selects one of the statements below,
which are made before any file is opened.

Keys that are text of an SQL type (graph/key_texts.py) are written by a cast to that type, so that the tables hold
values of it, and read back as text: their stored type is one of TEXT_TYPES.
"""

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from sxq.errors import StoreError
from sxq.graph.key_texts import KEPT, kind_of
from sxq.graph.link_field import LinkKey
from sxq.storage.checked import CheckedRow, short
from sxq.storage.rows import Cursor, object_array, run

_TYPES = {
    str: "VARCHAR",
    UUID: "UUID",
    date: "DATE",
    datetime: "TIMESTAMP",
    time: "TIME",
    bytes: "BLOB",
    float: "DOUBLE",
}
_PLAIN = ("BIGINT", "HUGEINT", *_TYPES.values())
_DIGITS = 38  # the most that a DECIMAL holds
KEY_TYPES = (
    *_PLAIN,
    *(
        f"DECIMAL({width}, {scale})"
        for width in range(1, _DIGITS + 1)
        for scale in range(width + 1)
    ),
)

TEXT_TYPES = {f"{kind} AS TEXT": kind for kind in KEPT}
_AS_READ = {
    **{kind: f"{{}}::{kind}" for kind in KEY_TYPES},
    **{stored: f"{{}}::{kind}::VARCHAR" for stored, kind in TEXT_TYPES.items()},
}
# SQL type of keys that are text, "" for all others -> how a column becomes VARIANT
TO_VARIANT = {"": "{}::VARIANT", **{kind: f"{{}}::{kind}::VARIANT" for kind in KEPT}}

# column of `graphs` -> stored type -> the statement that reads the keys
# fetching BIGINT instead of VARIANT is a hundred times faster
_READ = {
    "key_type": {
        stored: f"SELECT {read.format('node')} FROM nodes WHERE graph_id = ? ORDER BY position"
        for stored, read in _AS_READ.items()
    },
    "graph_key_type": {
        stored: f"SELECT {read.format('graph')} FROM graph_members WHERE graph_id = ? ORDER BY number"
        for stored, read in _AS_READ.items()
    },
}


def key_type(keys: Any) -> str:
    """The SQL type that holds all of `keys` [n], which are of one type: one of KEY_TYPES or TEXT_TYPES.

    Raises StoreError.
    """
    if text := text_type(keys):
        return f"{text} AS TEXT"
    kind = type(keys[0]) if keys else int
    if kind is not int:
        return _decimal_type(keys) if kind is Decimal else _TYPES[kind]
    low = min(keys, default=0)
    high = max(keys, default=0)
    if -(2**63) <= low and high < 2**63:
        return "BIGINT"
    if -(2**127) < low and high < 2**127:
        return "HUGEINT"
    raise StoreError(f"key {high if high >= 2**127 else low} has more than 128 bits; use text keys")


def column_type(stored: str | None) -> str:
    """The SQL type of a column of keys, as views and tables of the user have it.

    stored  the type in the file, one of KEY_TYPES or TEXT_TYPES; None: keys are numbers
    """
    return "BIGINT" if stored is None else TEXT_TYPES.get(stored, stored)


def key_column_type(keys: Any) -> str:
    """The SQL type of a column of some of the `keys` [n] of a graph, or None; raises StoreError."""
    return column_type(None if keys is None else key_type(keys))


def key_array(keys: Sequence[Any] | np.ndarray) -> np.ndarray:
    """`keys` [n] as a column that DuckDB reads with their own type, or as text for TO_VARIANT."""
    if text_type(keys):
        return object_array(list(map(str, keys)))
    return object_array(keys) if key_type(keys) != "BIGINT" else np.array(keys, dtype=np.int64)


def text_type(keys: Any) -> str:
    """The SQL type of `keys` [n] that are text of one; "" for all others, also for an array of positions."""
    kind = None if isinstance(keys, np.ndarray) else kind_of(keys)
    return kind.sql_type if kind else ""


def text_of(column: str, stored: str) -> str:
    """SQL: the text of a key in `column` whose graph has the type `stored`, an expression; NULL for other types."""
    cases = (
        f"WHEN '{name}' THEN TRY_CAST({column} AS {kind})::VARCHAR"
        for name, kind in TEXT_TYPES.items()
    )
    return f"CASE {stored} {' '.join(cases)} END"


def key_of(value: Any, text: Any, stored: Any) -> Any:
    """A key that was read as `value`, and as `text` by `text_of`; a STRUCT is the name of a link."""
    if isinstance(value, dict) and set(value) == {"u", "v"}:
        return LinkKey(**value)
    return value if text is None else KEPT[TEXT_TYPES[stored]](text)


def read_keys(cursor: Cursor, graph_id: int, column: str, stored: Any) -> list[Any] | None:
    """The keys of a graph's nodes (`column` key_type) or of a collection's graphs (graph_key_type).

    stored  the value of that column in the file; None: there are no keys. Raises StoreError for any other value
            than a key type.
    """
    if stored is None:
        return None
    if not isinstance(stored, str) or stored not in _READ[column]:
        raise CheckedRow("graphs", "graph_id", graph_id).wrong(
            column, short(stored), f"{', '.join(_PLAIN)} or DECIMAL(width, scale)"
        )
    keys = [key for (key,) in run(cursor, _READ[column][stored], [graph_id])]
    return list(map(KEPT[TEXT_TYPES[stored]], keys)) if stored in TEXT_TYPES else keys


def _decimal_type(keys: Sequence[Decimal]) -> str:
    digits: list[Any] = [key.as_tuple() for key in keys]  # finite: exponents are numbers
    scale = max(max(-each.exponent, 0) for each in digits)
    whole = max(max(len(each.digits) + each.exponent, 0) for each in digits)
    if whole + scale > _DIGITS:
        raise StoreError(
            f"decimal keys of {whole} + {scale} digits do not fit into {_DIGITS}; use text keys"
        )
    return f"DECIMAL({max(whole + scale, 1)}, {scale})"
