"""Records a forward pass with `torch.fx`; checks and splits the networks inside of layers."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import zip_longest
from typing import Any

from torch import fx, jit, nn
from torch_geometric import nn as pyg
from torch_geometric.nn import aggr
from torch_geometric.nn.pool import glob
from torch_geometric.utils import scatter

from sxq.inference.tracing.by_type import grouped_in_pairs
from sxq.inference.tracing.example import Example
from sxq.inference.tracing.propagation import opened
from sxq.inference.tracing.recorder import (
    UNKNOWN,
    Recorder,
    begin,
    in_layer,
    line_of_error,
    recorded_factories,
    recorded_picks,
)
from sxq.inference.tracing.rowwise import Untraceable, check_module, check_operation, is_active


class _Explicit(nn.Module):
    """Gives explicit arguments to a module whose forward takes (*args), such as PyG's Sequential."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x, edge_index):
        return self.module(x, edge_index)


Known = Callable[[nn.Module], bool]


def trace_model(
    module: nn.Module, arguments: tuple[str, ...], examples: Sequence[Example], known: Known
) -> tuple[nn.Module, fx.Graph]:
    """The operations of forward(x, edge_index, **arguments), in which sizes of the graph are `Extent`s.

    Layers that are not `known` are looked into. Raises Untraceable if the operations depend on sizes.
    """
    graphs = []
    for example in examples:
        own, graph = trace_graph(module, arguments, 2, example, known)
        graphs.append(graph)
    _find_extents(graphs, examples)
    return own, graphs[0]


def trace_graph(
    module: nn.Module,
    arguments: tuple[str, ...],
    inputs: int,
    example: Example | None = None,
    known: Known = lambda module: True,
) -> tuple[nn.Module, fx.Graph]:
    """The operations of forward(*inputs, **arguments), and the module that they refer to.

    Other arguments have their defaults, or None. Raises Untraceable, for example if the path
    through the code depends on values.
    """
    _refuse_scripted(module)
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (ValueError, TypeError) as error:
        raise Untraceable(f"its forward cannot be read: {error}") from error
    if inputs == 2 and parameters[0].kind == inspect.Parameter.VAR_POSITIONAL:
        return trace_graph(_Explicit(module), arguments, inputs, example, known)
    unused = {
        p.name: None if p.default is p.empty else p.default
        for p in parameters[inputs:]
        if p.name not in arguments and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    named = [p.name for p in parameters[:inputs]]
    graph = _recorded(module, unused, example and example.named(named), known)
    _tidy(module, graph, inputs)
    return module, graph


def _refuse_scripted(module: Any) -> None:
    while isinstance(module, nn.Module):
        if isinstance(module, jit.ScriptModule):
            raise Untraceable("it is a scripted or traced module: register the eager one")
        module = getattr(module, "module", None)


def _recorded(
    module: nn.Module, unused: Mapping[str, Any], example: Example | None, known: Known
) -> fx.Graph:
    recorder = Recorder(known, example)
    before = set(vars(module))
    try:
        factories, picks = recorded_factories(recorder), recorded_picks(recorder)
        with poolings_as_calls(), grouped_in_pairs(), factories, picks:
            with opened(module, known) if example else nullcontext():
                return begin(recorder, module, unused)
    except Untraceable as why:
        raise Untraceable(_located(str(why), line_of_error(why.__traceback__))) from why
    except Exception as error:  # a user's forward may raise anything
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0]
        reason = f"its forward pass cannot be recorded: {said}"
        raise Untraceable(_located(reason, line_of_error(error.__traceback__))) from error
    finally:
        for name in set(vars(module)) - before if example else ():  # their nodes hold them
            delattr(module, name)


def _located(reason: str, line: str) -> str:
    return f"{reason} ({line})" if line and "(line " not in reason else reason


def located(reason: str, node: fx.Node) -> str:
    """A reason with the line of the user's code in which an operation stands."""
    return _located(in_layer(reason, node.meta.get("layer", "")), node.meta.get("line", ""))


