"""The layered backend: a traced model run layer by layer over all candidates at once.

It saves work compared with copies of the field. In the order of the time saved on Cora:

    the first linear map    is the same for every candidate, so it is computed once per field
    rows                    a layer computes only the rows that the next needs; the last, the target
    messages                are never stored: a weighted sum reads the rows in place
    masks                   G_s and G \\ G_s of a candidate are two columns of one table of bits
    differences             on the largest fields the first layer only updates known sums

It is exact: absent edges have weight zero in sums, and degrees, means and attention are those of
the smaller graph.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import Linear

from sxq.graph import Field, Graph
from sxq.inference import CandidateBatch
from sxq.inference.delta.delta_tile import commit
from sxq.inference.delta.match import TERM
from sxq.inference.kernels.base import SCALARS, LayerContext
from sxq.inference.kernels.messages import Across, Gather, listed
from sxq.inference.layered.gradient import mask_gradient, share_gradient
from sxq.inference.layered.schedule import TileJob, pack
from sxq.inference.layered.steps import (
    EDGES,
    ENDS,
    GRAPHS,
    LINKS,
    NODES,
    PLAIN,
    ModelSteps,
    Step,
    steps_of,
)
from sxq.inference.tiles.alike import AlikeRows, AlikeTile
from sxq.inference.tiles.feature_rows import FeatureRows, entries
from sxq.inference.tiles.layout import FieldLayout, each
from sxq.inference.tiles.threads import side_by_side
from sxq.inference.tiles.tile import Rows, Tile
from sxq.inference.tracing.as_called import as_called
from sxq.inference.tracing.by_name import by_name
from sxq.inference.tracing.by_type import one_type_forwards
from sxq.inference.tracing.example import Example, examples_of
from sxq.inference.tracing.pair_forward import attributes_kept, pair_forward
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models import device as devices
from sxq.models.call import PAIRS
from sxq.models.forward import edge_tensors, node_tensor
from sxq.models.model import Model
from sxq.models.typed_call import by_types
from sxq.models.wrappers import Adapted


class Layered:
    """Runs a model whose steps are all known. Raises Untraceable for any other model."""

    name = "layered"

    def __init__(self, model: Model):
        typed = by_types(model.module)
        _require_single(model.module)
        self.model = model
        self.typed = typed is not None
        # A model of one table that is called in its own way.
        self.named = model.module if isinstance(model.module, Adapted) else None
        if self.typed or model.links:
            self.named = None
        # The steps by the type of the target's node.
        self._by_type: dict[int, ModelSteps] = {}
        if typed is not None:
            forwards = one_type_forwards(model, typed)
            pairs = PAIRS[:1] if model.links else ()
            with attributes_kept(model.module):
                self._by_type = {
                    number: steps_of(forward, (*forward.named.values(), *pairs))
                    for number, forward in forwards.items()
                }
            self.steps = next(iter(self._by_type.values()))
        else:
            forward = (
                pair_forward(model) if model.links else as_called(model.module, model.arguments)
            )
            examples: Sequence[Example] = () if model.links else examples_of(model)
            kinds: dict[str, str] = {}
            if self.named is not None:
                forward, examples, kinds = by_name(self.named, examples)
            self._read = partial(steps_of, forward, model.arguments, examples=examples, kinds=kinds)
            with attributes_kept(forward):
                self.steps = self._read()
        self._with_features: ModelSteps | None = None
        self.as_delta = not self.typed and _sums_first(self.steps)
        self.alike = not self.typed and _of_rows(self.steps)
        kernels = [step.kernel for step in self.steps.varying if step.kernel]
        widths = [kernel.width for kernel in kernels]
        rows = [p.shape[0] for p in model.module.parameters() if p.ndim]
        self._width = max([1, *widths, *rows])

    def load(self, graph: Graph, field: Field, differentiable: bool = False) -> FieldLayout:
        """The layout of a field, with the results of all steps that no candidate changes.

        `differentiable`: for use outside of inference mode, by `mask_gradient`.
        """
        types = graph.types if self.typed else None
        if graph.types is not None and field.over == "features":
            raise Untraceable("its features are tables by type")
        node_type = 0 if types is None else int(types.of_node[field.nodes[0]])
        steps = self._steps(field, node_type)
        layout = FieldLayout(
            field,
            steps.hops,
            self.model.device,
            whole=steps.pools,
            edge_type=None if types is None else types.of_edge[field.edges],
            node_type=node_type,
        )
        features, inputs = self._inputs(graph, field, layout.rows(steps.hops))
        with torch.inference_mode(not differentiable), torch.no_grad():
            for step in steps.by_name.values():
                if step.make:
                    rows = layout.rows(step.hop) if step.kind == NODES else len(field.edges)
                    layout.values[step.name] = step.make(rows)
                elif isinstance(step.crossing, Gather) and not step.varies:
                    value = layout.values[step.args[0].name]
                    layout.values[step.name] = step.crossing.load(value, layout)
                elif step.call and not step.varies:
                    look_up = partial(self._fixed, hop=step.hop, layout=layout)
                    layout.values[step.name] = step.run(look_up)
                elif step.input == steps.first:
                    layout.values[step.name] = features
                elif step.input:
                    layout.values[step.name] = inputs.get(step.input)
        return layout

    def _inputs(self, graph: Graph, field: Field, rows: int) -> tuple[Tensor, dict[str, Any]]:
        """x of the first nodes of a field, and the other inputs by name."""
        model = self.model
        nodes = field.nodes[:rows]
        carried = () if self.typed else model.call.edge_inputs
        _, weight, attr = edge_tensors(graph, field.edges, model.device, carried)
        given = {"edge_weight": weight, "edge_attr": attr}
        if self.typed:
            return devices.to_device(graph.features(nodes), model.device), given
        table = node_tensor(model, graph, nodes)
        if self.named is None:
            return table, given
        inputs = self.named.inputs(table, given)
        return inputs["x"], inputs

    def _steps(self, field: Field, node_type: int) -> ModelSteps:
        """The steps of the model where units are those of a field, and its target is of this type."""
        if self.typed:
            return self._by_type[node_type]
        if field.over != "features":
            return self.steps
        if self._with_features is None:
            with attributes_kept(self._read.args[0]):
                self._with_features = self._read(features=True)
        return self._with_features

    def _of(self, layout: FieldLayout) -> ModelSteps:
        return self._steps(layout.field, layout.node_type)

    def _fixed(self, name: str, hop: int, layout: FieldLayout) -> Any:
        return (
            layout.fixed(name, hop)
            if self._of(layout).by_name[name].kind == NODES
            else layout.values[name]
        )

    def mask_gradient(
        self, layout: FieldLayout, weights: Tensor, odds: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Derivatives [U + EXTRA_ROWS, W] of odds(outputs [W, C]) [W] with respect to message weights.

        One row per unit, then those of loops and of the halo. The layout must be differentiable.
        Raises Untraceable or RuntimeError for layers that cannot be differentiated this way.
        """
        if any(step.crossing for step in self._of(layout).varying):
            raise Untraceable("message passing that the user wrote takes no mask here")
        return mask_gradient(self.run, odds, layout, weights)

    def share_gradient(
        self,
        layout: FieldLayout,
        shares: Tensor,
        odds: Callable[[Tensor], Tensor],
        context: bool = True,
    ) -> Tensor:
        """Derivatives [n, U] of odds(outputs [n, C]) [n] with respect to the share of each feature that is there."""
        return share_gradient(self.run, odds, layout, shares, context)

    def cost(self, layout: FieldLayout) -> int:
        """The most bytes that a candidate takes, both graphs: masks, messages of the largest layer, rows."""
        rows = layout.rows(max(self._of(layout).hops - 1, 0))
        messages = self._messages(layout)
        # The terms of differences are vectors of doubles.
        terms = messages * 4 * self._width // TERM if self.as_delta else 0
        return 2 * 4 * (layout.units + SCALARS * messages + terms + 4 * self._width * rows)

    @torch.inference_mode()
    def infer(self, batches: Sequence[CandidateBatch]) -> list[Tensor]:
        """Outputs [2, n, C] of the targets or whole graphs: on every G_s, then on every G \\ G_s."""
        if all(len(batch.bits) != 1 for batch in batches):
            return self._infer(batches)
        found = self._infer([_at_least_two(batch) for batch in batches])
        return [outputs[:, : len(batch.bits)] for outputs, batch in zip(found, batches)]

    def _infer(self, batches: Sequence[CandidateBatch]) -> list[Tensor]:
        device = self.model.device
        pieces: list[list[tuple[np.ndarray | slice, Tensor]]] = [[] for _ in batches]
        as_delta = self.as_delta and device.type == "cpu" and _by_edges(batches)
        if device.type == "cpu" and all(map(self._by_alike, batches)):
            return self._of_alike(batches)
        for numbers in _by_node_type(batches):
            own = [batches[number] for number in numbers]
            jobs = pack(own, self._messages, device.type, torch.get_num_threads(), as_delta)
            for job, outputs in zip(jobs, side_by_side(self._outputs, jobs, device)):
                for owner, rows, piece in zip(job.owners, job.rows, outputs):
                    pieces[numbers[owner]].append((rows, piece))
                if job.match:
                    commit(job.match)
        return [_assembled(own) for own in pieces]

    def _by_alike(self, batch: CandidateBatch) -> bool:
        """Whether rows of a batch that are alike are computed once."""
        return self.alike and batch.field.field.over != "features"

    def _of_alike(self, batches: Sequence[CandidateBatch]) -> list[Tensor]:
        """`infer` of whole graphs, in as many parts as there are threads."""
        threads = torch.get_num_threads()
        parts = [np.array_split(batch.bits, threads) for batch in batches]
        jobs = [list(zip((batch.field for batch in batches), own)) for own in zip(*parts)]
        found = side_by_side(self._different, jobs, self.model.device)
        return [torch.cat(pieces, dim=1) for pieces in zip(*found)]

    def _different(self, parts: Sequence[tuple[FieldLayout, np.ndarray]]) -> list[Tensor]:
        """Outputs [2, n_i, C] of candidates of several fields, by the rows that differ."""
        fields, bits = zip(*parts)
        steps = self.steps
        degrees = any(step.kernel.by_degree for step in steps.varying if step.kernel)
        with (
            torch.inference_mode(),
            AlikeTile(
                AlikeRows(fields, bits, depth=steps.hops, first=steps.first, by_degree=degrees)
            ) as tile,
        ):
            out = self.run(tile)
        pieces = out.split([2 * len(own) for own in bits])
        return [piece.unflatten(0, (2, -1)) for piece in pieces]

    def _outputs(self, job: TileJob) -> list[Tensor]:
        """Outputs [2, n_i, C] of every part."""
        with torch.inference_mode(), job.tile() as tile:
            out = self.run(tile)
            if len(job.bits) == 1:  # one slab
                return [out.view(2, job.width, out.shape[1])]
            slabs = out.view(2, job.width, -1, out.shape[1]).transpose(1, 2).split(job.slabs, dim=1)
            return [piece.flatten(1, 2)[:, : len(bits)] for piece, bits in zip(slabs, job.bits)]

    def _messages(self, layout: FieldLayout) -> int:
        """Edges of the largest layer, times the size of a message in units of SCALARS numbers."""
        return layout.memo("messages", lambda: self._most_messages(layout))

    def _most_messages(self, layout: FieldLayout) -> int:
        found = [
            layout.edges(step.hop + step.kernel.hops - 1, "replace").size
            * step.kernel.scalars_per_message(self._channels(step.args[0].name, layout))
            // SCALARS
            for step in self._of(layout).varying
            if step.kernel
        ]
        of_edges = [
            layout.edges(step.hop, step.loops).size
            * step.crossing.scalars_per_message(_width(step, self._of(layout)))
            // SCALARS
            for step in self._of(layout).varying
            if step.crossing
        ]
        found.append(sum(of_edges))  # they are kept until the tile has ended
        if layout.field.over == "features":
            found.append(entries(layout))
        return max([1, *found])

    def _channels(self, name: str, layout: FieldLayout) -> int:
        """The largest width that the value of a step can have."""
        step = self._of(layout).by_name[name]
        return self._width if step.varies else layout.values[name].shape[1]

    def run(self, tile: Tile) -> Tensor:
        """Runs the steps that vary, in order; returns the output [W * slabs, C] at the targets."""
        values: dict[str, Any] = {}
        steps = self._of(tile.frame.fields[0])
        for step in steps.varying:
            if step.kernel:
                count = step.kernel.tables
                outer = step.hop + step.kernel.hops
                tables = [self._rows(end.name, outer, tile, values) for end in step.args[:count]]
                own = [self._rows(end.name, step.hop, tile, values) for end in step.args[count:]]
                receivers = own[0] if own else None
                context = LayerContext(
                    tile, step.hop, step.given, step.only, receivers, tables=tuple(tables)
                )
                values[step.name] = step.kernel.run(tables[0], context)
            elif step.crossing:
                values[step.name] = self._crossed(step, tile, values)
            elif step.pool:
                rows = self._look_up(step.args[0].name, step.hop, tile, values)
                values[step.name] = step.pool.run(rows, tile)
            else:
                look_up = partial(self._look_up, hop=step.hop, tile=tile, values=values)
                value = self._mapped(step, tile) if _maps(step, steps) else step.run(look_up)
                if step.kind != ENDS:
                    _check(value, tile.columns * _count(step, tile), step)
                values[step.name] = value
        found = self._look_up(steps.output, 0, tile, values)
        return found[:, None] if found.ndim == 1 else found  # scores of links

    def _crossed(self, step: Step, tile: Tile, values: dict[str, Any]) -> Any:
        """The value of an operation between nodes and edges."""
        at = Across(
            tile,
            step.hop,
            partial(self._look_up, tile=tile, values=values),
            partial(self._rows, tile=tile, values=values),
        )
        assert step.crossing is not None
        found = step.crossing.run(tuple(source.name for source in step.args), at)
        return each(found, lambda table: table.to(step.dtype)) if step.dtype else found

    def _mapped(self, step: Step, tile: Tile) -> Tensor:
        """What a linear layer makes of x where x varies."""
        rows = FeatureRows(tile, step.hop, step.args[0].name)
        return rows.apply(step.call, step.name).table

    def _rows(self, name: str, hop: int, tile: Tile, values: dict[str, Any]) -> Rows:
        """The value of a step in the form that a layer takes."""
        step = self._of(tile.frame.fields[0]).by_name[name]
        if step.varies and step.input:
            return FeatureRows(tile, hop, name)
        if step.varies:
            return Rows(tile, hop, tile.within(values[name], step.hop, hop))
        return Rows(tile, hop, None, (name, hop), lambda layout: layout.fixed(name, hop))

    def _look_up(self, name: str, hop: int, tile: Tile, values: dict[str, Any]) -> Any:
        """The value of a step in the form that an operation takes: rows within `hop` steps."""
        step = self._of(tile.frame.fields[0]).by_name[name]
        if step.varies and step.input:
            return FeatureRows(tile, hop, name).table
        if step.kind == EDGES:
            if not step.varies:
                return _of_edges(step, hop, tile)
            return each(values[name], partial(_within, tile=tile, step=step, hop=hop))
        if step.varies:
            value = values[name]
            whole = step.kind in (GRAPHS, LINKS, ENDS) or hop == step.hop
            return value if whole else each(value, lambda t: tile.within(t, step.hop, hop))
        example = tile.frame.fields[0].values[name]
        if step.kind == PLAIN:
            return example
        if not isinstance(example, (tuple, list)):
            return self._rows(name, hop, tile, values).table

        def part(i: int) -> Tensor:
            make = lambda layout: layout.fixed(name, hop)[i]
            return Rows(tile, hop, None, (name, hop, i), make).table

        return tuple(map(part, range(len(example))))


