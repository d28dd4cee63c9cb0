"""A borrowed model: a copy in eval mode, the way to call it, and how its output becomes probabilities.

The user's module is never changed. The copy has no masks and no cached normalisation, and none are
written to the original. A fingerprint of the original at registration is kept, so that the engine
notices if the model was trained further, and does not explain the old one.
"""

import copy
import re
import traceback
import warnings
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch_geometric.explain.algorithm.utils import clear_masks

from sxq.errors import Error, InvalidValue, ModelChanged, ModelError, ModelOutputError
from sxq.graph import EdgeType, Graph, GraphSet
from sxq.models import device as devices
from sxq.models.calling import (
    PAIRS,
    PLAIN,
    Adapted,
    Call,
    Picked,
    Wrapper,
    inputs_of_edges,
    inputs_of_nodes,
    packed,
    unwrapped,
    way_to_call,
)
from sxq.models.links import of_links, sample_pairs, scored_type
from sxq.models.output_meaning import NUMBERS, OUTPUTS, Meaning, meaning_of
from sxq.models.typed_call import ByTypes, by_types, ways
from sxq.models.typed_links import link_ways
from sxq.scoring.question import TASKS

# From a single column of output to the probability of the second class.
ONE_COLUMN: Mapping[str, Callable[[Tensor], Tensor]] = {
    "logits": torch.sigmoid,
    "log_probs": torch.exp,
    "probs": torch.Tensor.clone,
}
# The arguments of a `Model` of graphs: x, edge_index, edge_weight, edge_attr, batch.
Inputs = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor]
PAIRS_AT_ONCE = 2**17  # of links, in a forward pass
GRAPHS_AT_ONCE = 256  # in a forward pass over a collection


