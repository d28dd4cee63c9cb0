"""Graphs that differ from the registered one in one place: what moves then, depends on that place.

Three changes are made. *Poison*: one node gets other features. *Swaps*: the edges out of one node
trade their tails with edges of strangers. Every node keeps its degrees and the weights of its
in-edges, so that only who sends the messages differs. *Strangers*: a small part that no path links
to the graph. It lends the edges for the swaps; a model that it moves mixes all nodes.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sxq.graph import Graph, GraphTypes

STRANGERS = 24  # nodes of the part that is added
STRANGE_EDGES = 60
NOISE = 1e3
OCCURRING = "values of other nodes"


def changed(graph: Graph, **arrays: Any) -> Graph:
    """The same graph with other arrays, which may be NaN: for plain forward passes only."""
    other = object.__new__(Graph)
    other.__dict__.update(graph.__dict__, **arrays, changed=True)
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
        edge_inputs={name: array[keep] for name, array in graph.edge_inputs.items()},
        types=graph.types and replace(graph.types, of_edge=graph.types.of_edge[keep]),
    )


def with_strangers(graph: Graph) -> Graph:
    """The graph and STRANGERS more nodes, with features and edge values that occur in the graph.

    The edges of the strangers are the last ones; on an undirected graph the second half of them
    are the reverse of the first half.
    """
    if graph.types is not None:
        return _with_typed_strangers(graph, graph.types)
    rng = np.random.default_rng(2)
    rows = rng.integers(0, graph.num_nodes, STRANGERS)
    x = graph.x[rows]
    if not integral(graph.x):
        x = _scaled(x, rng)
    pairs = _strange_pairs(rng)
    if graph.undirected:
        pairs = np.concatenate([pairs, pairs[::-1]], axis=1)
    values = np.asarray(rng.integers(0, max(graph.num_edges, 1), pairs.shape[1]))
    if graph.undirected:
        values = np.tile(values[: len(values) // 2], 2)
    return _longer(graph, x=x, rows=rows, pairs=pairs, values=values)


def _scaled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (x * rng.choice([-1.5, 0.5, 1.5], (len(x), 1))).astype(x.dtype)


def _longer(
    graph: Graph, *, x: np.ndarray, rows: np.ndarray, pairs: np.ndarray, values: np.ndarray
) -> Graph:
    """The graph with more nodes, like the nodes `rows` except for x, and pairs of them, like the edges `values`."""

    def longer(array, more):
        if array is None:
            return None
        # a graph without edges has none that others could be like
        own = array[more] if len(array) else np.ones((len(more), *array.shape[1:]), array.dtype)
        return np.concatenate([array, own])

    types = graph.types and replace(
        graph.types,
        of_node=longer(graph.types.of_node, rows),
        of_edge=longer(graph.types.of_edge, values),
    )
    return changed(
        graph,
        x=np.concatenate([graph.x, x]),
        edge_index=np.concatenate([graph.edge_index, pairs + graph.num_nodes], axis=1),
        edge_weight=longer(graph.edge_weight, values),
        edge_attr=longer(graph.edge_attr, values),
        node_inputs={name: longer(array, rows) for name, array in graph.node_inputs.items()},
        edge_inputs={name: longer(array, values) for name, array in graph.edge_inputs.items()},
        types=types,
    )


def _with_typed_strangers(graph: Graph, types: GraphTypes) -> Graph:
    """Strangers of every node type, and edges of every type among them."""
    rng = np.random.default_rng(2)
    own = [np.flatnonzero(types.of_node == number) for number in range(len(types.node_types))]
    rows = [rng.choice(nodes, STRANGERS if len(nodes) else 0) for nodes in own]
    x = [
        graph.x[like] if integral(graph.x[nodes]) else _scaled(graph.x[like], rng)
        for nodes, like in zip(own, rows)
    ]
    starts = np.cumsum([0, *map(len, rows)])
    forth = []
    back = []
    for number, like in _edges_by_type(graph, types):
        ends = [types.number_of(types.edge_types[number][end]) for end in (0, 2)]
        pairs = _strange_pairs(rng) if ends[0] == ends[1] else _pairs_across(rng)
        pairs = pairs + starts[ends][:, None]
        forth.append((pairs, rng.choice(like, pairs.shape[1])))
        if graph.undirected:
            reverse = np.flatnonzero(types.of_edge == mirrored(types, number))
            back.append((pairs[::-1], rng.choice(reverse, pairs.shape[1])))
    found = forth + back
    return _longer(
        graph,
        x=np.concatenate(x),
        rows=np.concatenate(rows),
        pairs=np.concatenate([np.zeros((2, 0), np.int64), *(pairs for pairs, _ in found)], axis=1),
        values=np.concatenate([np.zeros(0, np.int64), *(like for _, like in found)]),
    )


def _edges_by_type(graph: Graph, types: GraphTypes) -> Iterator[tuple[int, np.ndarray]]:
    """The types that have edges, with these; on an undirected graph one of two that mirror each other."""
    for number in range(len(types.edge_types)):
        like = np.flatnonzero(types.of_edge == number)
        if len(like) and not (graph.undirected and mirrored(types, number) < number):
            yield number, like


def mirrored(types: GraphTypes, number: int) -> int:
    """The edge type of the reverse of an edge, on an undirected graph."""
    other = int(types.mirrors[number])
    if other >= 0:
        return other
    source, _, head = types.edge_types[number]
    ends = [(first, last) for first, _, last in types.edge_types]
    return number if source == head else ends.index((head, source))


def _pairs_across(rng: np.random.Generator) -> np.ndarray:
    """Distinct pairs [2, m] of strangers of two types: two hubs, and others at random."""
    ahead = np.stack([np.zeros(8, np.int64), np.arange(1, 9)])
    some = rng.integers(0, STRANGERS, (2, STRANGE_EDGES))
    pairs = np.unique(np.concatenate([ahead, ahead[::-1], some], axis=1), axis=1)
    return pairs[:, rng.permutation(pairs.shape[1])]


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
    width = _width(graph, source)
    if np.issubdtype(graph.x.dtype, np.floating):
        for name, value in (("NaN", np.nan), ("numbers from 1000 to 2000", NOISE)):
            x = graph.x.copy()
            x[source, :width] = value * (1 + rng.random(width))
            yield name, x
    for other in occurring(graph, source, np.random.default_rng(source)):
        x = graph.x.copy()
        x[source] = other
        yield OCCURRING, x


def occurring(graph: Graph, source: int, rng: np.random.Generator, times: int = 3) -> list:
    """Rows [d] that differ from a node's in every column that can: each value occurs in its column."""
    order = rng.permutation(_alike(graph, source))[:1000]
    columns = graph.x[order]
    other = columns != graph.x[source]
    rows = []
    for number in range(times):
        later = np.cumsum(other, axis=0) > number  # the next differing value, while there is one
        first = np.where(later.any(axis=0), later.argmax(axis=0), other.argmax(axis=0))
        rows.append(columns[first, np.arange(graph.num_features)])
    return rows


