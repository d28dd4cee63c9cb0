"""A borrowed model: a copy in eval mode, the way to call it, and how its output becomes probabilities.

The user's module is never changed. The copy has no masks and no cached normalisation, and none are
written to the original. A fingerprint of the original at registration is kept, so that the engine
notices if the model was trained further, and does not explain the old one.
"""

import copy
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.explain.algorithm.utils import clear_masks

from sxq.errors import Error, InvalidValue, ModelChanged, ModelError, ModelOutputError
from sxq.graph import Graph, GraphSet

OUTPUTS = ("logits", "log_probs", "probs")
EDGE_ARGUMENTS = ("edge_weight", "edge_attr")
# From a single column of output to the probability of the second class.
ONE_COLUMN: Mapping[str, Callable[[Tensor], Tensor]] = {
    "logits": torch.sigmoid,
    "log_probs": torch.exp,
    "probs": torch.Tensor.clone,
}
# The arguments of a `Model` of graphs: x, edge_index, edge_weight, edge_attr, batch.
Inputs = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor]
GRAPHS_AT_ONCE = 256  # in a forward pass over a collection


@dataclass(frozen=True, eq=False)
class Model:
    """A model as the engine runs it; `hops`, `halo` and `backend` are what registration found."""

    module: nn.Module  # the engine's copy: eval mode, no caches, no masks, no gradients
    output: str  # what forward returns: "logits", "log_probs" or "probs"
    arguments: tuple[str, ...]  # which of edge_weight, edge_attr and batch forward is given
    device: torch.device
    full: Tensor  # [N, C] output on the whole graph, or for each graph of a collection, on the CPU
    _: KW_ONLY
    hops: int = 0
    halo: int = 0
    backend: str = "disjoint"
    reason: str = ""  # the reason for this backend
    error: float = 0.0  # of log-odds: what float32 loses inside the model, where it is not small
    alone: bool = False  # whether it runs one graph at a time, as a batch changes its output
    depth: str = ""  # a remark on `hops`, where features alone do not tell them
    shallow: bool = False  # whether the user gave fewer layers than the model was found to have
    original: "weakref.ref[nn.Module] | None" = field(default=None, repr=False)
    fingerprint: tuple = field(default=(), repr=False)
    # Backends by name: tracing takes time.
    opened: dict = field(default_factory=dict, init=False, repr=False)

    def __call__(
        self, x: Tensor, edge_index: Tensor, edge_weight=None, edge_attr=None, batch=None
    ) -> Tensor:
        """Output [n, C] on a graph whose tensors are on the model's device.

        A graph classifier gives one row per graph of `batch` [nodes]; without `batch` there is one
        graph.
        """
        batch = x.new_zeros(len(x), dtype=torch.long) if self.pools and batch is None else batch
        given = {"edge_weight": edge_weight, "edge_attr": edge_attr, "batch": batch}
        return self.module(x, edge_index, **{name: given[name] for name in self.arguments})

    @property
    def pools(self) -> bool:
        """Whether the model classifies graphs, not nodes."""
        return "batch" in self.arguments

    @property
    def num_classes(self) -> int:
        return max(2, self.full.shape[1])

    def probabilities(self, output: Tensor) -> Tensor:
        """Class probabilities [n, classes] in double precision.

        One column of output means two classes by sigmoid.
        """
        output = output.double()
        if output.shape[1] == 1:
            p = ONE_COLUMN[self.output](output)
            return torch.cat([1 - p, p], dim=1)
        if self.output == "logits":
            # A softmax over a short last dimension takes ten times as long.
            return output.T.contiguous().softmax(dim=0).T
        return output.exp() if self.output == "log_probs" else output

    def check_unchanged(self, name: str) -> None:
        """Raise ModelChanged if the user's module was changed since its registration."""
        original = self.original() if self.original else None
        if original is not None and fingerprint(original) != self.fingerprint:
            raise ModelChanged(
                f"the weights of model {name!r} have changed since it was registered; "
                f"register it again with replace=True to explain the new ones"
            )


