"""Columns of edges as text, with the SQL type that a cast gives back: those that no model sees, and the user's numbers
where a model sees them scaled."""

import datetime
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import numpy as np

_TYPES = {
    datetime.date: "DATE",
    datetime.datetime: "TIMESTAMP",
    datetime.time: "TIME",
    bool: "BOOLEAN",
    UUID: "UUID",
}
TEXT = "VARCHAR"
WHOLE, NUMBER, NUMBERS = "BIGINT", "DOUBLE", "DOUBLE[]"
CASTS = (*_TYPES.values(), TEXT, WHOLE, NUMBER, NUMBERS)  # the types that a column may have


class EdgeTexts(list[str | None]):
    """The texts of a column; `sql_type` is one of CASTS."""

    def __init__(self, texts: Iterable[str | None], sql_type: str = TEXT):
        super().__init__(texts)
        self.sql_type = sql_type


def column_type(values: Sequence[Any]) -> str:
    """The SQL type of a column that Python holds: VARCHAR for text, several types, and types without a plain one."""
    kinds = {_type(value) for value in values if value is not None}
    return kinds.pop() if len(kinds) == 1 else TEXT


def number_texts(values: Sequence[Any]) -> EdgeTexts:
    """The texts of a column of numbers, or of lists of them: none is NULL."""
    if not values or hasattr(values[0], "__len__"):
        return EdgeTexts([str([float(item) for item in value]) for value in values], NUMBERS)
    whole = all(float(value).is_integer() and abs(value) < 2**53 for value in values)
    if whole and all(isinstance(value, int | np.integer) for value in values):
        return EdgeTexts([str(int(value)) for value in values], WHOLE)
    return EdgeTexts([str(float(value)) for value in values], NUMBER)


def _type(value: Any) -> str:
    zoned = getattr(value, "tzinfo", None) is not None  # its text is not that of a TIMESTAMP
    return TEXT if zoned else _TYPES.get(type(value), TEXT)


def sql_type(texts: Sequence[str | None]) -> str:
    """The type of a column, whatever kind of list it is."""
    return texts.sql_type if isinstance(texts, EdgeTexts) else TEXT
