"""AUDIT: re-measure explanations by plain full-graph PyG forward passes, one at a time.

This code is independent of the verifier, the fields and the measures' batches: it finds edges by
their keys in the whole graph, really removes them, and runs the model on the rest. For a graph
classifier, the whole graph is the member of the collection that was explained.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch_geometric.utils import remove_isolated_nodes

from sxq.errors import NodeNotFound
from sxq.graph import Graph, GraphSet
from sxq.inference.agreement import TOLERANCE, rounding, too_coarse, uncertainty
from sxq.models.borrow import Model, blaming, edge_tensors, forward_full, node_tensor


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An explanation as the database holds it."""

    target: Any  # key of the node, or of the graph
    edges: tuple[tuple[Any, Any], ...]  # by key, every directed edge
    raw: Mapping[str, float]
    factual: bool
    counterfactual: bool
    tie: bool
    directed: bool  # whether a unit is a directed edge
    field_size: int  # units of the field, as stored with the target
    # size, num_nodes, fdl_plus, ...: the columns beside `raw`; None where a value was not asked for
    columns: Mapping[str, float | None]


@dataclass(frozen=True)
class Finding:
    """The result of measuring an explanation again."""

    difference: float  # the largest difference to a stored raw value
    verdict: str  # "ok", "ok to" a tolerance where float32 is too coarse, or every mistake found


def audit(
    graph: Graph | GraphSet, model: Model, explanations: Iterable[Stored]
) -> Iterator[Finding]:
    """Measure stored explanations on the whole graph and compare, one after the other."""
    if isinstance(graph, GraphSet):
        return _audit_graphs(graph, model, explanations)
    return _audit_nodes(graph, model, explanations)


def _audit_nodes(graph: Graph, model: Model, explanations: Iterable[Stored]) -> Iterator[Finding]:
    loops = graph.edge_index[0] == graph.edge_index[1]
    intact, alone = (forward_full(model, graph, keep) for keep in (None, loops))
    for stored in explanations:
        position = graph.position(stored.target)
        inside, missing = _locate(graph, stored.edges)
        kept, removed = (
            forward_full(model, graph, keep)[position] for keep in (inside | loops, ~inside)
        )
        yield _compare(
            stored, missing, model, torch.stack([intact[position], alone[position], kept, removed])
        )


def _audit_graphs(
    graphs: GraphSet, model: Model, explanations: Iterable[Stored]
) -> Iterator[Finding]:
    for stored in explanations:
        graph = graphs.member(graphs.position(stored.target))
        loops = graph.edge_index[0] == graph.edge_index[1]
        inside, missing = _locate(graph, stored.edges)
        everything = np.ones(graph.num_edges, bool)
        yield _compare(
            stored,
            missing,
            model,
            torch.stack(
                [
                    *(_judge(model, graph, keep) for keep in (everything, loops)),
                    _judge(model, graph, inside | loops, induced=True),
                    _judge(model, graph, ~inside),
                ]
            ),
        )


def _judge(model: Model, graph: Graph, keep: np.ndarray, induced: bool = False) -> torch.Tensor:
    """The output of one graph with some of its edges.

    It is computed on all nodes; if `induced`, only on the ends of these edges.
    """
    x = node_tensor(model, graph)
    edge_index, weight, attr = edge_tensors(
        graph, np.flatnonzero(keep), model.device, model.call.edge_inputs
    )
    if induced:  # a node with only a loop is not kept
        _, _, present = remove_isolated_nodes(edge_index, num_nodes=len(x))
        number = present.cumsum(0) - 1
        alive = present[edge_index[0]]
        x = x[present]
        edge_index = number[edge_index[:, alive]]
        weight, attr = (None if values is None else values[alive] for values in (weight, attr))
    with blaming(model, "a graph of the collection, cut"), torch.inference_mode():
        return model(x, edge_index, weight, attr)[0].float().cpu()


def _compare(stored: Stored, missing: list, model: Model, outputs: torch.Tensor) -> Finding:
    """The differences, given outputs [4, C] on the graph, on no edges, on G_s and on G \\ G_s."""
    p = model.probabilities(outputs).numpy()
    c, _, kept, removed = p.argmax(axis=1).tolist()
    rounded = rounding(model, outputs)
    off = uncertainty(p[:, c], rounded)
    tolerance = max(TOLERANCE, off[0] + off.max(), off[1] + off.max())
    again, columns = _measure(stored, p[:, c])
    raw = _difference(again, stored.raw)
    apart = {name: _difference({name: value}, stored.columns) for name, value in columns.items()}
    far = {name: value for name, value in apart.items() if value > max(tolerance, raw)}
    flags = kept == c, removed != c
    wrong = [f"edge {u!r} -> {v!r} is not in the graph" for u, v in missing[:1]]
    if not raw < tolerance:
        wrong.append(f"raw values differ by {raw:.2g}")
    wrong += [f"column {name} differs by {value:.2g}" for name, value in far.items()]
    if flags != (stored.factual, stored.counterfactual) and not stored.tie:
        wrong.append(f"found factual = {flags[0]}, counterfactual = {flags[1]}")
    ok = "ok" if raw < TOLERANCE else f"ok to {tolerance:.1g}: {too_coarse(rounded.max())}"
    return Finding(float(max([raw, *far.values()])), "; ".join(wrong) or ok)


def _measure(stored: Stored, p: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Raw values by measure, and values by column, given p(c) [4] ordered as in `_compare`."""
    full, empty, kept, removed = p
    size = len(set(stored.edges) if stored.directed else {frozenset(edge) for edge in stored.edges})
    nodes = len({node for edge in stored.edges for node in edge})
    possible = nodes * (nodes - 1) // (1 if stored.directed else 2)
    raw = {
        "fdl+": full - removed,
        "fdl-": full - kept,
        "lift": kept - empty,
        "size": size,
        "conc": 1 - size / stored.field_size,
        "density": size / max(possible, 1),
    }
    columns = {
        "fdl_plus": raw["fdl+"],
        "fdl_minus": raw["fdl-"],
        "conc": raw["conc"],
        "size": size,
        "num_nodes": nodes,
    }
    return raw, columns


def _difference(again: Mapping[str, float], stored: Mapping[str, float | None]) -> float:
    """The largest difference to a stored value; infinite where one is not a number."""
    apart = (
        abs(value - known)
        for name, value in again.items()
        if (known := stored.get(name)) is not None
    )
    return max((float("inf") if math.isnan(one) else float(one) for one in apart), default=0.0)


def _locate(graph: Graph, edges: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, list]:
    """The edges [E] of the graph that an explanation names, with parallels, and those it lacks."""
    pairs = {}
    unknown = []
    for u, v in edges:
        try:
            pairs[graph.position(u), graph.position(v)] = u, v
        except NodeNotFound:
            unknown.append((u, v))
    heads = np.unique([v for _, v in pairs])
    near = graph.in_edges(heads) if len(heads) else np.zeros(0, np.int64)
    found = [edge for edge in near.tolist() if tuple(graph.edge_index[:, edge].tolist()) in pairs]
    present = {tuple(graph.edge_index[:, edge].tolist()) for edge in found}
    inside = np.zeros(graph.num_edges, bool)
    inside[found] = True
    return inside, unknown + [name for pair, name in pairs.items() if pair not in present]
