"""The worth of every unit of an answer: what a plain forward pass says, one unit at a time."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import sxq
from sxq.execution import worth
from tests import graphs, oracles

ALL = "OPTIMIZE fdl+, fdl-, conc TOP 5 BUDGET 300 CANDIDATES"


def some_graph(undirected=True):
    return graphs.random_graph(np.random.default_rng(3), 14, 20, undirected)


def as_data(graph):
    return Data(x=torch.tensor(graph.x), edge_index=torch.tensor(graph.edge_index))


def p_and_class(module, graph, target, keep):
    p = oracles.plain_probabilities(module, graph, keep)[target]
    return p, int(p.argmax())


def slow(module, graph, target, e):
    """Worth of each edge of an explanation by enumeration: (kept, removed, needed, margin)."""
    loops = graph.edge_index[0] == graph.edge_index[1]
    full, c = p_and_class(module, graph, target, np.ones(graph.num_edges, bool))
    ends = [tuple(edge) for edge in graph.edge_index.T.tolist()]
    inside = np.isin(np.arange(graph.num_edges), e.edge_numbers)
    kept = p_and_class(module, graph, target, inside | loops)[0]
    removed = p_and_class(module, graph, target, ~inside)[0]
    for number in e.edge_numbers:
        u, v = ends[number]
        both = {(u, v), (v, u)} if graph.undirected else {(u, v)}
        unit = np.array([edge in both for edge in ends])
        less, as_kept = p_and_class(module, graph, target, (inside & ~unit) | loops)
        more, as_removed = p_and_class(module, graph, target, ~(inside & ~unit))
        needed = (e.factual and as_kept != c) or (e.counterfactual and as_removed == c)
        margin = min(np.diff(np.sort(p)[-2:])[0] for p in (less, more))
        yield kept[c] - less[c], more[c] - removed[c], needed, margin


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("kind", ["gcn", "sage", "gat", "gin"])
@pytest.mark.parametrize("undirected", [True, False])
def test_worth_is_that_of_plain_forward_passes(kind, undirected):
    graph = some_graph(undirected)
    module = graphs.make(kind)
    with sxq.connect() as con:
        con.register_graph("g", as_data(graph))
        con.register_model("m", module, "g")
        result = con.execute(f"EXPLAIN NODES 1, 4 USING MODEL m {ALL}")
        assert len(result) > 3
        for e in result:
            for row, (kept, removed, needed, margin) in enumerate(
                slow(module, graph, graph.position(e.target), e)
            ):
                assert abs(e.worth.kept[row] - kept) < 1e-5
                assert abs(e.worth.removed[row] - removed) < 1e-5
                assert margin < 1e-4 or e.worth.needed[row] == needed
        stored = con.sql(
            "SELECT edge, worth_kept, worth_removed, needed FROM explanation_edges x JOIN edges USING (edge)"
            " WHERE x.src = edges.src AND x.dst = edges.dst ORDER BY explanation_id, x.rowid"
        ).rows
        own = [
            (int(n), *w)
            for e in result
            for n, *w in zip(e.edge_numbers, e.worth.kept, e.worth.removed, e.worth.needed)
        ]
        assert sorted(stored) == sorted(own)
        assert {row[-1] for row in con.execute("AUDIT").rows} == {"ok"}


def test_units_join_the_two_directions_of_a_pair():
    graph = some_graph()
    with sxq.connect() as con:
        con.register_graph("g", as_data(graph))
        con.register_model("m", graphs.make("gcn"), "g")
        con.execute(f"EXPLAIN NODE 1 USING MODEL m {ALL}")
        rows = con.sql(
            "SELECT count(DISTINCT unit) = any_value(size), count(DISTINCT (src, dst)) = 2 * any_value(size)"
            " FROM explanation_edges JOIN explanations USING (explanation_id) GROUP BY explanation_id"
        ).rows
        assert set(rows) == {(True, True)}


def test_members_beyond_the_budget_have_no_worth_and_a_note_says_so():
    graph = some_graph()
    with sxq.connect() as con:
        con.register_graph("g", as_data(graph))
        con.register_model("m", graphs.make("gcn"), "g")
        con.execute("SET sxq_worth_budget = 3")
        result = con.execute(f"EXPLAIN NODE 1 USING MODEL m {ALL}")
        measured = [e.size for e in result if e.worth is not None]
        assert measured and sum(measured) <= 3 and len(measured) < len(result)
        assert "sxq_worth_budget = 3" in result.targets[0].note
        assert all(row[-1] == "ok" for row in con.execute("AUDIT").rows)
        con.execute("SET sxq_worth_budget = 0")
        result = con.execute(f"EXPLAIN NODE 1 USING MODEL m {ALL}")
        assert all(e.worth is None for e in result) and "worth" not in result.targets[0].note
        stored = con.sql(
            "SELECT count(worth_kept) FROM explanation_edges JOIN explanations USING (explanation_id)"
            f" WHERE query_id = {result.query_id}"
        )
        assert stored.rows == [(0,)]


def test_worth_in_a_collection_has_the_numbers_of_its_edges():
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPHS gs FROM DATASET 'BA-3motif' (GRAPHS = 9);"
            "TRAIN MODEL m ON GRAPHS gs (ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 8, EPOCHS = 10, SEED = 0)"
        )
        con.execute(
            "EXPLAIN GRAPHS 2, 5 USING MODEL m OPTIMIZE fdl+, conc TOP 4 BUDGET 100 CANDIDATES"
        )
        other = con.sql(
            "SELECT count(*) FROM explanation_edges x JOIN explanations USING (explanation_id) JOIN edges USING (edge)"
            " WHERE (x.src, x.dst, target) <> (edges.src, edges.dst, edges.graph)"
        ).rows
        assert other == [(0,)]
        assert all(row[-1] == "ok" for row in con.execute("AUDIT").rows)


def test_of_a_target_that_was_stopped_as_many_members_are_measured_as_a_second_allows():
    choice = SimpleNamespace(worth_budget=4096)
    found = SimpleNamespace(choice=choice, table=SimpleNamespace(count=240), seconds=20, stopped="")
    assert worth._budget(found) == 4096
    found.stopped = "stopped after 20 seconds"
    assert worth._budget(found) == 12
