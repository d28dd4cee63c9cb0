"""Models in the table `models`: what is needed to build one again, or to recognise the user's own module."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sxq.storage.names import KINDS, claim, find
from sxq.storage.rows import Cursor, insert, next_ids, run
from sxq.storage.table import plain

_MODEL = KINDS["model"]
_SELECT = "SELECT model_id, name, graph_id, content_hash, spec, weights, probe FROM models"
_BY_ID = _SELECT + " WHERE model_id = ?"
_NAMED = _SELECT + " WHERE dropped_at IS NULL ORDER BY name"


@dataclass(frozen=True)
class ModelRow:
    """A registered model."""

    model_id: int
    name: str
    graph_id: int
    content_hash: str
    spec: dict[
        str, Any
    ]  # architecture, options, output, layers, ...; the class of a foreign module
    weights: bytes | None  # safetensors; None: a foreign module
    probe: list | None  # logits of a few nodes at registration


def save(
    cursor: Cursor,
    name: str,
    graph_id: int,
    content_hash: str,
    spec: Mapping[str, Any],
    weights: bytes | None,
    probe: list | None,
    replace: bool,
) -> int:
    """Store a model under `name` and return its id; see names.py for names in use."""
    held = claim(
        cursor, _MODEL, name, {"graph_id": graph_id, "content_hash": content_hash}, replace
    )
    if held is not None:
        return held
    (model_id,) = next_ids(cursor, "model_ids")
    insert(
        cursor,
        "models",
        {
            "model_id": model_id,
            "name": name,
            "graph_id": graph_id,
            "content_hash": content_hash,
            "spec": to_json(spec),
            "weights": weights,
            "probe": None if probe is None else to_json(probe),
        },
    )
    return model_id


def load(cursor: Cursor, name_or_id: str | int) -> ModelRow | None:
    """A model by name, or (also when dropped, but referred to) by id; None where there is none."""
    model_id = find(cursor, _MODEL, name_or_id) if isinstance(name_or_id, str) else name_or_id
    rows = run(cursor, _BY_ID, [model_id])
    return _row(*rows[0]) if rows else None


def listing(cursor: Cursor) -> list[ModelRow]:
    """Every named model, by name."""
    return [_row(*row) for row in run(cursor, _NAMED)]


def to_json(value: Any) -> str:
    """JSON of plain values; numpy and torch values become Python's."""
    return json.dumps(value, default=plain)


def _row(*columns: Any) -> ModelRow:
    *plain_columns, spec, weights, probe = columns
    return ModelRow(*plain_columns, json.loads(spec), weights, json.loads(probe or "null"))
