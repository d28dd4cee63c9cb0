"""The outputs of a model on all nodes of a graph that does not fit into memory, a block of nodes at a time.

*Layer by layer*, where the model can be traced and each layer needs nothing but the edges into a
block: the rows of each layer are a file, and a block reads the rows of its in-neighbours. This is
full-neighbour inference (Hamilton et al. 2017; PyG's `inference` of its examples). GCN's degrees
are those of the whole graph, found in a pass of their own.

*By fields*, for every other model: the receptive fields of some nodes together, as many as fit.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric import nn as pyg

from sxq.graph import Graph
from sxq.graph.disk.manifest import created
from sxq.graph.field import cut_out
from sxq.inference.layered.steps import EDGES, NODES, ModelSteps, Step, steps_of
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models import device as devices
from sxq.models.blame import blaming
from sxq.models.forward import edge_tensors, node_tensor
from sxq.models.model import Model

# Layers whose rows need only the edges into them; GCN besides needs degrees.
FROM_IN_EDGES = (
    *(pyg.GCNConv, pyg.SAGEConv, pyg.GINConv, pyg.GINEConv, pyg.GATConv, pyg.GATv2Conv),
    *(pyg.GraphConv, pyg.LEConv, pyg.TransformerConv),
)
COPIES = (
    20  # of messages, and of rows of the nodes near them, that a layer was seen to hold at once
)
FIRST = 64  # nodes whose fields are tried together at first


def write_outputs(model: Model, graph: Graph, scratch: Path, memory: int) -> np.ndarray:
    """The outputs [N, C] float32 as the file outputs.npy in `scratch`, an empty folder for the work.

    memory  bytes that a block may take, but for the fields of single nodes that take more

    Raises ModelError.
    """
    with torch.inference_mode(), blaming(model, "a block of nodes of the registered graph"):
        try:
            return _LayerByLayer(model, graph, scratch, memory).run()
        except Untraceable:
            return _by_fields(model, graph, scratch, memory)


class _LayerByLayer:
    """Runs the steps of a traced model; raises Untraceable for a model that has other layers."""

    def __init__(self, model: Model, graph: Graph, scratch: Path, memory: int):
        if not model.call.plain or model.links or model.pools:
            raise Untraceable("its inputs are not passed as they are")
        self.steps: ModelSteps = steps_of(model.module, model.arguments)
        self.layers = [step for step in self.steps.by_name.values() if step.kernel]
        for step in self.layers:
            layer = step.kernel.layer if step.kernel else None
            if type(layer) not in FROM_IN_EDGES or len(step.args) != 1 or step.only is not None:
                raise Untraceable(f"{type(layer).__name__} looks beyond the edges into a node")
        self.model = model
        self.graph = graph
        self.scratch = scratch
        self.widest = max(
            [graph.num_features, *(p.shape[0] for p in model.module.parameters() if p.ndim)]
        )
        self.memory = memory
        self.tables: dict[str, np.ndarray] = {}  # the rows of layers, by the name of their step
        self.places = np.empty(graph.num_nodes, np.int64)  # of nodes in the block at hand
        self.roots: dict[tuple, np.ndarray] = {}  # one over the roots of degrees

    def run(self) -> np.ndarray:
        for number, step in enumerate(self.layers):
            self._write(f"layer{number}", step.name, partial(self._layer, step))
        return self._write("outputs", "", lambda nodes: self._rows(self.steps.output, nodes, {}))

    def _write(self, name: str, step: str, compute: Callable[[np.ndarray], Tensor]) -> np.ndarray:
        table = None
        for nodes in self._blocks():
            rows = compute(nodes).float().cpu().numpy()
            if table is None:
                shape = (self.graph.num_nodes, *rows.shape[1:])
                table = created(self.scratch, name, np.float32, shape)
            table[nodes[0] : nodes[-1] + 1] = rows
        assert table is not None, "a graph has nodes"
        self.tables[step] = table
        return table

    def _blocks(self) -> Iterator[np.ndarray]:
        """All nodes in order, in blocks whose rows and messages fit."""
        most = max(1, self.memory // (COPIES * 4 * self.widest))
        for some in np.array_split(
            np.arange(self.graph.num_nodes), -(-self.graph.num_nodes // most)
        ):
            load = np.cumsum(self.graph.in_degrees(some) + 1)
            cuts = np.flatnonzero(np.diff(load // most)) + 1
            yield from (part for part in np.split(some, cuts) if len(part))

    def _layer(self, step: Step, nodes: np.ndarray) -> Tensor:
        """The rows of a layer for a block of nodes."""
        assert step.kernel is not None
        edges, ends = self.graph.entering(nodes)
        near, local = self._numbered(nodes, ends)
        rows = self._rows(step.args[0].name, near, {})
        given = {name: self._edge_values(value, edges) for name, value in step.given.items()}
        layer: Any = step.kernel.layer
        if isinstance(layer, pyg.GCNConv) and layer.normalize:
            weight = given.get("edge_weight")
            root = torch.from_numpy(self._roots(layer, step.given.get("edge_weight"))[near])
            return _gcn(layer, rows, torch.from_numpy(local), weight, block=len(nodes), root=root)
        index = devices.to_device(local, rows.device)
        return layer(rows, index, **given)[: len(nodes)]

    def _numbered(self, nodes: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nodes of a block, then the other tails of its edges; the ends [2, e] as places in them."""
        others = np.zeros(
            self.graph.num_nodes, bool
        )  # a look at all nodes, where sorting e edges takes longer
        others[ends[0]] = True
        others[nodes] = False
        near = np.concatenate([nodes, np.flatnonzero(others)])
        self.places[near] = np.arange(len(near))
        return near, self.places[ends]

    def _roots(self, layer: Any, weight: str | None) -> np.ndarray:
        """1 / sqrt(degree) of every node [N] as GCNConv counts degrees."""
        key = weight, layer.add_self_loops, layer.improved
        if key not in self.roots:
            found = np.empty(self.graph.num_nodes, np.float32)
            for nodes in self._blocks():
                edges, ends = self.graph.entering(nodes)
                local = torch.from_numpy(ends - nodes[0])
                values = torch.ones(len(edges))
                if weight is not None:
                    values = self._edge_values(weight, edges).cpu().float()
                loops = torch.zeros(0)
                if layer.add_self_loops:
                    own = local[0] == local[1]
                    loops = torch.full((len(nodes),), 2.0 if layer.improved else 1.0)
                    loops[local[1][own]] = values[own]
                    local, values = local[:, ~own], values[~own]
                degree = torch.zeros(len(nodes)).index_add_(0, local[1], values)
                degree = degree + loops if len(loops) else degree
                root = degree.pow(-0.5)
                found[nodes[0] : nodes[-1] + 1] = root.masked_fill(root == float("inf"), 0).numpy()
            self.roots[key] = found
        return self.roots[key]

    def _rows(self, name: str, nodes: np.ndarray, done: dict[str, Any]) -> Any:
        """The value of a step at some nodes; of a step without nodes, its value."""
        if name not in done:
            step = self.steps.by_name[name]
            if name in self.tables:
                done[name] = devices.to_device(self.tables[name][nodes], self.model.device)
            elif step.input:
                done[name] = (
                    node_tensor(self.model, self.graph, nodes) if step.kind == NODES else None
                )
            else:
                done[name] = step.run(lambda other: self._rows(other, nodes, done))
        return done[name]

    def _edge_values(self, name: str, edges: np.ndarray) -> Any:
        """The value of a step at some edges."""
        step = self.steps.by_name[name]
        if step.kind != EDGES:
            return self._rows(name, np.zeros(0, np.int64), {})
        if step.input:
            _, weight, attr = edge_tensors(self.graph, edges, self.model.device)
            return {"edge_weight": weight, "edge_attr": attr}[step.input]
        return step.run(lambda other: self._edge_values(other, edges))