def _width(graph: Graph, node: int) -> int:
    """The columns of x that a node has."""
    types = graph.types
    return graph.num_features if types is None else types.widths[types.of_node[node]]


def _alike(graph: Graph, node: int) -> np.ndarray:
    """The nodes whose features mean the same as a node's."""
    types = graph.types
    if types is None:
        return np.arange(graph.num_nodes)
    return np.flatnonzero(types.of_node == types.of_node[node])


def swap_out(graph: Graph, larger: Graph, source: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges out of `source` trade tails with strange edges: edge_index [2, E + m], and heads [k].

    The heads are the nodes of `graph` that an edge now reaches from elsewhere. On an undirected
    graph both directions are traded, so that pairs stay pairs.
    """
    loop = graph.edge_index[0] == graph.edge_index[1]
    leaving = np.flatnonzero((graph.edge_index[0] == source) & ~loop)
    kinds = _kinds(graph)
    leaving = leaving[np.lexsort((kinds[leaving], graph.edge_index[1, leaving]))]
    strange = np.arange(graph.num_edges, larger.num_edges)
    pairs = len(strange) // 2 if graph.undirected else len(strange)
    ends = larger.edge_index.copy()
    some, chosen = matched(ends, leaving, np.roll(strange[:pairs], shift), _kinds(larger))
    trade(ends, some, chosen)
    heads = graph.edge_index[1, some]
    if not graph.undirected:
        return ends, heads
    entering = np.flatnonzero((graph.edge_index[1] == source) & ~loop)
    reverse = _reversed_kinds(graph, kinds[entering])
    entering = entering[np.lexsort((reverse, graph.edge_index[0, entering]))]
    place = {edge: number for number, edge in enumerate(leaving.tolist())}
    trade(ends, chosen + pairs, entering[[place[edge] for edge in some.tolist()]])
    return ends, np.append(heads, source)


def _kinds(graph: Graph) -> np.ndarray:
    """The type [E] of every edge; edges of one type may trade tails."""
    return np.zeros(graph.num_edges, np.int64) if graph.types is None else graph.types.of_edge


def _reversed_kinds(graph: Graph, kinds: np.ndarray) -> np.ndarray:
    """The types of the reverse of edges of some types."""
    types = graph.types
    if types is None or not len(kinds):
        return kinds
    return np.array([mirrored(types, number) for number in range(len(types.edge_types))])[kinds]


def trade(ends: np.ndarray, some: np.ndarray, others: np.ndarray) -> None:
    """Edges trade their tails, in place."""
    tails = ends[0, some].copy()
    ends[0, some] = ends[0, others]
    ends[0, others] = tails


def matched(
    ends: np.ndarray, edges: np.ndarray, strange: np.ndarray, kinds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of an edge and a strange edge that can trade tails: their numbers [k] each.

    They are of one of the `kinds` of all edges. No two edges get the same ends, in either direction,
    since a model may count such as one.
    """
    left: dict[int, list[int]] = {}
    for number, kind in zip(strange.tolist(), kinds[strange].tolist()):
        left.setdefault(kind, []).append(number)
    taken: set[tuple[int, int]] = set()
    found: list[tuple[int, int]] = []
    for edge, kind in zip(edges.tolist(), kinds[edges].tolist()):
        tail, head = ends[:, edge].tolist()
        for number in left.get(kind, ()):
            other_tail, other_head = ends[:, number].tolist()
            new = {(other_tail, head), (tail, other_head)}
            new |= {pair[::-1] for pair in new}
            if not new & taken:
                taken |= new
                left[kind].remove(number)
                found.append((edge, number))
                break
        if not any(left.values()):
            break
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def trade_with_strangers(
    graph: Graph, larger: Graph, edges: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The ends [2, E + m] where the first of the given edges trade tails with strange edges.

    On an undirected graph both directions are traded, of pairs that are given as a whole: a model may
    add the reverse of an edge itself.
    """
    ends = larger.edge_index.copy()
    strange = np.arange(graph.num_edges, larger.num_edges)
    if not graph.undirected:
        trade(ends, *matched(ends, edges, rng.permutation(strange), _kinds(larger)))
        return ends
    pairs = len(strange) // 2
    backward = _backward(graph)
    given = np.zeros(graph.num_edges, bool)
    given[edges] = True
    once = edges[(backward[edges] > edges) & given[backward[edges]]]
    some, chosen = matched(ends, once, rng.permutation(strange[:pairs]), _kinds(larger))
    trade(ends, some, chosen)
    trade(ends, chosen + pairs, backward[some])
    return ends


def _backward(graph: Graph) -> np.ndarray:
    """The number of the reverse [E] of every edge of an undirected graph."""
    (tail, head), kinds = graph.edge_index, _kinds(graph)
    found = np.empty(graph.num_edges, np.int64)
    order = np.lexsort((_reversed_kinds(graph, kinds), tail, head))
    found[np.lexsort((kinds, head, tail))] = order
    return found