@dataclass(frozen=True, eq=False)
class Model:
    """A model as the engine runs it; `hops`, `halo` and `backend` are what registration found."""

    module: nn.Module  # the engine's copy: eval mode, no caches, no masks, no gradients
    output: (
        str  # what forward returns: "logits", "log_probs", "probs" or, for regression, "numbers"
    )
    # which of edge_weight, edge_attr, batch and edge_label_index forward is given
    arguments: tuple[str, ...]
    device: torch.device
    # [N, C] output on the whole graph, for each graph of a collection, or for each of `pairs`, on the CPU
    full: Tensor
    _: KW_ONLY
    task: str = "multiclass"  # what the columns are: one of scoring.question.TASKS
    spread: tuple[float, ...] = ()  # of regression: the standard deviation of every column
    hops: int = 0
    halo: int = 0
    backend: str = "disjoint"
    reason: str = ""  # the reason for this backend
    error: float = 0.0  # of log-odds: what float32 loses inside the model, where it is not small
    alone: bool = False  # whether it runs one graph at a time, as a batch changes its output
    depth: str = ""  # a remark on `hops`, where features alone do not tell them
    shallow: bool = False  # whether the user gave fewer layers than the model was found to have
    node_type: str | None = None  # whose outputs the user chose, on a heterogeneous graph
    edge_type: EdgeType | None = None  # of a heterogeneous graph, of the links that it scores
    judged: tuple[
        str, ...
    ] = ()  # of a heterogeneous graph, the types of the nodes that are targets
    output_key: Any = None  # which of several outputs is meant
    inputs: tuple[tuple[str, str], ...] = ()  # argument of forward -> field of the data, as given
    call: Call = PLAIN  # how forward is called; `module` is an `Adapted` unless this is plain
    meant: str = ""  # why the output is what `output` says, where that was inferred
    pairs: np.ndarray | None = None  # of a model of links: the pairs [2, N] of `full`
    original: "weakref.ref[nn.Module] | None" = field(default=None, repr=False)
    fingerprint: tuple = field(default=(), repr=False)
    # Backends by name: tracing takes time.
    opened: dict = field(default_factory=dict, init=False, repr=False)

    def __call__(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight=None,
        edge_attr=None,
        batch=None,
        *,
        pairs=None,
    ) -> Tensor:
        """Output [n, C] on a graph whose tensors are on the model's device.

        A graph classifier gives one row per graph of `batch` [nodes]; without `batch` there is one
        graph. A model of links gives one row per pair of `pairs` [2, n].
        """
        batch = x.new_zeros(len(x), dtype=torch.long) if self.pools and batch is None else batch
        given = {"edge_weight": edge_weight, "edge_attr": edge_attr, "batch": batch}
        given[PAIRS[0]] = pairs
        found = self.module(x, edge_index, **{name: given[name] for name in self.arguments})
        if not isinstance(found, Tensor):
            raise ModelOutputError(
                f"the model returned {_kind(found)}, expected one tensor [n, classes]; give output_key=, "
                f"the position in a tuple or the key of a dictionary, or wrap the model in a module whose "
                f"forward returns it"
            )
        if self.links and found.ndim < 2 and found.numel() == pairs.shape[1]:
            found = found.reshape(-1, 1)
        # A module may return a parameter, or what it made differentiable itself.
        return found if torch.is_grad_enabled() else found.detach()

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: without the user's module, which is here, and without backends."""
        return {**self.__dict__, "original": None, "opened": {}}

    @property
    def pools(self) -> bool:
        """Whether the model classifies graphs, not nodes."""
        return "batch" in self.arguments

    @property
    def links(self) -> bool:
        """Whether the model scores pairs of nodes."""
        return PAIRS[0] in self.arguments

    @property
    def kind(self) -> str:
        """What the model judges: a node, a link or a graph."""
        return "graph" if self.pools else "link" if self.links else "node"

    def at_targets(
        self, x: Tensor, edge_index: Tensor, weight: Any, attr: Any, *, starts: Any, owner: Any
    ) -> Tensor:
        """Output [k, C] for copies of fields: `starts` [k] is node 0 of each, `owner` the copy of each node."""
        if self.pools:
            return self(x, edge_index, weight, attr, owner)
        if self.links:
            pairs = torch.stack([starts, starts + 1])
            return self(x, edge_index, weight, attr, pairs=pairs)
        return self(x, edge_index, weight, attr)[starts]

    def targets(self, graph: Graph | GraphSet) -> np.ndarray:
        """The positions of what the model judges: graphs, or nodes of the types that it has outputs for."""
        if self.pairs is not None:
            return np.arange(self.pairs.shape[1])
        if isinstance(graph, GraphSet):
            return np.arange(len(graph))
        types = graph.types
        if types is None or not self.judged:
            return np.arange(graph.num_nodes)
        numbers = [types.number_of(name) for name in self.judged]
        return np.flatnonzero(np.isin(types.of_node, numbers))

    @property
    def num_classes(self) -> int:
        """How many columns `probabilities` has."""
        return self.full.shape[1] if self.separate else max(2, self.full.shape[1])

    @property
    def separate(self) -> bool:
        """Whether every column is for itself: a label that applies or not, or a number."""
        return self.task in ("multilabel", "regression")

    def probabilities(self, output: Tensor) -> Tensor:
        """Class probabilities [n, classes] in double precision.

        One column of output means two classes by sigmoid. Of multilabel, each column is the
        probability of its label; of regression, the number in spreads.
        """
        output = output.double()
        if self.task == "regression":
            return output / output.new_tensor(self.spread)
        if self.task == "multilabel":
            return ONE_COLUMN[self.output](output)
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


