"""The scene that pictures draw: the members of one target in their context, each node at the same place in all.

The context is the part nearest to the target, as much as a reader can take in: first the members' nodes, then
rings of neighbours until there are NODES. Of very large members the nearest OWN nodes are drawn and the other
edges counted. A graph that is explained as a whole has no target node: all nodes of its members are in the middle.
Nothing is random: the same answer always gives the same picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.graph.types import REVERSED
from sxq.pictures import colours, networks
from sxq.values.explanation import Explanation

NODES = 80  # most nodes drawn, where the members alone do not need more
OWN = 500  # most nodes of members drawn
CONTEXT_EDGES = 600  # most grey edges
GOLDEN_ANGLE = 2.399963  # start angles in multiples of it, so that no two nodes begin at one place


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    """n nodes, a target node first, at fixed places; edges by local node numbers."""

    graph: Any  # sxq.graph.Graph
    positions: np.ndarray  # [n] in the graph
    places: np.ndarray  # [n, 2] in [-1, 1]
    hops: np.ndarray  # [n] steps from the target node, or from the members of a whole graph
    context: list[tuple[int, int]]  # edges of the graph between the nodes; pairs once
    truth: list[tuple[int, int]]  # those of `context` that a ground truth names
    members: list[list[tuple[int, int]]]  # the edges of each explanation, likewise
    relations: list[list[str]]  # the types of these edges, in words; empty where they have none
    widths: list[list[float]]  # of these edges, by their worth: 1/2 to 3/2; 1 where it is not known
    own: list[list[int]]  # the nodes of each explanation, those without edges too
    left_out: list[int]  # edges of each explanation that lie too far away to be drawn
    directed: bool  # whether edges are drawn as arrows
    rooted: bool  # whether the first node is the target

    def inside(self, number: int) -> set[int]:
        """The nodes of one member, and the target node."""
        nodes = (node for edge in self.members[number] for node in edge)
        return {*range(self.rooted), *nodes, *self.own[number]}

    def labels(self) -> list[int | None]:
        """Class label of each node, None where it has none."""
        y = self.graph.y
        return [None if y is None or y[p] < 0 else int(y[p]) for p in self.positions]

    def keys(self) -> list[Any]:
        """The user's key of each node."""
        return [self.graph.key(int(p)) for p in self.positions]

    def names(self) -> list[str]:
        """The full name of each node: its key, after its type where nodes have types."""
        return [str(self.graph.name(int(p))) for p in self.positions]

    def fills(self) -> list[str]:
        """The colour of each node: of its type, else of its class."""
        types = self.graph.types
        if types is None:
            return colours.of_nodes(self.labels())
        return [colours.of_class(int(number)) for number in types.of_node[self.positions]]

    def legend(self) -> list[tuple[str, str]]:
        """What colours stand for: a name and a colour each."""
        types = self.graph.types
        if types is None:
            labels = sorted({label for label in self.labels() if label is not None})
            return [(f"label {label}", colours.of_class(label)) for label in labels]
        numbers = np.unique(types.of_node[self.positions]).tolist()
        return [(types.node_types[number], colours.of_class(number)) for number in numbers]


def scene(explanations: Sequence[Explanation], nodes: int = NODES) -> Scene:
    """The scene of explanations of one target on one graph."""
    graph = explanations[0].graph
    rooted = explanations[0].kind == "node"
    own = np.unique(np.concatenate([e.nodes for e in explanations]))
    roots = np.array([graph.position(explanations[0].target)]) if rooted else own[:OWN]
    positions, hops = _around(graph, roots, own, nodes)
    local = {int(p): i for i, p in enumerate(positions)}
    pairs = [graph.undirected and _whole(e) for e in explanations]
    edges = [_edges(e.edge_index, as_pairs) for e, as_pairs in zip(explanations, pairs)]
    members = [_local(found, local) for found in edges]
    widths = [_widths(e, found, local) for e, found in zip(explanations, edges)]
    context, truth = _context(graph, positions, local)
    places = (
        _around_target(hops, context, members) if rooted else packed(len(hops), context, members)
    )
    return Scene(
        graph=graph,
        positions=positions,
        places=places,
        hops=hops,
        context=context,
        truth=truth,
        members=members,
        widths=widths,
        relations=[_relations(e, found, local) for e, found in zip(explanations, edges)],
        own=[sorted(local[p] for p in e.nodes.tolist() if p in local) for e in explanations],
        left_out=[len(found) - len(drawn) for found, drawn in zip(edges, members)],
        directed=not all(pairs),
        rooted=rooted,
    )