def _gcn(
    layer: Any, rows: Tensor, ends: Tensor, weight: Tensor | None, *, block: int, root: Tensor
) -> Tensor:
    """The first `block` rows of a GCNConv, given the roots of the whole graph's degrees [n]; loops are edges like others."""
    values = torch.ones(ends.shape[1]) if weight is None else weight.cpu().float()
    if layer.add_self_loops:
        ends, values = _with_loops(ends, values, block, 2.0 if layer.improved else 1.0)
    values = root[ends[0]] * values * root[ends[1]]
    plain = copy.copy(layer)
    plain.normalize = False
    return plain(rows, ends.to(rows.device), values.to(rows.device))[:block]


def _with_loops(ends: Tensor, values: Tensor, nodes: int, fill: float) -> tuple[Tensor, Tensor]:
    """The edges with one loop at each node, of the weight of a loop that was there."""
    own = ends[0] == ends[1]
    loops = torch.full((nodes,), fill)
    loops[ends[1][own]] = values[own]
    every = torch.arange(nodes).expand(2, -1)
    return torch.cat([ends[:, ~own], every], dim=1), torch.cat([values[~own], loops])


def _by_fields(model: Model, graph: Graph, scratch: Path, memory: int) -> np.ndarray:
    """The outputs from the receptive fields of blocks of nodes."""
    widest = max([graph.num_features, *(p.shape[0] for p in model.module.parameters() if p.ndim)])
    most = memory // (COPIES * 4 * widest)
    table = None
    first = 0
    size = FIRST
    while first < graph.num_nodes:
        nodes = np.arange(first, min(first + size, graph.num_nodes))
        field = cut_out(graph, nodes.tolist(), model.hops, model.halo, directed=False)
        load = len(field["nodes"]) + len(field["edges"])
        if load > most and size > 1:
            size = max(1, size // 2)
            continue
        rows = _on_field(model, graph, field)[: len(nodes)]
        if table is None:
            table = created(scratch, "outputs", np.float32, (graph.num_nodes, rows.shape[1]))
        table[nodes] = rows.float().cpu().numpy()
        first += len(nodes)
        size *= 1 + (2 * load < most)
    assert table is not None, "a graph has nodes"
    return table


def _on_field(model: Model, graph: Graph, field: Mapping[str, Any]) -> Tensor:
    _, weight, attr = edge_tensors(graph, field["edges"], model.device, model.call.edge_inputs)
    index = devices.to_device(field["edge_index"], model.device)
    return model(node_tensor(model, graph, field["nodes"]), index, weight, attr)
