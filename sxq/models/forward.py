"""Plain forward passes: tensors of a graph, and the output of a model on all of it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sxq.errors import ModelOutputError
from sxq.graph import Graph, GraphSet
from sxq.models import device as devices
from sxq.models.blame import blaming
from sxq.models.call import PLAIN, Call
from sxq.models.graph_inputs import inputs_of_edges, inputs_of_nodes, packed
from sxq.models.model import Model, kind_of

# The arguments of a `Model` of graphs: x, edge_index, edge_weight, edge_attr, batch.
Inputs = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor]


PAIRS_AT_ONCE = 2**17  # of links, in a forward pass


GRAPHS_AT_ONCE = 256  # in a forward pass over a collection


def forward_full(
    model: Model, graph: Graph, keep: np.ndarray | None = None, pairs: np.ndarray | None = None
) -> Tensor:
    """The plain forward pass on the whole graph, or on its edges `keep` [E] bool; the output on the CPU.

    Of a model of links it has a row for each of `pairs` [2, k], or for those that it was registered with.
    """
    edges = np.arange(graph.num_edges) if keep is None else np.flatnonzero(keep)
    tensors = edge_tensors(graph, edges, model.device, model.call.edge_inputs)
    probed = ", changed to probe the model" if keep is not None or is_changed(graph) else ""
    size = f"x [{graph.num_nodes}, {graph.num_features}], {tensors[0].shape[1]} edges"
    where = f"the registered graph{probed} ({size})"
    with blaming(model, where), torch.inference_mode():
        if not model.links:
            return _real(model(node_tensor(model, graph), *tensors))
        asked = model.pairs if pairs is None else pairs
        assert asked is not None, "a model of links has pairs"
        index = devices.to_device(asked, model.device)
        return _real(model(node_tensor(model, graph), *tensors, pairs=index))


def is_changed(graph: Graph) -> bool:
    """Whether a graph is a registered one that a probe changed."""
    return bool(graph.__dict__.get("changed"))


def scores(model: Model, graph: Graph, pairs: np.ndarray) -> Tensor:
    """The output [k, C] of a model of links for many pairs [2, k], on the CPU; some at a time."""
    parts = [
        pairs[:, start : start + PAIRS_AT_ONCE] for start in range(0, pairs.shape[1], PAIRS_AT_ONCE)
    ]
    return torch.cat([forward_full(model, graph, pairs=part) for part in parts])


def forward_all(model: Model, graphs: GraphSet) -> Tensor:
    """The output [n, C] for every graph of a collection, on the CPU."""
    with (
        blaming(model, f"the registered collection ({len(graphs)} graphs)"),
        torch.inference_mode(),
    ):
        return torch.cat(
            [
                _real(model(*batch_tensors(graphs, numbers, model.device, model.call)))
                for numbers in np.split(
                    np.arange(len(graphs)), range(GRAPHS_AT_ONCE, len(graphs), GRAPHS_AT_ONCE)
                )
            ]
        )


def batch_tensors(graphs: GraphSet, numbers: np.ndarray, device, call: Call = PLAIN) -> Inputs:
    """The arguments of a `Model` that is called in this way, for some graphs."""
    nodes, edges, ends, of = graphs.gather(numbers)
    _, weight, attr = edge_tensors(graphs.union, edges, device, call.edge_inputs)
    x = _nodes_of(graphs.union, nodes, call)
    edge_index, owner = (devices.to_device(array, device) for array in (ends, of))
    return devices.to_device(x, device), edge_index, weight, attr, owner


def node_tensor(model: Model, graph: Graph, nodes: np.ndarray | None = None) -> Tensor:
    """The features of all nodes or some, followed by the further inputs that the model takes."""
    return devices.to_device(_nodes_of(graph, nodes, model.call), model.device)


def _nodes_of(graph: Graph, nodes: np.ndarray | None, call: Call) -> np.ndarray:
    x = graph.x.copy() if nodes is None else graph.features(nodes)
    if not call.node_inputs:
        return x
    of_nodes = inputs_of_nodes(graph)
    inputs = [of_nodes[name] for name in call.node_inputs]
    return packed(x, [array if nodes is None else array[nodes] for array in inputs])


def _real(output: Tensor) -> Tensor:
    """An output in float32 on the CPU; raises ModelOutputError for other numbers."""
    plain = output.layout is torch.strided and not output.is_nested
    if not plain or not output.is_floating_point():
        raise ModelOutputError(
            f"the model returned {kind_of(output)}, expected real numbers [n, classes], such as logits"
        )
    return output.float().cpu()


def edge_tensors(
    graph: Graph, edges: np.ndarray, device, inputs: Sequence[str] = ()
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(edge_index, edge_weight, edge_attr) of some edges of a graph, on a device.

    Behind edge_attr are the columns of further `inputs`, by name.
    """

    def move(array):
        return None if array is None else devices.to_device(array, device)

    weight = None if graph.edge_weight is None else graph.edge_weight[edges]
    attr = None if graph.edge_attr is None else graph.edge_attr[edges]
    if inputs:
        of_edges = inputs_of_edges(graph)
        attr = packed(attr, [of_edges[name][edges] for name in inputs])
    return move(graph.edge_index[:, edges]), move(weight), move(attr)
