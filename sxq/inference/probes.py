"""Graphs that differ from the registered one in one place: what moves then, depends on that place.

Three changes are made. *Poison*: one node gets other features. *Swaps*: the edges out of one node
trade their tails with edges of strangers. Every node keeps its degrees and the weights of its
in-edges, so that only who sends the messages differs. *Strangers*: a small part that no path links
to the graph. It lends the edges for the swaps; a model that it moves mixes all nodes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from sxq.graph import Graph

STRANGERS = 24  # nodes of the part that is added
STRANGE_EDGES = 60
NOISE = 1e3
OCCURRING = "values of other nodes"


def changed(graph: Graph, **arrays: Any) -> Graph:
    """The same graph with other arrays, which may be NaN: for plain forward passes only."""
    other = object.__new__(Graph)
    other.__dict__.update(graph.__dict__, **arrays)
    return other


def without_edges(graph: Graph) -> Graph:
    """The graph with its self-loops only."""
    return with_edges(graph, graph.edge_index[0] == graph.edge_index[1])


def with_edges(graph: Graph, keep: np.ndarray) -> Graph:
    """The graph with some of its edges, keep [E] bool."""
    return changed(
        graph,
        edge_index=graph.edge_index[:, keep],
        edge_weight=None if graph.edge_weight is None else graph.edge_weight[keep],
        edge_attr=None if graph.edge_attr is None else graph.edge_attr[keep],
    )


def with_strangers(graph: Graph) -> Graph:
    """The graph and STRANGERS more nodes, with features and edge values that occur in the graph.

    The edges of the strangers are the last ones; on an undirected graph the second half of them
    are the reverse of the first half.
    """
    rng = np.random.default_rng(2)
    rows = rng.integers(0, graph.num_nodes, STRANGERS)
    x = graph.x[rows]
    if not integral(graph.x):
        x = (x * rng.choice([-1.5, 0.5, 1.5], (STRANGERS, 1))).astype(graph.x.dtype)
    pairs = _strange_pairs(rng)
    if graph.undirected:
        pairs = np.concatenate([pairs, pairs[::-1]], axis=1)
    values: np.ndarray = rng.integers(0, max(graph.num_edges, 1), pairs.shape[1])
    if graph.undirected:
        values = np.tile(values[: len(values) // 2], 2)

    def longer(array):
        return None if array is None else np.concatenate([array, array[values]])

    return changed(
        graph,
        x=np.concatenate([graph.x, x]),
        edge_index=np.concatenate([graph.edge_index, pairs + graph.num_nodes], axis=1),
        edge_weight=longer(graph.edge_weight),
        edge_attr=longer(graph.edge_attr),
    )


def _strange_pairs(rng: np.random.Generator) -> np.ndarray:
    """Distinct pairs [2, m] of strangers without loops: a hub, and others at random."""
    hub = np.stack([np.zeros(8, np.int64), np.arange(1, 9)])
    some = rng.integers(0, STRANGERS, (2, STRANGE_EDGES))
    pairs = np.sort(np.concatenate([hub, some], axis=1), axis=0)
    pairs = np.unique(pairs[:, pairs[0] != pairs[1]], axis=1)
    pairs = pairs[:, rng.permutation(pairs.shape[1])]
    flip = rng.random(pairs.shape[1]) < 0.5
    return np.where(flip, pairs[::-1], pairs)


def integral(x: np.ndarray) -> bool:
    """Whether all features are whole numbers, which a model may use as indices."""
    return not np.issubdtype(x.dtype, np.floating) or bool((x == np.floor(x)).all())


def poisons(
    graph: Graph, source: int, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Other features for one node: their description, and x [N, d]."""
    if np.issubdtype(graph.x.dtype, np.floating):
        for name, value in (("NaN", np.nan), ("numbers from 1000 to 2000", NOISE)):
            x = graph.x.copy()
            x[source] = value * (1 + rng.random(graph.num_features))
            yield name, x
    for other in occurring(graph, source, np.random.default_rng(source)):
        x = graph.x.copy()
        x[source] = other
        yield OCCURRING, x


def occurring(graph: Graph, source: int, rng: np.random.Generator, times: int = 3) -> list:
    """Rows [d] that differ from a node's in every column that can: each value occurs in its column."""
    order = rng.permutation(graph.num_nodes)[:1000]
    columns = graph.x[order]
    other = columns != graph.x[source]
    rows = []
    for number in range(times):
        later = np.cumsum(other, axis=0) > number  # the next differing value, while there is one
        first = np.where(later.any(axis=0), later.argmax(axis=0), other.argmax(axis=0))
        rows.append(columns[first, np.arange(graph.num_features)])
    return rows


def swap_out(graph: Graph, larger: Graph, source: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges out of `source` trade tails with strange edges: edge_index [2, E + m], and heads [k].

    The heads are the nodes of `graph` that an edge now reaches from elsewhere. On an undirected
    graph both directions are traded, so that pairs stay pairs.
    """
    loop = graph.edge_index[0] == graph.edge_index[1]
    leaving = np.flatnonzero((graph.edge_index[0] == source) & ~loop)
    leaving = leaving[np.argsort(graph.edge_index[1, leaving], kind="stable")]
    strange = np.arange(graph.num_edges, larger.num_edges)
    pairs = len(strange) // 2 if graph.undirected else len(strange)
    ends = larger.edge_index.copy()
    some, chosen = matched(ends, leaving, np.roll(strange[:pairs], shift))
    trade(ends, some, chosen)
    heads = graph.edge_index[1, some]
    if not graph.undirected:
        return ends, heads
    entering = np.flatnonzero((graph.edge_index[1] == source) & ~loop)
    entering = entering[np.argsort(graph.edge_index[0, entering], kind="stable")]
    place = {edge: number for number, edge in enumerate(leaving.tolist())}
    trade(ends, chosen + pairs, entering[[place[edge] for edge in some.tolist()]])
    return ends, np.append(heads, source)


def trade(ends: np.ndarray, some: np.ndarray, others: np.ndarray) -> None:
    """Edges trade their tails, in place."""
    tails = ends[0, some].copy()
    ends[0, some] = ends[0, others]
    ends[0, others] = tails


def matched(
    ends: np.ndarray, edges: np.ndarray, strange: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of an edge and a strange edge that can trade tails: their numbers [k] each.

    No two edges get the same ends, since a model may count such as one.
    """
    left = strange.tolist()
    taken: set[tuple[int, int]] = set()
    found: list[tuple[int, int]] = []
    for edge in edges.tolist():
        tail, head = ends[:, edge].tolist()
        for number in left:
            other_tail, other_head = ends[:, number].tolist()
            new = {(other_tail, head), (tail, other_head)}
            if not new & taken:
                taken |= new
                left.remove(number)
                found.append((edge, number))
                break
        if not left:
            break
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def trade_with_strangers(
    graph: Graph, larger: Graph, edges: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The ends [2, E + m] where the first of the given edges trade tails with strange edges."""
    ends = larger.edge_index.copy()
    strange = rng.permutation(np.arange(graph.num_edges, larger.num_edges))
    trade(ends, *matched(ends, edges, strange))
    return ends
