"""One self-contained page: fronts to rotate, members to select, the certificate, the plan, and SQL to go on with.

The page is `page.html` with its style, its scripts and the answer as JSON put in. It loads nothing, and a policy
in its head forbids it to. Data reach the page only as JSON, with `<` escaped, and the script shows them by
`textContent`.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from sxq.errors import DataError
from sxq.pictures import colours, words
from sxq.pictures.drawn_pattern import drawn_pattern
from sxq.pictures.edge_facts import edge_facts
from sxq.pictures.scene import Scene, scene
from sxq.values.explanation import Explanation, TargetReport
from sxq.values.files import write_text
from sxq.values.result import Result

HERE = Path(__file__).parent
INLINE = (  # the policy of a page whose parts are in it
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">"
)
SCRIPTS = ("drawing.js", "page.js")  # in their order
TARGETS = 50  # most targets on a page
RECURRING = {"edges": "src, dst", "nodes": "node", "features": "name"}  # columns of a unit
FACTS = 6  # features of a node that are named


def to_html(result: Result, path: str | None = None) -> str:
    """The page of an answer, also written to `path`; see `Result.to_html`."""
    text = page(result)
    if path is not None:
        try:
            write_text(path, text)
        except OSError as error:
            raise DataError(f"cannot write {str(path)!r}: {error.strerror}") from None
    return text


def page(result: Result) -> str:
    """The page of an answer as text."""
    head = f"{INLINE}\n<style>{asset('style.css')}</style>"
    scripts = "\n".join(f"<script>{asset(name)}</script>" for name in SCRIPTS)
    return _filled(head, script_json(content(result)), scripts)


def served_page(result: Result, head: str, scripts: str, more: dict[str, Any]) -> str:
    """The page of an answer whose style and script a server has; `more` joins the page's data."""
    return _filled(head, script_json(content(result) | more), scripts)


def asset(name: str) -> str:
    """A file of the page as text: page.html, style.css or one of SCRIPTS."""
    return (HERE / name).read_text(encoding="utf-8")


def _filled(head: str, data: str, scripts: str) -> str:
    text = asset("page.html")
    text = text.replace("<!--head-->", head).replace("<!--scripts-->", scripts)
    return text.replace("/*data*/", data)


def content(result: Result) -> dict[str, Any]:
    """Everything the page shows, as plain values."""
    shown = [report for report in result.targets if report.field_size is not None][:TARGETS]
    return {
        "text": result.text,
        "plan": result.plan,
        "summary": result.summary(),
        "notes": result.notes(),
        "left_out": len(result.targets) - len(shown),
        "classes": colours.CLASSES,
        "unknown": colours.UNKNOWN,
        "objectives": result.objectives,
        "kind": result.kind,
        "over": result.over,
        "patterns": [drawn_pattern(pattern) for pattern in result.patterns],
        "targets": [_target(report, result) for report in shown],
        "sql": _sql(result),
    }


def _target(report: TargetReport, result: Result) -> dict[str, Any]:
    members = report.explanations
    return {
        "key": str(report.target),
        "meaning": words.meaning(report, result.kind),
        "proof": words.certificate(report, result.epsilon, result.kind, result.over),
        "examined": {
            name: [round(float(v), 4) for v in values] for name, values in report.examined.items()
        },
        "members": [_member(e, result) for e in members],
        "scene": _scene_of(members) if members else None,
    }


def _member(e: Explanation, result: Result) -> dict[str, Any]:
    measures = [
        {"name": name, "raw": e.raw[name], "score": e.scores.get(name)}
        for name in dict.fromkeys([*result.objectives, *result.measures])
        if name in e.raw
    ]
    return {
        "rank": e.rank,
        "recommended": e.recommended,
        "size": e.size,
        "nodes": len(e.nodes),
        "factual": e.factual,
        "tie": e.tie,
        "counterfactual": e.counterfactual,
        "generator": e.generator,
        "covers": e.dominance,
        "measures": measures,
        "reasons": [[words.reason_name(one), one.share, bool(one.needed)] for one in e.reasons],
    }


def _scene_of(members) -> dict[str, Any]:
    """The members as they are drawn; features are listed, so that nothing is drawn."""
    if members[0].over != "features":
        return _scene(scene(members), members)
    nothing: dict[str, list] = {
        name: [[] for _ in members] for name in ("members", "widths", "own", "facts")
    }
    empty: dict[str, list] = {name: [] for name in ("nodes", "context", "truth")}
    left_out = [0 for _ in members]
    return {**nothing, **empty, "left_out": left_out, "directed": False, "rooted": 0}


