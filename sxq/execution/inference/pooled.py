"""The disjoint backend of models that classify graphs: every copy is a graph of its own in one batch.

G_s is edge-induced: only the nodes of its edges exist, with their self-loops, so that nothing else is pooled.
G \\ G_s keeps all nodes. The empty set is the exception: it stands for the nodes without any edge.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sxq.execution.inference import Cuts
from sxq.execution.inference.disjoint import Disjoint, LoadedField


class Pooled(Disjoint):
    """Runs a model of graphs on B cut graphs at once; fields are `WholeGraph`s."""

    def infer(self, cuts: Sequence[Cuts]) -> list[Tensor]:
        """Outputs [2, n, C] of the graphs: every G_s, then every G \\ G_s."""
        parts, sizes = [], [len(cut.bits) for cut in cuts]
        for cut in cuts:
            kept = torch.from_numpy(np.ascontiguousarray(cut.bits)).to(cut.field.x.device)
            parts += [_cut_out(cut.field, kept), _cut_out(cut.field, ~kept, all_nodes=True)]
        with torch.inference_mode():
            out = self.model(*_side_by_side(parts, np.repeat(sizes, 2))).float()
        outputs = out.split(np.repeat(sizes, 2).tolist())
        return [torch.stack(pair) for pair in zip(outputs[::2], outputs[1::2])]


def _cut_out(field: LoadedField, kept: Tensor, all_nodes: bool = False) -> tuple[Tensor | None, ...]:
    """x, edge_index, edge_weight, edge_attr and batch of the graphs with the units kept [n, U]."""
    edges, (tail, head) = field.present(kept, context=True), field.edge_index
    alive = torch.ones(len(kept), len(field.x), dtype=torch.bool, device=kept.device)
    if not all_nodes:
        copy, edge = (edges & (field.unit >= 0)).nonzero(as_tuple=True)
        alive[kept.any(dim=1)] = False
        alive[copy, tail[edge]] = alive[copy, head[edge]] = True
        edges = edges & alive[:, tail]  # no loop without its node
    number = alive.flatten().cumsum(0).view_as(alive) - 1
    batch, node = alive.nonzero(as_tuple=True)
    copy, edge = edges.nonzero(as_tuple=True)
    edge_index = torch.stack([number[copy, tail[edge]], number[copy, head[edge]]])
    weight, attr = (None if values is None else values[edge] for values in (field.edge_weight, field.edge_attr))
    return field.x[node], edge_index, weight, attr, batch


def _side_by_side(parts: Sequence[tuple[Tensor | None, ...]], sizes: Sequence[int]) -> list[Tensor | None]:
    """Several batches as one: nodes and graphs are numbered on."""
    nodes = np.cumsum([0, *(len(x) for x, *_ in parts)]).tolist()
    graphs = np.cumsum([0, *sizes]).tolist()
    x, edge_index, weight, attr, batch = zip(*parts)
    return [torch.cat(x), torch.cat([index + start for index, start in zip(edge_index, nodes)], dim=1),
            *(None if values[0] is None else torch.cat(values) for values in (weight, attr)),
            torch.cat([own + start for own, start in zip(batch, graphs)])]
