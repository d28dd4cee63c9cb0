"""Small graphs, queries and reports for the tests of the store; a child process imports them, too."""

import numpy as np

from sxq.graph.csr import Graph
from sxq.values.explanation import Explanation, TargetReport

PATH = [[0, 1, 1, 2], [1, 0, 2, 1]]  # 0 - 1 - 2


def graph(**columns) -> Graph:
    return Graph(**{"edge_index": PATH, "x": np.arange(6).reshape(3, 2), **columns})


def save(store, name: str, graph: Graph, replace: bool = False) -> int:
    return store.save_graph(name, graph.content_hash, graph.columns(), graph.undirected, replace)


def begin(store, targets=(1, 2), graph_id=None, **columns) -> int:
    if graph_id is None:
        graph_id = save(store, "path", graph())
    model_id = store.save_model("gcn", graph_id, "hash", {"class": "GCN"}, weights=None)
    query = {
        "text": "EXPLAIN ...",
        "plan": "Explain\n  Search",
        "model_id": model_id,
        "graph_id": graph_id,
        "settings": {"directed": False},
        "seed": 0,
        "epsilon": 0.1,
        "k": 10,
        "device": "cpu",
        "versions": {"sxq": "0.1"},
        "targets": targets,
    }
    return store.begin_query(**{**query, **columns})


def explanation(target=1, rank=1, edges=((0, 1), (1, 0)), **values) -> Explanation:
    return Explanation(
        **{
            "target": target,
            "rank": rank,
            "edge_index": np.zeros((2, len(edges)), np.int64),
            "nodes": np.arange(2),
            "edges": edges,
            "edge_numbers": np.arange(len(edges)),
            "edge_units": np.zeros(len(edges), np.int64),
            "size": 1,
            "raw": {"fdl+": np.float32(0.5), "conc": 0.25},
            "scores": {"fdl+": 0.5, "conc": 0.75},
            "factual": np.True_,
            "counterfactual": False,
            "generator": "onion",
            "dominance": np.int64(3),
            **values,
        }
    )


def report(target=1, ordinal=0, *explanations) -> TargetReport:
    return TargetReport(
        target=target,
        ordinal=ordinal,
        status="done",
        prediction=np.int64(1),
        probability=np.float32(0.5),
        self_sufficient=False,
        field_size=2,
        hops=3,
        candidates=3,
        explanatory=2,
        front=1,
        dominance=2,
        coverage=1.0,
        complete=True,
        seconds=0.5,
        explanations=explanations,
    )


def stopped(number: int, note: str) -> TargetReport:
    return TargetReport(target=number, ordinal=number, status="stopped", note=note)
