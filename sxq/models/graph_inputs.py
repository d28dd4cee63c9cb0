"""The inputs that a graph has for a forward, by name."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sxq.graph import Graph, GraphSet
from sxq.graph.csr import rows_of
from sxq.graph.types import LACKING
from sxq.models.call import EDGE_ARGUMENTS, EDGE_TYPE, NODE_TYPE, PAIRS


@dataclass(frozen=True, eq=False)
class GraphInputs:
    """What a graph has for a forward besides x and edge_index."""

    graph: Graph  # of a collection, its union
    made: tuple[str, ...]  # by the engine: the graph of each node, or the pairs
    partial: tuple[str, ...] = ()  # not passed: some types of nodes or of edges lack them

    @staticmethod
    def of(graph: Graph | GraphSet, links: bool, by_types: bool) -> "GraphInputs":
        """`links`: the model scores pairs. `by_types`: it takes dictionaries, in which a type may lack."""
        held = graph.union if isinstance(graph, GraphSet) else graph
        made = ("batch",) if held is not graph else PAIRS[:1] if links else ()
        return GraphInputs(held, made, () if by_types else _partial(held))

    @property
    def names(self) -> list[str]:
        """All that can be passed."""
        return [name for name in self.all_names if name not in self.partial]

    @property
    def all_names(self) -> list[str]:
        """Those that some types lack, too."""
        edges = [name for name in EDGE_ARGUMENTS if getattr(self.graph, name) is not None]
        return [*edges, *inputs_of_nodes(self.graph), *inputs_of_edges(self.graph), *self.made]


def _partial(graph: Graph) -> tuple[str, ...]:
    """The further inputs that some types of nodes or of edges lack."""
    lacking = [field_of(field) for field, what in graph.left_out.items() if what == LACKING]
    return tuple(dict.fromkeys(lacking))


def inputs_of_nodes(graph: Graph) -> dict[str, np.ndarray]:
    """The further inputs with a row for each node, by name."""
    types = {} if graph.types is None else {NODE_TYPE: graph.types.of_node}
    return {**graph.node_inputs, **types}


def inputs_of_edges(graph: Graph) -> dict[str, np.ndarray]:
    """The further inputs with a row for each edge, by name."""
    types = {} if graph.types is None else {EDGE_TYPE: graph.types.of_edge}
    return {**graph.edge_inputs, **types}


def packed(array: np.ndarray | None, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """A table followed by the columns of further inputs, in double, where all are exact."""
    tables = [*([] if array is None else [array]), *map(rows_of, inputs)]
    return np.concatenate([table.astype(np.float64) for table in tables], axis=1)


def field_of(left_out: str) -> str:
    """The name of a field that was left out, without the type that it is of."""
    return left_out.rpartition(".")[2]
