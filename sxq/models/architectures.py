"""The named architectures: gcn, sage, gat, gin and leconv, for nodes or, with a pooling, for graphs.

A classifier of nodes is a stack of PyG layers `conv1`, `conv2`, ... with relu and dropout between
them; its output is logits. A classifier of graphs is a linear map of the features, layers with relu
after each (and batch normalisation before it, if NORM = batch), a pooling over the nodes of each
graph, and two linear maps with relu between; names and order are those of ReFine's model of
BA-3motif (node_emb, convs.0, ..., lin1, lin2). An `ArchitectureSpec` describes everything about a
module but its weights: a model is stored as a spec and safetensors bytes. The layered backend
traces these modules with `torch.fx` (message-passing layers as leaves, edge_weight concrete).

    gcn     GCNConv    Kipf and Welling 2017; edge weights, if the graph has them, scale messages
    sage    SAGEConv   Hamilton et al. 2017, mean of the neighbours
    gat     GATConv    Velickovic et al. 2018; HIDDEN is per head; heads are concatenated, and
                       averaged in the last layer
    gin     GINConv    Xu et al. 2019; each layer's network is Linear, ReLU, Linear
    leconv  LEConv     Ranjan et al. 2020 (ASAP); edge weights as for gcn
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import (
    GATConv,
    GCNConv,
    GINConv,
    LEConv,
    SAGEConv,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)

from sxq.errors import InvalidValue, UnknownName
from sxq.graph import Graph, GraphSet
from sxq.planning.options import ARCHITECTURE_OPTIONS, ARCHITECTURES, Options, read_options

CPU = torch.device("cpu")
WEIGHTED = ("gcn", "leconv")  # architectures whose layers take edge weights
POOLINGS = {"mean": global_mean_pool, "sum": global_add_pool, "max": global_max_pool}
NORMS = ("none", "batch")


@dataclass(frozen=True)
class ArchitectureSpec:
    """A named architecture with its sizes; everything about the module but its weights."""

    architecture: str  # one of ARCHITECTURES
    in_channels: int  # features of a node
    out_channels: int  # classes
    _: KW_ONLY
    layers: int = 3  # message-passing layers
    hidden: int = 16  # channels between layers; for gat per head
    heads: int = 1  # attention heads of gat
    dropout: float = 0.0  # between layers, in training only
    pooling: str = ""  # one of POOLINGS for a classifier of graphs, "" for one of nodes
    norm: str = "none"  # one of NORMS, for graphs

    def __post_init__(self):
        if self.architecture not in ARCHITECTURES:
            raise UnknownName("architecture", self.architecture, ARCHITECTURES)
        if self.heads != 1 and self.architecture != "gat":
            raise InvalidValue(
                f"HEADS = {self.heads}, but only gat has heads, not {self.architecture}"
            )
        if self.pooling and self.pooling not in POOLINGS:
            raise UnknownName("pooling", self.pooling, POOLINGS)
        if self.norm not in NORMS:
            raise UnknownName("norm", self.norm, NORMS)


def spec_from_options(options: Options, graph: Graph | GraphSet) -> ArchitectureSpec:
    """The spec that the options of CREATE MODEL ask for, with the channels of the graph."""
    return spec_from_values(read_options(options, ARCHITECTURE_OPTIONS), graph)


def spec_from_values(values: dict[str, Any], graph: Graph | GraphSet) -> ArchitectureSpec:
    """The spec of options that are already read (other options among them are ignored)."""
    sizes = {name: values[name] for name in ("layers", "hidden", "heads", "dropout")}
    if isinstance(graph, GraphSet):
        sizes |= {
            "pooling": (values["pooling"] or "mean").lower(),
            "norm": (values["norm"] or "none").lower(),
        }
    elif values["pooling"] or values["norm"]:
        raise InvalidValue("POOLING and NORM are for models of graphs: ON GRAPHS ...")
    architecture = values["architecture"].lower()
    return ArchitectureSpec(
        architecture, graph.num_features, _classes(values["classes"], graph), **sizes
    )


def _classes(classes: int | None, graph: Graph | GraphSet) -> int:
    if classes is not None:
        return classes
    if graph.y is None or graph.y.max(initial=-1) < 0:
        raise InvalidValue("the graph has no labels to count classes from: say CLASSES = n")
    return ARCHITECTURE_OPTIONS["classes"].read("classes", int(graph.y.max()) + 1)


class NodeClassifier(nn.Module):
    """A stack of convolutions: x [n, in_channels] and edge_index [2, E] to logits [n, out_channels]."""

    def __init__(self, spec: ArchitectureSpec):
        super().__init__()
        self.spec = spec
        self.dropout = nn.Dropout(spec.dropout)
        for layer in range(1, spec.layers + 1):
            self.add_module(
                f"conv{layer}", _convolution(spec, first=layer == 1, last=layer == spec.layers)
            )

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self._stack(x, edge_index)

    def _stack(self, x: Tensor, *edges: Tensor | None) -> Tensor:
        for layer in range(1, self.spec.layers):
            x = self.dropout(getattr(self, f"conv{layer}")(x, *edges).relu())
        return getattr(self, f"conv{self.spec.layers}")(x, *edges)


class WeightedNodeClassifier(NodeClassifier):
    """A `NodeClassifier` whose layers take edge weights [E]."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        return self._stack(x, edge_index, edge_weight)


