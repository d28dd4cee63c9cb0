"""Recognises message passing that the user wrote: indexing by edge_index, sums over the edges of a node.

What is recognised becomes a `Crossing` of the recorded call. Everything else stays for the reader.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch_geometric.nn import aggr
from torch_geometric.nn.aggr import DegreeScalerAggregation
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import (
    add_remaining_self_loops,
    add_self_loops,
    degree,
    remove_self_loops,
    scatter,
    softmax,
)

from sxq.inference.kernels.messages import (
    REDUCTIONS,
    Aggregate,
    Attention,
    Constant,
    Crossing,
    Degrees,
    Gather,
    GCNWeights,
    WeightedSum,
    WithLoops,
)
from sxq.inference.layered.kinds import (
    EDGES,
    HEADS,
    INDEX,
    INDEX_AND_VALUES,
    NODES,
    PLAIN,
    TAILS,
    node_kind,
)
from sxq.inference.tracing.example import EDGES_OF, Extent
from sxq.inference.tracing.fx_graph import name_of
from sxq.inference.tracing.recorder import UNKNOWN
from sxq.inference.tracing.rowwise import Untraceable

# Operations on edge_index, or one of its rows, that leave its numbers as they are.
SAME_INDEX = {"long", "to", "contiguous", "clone", "detach", "type_as"}
SAME_ROW = {*SAME_INDEX, "view", "reshape", "unsqueeze", "expand", "expand_as", "repeat", "flatten"}
ADDED_UP = {"index_add_", "index_add", "scatter_add_", "scatter_add"}
REDUCED = {"scatter_reduce_", "scatter_reduce", "index_reduce_", "index_reduce"}
AGGREGATIONS = {
    aggr.SumAggregation: "sum",
    aggr.MeanAggregation: "mean",
    aggr.MaxAggregation: "max",
    aggr.MinAggregation: "min",
    aggr.VarAggregation: "var",
    aggr.StdAggregation: "std",
}
# Which self-loops there are after one more change of them.
AFTER = {
    ("keep", "drop"): "drop",
    ("keep", "add"): "add",
    ("keep", "replace"): "replace",
    ("drop", "drop"): "drop",
    ("drop", "add"): "replace",
    ("drop", "replace"): "replace",
    ("add", "drop"): "drop",
    ("replace", "drop"): "drop",
    ("replace", "replace"): "replace",
}
CHANGES = {add_self_loops: "add", add_remaining_self_loops: "replace", remove_self_loops: "drop"}


def crossing_of(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a call is between nodes and edges, and then its meaning is noted. Raises Untraceable."""
    kinds = [node_kind(source) for source in node.all_input_nodes]
    if not {INDEX, TAILS, HEADS, INDEX_AND_VALUES} & set(kinds):
        return False
    name = "" if module is not None else name_of(node)
    if module is not None:
        return _aggregation(node, module)
    if node.target in CHANGES:
        return _loops(node)
    if node.target is gcn_norm:
        return _normalisation(node)
    if name == "getitem" or name == "select" or name == "unbind":
        return _picked(node, name)
    if name == "index_select":
        return _gathered(node, *_of_index_select(node))
    if node.target is scatter or name in ADDED_UP or name in REDUCED:
        return _summed(node, name)
    if node.target is degree:
        return _counted(node)
    if node.target is softmax:
        return _attention(node)
    return _unchanged(node, name, kinds)


def _note(node: fx.Node, kind: str, loops: str, crossing: Crossing | None, *sources: Any) -> bool:
    """Note that a call is this crossing of these inputs."""
    fixed = isinstance(crossing, Gather) and loops == "keep" and not sources[0].meta["varies"]
    node.meta.update(kind=kind, loops=loops, crossing=crossing, varies=not fixed)
    if crossing is not None:
        if fixed:
            node.meta["local"] = crossing
        node.args = tuple(sources)
        node.kwargs = {}
    return True


def _unchanged(node: fx.Node, name: str, kinds: list[str]) -> bool:
    """An operation that leaves edge_index, or one of its rows, as it is."""
    first = node.args[0] if node.args else None
    if not isinstance(first, fx.Node):
        return False
    kind = node_kind(first)
    same = {INDEX: SAME_INDEX, TAILS: SAME_ROW, HEADS: SAME_ROW}.get(kind, set())
    if name not in same:
        return False
    node.meta.update(kind=kind, loops=first.meta["loops"], varies=False)
    return True


