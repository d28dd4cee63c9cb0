"""Calls a module of a heterogeneous graph: with dictionaries by node type and edge type, or a HeteroData.

The engine has one table of nodes and one list of edges; the types of both travel as the columns
node_type and edge_type (`calling`). `ByTypes` parts them: every node type and every edge type is a
key, in the order of the graph, also where a cut graph has none of it; x has the columns of its type;
nodes are numbered within their type, in their order. The outputs return as one table [n, C], in which
nodes of types that the module does not judge have zeros.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from sxq.errors import ModelError, ModelOutputError
from sxq.graph import Graph, GraphSet, GraphTypes, shown_type
from sxq.graph.types import LACKING
from sxq.models.call import EDGE_ARGUMENTS, EDGE_TYPE, NODE_TYPE
from sxq.models.calling import ADJACENCY, WHOLE
from sxq.models.graph_inputs import inputs_of_nodes
from sxq.models.part_masks import Parts, masks_by_type
from sxq.models.signature import signature_of
from sxq.models.wrappers import Wrapper

BATCH = "batch"
BY_TYPE = "_dict"  # PyG's ending of arguments that are dictionaries
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ByTypes(Wrapper):
    """Calls a module with what a graph's types make of one table of nodes and one list of edges."""

    def __init__(
        self,
        module: nn.Module,
        graph: Graph,
        node_type: str | None,
        signature: inspect.Signature | None = None,
        *,
        pools: bool = False,
        inputs: Mapping[str, str] | None = None,
        made: Sequence[str] = (),
    ):
        super().__init__()
        assert graph.types is not None, "a heterogeneous graph"
        self.pools = pools  # whether it gives a row for each graph of a batch
        self.module = module
        none = np.zeros(0, np.int64)
        self.types: GraphTypes = replace(graph.types, of_node=none, of_edge=none)
        self.of_nodes = frozenset(inputs_of_nodes(graph))
        # "type.field" of further inputs that some types lack
        self.lacking = frozenset(f for f, what in graph.left_out.items() if what == LACKING)
        self.shown = signature or signature_of(module)
        self.whole = _takes_data(self.shown)
        renamed = _renamed(self.shown, graph, inputs or {}, (*made, *([BATCH] if pools else [])))
        self.asks, self.names = _asked(self.shown, self.whole, renamed)
        self.more = tuple(renamed.items()) if self.whole else ()  # fields of the data, named again
        self.by_name = not self.whole and {"x", "edge_index"} <= set(self.names)
        self.wanted = None if node_type is None else self.types.number_of(node_type)
        # The numbers of the node types that the module judges, found by its first call.
        self.judged: tuple[int, ...] = ()
        self.joined = False  # whether it returns one table of all nodes, type by type
        self.read: Callable[[Tensor], Tensor] = (
            _as_it_is  # what is made of an output before it is put into the table
        )

    def forward(
        self, x: Tensor, edge_index: Tensor, *, node_type: Tensor, edge_type: Tensor, **given: Any
    ) -> Any:
        if self.pools and self._lacking(node_type, given["batch"]):
            return self._with_last(x, edge_index, node_type, edge_type, given)
        nodes = Parts(node_type, len(self.types.node_types))
        edges = Parts(edge_type, len(self.types.edge_types))
        inputs = self._by_types(x, edge_index, nodes, edges, given)
        with masks_by_type(self.module, inputs["edge_index"], edges):
            found = self.called(inputs, nodes)
        return self._of_graphs(found) if self.pools else self._table(found, nodes)

    def _by_types(
        self, x: Tensor, edge_index: Tensor, nodes: "Parts", edges: "Parts", given: dict[str, Any]
    ) -> dict[str, dict[Any, Tensor]]:
        """The inputs as dictionaries by type."""
        ends = edges.split(nodes.number[edge_index].T)
        inputs: dict[str, dict[Any, Tensor]] = {
            "x": self._by_node_type(nodes.split(x), self.types.widths),
            "edge_index": {
                kind: own.T.contiguous() for kind, own in zip(self.types.edge_types, ends)
            },
        }
        for name, values in given.items():
            if name in self.of_nodes or name == BATCH:
                inputs[name] = self._by_node_type(nodes.split(values), None)
            else:
                widths = self.types.edge_widths if name in _ATTRIBUTED else None
                inputs[name] = _within(self.types.edge_types, edges.split(values), widths)
            for kind in list(inputs[name]) if self.lacking else ():
                part = kind if isinstance(kind, str) else shown_type(kind)
                if f"{part}.{name}" in self.lacking:
                    del inputs[name][kind]
        return inputs

    def _lacking(self, node_type: Tensor, batch: Tensor) -> bool:
        """Whether the last graph has no node of some type: its row would be missing where that is pooled."""
        last = torch.bincount(node_type[batch == batch.max()], minlength=len(self.types.node_types))
        return bool((last == 0).any())

    def _with_last(
        self, x: Tensor, edge_index: Tensor, node_type: Tensor, edge_type: Tensor, given: dict
    ) -> Any:
        """The output without the row of one more graph, which has a node of each type and no edge."""
        count = len(self.types.node_types)
        more = {
            name: _longer(values, count) if name in self.of_nodes else values
            for name, values in given.items()
        }
        batch = given[BATCH]
        graphs = int(batch.max()) + 1
        more[BATCH] = torch.cat([batch, batch.new_full((count,), graphs)])
        kinds = torch.cat([node_type, torch.arange(count, device=node_type.device)])
        found = self.forward(
            _longer(x, count), edge_index, node_type=kinds, edge_type=edge_type, **more
        )
        fits = isinstance(found, Tensor) and found.ndim and len(found) == graphs + 1
        return found[:-1] if fits else found

    def _of_graphs(self, found: Any) -> Any:
        return self.read(found) if isinstance(found, Tensor) else found

    def _by_node_type(self, parts: Sequence[Tensor], widths: Sequence[int] | None) -> dict:
        return _within(self.types.node_types, parts, widths)

    def called(self, inputs: dict[str, dict[Any, Any]], nodes: "Parts | None") -> Any:
        """What the module returns for inputs by type; only a HeteroData needs the `nodes`."""
        if self.whole:
            assert nodes is not None
            return self.module(self._data(inputs, nodes))
        named = {self.names.get(name, name): value for name, value in inputs.items()}
        if self.by_name:
            return self.module(**named)
        return self.module(named.pop("x"), named.pop("edge_index"), **named)

    def _data(self, inputs: dict[str, dict[Any, Tensor]], nodes: "Parts") -> HeteroData:
        data = HeteroData()
        for kind, size in zip(self.types.node_types, nodes.sizes):
            data[kind].num_nodes = size
        again = {name: inputs[source] for name, source in self.more}
        for name, by_type in {**inputs, **again}.items():
            for kind, value in by_type.items():
                data[kind][name] = value
        return data

    def _table(self, found: Any, nodes: "Parts") -> Any:
        """Outputs [n, C] of all nodes; what is no output by type is returned as it is."""
        if isinstance(found, Tensor):
            by_type = self._of_one_table(found, nodes)
        elif isinstance(found, Mapping) and found and set(found) <= set(self.types.node_types):
            by_type = {
                self.types.node_types.index(kind): values
                for kind, values in found.items()
                if isinstance(values, Tensor)
            }
        else:
            return found
        if not self.judged:
            self.judged = self._judged(by_type, nodes)
        return self._filled({number: by_type[number] for number in self.judged}, nodes)

    def _of_one_table(self, found: Tensor, nodes: "Parts") -> dict[int, Tensor]:
        rows = len(found) if found.ndim else 0
        if not self.judged:
            fitting = [n for n, size in enumerate(nodes.sizes) if size == rows]
            if self.wanted in fitting:
                return {self.wanted: found}
            if len(fitting) > 1:
                raise ModelOutputError(
                    f"the model returned {rows} rows, and the graph has as many nodes of type "
                    f"{' and of type '.join(self.types.node_types[n] for n in fitting)}: say whose they "
                    f"are by node_type="
                )
            if fitting:
                return {fitting[0]: found}
            self.joined = rows == sum(nodes.sizes)
            if not self.joined:
                raise ModelOutputError(self._misfit(rows, nodes))
        if self.joined:
            return dict(enumerate(found.split(nodes.sizes)))
        (number,) = self.judged
        return {number: found}

    def _misfit(self, rows: int, nodes: "Parts") -> str:
        has = [f"{size} {kind}" for kind, size in zip(self.types.node_types, nodes.sizes)]
        return (
            f"the model returned {rows} rows; expected a row for each node of one type, or a "
            f"dictionary of them by type (the graph has {', '.join(has)})"
        )

    def _judged(self, by_type: Mapping[int, Tensor], nodes: "Parts") -> tuple[int, ...]:
        """The types whose nodes are judged: the wanted one, or all that have outputs of one width."""
        names = self.types.node_types
        if self.wanted is not None:
            if self.wanted not in by_type:
                raise ModelOutputError(
                    f"node_type = {names[self.wanted]!r}, but the model returns outputs of "
                    f"{', '.join(names[n] for n in by_type) or 'no type'}"
                )
            return (self.wanted,)
        shapes = {number: tuple(values.shape[1:]) for number, values in by_type.items()}
        if len(set(shapes.values())) > 1:
            found = [f"{names[n]} {[nodes.sizes[n], *shape]}" for n, shape in shapes.items()]
            raise ModelOutputError(
                f"the model returns outputs of several widths ({', '.join(found)}): say which are "
                f"explained by node_type="
            )
        if not by_type:
            raise ModelOutputError("the model returned no output of any node type")
        return tuple(by_type)

    def _filled(self, by_type: Mapping[int, Tensor], nodes: "Parts") -> Tensor:
        rows = {number: nodes.rows[number] for number in by_type}
        read = {number: self.read(values) for number, values in by_type.items()}
        for number, values in read.items():
            if values.ndim != 2 or len(values) != len(rows[number]):
                kind = self.types.node_types[number]
                squeezed = ", even of one class; is it squeezed?" if values.ndim == 1 else ""
                raise ModelOutputError(
                    f"the model returned shape {list(values.shape)} for {kind}, expected "
                    f"[{len(rows[number])}, classes]: one row for each node{squeezed}"
                )
        first = next(iter(read.values()))
        table = first.new_zeros(sum(nodes.sizes), first.shape[1])
        return table.index_copy(0, torch.cat(list(rows.values())), torch.cat(list(read.values())))


