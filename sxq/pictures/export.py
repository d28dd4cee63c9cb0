"""Answers as files for other programs: GraphML and JSON; CSV and Parquet are DuckDB's `COPY ... TO`.

Part of the corridor. GraphML: one directed graph on the user's keys; every edge says which members hold it. JSON: the
statement, every target's report, every member with its edges and measures.
"""

import json
import math
from pathlib import Path
from typing import Any

from sxq.errors import DataError, InvalidValue
from sxq.graph.keys import written
from sxq.values.result import Result

REPORTED = (
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
    """Write an answer to `path`, by its suffix; raises InvalidValue (the suffix), DataError (the file)."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise InvalidValue(
            f"cannot export to {str(path)!r}: expected one of {', '.join(WRITERS)} "
            "(for Parquet: COPY (SELECT ...) TO 'file.parquet')"
        )
    try:
        WRITERS[suffix](result, path)
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error.strerror}") from None


def union(result: Result):
    """All members as one `networkx.DiGraph`: nodes `target`, `label`; edges `members` ("19:1 19:3"), `count`.

    Nodes go by their keys, of graphs of a collection by "graph/key".
    """
    import networkx

    whole = networkx.DiGraph()
    for e in result:

        def name(key, e=e):
            return key if e.kind == "node" else f"{e.target}/{key}"

        for key, facts in e.to_networkx().nodes(data=True):
            known = whole.nodes.get(name(key), {})
            whole.add_node(
                name(key), **facts | {"target": facts["target"] or known.get("target", False)}
            )
        for u, v in ((name(u), name(v)) for u, v in e.edges):
            held = [
                *whole.get_edge_data(u, v, {}).get("members", "").split(),
                f"{e.target}:{e.rank}",
            ]
            whole.add_edge(u, v, members=" ".join(held), count=len(held))
    return whole


def content(result: Result) -> dict[str, Any]:
    """The answer as plain values."""
    return {
        "query_id": result.query_id,
        "text": result.text,
        "plan": result.plan,
        "seconds": result.seconds,
        "targets": [
            {name: getattr(report, name) for name in REPORTED}
            | {
                "explanations": [
                    {
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
                    for e in report.explanations
                ]
            }
            for report in result.targets
        ],
    }


def _finite(values) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _graphml(result: Result, path: str) -> None:
    import networkx

    networkx.write_graphml(union(result), path)


def _json(result: Result, path: str) -> None:
    Path(path).write_text(
        json.dumps(content(result), ensure_ascii=False, indent=1, default=written), encoding="utf-8"
    )


WRITERS = {
    ".graphml": _graphml,
    ".json": _json,
    ".csv": lambda result, path: result.df().to_csv(path, index=False),
}
