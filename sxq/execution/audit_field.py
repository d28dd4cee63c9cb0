"""AUDIT's check of the field: edges outside it must not change the output at the target.

Measuring an explanation again cannot show that its field was too small, since the field decides
which edges are tried at all. Two experiments on the whole graph can. Random edges outside field
and context are removed: the output must not change. Context edges trade sources with edges of stranger nodes,
which keeps all degrees: if the output moves, these edges carry messages and should have been
candidates.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from sxq.errors import ModelError
from sxq.graph import EdgeKind, Field, Graph, extract, extract_link
from sxq.inference.agreement import agree, difference
from sxq.inference.locality import WIDEST
from sxq.inference.probes import changed, trade_with_strangers, with_strangers
from sxq.models.forward import forward_full
from sxq.models.model import Model

REMOVALS = 2  # random removals outside of the field, and random trades of context edges


@dataclass(frozen=True, eq=False)
class FieldTarget:
    """A node, or a link by both of its ends, with the model and the graph."""

    graph: Graph
    model: Model
    roots: tuple[int, ...]
    directed: bool
    there: np.ndarray  # [E] bool: the edges that are in the graph at all

    def output(self, graph: Graph, keep: np.ndarray) -> Tensor:
        """The output [1, C] on some edges [E] bool of the graph, or of one like it."""
        if self.model.links:
            return forward_full(self.model, graph, keep, np.array(self.roots)[:, None])
        return forward_full(self.model, graph, keep)[list(self.roots)]

    @cached_property
    def full(self) -> Tensor:
        """The output on the whole graph."""
        if self.model.links:
            return self.output(self.graph, self.there)
        return self.model.full[list(self.roots)]

    def cut(self, halo: int) -> Field:
        """The field with so many rings of context."""
        if not self.model.links:
            return extract(self.graph, self.roots[0], self.model.hops, halo, self.directed)
        u, v = self.roots
        position = u * self.graph.num_nodes + v
        itself = bool(self.there.all())
        return extract_link(
            self.graph,
            position,
            self.model.hops,
            halo,
            self.directed,
            itself=itself,
            edge_type=self.model.edge_type,
        )

    @cached_property
    def field(self) -> Field:
        """The field with the context that a query would give it: the smallest that is enough."""
        for wider in range(WIDEST + 1):
            field = self.cut(self.model.halo + wider)
            inside = np.zeros(self.graph.num_edges, bool)
            inside[field.edges] = True
            if agree(self.model, self.output(self.graph, inside), self.full):
                break
        return field


def field_mistake(at: FieldTarget, size: int | None) -> str:
    """What is wrong with the field of a target, in words; else empty.

    `size` is the stored number of its units, if these are edges.
    """
    rng = np.random.default_rng(at.roots[0] if len(at.roots) == 1 else at.roots)
    hops = at.model.hops
    if size is not None and at.field.num_units != size:
        return f"the {hops}-hop field has {at.field.num_units} units, but {size} are stored"
    moved = _by_removal(at, rng)
    if moved:
        return (
            f"edges outside of the {hops}-hop field and its context move the output by {moved:.2g}"
        )
    moved = 0.0 if at.model.shallow else _by_trade(at, rng)
    if moved:
        return (
            f"edges beyond {hops} hops carry messages: trading them moves the output by "
            f"{moved:.2g}; register the model again, with layers= its true depth"
        )
    return ""


def _by_removal(at: FieldTarget, rng: np.random.Generator) -> float:
    """How far removing random edges outside of field and context moves the output; 0 if not at all."""
    outside = at.there.copy()
    outside[at.field.edges] = False
    if not outside.any():
        return 0.0
    shares = [1.0, *(0.5 for _ in range(REMOVALS - 1))]
    for share in shares:
        keep = at.there & ~(outside & (rng.random(at.graph.num_edges) < share))
        out = at.output(at.graph, keep)
        if not agree(at.model, out, at.full):
            return difference(at.model, out, at.full)
    return 0.0


def _by_trade(at: FieldTarget, rng: np.random.Generator) -> float:
    """How far the output moves if context edges trade tails with strangers; 0 if not at all."""
    context = at.field.edges[at.field.unit == EdgeKind.HALO]
    larger = with_strangers(at.graph)
    keep = np.ones(larger.num_edges, bool)
    keep[: at.graph.num_edges] = at.there
    for _ in range(REMOVALS):
        ends = trade_with_strangers(at.graph, larger, rng.permutation(context), rng)
        try:
            out = at.output(changed(larger, edge_index=ends), keep)
        except ModelError:
            return 0.0  # the model cannot take strangers
        if not agree(at.model, out, at.full):
            return difference(at.model, out, at.full)
    return 0.0