def _longer(values: Tensor, count: int) -> Tensor:
    """With this many rows of zeros more."""
    return torch.cat([values, values.new_zeros(count, *values.shape[1:])])


_ATTRIBUTED = {"edge_attr"}


def _within(kinds: Sequence[Any], parts: Sequence[Tensor], widths: Sequence[int] | None) -> dict:
    """The part of each type without the columns that only other types have; types without any are left out."""
    if widths is None:
        return dict(zip(kinds, parts))
    return {
        kind: part[:, :width] if part.ndim == 2 else part
        for kind, part, width in zip(kinds, parts, widths)
        if width
    }


def _as_it_is(values: Tensor) -> Tensor:
    return values


def by_types(module: Any) -> ByTypes | None:
    """The part of an engine's module that parts by types; None where it has none."""
    while isinstance(module, Wrapper) and not isinstance(module, ByTypes):
        module = module.module
    return module if isinstance(module, ByTypes) else None


def ways(
    module: nn.Module,
    graph: Graph | GraphSet,
    node_type: str | None,
    inputs: Mapping[str, str] | None = None,
    made: Sequence[str] = (),
) -> list[nn.Module]:
    """The module as the graph may have it called, the likelier way first.

    On a heterogeneous graph a module takes dictionaries by type, or tensors of all nodes and edges.
    inputs  argument of forward -> field of the data, as the user says
    made    what the engine makes besides the fields of the data: pairs
    Raises ModelError.
    """
    held = graph.union if isinstance(graph, GraphSet) else graph
    types = held.types
    names = list(signature_of(module).parameters)
    dictionaries = [name for name in names if name.endswith(BY_TYPE)]
    if types is None:
        _require_no_types(module, dictionaries, node_type)
        return [module]
    _refuse_adjacency(module, names)
    if node_type is not None:
        types.number_of(node_type)
        if held is not graph:
            raise ModelError(
                f"node_type = {node_type!r}, but a model of graphs has outputs for graphs; leave it out"
            )
    said = {name.removesuffix(BY_TYPE) for name in (inputs or {}).values()}
    if {NODE_TYPE, EDGE_TYPE} & {*names, *said} and not dictionaries:
        return [module]
    typed = ByTypes(module, held, node_type, pools=held is not graph, inputs=inputs, made=made)
    return [typed] if dictionaries else [typed, module]