def _picked(node: fx.Node, name: str) -> bool:
    """edge_index[0], edge_index[1]; x[row]; and the parts of what a function returned."""
    value = node.args[0]
    kind = node_kind(value)
    if kind == INDEX_AND_VALUES and name == "getitem":
        return _part_of_pair(node, value, node.args[1])
    if name == "unbind":
        if kind == INDEX and node.args[1:] in ((), (0,)) and node.kwargs in ({}, {"dim": 0}):
            node.meta.update(
                kind=INDEX_AND_VALUES, loops=value.meta["loops"], rows=True, varies=False
            )
            return True
        return False
    index = node.args[1] if name == "getitem" else node.args[2:] and node.args[2]
    if name == "select" and node.args[1:2] != (0,):
        return False
    if isinstance(index, tuple) and len(index) == 2 and index[1] in (slice(None), Ellipsis):
        index = index[0]
    if kind == INDEX and type(index) is int and index in (0, 1, -1, -2):
        end = TAILS if index in (0, -2) else HEADS
        node.meta.update(kind=end, loops=value.meta["loops"], varies=False)
        return True
    if isinstance(index, tuple) and index and all(i == slice(None) for i in index[1:]):
        index = index[0]
    if name == "getitem" and isinstance(index, fx.Node):
        return _gathered(node, value, index)
    return False


def _of_index_select(node: fx.Node) -> tuple[Any, Any]:
    bound = _bound(node, "input", "dim", "index")
    if bound["dim"] not in (0,) and not (bound["dim"] == -2 and _ndim(bound["input"]) == 2):
        raise Untraceable("index_select by edge_index is along dim 0")
    return bound["input"], bound["index"]


def _gathered(node: fx.Node, value: Any, index: Any) -> bool:
    if not isinstance(index, fx.Node) or node_kind(index) not in (TAILS, HEADS):
        return False
    if not isinstance(value, fx.Node) or node_kind(value) not in (NODES,):
        what = node_kind(value) if isinstance(value, fx.Node) else "a constant"
        raise Untraceable(f"edge_index picks rows of {what}, expected rows of nodes")
    if _ndim(index) not in (1, None):
        return False
    loops = index.meta["loops"]
    return _note(node, EDGES, loops, Gather(node_kind(index) == TAILS, loops), value)


def _summed(node: fx.Node, name: str) -> bool:
    """scatter, index_add, scatter_add, scatter_reduce: messages [E, ...] into the rows of nodes."""
    if node.target is scatter:
        bound = _bound_by(scatter, node)
        messages, index, dim = bound["src"], bound["index"], bound.get("dim", 0)
        reduction = bound.get("reduce", "sum")
        size = bound.get("dim_size")
        if size is None and not _largest_is_last():
            return False
    else:
        base, dim, index, messages, reduction = _into(node, name)
        size = base.meta.get("extent") if isinstance(base, fx.Node) else None
        if not (isinstance(base, fx.Node) and base.meta.get("zero")):
            raise Untraceable(f"{name} adds to a tensor that is not torch.zeros")
    if not isinstance(index, fx.Node) or node_kind(index) not in (TAILS, HEADS):
        return False
    if node_kind(index) == TAILS:
        raise Untraceable(
            "it sums over edge_index[0]: messages or degrees run against the edges, which flow from "
            "edge_index[0] to edge_index[1]"
        )
    return _reduced(node, messages, index, (reduction,), dim)


def _largest_is_last() -> bool:
    raise Untraceable("scatter without dim_size gives as many rows as the largest number of a node")


def _into(node: fx.Node, name: str) -> tuple[Any, Any, Any, Any, Any]:
    if "index_add" in name:
        bound = _bound(node, "input", "dim", "index", "source")
        if node.kwargs.get("alpha", 1) != 1:
            raise Untraceable("index_add with alpha")
        return bound["input"], bound["dim"], bound["index"], bound["source"], "sum"
    if "scatter_add" in name:
        bound = _bound(node, "input", "dim", "index", "src")
        return bound["input"], bound["dim"], bound["index"], bound["src"], "sum"
    what = "source" if "index" in name else "src"
    bound = _bound(node, "input", "dim", "index", what, "reduce")
    reduction = bound.get("reduce")
    if node.kwargs.get("include_self", True) and reduction not in ("sum",):
        raise Untraceable(f"{name} with include_self=True also takes the zeros that were there")
    return bound["input"], bound["dim"], bound["index"], bound[what], reduction


