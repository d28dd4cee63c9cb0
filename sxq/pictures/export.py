"""Answers as files for other programs: GraphML, JSON and CSV. For Parquet there is DuckDB's COPY.

GraphML   one directed graph on the user's keys; every edge says which members hold it
JSON      the statement, the report of every target, every member with its edges and measures
"""

import json
import math
from pathlib import Path
from typing import Any

from sxq.errors import DataError, InvalidValue
from sxq.graph.keys import written
from sxq.graph.link_field import TypedLinkKey
from sxq.graph.typed_keys import TypedKey
from sxq.graph.types import shown_type
from sxq.pictures.networks import write_graphml
from sxq.values.explanation import Explanation, Reason, TargetReport
from sxq.values.files import replacing
from sxq.values.pattern import ClassPattern
from sxq.values.result import Result
from sxq.values.table import csv_line, json_text

REPORTED = (  # what JSON says of a target
    "target",
    "status",
    "prediction",
    "class",
    "against",
    "probability",
    "p_empty",
    "self_sufficient",
    "field_size",
    "hops",
    "candidates",
    "explanatory",
    "front",
    "dominance",
    "coverage",
    "epsilon_achieved",
    "proved",
    "bound",
    "complete",
    "note",
)


def export(result: Result, path: str) -> None:
    """Write an answer to `path`, by its suffix; see `Result.export`."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise InvalidValue(
            f"cannot export to {str(path)!r}: expected one of {', '.join(WRITERS)} "
            "(for Parquet: COPY (SELECT ...) TO 'file.parquet')"
        )
    try:
        with replacing(path) as file:
            WRITERS[suffix](result, file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot write {str(path)!r}: {reason}") from None


def content(result: Result) -> dict[str, Any]:
    """The answer as plain values."""
    return {
        "query_id": result.query_id,
        "text": result.text,
        "plan": result.plan,
        "seconds": result.seconds,
        **(
            {"patterns": [_pattern(pattern) for pattern in result.patterns]} if result.found else {}
        ),
        "targets": [_target(report) for report in result.targets],
    }


def _pattern(pattern: ClassPattern) -> dict[str, Any]:
    return {
        "pattern": pattern.number,
        "class": pattern.of_class,
        "shape": pattern.shape,
        "support": pattern.support,
        "held_by": pattern.held_by,
        "fidelity": pattern.fidelity,
        "alike": pattern.alike,
        "labelled_by": pattern.labelled_by,
        "labels": pattern.labels,
        "edges": pattern.edges,
        **({"node_types": pattern.node_types} if pattern.node_types else {}),
        **({"edge_types": pattern.edge_types} if pattern.edge_types else {}),
        "matches": [
            {"target": _key(m.target), "rank": m.rank, "nodes": [_key(node) for node in m.nodes]}
            for m in pattern.matches
        ],
    }


def _target(report: TargetReport) -> dict[str, Any]:
    named = {"class": "asked"}  # a keyword of Python
    reported = {name: getattr(report, named.get(name, name)) for name in REPORTED}
    reported["target"] = _key(report.target)
    return reported | {"explanations": [_member(e) for e in report.explanations]}


def _member(e: Explanation) -> dict[str, Any]:
    return {
        "rank": e.rank,
        "size": e.size,
        "factual": e.factual,
        "counterfactual": e.counterfactual,
        "generator": e.generator,
        "dominance": e.dominance,
        "raw": dict(e.raw),
        "scores": dict(e.scores),
        "edges": [(_key(u), _key(v)) for u, v in e.edges],
        **({"edge_types": types} if (types := _types(e)) else {}),
        **({e.over: [_unit(one) for one in e.reasons]} if e.over != "edges" else {}),
    }


def _types(e: Explanation) -> list[str]:
    """The type of each edge; empty where edges have none."""
    types = getattr(e.graph, "types", None)
    if types is None:
        return []
    names = list(map(shown_type, types.edge_types))
    return [names[number] for number in types.of_edge[e.edge_numbers].tolist()]


def _unit(one: Reason) -> dict[str, Any]:
    """A node or a feature, with its worth."""
    value = {} if one.value is None else {"value": one.value}
    worth = {"worth_kept": one.kept, "worth_removed": one.removed, "needed": one.needed}
    return {"unit": _key(one.unit), **value, **worth}


def _json(result: Result, path: Path) -> None:
    text = json.dumps(
        _valid(content(result)), ensure_ascii=False, indent=1, default=written, allow_nan=False
    )
    path.write_text(json_text(text), encoding="utf-8")


def _valid(value: Any) -> Any:
    """A value that JSON can hold; null stands for a number that is not finite."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _valid(item) for name, item in value.items()}
        case list() | tuple():
            return [_valid(item) for item in value]
    return value


def _key(key: Any) -> Any:
    """A key for JSON; one that is infinite is text."""
    if isinstance(key, TypedKey):
        return {"key": _key(key.key), "node_type": key.node_type}
    if isinstance(key, TypedLinkKey):
        return {"key": [_key(end) for end in key], "edge_type": shown_type(key.edge_type)}
    return str(key) if isinstance(key, float) and not math.isfinite(key) else key


def _csv(result: Result, path: Path) -> None:
    lines = map(csv_line, [result.columns, *result.rows])
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


WRITERS = {".graphml": write_graphml, ".json": _json, ".csv": _csv}
