"""Models in the table `models`: enough to build one again, or to recognise the user's own module."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sxq.storage.checked import SEAL, CheckedRow, require_sealed, seal
from sxq.storage.named_rows import KINDS, claim, find
from sxq.storage.rows import Cursor, insert, next_ids, run_named, utc_now
from sxq.storage.user_sql import plain

_MODEL = KINDS["model"]
_SELECT = "SELECT model_id, name, graph_id, content_hash, spec, weights FROM models"
_BY_ID = _SELECT + " WHERE model_id = ?"
_NAMED = _SELECT + " WHERE dropped_at IS NULL ORDER BY name"


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A registered model."""

    model_id: int
    name: str
    graph_id: int
    content_hash: str
    # architecture, options, output, layers, ...; of the user's own module its class
    spec: dict[str, Any]
    weights: bytes | None  # safetensors; None: the user's own module
    seal: str | None = None  # digest of spec and weights; older versions stored none

    @property
    def place(self) -> CheckedRow:
        """The row, as messages name it."""
        return CheckedRow("models", "model_id", self.model_id, self.name)

    def require_intact(self) -> None:
        """Raise StoreError if the weights or the spec are not those that were stored."""
        require_sealed(self.place, self.spec, self.weights, self.seal)


def save(
    cursor: Cursor,
    name: str,
    graph_id: int,
    content_hash: str,
    spec: Mapping[str, Any],
    *,
    weights: bytes | None,
    replace: bool,
) -> int:
    """Store a model under `name` and return its id; see named_rows.py for names in use."""
    content = {"graph_id": graph_id, "content_hash": content_hash}
    held = claim(cursor, _MODEL, name, content, replace)
    if held is not None:
        return held
    (model_id,) = next_ids(cursor, "model_ids")
    spec = json.loads(to_json(spec))
    sealed = to_json({**spec, SEAL: seal(spec, weights)})
    row = {"model_id": model_id, "name": name, **content, "spec": sealed, "weights": weights}
    insert(cursor, "models", {**row, "created_at": utc_now()})
    return model_id


def load(cursor: Cursor, name_or_id: str | int) -> ModelRow | None:
    """A model by name, or (also when dropped, but referred to) by id; None where there is none."""
    model_id = find(cursor, _MODEL, name_or_id) if isinstance(name_or_id, str) else name_or_id
    rows = run_named(cursor, _BY_ID, [model_id])
    return _row(rows[0]) if rows else None


def listing(cursor: Cursor) -> list[ModelRow]:
    """Every named model, by name."""
    return [_row(row) for row in run_named(cursor, _NAMED)]


def to_json(value: Any) -> str:
    """JSON of plain values; numpy and torch values become Python's."""
    return json.dumps(value, default=plain)


def _row(columns: dict[str, Any]) -> ModelRow:
    place = CheckedRow("models", "model_id", columns["model_id"], columns["name"])
    spec = place.read_json("spec", columns["spec"])
    return ModelRow(**{**columns, "spec": spec}, seal=spec.pop(SEAL, None))
