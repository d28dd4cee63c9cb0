"""The named architectures, for nodes or, with a pooling, for graphs.

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

    graphconv    GraphConv        Morris et al. 2019; edge weights scale messages
    gine         GINEConv         Hu et al. 2020; as gin, and edge attributes are added to messages
    transformer  TransformerConv  Shi et al. 2021; heads as for gat; edge attributes, if there are any
    splinecnn    `spline.py`      Fey et al. 2018; edge attributes are pseudo-coordinates in [0, 1]
    appnp        APPNP            Gasteiger et al. 2019; two linear maps with relu between, then LAYERS
                                  steps of propagation; for graphs one map. Edge weights as for gcn
    asap         `asap.py`        Ranjan et al. 2020; graphs only

For a heterogeneous graph there are sage, gat, rgcn and hgt of `typed_architectures.py`. With TASK = link
an architecture encodes nodes, and a decoder of `link_scorers.py` scores pairs of them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import (
    APPNP,
    GATConv,
    GCNConv,
    GINConv,
    GINEConv,
    GraphConv,
    LEConv,
    SAGEConv,
    TransformerConv,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)

from sxq.errors import DataError, InvalidValue, UnknownName
from sxq.graph import Graph, GraphSet, GraphTypes, shown_type
from sxq.models.asap import AsapStack
from sxq.models.link_scorers import DECODERS, TypedLinkScorer
from sxq.models.link_scorers import KINDS as SCORERS
from sxq.models.spline import SplineConvolution
from sxq.models.typed_architectures import TypedEncoder, TypedNodeClassifier
from sxq.planning.options import (
    ARCHITECTURE_OPTIONS,
    ARCHITECTURES,
    OPTIONS,
    TYPED_ARCHITECTURES,
    Options,
    read_options,
)
from sxq.scoring.question import TASKS

CPU = torch.device("cpu")
LINK = "link"  # the option TASK of a model that scores pairs of nodes
# Architectures whose layers take an edge weight or edge attributes, and those that must have them.
EDGE_VALUES = {
    **dict.fromkeys(("appnp", "gcn", "graphconv", "leconv"), "edge_weight"),
    **dict.fromkeys(("gine", "splinecnn", "transformer"), "edge_attr"),
}
ATTRIBUTED = ("gine", "splinecnn")
WITH_HEADS = ("gat", "hgt", "transformer")
OWNERS = {"alpha": "appnp", "kernel": "splinecnn", "ratio": "asap"}  # of options
MATRICES = 10_000  # the most control points of a spline, each with a matrix
STEPS = 1000  # the most layers: those of appnp have no weights that could tell their number
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
    heads: int = 1  # attention heads of gat and transformer
    dropout: float = 0.0  # between layers, in training only
    pooling: str = ""  # one of POOLINGS for a classifier of graphs, "" for one of nodes
    norm: str = "none"  # one of NORMS, for graphs
    edge_channels: int = 0  # attributes of an edge, for the architectures that take them
    alpha: float = 0.1  # appnp: the share of a node's own features in every step
    kernel: int = 5  # splinecnn: control points along each dimension
    ratio: float = 0.8  # asap: the share of clusters that a pooling keeps
    decoder: str = ""  # one of DECODERS for a model of links, "" for one of nodes or graphs
    # Of a heterogeneous graph: `nodes`, the columns of x of each node type; `edges`, the edge types;
    # `target`, the type whose nodes are classified, or `link`, the edge type that is scored.
    types: Mapping[str, Any] | None = None

    def __post_init__(self):
        self._check_name()
        if self.heads != 1 and self.architecture not in WITH_HEADS:
            raise InvalidValue(
                f"HEADS = {self.heads}, but only {', '.join(WITH_HEADS)} have heads, "
                f"not {self.architecture}"
            )
        if self.pooling and self.pooling not in POOLINGS:
            raise UnknownName("pooling", self.pooling, POOLINGS)
        if self.norm not in NORMS:
            raise UnknownName("norm", self.norm, NORMS)
        for name in ("in_channels", "out_channels", "hidden", "heads"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name} is {getattr(self, name)}, expected 1 or more")
        if not 0 < self.layers <= STEPS or not 0 <= self.alpha <= 1 or not 0 < self.ratio <= 1:
            raise InvalidValue(
                f"LAYERS = {self.layers}, ALPHA = {self.alpha}, RATIO = {self.ratio}; expected 1 to "
                f"{STEPS} layers, and shares"
            )
        if self.decoder and self.decoder not in DECODERS:
            raise UnknownName("decoder", self.decoder, DECODERS)
        self._check_edges()
        if self.architecture == "asap":
            self._check_asap()

    def _check_name(self) -> None:
        name = self.architecture
        if self.types is None and name in TYPED_ARCHITECTURES and name not in ARCHITECTURES:
            raise InvalidValue(
                f"ARCHITECTURE = {name} is for heterogeneous graphs, and the nodes of this one have no "
                f"types: take one of {', '.join(ARCHITECTURES)}"
            )
        if self.types is not None and name in ARCHITECTURES and name not in TYPED_ARCHITECTURES:
            raise InvalidValue(
                f"ARCHITECTURE = {name} does not know types, and the graph is heterogeneous: take one "
                f"of {', '.join(TYPED_ARCHITECTURES)}"
            )
        known = ARCHITECTURES if self.types is None else TYPED_ARCHITECTURES
        if name not in known:
            raise UnknownName("architecture", name, known)
        if name == "hgt" and self.hidden % self.heads:
            raise InvalidValue(
                f"HIDDEN = {self.hidden} is not a multiple of HEADS = {self.heads}, which hgt needs"
            )

    def columns(self) -> dict[str, Any]:
        """The fields by name, without those that only other architectures have."""
        others = {name for name, owner in OWNERS.items() if owner != self.architecture}
        others |= {"edge_channels"} if not self.edge_channels else set()
        others |= {"types"} if self.types is None else set()
        others |= set() if self.decoder else {"decoder"}
        return {name: value for name, value in vars(self).items() if name not in others}

    def _check_edges(self) -> None:
        if self.architecture in ATTRIBUTED and not self.edge_channels:
            raise InvalidValue(
                f"{self.architecture} uses edge attributes, and the graph has none: give it some "
                f"(`edge_attr`), or take gin, gat or sage"
            )
        # Two control points along each of 14 dimensions are too many already.
        wide = self.kernel > MATRICES or self.edge_channels > 14
        if self.architecture == "splinecnn" and (
            wide or self.kernel**self.edge_channels > MATRICES
        ):
            raise InvalidValue(
                f"KERNEL = {self.kernel} with {self.edge_channels} edge attributes makes more than "
                f"{MATRICES:,} control points"
            )

    def _check_asap(self) -> None:
        if not self.pooling:
            raise InvalidValue("asap classifies graphs, not nodes: ON GRAPHS ...")
        if self.norm != "none":
            raise InvalidValue(f"NORM = {self.norm}, but asap has no normalisation")


def spec_from_options(options: Options, graph: Graph | GraphSet) -> ArchitectureSpec:
    """The spec that the options of CREATE MODEL ask for, with the channels of the graph."""
    return spec_from_values(read_options(options, ARCHITECTURE_OPTIONS), graph)


def spec_from_values(values: dict[str, Any], graph: Graph | GraphSet) -> ArchitectureSpec:
    """The spec of options that are already read (other options among them are ignored)."""
    sizes = {name: values[name] for name in ("layers", "hidden", "heads", "dropout")}
    if isinstance(graph, GraphSet) and graph.types is not None:
        raise InvalidValue(
            "no architecture pools the nodes of heterogeneous graphs by type: write a module with "
            "forward(x_dict, edge_index_dict, batch_dict) and register_model it"
        )
    if isinstance(graph, GraphSet):
        sizes |= {
            "pooling": (values["pooling"] or "mean").lower(),
            "norm": (values["norm"] or "none").lower(),
        }
    elif values["pooling"] or values["norm"]:
        raise InvalidValue("POOLING and NORM are for models of graphs: ON GRAPHS ...")
    types = graph.types if isinstance(graph, Graph) else None
    architecture = (values["architecture"] or ("gcn" if types is None else "sage")).lower()
    links = (values["task"] or "").lower() == LINK
    if links:
        _refuse_classes(values, graph)
        sizes["decoder"] = (values["decoder"] or DECODERS[0]).lower()
    else:
        refuse_link_options(values)
    if types is not None:
        sizes["types"] = (
            _types_of_links(graph, values["edge_type"]) if links else _types(types, graph.y)
        )
    elif values["edge_type"]:
        raise InvalidValue(f"EDGE_TYPE = {values['edge_type']}, but the edges have no types")
    sizes |= _own_options(architecture, values)
    if EDGE_VALUES.get(architecture) == "edge_attr":
        sizes["edge_channels"] = _edge_channels(architecture, graph)
    columns = 1 if links else _columns(values, graph)
    return ArchitectureSpec(architecture, graph.num_features, columns, **sizes)


def refuse_link_options(values: dict[str, Any]) -> None:
    """Raise InvalidValue for options of models of links, for another model."""
    if values["decoder"] or values["edge_type"]:
        raise InvalidValue("DECODER and EDGE_TYPE are for models of links: say TASK = link")


def _refuse_classes(values: dict[str, Any], graph: Graph | GraphSet) -> None:
    """Raise InvalidValue for options that a model of links has not."""
    if isinstance(graph, GraphSet):
        raise InvalidValue(
            "TASK = link is for a graph, not for a collection of graphs: ON GRAPH ..."
        )
    if values["classes"] is not None:
        raise InvalidValue(
            f"CLASSES = {values['classes']}, but a model of links has one score for each pair: leave it out"
        )


def _types_of_links(graph: Graph | GraphSet, name: str | None) -> dict[str, Any]:
    """The types of a heterogeneous graph, and the one whose edges are scored; raises InvalidValue."""
    assert isinstance(graph, Graph) and graph.types is not None, "the graph is heterogeneous"
    types = graph.types
    found = types.forward_types if name is None else types.edge_types_of(name)
    if len(found) != 1:
        meant = " and ".join(map(shown_type, found)) or "no edge type"
        known = ", ".join(map(shown_type, types.edge_types)) or "none"
        asked = (
            "there is no EDGE_TYPE" if name is None else f"EDGE_TYPE = {name} stands for {meant}"
        )
        raise InvalidValue(
            f"{asked}; say which links are scored, in full where several types have that relation: {known}"
        )
    return {
        "nodes": dict(zip(types.node_types, types.widths)),
        "edges": [list(kind) for kind in types.edge_types],
        "link": list(found[0]),
    }


def _types(types: GraphTypes, y: np.ndarray | None) -> dict[str, Any]:
    """The types of a heterogeneous graph, and the one whose nodes have labels; raises DataError."""
    labelled = [] if y is None else np.unique(types.of_node[y >= 0]).tolist()
    names = [types.node_types[number] for number in labelled]
    if len(names) != 1:
        raise DataError(
            f"a named architecture classifies the nodes of the one type that has labels, and "
            f"{' and '.join(names) or 'no type'} ha{'ve' if len(names) > 1 else 's'} labels"
        )
    return {
        "nodes": dict(zip(types.node_types, types.widths)),
        "edges": [list(kind) for kind in types.edge_types],
        "target": names[0],
    }


def _own_options(architecture: str, values: dict[str, Any]) -> dict[str, Any]:
    """The given options that only some architecture has; raises InvalidValue for another's."""
    given = {name: values[name] for name in OWNERS if values[name] is not None}
    for name, value in given.items():
        if OWNERS[name] != architecture:
            raise InvalidValue(
                f"{name.upper()} = {value}, but only {OWNERS[name]} has it, not {architecture}"
            )
    return given