def _counted(node: fx.Node) -> bool:
    bound = _bound_by(degree, node)
    index = bound["index"]
    if node_kind(index) == TAILS:
        raise Untraceable(
            "it takes the degree of edge_index[0]: degrees by edges that leave a node run against the "
            "edges; take edge_index[1]"
        )
    if bound.get("num_nodes") is None:
        raise Untraceable(
            "degree without num_nodes gives as many rows as the largest number of a node"
        )
    loops = index.meta["loops"]
    return _note(node, NODES, loops, Degrees(loops))


def _attention(node: fx.Node) -> bool:
    bound = _bound_by(softmax, node)
    index = bound.get("index")
    if not isinstance(index, fx.Node) or node_kind(index) != HEADS or bound.get("dim", 0) != 0:
        raise Untraceable("softmax is over the edges of edge_index[1]")
    values = bound["src"]
    _require_edges(values, index)
    loops = index.meta["loops"]
    return _note(node, EDGES, loops, Attention(loops), values)


def _aggregation(node: fx.Node, module: nn.Module) -> bool:
    """A call of one of PyG's aggregations."""
    if not isinstance(module, aggr.Aggregation):
        return False
    bound = _bound_by(aggr.Aggregation.forward, node, module)
    messages, index = bound["x"], bound.get("index")
    if not isinstance(index, fx.Node) or node_kind(index) != HEADS:
        return False
    scale = None
    if type(module) is DegreeScalerAggregation:
        scale = partial(_scaled, module, module.scaler)
        module = module.aggr
    parts = [module]
    if type(module) is aggr.MultiAggregation and module.mode == "cat":
        parts = list(cast(nn.ModuleList, module.aggrs))
    unknown = [part for part in parts if type(part) not in AGGREGATIONS]
    if unknown:
        raise Untraceable(
            f"no layered form of {type(unknown[0]).__name__} is known, only of sum, mean, max, min, var "
            f"and std"
        )
    reductions = tuple(AGGREGATIONS[type(part)] for part in parts)
    return _reduced(node, messages, index, reductions, bound.get("dim", -2), scale=scale)


def _scaled(module: Any, scalers: list[str], out: Tensor, count: Tensor) -> Tensor:
    """What PyG's DegreeScalerAggregation makes of aggregated messages by the degrees."""
    degrees = count.view(-1, *[1] * (out.ndim - 1))
    some = degrees.clamp(min=1)
    factors = {
        "identity": lambda: 1,
        "amplification": lambda: torch.log(degrees + 1) / module.avg_deg_log,
        "attenuation": lambda: module.avg_deg_log / torch.log(some + 1),
        "linear": lambda: degrees / module.avg_deg_lin,
        "inverse_linear": lambda: module.avg_deg_lin / some,
    }
    return torch.cat([out * factors[name]() for name in scalers], dim=-1)


