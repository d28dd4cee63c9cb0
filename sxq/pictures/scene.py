"""What is drawn: the members of one target's skyline in their context, every node at one place in all of them.

The context is what lies nearest to the target, as much as can be looked at: the members' nodes first, then rings
of neighbours until NODES are there. Of very large members the nearest OWN nodes are drawn and the rest is counted.
A graph that is explained as a whole has no target node: there all nodes of the members stand in the middle.
Nothing is random: the same answer is always the same picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import networkx
import numpy as np

from sxq.values.explanation import Explanation

NODES = 80  # most nodes drawn, where the members alone do not need more
OWN = 500  # most nodes of members drawn
CONTEXT_EDGES = 600  # most grey edges


@dataclass(frozen=True, eq=False)
class Scene:
    """n nodes, a target node first, at fixed places; edges by local node numbers."""

    graph: Any  # sxq.graph.Graph
    positions: np.ndarray  # [n] in the graph
    places: np.ndarray  # [n, 2] in [-1, 1]
    hops: np.ndarray  # [n] steps from the target node, or from the members of a whole graph
    context: list[
        tuple[int, int]
    ]  # edges of the graph between the nodes; pairs once where undirected
    truth: list[tuple[int, int]]  # those of `context` that a ground truth names
    members: list[list[tuple[int, int]]]  # the edges of each explanation, likewise
    left_out: list[int]  # edges of each explanation that lie too far away to be drawn
    directed: bool
    rooted: bool  # whether the first node is the target

    def inside(self, number: int) -> set[int]:
        """The nodes of one member, and the target node."""
        return {*range(self.rooted), *(node for edge in self.members[number] for node in edge)}

    def labels(self) -> list[int | None]:
        """Class label of each node, None where it has none."""
        y = self.graph.y
        return [None if y is None or y[p] < 0 else int(y[p]) for p in self.positions]

    def keys(self) -> list[Any]:
        """The user's key of each node."""
        return [self.graph.key(int(p)) for p in self.positions]


def scene(explanations: Sequence[Explanation], nodes: int = NODES) -> Scene:
    """The scene of explanations of one target on one graph."""
    graph, rooted = explanations[0].graph, explanations[0].kind == "node"
    own = np.unique(np.concatenate([e.nodes for e in explanations]))
    roots = np.array([graph.position(explanations[0].target)]) if rooted else own[:OWN]
    positions, hops = _around(graph, roots, own, nodes)
    local = {int(p): i for i, p in enumerate(positions)}
    pairs = [graph.undirected and _whole(e) for e in explanations]
    edges = [_edges(e.edge_index, as_pairs) for e, as_pairs in zip(explanations, pairs)]
    members = [_local(found, local) for found in edges]
    context, truth = _context(graph, positions, local)
    places = _layout(hops, context, members) if rooted else _packed(len(hops), context, members)
    return Scene(
        graph,
        positions,
        places,
        hops,
        context,
        truth,
        members,
        [len(found) - len(drawn) for found, drawn in zip(edges, members)],
        not all(pairs),
        rooted,
    )


def _whole(explanation: Explanation) -> bool:
    """Whether every edge is there in both directions: units are pairs."""
    edges = set(map(tuple, explanation.edge_index.T.tolist()))
    return all((v, u) in edges for u, v in edges)