def _whole(explanation: Explanation) -> bool:
    """Whether the subgraph holds every edge in both directions: its units are pairs."""
    edges = set(map(tuple, explanation.edge_index.T.tolist()))
    return all((v, u) in edges for u, v in edges)


def _around(graph, roots: np.ndarray, own: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The roots, the members' nodes and the nearest others, with their steps from the roots."""
    hop = dict.fromkeys(roots.tolist(), 0)
    ring = roots
    step = 0
    missing = set(own.tolist()) - set(hop)  # nodes of members that no ring has reached yet
    room_for_own = OWN + 1 - len(hop)
    while len(ring) and (missing or len(hop) < most):
        step += 1
        sources = np.unique(graph.edge_index[0, graph.in_edges(ring)])
        found = [p for p in sources.tolist() if p not in hop]
        needed = [p for p in found if p in missing][:room_for_own]
        room_for_own -= len(needed)
        room_for_others = max(0, most - len(hop) - min(len(missing), OWN))
        others = [p for p in found if p not in missing][:room_for_others]
        missing = missing - set(needed) if room_for_own else set()
        ring = np.array(needed + others, dtype=np.int64)
        hop |= dict.fromkeys(ring.tolist(), step)
    # What is still missing is reached from the target, not towards it.
    hop |= dict.fromkeys(sorted(missing)[:room_for_own], step + 1)
    return np.array(list(hop)), np.array(list(hop.values()))


def _edges(edge_index: np.ndarray, as_pairs: bool) -> list[tuple[int, int]]:
    """Edges by position, pairs once."""
    edges = map(tuple, edge_index.T.tolist())
    return list(dict.fromkeys((min(e), max(e)) if as_pairs else e for e in edges))


def _widths(e: Explanation, edges: list[tuple[int, int]], local: dict[int, int]) -> list[float]:
    """The widths of the edges that are drawn, as `_local` has them."""
    known = dict(zip(map(tuple, e.edge_index.T.tolist()), e.edge_share.tolist()))
    return [0.5 + known[u, v] for u, v in edges if u in local and v in local]


def _relations(e: Explanation, edges: list[tuple[int, int]], local: dict[int, int]) -> list[str]:
    """The types of the edges that are drawn, as `_local` has them; of a pair that of one direction."""
    types = e.graph.types
    found: dict[tuple[int, int], list[str]] = {}
    if types is not None and e.edge_numbers is not None:
        kinds = types.of_edge[e.edge_numbers].tolist()
        for (u, v), kind in zip(e.edge_index.T.tolist(), kinds):
            found.setdefault((u, v), []).append(types.edge_types[kind][1])
    return [_said(found, u, v) for u, v in edges if u in local and v in local]


def _said(found: dict[tuple[int, int], list[str]], u: int, v: int) -> str:
    """The relations between two nodes, without those that only mirror another one."""
    names = dict.fromkeys([*found.get((u, v), ()), *found.get((v, u), ())])
    mirrors = {name for name in names if name.startswith(REVERSED)}
    own = [n for n in names if n not in mirrors or n.removeprefix(REVERSED) not in names]
    return ", ".join(own)


def _local(edges: list[tuple[int, int]], local: dict[int, int]) -> list[tuple[int, int]]:
    return [(local[u], local[v]) for u, v in edges if u in local and v in local]


def _context(graph, positions: np.ndarray, local: dict[int, int]) -> tuple[list, list]:
    """The edges between the nodes, and those that a ground truth names."""
    numbers = graph.in_edges(positions)
    numbers = numbers[np.isin(graph.edge_index[0, numbers], positions)]
    numbers = numbers[graph.edge_index[0, numbers] != graph.edge_index[1, numbers]]
    shown = _edges(graph.edge_index[:, numbers], graph.undirected)[:CONTEXT_EDGES]
    named = numbers[graph.edge_truth[numbers]] if graph.edge_truth is not None else numbers[:0]
    truth = set(shown) & set(_edges(graph.edge_index[:, named], graph.undirected))
    return _local(shown, local), _local(sorted(truth), local)


def _around_target(hops: np.ndarray, context, members) -> np.ndarray:
    """Places in [-1, 1]: first the members' nodes among themselves, then the context around them."""
    own = list(dict.fromkeys(edge for member in members for edge in member))
    core = np.array(sorted({0, *(node for edge in own for node in edge)}))
    places = _spiral(hops + 0.01 * np.arange(len(hops)))
    inner = np.searchsorted(core, np.array(own, dtype=int).reshape(-1, 2))
    places[core] = _stress(_steps(len(core), inner), places[core], np.zeros(len(core), bool))
    pinned = np.zeros(len(hops), bool)
    pinned[core] = True
    places = _stress(_steps(len(hops), [*context, *own]), places, pinned)
    return _framed(places)


def packed(n: int, context, members) -> np.ndarray:
    """Places [n, 2] in [-1, 1] for a whole graph: components by themselves, large ones first, in rows."""
    edges = list(dict.fromkeys([*context, *(edge for member in members for edge in member)]))
    places = np.zeros((n, 2))
    corner = np.zeros(2)
    height = 0.0  # of the row
    width = None  # of all rows
    for part, inner in networks.parts(n, edges):
        own = _component(part, inner)
        size = own.max(axis=0) + 1.0  # room around it, in steps
        width = width or 1.25 * size[0]  # the largest component and a column beside it
        if corner[0] and corner[0] + size[0] > width:
            corner = np.array([0.0, corner[1] + height])
            height = 0.0
        places[part] = own + corner
        corner = corner + (size[0], 0)
        height = max(height, size[1])
    return _framed(places)


def _component(part: np.ndarray, edges: list) -> np.ndarray:
    """Places of one component's nodes, its lowest and leftmost ones at 0."""
    if len(part) == 1:
        return np.zeros((1, 2))
    inner = np.searchsorted(part, edges)
    start = _spiral(np.sqrt(1 + np.arange(len(part))))
    own = _stress(_steps(len(part), inner), start, np.zeros(len(part), bool))
    return own - own.min(axis=0)


def _spiral(radius: np.ndarray) -> np.ndarray:
    """Places [n, 2] to start from, by their distances from the middle."""
    angle = np.arange(len(radius)) * GOLDEN_ANGLE
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]