def _scene(drawn: Scene, members) -> dict[str, Any]:
    labels = drawn.labels()
    keys = drawn.keys()
    typed = drawn.graph.types is not None
    fills = [{"fill": colour} if typed else {} for colour in drawn.fills()]
    nodes = [
        {
            "key": str(key),
            "label": label,
            "x": round(float(x), 4),
            "y": round(float(y), 4),
            "facts": _facts(drawn.graph, int(p), label, int(hop) if drawn.rooted else None),
            **fill,
        }
        for key, label, (x, y), p, hop, fill in zip(
            keys, labels, drawn.places, drawn.positions, drawn.hops, fills
        )
    ]
    places = drawn.positions.tolist()
    facts = [
        edge_facts(e, [(places[u], places[v]) for u, v in edges], not drawn.directed)
        for e, edges in zip(members, drawn.members)
    ]
    return {
        "nodes": nodes,
        "facts": facts,
        "context": drawn.context,
        "truth": drawn.truth,
        "members": drawn.members,
        "widths": [[round(width, 2) for width in widths] for widths in drawn.widths],
        "own": drawn.own,
        "left_out": drawn.left_out,
        "directed": drawn.directed,
        "rooted": drawn.rooted,
        **_typed(drawn),
    }


def _typed(drawn: Scene) -> dict[str, Any]:
    """What colours stand for, and the types of edges, where nodes have types."""
    if drawn.graph.types is None:
        return {}
    return {"legend": drawn.legend(), "relations": drawn.relations}


def _facts(graph, position: int, label: int | None, hop: int | None) -> list[tuple[str, str]]:
    """The facts of a node: label, distance, split, the user's attributes, and its features."""
    types = graph.types
    kind = 0 if types is None else int(types.of_node[position])
    facts = [] if types is None else [("type", types.node_types[kind])]
    facts += [("class", str(label))] if label is not None else []
    if hop is not None:
        facts.append(("hop", str(hop)))
    if graph.split is not None and graph.split[position]:
        facts.append(("split", str(graph.split[position])))
    attributes = ((name, values[position]) for name, values in graph.attributes.items())
    facts += [
        (name, str(value)) for name, value in attributes if types is None or value is not None
    ]
    row = graph.features(np.array([position]))[0]
    names = graph.feature_names
    if types is not None:  # of the widest type there are more columns
        row = row[: types.widths[kind]]
        names = types.feature_names[kind]
    if len(row) <= FACTS:
        if types is None:
            return facts + [
                (graph.feature_name(i), graph.feature_text(i, float(value)))
                for i, value in enumerate(row)
            ]
        first = types.first_feature[kind]
        return facts + [
            (names[i] if names else f"x[{i}]", graph.feature_text(int(first) + i, float(value)))
            for i, value in enumerate(row)
        ]
    largest = np.argsort(-np.abs(row), kind="stable")[:FACTS]
    name = names.__getitem__ if names else str
    named = ", ".join(f"{name(i)}: {row[i]:.3g}" for i in sorted(largest.tolist()) if row[i])
    return facts + [("features", f"{np.count_nonzero(row)} of {len(row)} not zero; {named}")]


def _sql(result: Result) -> list[str]:
    """Statements to go on with; none where the answer is not stored."""
    if result.query_id is None:
        return []
    number = result.query_id
    names = (c if c.isidentifier() else f'"{c}"' for c in result.measures.values())
    columns = ", ".join(names)
    of_class = [
        "SELECT pattern, shape, size, support, fidelity, alike\n"
        f"FROM patterns WHERE query_id = {number} ORDER BY pattern;",
        f"SELECT * FROM pattern_saliency WHERE query_id = {number};",
    ]
    return [
        *(of_class if result.patterns else []),
        f"SELECT target, rank, size, {columns}\nFROM explanations WHERE query_id = {number} ORDER BY target, rank;",
        f"SELECT {RECURRING[result.over]}, count(*) AS members\n"
        f"FROM explanations JOIN explanation_{result.over} USING (explanation_id)\n"
        f"WHERE query_id = {number} GROUP BY ALL ORDER BY members DESC;",
        f"SELECT * FROM targets WHERE query_id = {number};",
        f"AUDIT QUERY {number};",
    ]


def script_json(value: Any) -> str:
    """JSON that is safe inside a script element: no `<`, no NaN, no line separators of JavaScript."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finite(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value
