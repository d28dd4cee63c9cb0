"""AUDIT's check of the field: edges outside of it must not move the target.

Measuring an explanation again cannot tell that its field was too small, since the field decides
which edges are tried at all. Two experiments on the whole graph can. Random edges outside of field
and context are removed: the output must stay. Context edges trade tails with edges of strangers,
which keeps all degrees: if the output moves, these edges carry messages and should have been
candidates.
"""

import numpy as np

from sxq.errors import ModelError
from sxq.graph import EdgeKind, Field, Graph, extract
from sxq.inference.agreement import agree, difference
from sxq.inference.locality import WIDEST
from sxq.inference.probes import changed, trade_with_strangers, with_strangers
from sxq.models.borrow import Model, forward_full

REMOVALS = 2  # random removals outside of the field, and random trades of context edges


def field_mistake(graph: Graph, model: Model, target: int, directed: bool, size: int | None) -> str:
    """What is wrong with the field of a node, in words; else empty.

    `size` is the stored number of its units, if these are edges.
    """
    rng = np.random.default_rng(target)
    field = _field(graph, model, target, directed)
    if size is not None and field.num_units != size:
        return f"the {model.hops}-hop field has {field.num_units} units, but {size} are stored"
    moved = _by_removal(graph, model, target, field, rng)
    if moved:
        return (
            f"edges outside of the {model.hops}-hop field and its context move the output by "
            f"{moved:.2g}"
        )
    moved = 0.0 if model.shallow else _by_trade(graph, model, target, field, rng)
    if moved:
        return (
            f"edges beyond {model.hops} hops carry messages: trading them moves the output by "
            f"{moved:.2g}; register the model again, with layers= its true depth"
        )
    return ""


def _field(graph: Graph, model: Model, target: int, directed: bool) -> Field:
    """The field with the context that a query would give it: the smallest that is enough."""
    for wider in range(WIDEST + 1):
        field = extract(graph, target, model.hops, model.halo + wider, directed)
        inside = np.zeros(graph.num_edges, bool)
        inside[field.edges] = True
        if agree(model, forward_full(model, graph, inside)[[target]], model.full[[target]]):
            break
    return field


def _by_removal(
    graph: Graph, model: Model, target: int, field: Field, rng: np.random.Generator
) -> float:
    """How far removing random edges outside of field and context moves the output; 0 if not at all."""
    outside = np.ones(graph.num_edges, bool)
    outside[field.edges] = False
    if not outside.any():
        return 0.0
    shares = [1.0, *(0.5 for _ in range(REMOVALS - 1))]
    for share in shares:
        keep = ~(outside & (rng.random(graph.num_edges) < share))
        out = forward_full(model, graph, keep)[[target]]
        if not agree(model, out, model.full[[target]]):
            return difference(model, out, model.full[[target]])
    return 0.0


def _by_trade(
    graph: Graph, model: Model, target: int, field: Field, rng: np.random.Generator
) -> float:
    """How far the output moves if context edges trade tails with strangers; 0 if not at all."""
    context = field.edges[field.unit == EdgeKind.HALO]
    larger = with_strangers(graph)
    for _ in range(REMOVALS):
        ends = trade_with_strangers(graph, larger, rng.permutation(context), rng)
        try:
            out = forward_full(model, changed(larger, edge_index=ends))[[target]]
        except ModelError:
            return 0.0  # the model cannot take strangers
        if not agree(model, out, model.full[[target]]):
            return difference(model, out, model.full[[target]])
    return 0.0
