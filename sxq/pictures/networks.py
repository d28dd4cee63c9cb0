"""Subgraphs as networkx graphs, for other programs and for layouts.

The only file that knows networkx. It imports it when first needed: that takes longer than opening a
database.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from sxq.errors import DataError
from sxq.graph.keys import written
from sxq.graph.types import shown_type
from sxq.values.explanation import Explanation
from sxq.values.pattern import ClassPattern
from sxq.values.result import Result

if TYPE_CHECKING:
    import networkx

_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # \r would become \n


def library() -> ModuleType:
    """networkx, imported when first asked for."""
    import networkx

    return networkx


def to_networkx(explanation: Explanation) -> "networkx.DiGraph":
    """The subgraph of one explanation on keys; see `Explanation.to_networkx`."""
    graph = explanation.graph
    raw = {name: float(value) for name, value in explanation.raw.items()}
    drawn = library().DiGraph(target=explanation.target, rank=explanation.rank, **raw)
    for position in explanation.nodes.tolist():
        key = graph.name(position)
        label: dict[str, Any] = {} if graph.y is None else {"label": int(graph.y[position])}
        if graph.types is not None:
            label["node_type"] = key.node_type
        is_target = key in explanation.roots
        drawn.add_node(key, target=is_target, **label)
    drawn.add_edges_from(explanation.edges)
    for (u, v), relations in relations_of(explanation).items():
        drawn.edges[u, v]["edge_type"] = ", ".join(relations)
    return drawn


def relations_of(explanation: Explanation) -> dict[tuple[Any, Any], list[str]]:
    """The types of the edges between two nodes, by their names; empty where edges have none."""
    types = getattr(explanation.graph, "types", None)
    found: dict[tuple[Any, Any], list[str]] = {}
    if types is not None:
        for ends, number in zip(explanation.edges, explanation.edge_numbers.tolist()):
            name = shown_type(types.edge_types[types.of_edge[number]])
            if name not in (names := found.setdefault(ends, [])):  # edges may be parallel
                names.append(name)
    return found


def pattern_network(pattern: ClassPattern) -> "networkx.Graph":
    """A pattern by the numbers of its nodes; see `ClassPattern.to_networkx`."""
    typed = bool(pattern.edge_types)
    drawn = library().MultiDiGraph() if typed else _empty(pattern.directed)
    drawn.graph.update(
        pattern=pattern.number,
        support=pattern.support,
        fidelity=pattern.fidelity,
        **{"class": pattern.of_class},
    )
    drawn.add_nodes_from((node, {"label": label}) for node, label in enumerate(pattern.labels))
    for node, kind in enumerate(pattern.node_types):
        drawn.nodes[node]["node_type"] = kind
    if not typed:
        drawn.add_edges_from(pattern.edges)
    for (u, v), kind, arrow in zip(pattern.edges, pattern.edge_types, pattern.arrows):
        drawn.add_edge(u, v, edge_type=kind)
        if not arrow:
            drawn.add_edge(v, u, edge_type=kind)
    return drawn


def _empty(directed: bool) -> "networkx.Graph":
    return library().DiGraph() if directed else library().Graph()


def union(result: Result) -> "networkx.DiGraph":
    """All members as one graph: nodes `target`, `label`; edges `members` ("19:1 19:3"), `count`.

    Nodes go by their keys, in a collection by "graph/key".
    """
    whole = library().DiGraph()
    for e in result:

        def name(key, e=e):
            return key if e.kind != "graph" else f"{e.target}/{key}"

        for key, facts in to_networkx(e).nodes(data=True):
            known = whole.nodes.get(name(key), {})
            is_target = facts["target"] or known.get("target", False)
            whole.add_node(name(key), **facts | {"target": is_target})
        for u, v in ((name(u), name(v)) for u, v in e.edges):
            held = whole.get_edge_data(u, v, {}).get("members", "").split()
            held.append(f"{e.target}:{e.rank}")
            whole.add_edge(u, v, members=" ".join(held), count=len(held))
        for (u, v), relations in relations_of(e).items():
            whole.edges[name(u), name(v)]["edge_type"] = ", ".join(relations)
    return whole


def write_graphml(result: Result, path: Path) -> None:
    """Write the union of all members as GraphML; raises DataError where they are features."""
    if result.over == "features":
        raise DataError(
            "an answer OVER FEATURES has no edges to write as GraphML; export to .json or .csv"
        )
    whole = union(result)
    for _, _, facts in whole.edges(data=True):
        facts["members"] = _for_xml(facts["members"])
    library().write_graphml(library().relabel_nodes(whole, _names_for_xml(whole)), path)


def _names_for_xml(whole: "networkx.DiGraph") -> dict[Any, str]:
    """A name for every node that XML can hold; two nodes never share one."""
    names: dict[Any, str] = {}
    taken: set[str] = set()
    for node in whole:
        name = _for_xml(str(written(node)))
        while name in taken:
            name += "'"
        taken.add(name)
        names[node] = name
    return names


def _for_xml(text: str) -> str:
    """Text that XML can hold: any other sign is spelled out."""
    return _NO_XML.sub(lambda found: ascii(found.group())[1:-1], text)


def parts(n: int, edges: Iterable[tuple[int, int]]) -> list[tuple[np.ndarray, list]]:
    """The connected components of n nodes, large ones first: sorted nodes, and edges among them."""
    networkx = library()
    net = networkx.Graph(edges)
    net.add_nodes_from(range(n))
    found = (np.array(sorted(part)) for part in networkx.connected_components(net))
    by_size = sorted(found, key=lambda part: (-len(part), part[0]))
    return [(part, list(net.subgraph(part).edges)) for part in by_size]


def steps(n: int, edges: Iterable) -> np.ndarray:
    """Steps between all pairs of n nodes [n, n], NaN between nodes that nothing connects."""
    networkx = library()
    net = networkx.Graph()
    net.add_nodes_from(range(n))
    net.add_edges_from(map(tuple, edges))
    found = np.full((n, n), np.nan)
    for node, lengths in networkx.all_pairs_shortest_path_length(net):
        found[node, list(lengths)] = list(lengths.values())
    return found