def borrow(
    module: nn.Module,
    graph: Graph | GraphSet,
    output: str | None,
    device: torch.device,
    task: str | None = None,
    *,
    node_type: str | None = None,
    kind: str | None = None,
    edge_type: Any = None,
    output_key: Any = None,
    inputs: Mapping[str, str] | None = None,
) -> Model:
    """Copy a module, run it once on the whole graph or on every graph of a collection, check the output.

    Without `output` or `task` their meaning is inferred, where nothing else is possible. `node_type` says
    which nodes of a heterogeneous graph the model is about, where its outputs do not. `kind` is "node" or
    "link"; without, it is "link" for a module that takes pairs of nodes, or where `edge_type` says the
    links of which type of a heterogeneous graph it scores. `output_key` picks one of several outputs;
    `inputs` says which field of the data an argument of forward gets. Raises ModelError for a forward
    that cannot be called, and ModelOutputError for an output that is not [N, C], or may mean two things.
    """
    if output is not None and output not in (*OUTPUTS, NUMBERS):
        raise ModelError(f"output = {output!r}; expected one of {', '.join(OUTPUTS)}")
    if task is not None and task not in TASKS:
        raise ModelError(f"task = {task!r}; expected one of {', '.join(TASKS)}")
    if not isinstance(module, nn.Module):
        raise ModelError(f"expected a torch.nn.Module, found {type(module).__name__}")
    with guarded(f"reading the parameters of {type(module).__name__}"):
        module = unwrapped(module)
        _require_data(module)
        lazy = _uninitialized(module)
        found_weights = fingerprint(module)
    said = "link" if edge_type is not None and kind is None else kind
    links = of_links(module, said, graph, inputs)
    scored = None
    if links:
        assert isinstance(graph, Graph), "a collection has no links"
        _refuse_node_type(node_type)
        scored = scored_type(graph, edge_type)
    elif edge_type is not None:
        raise ModelError(f"edge_type = {edge_type!r} with kind = 'node': leave one of the two out")
    asked = AsGiven(output_key, tuple((inputs or {}).items()))
    own, draft, full = _called(
        module, graph, device, node_type, links=links, edge_type=scored, asked=asked
    )
    if _uninitialized(own) != lazy:
        raise ModelError(
            f"{', '.join(sorted(lazy - _uninitialized(own))[:3])} of the model has no values yet "
            f"(a lazy layer); run one forward of your own model first, then train or load it"
        )
    _drop_unused(own)
    _check_shape(full, draft, graph)
    judged = full[torch.from_numpy(draft.targets(graph))]
    meant = meaning_of(judged, None if links else graph, output, task)
    _check_values(judged, meant)
    return replace(
        draft,
        output=meant.output,
        task=meant.task,
        spread=spreads(judged) if meant.task == "regression" else (),
        full=full,
        meant=meant.reason,
        output_key=output_key,
        inputs=asked.inputs,
        original=weakref.ref(module),
        fingerprint=found_weights,
    )


@dataclass(frozen=True)
class AsGiven:
    """What the user says about the arguments and the outputs of forward."""

    output_key: Any = None
    inputs: tuple[tuple[str, str], ...] = ()


def _way_to_call(way: nn.Module, graph: Graph | GraphSet, links: bool, asked: AsGiven) -> Call:
    """How a module is called; raises ModelError for what the user cannot say of it."""
    if links and isinstance(way, Wrapper) and asked.output_key is not None:
        raise ModelError("output_key= is for what forward returns; decode must return one tensor")
    # A ByTypes knows the module's own names of what it asks for.
    return way_to_call(way, graph, links, {} if isinstance(way, ByTypes) else dict(asked.inputs))


def _called(
    module: nn.Module,
    graph: Graph | GraphSet,
    device: torch.device,
    node_type: str | None,
    *,
    links: bool = False,
    edge_type: EdgeType | None = None,
    asked: AsGiven = AsGiven(),
) -> tuple[nn.Module, Model, Tensor]:
    """The copy of a module, the model of it, and its output, in the first way of calling it that works."""
    failed: list[ModelError] = []
    inputs = dict(asked.inputs)
    known = (
        link_ways(module, graph, edge_type, inputs)
        if links
        else ways(module, graph, node_type, inputs)
    )
    for way in known:
        own = _copy(module, device)
        inner = own if asked.output_key is None else Picked(own, asked.output_key).eval()
        try:
            call = _way_to_call(way, graph, links, asked)
            if isinstance(way, Wrapper):
                way.module = inner
            draft, full = _first_forward(
                way if isinstance(way, Wrapper) else inner, call, graph, device, edge_type
            )
            judged = () if links else _judged(draft, graph, node_type)
            return own, replace(draft, node_type=node_type, judged=judged), full
        except ModelOutputError:
            raise
        except ModelError as error:
            failed.append(error)
    said = list(dict.fromkeys(map(str, failed)))
    if len(said) == 1:
        raise failed[0]
    raise ModelError(
        f"called with dictionaries by type, {said[0]}; called with x and edge_index of all nodes and "
        f"edges, {said[1]}"
    ) from failed[0]


def _refuse_node_type(node_type: str | None) -> None:
    if node_type is not None:
        raise ModelError(
            f"node_type = {node_type!r} for a model of links; say edge_type= for the type of its links"
        )


