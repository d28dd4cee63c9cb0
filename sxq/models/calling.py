"""The way to call a module: which arrays of a graph its forward takes.

sxq itself calls a module as forward(x, edge_index), with edge_weight, edge_attr and batch by name.
A module that takes its inputs otherwise is put into an `Adapted`: in another order, as one `Data`,
under another name, in another type, or with further inputs. Further inputs travel as columns behind
x and edge_attr, so that they are cut along with nodes and edges, and are parted again for the call.

What a forward could take and cannot be given is refused. What it does not take is said.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import Sequential

from sxq.errors import ModelError, ModelOutputError
from sxq.graph import Graph, GraphSet
from sxq.graph.csr import rows_of
from sxq.graph.readers import MASKS
from sxq.graph.types import LACKING
from sxq.models.architectures import ArchitectureSpec
from sxq.models.part_masks import Known, Parts, masks_of_parts

EDGE_ARGUMENTS = ("edge_weight", "edge_attr")
# Names for one number, or for several numbers, for each edge.
WEIGHTS = (
    *("edge_weight", "edge_weights", "weight", "weights", "edge_w", "e_weight", "ew", "w"),
    *("edge_value", "edge_values", "edge_norm"),
)
ATTRIBUTES = (
    *("edge_attr", "edge_attrs", "edge_features", "edge_feature", "edge_feats", "edge_feat"),
    *("e_attr", "e_feat", "efeat"),
)
WHOLE = ("data", "batch", "graph", "batch_data", "inputs", "sample")  # names for a Data
ADJACENCY = ("adj_t", "adj")
# Names for the pairs [2, k] that a model of links scores.
PAIRS = ("edge_label_index", "edge_pairs", "pair_index", "pairs", "link_index", "links")
NODE_TYPE, EDGE_TYPE = "node_type", "edge_type"  # inputs that a heterogeneous graph has
WAY = "x and edge_index, and what else the graph has by the name of the argument"


@dataclass(frozen=True)
class Part:
    """Columns of a table of nodes or edges that make one input."""

    name: str
    width: int
    kind: str  # torch's name of its type
    shape: tuple[int, ...]  # of a row
    once: tuple[int, ...] | None = None  # the shape of an input that a graph has once

    def in_double(self) -> "Part":
        """The same input; as float64 if it is of any kind of float."""
        return replace(self, kind="float64") if "float" in self.kind else self

    def cut(self, table: Tensor, start: int) -> Tensor:
        """The input, of a table in which its columns begin at `start`."""
        values = table[:, start : start + self.width]
        return values.reshape(len(table), *self.shape).to(getattr(torch, self.kind))

    def of_graphs(self, rows: Tensor, batch: Tensor | None) -> Tensor:
        """The input that each graph has once, of its rows for all nodes; of one graph without `batch`."""
        if self.once is None:
            return rows
        if batch is None:
            return rows[0].reshape(self.once)
        begins = torch.ones_like(batch, dtype=torch.bool)
        begins[1:] = batch[1:] != batch[:-1]
        return rows[begins]


@dataclass(frozen=True)
class Call:
    """How forward is called."""

    arguments: tuple[str, ...] = ()  # which of edge_weight, edge_attr and batch the engine passes
    named: tuple[tuple[str, str], ...] = ()  # (argument of forward, input of the graph)
    node_inputs: tuple[str, ...] = ()  # further inputs, after the columns of x
    edge_inputs: tuple[str, ...] = ()  # further inputs, after the columns of edge_attr
    node_parts: tuple[Part, ...] = ()  # x, then node_inputs
    edge_parts: tuple[Part, ...] = ()  # edge_attr if the graph has it, then edge_inputs
    weight: Part | None = None
    order: str = (
        "x, edge_index"  # of the first two: by position, "by name", "edge_index, x", or "data"
    )
    # Their names, where they are passed by name; the first is empty where forward does not take x.
    ends: tuple[str, str] = ("x", "edge_index")
    positional: tuple[tuple[str, Any], ...] = ()  # arguments that have no keyword, with defaults
    guesses: tuple[str, ...] = ()  # arguments that forward may refuse: it takes **kwargs
    plain: bool = True  # the module takes what the engine has as it is
    not_taken: tuple[str, ...] = ()
    not_noted: tuple[str, ...] = ()  # those of them that models seldom take: inputs of nodes
    said: tuple[str, ...] = ()  # conversions, in words

    def in_double(self) -> "Call":
        """The same, for a module in double: it is given every float as float64."""
        weight = self.weight and self.weight.in_double()
        nodes = tuple(part.in_double() for part in self.node_parts)
        edges = tuple(part.in_double() for part in self.edge_parts)
        return replace(self, weight=weight, node_parts=nodes, edge_parts=edges)

    @property
    def carries(self) -> tuple[str, ...]:
        """The further inputs."""
        return self.node_inputs + self.edge_inputs

    def without(self, argument: str, graph: Graph) -> "Call":
        """The same without a guess; a weight in edge_attr is then tried by its name."""
        source = dict(self.named)[argument]
        left = tuple(pair for pair in self.named if pair[0] != argument)
        guesses = tuple(name for name in self.guesses if name != argument)
        if (
            source == argument == "edge_attr"
            and _is_column(graph.edge_attr)
            and (graph.edge_weight is None)
        ):
            left += (("edge_weight", "edge_attr"),)
            return replace(
                self, named=left, guesses=(*guesses, "edge_weight"), said=(*self.said, AS_WEIGHT)
            )
        said = tuple(line for line in self.said if source != "edge_attr" or line != AS_WEIGHT)
        return replace(
            self, named=left, guesses=guesses, not_taken=(*self.not_taken, source), said=said
        )


AS_WEIGHT = "edge_attr is one number for each edge and is passed as edge_weight"
PLAIN = Call()


class Wrapper(nn.Module):
    """A module of ours around the user's `module`, which messages name."""

    module: nn.Module
    # The signature of forward, where it depends on that of the module.
    asks: inspect.Signature | None = None