def _around(graph, roots: np.ndarray, own: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The roots, the members' nodes and the nearest others, with their steps from the roots."""
    hop, ring, step = dict.fromkeys(roots.tolist(), 0), roots, 0
    missing, room_for_own = set(own.tolist()) - set(hop), OWN + 1 - len(hop)
    while len(ring) and (missing or len(hop) < most):
        step += 1
        found = np.unique(graph.edge_index[0, graph.in_edges(ring)])
        found = [p for p in found.tolist() if p not in hop]
        needed = [p for p in found if p in missing][:room_for_own]
        room_for_own -= len(needed)
        others = [p for p in found if p not in missing][
            : max(0, most - len(hop) - min(len(missing), OWN))
        ]
        missing = missing - set(needed) if room_for_own else set()
        ring = np.array(needed + others, dtype=np.int64)
        hop |= dict.fromkeys(ring.tolist(), step)
    hop |= dict.fromkeys(
        sorted(missing)[:room_for_own], step + 1
    )  # reached from the target, not towards it
    return np.array(list(hop)), np.array(list(hop.values()))


def _edges(edge_index: np.ndarray, as_pairs: bool) -> list[tuple[int, int]]:
    """Edges by position, pairs once."""
    return list(
        dict.fromkeys(
            (min(e), max(e)) if as_pairs else e for e in map(tuple, edge_index.T.tolist())
        )
    )


def _local(edges: list[tuple[int, int]], local: dict[int, int]) -> list[tuple[int, int]]:
    return [(local[u], local[v]) for u, v in edges if u in local and v in local]


def _context(graph, positions: np.ndarray, local: dict[int, int]) -> tuple[list, list]:
    """The edges between the nodes, and those of them that a ground truth names."""
    numbers = graph.in_edges(positions)
    numbers = numbers[np.isin(graph.edge_index[0, numbers], positions)]
    numbers = numbers[graph.edge_index[0, numbers] != graph.edge_index[1, numbers]]
    shown = _edges(graph.edge_index[:, numbers], graph.undirected)[:CONTEXT_EDGES]
    named = numbers[graph.edge_truth[numbers]] if graph.edge_truth is not None else numbers[:0]
    truth = set(shown) & set(_edges(graph.edge_index[:, named], graph.undirected))
    return _local(shown, local), _local(sorted(truth), local)


def _layout(hops: np.ndarray, context, members) -> np.ndarray:
    """Places in [-1, 1]: first the members' nodes among themselves, then the context around them."""
    own = list(dict.fromkeys(edge for member in members for edge in member))
    core = np.array(sorted({0, *(node for edge in own for node in edge)}))
    angle = np.arange(len(hops)) * 2.399963  # the golden angle, so that no two begin at one place
    places = (
        np.stack([np.cos(angle), np.sin(angle)], axis=1)
        * (hops + 0.01 * np.arange(len(hops)))[:, None]
    )
    inner = np.searchsorted(core, np.array(own, dtype=int).reshape(-1, 2))
    places[core] = _stress(_steps(len(core), inner), places[core], np.zeros(len(core), bool))
    pinned = np.zeros(len(hops), bool)
    pinned[core] = True
    places = _stress(_steps(len(hops), [*context, *own]), places, pinned)
    return _framed(places)


def _packed(n: int, context, members) -> np.ndarray:
    """Places in [-1, 1] for a whole graph: each part that hangs together by itself, large ones first, in rows."""
    edges = list(dict.fromkeys([*context, *(edge for member in members for edge in member)]))
    net = networkx.Graph(edges)
    net.add_nodes_from(range(n))
    found = (np.array(sorted(part)) for part in networkx.connected_components(net))
    parts = sorted(found, key=lambda part: (-len(part), part[0]))
    places, corner, height, width = np.zeros((n, 2)), np.zeros(2), 0.0, None
    for part in parts:
        angle = np.arange(len(part)) * 2.399963
        start = (
            np.stack([np.cos(angle), np.sin(angle)], axis=1)
            * np.sqrt(1 + np.arange(len(part)))[:, None]
        )
        inner = [
            (u, v)
            for u, v in np.searchsorted(
                part, list(net.subgraph(part).edges) or np.zeros((0, 2), int)
            )
        ]
        own = (
            _stress(_steps(len(part), inner), start, np.zeros(len(part), bool))
            if len(part) > 1
            else np.zeros((1, 2))
        )
        own -= own.min(axis=0)
        size = own.max(axis=0) + 1.0  # room around it, in steps
        width = width or 1.25 * size[0]  # the largest part and a column beside it
        if corner[0] and corner[0] + size[0] > width:
            corner, height = np.array([0.0, corner[1] + height]), 0.0
        places[part] = own + corner
        corner, height = corner + (size[0], 0), max(height, size[1])
    return _framed(places)


def _framed(places: np.ndarray) -> np.ndarray:
    """Places moved and stretched into [-1, 1]; a line stays a line."""
    low, high = places.min(axis=0), places.max(axis=0)
    spread = np.maximum(high - low, 0.4 * (high - low).max() + 1e-9)
    return 2 * (places - (low + high) / 2) / spread


def _steps(n: int, edges) -> np.ndarray:
    """Steps between all nodes [n, n]; parts that hang together nowhere are two further than the longest way."""
    net = networkx.Graph()
    net.add_nodes_from(range(n))
    net.add_edges_from(map(tuple, edges))
    steps = np.full((n, n), np.nan)
    for node, found in networkx.all_pairs_shortest_path_length(net):
        steps[node, list(found)] = list(found.values())
    return np.nan_to_num(steps, nan=np.nanmax(steps) + 2)


def _stress(steps: np.ndarray, places: np.ndarray, pinned: np.ndarray) -> np.ndarray:
    """Places [n, 2] whose distances come near to `steps` (stress majorisation; Gansner, Koren and North 2004)."""
    weight = np.where(steps > 0, 1 / np.maximum(steps, 1) ** 2, 0)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    for _ in range(120 if len(places) < 200 else 40):  # each round costs n^2
        apart = places[:, None] - places[None]
        length = np.maximum(np.sqrt((apart**2).sum(axis=2)), 1e-6)
        pull = places[None] + apart * (steps / length)[..., None]
        moved = (weight[..., None] * pull).sum(axis=1) / total
        places = np.where(pinned[:, None], places, moved)
    return places
