"""What a legal name or number is, and the message where one is not."""

import math
from collections.abc import Mapping
from typing import Any

from sxq.errors import InvalidValue, UnknownName
from sxq.planning.settings import MOST


def known(kind: str, name: str, entries: Mapping[str, Any]) -> Any:
    """The entry of a name, or UnknownName."""
    if name not in entries:
        raise UnknownName(kind, name, entries)
    return entries[name]


def whole(clause: str, value: Any, default: int, least: int, most: int = MOST) -> int:
    """The value of a clause, or its default, as a whole number in range, or InvalidValue."""
    value = default if value is None else value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most or value != int(value):
        limit = f"of {least} or more" if not is_number or not value > most else f"from {least} to {most}"
        raise InvalidValue(f"{clause} {value!r}; expected a whole number {limit}")
    return int(value)


def number(clause: str, value: Any, default: float | None, least: float, above: bool = False) -> float:
    """The value of a clause, or its default, as a number of `least` or more (above it), or InvalidValue."""
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) \
            or value < least or (above and value == least):
        bound = "" if least == -math.inf else f" above {least:g}" if above else f" of {least:g} or more"
        raise InvalidValue(f"{clause} {value!r}; expected a number{bound}")
    return float(value)
