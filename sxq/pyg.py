"""sxq and PyG: explanations as `torch_geometric.data.Data`."""

import torch
from torch_geometric.data import Data

from sxq.explanation import Explanation


def to_data(explanation: Explanation) -> Data:
    """The subgraph as a `Data` with its nodes renumbered 0 .. n-1.

    edge_index [2, m] over the new numbers; `nodes` [n] the positions in the whole graph; x [n, d], y [n],
    edge_weight [m] and edge_attr [m, D] where the graph has them (parallel edges each have their own row);
    `target` the new number of the explained node, or the key of the explained graph.
    """
    nodes = torch.from_numpy(explanation.nodes.copy())
    renumber = {position: number for number, position in enumerate(explanation.nodes.tolist())}
    graph, edges = explanation.graph, explanation.edge_numbers
    local = [[renumber[position] for position in row] for row in explanation.edge_index.tolist()]
    target = explanation.target if explanation.kind == "graph" else renumber[graph.position(explanation.target)]
    data = Data(edge_index=torch.tensor(local, dtype=torch.long).reshape(2, -1), nodes=nodes, target=target)
    data.x = torch.from_numpy(graph.features(explanation.nodes))
    if graph.y is not None:
        data.y = torch.from_numpy(graph.y[explanation.nodes])
    if graph.edge_weight is not None:
        data.edge_weight = torch.from_numpy(graph.edge_weight[edges])
    if graph.edge_attr is not None:
        data.edge_attr = torch.from_numpy(graph.edge_attr[edges])
    return data
