"""What nodes are told apart by in patterns: a column of the nodes, or something that is known of them.

Labels are text, as they are stored: a label that is missing is the empty text. In a heterogeneous
graph every label begins with the type of the node.
"""

from collections.abc import Sequence

import numpy as np

from sxq.graph.collection import GraphSet
from sxq.graph.csr import Graph

PREDICTION = "prediction"  # the class that the model predicts for the node
LABEL = "label"  # its true class
FEATURE = "feature"  # the place of the 1 in its features
NONE = "none"  # all nodes are alike
TYPE = "type"  # the type of the node, in a heterogeneous graph


def known_labels(graph: Graph | GraphSet) -> list[str]:
    """The names of everything that tells the nodes of a graph or a collection apart."""
    held = graph.union if isinstance(graph, GraphSet) else graph
    if held.types is not None:
        own = [LABEL] if held.y is not None else []
        return list(dict.fromkeys([*held.attributes, *own, TYPE]))
    names = [] if isinstance(graph, GraphSet) else [PREDICTION]
    names += [LABEL] if held.y is not None else []
    names += [FEATURE] if held.one_hot else []
    return list(dict.fromkeys([*held.attributes, *names, NONE]))


def default_label(graph: Graph | GraphSet) -> str:
    """The prediction on a single graph; in a collection the features if they are one-hot, else none.

    In a heterogeneous graph the type.
    """
    if graph.types is not None:
        return TYPE
    if isinstance(graph, Graph):
        return PREDICTION
    return FEATURE if graph.union.one_hot else NONE


def node_labels(
    graph: Graph, nodes: np.ndarray, name: str, predictions: Sequence[int] | np.ndarray = ()
) -> tuple[str, ...]:
    """The label of each of some nodes of a single graph, or of a graph of a collection.

    predictions  the class that the model predicts for every node; needed for `prediction`
    """
    if graph.types is None:
        return _labels(graph, nodes, name, predictions)
    own = [graph.types.node_types[number] for number in graph.types.of_node[nodes].tolist()]
    more = ("",) * len(own) if name == TYPE else _labels(graph, nodes, name, predictions)
    return tuple(f"{kind} {label}" if label else kind for kind, label in zip(own, more))


def _labels(
    graph: Graph, nodes: np.ndarray, name: str, predictions: Sequence[int] | np.ndarray
) -> tuple[str, ...]:
    places = nodes.tolist()
    if name in graph.attributes:
        values = graph.attributes[name]
        return tuple("" if values[p] is None else str(values[p]) for p in places)
    if name == PREDICTION:
        return tuple(str(int(predictions[p])) for p in places)
    if name == LABEL and graph.y is not None:
        return tuple("" if graph.y[p] < 0 else str(int(graph.y[p])) for p in places)
    if name == FEATURE:
        return tuple(map(str, graph.features(nodes).argmax(axis=1).tolist()))
    return ("",) * len(places)
