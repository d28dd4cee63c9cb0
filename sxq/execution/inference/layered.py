"""The layered backend: a traced model run layer by layer over all candidates at once.

What it saves over copies of the field, in the order of what it is worth on Cora:

    the first linear map    is the same for every candidate: once per field
    rows                    a layer computes only those its consumers need, at last the target's
    messages                are never stored: a weighted sum reads the rows where they lie
    masks                   both graphs of a candidate, G_s and G \\ G_s, are columns of one table made from its bits

Exact: edges that are absent weigh nothing in sums, and degrees, means and attention are those of the smaller graph.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from sxq.execution.inference import Cuts
from sxq.execution.inference.kernels.base import Site
from sxq.execution.inference.plan import FieldPlan
from sxq.execution.inference.rowwise import Untraceable
from sxq.execution.inference.tile import Part, Rows, Tile
from sxq.execution.inference.trace import NODES, PLAIN, Step, trace
from sxq.execution.model import Model, edge_tensors
from sxq.graph import Field, Graph

TILE = {"cpu": 2**18, "cuda": 2**25}  # messages of the widest layer that run together: what the caches hold


class Layered:
    """Runs a model whose steps are known. Raises Untraceable for any other."""

    name = "layered"

    def __init__(self, model: Model):
        self.model = model
        self.trace = trace(model.module, model.arguments)
        self._width = max([1] + [p.shape[0] for p in model.module.parameters() if p.ndim])

    def load(self, graph: Graph, field: Field) -> FieldPlan:
        """The plan of a field, with every step computed that is the same for all candidates."""
        plan = FieldPlan(field, self.model.device)
        _, weight, attr = edge_tensors(graph, field.edges, self.model.device)
        rows = plan.to_device(graph.features(field.nodes[: plan.rows(self.trace.hops)]))
        inputs = {"edge_weight": weight, "edge_attr": attr}
        with torch.inference_mode():
            for step in self.trace.steps.values():
                if step.call:
                    if not step.varies:
                        plan.values[step.name] = _call(step, lambda node: self._fixed(node.name, step.hop, plan))
                elif not step.kernel:
                    plan.values[step.name] = rows if step.kind == NODES else inputs.get(step.input)
        return plan

    def _fixed(self, name: str, hop: int, plan: FieldPlan) -> Any:
        """A step that is the same for all candidates, on the rows within `hop` steps."""
        value = plan.values[name]
        if self.trace.steps[name].kind == NODES:
            return _each(value, lambda rows: rows[: plan.rows(hop)])
        return value

    def cost(self, plan: FieldPlan) -> int:
        """Bytes of the largest layer, for both columns of a candidate: masks, messages, rows."""
        edges = len(plan.edges(self.trace.hops - 1, "replace")) if self.trace.hops else 0
        return 2 * 4 * (plan.units + 8 * edges + 4 * self._width * plan.rows(max(self.trace.hops - 1, 0)))

    def infer(self, cuts: Sequence[Cuts]) -> list[Tensor]:
        """Outputs [2, n, C] of the targets: on every G_s, then on every G \\ G_s."""
        pieces = [[] for _ in cuts]
        with torch.inference_mode():
            for owners, parts in self._tiles(cuts):
                out = self._run(Tile(parts, self.trace.hops))
                for owner, piece in zip(owners, out.split([part.columns for part in parts])):
                    pieces[owner].append(piece.view(2, -1, piece.shape[1]))
        return [own[0] if len(own) == 1 else torch.cat(own, dim=1) for own in pieces]

    def _tiles(self, cuts: Sequence[Cuts]) -> Iterator[tuple[list[int], list[Part]]]:
        """Parts of the cuts that fit the caches together, and whose they are."""
        limit = TILE[self.model.device.type]
        owners, parts, free = [], [], limit
        for owner, cut in enumerate(cuts):
            cost, start = 2 * self._messages(cut.field), 0
            while start < len(cut.bits):
                if parts and free < cost * min(8, len(cut.bits) - start):
                    yield owners, parts
                    owners, parts, free = [], [], limit
                stop = start + min(max(1, free // cost), len(cut.bits) - start)
                owners.append(owner)
                parts.append(Part(cut.field, cut.bits[start:stop]))
                start, free = stop, free - (stop - start) * cost
        if parts:
            yield owners, parts

    def _messages(self, plan: FieldPlan) -> int:
        hop = max(self.trace.hops - 1, 0)
        return plan.memo("messages", lambda: max(1, len(plan.edges(hop, "replace"))))

    def _run(self, tile: Tile) -> Tensor:
        """Every step that varies, in order: the output [sum of columns, C] at the targets."""
        values: dict[str, Any] = {}
        for step in self.trace.steps.values():
            if step.kernel:
                x = self._rows(step.args[0].name, step.hop + step.kernel.hops, tile, values)
                values[step.name] = step.kernel.run(x, Site(tile, step.hop, step.given))
            elif step.varies:
                values[step.name] = _call(step, lambda node: self._look_up(node.name, step.hop, tile, values))
                _check(values[step.name], tile, step)
        return self._look_up(self.trace.output, 0, tile, values)

    def _rows(self, name: str, hop: int, tile: Tile, values: dict[str, Any]) -> Rows:
        """The value of a step, as a layer takes it."""
        if self.trace.steps[name].varies:
            return Rows(tile, self.trace.steps[name].hop, values[name]).within(hop)
        return Rows(tile, hop, None, [self._fixed(name, hop, plan) for plan in tile.plans], name)

    def _look_up(self, name: str, hop: int, tile: Tile, values: dict[str, Any]) -> Any:
        """The value of a step, as an operation takes it: tables of the rows within `hop` steps."""
        step = self.trace.steps[name]
        if step.kind == PLAIN:
            return tile.plans[0].values[name]
        if not step.varies:
            fixed = [self._fixed(name, hop, plan) for plan in tile.plans]
            if isinstance(fixed[0], tuple):
                return tuple(Rows(tile, hop, None, list(parts)).table for parts in zip(*fixed))
            return Rows(tile, hop, None, fixed).table
        return _each(values[name], lambda table: Rows(tile, step.hop, table).within(hop).table)


def _call(step: Step, look_up: Callable[[fx.Node], Any]) -> Any:
    return step.call(*fx.map_arg(step.args, look_up), **fx.map_arg(step.kwargs, look_up))


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change a tensor, or each of the several results of an operation."""
    return tuple(map(change, value)) if isinstance(value, (tuple, list)) else change(value)


def _check(value: Any, tile: Tile, step: Step) -> None:
    """Rows must have stayed rows: what no rule about operations has caught ends here."""
    expected = sum(rows * columns for rows, columns in zip(tile.rows(step.hop), tile.columns))
    for tensor in value if isinstance(value, (tuple, list)) else (value,):
        if tensor.shape[:1] != (expected,):
            raise Untraceable(f"{step.name} does not keep one row per node")
