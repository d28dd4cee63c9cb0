"""A subgraph as text: a tree from the target, each node once, then the edges that close cycles.

    42 · class 1                      the target
    ├── 7 · class 1                   ──  both directions (a pair)
    │   └◀─ 9 · class 0               ◀─  a message from 9 to 7
    └─▶ 12
        12 ── 9                       closes a cycle

Where a whole graph is explained, the tree starts at the node with the most neighbours. Features are
lines with their value at the target and a bar of their worth.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from sxq.values.explanation import Explanation
from sxq.values.table import printable

MOST = 40  # edges; a larger drawing cannot be read


def drawing(explanation: Explanation) -> str:
    """The drawing of an explanation; lines have no blanks at their ends."""
    if explanation.over == "features":
        return _reasons(explanation)
    edges = dict.fromkeys(explanation.edges)
    if len(edges) > 2 * MOST:
        return (
            f"{explanation.size} units between {len(explanation.nodes)} nodes: "
            "too many to draw as text"
        )
    near: dict[Any, list] = defaultdict(list)
    for u, v in edges:
        for a, b in ((u, v), (v, u)):
            if b not in near[a]:
                near[a].append(b)
    root = explanation.target
    if explanation.kind == "graph":
        lone = explanation.graph.name(int(explanation.nodes[0]))  # of a single node without edges
        root = max(near, key=lambda node: len(near[node]), default=lone)
    parents, order = _tree(root, near)
    children = defaultdict(list)
    for node in order[1:]:
        children[parents[node]].append(node)
    names = _names(explanation)
    lines = [names(root)]
    _branches(root, "", children=children, edges=edges, names=names, lines=lines)
    tree = {frozenset((node, parents[node])) for node in order[1:]}
    lines += [
        f"    {_written(u)} {_arrow(u, v, edges)} {_written(v)}" for u, v in _closing(edges, tree)
    ]
    return "\n".join(lines)


def _reasons(explanation: Explanation) -> str:
    """The features of an explanation, worth most first, with bars of their worth."""
    reasons = explanation.reasons[:MOST]
    rows = [(_written(one.unit), one.text, "█" * round(8 * one.share)) for one in reasons]
    wide, high = (max(len(row[column]) for row in rows) for column in range(2))
    lines = [f"{name:{wide}}  {value:>{high}}  {bar}".rstrip() for name, value, bar in rows]
    hidden = len(explanation.units) - len(rows)
    return "\n".join([*lines, *([f"... {hidden} more"] if hidden else [])])


def _tree(root: Any, near) -> tuple[dict[Any, Any], list[Any]]:
    """Breadth first: the parent of each node, and the order in which the search meets them."""
    parents = {root: None}
    order = [root]
    for node in order:
        for other in near[node]:
            if other not in parents:
                parents[other] = node
                order.append(other)
    return parents, order


def _branches(node, indent, *, children, edges, names, lines) -> None:
    for number, child in enumerate(children[node]):
        last = number == len(children[node]) - 1
        lines.append(f"{indent}{'└' if last else '├'}{_arrow(node, child, edges)} {names(child)}")
        below = indent + ("    " if last else "│   ")
        _branches(child, below, children=children, edges=edges, names=names, lines=lines)


def _arrow(a: Any, b: Any, edges) -> str:
    """The direction of messages between a and b: to b, from b, or both ways."""
    if (a, b) not in edges:
        return "◀─"
    return "──" if (b, a) in edges else "─▶"


def _closing(edges, tree: set[frozenset]) -> list[tuple[Any, Any]]:
    """The edges that close cycles: not in the tree, no loops, a pair once."""
    closing: dict[frozenset, tuple[Any, Any]] = {}
    for edge in edges:
        ends = frozenset(edge)
        if ends not in tree and len(ends) == 2:
            closing.setdefault(ends, edge)
    return list(closing.values())


def _names(explanation: Explanation) -> Callable[[Any], str]:
    """How a node is written: its key, and its class where it has one."""
    graph = explanation.graph
    if graph is None or graph.y is None:
        return _written
    label = {graph.name(p): int(graph.y[p]) for p in explanation.nodes.tolist()}
    return lambda key: (
        f"{_written(key)} · class {label[key]}" if label.get(key, -1) >= 0 else _written(key)
    )


def _written(key: Any) -> str:
    return printable(str(key)).replace("\n", "\\n")
