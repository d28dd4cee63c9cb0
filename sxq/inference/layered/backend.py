"""The layered backend: a traced model run layer by layer over all candidates at once.

What it saves over copies of the field, in the order of what it is worth on Cora:

    the first linear map    is the same for every candidate: once per field
    rows                    a layer computes only those its consumers need, at last the target's
    messages                are never stored: a weighted sum reads the rows where they lie
    masks                   both graphs of a candidate, G_s and G \\ G_s, are columns of one table of its bits
    differences             on the largest fields the first layer computes what a candidate changes in known sums

Exact: absent edges weigh nothing in sums, and degrees, means and attention are those of the smaller graph.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.graph import Field, Graph
from sxq.inference import CandidateBatch
from sxq.inference.delta.match import TERM
from sxq.inference.delta.tile import settle
from sxq.inference.kernels.base import SCALARS, LayerContext
from sxq.inference.layered.gradient import slopes
from sxq.inference.layered.schedule import TileJob, pack
from sxq.inference.layered.steps import GRAPHS, NODES, PLAIN, Step, Trace, trace
from sxq.inference.tiles.field import FieldPlan, each
from sxq.inference.tiles.threads import side_by_side
from sxq.inference.tiles.tile import Rows, Tile
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.borrow import Model, edge_tensors


class Layered:
    """Runs a model whose steps are known. Raises Untraceable for any other."""

    name = "layered"

    def __init__(self, model: Model):
        self.model = model
        self.trace = trace(model.module, model.arguments)
        self.near = _sums_first(self.trace)
        self._width = max([1] + [p.shape[0] for p in model.module.parameters() if p.ndim])

    def load(self, graph: Graph, field: Field, differentiable: bool = False) -> FieldPlan:
        """The plan of a field, with every step computed that is the same for all candidates.

        `differentiable`: to be used outside of inference mode, for `slopes`.
        """
        plan = FieldPlan(field, self.trace.hops, self.model.device, whole=self.trace.pools)
        _, weight, attr = edge_tensors(graph, field.edges, self.model.device)
        rows = plan.to_device(graph.features(field.nodes[: plan.rows(self.trace.hops)]))
        inputs = {"edge_weight": weight, "edge_attr": attr}
        with torch.inference_mode(not differentiable), torch.no_grad():
            for step in self.trace.steps.values():
                if step.call and not step.varies:
                    plan.values[step.name] = step.run(
                        lambda name: self._fixed(name, step.hop, plan)
                    )
                elif step.input:
                    plan.values[step.name] = rows if step.kind == NODES else inputs.get(step.input)
        return plan

    def _fixed(self, name: str, hop: int, plan: FieldPlan) -> Any:
        return plan.fixed(name, hop) if self.trace.steps[name].kind == NODES else plan.values[name]

    def slopes(self, plan: FieldPlan, weights: Tensor, odds: Callable[[Tensor], Tensor]) -> Tensor:
        """Derivatives [U + EXTRA, W] of odds(outputs [W, C]) [W] with respect to the weights of messages, by unit;
        behind the units those of loops and of the halo. The plan is a differentiable one.

        Raises Untraceable or RuntimeError for layers that cannot be differentiated so.
        """
        return slopes(self._run, odds, plan, weights)

    def cost(self, plan: FieldPlan) -> int:
        """Bytes one candidate takes at most, both graphs: masks, the messages of the largest layer, rows."""
        rows, messages = plan.rows(max(self.trace.hops - 1, 0)), self._messages(plan)
        terms = (
            messages * 4 * self._width // TERM if self.near else 0
        )  # of differences: vectors, in doubles
        return 2 * 4 * (plan.units + SCALARS * messages + terms + 4 * self._width * rows)

    @torch.inference_mode()
    def infer(self, cuts: Sequence[CandidateBatch]) -> list[Tensor]:
        """Outputs [2, n, C] of the targets, or of the whole graphs: on every G_s, then on every G \\ G_s."""
        pieces, device = [[] for _ in cuts], self.model.device
        near = self.near and device.type == "cpu"
        loads = pack(cuts, self._messages, device.type, torch.get_num_threads(), near)
        for load, outputs in zip(loads, side_by_side(self._outputs, loads, device)):
            for owner, rows, piece in zip(load.owners, load.rows, outputs):
                pieces[owner].append((rows, piece))
            if load.near:
                settle(load.near)
        return [_assembled(own) for own in pieces]

    def _outputs(self, load: TileJob) -> list[Tensor]:
        """[2, n_i, C] of every part."""
        with torch.inference_mode(), load.tile() as tile:
            out = self._run(tile)
            if len(load.bits) == 1:  # one slab
                return [out.view(2, load.width, out.shape[1])]
            slabs = (
                out.view(2, load.width, -1, out.shape[1]).transpose(1, 2).split(load.slabs, dim=1)
            )
            return [piece.flatten(1, 2)[:, : len(bits)] for piece, bits in zip(slabs, load.bits)]

    def _messages(self, plan: FieldPlan) -> int:
        """Edges of the largest layer, counted several times where a message is more than what weighs it."""
        return plan.memo(
            "messages",
            lambda: max(
                [1]
                + [
                    plan.edges(step.hop + step.kernel.hops - 1, "replace").size
                    * step.kernel.held(self._channels(step.args[0].name, plan))
                    // SCALARS
                    for step in self.trace.varying
                    if step.kernel
                ]
            ),
        )

    def _channels(self, name: str, plan: FieldPlan) -> int:
        """How wide the value of a step is, at most."""
        return self._width if self.trace.steps[name].varies else plan.values[name].shape[1]

    def _run(self, tile: Tile) -> Tensor:
        """Every step that varies, in order: the output [W * slabs, C] at the targets."""
        values: dict[str, Any] = {}
        for step in self.trace.varying:
            if step.kernel:
                x = self._rows(step.args[0].name, step.hop + step.kernel.hops, tile, values)
                values[step.name] = step.kernel.run(x, LayerContext(tile, step.hop, step.given))
            elif step.pool:
                rows = self._look_up(step.args[0].name, step.hop, tile, values)
                values[step.name] = step.pool.run(rows, tile)
            else:
                value = step.run(lambda name: self._look_up(name, step.hop, tile, values))
                rows = sum(tile.frame.counts) if step.kind == GRAPHS else tile.frame.rows(step.hop)
                _check(value, tile.columns * rows, step)
                values[step.name] = value
        return self._look_up(self.trace.output, 0, tile, values)

    def _rows(self, name: str, hop: int, tile: Tile, values: dict[str, Any]) -> Rows:
        """The value of a step, as a layer takes it."""
        step = self.trace.steps[name]
        if step.varies:
            return Rows(tile, hop, tile.within(values[name], step.hop, hop))
        return Rows(tile, hop, None, (name, hop), lambda plan: plan.fixed(name, hop))

    def _look_up(self, name: str, hop: int, tile: Tile, values: dict[str, Any]) -> Any:
        """The value of a step, as an operation takes it: tables of the rows within `hop` steps."""
        step = self.trace.steps[name]
        if step.varies:
            value, whole = values[name], step.kind == GRAPHS or hop == step.hop
            return value if whole else each(value, lambda t: tile.within(t, step.hop, hop))
        example = tile.frame.fields[0].values[name]
        if step.kind == PLAIN:
            return example
        if not isinstance(example, (tuple, list)):
            return self._rows(name, hop, tile, values).table
        return tuple(
            Rows(tile, hop, None, (name, hop, i), lambda plan, i=i: plan.fixed(name, hop)[i]).table
            for i in range(len(example))
        )


def _sums_first(trace: Trace) -> bool:
    """Whether all layers that look farthest do nothing but sum what is the same for every candidate, and no
    layer is given anything about edges: then they can be computed as differences."""
    layers = [step for step in trace.varying if step.kernel]
    first = [step for step in layers if step.hop + step.kernel.hops == trace.hops]
    return (
        trace.hops > 1
        and not trace.pools
        and not any(step.given for step in layers)
        and all(step.kernel.sums and not trace.steps[step.args[0].name].varies for step in first)
    )


def _assembled(pieces: list[tuple[np.ndarray | slice, Tensor]]) -> Tensor:
    """The outputs [2, n_i, C] of some candidates each, in the order of the candidates.

    One piece is not always in that order: who looked for references may have turned the batch around.
    """
    if isinstance(pieces[0][0], slice):  # the whole batch, as it came
        return pieces[0][1]
    rows = np.concatenate([rows for rows, _ in pieces])
    out = pieces[0][1] if len(pieces) == 1 else torch.cat([piece for _, piece in pieces], dim=1)
    return out if (np.diff(rows) == 1).all() else out[:, torch.from_numpy(np.argsort(rows))]


def _check(value: Any, rows: int, step: Step) -> None:
    """Rows must have stayed rows: what no rule about operations has caught ends here."""
    for tensor in value if isinstance(value, (tuple, list)) else (value,):
        if tensor.shape[0] != rows:
            raise Untraceable(f"{step.name} does not keep one row per node")
