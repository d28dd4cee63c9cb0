"""A list of Python values as arrays: keys of nodes, attributes, the words of a split.

Numbers are numbers. Everything else is text, one value behind the other, with the type that reads
it back. What is neither of one type nor plain JSON is refused. `None` is kept by a mask.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, overload
from uuid import UUID

import numpy as np

from sxq.errors import GraphError
from sxq.graph.disk import manifest
from sxq.graph.key_texts import KEPT
from sxq.graph.keys import plain, shown

AT_ONCE = 1 << 16  # values that are in memory together
JSON = "json"
WHOLE = range(-(2**63), 2**63)
NUMBERS: Mapping[str, Any] = {"int64": np.int64, "float64": np.float64, "bool": np.bool_}
# By the name of a type: how its values are written as text, and read again.
TEXTS: Mapping[str, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    "str": (str, str),
    "int": (str, int),
    "UUID": (str, UUID),
    "date": (date.isoformat, date.fromisoformat),
    "datetime": (datetime.isoformat, datetime.fromisoformat),
    "time": (time.isoformat, time.fromisoformat),
    "bytes": (bytes.hex, bytes.fromhex),
    "Decimal": (str, Decimal),
    "float": (repr, float),
    JSON: (json.dumps, json.loads),
    **{f"{name} AS TEXT": (str, kind) for name, kind in KEPT.items()},
}


class StoredList(Sequence[Any]):
    """A list whose values are read when they are asked for."""

    def __init__(self, folder: Path, name: str, kind: str):
        self.kind = kind
        self._missing = manifest.array(folder, f"{name}.missing")
        values = manifest.array(folder, f"{name}.values")
        assert values is not None, "a manifest that holds has the file"
        self.values = values  # numbers [n], or the bytes of all texts
        self._start = manifest.array(folder, f"{name}.start")
        self._read = TEXTS[kind][1] if kind in TEXTS else None

    def __len__(self) -> int:
        return len(self.values if self._start is None else self._start) - (self._start is not None)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            first, end, step = place.indices(len(self))
            return self._some(first, end) if step == 1 else self._some(0, len(self))[place]
        place = int(place)
        place += len(self) * (place < 0)
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._some(place, place + 1)[0]

    def __iter__(self) -> Iterator[Any]:
        for first in range(0, len(self), AT_ONCE):
            yield from self._some(first, min(first + AT_ONCE, len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other))

    def _some(self, first: int, end: int) -> list[Any]:
        if end <= first:
            return []
        if self._start is None or self._read is None:
            found = self.values[first:end].tolist()
        else:
            start = self._start[first : end + 1].tolist()
            held = self.values[start[0] : start[-1]].tobytes()
            texts = (held[a - start[0] : b - start[0]].decode() for a, b in zip(start, start[1:]))
            found = [
                None if text == "" and self._gone(first + i) else self._read(text)
                for i, text in enumerate(texts)
            ]
            return found
        if self._missing is not None:
            gone = self._missing[first:end].tolist()
            found = [None if absent else value for value, absent in zip(found, gone)]
        return found

    def _gone(self, place: int) -> bool:
        return self._missing is not None and bool(self._missing[place])


def write_list(folder: Path, name: str, values: Sequence[Any], what: str) -> str:
    """Write a list as files that begin with `name`; return its kind. Raises GraphError, naming `what`."""
    kind = _kind(values, what)
    missing = None
    if any(value is None for value in values):
        missing = manifest.created(folder, f"{name}.missing", np.bool_, (len(values),))
    if kind in NUMBERS:
        _write_numbers(folder, name, values, kind=kind, missing=missing)
    else:
        _write_texts(folder, name, values, kind=kind, missing=missing)
    return kind


def blocks_of(values: Sequence[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Some values at a time, as Python values, with the place of the first."""
    found = iter(values)
    first = 0
    while some := list(map(plain, islice(found, AT_ONCE))):
        yield first, some
        first += len(some)


def _kind(values: Sequence[Any], what: str) -> str:
    """The kind of all values: a number, the name of a type of text, or JSON; raises GraphError."""
    kinds = {type(value) for _, some in blocks_of(values) for value in some} - {type(None)}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is bool:
        return "bool"
    if kind is float:
        return "float64"
    if kind is int:
        small = all(v is None or v in WHOLE for _, some in blocks_of(values) for v in some)
        return "int64" if small else "int"
    sql_type = getattr(kind, "sql_type", None)
    if sql_type is not None:
        return f"{sql_type} AS TEXT"
    zoned = kind in (datetime, time) and any(v is not None and v.tzinfo for v in values)
    if kind is not None and kind.__name__ in TEXTS and not zoned:
        return kind.__name__
    for _, some in blocks_of(values):
        for value in some:
            if not _as_json(value):
                raise GraphError(
                    f"{what} holds {shown(value)} ({type(value).__name__}), which a graph on disk cannot "
                    "keep; cast the column to text, leave it out, or say STORAGE = memory"
                )
    return JSON


def _as_json(value: Any) -> bool:
    try:
        again = json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return False
    return type(again) is type(value) and repr(again) == repr(value)


def _write_numbers(
    folder: Path, name: str, values: Sequence[Any], *, kind: str, missing: np.ndarray | None
) -> None:
    held = manifest.created(folder, f"{name}.values", NUMBERS[kind], (len(values),))
    for first, some in blocks_of(values):
        gone = [value is None for value in some]
        held[first : first + len(some)] = [0 if value is None else value for value in some]
        if missing is not None:
            missing[first : first + len(some)] = gone


def _write_texts(
    folder: Path, name: str, values: Sequence[Any], *, kind: str, missing: np.ndarray | None
) -> None:
    as_text = TEXTS[kind][0]

    def encoded(some: list[Any]) -> list[bytes]:
        return [b"" if value is None else as_text(value).encode() for value in some]

    start = manifest.created(folder, f"{name}.start", np.int64, (len(values) + 1,))
    start[0] = 0
    for first, some in blocks_of(values):
        sizes = np.array(list(map(len, encoded(some))), np.int64)
        start[first + 1 : first + 1 + len(some)] = start[first] + np.cumsum(sizes)
        if missing is not None:
            missing[first : first + len(some)] = [value is None for value in some]
    held = manifest.created(folder, f"{name}.values", np.uint8, (int(start[-1]),))
    for first, some in blocks_of(values):
        content = np.frombuffer(b"".join(encoded(some)), np.uint8)
        held[int(start[first]) : int(start[first]) + len(content)] = content
