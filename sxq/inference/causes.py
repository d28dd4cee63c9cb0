"""Says why a model is not local: what it calls, and whether messages flow against the edges."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from sxq.errors import Error
from sxq.graph import Graph, GraphSet
from sxq.inference.agreement import agree
from sxq.inference.probes import changed, with_edges, without_edges
from sxq.inference.tracing.recorder import line_of
from sxq.models.forward import batch_tensors, forward_full
from sxq.models.model import Model
from sxq.models.wrappers import unwrapped

RANDOM = {
    *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like"),
    *("normal", "normal_", "uniform_", "bernoulli", "bernoulli_", "multinomial", "exponential_"),
}
RANKS = {"topk", "sort", "argsort", "argmax", "argmin"}
# What brings the rows of a table together, if it is not told to work along them.
OVER_ROWS = {
    *("mean", "sum", "std", "var", "norm", "softmax", "log_softmax", "cumsum", "logsumexp"),
    *("max", "min", "amax", "amin", "median", "prod"),
}
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
        self.mixes: dict[str, None] = {}  # operations over all rows of a table, with their lines
        self.called: set[nn.Module] | None = None  # the norms that ran; None: not known

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        training = (kwargs or {}).get("training") is True
        if name in RANDOM or "dropout" in name and training:
            self.random.add(name)
        table = args[0] if args and isinstance(args[0], torch.Tensor) else None
        # Whole numbers are edges or types that a library brings into order.
        if name in RANKS and (table is None or table.is_floating_point()):
            self.ranks.add(name)
        if name in OVER_ROWS and _over_rows(table, args[1:], kwargs or {}):
            line = line_of(sys._getframe(1))
            self.mixes[f"{name} over all rows{line and f' ({line})'}"] = None
        if name == "batch_norm" and training:
            self.norms.add("batch_norm in training mode")
        if name == "instance_norm" and (kwargs or {}).get("use_input_stats", True):
            self.norms.add("instance_norm")
        return function(*args, **(kwargs or {}))


def _over_rows(table: Any, more: tuple, given: dict) -> bool:
    """Whether an operation on a table [n, columns] is over its rows."""
    if table is None or table.ndim != 2 or not table.is_floating_point() or len(table) < 2:
        return False
    numbers = [value for value in more if isinstance(value, int | tuple | list)]
    dim = given.get("dim", numbers[-1] if numbers else None)
    dims = dim if isinstance(dim, tuple | list) else [dim]
    return any(one in (None, 0, -2) for one in dims)


def watch(model: Model, graph: Graph | GraphSet) -> Witness:
    """What the model calls in one forward pass; nothing where it fails when watched."""
    witness = Witness()
    called: set[nn.Module] = set()
    try:
        with witness, _noting(unwrapped(model.module), called):
            if isinstance(graph, GraphSet):
                with torch.inference_mode():
                    model(
                        *batch_tensors(
                            graph, np.arange(min(2, len(graph))), model.device, model.call
                        )
                    )
            else:
                forward_full(model, graph)
        witness.called = called
    except Exception:  # compiled code may refuse to be watched; the cause is then told in general
        pass
    return witness


@contextmanager
def _noting(module: nn.Module, called: set[nn.Module]) -> Iterator[None]:
    """Within, the parts of a module that run are noted."""
    scripted = isinstance(module, torch.jit.ScriptModule)
    parts = [] if scripted else list(module.modules())
    hooks = [part.register_forward_hook(lambda own, *_: called.add(own)) for part in parts]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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
    own = unwrapped(model.module)
    if weighed := [kind for kind in map(_kind, own.modules()) if kind in OVER_TYPES]:
        return (
            f"{weighed[0]} weighs the edge types that enter a node type by a mean over all its nodes; "
            f"use HGTConv or HeteroConv, which weigh at each node"
        )
    norms = [*_norms(own, witness.called), *sorted(witness.norms)]
    if norms:
        return (
            f"graph-wide normalisation: {', '.join(dict.fromkeys(norms))} takes statistics over "
            f"all nodes{_batch_norm(norms)}"
        )
    if witness.ranks:
        return f"it ranks all nodes: it calls {', '.join(sorted(witness.ranks))}"
    if witness.mixes:
        return f"it takes {', '.join(list(witness.mixes)[:3])}"
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


def _norms(module: nn.Module, called: set[nn.Module] | None) -> list[str]:
    """Norms within a module that take statistics over all nodes of the input, of those that ran."""
    found = []
    for name, part in module.named_modules():
        if called is not None and part not in called:
            continue
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


def against_cause(model: Model, graph: Graph) -> str:
    """Why messages run against the edges, in words, and the remedy."""
    return BOTH_WAYS if _both_ways(model, graph) else AGAINST


def _both_ways(model: Model, graph: Graph) -> bool:
    """Whether the model says the same of the graph with all edges turned around."""
    if graph.types is not None:
        return False  # an edge type has one direction
    try:
        turned = changed(graph, edge_index=np.ascontiguousarray(graph.edge_index[::-1]))
        return agree(model, forward_full(model, turned), model.full)
    except Error:
        return False


def keeps_own_edges(model: Model, graph: Graph) -> bool:
    """Whether no output moves when all edges are removed, although features travel."""
    try:
        return agree(model, forward_full(model, without_edges(graph)), model.full)
    except Error:
        return False


AGAINST = (
    "messages or degrees run against the edges: in this graph messages flow from edge_index[0] to "
    "edge_index[1]; use flow='source_to_target', or register the graph with edge_index.flip(0), or with "
    "both directions (ToUndirected) if the model needs both"
)
BOTH_WAYS = (
    "forward adds the reverse of each edge, as to_undirected does, so messages also run against the edges "
    "of this directed graph; register the graph with both directions: ToUndirected(), or UNDIRECTED = true"
)
OWN_EDGES = (
    "the model does not look at the edge_index that it is given: removing all edges moves no output, but "
    "features of other nodes do; forward must use its argument, not edges that the module keeps"
)
