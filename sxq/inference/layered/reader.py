"""Finds the kind of every recorded value, and refuses operations that are not known as safe."""

import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch_geometric.nn import MessagePassing

from sxq.inference.kernels import kernel_of
from sxq.inference.kernels.pool import Pool, pool_of
from sxq.inference.kernels.typed_attention import TYPED_KERNELS, TypeOfEdges
from sxq.inference.layered.edge_calls import crossing_of, factory_of
from sxq.inference.layered.kinds import (
    BATCH,
    BOTH,
    EDGES,
    ENDS,
    GRAPHS,
    INDEX,
    NODES,
    OF_GRAPH,
    OF_LINKS,
    PLAIN,
    SAID,
    node_kind,
)
from sxq.inference.layered.link_reader import is_flat, read_ends, read_pick
from sxq.inference.tracing.by_type import of_type
from sxq.inference.tracing.example import Extent
from sxq.inference.tracing.fx_graph import located, name_of
from sxq.inference.tracing.recorder import UNKNOWN
from sxq.inference.tracing.rowwise import SHAPE, TUPLES, Untraceable, check_module, check_operation
from sxq.models.call import PAIRS

IN_PLACE = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


class Reader:
    """Reads the recorded nodes in their order."""

    def __init__(self, module: nn.Module, features: bool, kinds: Mapping[str, str]):
        self.module = module
        self.features = features
        self.kinds = kinds  # of arguments by name, beside those that every model may take
        self.inputs = iter((NODES, INDEX))

    def read(self, node: fx.Node) -> None:
        node.meta.update(
            varies=any(n.meta["varies"] for n in node.all_input_nodes), hop=0, call=None
        )
        try:
            getattr(self, f"_{node.op}")(node)
        except Untraceable as why:
            raise Untraceable(located(str(why), node)) from why

    def _placeholder(self, node: fx.Node) -> None:
        named = {"edge_weight": EDGES, "edge_attr": EDGES, "batch": BATCH, PAIRS[0]: BOTH}
        first = next(self.inputs, "")
        kind = first or {**named, **self.kinds}.get(str(node.target), PLAIN)
        node.meta.update(kind=kind, loops="keep", varies=self.features and first == NODES)

    def _get_attr(self, node: fx.Node) -> None:
        value = node.meta["example"]
        pair = node.meta.get("example pair", (value, value))
        if isinstance(value, Tensor) and pair[0].shape != pair[1].shape:
            raise Untraceable("it makes a tensor whose size is the number of nodes or edges")
        node.meta.update(kind=PLAIN, call=lambda: value)

    def _output(self, node: fx.Node) -> None:
        node.meta["kind"] = PLAIN

    def _call_module(self, node: fx.Node) -> None:
        module = self.module.get_submodule(node.target)
        if type(module) in TYPED_KERNELS:
            return self._typed_layer(node, module)
        if isinstance(module, MessagePassing):
            return self._layer(node, module)
        if crossing_of(node, module):
            return None
        if pool := pool_of(node, module):
            return self._pool(node, pool)
        check_module(module)
        in_place = isinstance(module, nn.ReLU) and _may_overwrite(node)
        self._row_by_row(node, torch.relu_ if in_place else module)

    def _call_function(self, node: fx.Node) -> None:
        self._operation(node, IN_PLACE.get(node.target, node.target))

    def _call_method(self, node: fx.Node) -> None:
        name = node.target.removesuffix("_")  # the recorder gives the result another name
        self._operation(node, lambda value, *args, **kwargs: getattr(value, name)(*args, **kwargs))

    def _operation(self, node: fx.Node, call: Callable) -> None:
        kinds = {node_kind(n) for n in node.all_input_nodes}
        name = name_of(node)
        if factory_of(node, name) or crossing_of(node, None):
            return
        _drop_sizes(node, name)
        if kinds <= {PLAIN}:
            node.meta.update(kind=PLAIN, call=call)
        elif node.target is of_type:
            node.meta.update(kind=INDEX, only=node.args[1], loops="keep")
        elif kinds & OF_LINKS:
            read_pick(node, name)
        elif ENDS in kinds:
            read_ends(node, name, call)
        elif name == "getitem":
            self._getitem(node)
        elif pool := pool_of(node, None):
            self._pool(node, pool)
        elif name == "size" and node.args[1:] == (0,):
            # Only `view` and `reshape` may use the number of nodes; -1 stands for it there.
            node.meta.update(kind=PLAIN, size=True, varies=False, call=lambda *_: -1)
        elif name in ("max", "amax") and kinds <= OF_GRAPH:
            node.meta.update(kind=PLAIN, varies=False)  # a number that the recorder has told
        else:
            if not is_flat(node, name):
                check_operation(name, node)
            self._row_by_row(node, torch.relu_ if name == "relu" and _may_overwrite(node) else call)
            node.meta["tuple"] = name in TUPLES and (len(node.args) > 1 or bool(node.kwargs))
            node.meta["zero"] = name == "zeros_like"
            node.meta["ones"] = name == "ones_like"

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
        if found := sorted(kinds & OF_GRAPH):
            raise Untraceable(
                f"{name_of(node)} looks at {SAID[found[0]]} outside a message-passing layer or pooling"
            )
        if len(kinds) != 1:
            raise Untraceable(f"{name_of(node)} brings {' and '.join(sorted(kinds))} together")
        if any(n.meta.get("size") for n in node.all_input_nodes) and name_of(node) not in (
            "view",
            "reshape",
        ):
            raise Untraceable("it computes with the number of nodes")
        loops = {n.meta["loops"] for n in node.all_input_nodes if node_kind(n) == EDGES}
        if len(loops) > 1:
            raise Untraceable("self-loops were added to some values of edges, but not to others")
        node.meta.update(kind=kinds.pop(), call=call, loops=next(iter(loops), "keep"))

    def _layer(self, node: fx.Node, layer: MessagePassing) -> None:
        bound = inspect.signature(layer.forward).bind(*node.args, **node.kwargs).arguments
        x = bound.pop("x", None)
        edge_index = bound.pop("edge_index", None)
        what = type(layer).__name__
        bound.pop("size", None) if _is_size(bound.get("size")) else None
        ends = x if isinstance(x, (tuple, list)) else (x,)
        if any(not isinstance(end, fx.Node) or node_kind(end) != NODES for end in ends):
            raise Untraceable(f"{what} is not given one tensor of node features")
        own = isinstance(edge_index, fx.Node) and node_kind(edge_index) == INDEX
        if not own or edge_index.meta["loops"] != "keep":
            raise Untraceable(f"{what} is not given the graph's own edge_index")
        given = {
            name: value for name, value in bound.items() if value is not None and value is not False
        }
        other = [
            name
            for name, value in given.items()
            if not isinstance(value, fx.Node)
            or node_kind(value) != EDGES
            or value.meta["varies"]
            or value.meta["loops"] != "keep"
        ]
        if other:
            raise Untraceable(f"{what} is given {', '.join(other)}")
        edges = {name: value.name for name, value in given.items()}
        kernel = kernel_of(layer, tuple(edges))
        only = edge_index.meta.get("only")
        if (len(ends) > 1 or only is not None) and not kernel.between_types:
            raise Untraceable(f"no layered form of {what} for the edges of one type is known")
        node.meta.update(
            kind=NODES, varies=True, given=edges, kernel=kernel, only=only, loops="keep"
        )
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
            if only is None or own.meta["loops"] != "keep":
                raise Untraceable(f"{what} is not given the graph's own edge_index_dict")
            kinds.append(TypeOfEdges(name, only, places[name[0]], places[name[2]]))
        kernel = TYPED_KERNELS[type(layer)](layer, kinds, len(x))
        node.meta.update(kind=NODES, varies=True, given={}, kernel=kernel, only=None, loops="keep")
        node.args = tuple(x.values())
        node.kwargs = {}


