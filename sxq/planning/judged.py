"""The targets of a model of a heterogeneous graph: nodes of the types that it has outputs for."""

from collections.abc import Sequence

import numpy as np

from sxq.errors import InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.planning.catalog import ModelInfo


def judged_nodes(model: ModelInfo, graph: Graph | GraphSet) -> np.ndarray:
    """The positions of everything on a graph that can be a target."""
    if isinstance(graph, GraphSet):
        return np.arange(len(graph))
    if graph.types is None or not model.judged:
        return np.arange(graph.num_nodes)
    numbers = [graph.types.number_of(name) for name in model.judged]
    return np.flatnonzero(np.isin(graph.types.of_node, numbers))


def require_judged(
    model: ModelInfo, graph: Graph | GraphSet, positions: Sequence[int] | np.ndarray
) -> None:
    """Raise InvalidValue for a node of a type that the model has no outputs for."""
    if isinstance(graph, GraphSet) or graph.types is None or not model.judged:
        return
    for position in positions:
        found = graph.types.node_types[graph.types.of_node[position]]
        if found not in model.judged:
            raise InvalidValue(
                f"node {graph.key(int(position))!r} is a {found}, but model {model.name!r} has "
                f"outputs for nodes of type {', '.join(model.judged)} only: name one of these"
            )
