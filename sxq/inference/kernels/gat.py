"""GATConv (Velickovic et al. 2018) and GATv2Conv (Brody et al. 2022): attention over the neighbours.

Both drop the graph's loops and give every row one, whose edge attributes are `fill_value`: a constant, or the
mean (or sum) of the row's other in-edges, which depends on the candidate. A row without any edge gets zeros.
"""

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from sxq.inference.kernels.base import SCALARS, Kernel, LayerContext, as_column
from sxq.inference.tiles.field import FieldPlan
from sxq.inference.tiles.tile import Edges, Rows
from sxq.inference.tracing.rowwise import Untraceable


class _Attention(Kernel):
    """What the two have in common."""

    takes = ("edge_attr",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        self.loops = "replace" if layer.add_self_loops else "keep"
        self.attributes = bool(given) and layer.lin_edge is not None
        self.gathers = layer.add_self_loops and isinstance(
            layer.fill_value, str
        )  # loops are like the others
        if self.gathers and layer.fill_value not in ("mean", "add", "sum"):
            raise Untraceable(f"{self.name} with fill_value={layer.fill_value!r}")

    def change(self, values: Tensor) -> Tensor:
        """Edge attributes as they enter the logits."""
        raise NotImplementedError

    def edge_values(self, edges: Edges, site: LayerContext) -> Tensor:
        """Changed edge attributes [E, ...], zeros for loops whose attributes are gathered."""
        constant = self._constant if self.layer.add_self_loops and not self.gathers else None
        return site.listed("edge_attr", edges, self.change, constant)

    def _constant(self, plan: FieldPlan, values: Tensor) -> Tensor:
        """[n, ...]: the attributes of every added loop."""
        fill = 1.0 if self.layer.fill_value is None else self.layer.fill_value
        fill = torch.as_tensor(fill, dtype=values.dtype, device=values.device)
        row = self.change(fill.expand(1, as_column(values).shape[1]))
        return row.expand(plan.field.num_nodes, *row.shape[1:])

    def degrees(self, edges: Edges) -> Tensor:
        """[R, W]: by what gathered attributes are divided; the added loop is no part of the mean."""
        degrees = edges.total(edges.present)
        return (
            degrees.sub_(1).clamp_(min=1) if self.layer.fill_value == "mean" else degrees.fill_(1)
        )

    def embed(self, values: Tensor) -> Tensor:
        return self.layer.lin_edge(as_column(values))

    def finish(self, out: Tensor, x: Rows, site: LayerContext) -> Tensor:
        """Heads [T, H, C] to channels; residual and bias."""
        layer = self.layer
        out = out.flatten(1) if layer.concat else out.mean(dim=1)
        if layer.res is not None:
            out = out + x.within(site.hop).apply(layer.res, layer.res).table
        return out if layer.bias is None else out + layer.bias


class GAT(_Attention):
    """logit of u -> v = leaky_relu(a . Wu + b . Wv + c . We): each a scalar per head before they meet."""

    def run(self, x: Rows, site: LayerContext) -> Tensor:
        layer, edges = self.layer, site.edges(self.loops)
        tails, heads = (
            (layer.lin, layer.lin) if layer.lin is not None else (layer.lin_src, layer.lin_dst)
        )
        source = x.apply(tails, tails)
        own = x.within(site.hop).apply(heads, heads)
        logits = edges.tails(source.apply(self._as_tail, self._as_tail).scalars)
        logits += edges.heads(own.apply(self._as_head, self._as_head).scalars)
        if self.attributes:
            self._add_attributes(logits, edges, site)
        attention = edges.softmax(leaky_relu(logits, layer.negative_slope))
        return self.finish(edges.sum(source, attention), x, site)

    def change(self, values: Tensor) -> Tensor:
        return self._project(self.embed(values), self.layer.att_edge)

    def held(self, channels: int) -> int:
        return SCALARS * self.layer.heads

    def _as_tail(self, rows: Tensor) -> Tensor:
        return self._project(rows, self.layer.att_src)

    def _as_head(self, rows: Tensor) -> Tensor:
        return self._project(rows, self.layer.att_dst)

    def _project(self, rows: Tensor, attention: Tensor) -> Tensor:
        """[., H * C] -> [., H]"""
        return (rows.view(-1, self.layer.heads, self.layer.out_channels) * attention).sum(dim=-1)

    def _add_attributes(self, logits: Tensor, edges: Edges, site: LayerContext) -> None:
        values = self.edge_values(edges, site)[:, None]
        logits += values
        if self.gathers:
            gathered = edges.total(values * edges.present[:, :, None]) / self.degrees(
                edges
            ).unsqueeze(-1)
            logits.index_add_(0, edges.list.last, gathered.expand(-1, logits.shape[1], -1))


class GATv2(_Attention):
    """logit of u -> v = a . leaky_relu(Wu + Vv + Ue): a vector per message, and so each is stored."""

    def run(self, x: Rows, site: LayerContext) -> Tensor:
        layer, edges = self.layer, site.edges(self.loops)
        source = x.apply(layer.lin_l, layer.lin_l)
        messages = edges.gather(source)
        messages += edges.gather_heads(x.within(site.hop).apply(layer.lin_r, layer.lin_r))
        if self.attributes:
            self._add_attributes(messages, edges, site)
        messages = leaky_relu(messages, layer.negative_slope).unflatten(
            -1, (layer.heads, layer.out_channels)
        )
        logits = (messages * layer.att).sum(dim=-1).transpose(0, 1)
        return self.finish(edges.sum(source, edges.softmax(logits)), x, site)

    def held(self, channels: int) -> int:
        return self.layer.heads * (SCALARS + 3 * self.layer.out_channels)

    def change(self, values: Tensor) -> Tensor:
        return self.embed(values)

    def _add_attributes(self, messages: Tensor, edges: Edges, site: LayerContext) -> None:
        values = self.edge_values(edges, site)
        messages += values
        if self.gathers:
            gathered = edges.sum_constant(values, edges.present).view(
                edges.columns, edges.list.rows, -1
            )
            messages.index_add_(1, edges.list.last, gathered / self.degrees(edges).T.unsqueeze(-1))
