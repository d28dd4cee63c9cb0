"""The way to call a module: which arrays of a graph its forward takes.

sxq itself calls a module as forward(x, edge_index), with edge_weight, edge_attr and batch by name.
A module that takes its inputs otherwise is put into an `Adapted`: in another order, as one `Data`,
under another name, in another type, or with further inputs. Further inputs travel as columns behind
x and edge_attr, so that they are cut along with nodes and edges, and are parted again for the call.

What a forward could take and cannot be given is refused. What it does not take is said.
"""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from sxq.errors import ModelError
from sxq.graph import Graph, GraphSet
from sxq.graph.csr import rows_of
from sxq.graph.readers import MASKS
from sxq.models.architectures import ArchitectureSpec
from sxq.models.call import EDGE_ARGUMENTS, PAIRS, WEIGHTS, Call, Part, is_column
from sxq.models.graph_inputs import GraphInputs, field_of, inputs_of_edges, inputs_of_nodes
from sxq.models.signature import signature_of
from sxq.models.wrappers import Wrapper

ATTRIBUTES = (
    *("edge_attr", "edge_attrs", "edge_features", "edge_feature", "edge_feats", "edge_feat"),
    *("e_attr", "e_feat", "efeat"),
)
WHOLE = ("data", "batch", "graph", "batch_data", "inputs", "sample")  # names for a Data
ADJACENCY = ("adj_t", "adj")
WAY = "x and edge_index, and what else the graph has by the name of the argument"


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
    by_types = isinstance(module, Wrapper) and hasattr(module, "types")
    has = GraphInputs.of(graph, links, by_types)
    inputs = dict(inputs or {})
    ends = _renamed_ends(inputs)
    if not (ends or links or isinstance(module, Wrapper)):
        ends = _without_x(signature, {*inputs_of_nodes(has.graph), *inputs})
    rest, order = _first_two(signature, ends)
    _check_inputs(signature, inputs, order, ["x", "edge_index", *has.names])
    given = {name: source for name, source in inputs.items() if name not in (ends or ())}
    if order == "data":
        named = {name: name for name in has.names} | given
        call = Call(named=tuple(named.items()), order=order, not_taken=has.partial)
    else:
        # What messages show is the user's forward, whose names a wrapper may change.
        shown = getattr(module, "shown", signature)
        _refuse_labels(shown, {p.name for p in rest}, graph)
        call = _named(shown, rest, has, given, own=_is_own(module))
        _refuse_adjacency(signature, call)
        call = replace(call, order=order, ends=ends or call.ends)
        if ends and not ends[0] and not _is_filler(has.graph):
            call = replace(call, not_taken=("x", *call.not_taken))
    return _with_parts(module, call, has)


def _refuse_adjacency(signature: inspect.Signature, call: Call) -> None:
    """Raise ModelError where an adjacency matrix would hold the weights that are now not passed."""
    taken = next((name for name in ADJACENCY if name in signature.parameters), None)
    if taken and "edge_weight" in call.not_taken:
        raise ModelError(
            f"forward{signature} takes {taken}, whose values are the weights of edges, and sxq passes "
            f"edge_index; {WRAP[:-1]}, edge_weight) that builds {taken}"
        )


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


def _is_own(module: nn.Module) -> bool:
    """Whether a module is one of the architectures by name."""
    return isinstance(getattr(module, "spec", None), ArchitectureSpec)


def _named(
    signature: inspect.Signature,
    rest: list[inspect.Parameter],
    has: GraphInputs,
    given: Mapping[str, str],
    *,
    own: bool,
) -> Call:
    """What is passed by name, and what is not; the user's own names are `given`.

    own  whether the module is an architecture of ours, which is trained with inputs by their own names only
    """
    pools = "batch" in has.made
    available = has.names
    takes = {p.name: p for p in rest if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    any_name = any(p.kind is p.VAR_KEYWORD for p in rest)
    if pools and "batch" not in takes and not any_name and "batch" not in given.values():
        raise ModelError(
            f"forward{signature} has no argument `batch`: a model of graphs takes the number of each "
            f"node's graph by that name, and gives one row per graph"
        )
    named = {name: name for name in available if name in takes} | dict(given)
    if has.made == PAIRS[:1]:
        named |= {name: has.made[0] for name in PAIRS if name in takes}
    said = [] if own else _by_other_names(takes, named, has)
    guesses = [name for name in available if any_name and name not in named.values()]
    named |= {name: name for name in guesses}
    _require_filled(signature, takes, named, has)
    _refuse_weight_beside_attributes(signature, takes, named, has.graph)
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
        not_taken=tuple(n for n in (*available, *has.partial) if n not in named.values()),
        said=tuple(said),
    )


