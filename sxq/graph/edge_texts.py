"""Columns of edges that are no numbers, as text, with the SQL type that a cast gives back."""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

_TYPES = {
    datetime.date: "DATE",
    datetime.datetime: "TIMESTAMP",
    datetime.time: "TIME",
    bool: "BOOLEAN",
    UUID: "UUID",
}
TEXT = "VARCHAR"
CASTS = (*_TYPES.values(), TEXT)  # the types that a column may have


class EdgeTexts(list[str | None]):
    """The texts of a column; `sql_type` is one of CASTS."""

    def __init__(self, texts: Iterable[str | None], sql_type: str = TEXT):
        super().__init__(texts)
        self.sql_type = sql_type


def column_type(values: Sequence[Any]) -> str:
    """The SQL type of a column that Python holds: VARCHAR for text, several types, and types without a plain one."""
    kinds = {_type(value) for value in values if value is not None}
    return kinds.pop() if len(kinds) == 1 else TEXT


def _type(value: Any) -> str:
    zoned = getattr(value, "tzinfo", None) is not None  # its text is not that of a TIMESTAMP
    return TEXT if zoned else _TYPES.get(type(value), TEXT)


def sql_type(texts: Sequence[str | None]) -> str:
    """The type of a column, whatever kind of list it is."""
    return texts.sql_type if isinstance(texts, EdgeTexts) else TEXT
