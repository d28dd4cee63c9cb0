"""Turns a module into a list of steps: message-passing layers, and row-wise operations between them.

`torch.fx` records the forward pass with the message-passing layers as leaves and unused arguments
as their defaults. A walk backwards then finds, for each step, within how many hops of the target
its rows are needed: the output at the target alone, the input of a layer one hop further than its
output.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx, nn

from sxq.inference.kernels import Kernel, has_kernel
from sxq.inference.kernels.messages import Crossing
from sxq.inference.kernels.pool import Pool
from sxq.inference.layered.kinds import (
    EDGES,
    ENDS,
    GRAPHS,
    LINKS,
    NODES,
    OF_GRAPH,
    PLAIN,
    node_kind,
)
from sxq.inference.layered.reader import Reader
from sxq.inference.tracing.example import Example
from sxq.inference.tracing.fx_graph import trace_graph, trace_model
from sxq.inference.tracing.recorder import UNKNOWN
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.call import PAIRS

__all__ = ["EDGES", "ENDS", "GRAPHS", "LINKS", "NODES", "PLAIN", "ModelSteps", "Step", "steps_of"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Step:
    """One operation of the model."""

    name: str
    kind: str  # NODES, EDGES, GRAPHS, LINKS, ENDS or PLAIN
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
    crossing: Crossing | None  # of an operation between nodes and edges
    make: Callable[[int], Tensor] | None  # of equal rows: from their number
    loops: Any  # of EDGES: which self-loops they have
    width: int  # numbers in a row of EDGES
    dtype: torch.dtype | None  # of the result, where it is known

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
    examples: Sequence[Example] = (),
    kinds: Mapping[str, str] = MappingProxyType({}),
) -> ModelSteps:
    """The steps of a model with forward(x, edge_index, *arguments).

    `features`: x depends on the candidate, too. With two `examples` of its inputs, the forward may
    ask for shapes, and layers without a kernel are read. `kinds`: what further arguments are. Raises
    Untraceable with the reason.
    """
    if examples:
        module, graph = trace_model(module, arguments, examples, has_kernel)
    else:
        module, graph = trace_graph(module, arguments, inputs=2)
    reader = Reader(module, features, kinds)
    for node in graph.nodes:
        reader.read(node)
    output = graph.output_node().args[0]
    rows = GRAPHS if "batch" in arguments else LINKS if PAIRS[0] in arguments else NODES
    if not isinstance(output, fx.Node) or node_kind(output) != rows:
        raise Untraceable(f"the output is not one row per {rows[:-1]}")
    live = _live(graph, output)
    _reach(live)
    steps = {node.name: _step(node) for node in live if node_kind(node) not in OF_GRAPH}
    varying = tuple(step for step in steps.values() if step.varies and not step.input)
    hops = max(step.hop for step in steps.values() if step.kind != EDGES)
    first = next(str(node.target) for node in live if node.op == "placeholder")
    return ModelSteps(steps, output.name, hops, varying, pools=rows == GRAPHS, first=first)


def _live(graph: fx.Graph, output: fx.Node) -> list[fx.Node]:
    """The nodes that the output is made of, in order, and the inputs."""
    found = {output}
    by_name = {node.name: node for node in graph.nodes}
    for node in reversed(graph.nodes):
        if node in found:
            found.update(node.all_input_nodes)
            found.update(by_name[name] for name in node.meta.get("given", {}).values())
    return [node for node in graph.nodes if node in found or node.op == "placeholder"]


def _step(node: fx.Node) -> Step:
    meta = node.meta
    example = meta.get("example", UNKNOWN)
    known = isinstance(example, Tensor) and example.ndim > 0
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
        crossing=meta.get("crossing"),
        make=meta.get("make"),
        loops=meta.get("loops", "keep"),
        width=example[0].numel() if known and len(example) else 1,
        dtype=example.dtype if known else None,
    )


def _reach(nodes: Sequence[fx.Node]) -> None:
    """Walks backwards to find how many hops around the target each node's rows are needed."""
    for node in reversed(nodes):
        for source in node.all_input_nodes:
            further = _further(node, source)
            source.meta["hop"] = max(source.meta["hop"], node.meta["hop"] + further)


def _further(node: fx.Node, source: fx.Node) -> int:
    """How many hops further out a node reads the rows of a source."""
    if kernel := node.meta.get("kernel"):
        return kernel.hops
    if crossing := node.meta.get("crossing"):
        # Sums read rows at the tails, and values of the edges into their own rows.
        return crossing.further if node_kind(source) == NODES else 0
    return 0