def _refuse_labels(
    signature: inspect.Signature, takes: Collection[str], graph: Graph | GraphSet
) -> None:
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


def _by_other_names(takes: Collection[str], named: dict[str, str], has: GraphInputs) -> list[str]:
    """Give weights and attributes to arguments that call them otherwise; what was done, in words."""
    held = has.graph
    available = has.names
    said = []
    for names in (WEIGHTS, ATTRIBUTES):
        argument = next((name for name in names if name in takes), None)
        if argument is None or argument in named:
            continue
        sources = [
            n for n in names if n in available and (n in held.edge_inputs or n in EDGE_ARGUMENTS)
        ]
        if names is WEIGHTS:
            sources = [n for n in sources if n == "edge_weight" or is_column(held.edge_inputs[n])]
            if not sources and is_column(held.edge_attr) and not set(ATTRIBUTES) & set(takes):
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
    signature: inspect.Signature,
    takes: Mapping[str, inspect.Parameter],
    named: dict[str, str],
    has: GraphInputs,
) -> None:
    """Raise ModelError for arguments that the data has in a form that cannot be passed, or not at all."""
    held = has.graph
    for name in takes:
        field = next((field for field in held.left_out if field_of(field) == name), None)
        if field is not None and name not in (*has.made, *named.values()):
            raise ModelError(
                f"forward{signature} takes {name}, and the data's {field} is {held.left_out[field]}: "
                f"sxq passes numbers with a row for each node or each edge, or one row for the graph; "
                f"fix {name} in a module that wraps the model, or remove it from the data"
                + ("; a model of graphs takes batch on register_graphs" if name == "batch" else "")
            )
    unfilled = [name for name, p in takes.items() if p.default is p.empty and name not in named]
    if unfilled:
        names = ", ".join(["x", "edge_index", *has.all_names])
        raise ModelError(
            f"forward{signature} cannot be called: nothing fills {', '.join(unfilled)}; sxq passes "
            f"{WAY} (here: {names}); add {unfilled[0]} to the data with a row for each node or edge, "
            f"say which field it is by inputs={{{unfilled[0]!r}: ...}}, or {WRAP}"
        )


def _refuse_weight_beside_attributes(
    signature: inspect.Signature, takes: Collection[str], named: dict[str, str], held: Graph
) -> None:
    """Raise ModelError where weights would be lost, although they may be the attributes that are taken."""
    empty = [name for name in ATTRIBUTES if name in takes and name not in named]
    if held.edge_weight is not None and "edge_weight" not in named.values() and empty:
        raise ModelError(
            f"the graph has edge_weight, and forward{signature} takes {empty[0]} instead, which may mean "
            f"the same: if so, call the argument edge_weight, or the data's field edge_attr; if not, "
            f"remove edge_weight from the data"
        )


def _with_parts(module: nn.Module, call: Call, has: GraphInputs) -> Call:
    """The call with the columns of its inputs, and whether the engine's own way would do."""
    held = has.graph
    sources = [source for _, source in call.named]
    of_nodes = inputs_of_nodes(held)
    of_edges = inputs_of_edges(held)
    node_inputs = tuple(name for name in of_nodes if name in sources)
    edge_inputs = tuple(name for name in of_edges if name in sources)
    attr = edge_inputs or "edge_attr" in sources
    arguments = [
        *(["edge_weight"] if "edge_weight" in sources else []),
        *(["edge_attr"] if attr else []),
        *has.made,
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
