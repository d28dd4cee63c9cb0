"""PRETRAIN REFINE on a borrowed model: picks targets, trains attributors, and tabulates saliency."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sxq.errors import DataError, InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.models import refine
from sxq.models.edge_mask import instances_of, log_probabilities, probabilities_of
from sxq.models.model import Model
from sxq.models.refine import Instances, Pretrained

NODES = 200  # of a single graph, from whose fields attributors learn


@dataclass(frozen=True, eq=False)
class PretrainingResult:
    """Attributors, the options that they were made with, and the columns of the table `saliency`."""

    pretrained: Pretrained
    options: Mapping[str, Any]
    targets: np.ndarray  # positions of the targets that they learned from
    # target, class, edge, saliency: one row for each edge of each target
    saliency: Mapping[str, Any]


def pretrain(
    model: Model,
    graph: Graph | GraphSet,
    options,
    progress: Callable | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> PretrainingResult:
    """Learn the attributors of a model on a collection, or on the fields of random nodes of a graph.

    Raises UnknownName, InvalidValue (options), DataError (nothing to learn from), ModelError.
    """
    if model.separate:
        raise InvalidValue(
            f"attributors explain only multiclass models; the model's task is {model.task}: BY search "
            f"and the other generators need nothing pre-trained"
        )
    values = _values(options, graph)
    positions = _targets(graph, values)
    instances = instances_of(model, graph, positions)
    probabilities = probabilities_of(model, positions)
    pretrained = refine.train_attributors(
        instances,
        probabilities,
        lambda batch, mask: log_probabilities(model, batch, mask),
        values,
        device=model.device,
        progress=progress,
        should_stop=should_stop,
    )
    classes = probabilities.argmax(axis=1)
    saliency = refine.saliency(pretrained, instances, classes)
    columns = _columns(graph, positions, instances, classes, saliency)
    return PretrainingResult(pretrained, values, positions, columns)


def _values(options, graph: Graph | GraphSet) -> dict[str, Any]:
    """Every option, with the number of nodes to learn from where the targets are nodes."""
    values = refine.read(options)
    if isinstance(graph, Graph):
        return values | {"nodes": values["nodes"] or NODES}
    if values["nodes"] is not None:
        raise InvalidValue(
            f"NODES = {values['nodes']} is for a single graph: a collection is learned from its "
            f"{len(graph)} graphs, or from those of a SPLIT"
        )
    return {name: value for name, value in values.items() if name != "nodes"}


def _targets(graph: Graph | GraphSet, values: Mapping[str, Any]) -> np.ndarray:
    """Every graph, or some random nodes; of one split if the options name one."""
    count = len(graph) if isinstance(graph, GraphSet) else graph.num_nodes
    chosen = np.arange(count)
    if values["split"] is not None:
        split = np.full(count, "", object) if graph.split is None else graph.split
        chosen = chosen[split == values["split"]]
        if not len(chosen):
            held = sorted({*split} - {""})
            raise DataError(
                f"SPLIT = {values['split']} names no target; splits are {', '.join(held) or 'not known'}"
            )
    if isinstance(graph, Graph):
        rng = np.random.default_rng(values["seed"])
        chosen = np.sort(rng.choice(chosen, min(values["nodes"], len(chosen)), replace=False))
    return chosen


def _columns(
    graph: Graph | GraphSet,
    positions: np.ndarray,
    instances: Instances,
    classes: np.ndarray,
    saliency: list[np.ndarray],
) -> dict[str, Any]:
    """One row for each candidate edge, with its number in the table `edges`."""
    first = (
        graph.edge_ptr[positions] if isinstance(graph, GraphSet) else np.zeros(len(positions), int)
    )
    edges = []
    values = []
    sizes = []
    for number, own in enumerate(saliency):
        unit = instances.unit_of(number)
        edges.append(first[number] + instances.edges[number][unit >= 0])
        values.append(own[unit[unit >= 0]])
        sizes.append(len(values[-1]))
    keys = [graph.key(position) for position in positions]
    return {
        "target": [key for key, size in zip(keys, sizes) for _ in range(size)],
        "class": np.repeat(classes, sizes),
        "edge": np.concatenate(edges),
        "saliency": np.concatenate(values),
    }
