"""What a model is given beyond float32 features: the rows of `graph_inputs`.

The values are those of `Graph.columns()`: `forms`, the arrays that they describe, node_inputs and
edge_inputs (arrays by name), left_out (texts by name), encoding (a dict, or None),
edge_names (a list, or None), edge_attributes (lists of texts by name). Arrays are stored as their bytes, so that
they are read back bit for bit; the tables `nodes` and `edges` show x, weight and attr as floats.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from sxq.errors import StoreError
from sxq.graph.edge_texts import CASTS, TEXT, EdgeTexts, sql_type
from sxq.storage.checked_graphs import INPUTS
from sxq.storage.rows import Cursor, insert, run

_JSON = "JSON"  # the form of edge attributes that are text, and of all in older files
EDGE_ATTRIBUTE = "edge attribute"  # the view edge_attributes knows it by this name
PART = INPUTS  # in `graphs.parts`, if the graph has rows here
FORMS = ("x", "edge_weight", "edge_attr")  # the arrays whose type and shape may differ
TYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "bfloat16"),
)
EXACT = ("bool", "uint8", "int8", "int16", "float16", "float32", "bfloat16")  # as floats
_FORM = re.compile(r"(\w+) \[((?:\d+(?:, \d+)*)?)\]")
_OPTIONAL = ("forms", "left_out", "encoding", "edge_names", "edge_attributes")
_LEVELS = {"node": "node_inputs", "edge": "edge_inputs"}


def any_of(columns: Mapping[str, Any]) -> bool:
    """Whether a graph has anything that belongs into `graph_inputs`."""
    return any(columns.get(name) for name in (*_OPTIONAL, *_LEVELS.values()))


def save(cursor: Cursor, graph_id: int, columns: Mapping[str, Any]) -> None:
    """Write the rows of a graph."""
    for name, form in columns["forms"].items():
        kind = form.split()[0]
        given = name in FORMS and kind not in EXACT
        content = columns[name].tobytes() if given else None
        _insert(cursor, graph_id, name, "form", form, content)
    for level, held in _LEVELS.items():
        for name, array in columns[held].items():
            form = f"{array.dtype} {list(array.shape[1:])}"
            _insert(cursor, graph_id, name, level, form, array.tobytes())
    for name, found in columns["left_out"].items():
        _insert(cursor, graph_id, name, "left out", found, None)
    if columns.get("encoding"):
        _insert(cursor, graph_id, "x", "encoding", json.dumps(columns["encoding"]), None)
    if columns.get("edge_names"):
        _insert(cursor, graph_id, "edge_attr", "names", json.dumps(columns["edge_names"]), None)
    for name, texts in (columns.get("edge_attributes") or {}).items():
        content = json.dumps(texts).encode()
        kind = sql_type(texts)
        _insert(cursor, graph_id, name, EDGE_ATTRIBUTE, _JSON if kind == TEXT else kind, content)


def load(cursor: Cursor, graph_id: int, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a graph, with those that `graph_inputs` holds; raises StoreError."""
    found: dict[str, Any] = {
        **columns,
        **{name: {} for name in ("forms", "left_out", *_LEVELS.values())},
    }
    rows = run(
        cursor,
        "SELECT name, level, form, content FROM graph_inputs WHERE graph_id = ? ORDER BY ordinal",
        [graph_id],
    )
    for name, level, form, content in rows:
        if level == "encoding":
            found["encoding"] = _json(name, form, dict)
        elif level == "names":
            found["edge_names"] = _json(name, form, list)
        elif level == EDGE_ATTRIBUTE:
            texts = found.setdefault("edge_attributes", {})
            kind = form if form in CASTS else TEXT
            texts[name] = EdgeTexts(_json(name, content, list), kind)
        elif level == "left out":
            found["left_out"][name] = form
        elif level == "form" and name not in FORMS:
            _type(name, form)
            found["forms"][name] = form
        elif level == "form" and found[name] is not None:
            found["forms"][name] = form
            if content is not None:
                found[name] = _array(name, form, content, np.shape(found[name]))
            _type(name, form)
        elif level in _LEVELS:
            rows_of = len(found["x"]) if level == "node" else found["edge_index"].shape[1]
            shape = (rows_of, *_type(name, form)[1])
            found[_LEVELS[level]][name] = _array(name, form, content, shape)
        else:
            raise StoreError(f"graph_inputs, row {name!r}: level {level!r} is none that sxq writes")
    _require_inputs(found)
    return found


def _require_inputs(found: Mapping[str, Any]) -> None:
    """Raise StoreError for the form of an input that is not there, or that does not fit its rows."""
    for name, form in found["forms"].items():
        if name in FORMS:
            continue
        array = found["node_inputs"].get(name)
        if array is None or math.prod(_type(name, form)[1]) != array[:1].size:
            raise StoreError(f"graph_inputs, row {name!r}: form {form!r} fits no input of nodes")


def _insert(
    cursor: Cursor, graph_id: int, name: str, level: str, *values: str | bytes | None
) -> None:
    form, content = values
    ((ordinal,),) = run(cursor, "SELECT count(*) FROM graph_inputs WHERE graph_id = ?", [graph_id])
    row = {"graph_id": graph_id, "ordinal": ordinal, "name": name, "level": level, "form": form}
    insert(cursor, "graph_inputs", {**row, "content": content})


def _json(name: str, text: Any, kind: type) -> Any:
    """A list or an object in JSON; `Graph` judges what is in it."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        found = None
    if not isinstance(found, kind):
        raise StoreError(f"graph_inputs, row {name!r}: found what is no JSON {kind.__name__}")
    return found


def _type(name: str, form: Any) -> tuple[str, tuple[int, ...]]:
    """The type and the shape of a row; only types that sxq writes."""
    read = _FORM.fullmatch(form or "")
    if read is None or read[1] not in TYPES:
        raise StoreError(f"graph_inputs, row {name!r}: form {form!r} is no type and shape")
    return read[1], tuple(int(size) for size in read[2].split(", ") if size)


def _array(name: str, form: str, content: Any, shape: tuple[int, ...]) -> np.ndarray:
    kind = np.dtype(_type(name, form)[0].replace("bfloat16", "float32"))
    expected = kind.itemsize
    for size in shape:  # Python's integers do not overflow
        expected *= size
    if not isinstance(content, bytes) or len(content) != expected:
        found = len(content) if isinstance(content, bytes) else "no"
        raise StoreError(f"graph_inputs, row {name!r}: {found} bytes, expected {expected}")
    return np.frombuffer(content, kind).reshape(shape)