def _require_single(module: nn.Module) -> None:
    """Raise Untraceable for parameters of another kind of float than the sums of the kernels have."""
    kinds = {p.dtype for p in module.parameters() if p.is_floating_point()} - {torch.float32}
    if kinds:
        kind = str(next(iter(kinds))).removeprefix("torch.")
        raise Untraceable(f"its parameters are {kind}, and layers are computed in float32")


def _count(step: Step, tile: Tile) -> int:
    """The rows of a step's value in one column."""
    if step.kind in (GRAPHS, LINKS):
        return sum(tile.frame.counts)
    if step.kind == EDGES:
        return tile.edges(step.hop, step.loops).list.size
    return tile.frame.rows(step.hop)


def _of_edges(step: Step, hop: int, tile: Tile) -> Any:
    """Values of edges that are equal for all candidates, for the edges into rows within `hop` steps."""
    example = tile.frame.fields[0].values[step.name]
    if not isinstance(example, (tuple, list)):
        return listed(step.name, tile, hop, step.loops)
    return tuple(listed(step.name, tile, hop, step.loops, i) for i in range(len(example)))


def _within(table: Tensor, tile: Tile, step: Step, hop: int) -> Tensor:
    """The edges into rows within `hop` steps from a table of a step's edges."""
    if hop == step.hop:
        return table
    blocks = table.unflatten(0, (tile.columns, -1))
    some = tile.edges(hop, step.loops).among(step.hop)
    return (blocks[:, some] if isinstance(some, slice) else blocks.index_select(1, some)).flatten(
        0, 1
    )


