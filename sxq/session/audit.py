"""AUDIT: measure stored explanations again, on the graph and the model that they were found with."""

from itertools import groupby

from sxq.language import statements as st
from sxq.session import engine
from sxq.session.context import Session
from sxq.values.result import Table

COLUMNS = ("query_id", "target", "rank", "explanation_id", "difference", "verdict")


def audit(session: Session, statement: st.Audit) -> Table:
    """One row for each explanation of a query, or of all: the largest difference, and a verdict.

    Raises InvalidValue if there is no such query, ModelDetached if the code of a model is missing.
    """
    rows = []
    stored = session.store.stored_explanations(statement.query_id)
    for (model_id, graph_id), alike in groupby(stored, key=lambda e: (e.model_id, e.graph_id)):
        group = list(alike)
        graph, model = session.registry.models.stored(model_id, graph_id)
        findings = engine.execution().audit(graph, model, (_for_audit(e) for e in group))
        for e, found in zip(group, findings):
            facts = e.query_id, e.target, e.rank, e.explanation_id
            rows.append((*facts, found.difference, found.verdict))
            if session.should_stop():
                break
    return Table(COLUMNS, rows)


def _for_audit(e):
    """A stored explanation as `execution.audit` takes it."""
    return engine.execution().Stored(
        target=e.target,
        edges=e.edges,
        raw=e.raw,
        factual=e.factual,
        counterfactual=e.counterfactual,
        tie=e.tie,
        directed=e.settings["edges_directed"],
        field_size=e.field_size,
        columns=e.columns,
    )
