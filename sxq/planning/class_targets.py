"""The targets of EXPLAIN CLASS: those that the model predicts as the class, at most so many, by seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sxq.errors import DataError, InvalidValue, UnknownName
from sxq.graph import Graph, GraphSet, default_label, known_labels
from sxq.language.statements import Explain
from sxq.planning.catalog import Catalog, ModelInfo
from sxq.planning.checks import whole_number
from sxq.planning.judged import judged_nodes, require_judged
from sxq.planning.nodes import Choose, MinePatterns
from sxq.planning.typed_targets import positions_of

CLASSES_NAMED = 10  # most classes that an error names


def every_target(statement: Explain) -> bool:
    """Whether the targets are all those of a class, without FROM."""
    return statement.of_class is not None and statement.keys is None


def refuse_class_clauses(statement: Explain) -> None:
    """Raise InvalidValue for a clause that only EXPLAIN CLASS has."""
    if statement.most_targets is not None:
        raise InvalidValue(
            f"TARGETS {statement.most_targets!r} limits the targets of EXPLAIN CLASS; "
            "here the targets are those that the statement names"
        )
    if statement.labels is not None:
        raise InvalidValue(
            f"LABELS {statement.labels} tells the nodes of patterns apart, which only EXPLAIN CLASS has"
        )


def class_targets(
    statement: Explain,
    keys: Sequence[Any],
    graph: Graph | GraphSet,
    *,
    model: ModelInfo,
    most: int,
    seed: int,
) -> tuple[list[Any], int]:
    """The keys of the targets to explain, and how many there were before the limit.

    keys  of FROM; none: everything on the graph

    Raises InvalidValue for a class that the model does not have, DataError if nothing is predicted
    as the class, NodeNotFound for a key that is not there.
    """
    of_class = _class(statement.of_class, model)
    if statement.for_class is not None:
        raise InvalidValue(
            f"EXPLAIN CLASS {of_class} already asks about class {of_class}: leave out FOR CLASS "
            f"{statement.for_class!r}"
        )
    of_type = statement.node_type
    assert of_type is None or isinstance(of_type, str), "only links have edge types"
    pool = (
        judged_nodes(model, graph)
        if every_target(statement)
        else np.array(positions_of(graph, keys, of_type, model), np.int64)
    )
    pool = np.unique(pool)
    if not len(pool):
        raise DataError("no target: the list of FROM is empty")
    require_judged(model, graph, pool)
    predictions = model.predictions()[pool]
    found = pool[predictions == of_class]
    if not len(found):
        kind = "graph" if isinstance(graph, GraphSet) else "node"
        where = "" if every_target(statement) else " of FROM"
        raise DataError(_none(of_class, kind + where, predictions, model))
    if len(found) > most:
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(found, most, replace=False))
    else:
        chosen = found
    return [graph.name(position) for position in chosen.tolist()], len(found)


def mine_patterns(
    statement: Explain, catalog: Catalog, answer: Choose, *, graph: Graph | GraphSet, predicted: int
) -> MinePatterns:
    """The operator that mines the answers; raises UnknownName for a label that nodes do not have."""
    labels = default_label(graph) if statement.labels is None else statement.labels
    if labels not in (known := known_labels(graph)):
        raise UnknownName("label", labels, known)
    return MinePatterns(
        child=answer,
        of_class=int(statement.of_class),
        predicted=predicted,
        chosen=len(answer.child.scan.targets),
        pooled=not every_target(statement),
        labels=labels,
        largest=catalog.settings["sxq_pattern_size"],
        least_support=catalog.settings["sxq_pattern_support"],
    )


def _class(value: Any, model: ModelInfo) -> int:
    """A class of the model, or InvalidValue."""
    if model.task not in ("multiclass", "binary"):
        raise InvalidValue(
            f"EXPLAIN CLASS {value!r}, but model {model.name!r} is a {model.task} model, which puts no "
            f"target in one class: say EXPLAIN NODES (SELECT ...) ... FOR CLASS {value!r}"
        )
    last = (model.classes or 2) - 1
    try:
        return whole_number("CLASS", value, 0, 0, last)
    except InvalidValue:
        raise InvalidValue(
            f"CLASS {value!r}, but model {model.name!r} has the classes 0 to {last}"
        ) from None


def _none(of_class: int, kind: str, predictions: np.ndarray, model: ModelInfo) -> str:
    """The message where no target is predicted as the class: the classes that occur."""
    classes, counts = np.unique(predictions, return_counts=True)
    occur = [f"{c} ({n:,})" for c, n in zip(classes.tolist(), counts.tolist())]
    listed = ", ".join(occur[:CLASSES_NAMED]) + (", ..." if len(occur) > CLASSES_NAMED else "")
    return (
        f"CLASS {of_class}: model {model.name!r} predicts no {kind} as this class; "
        f"it predicts {listed}"
    )
