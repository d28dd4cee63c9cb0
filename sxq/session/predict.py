"""PREDICT: what a model says of nodes, graphs or links.

Of nodes and graphs these are the outputs that it gave on the whole graph; links are scored anew.
"""

from typing import Any

import numpy as np

from sxq.errors import DataError, InvalidValue
from sxq.graph import Graph, GraphSet, shown_type
from sxq.language import statements as st
from sxq.planning import (
    ModelInfo,
    judged_nodes,
    link_positions,
    positions_of,
    require_judged,
    scored_type,
)
from sxq.session import engine, key_tables
from sxq.session.context import Session
from sxq.storage import NewTable
from sxq.values.result import Table


def predict(session: Session, statement: st.Predict) -> Table:
    """The key, what is predicted, and a probability for each class; a row for each node, graph or link.

    Raises UnknownName, NodeNotFound, InvalidValue for targets that the model does not judge, ModelDetached,
    ModelChanged; with INTO also NameTaken, and StoreError where nothing can be stored.
    """
    if statement.into:
        session.store.require_writable("INTO")
        session.store.require_free_table(statement.into)
    named = session.registry.models.get(statement.model, statement.graph)
    graph = session.registry.graphs[named.graph]
    kind = named.model.kind
    if kind == "link" and statement.keys is None:
        raise InvalidValue(
            f"PREDICT USING MODEL {statement.model}, which scores links: say which, PREDICT LINKS "
            "(SELECT u, v ...) USING MODEL ..."
        )
    if statement.keys is not None and statement.kind != kind:
        raise InvalidValue(
            f"PREDICT {statement.kind.upper()}S, but model {statement.model!r} "
            f"{'scores links' if kind == 'link' else f'classifies the {kind}s'} of {named.graph!r}: say "
            f"PREDICT {kind.upper()}S"
        )
    made = _of_links if kind == "link" else _of_targets
    columns, types, rows = made(session, statement, named, graph)
    if statement.into:
        session.store.create_table(NewTable(statement.into, columns, types, rows))
    return Table(columns, rows, types=types)


Relation = tuple[list[str], list[str], list[tuple]]  # columns, their SQL types, rows


def _of_targets(
    session: Session, statement: st.Predict, named: Any, graph: Graph | GraphSet
) -> Relation:
    """What a model says of nodes, or of the graphs of a collection."""
    positions = _positions(
        session, statement, named.graph, graph, named.info(statement.model, graph)
    )
    columns, types, values = _said(named.model, named.model.full[positions])
    keys = [graph.key(position) for position in positions.tolist()]
    if isinstance(graph, Graph) and graph.types is not None:
        names = graph.types.node_types
        values = [[names[number] for number in graph.types.of_node[positions]], *values]
        columns = ["node_type", *columns]
        types = ["VARCHAR", *types]
    rows = list(zip(keys, *values, strict=True))
    kind = named.model.kind
    return [kind, *columns], [key_tables.column_type(graph, kind), *types], rows


def _of_links(
    session: Session, statement: st.Predict, named: Any, graph: Graph | GraphSet
) -> Relation:
    """What a model says of pairs of nodes."""
    assert isinstance(graph, Graph), "a collection has no links"
    info = named.info(statement.model, graph)
    kind = scored_type(info, graph, statement.node_type)
    links = key_tables.listed(session, statement, named.graph, "predict")
    positions = np.array(link_positions(graph, links, kind), np.int64)
    pairs = np.stack(np.divmod(positions, graph.num_nodes))
    columns, types, values = _said(named.model, engine.models().scores(named.model, graph, pairs))
    ends = [[graph.key(position) for position in end] for end in pairs.tolist()]
    if kind is not None:
        columns = ["edge_type", *columns]
        types = ["VARCHAR", *types]
        values = [[shown_type(kind)] * len(positions), *values]
    rows = list(zip(*ends, *values, strict=True))
    of_key = key_tables.column_type(graph, "node")
    return ["src", "dst", *columns], [of_key, of_key, *types], rows


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
    of_type = statement.node_type
    assert of_type is None or isinstance(of_type, str), "only links have edge types"
    positions = np.array(positions_of(graph, keys, of_type, model), np.int64)
    require_judged(model, graph, positions)
    return positions


def _said(model: Any, output: Any) -> tuple[list[str], list[str], list[list]]:
    """Columns, their SQL types and their values: of a regression its numbers, else class and probabilities.

    output  [n, C], on the CPU
    """
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