def borrow(module: nn.Module, graph: Graph | GraphSet, output: str, device: torch.device) -> Model:
    """Copy a module, run it once on the whole graph or on every graph of a collection, check the output.

    Raises ModelError for a forward that cannot be called, and ModelOutputError for an output that
    is not [N, C].
    """
    if output not in OUTPUTS:
        raise ModelError(f"output = {output!r}; expected one of {', '.join(OUTPUTS)}")
    if not isinstance(module, nn.Module):
        raise ModelError(f"expected a torch.nn.Module, found {type(module).__name__}")
    arguments = _arguments(module, graph)
    own = _copy(module).to(device)
    draft = Model(own, output, arguments, device, full=torch.empty(0))
    full = forward_all(draft, graph) if isinstance(graph, GraphSet) else forward_full(draft, graph)
    _check(full, draft, graph)
    return Model(
        own,
        output,
        arguments,
        device,
        full,
        original=weakref.ref(module),
        fingerprint=fingerprint(module),
    )


def forward_full(model: Model, graph: Graph, keep: np.ndarray | None = None) -> Tensor:
    """The plain forward pass on the whole graph, or on its edges `keep` [E] bool; the output on the CPU."""
    tensors = edge_tensors(
        graph, np.arange(graph.num_edges) if keep is None else np.flatnonzero(keep), model.device
    )
    where = f"the registered graph (x [{graph.num_nodes}, {graph.num_features}], {tensors[0].shape[1]} edges)"
    with blaming(model, where), torch.inference_mode():
        return model(torch.from_numpy(graph.x.copy()).to(model.device), *tensors).float().cpu()


def forward_all(model: Model, graphs: GraphSet) -> Tensor:
    """The output [n, C] for every graph of a collection, on the CPU."""
    with (
        blaming(model, f"the registered collection ({len(graphs)} graphs)"),
        torch.inference_mode(),
    ):
        return torch.cat(
            [
                model(*batch_tensors(graphs, numbers, model.device)).float().cpu()
                for numbers in np.split(
                    np.arange(len(graphs)), range(GRAPHS_AT_ONCE, len(graphs), GRAPHS_AT_ONCE)
                )
            ]
        )


def batch_tensors(graphs: GraphSet, numbers: np.ndarray, device) -> Inputs:
    """The arguments of a `Model` for some graphs."""
    nodes, edges, ends, of = graphs.gather(numbers)
    _, weight, attr = edge_tensors(graphs.union, edges, device)
    x, edge_index, owner = (
        torch.from_numpy(array).to(device) for array in (graphs.union.x[nodes], ends, of)
    )
    return x, edge_index, weight, attr, owner


@contextmanager
def blaming(model: Model, where: str) -> Iterator[None]:
    """Within, every exception of a forward pass becomes a ModelError that names its input."""
    try:
        yield
    except Error:
        raise
    except Exception as error:
        raise ModelError(
            f"the forward pass of {type(model.module).__name__} failed on {where}: "
            f"{type(error).__name__}: {error}"
        ) from error


def edge_tensors(
    graph: Graph, edges: np.ndarray, device
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """(edge_index, edge_weight, edge_attr) of some edges of a graph, on a device."""

    def move(array):
        return None if array is None else torch.from_numpy(np.ascontiguousarray(array)).to(device)

    weight = None if graph.edge_weight is None else graph.edge_weight[edges]
    attr = None if graph.edge_attr is None else graph.edge_attr[edges]
    return move(graph.edge_index[:, edges]), move(weight), move(attr)


def fingerprint(module: nn.Module) -> tuple:
    """Identity and version of every parameter and buffer; it changes when training goes on."""
    tensors = [*module.parameters(), *module.buffers()]
    return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)


