"""Reads the options in parentheses of CREATE MODEL, TRAIN and PRETRAIN against a table of options.

An unknown name raises UnknownName; a value of the wrong type or out of range raises InvalidValue.
"""

import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sxq.errors import InvalidValue, UnknownName

# (name, value) pairs as the statement holds them; names in any case
Options = Iterable[tuple[str, Any]]


@dataclass(frozen=True)
class Option:
    """One option: its type, its default (None: deduced from the data), and its bounds, both included."""

    kind: type  # int, float, str or bool
    default: Any
    low: float | None = None
    high: float | None = None

    def read(self, name: str, value: Any) -> Any:
        accepted = {int: numbers.Integral, float: numbers.Real, str: str, bool: bool}[self.kind]
        fits = isinstance(value, accepted) and isinstance(value, bool) == (self.kind is bool)
        if not fits or (self.low is not None and not self.low <= value <= self.high):
            raise InvalidValue(f"{name.upper()} = {value!r}, expected {self._expected()}")
        return self.kind(value)

    def _expected(self) -> str:
        what = {int: "an integer", float: "a number", str: "a name", bool: "true or false"}[
            self.kind
        ]
        return what if self.low is None else f"{what} from {self.low} to {self.high}"


def read_options(options: Options, known: Mapping[str, Option]) -> dict[str, Any]:
    """Every known option by lower-case name: the given value, otherwise its default."""
    given: dict[str, Any] = {}
    for name, value in options:
        name = name.lower()
        if name not in known:
            raise UnknownName("option", name, known)
        if name in given:
            raise InvalidValue(f"{name.upper()} is given twice")
        given[name] = known[name].read(name, value)
    return {name: option.default for name, option in known.items()} | given
