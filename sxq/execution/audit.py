"""AUDIT: re-measure explanations by plain full-graph PyG forward passes, one at a time.

Written independently of the verifier, the fields and the measures' batches: edges are found by their keys in the
whole graph, really removed, and the model is run on everything that is left.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.errors import NodeNotFound
from sxq.execution.model import Model, forward_full
from sxq.graph import Graph

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Stored:
    """An explanation as the database holds it."""

    target: Any  # key
    edges: tuple[tuple[Any, Any], ...]  # by key, every directed edge
    raw: Mapping[str, float]
    factual: bool
    counterfactual: bool
    tie: bool
    directed: bool  # whether a unit is a directed edge
    field_size: int  # units of the field, as stored with the target


@dataclass(frozen=True)
class Finding:
    """What measuring an explanation again gave."""

    difference: float  # the largest difference to a stored raw value
    verdict: str  # "ok", or what is wrong


def audit(graph: Graph, model: Model, explanations: Iterable[Stored]) -> Iterator[Finding]:
    """Measure stored explanations on the whole graph and compare, one after the other."""
    loops = graph.edge_index[0] == graph.edge_index[1]
    intact, alone = (model.probabilities(forward_full(model, graph, keep)).numpy() for keep in (None, loops))
    for stored in explanations:
        position = graph.position(stored.target)
        inside, missing = _locate(graph, stored.edges)
        kept, removed = (model.probabilities(forward_full(model, graph, keep)[position][None])[0].numpy()
                         for keep in (inside | loops, ~inside))
        yield _compare(stored, missing, intact[position], alone[position], kept, removed)


def _compare(stored: Stored, missing: list, full, empty, kept, removed) -> Finding:
    c = int(full.argmax())
    size = len(set(stored.edges) if stored.directed else {frozenset(edge) for edge in stored.edges})
    again = {"fdl+": full[c] - removed[c], "fdl-": full[c] - kept[c], "lift": kept[c] - empty[c],
             "size": size, "conc": 1 - size / stored.field_size}
    difference = max((abs(again[name] - stored.raw[name]) for name in again if name in stored.raw), default=0.0)
    flags = int(kept.argmax()) == c, int(removed.argmax()) != c
    wrong = [f"edge {u!r} -> {v!r} is not in the graph" for u, v in missing[:1]]
    if not difference < TOLERANCE:
        wrong.append(f"raw values differ by {difference:.2g}")
    if flags != (stored.factual, stored.counterfactual) and not stored.tie:
        wrong.append(f"found factual = {flags[0]}, counterfactual = {flags[1]}")
    return Finding(float(difference), "; ".join(wrong) or "ok")


def _locate(graph: Graph, edges: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, list]:
    """Which edges [E] of the graph a stored explanation names (all parallels of each), and the names it lacks."""
    pairs, unknown = {}, []
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