def choose_device(setting: str) -> torch.device:
    """The device of sxq_device: `auto` is CUDA if there is one; other values are torch device names.

    Raises InvalidValue.
    """
    name = ("cuda" if torch.cuda.is_available() else "cpu") if setting == "auto" else setting
    device = torch.device(name)
    if device.type == "cuda" and not (device.index or 0) < torch.cuda.device_count():
        raise InvalidValue(
            f"sxq_device is {setting!r}, but torch finds no such device here; use auto or cpu"
        )
    return device


def _copy(module: nn.Module) -> nn.Module:
    try:
        own = copy.deepcopy(module)
    except Exception as error:
        raise ModelError(
            f"the model cannot be copied, and sxq works on a copy to leave yours as it is: {error}"
        ) from error
    clear_masks(own)
    part: Any  # torch takes every attribute of a module for a tensor or a module
    for part in own.modules():
        if getattr(part, "cached", None) is True:
            part.cached = False  # a cached layer silently ignores a changed edge_index
        for name in [name for name in vars(part) if name.startswith("_cached")]:
            setattr(part, name, None)
    return own.eval().requires_grad_(False)


def _arguments(module: nn.Module, graph: Graph | GraphSet) -> tuple[str, ...]:
    """The optional arguments to pass; raises ModelError for required ones that nothing fills."""
    signature = inspect.signature(module.forward)
    parameters = list(signature.parameters.values())
    pools = isinstance(graph, GraphSet)
    if pools and "batch" not in signature.parameters:
        raise ModelError(
            f"forward{signature} has no argument `batch`: a model of graphs takes the number of each "
            f"node's graph by that name, and gives one row per graph"
        )
    held = graph.union if isinstance(graph, GraphSet) else graph
    available = {name for name in EDGE_ARGUMENTS if getattr(held, name) is not None} | (
        {"batch"} if pools else set()
    )
    unfilled = [
        p.name
        for p in parameters[2:]
        if p.default is p.empty
        and p.name not in available
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    places = sum(2 if p.kind == p.VAR_POSITIONAL else p.kind != p.KEYWORD_ONLY for p in parameters)
    if unfilled or places < 2:
        lacking = f", so nothing fills {', '.join(unfilled)}" if unfilled else ""
        raise ModelError(
            f"forward{signature} cannot be called: sxq passes x and edge_index, and edge_weight or "
            f"edge_attr where the graph has them, and batch for graphs{lacking}; wrap the model in a "
            f"module with forward(x, edge_index)"
        )
    return tuple(
        name
        for name in (*EDGE_ARGUMENTS, "batch")
        if name in signature.parameters and name in available
    )


def _check(full: Tensor, model: Model, graph: Graph | GraphSet) -> None:
    rows = len(graph) if isinstance(graph, GraphSet) else graph.num_nodes
    each = "graph" if model.pools else "node"
    if full.ndim != 2 or full.shape[0] != rows or full.shape[1] < 1:
        raise ModelOutputError(
            f"the model returned shape {list(full.shape)}, expected [{rows}, classes]: "
            f"one row for each {each}{', even of one class; is it squeezed?' * (full.ndim == 1)}"
        )
    if not _tells(full, model.output):
        raise ModelOutputError("the model returned NaN or infinite values on the registered graph")
    if model.output != "logits":
        sums = model.probabilities(full)
        if (sums < -1e-6).any() or ((sums.sum(dim=1) - 1).abs() > 1e-3).any():
            raise ModelOutputError(
                f"output = {model.output!r}, but rows do not sum to one; is it 'logits'?"
            )


def _tells(full: Tensor, output: str) -> bool:
    """Whether every row of outputs gives probabilities; minus infinity is an impossible class."""
    if output == "probs" or full.shape[1] == 1 and output == "logits":
        return bool(torch.isfinite(full).all())
    ruled_out = full.isneginf()
    possible = not ruled_out.all(dim=1).any() or full.shape[1] == 1
    return possible and bool((torch.isfinite(full) | ruled_out).all())
