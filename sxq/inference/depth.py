"""Finds by experiment how deep a model looks: how far messages travel, whoever they are made of.

*By features.* One node gets poisoned features (NaN, large noise, or other values that occur where
features are whole numbers); the farthest node whose output moves is that many hops away.

*By edges.* A model may make its messages from the edges themselves: degrees, weights, counts of
triangles, positions. The edges out of one node trade tails with edges of strangers, which keeps
every node's degrees and weights. An edge at ring r, which is one more than the distance from its
head, carries a message if that moves an output. If only its *presence* matters, as for the degree
by which a layer normalises, the edge carries no message; it is context (the halo), not a candidate.
A model that looks at presence alone has a depth of one hop.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf

import numpy as np
from torch import Tensor

from sxq.errors import ModelError, ModelNotLocal
from sxq.graph import Graph
from sxq.inference.agreement import agree, difference
from sxq.inference.causes import against_cause, mixing_cause, random_cause, watch
from sxq.inference.probes import (
    OCCURRING,
    changed,
    integral,
    poisons,
    swap_out,
    trade_with_strangers,
    with_strangers,
    without_edges,
)
from sxq.inference.step_limit import Steps, most_steps
from sxq.models.forward import forward_full
from sxq.models.model import Model

POISONED = 3  # nodes poisoned; each costs two full-graph forwards
DEEP = 8  # hops: if no poisoned node has a path this long ahead of it, a longer path is searched
STARTS = 64  # start nodes of that search, which looks behind them; each is one walk over the graph
SHIFTS = (0, 7)  # of the strange edges, so that each node trades with two different sets
VIEWS = (
    8  # nodes whose farther edges are traded ring by ring; half of them have the largest degrees
)
JITTER = 16  # a change must be this many times that between two runs on one input
LOOSE = 20  # times the tolerance, in float32: all outputs are compared, so some round more
NOWHERE = -1  # the distance of a node that no path reaches


class NotProbed(ModelError):
    """The model takes none of the features that a probe puts in."""


@dataclass(frozen=True)
class Depth:
    """How deep a model looks, in hops."""

    features: int  # by features
    edges: int  # by who sends along an edge, or 1 if only the presence of edges matters

    @property
    def hops(self) -> int:
        return max(self.features, self.edges)

    def __str__(self) -> str:
        """A remark for DESCRIBE MODEL, where features alone do not tell the depth."""
        if self.edges <= self.features:
            return ""
        return (
            f"{self.edges} hops by edges, {self.features} by features: forward computes messages "
            f"from edge_index"
        )


def require_repeatable(model: Model, graph: Graph) -> float:
    """The largest difference of two runs on the graph; ModelError if they disagree."""
    again = forward_full(model, graph)
    if not agree(model, again, model.full):
        raise ModelError(
            f"two runs on the same input differ by {difference(model, again, model.full):.2g}: "
            f"{random_cause(watch(model, graph))}"
        )
    apart = (again - model.full).nan_to_num(0, 0, 0).abs().max().item() if len(again) else 0.0
    if model.device.type != "cpu":
        apart = max(apart, 1e-6 * float(model.full.nan_to_num(0, 0, 0).abs().max()))
    return apart


def find_depth(
    model: Model, graph: Graph, rng: np.random.Generator, sharp: Model | None = None
) -> Depth:
    """The depth of a model: 0 hops for a model that ignores the edges.

    `sharp` is the model in double where it runs in double, with `full` on the graph. Raises
    ModelNotLocal if the model mixes all nodes, ModelError if no probe can be run.
    """
    sharp = sharp or model
    jitter = require_repeatable(model, graph)
    larger = _larger(sharp, graph, 1 if sharp is not model else LOOSE)
    sources = _far_nodes(graph, rng)
    features = _by_features(model, graph, larger, sources, rng=rng, jitter=jitter)
    if larger is None or not sources:
        return Depth(features, 0)
    edges = _by_edges(sharp, graph, larger, sources, jitter)
    edges = _by_rings(sharp, graph, larger, max(features, edges), jitter) or edges
    if not max(features, edges) and not agree(
        sharp, forward_full(sharp, without_edges(graph)), sharp.full
    ):
        edges = 1
    return Depth(features, edges)


def _larger(model: Model, graph: Graph, times: float) -> Graph | None:
    """The graph with strangers; None if the model cannot take it. Raises ModelNotLocal if it matters."""
    larger = with_strangers(graph)
    try:
        full = forward_full(model, larger)
    except ModelError:
        return None
    if len(full) != larger.num_nodes:
        return None
    beside = full[: graph.num_nodes]
    if not agree(model, beside, model.full, times):
        raise _mixes(
            model,
            graph,
            f"a few nodes that no path links to the others move their output by "
            f"{difference(model, beside, model.full):.2g}",
        )
    return larger


def _mixes(model: Model, graph: Graph, seen: str) -> ModelNotLocal:
    return ModelNotLocal(
        f"{seen}: the model mixes all nodes ({mixing_cause(model, watch(model, graph))})"
    )


def _by_features(
    model: Model,
    graph: Graph,
    larger: Graph | None,
    sources: list[int],
    *,
    rng: np.random.Generator,
    jitter: float,
) -> int:
    deepest = 0
    clean = model.full if larger is None else forward_full(model, larger)
    most = most_steps(model, graph) if sources else inf
    for source in sources:
        distance = distances(graph, [source])
        for moved in _moved_by_poison(
            model, graph, larger, source, rng=rng, clean=clean, jitter=jitter, most=most
        ):
            if (moved & (distance < 0)).any():
                _unreachable(model, graph, source, moved & (distance < 0))
            deepest = max(deepest, int(distance[moved].max(initial=0)))
    return deepest


def _moved_by_poison(
    model: Model,
    graph: Graph,
    larger: Graph | None,
    source: int,
    *,
    rng: np.random.Generator,
    clean: Tensor,
    jitter: float,
    most: float,
) -> Iterator[np.ndarray]:
    """For each poison that the model can take in `most` steps, the nodes [N] whose output moves."""
    failed: dict[str, ModelError] = {}
    taken = 0
    for name, x in poisons(graph, source, rng):
        if name == OCCURRING and taken and not integral(graph.x):
            break  # stronger poison was taken
        whole = graph if larger is None else larger
        x = np.concatenate([x, whole.x[graph.num_nodes :]])
        try:
            with nullcontext() if most == inf else Steps(most):
                found = forward_full(model, changed(whole, x=x))
        except ModelError as error:
            failed[name] = error
            continue
        moved = differs(found, clean, jitter)
        taken += 1
        # In a dense product NaN times 0 is NaN, so NaN spreads to nodes that no message reaches.
        if name == "NaN" and moved[graph.num_nodes :].any():
            continue
        if moved[graph.num_nodes :].any():
            raise _mixes(
                model, graph, f"new features of node {graph.key(source)!r} move all outputs"
            )
        yield moved[: graph.num_nodes]
    if not taken:
        raise NotProbed(_no_probe(graph, source, failed))


def _no_probe(graph: Graph, source: int, failed: dict[str, ModelError]) -> str:
    tried = "; ".join(f"{name}: {error.__cause__ or error}" for name, error in failed.items())
    return (
        f"the model runs on the registered graph, but its depth cannot be probed: forward fails "
        f"when the features of node {graph.key(source)!r} are replaced by {tried}. Say its depth by "
        f"layers="
    )


def _unreachable(model: Model, graph: Graph, source: int, moved: np.ndarray) -> None:
    """Raise ModelNotLocal for nodes whose output moved although no path leads to them."""
    behind = distances(graph, [source], graph.edge_index[::-1])
    if (behind[moved] >= 0).all():
        cause = against_cause(model, graph)
    else:
        cause = f"the model mixes all nodes ({mixing_cause(model, watch(model, graph))})"
    raise ModelNotLocal(
        f"changing the features of node {graph.key(source)!r} moves the output of nodes that no "
        f"path reaches: {cause}"
    )


def _by_edges(model: Model, graph: Graph, larger: Graph, sources: list[int], jitter: float) -> int:
    """The deepest ring at which it matters who sends along an edge."""
    clean = forward_full(model, larger)[: graph.num_nodes]
    deepest = 0
    for source in sources:
        for shift in SHIFTS:
            ends, heads = swap_out(graph, larger, source, shift)
            if not len(heads):
                continue
            out = forward_full(model, changed(larger, edge_index=ends))[: graph.num_nodes]
            ring = 1 + distances(graph, heads)
            moved = differs(out, clean, jitter) & (ring > 0)
            deepest = max(deepest, int(ring[moved].max(initial=0)))
    return deepest


def _by_rings(model: Model, graph: Graph, larger: Graph, hops: int, jitter: float) -> int:
    """The deepest ring beyond `hops` at which it matters who sends, seen from some nodes; 0 if none.

    Swaps around a few far nodes miss what only some edges do, such as closing a triangle.
    """
    clean = forward_full(model, larger)
    deepest = 0
    for target in _views(model, graph):
        distance = distances(graph, [target], graph.edge_index[::-1])
        end = distance[graph.edge_index]
        end[end < 0] = graph.num_nodes
        ring = 1 + (end.min(axis=0) if graph.undirected else end[1])
        ring[graph.edge_index[0] == graph.edge_index[1]] = 0
        for beyond in range(max(hops, deepest) + 1, int(distance.max()) + 2):
            # Those of the next ring first: strangers are few.
            edges = np.flatnonzero(ring >= beyond)
            edges = edges[np.argsort(ring[edges], kind="stable")]
            if not len(edges):
                break
            out = _traded(model, graph, larger, edges, target)
            if not differs(out, clean[[target]], jitter)[0]:
                break
            deepest = beyond
    return deepest


def heads_of(model: Model, graph: Graph) -> np.ndarray:
    """The targets that an edge enters."""
    return np.intersect1d(graph.edge_index[1], model.targets(graph))


def _views(model: Model, graph: Graph) -> list[int]:
    heads = heads_of(model, graph)
    degrees = np.bincount(graph.edge_index[1], minlength=graph.num_nodes)[heads]
    hubs = heads[np.argsort(-degrees, kind="stable")][: VIEWS // 2]
    return sorted(
        {*hubs.tolist(), *np.random.default_rng(3).permutation(heads)[: VIEWS // 2].tolist()}
    )


def _traded(model: Model, graph: Graph, larger: Graph, edges: np.ndarray, target: int) -> Tensor:
    """The target's output [1, C] when some of the edges [k] trade tails with strangers."""
    ends = trade_with_strangers(graph, larger, edges, np.random.default_rng(target))
    return forward_full(model, changed(larger, edge_index=ends))[[target]]