def _framed(places: np.ndarray) -> np.ndarray:
    """Places moved and stretched into [-1, 1]; a line stays a line."""
    low = places.min(axis=0)
    high = places.max(axis=0)
    spread = np.maximum(high - low, 0.4 * (high - low).max() + 1e-9)
    return 2 * (places - (low + high) / 2) / spread


def _steps(n: int, edges) -> np.ndarray:
    """Steps between all nodes [n, n]; different components are two further than the longest path."""
    steps = networks.steps(n, edges)
    return np.nan_to_num(steps, nan=np.nanmax(steps) + 2)


def _stress(steps: np.ndarray, places: np.ndarray, pinned: np.ndarray) -> np.ndarray:
    """Places [n, 2] whose distances approximate `steps`, by stress majorisation.

    Gansner, Koren and North, Graph Drawing by Stress Majorization, 2004.
    """
    weight = np.where(steps > 0, 1 / np.maximum(steps, 1) ** 2, 0)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    for _ in range(120 if len(places) < 200 else 40):  # each round costs n^2
        apart = places[:, None] - places[None]
        length = np.maximum(np.sqrt((apart**2).sum(axis=2)), 1e-6)
        pull = places[None] + apart * (steps / length)[..., None]
        moved = (weight[..., None] * pull).sum(axis=1) / total
        places = np.where(pinned[:, None], places, moved)
    return places