def _is_size(value: Any) -> bool:
    """Whether an argument `size` only says how many nodes there are."""
    return isinstance(value, tuple | list) and all(isinstance(one, Extent) for one in value)


def _drop_sizes(node: fx.Node, name: str) -> None:
    """Put -1 for a size of the graph where it only keeps the rows; raises Untraceable elsewhere."""
    found: list[Extent] = []

    def look(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)([look(one) for one in value])
        if isinstance(value, slice):
            look([value.start, value.stop, value.step])
        elif isinstance(value, Extent):
            found.append(value)
            return -1
        return value

    args = look(node.args)
    look(list(node.kwargs.values()))
    if not found:
        return
    sizes = node.args[1:]
    if sizes and isinstance(sizes[0], tuple | list):
        sizes = sizes[0]
    first = sizes[0] if sizes else None
    if len(found) > 1 or name not in (*SHAPE, "expand") or not isinstance(first, Extent):
        raise Untraceable(f"{name} computes with the number of {found[0].of}")
    example = node.meta.get("example", UNKNOWN)
    if isinstance(example, Tensor):  # the other sizes, of which one may have been -1
        args = (args[0], (-1, *example.shape[1:]))
    node.args = args


def _may_overwrite(node: fx.Node) -> bool:
    """Whether an operation only reads the new table of a layer, which no other operation reads."""
    if len(node.args) != 1 or node.kwargs:
        return False
    layer = node.args[0].meta.get("kernel")
    return layer is not None and layer.hops > 0 and len(node.args[0].users) == 1
