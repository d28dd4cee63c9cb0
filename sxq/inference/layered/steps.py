"""Turns a module into a list of steps: message-passing layers, and row-wise operations between them.

`torch.fx` records the forward pass with the message-passing layers as leaves and unused arguments
as their defaults. A walk backwards then finds, for each step, within how many hops of the target
its rows are needed: the output at the target alone, the input of a layer one hop further than its
output.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import fx, nn
from torch_geometric.nn import MessagePassing

from sxq.inference.kernels import Kernel, kernel_of
from sxq.inference.kernels.pool import Pool, pool_of
from sxq.inference.kernels.typed_attention import TYPED_KERNELS, TypeOfEdges
from sxq.inference.tracing.by_type import of_type
from sxq.inference.tracing.fx_graph import name_of, trace_graph
from sxq.inference.tracing.rowwise import TUPLES, Untraceable, check_module, check_operation

# The kind of a value: it has one row per node, edge or graph, or it is a plain value.
NODES = "nodes"
EDGES = "edges"
GRAPHS = "graphs"
PLAIN = "plain"
# Two more kinds, which only layers and poolings may read: edge_index, and the graph of each node.
INDEX = "index"
BATCH = "batch"
ARGUMENTS = MappingProxyType({"edge_weight": EDGES, "edge_attr": EDGES, "batch": BATCH})


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One operation of the model."""

    name: str
    kind: str  # NODES, EDGES, GRAPHS or PLAIN
    hop: int  # rows within so many hops are needed (NODES); a graph classifier needs all rows
    varies: bool  # whether it depends on the candidate
    call: Any  # a function; None for an input and for a layer, which are not run
    args: tuple  # may contain fx nodes
    kwargs: Mapping[str, Any]
    input: str | None  # the name of the argument of forward, for an input
    kernel: Kernel | None  # of a layer
    pool: Pool | None
    given: Mapping[str, str]  # edge arguments of a layer -> name of the step that computes them
    only: int | None  # the edge type of a layer, where it has one

    def run(self, look_up: Callable[[str], Any]) -> Any:
        """Call the operation on the values of other steps, by name."""
        if len(self.args) == 1 and not self.kwargs and isinstance(self.args[0], fx.Node):
            return self.call(look_up(self.args[0].name))
        args, kwargs = fx.map_arg((self.args, self.kwargs), lambda node: look_up(node.name))
        return self.call(*args, **kwargs)


@dataclass(frozen=True, eq=False)
class ModelSteps:
    """A model as steps, in order; the last one is the output."""

    by_name: Mapping[str, Step]  # in order
    output: str  # name of the step that gives the output
    hops: int  # hops around the target within which rows of the input are needed
    varying: tuple[Step, ...]  # those that depend on the candidate
    pools: bool  # whether the output is one row per graph
    first: str  # the argument that is x


def steps_of(
    module: nn.Module,
    arguments: tuple[str, ...],
    features: bool = False,
    kinds: Mapping[str, str] = ARGUMENTS,
) -> ModelSteps:
    """The steps of a model with forward(x, edge_index, *arguments).

    `features`: x depends on the candidate, too. `kinds`: what the arguments are. Raises Untraceable
    with the reason.
    """
    module, graph = trace_graph(module, arguments, inputs=2)
    reader = _Reader(module, features, kinds)
    for node in graph.nodes:
        reader.read(node)
    output = graph.output_node().args[0]
    rows = GRAPHS if "batch" in arguments else NODES
    if not isinstance(output, fx.Node) or node_kind(output) != rows:
        raise Untraceable(f"the output is not one row per {rows[:-1]}")
    _reach(graph, output)
    steps = {
        node.name: reader.step(node)
        for node in graph.nodes
        if node.op != "output" and node.meta["kind"] not in (INDEX, BATCH)
    }
    varying = tuple(step for step in steps.values() if step.varies and not step.input)
    hops = max(step.hop for step in steps.values())
    first = next(iter(steps.values())).input
    assert first is not None, "a forward begins with x"
    return ModelSteps(steps, output.name, hops, varying, rows == GRAPHS, first)


