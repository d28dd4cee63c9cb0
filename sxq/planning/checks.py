"""Checks of names, numbers and options: the legal value, or an error that says what would be right."""

import math
from collections.abc import Mapping
from typing import Any

from sxq.errors import InvalidValue, UnknownName
from sxq.planning.settings import MOST
from sxq.scoring.measures import Measure, Objective, resolve


def look_up(kind: str, name: str, entries: Mapping[str, Any]) -> Any:
    """The entry of a name, or UnknownName."""
    if name not in entries:
        raise UnknownName(kind, name, entries)
    return entries[name]


def whole_number(clause: str, value: Any, default: int, least: int, most: int = MOST) -> int:
    """The value of a clause, or its default, as a whole number in range, or InvalidValue."""
    value = default if value is None else value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most or value != int(value):
        too_large = is_number and value > most
        limit = f"from {least} to {most}" if too_large else f"of {least} or more"
        raise InvalidValue(f"{clause} {value!r}; expected a whole number {limit}")
    return int(value)


def number(
    clause: str, value: Any, default: float | None, least: float, above: bool = False
) -> float:
    """The value of a clause, or its default, as a number from `least` (or above); InvalidValue."""
    value = default if value is None else value
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value < least
        or (above and value == least)
    ):
        bound = f" above {least:g}" if above else f" of {least:g} or more"
        bound = "" if least == -math.inf else bound
        raise InvalidValue(f"{clause} {value!r}; expected a number{bound}")
    return float(value)


def option_value(clause: str, value: Any, default: Any, measures: Mapping[str, Measure]) -> Any:
    """The value of a generator's option, in the type of its default; `measures` are those of the query.

    Whole numbers and numbers, alone or in a tuple, are 0 or more. Raises InvalidValue.
    """
    if isinstance(default, Objective):
        return _objective(clause, value, default, measures)
    if isinstance(default, bool) or default is None:
        if not isinstance(value, bool):
            raise InvalidValue(f"{clause} {value!r}; expected true or false")
        return value
    if isinstance(default, int):
        return whole_number(clause, value, default, 0)
    if isinstance(default, float):
        return number(clause, value, default, 0)
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or not len(value):
            raise InvalidValue(
                f"{clause} {value!r}; expected numbers in brackets, such as [0.1, 0.2]"
            )
        return tuple(number(clause, each, None, 0) for each in value)
    if not isinstance(value, str):
        raise InvalidValue(f"{clause} {value!r}; expected text")
    return value


def _objective(clause: str, value: Any, default: Objective, measures: Mapping[str, Measure]) -> str:
    """The name of a measure of the query, or the default."""
    if value == default:
        return str(default)
    try:
        return resolve(str(value), measures).name
    except UnknownName:
        raise InvalidValue(
            f"{clause} {value!r}; expected {str(default)!r} or a measure of the query: "
            f"{', '.join(measures)}"
        ) from None
