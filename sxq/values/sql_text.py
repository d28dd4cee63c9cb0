"""SQL values as DuckDB writes them: 45000.0, true, 2026-01-02, [1, 2], {'a': 1}; and as literals of SQL."""

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np


def sql_text(value: Any, sql_type: str = "", null: str = "NULL") -> str:
    """The text that DuckDB's shell shows for a value of a type; `null` stands for NULL."""
    match value:
        case None:
            return null
        case bool() | np.bool_():
            return "true" if value else "false"
        case float():
            return _float(value, sql_type)
        case Decimal():
            return f"{value:f}"
        case datetime.datetime() | datetime.time():
            return _without_zeros(str(value))
        case datetime.timedelta():
            return _interval(value)
        case bytes():
            return _blob(value)
        case list() | tuple():
            inner = sql_type[: sql_type.rfind("[")] if sql_type.endswith("]") else ""
            return f"[{', '.join(sql_text(item, inner) for item in value)}]"
        case dict():
            return _pairs(value, sql_type)
    return str(value)


def sql_literal(value: Any, sql_type: str = "") -> str:
    """A value as it stands in an INSERT; its column gives it its type."""
    match value:
        case None | bool() | int() | Decimal():
            return sql_text(value)
        case float():
            return _float(value, sql_type) if math.isfinite(value) else f"'{value}'::DOUBLE"
        case bytes():
            return f"{_quoted(''.join(f'{chr(92)}x{byte:02X}' for byte in value))}::BLOB"
        case list() | tuple():
            return f"[{', '.join(map(sql_literal, value))}]"
        case dict():
            return _literal_pairs(value, sql_type)
    return _quoted(sql_text(value, sql_type))


def _float(value: float, sql_type: str) -> str:
    """The shortest text that is read back as the same number; of a FLOAT, as the same float32."""
    return repr(float(str(np.float32(value))) if sql_type == "FLOAT" else float(value))


def _without_zeros(text: str) -> str:
    """A time without the zeros at the end of its fraction."""
    before, dot, fraction = text.partition(".")
    digits = fraction[:6]
    return f"{before}.{digits.rstrip('0')}{fraction[6:]}" if dot else text


def _interval(value: datetime.timedelta) -> str:
    """Days and a clock; whether 24 hours were one day is lost in Python."""
    clock = value - datetime.timedelta(days=value.days)
    hours, _, rest = _without_zeros(str(clock)).partition(":")
    shown = f"{hours:0>2}:{rest}" if clock else ""
    days = f"{value.days} day{'' if abs(value.days) == 1 else 's'}" if value.days else ""
    return " ".join(filter(None, (days, shown))) or "00:00:00"


def _blob(value: bytes) -> str:
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02X}" for b in value)


def _pairs(value: dict, sql_type: str) -> str:
    """A map as {key=value}, a struct as {'name': value}."""
    if sql_type.startswith("STRUCT"):
        inside = ", ".join(f"'{name}': {sql_text(item)}" for name, item in value.items())
    else:
        inside = ", ".join(f"{sql_text(key)}={sql_text(item)}" for key, item in value.items())
    return f"{{{inside}}}"


def _literal_pairs(value: dict, sql_type: str) -> str:
    struct = sql_type.startswith("STRUCT")
    inside = ", ".join(f"{sql_literal(key)}: {sql_literal(item)}" for key, item in value.items())
    return f"{'' if struct else 'MAP '}{{{inside}}}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