class _Reader:
    """Finds the kind of every recorded node, and refuses operations that are not known as safe."""

    def __init__(self, module: nn.Module, features: bool, kinds: Mapping[str, str]):
        self.module = module
        self.features = features
        self.kinds = kinds
        self.inputs = iter((NODES, INDEX))

    def read(self, node: fx.Node) -> None:
        node.meta.update(
            varies=any(n.meta["varies"] for n in node.all_input_nodes), hop=0, call=None
        )
        getattr(self, f"_{node.op}")(node)

    def step(self, node: fx.Node) -> Step:
        meta = node.meta
        return Step(
            name=node.name,
            kind=meta["kind"],
            hop=meta["hop"],
            varies=meta["varies"],
            call=meta["call"],
            args=node.args,
            kwargs=node.kwargs,
            input=node.target if node.op == "placeholder" else None,
            kernel=meta.get("kernel"),
            pool=meta.get("pool"),
            given=meta.get("given", {}),
            only=meta.get("only"),
        )

    def _placeholder(self, node: fx.Node) -> None:
        first = next(self.inputs, "")
        kind = first or self.kinds.get(str(node.target), PLAIN)
        node.meta.update(kind=kind, varies=self.features and first == NODES)

    def _get_attr(self, node: fx.Node) -> None:
        value = self.module
        for part in node.target.split("."):
            value = getattr(value, part)
        node.meta.update(kind=PLAIN, call=lambda: value)

    def _output(self, node: fx.Node) -> None:
        node.meta["kind"] = PLAIN

    def _call_module(self, node: fx.Node) -> None:
        module = self.module.get_submodule(node.target)
        if type(module) in TYPED_KERNELS:
            return self._typed_layer(node, module)
        if isinstance(module, MessagePassing):
            return self._layer(node, module)
        if pool := pool_of(node, module):
            return self._pool(node, pool)
        check_module(module)
        in_place = isinstance(module, nn.ReLU) and _may_overwrite(node)
        self._row_by_row(node, torch.relu_ if in_place else module)

    def _call_function(self, node: fx.Node) -> None:
        self._operation(node, node.target)

    def _call_method(self, node: fx.Node) -> None:
        self._operation(
            node, lambda value, *args, **kwargs: getattr(value, node.target)(*args, **kwargs)
        )

    def _operation(self, node: fx.Node, call: Callable) -> None:
        kinds = {node_kind(n) for n in node.all_input_nodes}
        name = name_of(node)
        if kinds <= {PLAIN}:
            node.meta.update(kind=PLAIN, call=call)
        elif node.target is of_type:
            node.meta.update(kind=INDEX, only=node.args[1])
        elif name == "getitem":
            self._getitem(node)
        elif pool := pool_of(node, None):
            self._pool(node, pool)
        elif name == "size" and node.args[1:] == (0,):
            # Only `view` and `reshape` may use the number of nodes; -1 stands for it there.
            node.meta.update(kind=PLAIN, size=True, varies=False, call=lambda *_: -1)
        else:
            check_operation(name, node)
            self._row_by_row(node, torch.relu_ if name == "relu" and _may_overwrite(node) else call)
            node.meta["tuple"] = name in TUPLES and (len(node.args) > 1 or bool(node.kwargs))

    def _getitem(self, node: fx.Node) -> None:
        value, index = node.args
        whole = isinstance(index, tuple) and index[0] in (slice(None), Ellipsis)
        if not value.meta.get("tuple") and not whole:
            raise Untraceable(f"[{index}] picks single nodes")
        self._row_by_row(node, node.target)

    def _pool(self, node: fx.Node, pool: Pool) -> None:
        if [node_kind(n) for n in node.all_input_nodes] != [NODES, BATCH]:
            raise Untraceable(f"{name_of(node)} does not pool nodes by graph")
        node.meta.update(kind=GRAPHS, varies=True, pool=pool)
        node.args = node.args[:1]
        node.kwargs = {}

    def _row_by_row(self, node: fx.Node, call: Callable) -> None:
        kinds = {node_kind(n) for n in node.all_input_nodes} - {PLAIN}
        if kinds & {INDEX, BATCH}:
            what = "edge_index" if INDEX in kinds else "batch"
            raise Untraceable(
                f"{name_of(node)} looks at {what} outside a message-passing layer or pooling"
            )
        if len(kinds) != 1:
            raise Untraceable(f"{name_of(node)} brings {' and '.join(sorted(kinds))} together")
        if any(n.meta.get("size") for n in node.all_input_nodes) and name_of(node) not in (
            "view",
            "reshape",
        ):
            raise Untraceable("it computes with the number of nodes")
        node.meta.update(kind=kinds.pop(), call=call)

    def _layer(self, node: fx.Node, layer: MessagePassing) -> None:
        bound = inspect.signature(layer.forward).bind(*node.args, **node.kwargs).arguments
        x = bound.pop("x", None)
        edge_index = bound.pop("edge_index", None)
        what = type(layer).__name__
        ends = x if isinstance(x, (tuple, list)) else (x,)
        if any(not isinstance(end, fx.Node) or node_kind(end) != NODES for end in ends):
            raise Untraceable(f"{what} is not given one tensor of node features")
        if not isinstance(edge_index, fx.Node) or node_kind(edge_index) != INDEX:
            raise Untraceable(f"{what} is not given the graph's own edge_index")
        given = {
            name: value for name, value in bound.items() if value is not None and value is not False
        }
        other = [
            name
            for name, value in given.items()
            if not isinstance(value, fx.Node) or node_kind(value) != EDGES
        ]
        if other:
            raise Untraceable(f"{what} is given {', '.join(other)}")
        edges = {name: value.name for name, value in given.items()}
        kernel = kernel_of(layer, tuple(edges))
        only = edge_index.meta.get("only")
        if (len(ends) > 1 or only is not None) and not kernel.between_types:
            raise Untraceable(f"no layered form of {what} for the edges of one type is known")
        node.meta.update(kind=NODES, varies=True, given=edges, kernel=kernel, only=only)
        node.args = tuple(ends)
        node.kwargs = {}

    def _typed_layer(self, node: fx.Node, layer: Any) -> None:
        """A layer of all types, recorded by `in_parts` with a table by node type and edges by edge type."""
        x, edge_index = node.args
        what = type(layer).__name__
        if not all(isinstance(own, fx.Node) and node_kind(own) == NODES for own in x.values()):
            raise Untraceable(f"{what} is not given node features by type")
        places = {name: place for place, name in enumerate(x)}
        kinds = []
        for name, own in edge_index.items():
            only = own.meta.get("only") if isinstance(own, fx.Node) else None
            if only is None:
                raise Untraceable(f"{what} is not given the graph's own edge_index_dict")
            kinds.append(TypeOfEdges(name, only, places[name[0]], places[name[2]]))
        kernel = TYPED_KERNELS[type(layer)](layer, kinds, len(x))
        node.meta.update(kind=NODES, varies=True, given={}, kernel=kernel, only=None)
        node.args = tuple(x.values())
        node.kwargs = {}


def _reach(graph: fx.Graph, output: fx.Node) -> None:
    """Walks backwards to find how many hops around the target each node's rows are needed."""
    for node in reversed(graph.nodes):
        kernel = node.meta.get("kernel")
        for source in node.all_input_nodes if node.op != "output" else ():
            source.meta["hop"] = max(
                source.meta["hop"], node.meta["hop"] + (kernel.hops if kernel else 0)
            )


def _may_overwrite(node: fx.Node) -> bool:
    """Whether an operation only reads the new table of a layer, which no other operation reads."""
    if len(node.args) != 1 or node.kwargs:
        return False
    layer = node.args[0].meta.get("kernel")
    return layer is not None and layer.hops > 0 and len(node.args[0].users) == 1


def node_kind(node: fx.Node) -> str:
    return node.meta["kind"]
