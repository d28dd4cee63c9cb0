"""A subgraph as text: a tree from the target, each node once, then the edges that close circles.

    42 · class 1                      the target
    ├── 7 · class 1                   ──  both directions (a pair)
    │   └◀─ 9 · class 0               ◀─  a message from 9 to 7
    └─▶ 12
        12 ── 9                       closes a circle

Where a whole graph is explained, the tree begins at the node with the most neighbours.
"""

from collections import defaultdict
from typing import Any

from sxq.values.explanation import Explanation

MOST = 40  # edges; a larger subgraph is no drawing any more


def drawing(explanation: Explanation) -> str:
    """The drawing of an explanation, lines without blanks at their ends."""
    edges = dict.fromkeys(explanation.edges)
    if len(edges) > 2 * MOST:
        return f"{explanation.size} units between {len(explanation.nodes)} nodes: too many to draw as text"
    near = defaultdict(list)
    for u, v in edges:
        for a, b in ((u, v), (v, u)):
            if b not in near[a]:
                near[a].append(b)
    root = (
        explanation.target
        if explanation.kind == "node"
        else max(near, key=lambda node: len(near[node]))
    )
    parents, order = _tree(root, near)
    children = defaultdict(list)
    for node in order[1:]:
        children[parents[node]].append(node)
    names = _names(explanation)
    lines = [names(root)]
    _branches(root, "", children, edges, names, lines)
    circles = {frozenset(e) for e in edges} - {frozenset((n, parents[n])) for n in order[1:]}
    pairs = [pair for pair in dict.fromkeys(map(_pair(circles), edges)) if pair]
    lines += [f"    {u} {_arrow(u, v, edges)} {v}" for u, v in pairs]
    return "\n".join(lines)


def _tree(root: Any, near) -> tuple[dict[Any, Any], list[Any]]:
    """Breadth first: the parent of each node, and the order in which they are met."""
    parents, order = {root: None}, [root]
    for node in order:
        for other in near[node]:
            if other not in parents:
                parents[other] = node
                order.append(other)
    return parents, order


def _branches(node, indent, children, edges, names, lines) -> None:
    for number, child in enumerate(children[node]):
        last = number == len(children[node]) - 1
        lines.append(f"{indent}{'└' if last else '├'}{_arrow(node, child, edges)} {names(child)}")
        _branches(child, indent + ("    " if last else "│   "), children, edges, names, lines)


def _arrow(a: Any, b: Any, edges) -> str:
    """How a stands to b: a message to b, from b, or both ways."""
    there, back = (a, b) in edges, (b, a) in edges
    return "──" if there and back else "─▶" if there else "◀─"


def _pair(circles: set):
    """Of an edge that closes a circle its ends, once for both directions."""
    seen = set()

    def pair(edge):
        ends = frozenset(edge)
        if ends not in circles or ends in seen or len(ends) == 1:
            return None
        seen.add(ends)
        return edge

    return pair


def _names(explanation: Explanation):
    graph = explanation.graph
    if graph is None or graph.y is None:
        return lambda key: str(key)
    label = {graph.key(p): int(graph.y[p]) for p in explanation.nodes.tolist()}
    return lambda key: f"{key} · class {label[key]}" if label.get(key, -1) >= 0 else str(key)
