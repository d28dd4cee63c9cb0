"""The named architectures: gcn, sage, gat and gin for node classification.

A named architecture is a stack of PyG layers `conv1`, `conv2`, ... with relu and dropout between them; it
gives logits. An `ArchitectureSpec` says everything about one but its weights: a model can be stored as a spec
and safetensors bytes. The modules can be traced with `torch.fx` (message-passing layers as leaves,
edge_weight concrete): the layered backend does so.

    gcn   GCNConv    Kipf and Welling 2017; edge weights, where the graph has them, scale messages
    sage  SAGEConv   Hamilton et al. 2017, mean of the neighbours
    gat   GATConv    Velickovic et al. 2018; HIDDEN is per head; heads are concatenated, at last averaged
    gin   GINConv    Xu et al. 2019; each layer's network is Linear, ReLU, Linear
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv

from sxq.errors import InvalidValue, UnknownName
from sxq.graph import Graph
from sxq.learning.options import Option, Options, read_options

CPU = torch.device("cpu")
ARCHITECTURES = ("gat", "gcn", "gin", "sage")
ARCHITECTURE_OPTIONS = {
    "architecture": Option(str, "gcn"),
    "layers": Option(int, 3, 1, 20),
    "hidden": Option(int, 16, 1, 4096),
    "heads": Option(int, 1, 1, 64),  # gat only
    "dropout": Option(float, 0.0, 0, 0.99),  # between layers, in training only
    "classes": Option(int, None, 1, 10_000),  # default: from the graph's labels
}


@dataclass(frozen=True)
class ArchitectureSpec:
    """A named architecture with its sizes; everything about the module but its weights."""

    architecture: str  # one of ARCHITECTURES
    in_channels: int  # features of a node
    out_channels: int  # classes
    layers: int = 3  # message-passing layers
    hidden: int = 16  # channels between layers; for gat per head
    heads: int = 1  # attention heads of gat
    dropout: float = 0.0  # between layers, in training only

    def __post_init__(self):
        if self.architecture not in ARCHITECTURES:
            raise UnknownName("architecture", self.architecture, ARCHITECTURES)
        if self.heads != 1 and self.architecture != "gat":
            raise InvalidValue(f"HEADS = {self.heads}, but only gat has heads, not {self.architecture}")


def spec_from_options(options: Options, graph: Graph) -> ArchitectureSpec:
    """The spec that the options of CREATE MODEL ask for, its channels those of the graph."""
    return spec_from_values(read_options(options, ARCHITECTURE_OPTIONS), graph)


def spec_from_values(values: dict[str, Any], graph: Graph) -> ArchitectureSpec:
    """The spec of options already read (other options among them are left aside)."""
    sizes = {name: values[name] for name in ("layers", "hidden", "heads", "dropout")}
    architecture = values["architecture"].lower()
    return ArchitectureSpec(architecture, graph.num_features, _classes(values["classes"], graph), **sizes)


def _classes(classes: int | None, graph: Graph) -> int:
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
            self.add_module(f"conv{layer}", _convolution(spec, first=layer == 1, last=layer == spec.layers))

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


def build(spec: ArchitectureSpec, seed: int = 0) -> NodeClassifier:
    """The module of a spec, in eval mode on the CPU, its first weights drawn from `seed`."""
    with seeded(seed):
        kind = WeightedNodeClassifier if spec.architecture == "gcn" else NodeClassifier
        return kind(spec).eval()


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Within, the global generators (PyG draws from no others) start at `seed`; after, they are as before."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if cuda else []), torch.cuda.device(device if cuda else -1):
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        yield


def _convolution(spec: ArchitectureSpec, first: bool, last: bool) -> nn.Module:
    inputs = spec.in_channels if first else spec.hidden * spec.heads
    outputs = spec.out_channels if last else spec.hidden
    if spec.architecture == "gat":
        return GATConv(inputs, outputs, spec.heads, concat=not last)
    if spec.architecture == "gin":
        network = nn.Sequential(nn.Linear(inputs, spec.hidden), nn.ReLU(), nn.Linear(spec.hidden, outputs))
        return GINConv(network)
    return {"gcn": GCNConv, "sage": SAGEConv}[spec.architecture](inputs, outputs)
