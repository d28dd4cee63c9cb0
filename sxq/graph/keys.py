"""Keys: the user's names of nodes and of graphs, all of one type.

A key is a value of the user's tables: an integer, text, a UUID, a date, a time, a timestamp, a
decimal, a floating-point number or bytes; what Python cannot hold is text that knows its SQL type
(key_texts.py). A query writes it as an integer or as text, which is read as the type of the keys
(bytes as hex digits).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import numpy as np

from sxq.errors import GraphError, did_you_mean, shown
from sxq.graph.key_texts import KeyText, texts_of

# By the type of the keys: how a literal of another type is read as a key.
READ: Mapping[type, Callable[[Any], Any]] = {
    int: lambda value: _whole(value),
    str: lambda value: _refuse(),
    UUID: UUID,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    time: time.fromisoformat,
    bytes: bytes.fromhex,
    float: lambda value: _number(value, float),
    Decimal: lambda value: _number(value, lambda n: Decimal(str(n))),
}
NAMES = {
    int: "integers",
    str: "text",
    UUID: "UUIDs",
    date: "dates",
    datetime: "timestamps",
    time: "times",
    bytes: "bytes",
    float: "numbers",
    Decimal: "decimals",
}
SINGLE = {  # in the words of SQL
    int: "an integer",
    str: "text",
    bool: "a BOOLEAN",
    UUID: "a UUID",
    date: "a date",
    datetime: "a timestamp",
    time: "a time",
    timedelta: "an INTERVAL",
    bytes: "bytes",
    float: "a number",
    Decimal: "a decimal",
    list: "a list",
    tuple: "a list",
    dict: "a STRUCT or MAP",
    type(None): "NULL",
}


class Keys:
    """Unique names of n things, and back from a name to its place.

    Raises GraphError if their number is not n, if they are of several types or of a type that
    cannot be a key, or if they are not unique.
    """

    def __init__(self, names: Sequence[Any], count: int, what: str = "nodes"):
        self.names = list(map(plain, names))
        if len(self.names) != count:
            raise GraphError(f"{len(self.names)} keys for {count} {what}")
        self.kind = kind_of_keys(self.names)
        self._places = {name: place for place, name in enumerate(self.names)}
        if len(self._places) != count:
            twice = next(
                name for place, name in enumerate(self.names) if self._places[name] != place
            )
            raise GraphError(
                f"key {shown(twice)} stands for more than one node; keys must be unique"
            )

    def place(self, key: Any) -> int:
        """The place of a key, or of a literal that can be read as one.

        Raises KeyError, whose text is a hint.
        """
        key = plain(key)
        if key is None:
            raise KeyError(": a key is never NULL")
        timestamp = self.kind is datetime and isinstance(key, datetime)
        if type(key) is not self.kind and not timestamp:  # types are compared: True is not 1
            try:
                key = self._read(key)
            except (ValueError, TypeError, AttributeError, InvalidOperation):
                raise KeyError(
                    f": keys are {_words(self.kind)} such as {shown(self.names[0])}, {shown(key)} is "
                    f"{kind_word(type(key))}"
                ) from None
        if key not in self._places:
            near = did_you_mean(key, self.names[:100_000]) if self.kind is str else ""
            raise KeyError(
                near
                or f": the graph has {len(self.names)} nodes, the first is {shown(self.names[0])}"
            )
        return self._places[key]

    def _read(self, key: Any) -> Any:
        """A value of another type as a key; KeyError if it could be two keys."""
        if issubclass(self.kind, KeyText):
            texts = texts_of(self.kind, key)
            held = sorted({text for text in texts if text in self._places})
            if len(held) > 1:
                raise KeyError(
                    f": it stands for {' and '.join(map(repr, held))}, which are both keys;"
                    " write the key as text"
                )
            return held[0] if held else texts[0]
        if isinstance(key, KeyText):  # fromisoformat would drop nanoseconds
            raise ValueError
        return READ[self.kind](key)


def plain(value: Any) -> Any:
    """A Python value for a numpy scalar."""
    return value.item() if isinstance(value, np.generic) else value


def written(key: Any) -> int | str:
    """A key in the form in which a query writes it: an integer or text."""
    return key if isinstance(key, int | str) else key.hex() if isinstance(key, bytes) else str(key)


def kind_of_keys(names: Sequence[Any]) -> type:
    """The type of all keys; raises GraphError for several types, or one that no key has."""
    kinds = {type(name) for name in names} or {int}
    kind = kinds.pop()
    if kinds:
        found = ", ".join(sorted(map(kind_word, {kind, *kinds})))
        raise GraphError(
            f"keys are of several types ({found}); expected all of one type, none missing"
        )
    if kind not in READ and not issubclass(kind, KeyText):
        raise GraphError(
            f"the key {shown(names[0])} is {kind_word(kind)}; expected {', '.join(NAMES.values())}: "
            "cast them to text, or join several columns into one"
        )
    if kind is float and any(map(math.isnan, names)):
        raise GraphError("a key is NaN, which equals nothing")
    if kind in (datetime, time) and any(name.tzinfo for name in names):
        raise GraphError("keys are times with a time zone; say key AT TIME ZONE 'UTC'")
    return kind


def kind_word(kind: type) -> str:
    """What a value of a type is, in the words of SQL."""
    if issubclass(kind, KeyText):
        return kind.sql_type
    return SINGLE.get(kind, kind.__name__)


def _words(kind: type) -> str:
    return f"{kind.sql_type} values" if issubclass(kind, KeyText) else NAMES[kind]


def _whole(value: Any) -> int:
    if isinstance(value, Decimal) and value == int(value):
        return int(value)
    raise ValueError


def _refuse() -> Any:
    raise ValueError


def _number(value: Any, read: Callable[[Any], Any]) -> Any:
    if isinstance(value, bool):
        raise ValueError
    return read(value)
