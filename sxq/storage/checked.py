"""The door for values: a row may have been changed by hand or by another program, so what it holds is checked.

sxq writes only what passes here. Everything else is a StoreError that names table, row and column,
says what was found and what would be right. Numbers are checked before anything is made of their size.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sxq.errors import StoreError

DEEPEST = 10_000  # hops and rings of context; no model looks farther
SEAL = "seal"  # the entry of a spec that holds the digest of the others and of the weights


@dataclass(frozen=True)
class CheckedRow:
    """A row of a table of sxq, as messages name it."""

    table: str
    key: str  # its key column
    id: Any
    name: str = ""  # the user's, if the row has one

    def wrong(self, column: str, found: str, expected: str) -> StoreError:
        """The error for a column that does not hold what is expected."""
        named = f" ({short(self.name)})" if self.name else ""
        return StoreError(
            f"table sxq.{self.table}, row with {self.key} {self.id}{named}, column {column}: found"
            f" {found}, expected {expected}; sxq did not write that, so the file was changed by"
            " hand or by another program"
        )

    def whole(self, column: str, value: Any, most: int | None = None, least: int = 0) -> int:
        """A whole number between `least` and `most`."""
        if type(value) is int and least <= value and (most is None or value <= most):
            return value
        bounds = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise self.wrong(column, short(value), f"a whole number {bounds}")

    def names(self, column: str, value: Any, known: tuple[str, ...] | None = None) -> list[str]:
        """A list of different names, in `known` if that is given."""
        is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
        if is_list and len(set(value)) == len(value) and (not known or set(value) <= {*known}):
            return value
        among = f" among {', '.join(known)}" if known else ""
        raise self.wrong(column, short(value), f"different names{among}")

    def read_json(self, column: str, text: Any) -> dict[str, Any]:
        """A JSON object."""
        try:
            value = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self.wrong(column, short(text), "a JSON object")
        return value

    def require_entries(
        self, column: str, entries: Mapping[str, Any], kinds: Mapping[str, Any]
    ) -> None:
        """Raise StoreError unless a JSON object has these entries, each of a type, or one of some texts."""
        for name, kind in kinds.items():
            place = f"{column}.{name}"
            if name not in entries:
                raise self.wrong(place, "nothing", _described(kind))
            value = entries[name]
            fits = isinstance(value, str) and value in kind if isinstance(kind, tuple) else None
            if not (type(value) is kind if fits is None else fits):
                raise self.wrong(place, short(json.dumps(value)), _described(kind))


def seal(spec: Mapping[str, Any], weights: bytes | None) -> str:
    """A digest of a spec and of weights; the same for the same content."""
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode())
    digest.update(b"" if weights is None else weights)
    return digest.hexdigest()[:32]


def require_sealed(
    row: CheckedRow, spec: Mapping[str, Any], weights: bytes | None, stored: str | None
) -> None:
    """Raise StoreError if a spec or its weights were changed; rows of older versions have no seal."""
    if stored is not None and stored != (found := seal(spec, weights)):
        raise row.wrong("spec", f"spec and weights with digest {found}", f"digest {short(stored)}")


def short(value: Any, longest: int = 80) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value[: 2 * longest] if isinstance(value, str | bytes | list) else value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _described(kind: Any) -> str:
    if isinstance(kind, tuple):
        return " or ".join(map(repr, kind))
    return {dict: "a JSON object", list: "a JSON array", str: "text", int: "a whole number"}.get(
        kind, "true or false"
    )
