"""Records a forward pass with `torch.fx`; checks and splits the networks inside of layers."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import fx, nn
from torch_geometric import nn as pyg
from torch_geometric.nn import MessagePassing, aggr
from torch_geometric.nn.pool import glob
from torch_geometric.utils import scatter

from sxq.inference.tracing.by_type import OF_ALL_TYPES, grouped_in_pairs, in_parts
from sxq.inference.tracing.rowwise import (
    MODULES,
    Untraceable,
    check_module,
    check_operation,
    is_active,
)

BY_DICTIONARY = ("x_dict", "edge_index_dict")


class _Tracer(fx.Tracer):
    """Does not look inside of modules that the engine knows."""

    def call_module(self, m: nn.Module, forward: Any, args: tuple, kwargs: dict) -> Any:
        if type(m) not in OF_ALL_TYPES:
            return super().call_module(m, forward, args, kwargs)
        name = self.path_of_module(m)
        bound = inspect.signature(m.forward).bind(*args, **kwargs).arguments
        more = [key for key in bound if key not in BY_DICTIONARY and bound[key]]
        if more:
            raise Untraceable(f"{type(m).__name__} is given {', '.join(more)}")
        record = lambda *given: self.create_proxy("call_module", name, given, {})
        return in_parts(m, record, bound["x_dict"], bound["edge_index_dict"])

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        known = isinstance(
            module, (MessagePassing, pyg.BatchNorm, pyg.LayerNorm, pyg.Aggregation, *MODULES)
        )
        return known or super().is_leaf_module(module, name)


class _Explicit(nn.Module):
    """Gives explicit arguments to a module whose forward takes (*args), such as PyG's Sequential."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x, edge_index):
        return self.module(x, edge_index)


def trace_graph(
    module: nn.Module, arguments: tuple[str, ...], inputs: int
) -> tuple[nn.Module, fx.Graph]:
    """The operations of forward(*inputs, **arguments), and the module that they refer to.

    Other arguments have their defaults, or None. Raises Untraceable, for example if the path
    through the code depends on values.
    """
    try:
        parameters = list(inspect.signature(module.forward).parameters.values())
    except (ValueError, TypeError) as error:  # a scripted or traced module
        raise Untraceable(f"its forward cannot be read: {error}") from error
    if inputs == 2 and parameters[0].kind == inspect.Parameter.VAR_POSITIONAL:
        return trace_graph(_Explicit(module), arguments, inputs)
    unused = {
        p.name: None if p.default is p.empty else p.default
        for p in parameters[inputs:]
        if p.name not in arguments and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    try:
        with poolings_as_calls(), grouped_in_pairs():
            graph = _Tracer(autowrap_functions=(scatter,)).trace(module, concrete_args=unused)
    except Exception as error:  # a user's forward may raise anything
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0]
        raise Untraceable(f"its forward pass cannot be recorded: {said}") from error
    _tidy(module, graph, inputs)
    return module, graph


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
