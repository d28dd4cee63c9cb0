"""Says why a model is not local: what it calls, and whether messages flow against the edges."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from sxq.errors import Error
from sxq.graph import Graph, GraphSet
from sxq.inference.agreement import agree
from sxq.inference.probes import with_edges
from sxq.models.borrow import Model, batch_tensors, forward_full

RANDOM = {
    *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like"),
    *("normal", "normal_", "uniform_", "bernoulli", "bernoulli_", "multinomial", "exponential_"),
}
RANKS = {"topk", "sort", "argsort", "argmax", "argmin"}
# PyG's and torch's norms that take statistics over all nodes, whatever the mode.
OVER_NODES = {
    *("GraphNorm", "PairNorm", "MeanSubtractionNorm", "GraphSizeNorm", "InstanceNorm"),
    *("InstanceNorm1d", "DiffGroupNorm"),
}


OVER_TYPES = {"HANConv"}  # layers that weigh edge types by statistics over all nodes


class Witness(TorchFunctionMode):
    """Notes which telling functions a forward pass calls."""

    def __init__(self):
        super().__init__()
        self.random: set[str] = set()
        self.ranks: set[str] = set()
        self.norms: set[str] = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        training = (kwargs or {}).get("training") is True
        if name in RANDOM or "dropout" in name and training:
            self.random.add(name)
        if name in RANKS:
            self.ranks.add(name)
        if name == "batch_norm" and training:
            self.norms.add("batch_norm in training mode")
        if name == "instance_norm" and (kwargs or {}).get("use_input_stats", True):
            self.norms.add("instance_norm")
        return function(*args, **(kwargs or {}))


def watch(model: Model, graph: Graph | GraphSet) -> Witness:
    """What the model calls in one forward pass; nothing where it fails when watched."""
    witness = Witness()
    try:
        with witness:
            if isinstance(graph, GraphSet):
                with torch.inference_mode():
                    model(
                        *batch_tensors(
                            graph, np.arange(min(2, len(graph))), model.device, model.call
                        )
                    )
            else:
                forward_full(model, graph)
    except Exception:  # compiled code may refuse to be watched; the cause is then told in general
        pass
    return witness


def random_cause(witness: Witness) -> str:
    """Why two runs on one input differ, in words, and the remedy."""
    if any("dropout" in name for name in witness.random):
        return (
            "dropout is on although the model is in eval mode; give "
            "torch.nn.functional.dropout training=self.training, or use torch.nn.Dropout"
        )
    if witness.random:
        return (
            f"forward draws random numbers ({', '.join(sorted(witness.random))}); "
            "draw them once, before the model is registered"
        )
    return "forward draws random numbers or changes its own state; make it repeatable"


def mixing_cause(model: Model, witness: Witness) -> str:
    """Why nodes that no path links to a node move its output, in words."""
    if weighed := [kind for kind in map(_kind, model.module.modules()) if kind in OVER_TYPES]:
        return (
            f"{weighed[0]} weighs the edge types that enter a node type by a mean over all its nodes; "
            f"use HGTConv or HeteroConv, which weigh at each node"
        )
    norms = [*_norms(model.module), *sorted(witness.norms)]
    if norms:
        return (
            f"graph-wide normalisation: {', '.join(dict.fromkeys(norms))} takes statistics over "
            f"all nodes{_batch_norm(norms)}"
        )
    if witness.ranks:
        return f"it ranks all nodes: it calls {', '.join(sorted(witness.ranks))}"
    return (
        "graph-wide normalisation, pooling, or an encoding of the whole graph such as eigenvectors "
        "or PageRank?"
    )


def _kind(part: nn.Module) -> str:
    return type(part).__name__


def _batch_norm(norms: Iterable[str]) -> str:
    if any("batch" in name.lower() for name in norms):
        return "; batch normalisation must use its running statistics"
    return ""


def _norms(module: nn.Module) -> list[str]:
    """Norms within a module that take statistics over all nodes of the input."""
    found = []
    for name, part in module.named_modules():
        kind = type(part).__name__
        inner = getattr(part, "module", part)  # PyG wraps torch's batch norm
        batch_norm = isinstance(inner, nn.modules.batchnorm._BatchNorm)
        in_training = batch_norm and (inner.training or inner.running_mean is None)
        if in_training and part is not inner:
            continue  # its inner module is visited, too
        if in_training:
            found.append(f"{name} ({kind} in training mode)" if name else kind)
        elif kind in OVER_NODES or kind == "LayerNorm" and getattr(part, "mode", "") == "graph":
            found.append(f"{name} ({kind})" if name else kind)
    return found


def against_edges(model: Model, graph: Graph, target: int, reaching: np.ndarray) -> bool:
    """Whether edges from which no path leads to the target move its output.

    `reaching` [N] says which nodes have a path to the target.
    """
    if graph.undirected:
        return False
    try:
        kept = with_edges(graph, reaching[graph.edge_index[1]])
        without = forward_full(model, kept)[[target]]
    except Error:
        return False
    return not agree(model, without, model.full[[target]])


AGAINST = (
    "messages or degrees run against the edges: in this graph messages flow from edge_index[0] to "
    "edge_index[1]; use flow='source_to_target', or register the graph with edge_index.flip(0)"
)