def _width(step: Step, steps: ModelSteps) -> int:
    """The numbers in a row of what an operation between nodes and edges holds for each edge."""
    return max(
        [step.width if step.kind == EDGES else 1] + [steps.by_name[a.name].width for a in step.args]
    )


def _maps(step: Step, steps: ModelSteps) -> bool:
    """Whether a step is a linear layer on x itself, which varies."""
    return (
        isinstance(step.call, (nn.Linear, Linear))
        and len(step.args) == 1
        and steps.by_name[step.args[0].name].input is not None
    )


def _by_node_type(batches: Sequence[CandidateBatch]) -> list[list[int]]:
    """The numbers of the batches whose targets are of one type, and so take the same steps."""
    found: dict[int, list[int]] = {}
    for number, batch in enumerate(batches):
        found.setdefault(batch.field.node_type, []).append(number)
    return list(found.values())


def _by_edges(batches: Sequence[CandidateBatch]) -> bool:
    """Whether all units are edges: differences know no other parts."""
    return all(batch.field.field.over == "edges" for batch in batches)


def _of_rows(steps: ModelSteps) -> bool:
    """Whether rows of whole graphs are equal where their features are, and those of all that is sent to them."""
    inputs = [step for step in steps.by_name.values() if step.input and step.kind == NODES]
    return (
        steps.pools
        and [step.input for step in inputs] == [steps.first]
        and not any(step.crossing or step.given for step in steps.varying)
        and all(step.kernel.of_rows for step in steps.varying if step.kernel)
    )


