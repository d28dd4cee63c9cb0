"""HGTConv (Hu et al. 2020) and HANConv (Wang et al. 2019): attention over edges of all types together.

Both take a table for each node type. What a message weighs and carries depends on its edge type;
the weights of all messages into a node are 1 together.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu
from torch_geometric.nn import HANConv, HGTConv, MessagePassing

from sxq.inference.kernels.base import SCALARS, Kernel, LayerContext
from sxq.inference.tiles.tile import Edges, Rows, softmax_together
from sxq.inference.tracing.rowwise import Untraceable

EdgeType = tuple[str, str, str]
Map = Any  # a function of rows, which is also its tag


class TypeOfEdges(NamedTuple):
    """An edge type of the layer: where its edges and its ends are."""

    name: EdgeType
    number: int  # in the graph
    tail: int  # the table of the sending nodes
    head: int


class TypedAttentionKernel(Kernel):
    """The common part of the two."""

    def __init__(self, layer, edge_types: Sequence[TypeOfEdges], tables: int):
        super().__init__(layer, ())
        self.require_sum()
        self.edge_types = edge_types
        self.tables = tables

    def scalars_per_message(self, channels: int) -> int:
        return self.layer.heads * SCALARS + 3 * self.layer.out_channels

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        """The sums of the messages into all nodes, of whatever type."""
        found = []
        for number, kind in enumerate(self.edge_types):
            edges = context.edges_of(kind.number)
            if edges.list.size:
                tail = context.tables[kind.tail]
                head = context.tables[kind.head].within(context.hop)
                logits, messages = self.messages(number, edges, tail, head)
                found.append((edges, logits, messages))
        if not found:
            rows = context.tile.columns * context.tile.frame.rows(context.hop)
            return x.source.new_zeros(rows, self.layer.out_channels)
        lists, logits, messages = zip(*found)
        attention = softmax_together(lists, logits)
        sums = [edges.sum(*own) for edges, *own in zip(lists, messages, attention)]
        return sum(sums[1:], sums[0]).flatten(1)

    def messages(self, number: int, edges: Edges, tail: Rows, head: Rows) -> tuple[Tensor, Rows]:
        """The logits [E, W, H] of the edges of a type, and what their tails send."""
        raise NotImplementedError


class HGTKernel(TypedAttentionKernel):
    """logit of u -> v = p_r q_v . (k_u K_r) / sqrt(D), message v_u V_r; tables hold keys, queries, values."""

    def __init__(self, layer, edge_types, tables):
        super().__init__(layer, edge_types, tables)
        size = layer.out_channels
        all_types = len(layer.edge_types)
        self.queries: Map = partial(_columns, start=size, size=size)
        self.maps: list[tuple[Map, Map]] = []
        self.scales: list[Tensor] = []
        for name, *_ in edge_types:
            own = torch.arange(layer.heads) * all_types + layer.edge_types_map[name]
            keys = layer.k_rel.weight[own.to(layer.k_rel.weight.device)]  # [H, D, D]
            values = layer.v_rel.weight[own.to(layer.v_rel.weight.device)]
            self.maps.append(
                (
                    partial(_by_head, weight=keys, start=0),
                    partial(_by_head, weight=values, start=2 * size),
                )
            )
            scale = layer.p_rel["__".join(name)].detach() / math.sqrt(size // layer.heads)
            self.scales.append(scale.view(1, 1, -1))

    def messages(self, number: int, edges: Edges, tail: Rows, head: Rows) -> tuple[Tensor, Rows]:
        keys, values = self.maps[number]
        products = edges.products(
            tail.apply(keys, keys), head.apply(self.queries, self.queries), self.layer.heads
        )
        return products * self.scales[number], tail.apply(values, values)


class HANKernel(TypedAttentionKernel):
    """logit of u -> v = leaky_relu(a_r . x_u + b_r . x_v), message x_u; no more than one type into each node.

    With more types the layer weighs them by means over all nodes.
    """

    def __init__(self, layer, edge_types, tables):
        super().__init__(layer, edge_types, tables)
        heads = [kind.head for kind in edge_types]
        if len(set(heads)) < len(heads):
            raise Untraceable("HANConv weighs edge types by all nodes")
        self.maps: list[tuple[Map, Map]] = []
        for name, *_ in edge_types:
            weights = layer.lin_src["__".join(name)], layer.lin_dst["__".join(name)]
            source, head = (partial(_projected, weight=own.detach()) for own in weights)
            self.maps.append((source, head))

    def run(self, x: Rows, context: LayerContext) -> Tensor:
        return super().run(x, context).relu()

    def messages(self, number: int, edges: Edges, tail: Rows, head: Rows) -> tuple[Tensor, Rows]:
        as_tail, as_head = self.maps[number]
        logits = edges.tails(tail.apply(as_tail, as_tail).scalars)
        logits = logits + edges.heads(head.apply(as_head, as_head).scalars)
        return leaky_relu(logits, self.layer.negative_slope), tail


def _columns(rows: Tensor, start: int, size: int) -> Tensor:
    return rows[:, start : start + size].contiguous()


def _by_head(rows: Tensor, weight: Tensor, start: int) -> Tensor:
    """Columns of each head [n, H * D] times the map of the head [H, D, D]."""
    heads, size, _ = weight.shape
    own = rows[:, start : start + heads * size].reshape(-1, heads, size)
    return torch.einsum("nhd,hde->nhe", own, weight).reshape(len(rows), -1)


def _projected(rows: Tensor, weight: Tensor) -> Tensor:
    """[n, H * D] -> [n, H]"""
    return (rows.view(-1, *weight.shape[1:]) * weight).sum(dim=-1)


TYPED_KERNELS: Mapping[type[MessagePassing], type[TypedAttentionKernel]] = {
    HGTConv: HGTKernel,
    HANConv: HANKernel,
}