def _reduced(
    node: fx.Node,
    messages: Any,
    index: fx.Node,
    reductions: tuple[str, ...],
    dim: Any,
    *,
    scale: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> bool:
    """A sum, or the like, over the edges of every node; the cheapest form of it."""
    unknown = [one for one in reductions if one not in REDUCTIONS]
    if unknown:
        raise Untraceable(f"no layered form of the reduction {unknown[0]!r} is known")
    reductions = tuple(REDUCTIONS[one] for one in reductions)
    _require_edges(messages, index)
    ndim = _ndim(messages)
    if ndim is None or dim not in (0, -ndim):
        raise Untraceable("messages are summed along their first axis only")
    loops = index.meta["loops"]
    (kind, *others) = reductions
    if kind == "sum" and not others and scale is None:
        weights = _fixed_scalars(messages)
        if weights is not False:
            sources = () if weights is None else (weights,)
            return _note(node, NODES, loops, Degrees(loops, column=ndim == 2), *sources)
    if kind in ("sum", "mean") and not others and scale is None and ndim == 2:
        if found := _rows_and_weights(messages):
            return _note(node, NODES, loops, WeightedSum(kind == "mean", loops), *found)
    return _note(node, NODES, loops, Aggregate(reductions, loops, scale), messages)


def _fixed_scalars(messages: fx.Node) -> Any:
    """The edge weights that are summed, None for ones; False for other messages."""
    example = messages.meta.get("example", UNKNOWN)
    if not isinstance(example, Tensor) or example[0].numel() != 1 or example.ndim > 2:
        return False
    if messages.meta.get("ones"):
        return None
    fixed = not messages.meta["varies"] and messages.meta["loops"] == "keep"
    return messages if fixed else False


def _rows_and_weights(messages: fx.Node) -> tuple[fx.Node, ...] | None:
    """x and perhaps a weight of each edge, if the messages are x[edge_index[0]] times that weight."""
    if _is_gather(messages):
        return (messages.args[0],)
    if messages.op not in ("call_function", "call_method") or name_of(messages) not in (
        "mul",
        "imul",
    ):
        return None
    if len(messages.args) != 2:
        return None
    for rows, weight in (messages.args, messages.args[::-1]):
        if isinstance(rows, fx.Node) and isinstance(weight, fx.Node) and _is_gather(rows):
            example = weight.meta.get("example", UNKNOWN)
            one = isinstance(example, Tensor) and example.ndim == 2 and example.shape[1] == 1
            if node_kind(weight) == EDGES and one:
                return rows.args[0], weight
    return None


def _is_gather(node: fx.Node) -> bool:
    """Whether a value is rows at the tails that candidates change."""
    found = node.meta.get("crossing")
    return isinstance(found, Gather) and found.tails and _ndim(node) == 2 and node.meta["varies"]


def _require_edges(messages: Any, index: fx.Node) -> None:
    if not isinstance(messages, fx.Node) or node_kind(messages) != EDGES:
        raise Untraceable("what is summed over edges is not one row per edge")
    if messages.meta["loops"] != index.meta["loops"]:
        raise Untraceable("self-loops were added to edge_index, but not to the values of its edges")


def _loops(node: fx.Node) -> bool:
    """add_self_loops and the like: edge_index and perhaps values, with other self-loops."""
    bound = _bound_by(node.target, node)
    change = CHANGES[node.target]
    index = bound["edge_index"]
    if not isinstance(index, fx.Node) or node_kind(index) != INDEX:
        return False
    if change != "drop" and bound.get("num_nodes") is None:
        raise Untraceable(
            f"{name_of(node)} without num_nodes adds loops up to the largest number of a node"
        )
    before = index.meta["loops"]
    loops = AFTER.get((before, change))
    if loops is None:
        raise Untraceable(f"{name_of(node)} after self-loops were changed before")
    values = bound.get("edge_attr")
    fill = bound.get("fill_value")
    fill = 1.0 if fill is None else fill
    if values is not None and not isinstance(fill, int | float):
        raise Untraceable(f"{name_of(node)} with fill_value={fill!r}")
    node.meta.update(kind=INDEX_AND_VALUES, loops=loops, varies=False, rows=False)
    node.meta["values"] = values
    own = change == "replace" and before == "keep"
    node.meta["make"] = WithLoops(cast(Any, loops), float(fill), own)
    if isinstance(values, fx.Node) and values.meta.get("crossing") is not None:
        kept = values.meta["crossing"]
        if not isinstance(kept, WithLoops) or kept.loops != "drop":
            raise Untraceable(f"{name_of(node)} of values that depend on the candidate")
        node.meta["values"] = values.args[0]
    return True


def _part_of_pair(node: fx.Node, pair: fx.Node, number: Any) -> bool:
    loops = pair.meta["loops"]
    if pair.meta["rows"]:
        node.meta.update(kind=(TAILS, HEADS)[number], loops=loops, varies=False)
        return True
    if number in (0, -2):
        node.meta.update(kind=INDEX, loops=loops, varies=False)
        return True
    make = pair.meta["make"]
    values = pair.meta["values"]
    if isinstance(make, GCNWeights):
        return _note(node, EDGES, loops, make, *(() if values is None else (values,)))
    if not isinstance(values, fx.Node) or values.meta["varies"] and not values.meta.get("crossing"):
        raise Untraceable("values of edges that depend on the candidate get self-loops")
    return _note(node, EDGES, loops, make, values)


def _normalisation(node: fx.Node) -> bool:
    """gcn_norm: edge_index with one loop for each node, and the symmetric weights."""
    bound = _bound_by(gcn_norm, node)
    index = bound["edge_index"]
    if not isinstance(index, fx.Node) or node_kind(index) != INDEX or index.meta["loops"] != "keep":
        return False
    if bound.get("flow", "source_to_target") != "source_to_target":
        raise Untraceable("gcn_norm with flow='target_to_source'")
    weight = bound.get("edge_weight")
    if isinstance(weight, fx.Node) and (weight.meta["varies"] or node_kind(weight) != EDGES):
        raise Untraceable("gcn_norm of weights that depend on the candidate")
    add = bound.get("add_self_loops", True)
    if bound.get("num_nodes") is None:
        raise Untraceable(
            "gcn_norm without num_nodes has as many rows as the largest number of a node"
        )
    make = GCNWeights(bool(add), bool(bound.get("improved", False)))
    node.meta.update(kind=INDEX_AND_VALUES, loops=make.loops, rows=False, varies=False)
    node.meta.update(values=weight, make=make)
    return True


def factory_of(node: fx.Node, name: str) -> bool:
    """Whether a call makes equal rows, one for each node or edge: torch.zeros(n, k), x.new_ones(n, 1)."""
    sizes, call = _factory(node, name)
    if not sizes or not isinstance(sizes[0], Extent):
        return False
    extent = sizes[0]
    if any(isinstance(size, Extent) for size in sizes[1:]):
        raise Untraceable(f"{name}{tuple(sizes)} has a number for each pair of nodes or edges")
    kind = {"nodes": NODES, "edges": EDGES}.get(extent.of)
    if kind is None or call is None:
        raise Untraceable(f"{name} makes a row for each of the {extent.of}, and rows may differ")
    node.meta.update(kind=kind, varies=False, loops=extent.loops, extent=extent, call=None)
    node.meta["zero"] = name in ("zeros", "new_zeros") or _filled(node, name) == 0
    node.meta["ones"] = name in ("ones", "new_ones") or _filled(node, name) == 1
    if extent.of == EDGES_OF and extent.loops != "keep":
        node.meta.update(varies=True, crossing=Constant(call, cast(Any, extent.loops)))
    else:
        node.meta["make"] = call
    node.args = ()
    node.kwargs = {}
    return True


def _filled(node: fx.Node, name: str) -> Any:
    if name == "full":
        return node.kwargs.get("fill_value", node.args[1] if len(node.args) > 1 else None)
    if name == "new_full":
        return node.kwargs.get("fill_value", node.args[2] if len(node.args) > 2 else None)
    return None


def _factory(node: fx.Node, name: str) -> tuple[tuple, Callable[[int], Tensor] | None]:
    """The sizes of what a call makes, and a function of the number of rows that makes it."""
    example = node.meta.get("example", UNKNOWN)
    known = isinstance(example, Tensor)
    if name in ("zeros", "ones", "full", "new_zeros", "new_ones", "new_full"):
        args = node.args[1:] if name.startswith("new_") else node.args
        sizes = args[0] if args and isinstance(args[0], tuple | list) else args
        if "size" in node.kwargs:
            sizes = node.kwargs["size"]
        sizes = tuple(sizes if isinstance(sizes, tuple | list) else (sizes,))
        return sizes, _repeated(example[:1].clone()) if known and example.ndim else None
    if name in ("expand", "repeat") and all(node_kind(n) == PLAIN for n in node.all_input_nodes):
        sizes = node.args[1] if isinstance(node.args[1], tuple | list) else node.args[1:]
        if not known or not example.ndim or not bool((example == example[:1]).all()):
            return tuple(sizes), None
        return tuple(sizes), _repeated(example[:1].clone())
    if name in ("arange", "eye", "rand", "randn", "empty"):
        return node.args[:1], None
    return (), None


def _bound(node: fx.Node, *names: str) -> dict[str, Any]:
    """Arguments by name, of a method or function of torch."""
    found = dict(zip(names, node.args))
    found |= {name: value for name, value in node.kwargs.items() if name in names}
    if "input" in names and "input" not in found and "self" in node.kwargs:
        found["input"] = node.kwargs["self"]
    missing = [name for name in names if name not in found]
    if missing:
        raise Untraceable(f"{name_of(node)} is not given {', '.join(missing)}")
    return found


def _bound_by(function: Callable, node: fx.Node, *first: Any) -> dict[str, Any]:
    bound = inspect.signature(function).bind(*first, *node.args, **node.kwargs)
    return dict(bound.arguments)


def _ndim(value: Any) -> int | None:
    example = value.meta.get("example", UNKNOWN) if isinstance(value, fx.Node) else UNKNOWN
    return example.ndim if isinstance(example, Tensor) else None


def _repeated(row: Tensor) -> Callable[[int], Tensor]:
    """Makes a table of so many equal rows, of row [1, ...]."""
    return lambda count: row.expand(count, *row.shape[1:])