def _sums_first(steps: ModelSteps) -> bool:
    """Whether the outermost layers can be computed as differences.

    They must only sum rows that are the same for every candidate, and no layer may take edge
    arguments.
    """
    layers = [(step, step.kernel) for step in steps.varying if step.kernel]
    first = [(step, layer) for step, layer in layers if step.hop + layer.hops == steps.hops]
    return (
        steps.hops > 1
        and not steps.pools
        and not any(step.crossing for step in steps.varying)
        and not any(step.given for step, _ in layers)
        and all(layer.sums and not steps.by_name[step.args[0].name].varies for step, layer in first)
    )


def _at_least_two(batch: CandidateBatch) -> CandidateBatch:
    """A batch whose only candidate, if it has no other, stands there twice.

    A matrix product of fewer than four rows (each candidate has two at the target) is computed in
    another order, and its last bit may differ from that of the same candidate among others.
    """
    return (
        CandidateBatch(batch.field, batch.bits.repeat(2, axis=0)) if len(batch.bits) == 1 else batch
    )


def _assembled(pieces: list[tuple[np.ndarray | slice, Tensor]]) -> Tensor:
    """The outputs [2, n_i, C] of several pieces, in the order of the candidates.

    Even a single piece may be in another order: the search for bases reorders a batch.
    """
    if isinstance(pieces[0][0], slice):  # the whole batch, in its own order
        return pieces[0][1]
    rows = np.concatenate([rows for rows, _ in pieces])
    out = pieces[0][1] if len(pieces) == 1 else torch.cat([piece for _, piece in pieces], dim=1)
    if (np.diff(rows) == 1).all():
        return out
    return out[:, devices.to_device(np.argsort(rows), out.device)]


def _check(value: Any, rows: int, step: Step) -> None:
    """Check that a step kept one row per node, in case no rule refused its operation."""
    for tensor in value if isinstance(value, (tuple, list)) else (value,):
        if tensor.shape[0] != rows:
            raise Untraceable(f"{step.name} does not keep one row per node")