def _find_extents(graphs: Sequence[fx.Graph], examples: Sequence[Example]) -> None:
    """Replace sizes of the graph by `Extent`s; raises Untraceable if anything else differs."""
    one, two = (list(graph.nodes) for graph in graphs)
    known = [example.extents for example in examples]

    def pair(a: Any, b: Any, node: fx.Node) -> Any:
        if isinstance(a, fx.Node) and isinstance(b, fx.Node) and a.name == b.name:
            return a
        if isinstance(a, tuple | list) and isinstance(b, tuple | list) and len(a) == len(b):
            return type(a)([pair(x, y, node) for x, y in zip(a, b)])
        if isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
            return {name: pair(a[name], b[name], node) for name in a}
        if isinstance(a, slice) and isinstance(b, slice):
            parts = zip((a.start, a.stop, a.step), (b.start, b.stop, b.step))
            return slice(*(pair(x, y, node) for x, y in parts))
        if type(a) is type(b) and isinstance(a, int | float) and a != b:
            found = known[0].get(int(a))
            if found is not None and a == int(a) and b == int(b):
                if found == known[1].get(int(b)):
                    return found
            raise Untraceable(located("it computes with the number of nodes or edges", node))
        if type(a) is type(b) and (a is b or _equal(a, b)):
            return a
        raise Untraceable(located("what it does depends on the number of nodes or edges", node))

    for a, b in zip_longest(one, two):
        if a is None or b is None or (a.name, a.op) != (b.name, b.op):
            raise Untraceable(
                located("what it does depends on the number of nodes or edges", a or b)
            )
        a.args, a.kwargs = pair(a.args, b.args, a), pair(a.kwargs, b.kwargs, a)
        a.meta["example pair"] = a.meta.get("example", UNKNOWN), b.meta.get("example", UNKNOWN)


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:
        return False


def _tidy(module: nn.Module, graph: fx.Graph, inputs: int) -> None:
    """Remove idle nodes: dropout in evaluation, identities, unused values; inputs stay."""
    for node in reversed(list(graph.nodes)[inputs:]):
        leaf = module.get_submodule(node.target) if node.op == "call_module" else None
        dropped = node.target is nn.functional.dropout and not is_active(node)
        if dropped or isinstance(leaf, (nn.Identity, nn.Dropout)):
            node.replace_all_uses_with(node.args[0])
        if not node.users and node.op != "output":
            graph.erase_node(node)


def name_of(node: fx.Node) -> str:
    """The name of the function or method that a node calls."""
    return node.target if isinstance(node.target, str) else node.target.__name__


def require_rowwise(module: nn.Module) -> fx.Graph:
    """The operations of a network inside a layer. Raises Untraceable if any mixes rows."""
    graph = fx.Graph()
    graph.output(graph.call_module("", (graph.placeholder("x"),)))
    if not isinstance(module, nn.Linear):
        _, graph = trace_graph(module, (), inputs=1)
    for node in graph.nodes:
        if node.op == "call_module":
            check_module(module.get_submodule(node.target))
        elif node.op in ("call_function", "call_method"):
            check_operation(name_of(node), node)
    return graph


def split_first_linear(module: nn.Module) -> tuple[nn.Linear | pyg.Linear | None, nn.Module]:
    """A row-wise network as (first linear map, the rest); (None, network) if it does not start so."""
    graph = require_rowwise(module)
    x, *rest = graph.nodes
    first = rest[0]
    linear = module.get_submodule(first.target) if first.op == "call_module" else None
    if not isinstance(linear, (nn.Linear, pyg.Linear)) or first.args != (x,) or len(x.users) != 1:
        return None, module
    first.replace_all_uses_with(x)
    graph.erase_node(first)
    return linear, fx.GraphModule(module, graph)


@contextmanager
def poolings_as_calls() -> Iterator[None]:
    """Within, each of PyG's poolings is recorded as one call, because their bodies look at values."""

    def scatter_call(src, index, dim=0, dim_size=None, reduce="sum"):
        if not isinstance(src, fx.Proxy):
            return scatter(src, index, dim, dim_size, reduce)
        return src.tracer.create_proxy("call_function", scatter, (src, index), {"reduce": reduce})

    call = aggr.Aggregation.__call__
    glob.scatter = scatter_call
    aggr.Aggregation.__call__ = lambda self, *args, **kwargs: nn.Module.__call__(
        self, *args, **kwargs
    )
    try:
        yield
    finally:
        glob.scatter = scatter
        aggr.Aggregation.__call__ = call
