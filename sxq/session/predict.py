"""PREDICT: what a model says of nodes or graphs, from the outputs that it gave on the whole graph."""

from typing import Any

import numpy as np

from sxq.errors import DataError, InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.language import statements as st
from sxq.planning import ModelInfo, judged_nodes, positions_of, require_judged
from sxq.session import key_tables
from sxq.session.context import Session
from sxq.storage import NewTable
from sxq.values.result import Table


def predict(session: Session, statement: st.Predict) -> Table:
    """The key, what is predicted, and a probability for each class; a row for each node or graph.

    Raises UnknownName, NodeNotFound, InvalidValue for nodes of a model of graphs, ModelDetached, ModelChanged;
    with INTO also NameTaken, and StoreError where nothing can be stored.
    """
    if statement.into:
        session.store.require_writable("INTO")
        session.store.require_free_table(statement.into)
    named = session.registry.models.get(statement.model, statement.graph)
    graph = session.registry.graphs[named.graph]
    kind = "graph" if isinstance(graph, GraphSet) else "node"
    if statement.keys is not None and statement.kind != kind:
        raise InvalidValue(
            f"PREDICT {statement.kind.upper()}S, but model {statement.model!r} classifies the {kind}s of "
            f"{named.graph!r}: say PREDICT {kind.upper()}S"
        )
    positions = _positions(
        session, statement, named.graph, graph, named.info(statement.model, graph)
    )
    columns, types, values = _said(named.model, positions)
    keys = [graph.key(position) for position in positions.tolist()]
    if isinstance(graph, Graph) and graph.types is not None:
        names = graph.types.node_types
        values = [[names[number] for number in graph.types.of_node[positions]], *values]
        columns = ["node_type", *columns]
        types = ["VARCHAR", *types]
    columns = [kind, *columns]
    rows = list(zip(keys, *values, strict=True))
    if statement.into:
        session.store.create_table(NewTable(statement.into, columns, ["VARIANT", *types], rows))
    return Table(columns, rows)


def _positions(
    session: Session, statement: st.Predict, name: str, graph: Graph | GraphSet, model: ModelInfo
) -> np.ndarray:
    """The nodes or graphs that a statement names, each once; all of them if it names none."""
    if statement.keys is None:
        return judged_nodes(model, graph)
    keys = key_tables.listed(session, statement, name, "predict")
    if not keys:
        raise DataError(
            f"the list of {statement.kind.upper()}S is empty; there is nothing to predict"
        )
    positions = np.array(positions_of(graph, keys, statement.node_type, model), np.int64)
    require_judged(model, graph, positions)
    return positions


def _said(model: Any, positions: np.ndarray) -> tuple[list[str], list[str], list[list]]:
    """Columns, their SQL types and their values: of a regression its numbers, else class and probabilities."""
    output = model.full[positions]
    if model.task == "regression":
        numbers = output.double().cpu().numpy().T
        names = [f"value_{column}" for column in range(len(numbers))]
        return names, ["DOUBLE"] * len(names), numbers.tolist()
    p = model.probabilities(output).cpu().numpy()
    best = p.argmax(axis=1)
    classes = [f"class_{number}" for number in range(p.shape[1])]
    values = [best.tolist(), p[np.arange(len(p)), best].tolist(), *p.T.tolist()]
    names = ["prediction", "probability", *classes]
    return names, ["INTEGER", *["DOUBLE"] * (len(names) - 1)], values
