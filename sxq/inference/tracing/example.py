"""Small inputs with which a forward pass is recorded, so that it may ask for shapes, types and devices.

A forward is recorded twice, with two examples that differ in all that depends on the graph: the
numbers of nodes, of edges and of graphs. A number in the code that is each time one of these is an
`Extent`; the code is the same for every graph only if nothing else differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sxq.models.model import Model

NODES_OF = "nodes"
EDGES_OF = "edges"
GRAPHS_OF = "graphs"


@dataclass(frozen=True)
class Extent:
    """A size that depends on the graph."""

    of: str  # NODES_OF, EDGES_OF or GRAPHS_OF
    loops: str = "keep"  # of EDGES_OF: which self-loops are counted


@dataclass(frozen=True, eq=False)
class Example:
    """One graph, or a batch of graphs, as inputs of forward by name, and its extents."""

    inputs: Mapping[str, Tensor]  # by the name of the argument; x and edge_index are first
    extents: Mapping[int, Extent] = field(default_factory=dict)

    def named(self, names: Sequence[str]) -> "Example":
        """The same, with other names of the first inputs."""
        first = list(self.inputs.values())[: len(names)]
        return replace(self, inputs={**self.inputs, **dict(zip(names, first))})


def examples_of(model: Model) -> tuple[Example, Example]:
    """Two examples of what a model is called with."""
    return _example(model, 59, 211, 5, 3), _example(model, 83, 317, 11, 7)


def _example(model: Model, nodes: int, edges: int, loops: int, graphs: int) -> Example:
    call = model.call
    device = model.device
    numbers = torch.Generator().manual_seed(nodes)
    x_width = sum(part.width for part in call.node_parts) or 1
    attr_width = sum(part.width for part in call.edge_parts) or 1
    pairs = torch.randint(0, nodes - 1, (2, edges - loops - 2), generator=numbers)
    pairs[1] = torch.where(pairs[0] == pairs[1], (pairs[1] + 1) % (nodes - 1), pairs[1])
    own = torch.randperm(nodes - 1, generator=numbers)[:loops].expand(2, -1)
    last = torch.tensor([[nodes - 1, 0], [0, nodes - 1]])  # so that the largest number occurs
    owner = torch.randint(0, graphs, (nodes,), generator=numbers).sort().values
    owner[-1] = graphs - 1
    inputs = {
        # Zeros and ones are features, and also names that an embedding knows.
        "x": torch.randint(0, 2, (nodes, x_width), generator=numbers).float(),
        "edge_index": torch.cat([pairs, own, last], dim=1),
        "edge_weight": torch.rand(edges, generator=numbers) + 0.5,
        "edge_attr": torch.randint(0, 2, (edges, attr_width), generator=numbers).float(),
        "batch": owner,
    }
    extents = {
        nodes: Extent(NODES_OF),
        edges: Extent(EDGES_OF),
        edges - loops: Extent(EDGES_OF, "drop"),
        edges + nodes: Extent(EDGES_OF, "add"),
        edges - loops + nodes: Extent(EDGES_OF, "replace"),
        graphs: Extent(GRAPHS_OF),
    }
    return Example({name: value.to(device) for name, value in inputs.items()}, extents)