class Picked(Wrapper):
    """One of the several outputs of a module: an entry of its tuple or dictionary."""

    def __init__(self, module: nn.Module, key: Any):
        super().__init__()
        self.module = module
        self.key = key

    def forward(self, *args: Any, **given: Any) -> Any:
        return picked(self.module(*args, **given), self.key)


def picked(found: Any, key: Any) -> Any:
    """An entry of an output; raises ModelOutputError."""
    if isinstance(found, Mapping):
        if key in found:
            return found[key]
        has = f"a {type(found).__name__} with {', '.join(map(repr, list(found)[:8]))}"
    elif isinstance(found, Sequence) and not isinstance(found, str):
        if isinstance(key, int) and not isinstance(key, bool) and -len(found) <= key < len(found):
            return found[key]
        names = getattr(found, "_fields", ())
        if key in names:
            return getattr(found, key)
        has = f"a {type(found).__name__} of {len(found)}"
    elif isinstance(key, str) and not isinstance(found, Tensor) and hasattr(found, key):
        return getattr(found, key)
    else:
        has = f"a {type(found).__name__}"
    raise ModelOutputError(
        f"output_key = {key!r}, but the model returned {has}: give the position in a tuple, the key of a "
        f"dictionary, or no output_key for a single tensor"
    )


