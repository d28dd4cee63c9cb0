"""GATConv (Velickovic et al. 2018) and GATv2Conv (Brody et al. 2022): attention over the neighbours.

Both drop the graph's loops and give every row one, whose edge attributes are `fill_value`: a constant, or the mean
(or sum) of the row's other in-edges, which depends on the candidate. A row without any edge gets zeros.
"""

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from sxq.execution.inference.kernels.base import Kernel, Site, as_column
from sxq.execution.inference.rowwise import Untraceable
from sxq.execution.inference.tile import Edges, Rows


class _Attention(Kernel):
    """What the two have in common."""

    takes = ("edge_attr",)

    def __init__(self, layer, given):
        super().__init__(layer, given)
        self.require_sum()
        self.attributes = bool(given) and layer.lin_edge is not None
        if isinstance(layer.fill_value, str) and layer.fill_value not in ("mean", "add", "sum"):
            raise Untraceable(f"{self.name} with fill_value={layer.fill_value!r}")

    def edges(self, site: Site) -> Edges:
        return site.edges("replace" if self.layer.add_self_loops else "keep")

    def finish(self, out: Tensor, x: Rows, site: Site) -> Tensor:
        """Heads [T, H, C] to channels; residual and bias."""
        layer = self.layer
        out = out.flatten(1) if layer.concat else out.mean(dim=1)
        if layer.res is not None:
            out = out + x.within(site.hop).apply(layer.res, layer.res).table
        return out if layer.bias is None else out + layer.bias

    def embed(self, values: Tensor) -> Tensor:
        """Edge attributes [m, D] as the layer sees them: [m, H * C]."""
        return self.layer.lin_edge(as_column(values))

    @property
    def gathers(self) -> bool:
        """Whether an added loop's attributes are made of the other edges of its row."""
        return self.layer.add_self_loops and isinstance(self.layer.fill_value, str)

    def fill(self, values: list[Tensor], edges: Edges, site: Site) -> list[Tensor]:
        """Values [E, ...] per part with constants put in for the added loops."""
        if self.gathers or not self.layer.add_self_loops:
            return values
        return [one.memo((self, "fill"), lambda v=value, one=one, i=i: self._filled(v, one.last, site, i))
                for i, (value, one) in enumerate(zip(values, edges.lists))]

    def _filled(self, values: Tensor, last: Tensor, site: Site, part: int) -> Tensor:
        values = values.clone()
        values[last] = self.change(self._fill_row(site.values("edge_attr")[part]))
        return values

    def _fill_row(self, like: Tensor) -> Tensor:
        fill = self.layer.fill_value
        row = torch.as_tensor(1.0 if fill is None else fill, dtype=like.dtype, device=like.device)
        return row.expand(1, like.shape[1] if like.ndim > 1 else 1)

    def degrees(self, edges: Edges) -> Tensor:
        """Scalars: by what a gathered sum is divided."""
        if self.layer.fill_value != "mean":
            return torch.ones((), device=edges.present.device)
        return (edges.total(edges.present) - 1).clamp_(min=1)


class GAT(_Attention):
    """logit of u -> v = leaky_relu(a . Wu + b . Wv + c . We): all three are scalars per head before they meet."""

    def run(self, x: Rows, site: Site) -> Tensor:
        layer, edges = self.layer, self.edges(site)
        tails, heads = (layer.lin, layer.lin) if layer.lin is not None else (layer.lin_src, layer.lin_dst)
        source = x.apply(tails, tails)
        logits = edges.tails(edges.scalars(source.apply(self._as_tail, self._as_tail)), x.hop)
        own = x.within(site.hop).apply(heads, heads).apply(self._as_head, self._as_head)
        logits += edges.heads(edges.scalars(own), site.hop)
        if self.attributes:
            self._add_attributes(logits, edges, site)
        return self.finish(edges.sum(source, edges.softmax(leaky_relu(logits, layer.negative_slope))), x, site)

    def _as_tail(self, rows: Tensor) -> Tensor:
        return self._project(rows, self.layer.att_src)

    def _as_head(self, rows: Tensor) -> Tensor:
        return self._project(rows, self.layer.att_dst)

    def change(self, values: Tensor) -> Tensor:
        return self._project(self.embed(values), self.layer.att_edge)

    def _project(self, rows: Tensor, attention: Tensor) -> Tensor:
        """[., H * C] -> [., H]"""
        return (rows.view(-1, self.layer.heads, self.layer.out_channels) * attention).sum(dim=-1)

    def _add_attributes(self, logits: Tensor, edges: Edges, site: Site) -> None:
        values = edges.constant(self.fill(site.listed("edge_attr", edges, self.change), edges, site))
        logits += values
        if self.gathers:
            gathered = edges.total(values * edges.present[:, None])
            edges.add_at_loops(logits, gathered.div_(self.degrees(edges).unsqueeze(-1)))


class GATv2(_Attention):
    """logit of u -> v = a . leaky_relu(Wu + Vv + Ue): a vector per message, so that every message is stored."""

    def run(self, x: Rows, site: Site) -> Tensor:
        layer, edges = self.layer, self.edges(site)
        source = x.apply(layer.lin_l, layer.lin_l)
        messages = edges.gather(source)
        messages += edges.gather_heads(x.within(site.hop).apply(layer.lin_r, layer.lin_r))
        if self.attributes:
            self._add_attributes(messages, edges, site)
        messages = leaky_relu(messages, layer.negative_slope).view(-1, layer.heads, layer.out_channels)
        logits = edges.by_edge((messages * layer.att).sum(dim=-1))
        return self.finish(edges.sum(source, edges.softmax(logits)), x, site)

    def change(self, values: Tensor) -> Tensor:
        return self.embed(values)

    def _add_attributes(self, messages: Tensor, edges: Edges, site: Site) -> None:
        values = self.fill(site.listed("edge_attr", edges, self.change), edges, site)
        edges.add_constant(messages, values)
        if self.gathers:
            gathered = edges.sum_constant(values, edges.present)
            degrees = self.degrees(edges)
            if degrees.ndim:
                gathered /= edges.as_table(degrees)[:, None]
            edges.add_at_loops_by_column(messages, gathered)