def _edge_channels(architecture: str, graph: Graph | GraphSet) -> int:
    """How many attributes an edge has; those of a spline must be coordinates in [0, 1]."""
    attr = (graph.union if isinstance(graph, GraphSet) else graph).edge_attr
    if attr is None:
        return 0
    low, high = (float(bound) for bound in (np.min(attr, initial=0), np.max(attr, initial=0)))
    if architecture == "splinecnn" and (low < 0 or high > 1):
        raise InvalidValue(
            f"edge attributes go from {low:g} to {high:g}, but splinecnn takes them for "
            f"pseudo-coordinates from 0 to 1: scale them"
        )
    return attr.shape[1]


def task_of(options: Options) -> str | None:
    """The option TASK, in lower case; raises InvalidValue for an unknown one."""
    task = read_options(options, OPTIONS)["task"]
    if task is not None and task.lower() not in (*TASKS, LINK):
        raise InvalidValue(f"TASK = {task!r}, expected one of {', '.join((*TASKS, LINK))}")
    return task and task.lower()


def _columns(values: dict[str, Any], graph: Graph | GraphSet) -> int:
    """The columns of the output: the option CLASSES, else what the task or the labels tell."""
    task = (values.get("task") or "").lower()
    columns = values["classes"]
    if task == "binary" and columns not in (None, 1):
        raise InvalidValue(
            f"TASK = binary has one column, but CLASSES = {columns}: is it multiclass?"
        )
    if columns is not None:
        return columns
    if task in ("binary", "regression"):
        return 1
    if task == "multilabel":
        raise InvalidValue("TASK = multilabel needs CLASSES = n, the number of labels")
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


