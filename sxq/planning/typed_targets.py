"""Targets in a heterogeneous graph: OF TYPE."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sxq.errors import InvalidValue, UnknownName
from sxq.graph import Graph, GraphSet
from sxq.planning.catalog import ModelInfo


def positions_of(
    graph: Graph | GraphSet, keys: Sequence[Any], node_type: str | None, model: ModelInfo
) -> list[int]:
    """The positions of keys of a statement, each once; raises NodeNotFound, InvalidValue or UnknownName.

    node_type  of OF TYPE; without it keys are of the only type of nodes that the model has outputs for
    """
    if isinstance(graph, GraphSet) or graph.types is None:
        if node_type is not None:
            raise InvalidValue(
                f"OF TYPE {node_type}, but the nodes of {model.graph!r} have no types: leave it out"
            )
        return list(dict.fromkeys(map(graph.position, keys)))
    if node_type is not None and node_type not in graph.types.node_types:
        raise UnknownName("node type", node_type, graph.types.node_types)
    if node_type is None and len(model.judged) == 1:
        node_type = model.judged[0]
    return list(dict.fromkeys(graph.position(key, node_type) for key in keys))


def require_one_type(graph: Graph | GraphSet, positions: Sequence[int]) -> None:
    """Raise InvalidValue for targets of several types, whose keys need not be unique."""
    if isinstance(graph, GraphSet) or graph.types is None:
        return
    found = np.unique(graph.types.of_node[list(positions)])
    if len(found) > 1:
        names = [graph.types.node_types[number] for number in found]
        raise InvalidValue(
            f"the targets are of types {', '.join(names)}; explain those of one type at a time, "
            f"such as OF TYPE {names[0]}"
        )
