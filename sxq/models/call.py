"""How a module is called: the parts of its inputs, as plain values.

Further inputs travel as columns behind x and edge_attr, so that they are cut along with nodes and
edges, and are parted again for the call."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sxq.graph import Graph

EDGE_ARGUMENTS = ("edge_weight", "edge_attr")


# Names for one number, or for several numbers, for each edge.
WEIGHTS = (
    *("edge_weight", "edge_weights", "weight", "weights", "edge_w", "e_weight", "ew", "w"),
    *("edge_value", "edge_values", "edge_norm"),
)


# Names for the pairs [2, k] that a model of links scores.
PAIRS = ("edge_label_index", "edge_pairs", "pair_index", "pairs", "link_index", "links")


NODE_TYPE, EDGE_TYPE = "node_type", "edge_type"  # inputs that a heterogeneous graph has


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
            and is_column(graph.edge_attr)
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


def is_column(array: np.ndarray | None) -> bool:
    return array is not None and array.size == len(array)
