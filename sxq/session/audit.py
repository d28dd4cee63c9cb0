"""AUDIT: every stored explanation measured again on the graph and the model that it was found with.

Part of the corridor: reads answers from the store, hands them to `execution.audit`, and makes a table of the findings.
"""

from collections.abc import Callable
from itertools import groupby

from sxq.session import Registry
from sxq.values.result import Table


def audit(names: Registry, store, query_id: int | None, should_stop: Callable[[], bool]) -> Table:
    """One row for each explanation of a query, or of all, with the largest difference found and a verdict.

    Raises InvalidValue where there is no such query, ModelDetached where a model's code is not at hand.
    """
    from sxq import execution

    rows = []
    for (model_id, graph_id), alike in groupby(
        store.stored_explanations(query_id), key=lambda stored: (stored.model_id, stored.graph_id)
    ):
        group = list(alike)
        graph, model = names.stored(model_id, graph_id)
        stored = (
            execution.Stored(
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
            for e in group
        )
        for e, found in zip(group, execution.audit(graph, model, stored)):
            rows.append(
                (e.query_id, e.target, e.rank, e.explanation_id, found.difference, found.verdict)
            )
            if should_stop():
                break
    return Table(["query_id", "target", "rank", "explanation_id", "difference", "verdict"], rows)