class Adapted(Wrapper):
    """Calls a module in its own way; forward(x, edge_index, ...) is the engine's."""

    def __init__(self, module: nn.Module, call: Call):
        super().__init__()
        self.module = module
        self.call = call

    def forward(self, x: Tensor, edge_index: Tensor, **given: Tensor | None) -> Any:
        inputs = self.inputs(x, given) | _of_engine(given)
        named = {
            argument: _as_weight(inputs[source])
            if argument in WEIGHTS and argument != source
            else inputs[source]
            for argument, source in self.call.named
        }
        if EDGE_TYPE not in inputs:
            return self.called(inputs["x"], edge_index, named)
        known = lambda: (_parts_by_type(edge_index, inputs[EDGE_TYPE]), None)
        with masks_of_parts(self.module, known):
            return self.called(inputs["x"], edge_index, named)

    def inputs(self, x: Tensor, given: dict[str, Tensor | None]) -> dict[str, Tensor]:
        """Every input of the graph by its name, in its own form, of the engine's tables."""
        call = self.call
        found = _parted(x, call.node_parts)
        for part in call.node_parts:
            found[part.name] = part.of_graphs(found[part.name], given.get("batch"))
        if (attr := given.get("edge_attr")) is not None:
            found |= _parted(attr, call.edge_parts)
        if (weight := given.get("edge_weight")) is not None:
            assert call.weight is not None, "the graph has weights"
            found["edge_weight"] = call.weight.cut(weight[:, None], 0)
        return found

    def called(self, x: Any, edge_index: Any, named: dict[str, Any]) -> Any:
        """What the module returns for x, edge_index and its other arguments by name."""
        if self.call.order == "data":
            return self.module(Data(x=x, edge_index=edge_index, **named))
        if self.call.order == "by name":
            first_two = zip(self.call.ends, (x, edge_index))
            return self.module(**{name: value for name, value in first_two if name}, **named)
        first = (x, edge_index) if self.call.order == "x, edge_index" else (edge_index, x)
        placed = [named.pop(name, default) for name, default in self.call.positional]
        return self.module(*first, *placed, **named)


def _parts_by_type(edge_index: Tensor, kinds: Tensor) -> Known:
    """All edges, and those of each type, with their numbers."""
    known = [(edge_index, torch.arange(edge_index.shape[1], device=edge_index.device))]
    if kinds.is_floating_point() or not kinds.numel() or kinds.min() < 0:
        return known
    parts = Parts(kinds.reshape(-1).long(), 0)
    return known + list(zip([ends.T for ends in parts.split(edge_index.T)], parts.rows))


