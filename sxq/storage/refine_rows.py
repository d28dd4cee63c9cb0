"""Pre-trained attributors in the table `refines`, and the values that they give to edges in `saliency`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.storage.checked import SEAL, CheckedRow, require_sealed, seal
from sxq.storage.key_columns import TO_VARIANT, key_array, text_type
from sxq.storage.model_rows import to_json
from sxq.storage.named_rows import KINDS, claim
from sxq.storage.rows import Cursor, insert, insert_arrays, next_ids, run, run_named, utc_now

_REFINE = KINDS["refine"]
_SELECT = """SELECT refine_id, r.name, r.model_id, r.graph_id, m.name AS model, g.name AS graph, r.spec, r.weights
             FROM refines r LEFT JOIN models m USING (model_id) LEFT JOIN graphs g ON g.graph_id = r.graph_id
             WHERE r.dropped_at IS NULL ORDER BY r.name"""
_INSERT_SALIENCY = {  # SQL type of keys that are text
    target: f"""INSERT INTO saliency SELECT $1, {to_target.format("target")}, class, edge, saliency
        FROM temp.incoming"""
    for target, to_target in TO_VARIANT.items()
}
_MODELS = """SELECT r.name, r.model_id, coalesce(m.name, '(deleted)')
             FROM refines r LEFT JOIN models m USING (model_id) WHERE r.dropped_at IS NULL"""


@dataclass(frozen=True, kw_only=True)
class RefineRow:
    """A set of pre-trained attributors."""

    refine_id: int
    name: str
    model_id: int
    graph_id: int
    model: str  # names at the time
    graph: str
    spec: dict[str, Any]
    weights: bytes
    seal: str | None = None  # digest of spec and weights; older versions stored none

    @property
    def place(self) -> CheckedRow:
        """The row, as messages name it."""
        return CheckedRow("refines", "refine_id", self.refine_id, self.name)

    def require_intact(self) -> None:
        """Raise StoreError if the weights or the spec are not those that were stored."""
        require_sealed(self.place, self.spec, self.weights, self.seal)


def save(
    cursor: Cursor,
    name: str,
    row: Mapping[str, Any],
    saliency: Mapping[str, Sequence],
    replace: bool,
) -> int:
    """Store attributors under `name`, with the columns of `saliency`, all or nothing; return their id.

    row  model_id, graph_id, content_hash, spec and weights
    """
    held = claim(
        cursor, _REFINE, name, {column: row[column] for column in _REFINE.content}, replace
    )
    if held is not None:
        return held
    (refine_id,) = next_ids(cursor, "refine_ids")
    spec = json.loads(to_json(row["spec"]))
    sealed = to_json({**spec, SEAL: seal(spec, row["weights"])})
    own = {"refine_id": refine_id, "name": name, "spec": sealed, "created_at": utc_now()}
    insert(cursor, "refines", {**row, **own})
    arrays = {name: np.asarray(values) for name, values in saliency.items() if name != "target"}
    insert_arrays(
        cursor,
        _INSERT_SALIENCY[text_type(saliency["target"])],
        {"target": key_array(saliency["target"]), **arrays},
        [refine_id],
    )
    return refine_id


def load(cursor: Cursor, name: str) -> RefineRow | None:
    """Attributors by name, or None."""
    rows = run_named(cursor, _SELECT)
    return next((_row(row) for row in rows if row["name"] == name), None)


def listing(cursor: Cursor) -> list[RefineRow]:
    """All named attributors, by name."""
    return [_row(row) for row in run_named(cursor, _SELECT)]


def models(cursor: Cursor) -> dict[str, tuple[int, str]]:
    """By the name of attributors, the id and the name of the model that they explain."""
    return {name: (model_id, model) for name, model_id, model in run(cursor, _MODELS)}


def _row(columns: dict[str, Any]) -> RefineRow:
    place = CheckedRow("refines", "refine_id", columns["refine_id"], columns["name"])
    for table in ("model", "graph"):
        if columns[table] is None:
            missing = f"a {table} that is not stored"
            raise place.wrong(f"{table}_id", missing, f"the {table}_id of a stored {table}")
    spec = place.read_json("spec", columns["spec"])
    return RefineRow(**{**columns, "spec": spec}, seal=spec.pop(SEAL, None))