def _require_no_types(
    module: nn.Module, dictionaries: Sequence[str], node_type: str | None
) -> None:
    """Raise ModelError for a model, or a node type, of a heterogeneous graph on one that is not."""
    if {"x_dict", "edge_index_dict"} & set(dictionaries):
        raise ModelError(
            f"forward{signature_of(module)} takes {', '.join(dictionaries)}, but the graph has no "
            f"types: register a HeteroData for it"
        )
    if node_type is not None:
        raise ModelError(
            f"node_type = {node_type!r}, but the graph has no types; leave node_type out"
        )


def _refuse_adjacency(module: nn.Module, names: Sequence[str]) -> None:
    taken = [n for n in names if n.removesuffix(BY_TYPE) in ADJACENCY and n.endswith(BY_TYPE)]
    if taken:
        raise ModelError(
            f"forward{signature_of(module)} takes {taken[0]}, adjacency matrices by type, and sxq "
            f"passes edges: wrap the model in a module with forward(x_dict, edge_index_dict) that "
            f"builds {taken[0]}"
        )


def _takes_data(signature: inspect.Signature) -> bool:
    names = list(signature.parameters)
    others = [p for p in list(signature.parameters.values())[1:] if p.default is p.empty]
    known = any(name.removesuffix(BY_TYPE) in ("x", "edge_index") for name in names)
    return (
        bool(names) and names[0] in WHOLE and not known and not any(p.kind in NAMED for p in others)
    )