def _judged(draft: Model, graph: Graph | GraphSet, node_type: str | None) -> tuple[str, ...]:
    """The types of the nodes of a heterogeneous graph that the model has outputs for."""
    if isinstance(graph, GraphSet) or graph.types is None:
        return ()
    typed = by_types(draft.module)
    if typed is not None:
        return tuple(graph.types.node_types[number] for number in typed.judged)
    return graph.types.node_types if node_type is None else (node_type,)


def spreads(full: Tensor) -> tuple[float, ...]:
    """The spread of every column of outputs [n, C]: its standard deviation over the targets.

    Where all are equal, as for a single graph, it is their size, or 1 if they are 0.
    """
    values = full.double()
    spread = values.std(dim=0, correction=0)
    size = values.abs().amax(dim=0)
    # Less is the rounding of float32.
    spread = torch.where(spread > 1e-6 * size, spread, size)
    return tuple(torch.where(spread > 0, spread, 1.0).tolist())


def _first_forward(
    own: nn.Module,
    call: Call,
    graph: Graph | GraphSet,
    device: torch.device,
    edge_type: EdgeType | None = None,
) -> tuple[Model, Tensor]:
    """The model and its output; inputs that a forward with **kwargs refuses are no longer passed."""
    while True:
        module = own if call.plain else Adapted(own, call).eval()
        draft = Model(module, "logits", call.arguments, device, full=torch.empty(0), call=call)
        if draft.links:
            assert isinstance(graph, Graph), "a collection has no links"
            draft = replace(draft, pairs=sample_pairs(graph, edge_type), edge_type=edge_type)
        try:
            if isinstance(graph, GraphSet):
                return draft, forward_all(draft, graph)
            return draft, forward_full(draft, graph)
        except ModelError as error:
            refused = re.search(r"unexpected keyword argument '(\w+)'", _said(error.__cause__))
            if refused is None or refused[1] not in call.guesses:
                raise
            held = graph.union if isinstance(graph, GraphSet) else graph
            call = call.without(refused[1], held)


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
            f"the model returned {_kind(output)}, expected real numbers [n, classes], such as logits"
        )
    return output.float().cpu()


def _kind(value: Any) -> str:
    """What an output is, in words."""
    if isinstance(value, Tensor) and value.is_nested:
        return "a nested tensor"
    if isinstance(value, Tensor):
        sparse = "" if value.layout is torch.strided else f" ({value.layout})"
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}{sparse}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {', '.join(map(_kind, value[:3])) or 'nothing'}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with {', '.join(map(str, list(value)[:5]))}"
    return "None" if value is None else f"a {type(value).__name__}"


@contextmanager
def blaming(model: Model, where: str, remedy: str = "") -> Iterator[None]:
    """Within, every exception of a forward pass becomes a ModelError that names its input, and a remedy."""
    try:
        yield
    except Error:
        raise
    except (Exception, SystemExit) as error:
        own = unwrapped(model.module)
        raise ModelError(
            f"the forward pass of {type(own).__name__} failed on {where}: {told(error)}"
            f"{_remedy(own, error) or (remedy and f'; {remedy}')}"
        ) from error


@contextmanager
def guarded(doing: str, remedy: str = "") -> Iterator[None]:
    """Within, every exception of the user's code becomes a ModelError: `doing` failed, and a remedy."""
    try:
        yield
    except Error:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{doing} failed: {told(error)}{remedy and f'; {remedy}'}") from error


def told(error: BaseException) -> str:
    """An exception in words; where it has none, the line that raised it."""
    if said := _said(error):
        return f"{type(error).__name__}: {said}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in line {frames[-1].lineno} of {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}{where}"


def _said(error: BaseException | None) -> str:
    try:
        return str(error)
    except Exception:  # its __str__ is the user's code, too
        return ""


def _remedy(module: nn.Module, error: BaseException) -> str:
    said = _said(error)
    if isinstance(module, torch.jit.ScriptModule):
        return "; a traced module may hold the sizes of its example: pass the eager module"
    if "dtype" in said or "scalar type" in said:
        return "; make the data and the model of one type, such as data.x.float() or model.double()"
    return ""


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


def fingerprint(module: nn.Module) -> tuple:
    """A checksum of every parameter and buffer; it changes when training goes on.

    Values are compared, because changes through `.data` or numpy leave no other trace.
    """
    tensors = [*module.parameters(), *module.buffers()]
    return tuple(_checksum(tensor) for tensor in tensors if not is_lazy(tensor))