class GraphClassifier(nn.Module):
    """x [n, in_channels], edge_index [2, E], batch [n] (each node's graph) to logits [graphs, out_channels]."""

    def __init__(self, spec: ArchitectureSpec):
        super().__init__()
        self.spec = spec
        width = spec.hidden * spec.heads
        self.node_emb = nn.Linear(spec.in_channels, width)
        self.convs = nn.ModuleList(_layer(spec, width, spec.hidden) for _ in range(spec.layers))
        batched = spec.norm == "batch"
        self.norms = (
            nn.ModuleList(nn.BatchNorm1d(width) for _ in range(spec.layers)) if batched else None
        )
        self.dropout = nn.Dropout(spec.dropout)
        self.lin1 = nn.Linear(width, spec.hidden)
        self.lin2 = nn.Linear(spec.hidden, spec.out_channels)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return self._classify(x, batch, edge_index)

    def embed(self, x: Tensor, *edges: Tensor | None) -> Tensor:
        """Representations of the nodes [n, width], before they are pooled."""
        x = self.node_emb(x)
        for number, conv in enumerate(self.convs):
            x = conv(x, *edges)
            x = (x if self.norms is None else self.norms[number](x)).relu()
        return x

    def _classify(self, x: Tensor, batch: Tensor, *edges: Tensor | None) -> Tensor:
        pooled = POOLINGS[self.spec.pooling](self.embed(x, *edges), batch)
        return self.lin2(self.dropout(self.lin1(pooled).relu()))


class WeightedGraphClassifier(GraphClassifier):
    """A `GraphClassifier` whose layers take edge weights [E]."""

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        return self._classify(x, batch, edge_index, edge_weight)


def build(spec: ArchitectureSpec, seed: int = 0) -> NodeClassifier | GraphClassifier:
    """The module of a spec, in eval mode on the CPU, its first weights drawn from `seed`."""
    kinds = (
        (GraphClassifier, WeightedGraphClassifier)
        if spec.pooling
        else (NodeClassifier, WeightedNodeClassifier)
    )
    with seeded(seed):
        return kinds[spec.architecture in WEIGHTED](spec).eval()


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Within, the global generators start at `seed`; afterwards they are as before.

    PyG draws from no other generators.
    """
    cuda = device.type == "cuda"
    with (
        torch.random.fork_rng(devices=[device] if cuda else []),
        torch.cuda.device(device if cuda else -1),
    ):
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        yield


def _convolution(spec: ArchitectureSpec, first: bool, last: bool) -> nn.Module:
    inputs = spec.in_channels if first else spec.hidden * spec.heads
    return _layer(spec, inputs, spec.out_channels if last else spec.hidden, concat=not last)


def _layer(spec: ArchitectureSpec, inputs: int, outputs: int, concat: bool = True) -> nn.Module:
    if spec.architecture == "gat":
        return GATConv(inputs, outputs, spec.heads, concat=concat)
    if spec.architecture == "gin":
        network = nn.Sequential(
            nn.Linear(inputs, spec.hidden), nn.ReLU(), nn.Linear(spec.hidden, outputs)
        )
        return GINConv(network)
    return {"gcn": GCNConv, "leconv": LEConv, "sage": SAGEConv}[spec.architecture](inputs, outputs)
