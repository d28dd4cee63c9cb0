"""Answers as files for other programs: GraphML, JSON and CSV. For Parquet there is DuckDB's COPY.

GraphML   one directed graph on the user's keys; every edge says which members hold it
JSON      the statement, the report of every target, every member with its edges and measures
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sxq.errors import DataError, InvalidValue
from sxq.graph.keys import written
from sxq.pictures.networks import write_graphml
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.files import replacing
from sxq.values.result import Result

REPORTED = (  # what JSON says of a target
    "target",
    "status",
    "prediction",
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
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error.strerror}") from None


def content(result: Result) -> dict[str, Any]:
    """The answer as plain values."""
    return {
        "query_id": result.query_id,
        "text": result.text,
        "plan": result.plan,
        "seconds": result.seconds,
        "targets": [_target(report) for report in result.targets],
    }


def _target(report: TargetReport) -> dict[str, Any]:
    reported = {name: getattr(report, name) for name in REPORTED}
    return reported | {"explanations": [_member(e) for e in report.explanations]}


def _member(e: Explanation) -> dict[str, Any]:
    return {
        "rank": e.rank,
        "size": e.size,
        "factual": e.factual,
        "counterfactual": e.counterfactual,
        "generator": e.generator,
        "dominance": e.dominance,
        "raw": _finite(e.raw),
        "scores": _finite(e.scores),
        "edges": e.edges,
    }


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values as JSON may hold them: null stands for what is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _json(result: Result, path: Path) -> None:
    text = json.dumps(content(result), ensure_ascii=False, indent=1, default=written)
    path.write_text(text, encoding="utf-8")


WRITERS = {
    ".graphml": write_graphml,
    ".json": _json,
    ".csv": lambda result, path: result.df().to_csv(path, index=False),
}