def _checksum(tensor: Tensor) -> Any:
    try:
        values = tensor.detach().cpu().to_dense().reshape(-1).view(torch.uint8).numpy()
    except (RuntimeError, TypeError):  # a kind of tensor without plain bytes
        return tensor.data_ptr()
    return zlib.crc32(values.data)


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


def _copy(module: nn.Module, device: torch.device) -> nn.Module:
    """A copy of the user's module on a device: eval mode, no caches, no masks, no gradients."""
    remedy = (
        "sxq works on a copy to leave yours as it is; tensors that a forward keeps as attributes must "
        "be detached, and locks, files and the like left out (__deepcopy__)"
    )
    with guarded(f"the model {type(module).__name__} cannot be copied: copy.deepcopy", remedy):
        own = copy.deepcopy(module)
    with guarded(f"preparing a copy of {type(module).__name__} (eval, to {device})"), converting():
        own = own.to(device)
        _unwrap_parts(own)
        clear_masks(own)
        part: Any  # torch takes every attribute of a module for a tensor or a module
        for part in own.modules():
            if getattr(part, "cached", None) is True:
                part.cached = False  # a cached layer silently ignores a changed edge_index
            for name in [name for name in vars(part) if name.startswith("_cached")]:
                setattr(part, name, None)
        if not isinstance(own, torch.jit.ScriptModule):  # it does not allow this
            for parameter in own.parameters():
                if not is_lazy(parameter):
                    parameter.requires_grad_(False)
        return own.eval()


@contextmanager
def converting() -> Iterator[None]:
    """Within, torch does not warn of the gradients of a traced module, whose parameters are views."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The .grad attribute of a Tensor", UserWarning)
        yield


def _unwrap_parts(own: nn.Module) -> None:
    """Replace what torch.compile and DataParallel made of parts of a module by the parts themselves."""
    for part in list(own.modules()):
        for name, inner in list(part._modules.items()):
            if inner is not None and unwrapped(inner) is not inner:
                part._modules[name] = unwrapped(inner)


def _uninitialized(module: nn.Module) -> set[str]:
    """The names of lazy parameters and buffers that no forward has given values yet."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name for name, tensor in named if is_lazy(tensor)}


def _drop_unused(own: nn.Module) -> None:
    """Remove lazy parameters and buffers that the forward does not use."""
    part: Any
    for part in own.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None and is_lazy(tensor):
                    held[name] = None


def _require_data(module: nn.Module) -> None:
    """Raise ModelError if parameters or buffers have no values."""
    empty = [
        name
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
        if tensor.is_meta
    ]
    if empty:
        raise ModelError(
            f"{', '.join(empty[:3])} of the model holds no data (it is on the device meta); load the "
            f"weights first: module.to_empty(device='cpu'), then load_state_dict"
        )


def _check_shape(full: Tensor, model: Model, graph: Graph | GraphSet) -> None:
    rows = len(graph) if isinstance(graph, GraphSet) else graph.num_nodes
    rows = rows if model.pairs is None else model.pairs.shape[1]
    each = "pair" if model.links else "graph" if model.pools else "node"
    if full.ndim != 2 or full.shape[0] != rows or full.shape[1] < 1:
        raise ModelOutputError(
            f"the model returned shape {list(full.shape)}, expected [{rows}, classes]: "
            f"one row for each {each}{', even of one class; is it squeezed?' * (full.ndim == 1)}"
        )
    if full.isnan().any() or full.isposinf().any():
        raise ModelOutputError("the model returned NaN or infinite values on the registered graph")


def _check_values(full: Tensor, meant: Meaning) -> None:
    if not _tells(full, meant):
        raise ModelOutputError("the model returned NaN or infinite values on the registered graph")


def _tells(full: Tensor, meant: Meaning) -> bool:
    """Whether every row of outputs gives probabilities; minus infinity is an impossible class."""
    separate = full.shape[1] == 1 or meant.task == "multilabel"
    if meant.output in ("probs", "numbers") or separate and meant.output == "logits":
        return bool(torch.isfinite(full).all())
    if separate:
        return bool((torch.isfinite(full) | full.isneginf()).all())
    ruled_out = full.isneginf()
    return not ruled_out.all(dim=1).any() and bool((torch.isfinite(full) | ruled_out).all())