def _renamed(
    signature: inspect.Signature, graph: Graph, inputs: Mapping[str, str], made: Sequence[str]
) -> dict[str, str]:
    """The field, without _dict, that the user says an argument gets; raises ModelError for one that is none."""
    edges = [name for name in EDGE_ARGUMENTS if getattr(graph, name) is not None]
    fields = ["x", "edge_index", *edges, *graph.node_inputs, *graph.edge_inputs]
    open_to_all = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    found = {
        name + BY_TYPE * (name + BY_TYPE in signature.parameters): source.removesuffix(BY_TYPE)
        for name, source in inputs.items()
    }
    for name, source in found.items():
        if name not in signature.parameters and not open_to_all and not _takes_data(signature):
            raise ModelError(
                f"inputs = {dict(inputs)}, but forward{signature} has no argument {name}; expected "
                f"argument of forward -> field of the data"
            )
        if source not in (*fields, *made):
            raise ModelError(
                f"inputs = {dict(inputs)}, but the data has no {source}; it has {', '.join(fields)}"
            )
    return found


def _asked(
    signature: inspect.Signature, whole: bool, renamed: Mapping[str, str]
) -> tuple[inspect.Signature, dict[str, str]]:
    """What a `ByTypes` asks of the engine, and the module's own names of these arguments.

    Without a name for x or edge_index, the first two are passed by position. `renamed` are the fields
    that the user says some arguments get.
    """
    both = [inspect.Parameter(name, NAMED[0]) for name in ("x", "edge_index")]
    types = [inspect.Parameter(name, NAMED[1]) for name in (NODE_TYPE, EDGE_TYPE)]
    any_name = inspect.Parameter("more", inspect.Parameter.VAR_KEYWORD)
    if whole:
        return inspect.Signature([*both, *types, any_name]), {}
    parameters = list(signature.parameters.values())
    plain = {
        renamed.get(p.name, p.name.removesuffix(BY_TYPE)): p for p in parameters if p.kind in NAMED
    }
    shown = {p.name for p in plain.values()}
    for name, source in renamed.items():  # of **kwargs
        if name not in shown:
            plain[source] = inspect.Parameter(name, NAMED[1])
    by_name = {"x", "edge_index"} <= set(plain)
    if {"x", "edge_index"} & set(renamed.values()) and not by_name:
        raise ModelError(
            f"inputs = {dict(renamed)} for forward{signature}: say which arguments get x_dict and "
            f"edge_index_dict, such as {{'features': 'x_dict', 'edges': 'edge_index_dict'}}"
        )
    first = [] if by_name else [p.name for p in parameters if p.kind not in NAMED[1:]][:2]
    rest = [
        p.replace(name=name, kind=NAMED[1])
        for name, p in plain.items()
        if name not in ("x", "edge_index")
        and p.name not in first
        and not (name in (NODE_TYPE, EDGE_TYPE) and p.default is not p.empty)
    ]
    if clash := {p.name for p in rest} & {NODE_TYPE, EDGE_TYPE}:
        raise ModelError(
            f"forward{signature} takes {', '.join(sorted(clash))} beside dictionaries by type, and "
            f"sxq passes one or the other; give it a default, or wrap the model"
        )
    open_end = [any_name] if any(p.kind is p.VAR_KEYWORD for p in parameters) else []
    names = {name: p.name for name, p in plain.items()}
    return inspect.Signature([*both, *types, *rest, *open_end]), names
