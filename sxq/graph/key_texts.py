"""Keys of SQL types with values that Python cannot hold, such as BIT or the date infinity.

Such a key is the text that DuckDB shows; its class names the SQL type, so that the key is written, compared and
joined as a value of that type.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, ClassVar


class KeyText(str):
    """A key as DuckDB's text of it."""

    __slots__ = ()
    sql_type: ClassVar[str]


class BitKey(KeyText):
    __slots__ = ()
    sql_type = "BIT"


class JsonKey(KeyText):
    __slots__ = ()
    sql_type = "JSON"


class BignumKey(KeyText):
    __slots__ = ()
    sql_type = "BIGNUM"


class DateKey(KeyText):
    __slots__ = ()
    sql_type = "DATE"


class TimestampKey(KeyText):
    __slots__ = ()
    sql_type = "TIMESTAMP"


class SecondsKey(KeyText):
    __slots__ = ()
    sql_type = "TIMESTAMP_S"


class MillisecondsKey(KeyText):
    __slots__ = ()
    sql_type = "TIMESTAMP_MS"


class NanosecondsKey(KeyText):
    __slots__ = ()
    sql_type = "TIMESTAMP_NS"


class TimeKey(KeyText):
    __slots__ = ()
    sql_type = "TIME"


class TimeNanosecondsKey(KeyText):
    __slots__ = ()
    sql_type = "TIME_NS"


class TimeZoneKey(KeyText):
    __slots__ = ()
    sql_type = "TIME WITH TIME ZONE"


KEPT: Mapping[str, type[KeyText]] = {  # SQL type -> the class of its keys
    kind.sql_type: kind
    for kind in (
        *(BitKey, JsonKey, BignumKey, DateKey, TimestampKey, SecondsKey, MillisecondsKey),
        *(NanosecondsKey, TimeKey, TimeNanosecondsKey, TimeZoneKey),
    )
}
# kinds of which Python holds most values: keys are text only where one of them needs it
_PARTLY = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIME")
_ENDS = {  # DuckDB gives Python these for infinity
    date.max: "infinity",
    date.min: "-infinity",
    datetime.max: "infinity",
    datetime.min: "-infinity",
}


def needs_text(sql_type: str, value: Any) -> bool:
    """Whether Python would change a value of this kind, or merge it with another; or whether it is text already."""
    if sql_type not in KEPT or value is None:
        return False
    return sql_type not in _PARTLY or isinstance(value, str) or value in _ENDS


def perhaps_infinite(value: Any) -> bool:
    """Whether a date or a timestamp is one that DuckDB also gives for infinity."""
    return value in _ENDS


def kind_of(keys: Any) -> type[KeyText] | None:
    """The class of keys [n], which are of one type, if they are such text."""
    first = next(iter(keys or ()), None)
    return type(first) if isinstance(first, KeyText) else None


def texts_of(kind: type[KeyText], value: Any) -> list[str]:
    """The keys of that kind for which a literal or a Python value may stand; raises ValueError for other types."""
    if isinstance(value, KeyText) and type(value) is not kind:
        raise ValueError
    if isinstance(value, str):
        return [str(value), _usual(kind, value)]
    if isinstance(value, bool) and kind is JsonKey:
        return [str(value).lower()]
    if isinstance(value, int) and not isinstance(value, bool) and kind in (JsonKey, BignumKey):
        return [str(value)]
    if isinstance(value, date | time) and kind not in (BitKey, JsonKey, BignumKey):
        ends = [_ENDS[value]] if not isinstance(value, time) and value in _ENDS else []
        return [_iso(value), *ends]
    raise ValueError


def _usual(kind: type[KeyText], text: str) -> str:
    """A date or a time as DuckDB writes it; other text as it is."""
    if re.search(r"\.\d{7}", text):  # Python would drop the nanoseconds
        return text
    try:
        if kind is DateKey:
            return _iso(date.fromisoformat(text))
        if kind.sql_type.startswith("TIMESTAMP"):
            return _iso(datetime.fromisoformat(text))
        return _iso(time.fromisoformat(text)) if kind in (TimeKey, TimeNanosecondsKey) else text
    except ValueError:
        return text.lower() if text.lower() in _ENDS.values() else text


def _iso(value: date | time) -> str:
    text = str(value)
    return text.rstrip("0") if "." in text else text