def differs(found: Tensor, clean: Tensor, jitter: float) -> np.ndarray:
    """The rows [n] that differ; NaN differs from numbers only."""
    apart = (found != clean) & ~(found.isnan() & clean.isnan())
    apart &= ~((found - clean).abs() <= JITTER * jitter)
    return apart.any(dim=1).numpy()


def _far_nodes(graph: Graph, rng: np.random.Generator) -> list[int]:
    """Source nodes with the longest paths ahead of them that the graph offers."""
    tails = np.unique(graph.edge_index[0])
    if not len(tails):
        return []
    starts = rng.choice(tails, size=min(POISONED, len(tails)), replace=False)
    found = [_farthest_tail(graph, int(start)) for start in starts]
    # In a sparse directed graph most starts have no node behind them.
    if max(length for length, _ in found) < DEEP:
        others = np.random.default_rng(1).permutation(tails)[:STARTS]
        found.append(max(_farthest_tail(graph, int(start)) for start in others))
    return sorted({node for _, node in found} | {int(starts[0])})


def _farthest_tail(graph: Graph, start: int) -> tuple[int, int]:
    """(distance, node) of the node farthest *behind* `start`: its messages go the longest way."""
    distance = distances(graph, [start], graph.edge_index[::-1])
    return int(distance.max()), int(distance.argmax())


def distances(graph: Graph, sources, edge_index: np.ndarray | None = None) -> np.ndarray:
    """Hops from the nearest source along the edges to every node [N]; NOWHERE if there is no path."""
    tail, head = graph.edge_index if edge_index is None else edge_index
    distance = np.full(graph.num_nodes, NOWHERE)
    distance[sources] = 0
    hop = 0
    while True:
        hop += 1
        reached = head[(distance[tail] == hop - 1)]
        reached = reached[distance[reached] < 0]
        if not len(reached):
            return distance
        distance[reached] = hop