def unwrapped(module: Any) -> Any:
    """The eager module inside of torch.compile, DataParallel and our own wrappers."""
    while True:
        if isinstance(module, Wrapper | nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif isinstance(getattr(module, "_orig_mod", None), nn.Module):
            module = module._orig_mod
        else:
            return module


def way_to_call(
    module: nn.Module,
    graph: Graph | GraphSet,
    links: bool = False,
    inputs: Mapping[str, str] | None = None,
) -> Call:
    """How to call a module on a graph or a collection; raises ModelError if it cannot be called.

    links   whether it scores pairs of nodes
    inputs  argument of forward -> field of the data, as the user says
    """
    signature = signature_of(module)
    made = _made(graph, links)
    held = graph.union if isinstance(graph, GraphSet) else graph
    inputs = dict(inputs or {})
    ends = _renamed_ends(inputs)
    if not (ends or links or isinstance(module, Wrapper)):
        ends = _without_x(signature, {*inputs_of_nodes(held), *inputs})
    rest, order = _first_two(signature, ends)
    # Only dictionaries by type can lack a type.
    by_types = isinstance(module, Wrapper) and hasattr(module, "types")
    partly = [] if by_types else held_in_part(held)
    _check_inputs(signature, inputs, order, ["x", "edge_index", *_available(held, made, partly)])
    given = {name: source for name, source in inputs.items() if name not in (ends or ())}
    if order == "data":
        named = {name: name for name in _available(held, made, partly)} | given
        call = Call(named=tuple(named.items()), order=order, not_taken=tuple(partly))
    else:
        # What messages show is the user's forward, whose names a wrapper may change.
        shown = getattr(module, "shown", signature)
        own = _is_own(module)
        call = _named(shown, rest, graph, made, given, partly=partly, own=own)
        _refuse_adjacency(signature, call)
        call = replace(call, order=order, ends=ends or call.ends)
        if ends and not ends[0] and not _is_filler(held):
            call = replace(call, not_taken=("x", *call.not_taken))
    return _with_parts(module, call, held, made)


def _refuse_adjacency(signature: inspect.Signature, call: Call) -> None:
    """Raise ModelError where an adjacency matrix would hold the weights that are now not passed."""
    taken = next((name for name in ADJACENCY if name in signature.parameters), None)
    if taken and "edge_weight" in call.not_taken:
        raise ModelError(
            f"forward{signature} takes {taken}, whose values are the weights of edges, and sxq passes "
            f"edge_index; {WRAP[:-1]}, edge_weight) that builds {taken}"
        )


def signature_of(module: nn.Module) -> inspect.Signature:
    """The signature of forward; raises ModelError."""
    try:
        if isinstance(module, Wrapper) and module.asks is not None:
            return module.asks
        if isinstance(module, Sequential):
            names = list(module.signature.param_dict)
            return inspect.Signature(
                [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
            )
        if isinstance(module, torch.jit.ScriptModule):
            return _of_schema(module)
        return inspect.signature(module.forward)
    except Exception as error:
        raise ModelError(
            f"the arguments of {type(module).__name__}.forward cannot be read "
            f"({type(error).__name__}: {error}); wrap the model in a module with "
            f"forward(x, edge_index)"
        ) from error


def _of_schema(module: torch.jit.ScriptModule) -> inspect.Signature:
    parameters = []
    forward: Any = module.forward
    for argument in forward.schema.arguments[1:]:
        default = (
            argument.default_value if argument.has_default_value() else inspect.Parameter.empty
        )
        kind = (
            inspect.Parameter.KEYWORD_ONLY
            if argument.kwarg_only
            else inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        parameters.append(inspect.Parameter(argument.name, kind, default=default))
    return inspect.Signature(parameters)


def _is_filler(held: Graph) -> bool:
    """Whether x is the column of ones that stands for no features."""
    return held.num_features == 1 and bool((held.x == 1).all())


def _renamed_ends(inputs: Mapping[str, str]) -> tuple[str, str] | None:
    """The names of the arguments for x and edge_index, if the user gives one of them."""
    found = {source: name for name, source in inputs.items() if source in ("x", "edge_index")}
    return (found.get("x", "x"), found.get("edge_index", "edge_index")) if found else None


def _without_x(signature: inspect.Signature, fields: set[str]) -> tuple[str, str] | None:
    """The empty name and that of edge_index, where the first of the two arguments is another field: z, pos.

    fields  further inputs of nodes, and arguments that the user gives one
    """
    first_two = list(signature.parameters.values())[:2]
    names = [p.name for p in first_two]
    if "x" in signature.parameters or len(names) < 2:
        return None
    if any(p.kind is not p.POSITIONAL_OR_KEYWORD for p in first_two):
        return None
    field, edges = reversed(names) if names[0] == "edge_index" else names
    if field not in fields:
        return None
    # Several fields may stand before the edges: forward(z, pos, edge_index).
    return "", "edge_index" if "edge_index" in signature.parameters else edges


def _check_inputs(
    signature: inspect.Signature, inputs: Mapping[str, str], order: str, available: list[str]
) -> None:
    """Raise ModelError for inputs= that name no argument of forward, or nothing that the data has."""
    parameters = signature.parameters.values()
    open_to_all = order == "data" or any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name, source in inputs.items():
        if name not in signature.parameters and not open_to_all:
            raise ModelError(
                f"inputs = {dict(inputs)}, but forward{signature} has no argument {name}; expected "
                f"argument of forward -> field of the data"
            )
        if source not in available:
            raise ModelError(
                f"inputs = {dict(inputs)}, but the data has no {source}; it has {', '.join(available)}"
            )


def _first_two(
    signature: inspect.Signature, ends: tuple[str, str] | None = None
) -> tuple[list[inspect.Parameter], str]:
    """The parameters besides x and edge_index, and how these are passed; raises ModelError."""
    parameters = list(signature.parameters.values())
    if ends:
        missing = [name for name in ends if name and name not in signature.parameters]
        if missing:
            raise ModelError(
                f"forward{signature} has no argument {missing[0]}: inputs= must say which arguments get x "
                f"and edge_index, such as {{'features': 'x', 'edges': 'edge_index'}}"
            )
        return [p for p in parameters if p.name not in ends], "by name"
    names = [p.name for p in parameters]
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters) and len(by_position) < 2:
        return [p for p in parameters if p not in by_position], "x, edge_index"
    one = [p.name for p in by_position]
    if one[:1] and one[0] in WHOLE and "edge_index" not in names and _optional(parameters[1:]):
        return [], "data"
    if {"x", "edge_index"} <= set(names) and one[:2] != ["x", "edge_index"]:
        if one[:2] == ["edge_index", "x"]:
            return parameters[2:], "edge_index, x"
        if not any(p.kind is p.POSITIONAL_ONLY for p in parameters):
            return [p for p in parameters if p.name not in ("x", "edge_index")], "by name"
    if len(one) < 2 or "edge_index" in names and "edge_index" not in one[:2]:
        raise ModelError(f"forward{signature} cannot be called: sxq passes {WAY}; {WRAP}")
    order = "edge_index, x" if one[0] == "edge_index" else "x, edge_index"
    return [p for p in parameters if p.name not in one[:2]], order


WRAP = "wrap the model in a module with forward(x, edge_index)"


def _optional(parameters: Sequence[inspect.Parameter]) -> bool:
    return all(
        p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters
    )


def _made(graph: Graph | GraphSet, links: bool) -> tuple[str, ...]:
    """What the engine itself makes and passes: the graph of each node, or the pairs."""
    return ("batch",) if isinstance(graph, GraphSet) else PAIRS[:1] if links else ()


def _of_engine(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("batch", PAIRS[0]) if name in given}


def _available(held: Graph, made: tuple[str, ...], partly: Sequence[str] = ()) -> list[str]:
    """What the graph has besides x and edge_index, and what the engine makes; without what it has `partly`."""
    edges = [name for name in EDGE_ARGUMENTS if getattr(held, name) is not None]
    inputs = *inputs_of_nodes(held), *inputs_of_edges(held)
    return [*edges, *(name for name in inputs if name not in partly), *made]


def held_in_part(graph: Graph) -> list[str]:
    """The further inputs that some types of nodes or of edges lack."""
    lacking = [_field_of(field) for field, what in graph.left_out.items() if what == LACKING]
    return list(dict.fromkeys(lacking))


def inputs_of_nodes(graph: Graph) -> dict[str, np.ndarray]:
    """The further inputs with a row for each node, by name."""
    types = {} if graph.types is None else {NODE_TYPE: graph.types.of_node}
    return {**graph.node_inputs, **types}


def inputs_of_edges(graph: Graph) -> dict[str, np.ndarray]:
    """The further inputs with a row for each edge, by name."""
    types = {} if graph.types is None else {EDGE_TYPE: graph.types.of_edge}
    return {**graph.edge_inputs, **types}


def _is_own(module: nn.Module) -> bool:
    """Whether a module is one of the architectures by name."""
    return isinstance(getattr(module, "spec", None), ArchitectureSpec)


def _named(
    signature: inspect.Signature,
    rest: list[inspect.Parameter],
    graph: Graph | GraphSet,
    made: tuple[str, ...],
    given: Mapping[str, str],
    *,
    partly: Sequence[str] = (),
    own: bool,
) -> Call:
    """What is passed by name, and what is not; the user's own names are `given`.

    own  whether the module is an architecture of ours, which is trained with inputs by their own names only
    """
    pools = isinstance(graph, GraphSet)
    held = graph.union if isinstance(graph, GraphSet) else graph
    available = _available(held, made, partly)
    takes = {p.name: p for p in rest if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    any_name = any(p.kind is p.VAR_KEYWORD for p in rest)
    if pools and "batch" not in takes and not any_name and "batch" not in given.values():
        raise ModelError(
            f"forward{signature} has no argument `batch`: a model of graphs takes the number of each "
            f"node's graph by that name, and gives one row per graph"
        )
    named = {name: name for name in available if name in takes} | dict(given)
    if made == PAIRS[:1]:
        named |= {name: made[0] for name in PAIRS if name in takes}
    said = [] if own else _by_other_names(takes, named, held, available)
    _refuse_labels(signature, takes, graph)
    guesses = [name for name in available if any_name and name not in named.values()]
    named |= {name: name for name in guesses}
    _require_filled(signature, takes, named, held, made)
    _refuse_weight_beside_attributes(signature, takes, named, held)
    if any(p.kind is p.VAR_POSITIONAL for p in rest) and not any_name and not takes:
        lost = [name for name in EDGE_ARGUMENTS if name in available]
        if lost:
            raise ModelError(
                f"forward{signature} does not name its arguments, so the graph's {', '.join(lost)} "
                f"cannot be passed; give it the arguments by name, as forward(x, edge_index, {lost[0]})"
            )
    positional = []
    for p in rest:
        if p.kind is p.POSITIONAL_ONLY:
            positional.append((p.name, None if p.default is p.empty else p.default))
    return Call(
        named=tuple(named.items()),
        positional=tuple(positional),
        guesses=tuple(guesses),
        not_taken=tuple(n for n in (*available, *partly) if n not in named.values()),
        said=tuple(said),
    )


def _refuse_labels(signature: inspect.Signature, takes: Any, graph: Graph | GraphSet) -> None:
    """Raise ModelError where forward takes a field that sxq itself reads and does not pass."""
    held = graph.union if isinstance(graph, GraphSet) else graph
    read = {"y": "the labels", "edge_mask": "the edges that are known to matter"}
    read |= dict.fromkeys(sorted(MASKS), "a split of the nodes")
    present = {"y": graph.y is not None or held.y is not None}
    present |= {"edge_mask": held.edge_truth is not None}
    present |= dict.fromkeys(MASKS, held.split is not None)
    for name, what in read.items():
        if name in takes and present[name]:
            raise ModelError(
                f"forward{signature} takes {name}, which sxq reads as {what} and does not pass; if the "
                f"model needs it, give it to the data and to forward under another name; if not, "
                f"{WRAP}"
            )


def _by_other_names(
    takes: Any, named: dict[str, str], held: Graph, available: Sequence[str]
) -> list[str]:
    """Give weights and attributes to arguments that call them otherwise; what was done, in words."""
    said = []
    for names in (WEIGHTS, ATTRIBUTES):
        argument = next((name for name in names if name in takes), None)
        if argument is None or argument in named:
            continue
        sources = [
            n for n in names if n in available and (n in held.edge_inputs or n in EDGE_ARGUMENTS)
        ]
        if names is WEIGHTS:
            sources = [n for n in sources if n == "edge_weight" or _is_column(held.edge_inputs[n])]
            if not sources and _is_column(held.edge_attr) and not set(ATTRIBUTES) & set(takes):
                sources = ["edge_attr"]
        sources = [source for source in sources if source not in named.values()]
        if sources:
            named[argument] = sources[0]
            one = (
                "one number for each edge and is "
                if sources[0] == "edge_attr" and names is WEIGHTS
                else ""
            )
            said.append(f"{sources[0]} is {one}passed as {argument}")
    return said


def _require_filled(
    signature: inspect.Signature, takes: Any, named: dict[str, str], held: Graph, made: Any
) -> None:
    """Raise ModelError for arguments that the data has in a form that cannot be passed, or not at all."""
    for name in takes:
        field = next((field for field in held.left_out if _field_of(field) == name), None)
        if field is not None and name not in (*made, *named.values()):
            raise ModelError(
                f"forward{signature} takes {name}, and the data's {field} is {held.left_out[field]}: "
                f"sxq passes numbers with a row for each node or each edge, or one row for the graph; "
                f"fix {name} in a module that wraps the model, or remove it from the data"
                + ("; a model of graphs takes batch on register_graphs" if name == "batch" else "")
            )
    unfilled = [name for name, p in takes.items() if p.default is p.empty and name not in named]
    if unfilled:
        has = ", ".join(["x", "edge_index", *_available(held, made)])
        raise ModelError(
            f"forward{signature} cannot be called: nothing fills {', '.join(unfilled)}; sxq passes "
            f"{WAY} (here: {has}); add {unfilled[0]} to the data with a row for each node or edge, "
            f"say which field it is by inputs={{{unfilled[0]!r}: ...}}, or {WRAP}"
        )


def _field_of(left_out: str) -> str:
    """The name of a field that was left out, without the type that it is of."""
    return left_out.rpartition(".")[2]


def _refuse_weight_beside_attributes(
    signature: inspect.Signature, takes: Any, named: dict[str, str], held: Graph
) -> None:
    """Raise ModelError where weights would be lost, although they may be the attributes that are taken."""
    empty = [name for name in ATTRIBUTES if name in takes and name not in named]
    if held.edge_weight is not None and "edge_weight" not in named.values() and empty:
        raise ModelError(
            f"the graph has edge_weight, and forward{signature} takes {empty[0]} instead, which may mean "
            f"the same: if so, call the argument edge_weight, or the data's field edge_attr; if not, "
            f"remove edge_weight from the data"
        )


def _with_parts(module: nn.Module, call: Call, held: Graph, made: tuple[str, ...]) -> Call:
    """The call with the columns of its inputs, and whether the engine's own way would do."""
    sources = [source for _, source in call.named]
    of_nodes = inputs_of_nodes(held)
    of_edges = inputs_of_edges(held)
    node_inputs = tuple(name for name in of_nodes if name in sources)
    edge_inputs = tuple(name for name in of_edges if name in sources)
    attr = edge_inputs or "edge_attr" in sources
    arguments = [
        *(["edge_weight"] if "edge_weight" in sources else []),
        *(["edge_attr"] if attr else []),
        *made,
    ]
    as_floats = _is_own(module)
    form = {} if as_floats else held.forms
    node_parts = [_part("x", held.x, form.get("x"))]
    node_parts += [_node_part(name, of_nodes[name], held.forms.get(name)) for name in node_inputs]
    edge_parts = (
        []
        if held.edge_attr is None
        else [_part("edge_attr", held.edge_attr, form.get("edge_attr"))]
    )
    edge_parts += [_part(name, of_edges[name]) for name in edge_inputs]
    weight = None
    if held.edge_weight is not None:
        weight = _part("edge_weight", held.edge_weight, form.get("edge_weight") or "float32 []")
    usual = (
        all(argument == source for argument, source in call.named)
        and call.order == "x, edge_index"
        and not (node_inputs or edge_inputs or call.positional)
        and not held.forms.keys() & {"x", *sources}
    )
    said = [*call.said, *_forms_said(held, as_floats, sources)]
    return replace(
        call,
        arguments=tuple(arguments),
        node_inputs=node_inputs,
        edge_inputs=edge_inputs,
        node_parts=tuple(node_parts),
        edge_parts=tuple(edge_parts),
        weight=weight,
        plain=usual and not call.guesses,
        not_noted=tuple(of_nodes),
        said=tuple(said),
    )


def _forms_said(held: Graph, as_floats: bool, sources: list[str]) -> list[str]:
    """What is said of inputs that are not float32."""
    return [
        f"{name} is {form.split()[0]} and is passed as float32"
        for name, form in held.forms.items()
        if as_floats and name in ("x", *sources) and form.split()[0] != "float32"
    ]


def _part(name: str, array: np.ndarray, form: str | None = None) -> Part:
    width = rows_of(array).shape[1]
    if form is None:
        known = name in ("x", "edge_attr")
        kind = "float32" if known else array.dtype.name
        return Part(name, width, kind, array.shape[1:])
    kind, shape = form.split(" ", 1)
    return Part(name, width, kind, tuple(int(size) for size in shape[1:-1].split(",") if size))


def _node_part(name: str, array: np.ndarray, form: str | None) -> Part:
    """A further input of nodes; or with a form, one that the graph has once."""
    if form is None:
        return _part(name, array)
    whole = _part(name, array, form)
    return replace(whole, shape=array.shape[1:], once=whole.shape)


def _parted(table: Tensor, parts: Sequence[Part]) -> dict[str, Tensor]:
    found = {}
    start = 0
    for part in parts:
        found[part.name] = part.cut(table, start)
        start += part.width
    return found


def _as_weight(values: Tensor) -> Tensor:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _is_column(array: np.ndarray | None) -> bool:
    return array is not None and array.size == len(array)


def packed(array: np.ndarray | None, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """A table followed by the columns of further inputs, in double, where all are exact."""
    tables = [*([] if array is None else [array]), *map(rows_of, inputs)]
    return np.concatenate([table.astype(np.float64) for table in tables], axis=1)