class AttributedNodeClassifier(NodeClassifier):
    """A `NodeClassifier` whose layers take edge attributes [E, D]."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None) -> Tensor:
        return self._stack(x, edge_index, edge_attr)


class PropagatedNodeClassifier(nn.Module):
    """APPNP: features to logits by two linear maps, then steps of propagation over the edges."""

    def __init__(self, spec: ArchitectureSpec):
        super().__init__()
        self.spec = spec
        self.dropout = nn.Dropout(spec.dropout)
        self.lin1 = nn.Linear(spec.in_channels, spec.hidden)
        self.lin2 = nn.Linear(spec.hidden, spec.out_channels)
        self.propagation = APPNP(spec.layers, spec.alpha)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        logits = self.lin2(self.dropout(self.lin1(self.dropout(x)).relu()))
        return self.propagation(logits, edge_index, edge_weight)


class GraphClassifier(nn.Module):
    """x [n, in_channels], edge_index [2, E], batch [n] (each node's graph) to logits [graphs, out_channels]."""

    def __init__(self, spec: ArchitectureSpec):
        super().__init__()
        self.spec = spec
        width = spec.hidden * spec.heads
        self.node_emb = nn.Linear(spec.in_channels, width)
        layers = 1 if spec.architecture == "appnp" else spec.layers
        self.convs = nn.ModuleList(_layer(spec, width, spec.hidden) for _ in range(layers))
        batched = spec.norm == "batch"
        self.norms = (
            nn.ModuleList(nn.BatchNorm1d(width) for _ in range(layers)) if batched else None
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


class AttributedGraphClassifier(GraphClassifier):
    """A `GraphClassifier` whose layers take edge attributes [E, D]."""

    def forward(
        self, x: Tensor, edge_index: Tensor, batch: Tensor, edge_attr: Tensor | None = None
    ) -> Tensor:
        return self._classify(x, batch, edge_index, edge_attr)


class AsapClassifier(nn.Module):
    """A `GraphClassifier` with an `AsapStack` in place of layers and pooling."""

    def __init__(self, spec: ArchitectureSpec):
        super().__init__()
        self.spec = spec
        self.node_emb = nn.Linear(spec.in_channels, spec.hidden)
        self.stack = AsapStack(spec.hidden, spec.layers, spec.ratio)
        self.dropout = nn.Dropout(spec.dropout)
        self.lin1 = nn.Linear(spec.hidden, spec.hidden)
        self.lin2 = nn.Linear(spec.hidden, spec.out_channels)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        pooled = self.stack(self.node_emb(x), edge_index, batch, POOLINGS[self.spec.pooling])
        return self.lin2(self.dropout(self.lin1(pooled).relu()))


NODE_CLASSIFIERS: dict[str, type[nn.Module]] = {  # by what their layers take of the edges
    "": NodeClassifier,
    "edge_weight": WeightedNodeClassifier,
    "edge_attr": AttributedNodeClassifier,
}
GRAPH_CLASSIFIERS: dict[str, type[nn.Module]] = {
    "": GraphClassifier,
    "edge_weight": WeightedGraphClassifier,
    "edge_attr": AttributedGraphClassifier,
}


def build(spec: ArchitectureSpec, seed: int = 0) -> Any:
    """The module of a spec, in eval mode on the CPU, its first weights drawn from `seed`."""
    if spec.types is not None:
        with seeded(seed):
            if spec.decoder:
                return TypedLinkScorer(spec, TypedEncoder(spec)).eval()
            return TypedNodeClassifier(spec).eval()
    taken = EDGE_VALUES.get(spec.architecture, "")
    if spec.decoder:
        encoder = build(replace(spec, decoder="", out_channels=spec.hidden), seed)
        with seeded(seed):
            return SCORERS[taken](spec, encoder).eval()
    kind = GRAPH_CLASSIFIERS[taken] if spec.pooling else NODE_CLASSIFIERS[taken]
    if spec.architecture == "asap":
        kind = AsapClassifier
    elif spec.architecture == "appnp" and not spec.pooling:
        kind = PropagatedNodeClassifier
    with seeded(seed):
        return kind(spec).eval()


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
    """One convolution; `concat`: whether the outputs of its heads stand side by side."""
    edges = spec.edge_channels or None
    match spec.architecture:
        case "gat":
            return GATConv(inputs, outputs, spec.heads, concat=concat)
        case "transformer":
            return TransformerConv(inputs, outputs, spec.heads, concat=concat, edge_dim=edges)
        case "gin":
            return GINConv(_network(inputs, spec.hidden, outputs))
        case "gine":
            return GINEConv(_network(inputs, spec.hidden, outputs), edge_dim=edges)
        case "splinecnn":
            return SplineConvolution(inputs, outputs, spec.edge_channels, spec.kernel)
        case "appnp":
            return APPNP(spec.layers, spec.alpha)
        case name:
            return PLAIN_LAYERS[name](inputs, outputs)


PLAIN_LAYERS = {"gcn": GCNConv, "graphconv": GraphConv, "leconv": LEConv, "sage": SAGEConv}


def _network(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """The network of a GIN layer."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
