"""REFRESH: carried over, measured, searched; equal to a search from scratch; AUDIT finds nothing wrong."""

import numpy as np
import pytest

import sxq
from sxq.errors import Error, InvalidValue, StoreError, TransactionOpen
from sxq.graph.csr import Graph
from sxq.graph.difference import GONE, difference
from sxq.graph.next_nodes import remove_nodes

CLAUSES = "USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 4 BUDGET 80 CANDIDATES"
# two chains that meet at node 0; node 12 is far away from the other end
NODES = "SELECT i AS id, (i % 4)::FLOAT AS f, ((i * 7) % 5)::FLOAT AS g, i % 2 AS label FROM range(26) t(i)"
EDGES = "SELECT i AS u, i + 1 AS v FROM range(24) t(i) UNION ALL SELECT i, i + 2 FROM range(0, 24, 3) t(i)"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("chain") / "chain.duckdb")
    with sxq.connect(path) as con:
        con.execute(f"CREATE GRAPH chain FROM NODES ({NODES}) EDGES ({EDGES}) (UNDIRECTED = true)")
        con.execute(
            "TRAIN MODEL gcn ON GRAPH chain (LAYERS = 2, EPOCHS = 30, HIDDEN = 4, SEED = 2)"
        )
        con.execute(f"EXPLAIN NODES 2, 6, 12, 20 {CLAUSES}")
        con.execute(f"EXPLAIN NODES 2, 20 {CLAUSES} EXCLUDE 1->2")
    return path


@pytest.fixture
def con(made, tmp_path):
    path = tmp_path / "chain.duckdb"
    path.write_bytes(open(made, "rb").read())
    with sxq.connect(str(path)) as con:
        yield con


def freshness(con, query_id):
    rows = con.sql(f"SELECT target, refreshed FROM freshness WHERE query_id = {query_id}").rows
    return dict(rows)


def answer(con, query_id, target, columns="* EXCLUDE (explanation_id, query_id)"):
    sql = f"SELECT {columns} FROM explanations WHERE query_id = {query_id} AND target = {target} ORDER BY rank"
    edges = (
        "SELECT rank, src, dst, edge, unit, worth_kept, needed FROM explanation_edges x JOIN explanations USING"
        f" (explanation_id) WHERE query_id = {query_id} AND target = {target} ORDER BY x.rowid"
    )
    return con.sql(sql).rows, con.sql(edges).rows


def all_ok(con):
    return {row[-1] for row in con.execute("AUDIT")} == {"ok"}


@pytest.mark.slow
def test_nothing_to_do(con):
    assert con.execute("REFRESH").rows == []
    (row,) = con.execute("REFRESH QUERY 1").df().to_dict("records")
    assert "query 1 is on the present version" in row["note"]
    with pytest.raises(InvalidValue, match="no query 9; the last is 2"):
        con.execute("REFRESH QUERY 9")


@pytest.mark.slow
def test_what_did_not_change_is_carried_over_and_the_rest_equals_a_search_from_scratch(con):
    con.execute("ALTER GRAPH chain REMOVE EDGES (SELECT 1, 2), ADD EDGES (SELECT 3, 7)")
    row = con.execute("REFRESH QUERY 1").df().iloc[0]
    assert (row.query_id, row.refreshes, row.from_version, row.to_version, row.left) == (
        3,
        1,
        1,
        2,
        0,
    )
    did = freshness(con, 3)
    assert did[12] == did[20] == "carried" and did[2] == "searched"
    con.execute(f"EXPLAIN NODES 2, 6, 12, 20 {CLAUSES}")
    for target, what in did.items():
        if what == "searched":
            assert answer(con, 3, target) == answer(con, 4, target)
        if what == "carried":  # the numbers of edges are those of the new version
            assert answer(con, 3, target) == answer(con, 4, target)
            assert answer(con, 3, target)[1] != answer(con, 1, target)[1]
    assert con.sql(
        "SELECT DISTINCT query_id, graph_version FROM explanations ORDER BY ALL"
    ).rows == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert all_ok(con)
    columns = "query_id, bool_and(fresh), any_value(refreshed_by)"
    assert con.sql(f"SELECT {columns} FROM freshness GROUP BY 1 ORDER BY 1").rows == [
        (1, False, 3),
        (2, False, None),
        (3, True, None),
        (4, True, None),
    ]
    assert con.execute("REFRESH").df().refreshes.tolist() == [2]  # the other one
    assert con.execute("REFRESH").rows == []
    assert all_ok(con)


@pytest.mark.slow
def test_members_that_still_hold_are_measured_and_not_searched(con):
    con.execute("ALTER GRAPH chain ADD EDGES (SELECT 10, 13)")
    con.execute("REFRESH QUERY 1")
    did = freshness(con, 3)
    assert did[2] == did[20] == "carried" and did[12] in ("measured", "searched")
    (note,) = con.sql("SELECT note FROM targets WHERE query_id = 3 AND target = 12").rows[0]
    if did[12] == "measured":
        assert "measured again, not searched" in note
    assert all_ok(con)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.0, 1000.0])
def test_epsilon_decides_what_is_searched_again(con, epsilon):
    con.execute(f"EXPLAIN NODE 12 {CLAUSES} EPSILON {epsilon}")
    con.execute("ALTER GRAPH chain ADD EDGES (SELECT 13, 15)")
    before = con.sql("SELECT count(*) FROM candidates").rows
    con.execute("REFRESH QUERY 3")
    (row,) = con.sql("SELECT refreshed, candidates, complete FROM targets WHERE query_id = 4").rows
    if epsilon:
        gone = con.sql(
            "SELECT bool_or(NOT (factual OR counterfactual)) FROM explanations WHERE query_id = 4"
        ).rows
        assert row[0] in ("measured", "searched") and gone == [(False,)]
    else:
        assert row[0] == "searched"
    assert con.sql("SELECT count(*) FROM candidates").rows == before
    assert all_ok(con)


@pytest.mark.slow
def test_measured_values_are_those_of_the_new_version(con):
    con.execute(f"EXPLAIN NODE 12 {CLAUSES} EPSILON 1000")
    con.execute("ALTER GRAPH chain ADD EDGES (SELECT 10, 15)")
    con.execute("REFRESH QUERY 3")
    assert all_ok(con)
    ((did, candidates),) = con.sql(
        "SELECT refreshed, candidates FROM targets WHERE query_id = 4"
    ).rows
    assert did == "searched" or candidates <= 5
    if did == "measured":
        old = con.sql("SELECT generator FROM explanations WHERE query_id = 3").rows
        assert set(con.sql("SELECT generator FROM explanations WHERE query_id = 4").rows) <= set(
            old
        ) | {("field",)}


@pytest.mark.slow
def test_nodes_that_are_removed_move_the_others_but_change_no_answer(con):
    con.execute(f"EXPLAIN NODES 12, 20 {CLAUSES.replace('fdl-', 'shapley')}")
    con.execute("ALTER GRAPH chain REMOVE NODES (VALUES (2), (5))")
    con.execute("REFRESH QUERY 1; REFRESH QUERY 3")
    did = freshness(con, 4)
    assert (did[2], did[12], did[20]) == ("gone", "carried", "carried")
    assert {"carried"} != set(freshness(con, 5).values())  # Shapley values are drawn by position
    con.execute(f"EXPLAIN NODES 12, 20 {CLAUSES}")
    for target in (12, 20):
        assert answer(con, 4, target) == answer(con, 6, target)
    assert all_ok(con)


def test_a_made_anew_graph_is_a_version_too_and_a_target_may_be_gone(con):
    con.execute(
        f"CREATE OR REPLACE GRAPH chain FROM NODES (FROM ({NODES}) WHERE id <> 20)"
        f" EDGES (FROM ({EDGES}) WHERE 20 NOT IN (u, v)) (UNDIRECTED = true)"
    )
    with pytest.raises(Error, match="gcn"):  # models do not follow a graph that is made anew
        con.execute("REFRESH QUERY 1")
    row = con.execute("REFRESH").df()
    assert row.note.str.startswith("not refreshed:").all()
    con.execute("ALTER GRAPH chain ADD NODES (SELECT 20 AS id, 1.0 AS f, 1.0 AS g, 0 AS label)")
    weights = con.sql("SELECT weights FROM models WHERE name = 'gcn'").rows
    assert weights


@pytest.mark.slow
def test_gone_targets_are_named(con, tmp_path):
    model = con.session.registry.models.get("gcn").model.module
    con.register_model("mine", model, output="logits")
    con.execute(f"EXPLAIN NODES 2, 20 {CLAUSES.replace('gcn', 'mine')}")
    con.execute(
        f"CREATE OR REPLACE GRAPH chain FROM NODES (FROM ({NODES}) WHERE id <> 20)"
        f" EDGES (FROM ({EDGES}) WHERE 20 NOT IN (u, v)) (UNDIRECTED = true)"
    )
    con.register_model("mine", model, graph="chain", output="logits", replace=True)
    row = con.execute("REFRESH QUERY 3").df().iloc[0]
    assert (row.gone, row.left, row.targets) == (1, 0, 2)
    ((status, note),) = con.sql(
        "SELECT status, note FROM targets WHERE query_id = 4 AND target = 20"
    ).rows
    assert status == "failed" and note == "the node is not in version 2 of graph 'chain'"
    assert {row[-1] for row in con.execute("AUDIT QUERY 4")} == {"ok"}
    assert "nothing to resume: each of its 2 targets" in con.execute("RESUME QUERY 4").notes()[0]


@pytest.mark.slow
def test_what_is_not_refreshed_says_so(con):
    con.execute(f"EXPLAIN NODES 2, 12 {CLAUSES} JOINTLY; EXPLAIN NODE 2 {CLAUSES} INCLUDE 1->2")
    con.execute(
        "EXPLAIN CLASS 0 USING MODEL gcn OPTIMIZE fdl+, conc TARGETS 2 BUDGET 20 CANDIDATES"
    )
    con.execute("ALTER GRAPH chain REMOVE EDGES (SELECT 1, 2)")
    for query, said in (
        (3, "JOINTLY"),
        (4, "INCLUDE names the edge 1 -> 2, which is gone"),
        (5, "EXPLAIN CLASS"),
    ):
        with pytest.raises(InvalidValue, match=said):
            con.execute(f"REFRESH QUERY {query}")
    rows = con.execute("REFRESH").df().set_index("refreshes")
    assert rows.note[3].startswith("not refreshed: JOINTLY of query 3") and not rows.note[1]
    assert freshness(con, int(rows.query_id[2]))  # EXCLUDE of an edge that is gone excludes nothing
    assert all_ok(con)


def test_transactions_and_readers_are_refused(con, tmp_path):
    con.execute("BEGIN")
    with pytest.raises(TransactionOpen, match="REFRESH stores"):
        con.execute("REFRESH")
    con.execute("ROLLBACK")
    path = str(tmp_path / "chain.duckdb")
    con.close()
    with sxq.connect(path, read_only=True) as other, pytest.raises(StoreError, match="read-only"):
        other.refresh()


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_refresh_goes_on(con):
    con.execute("ALTER GRAPH chain REMOVE EDGES (SELECT 1, 2), ADD EDGES (SELECT 21, 24)")
    whole = con.execute("REFRESH QUERY 1").df().iloc[0]
    con.execute("DROP QUERY 3")
    con.report = lambda progress: con.interrupt()
    row = con.execute("REFRESH QUERY 1").df().iloc[0]
    con.report = None
    if row.left:
        assert "say REFRESH QUERY 4" in row.note
        assert con.sql(
            "SELECT count(*) FROM targets WHERE query_id = 4 AND refreshed IS NULL"
        ).rows == [(row.left,)]
        again = con.execute("REFRESH").df().set_index("refreshes")
        assert again.query_id[1] == 4 and again.left[1] == 0
    counts = con.sql("SELECT refreshed, count(*) FROM targets WHERE query_id = 4 GROUP BY 1").rows
    assert dict(counts) == {
        name: whole[name] for name in ("carried", "measured", "searched") if whole[name]
    }
    assert all_ok(con)


@pytest.mark.slow
def test_an_exception_keeps_what_is_done(con, monkeypatch):
    con.execute("ALTER GRAPH chain REMOVE EDGES (SELECT 1, 2)")
    save = con.session.store.save_target

    def fails(query_id, report):
        raise KeyboardInterrupt

    monkeypatch.setattr(con.session.store, "save_target", fails)
    with pytest.raises(KeyboardInterrupt):
        con.execute("REFRESH QUERY 1")
    monkeypatch.setattr(con.session.store, "save_target", save)
    did = freshness(con, 3)
    assert did[20] == "carried" and did[2] is None
    assert con.sql(
        "SELECT DISTINCT status FROM targets WHERE query_id = 3 AND refreshed IS NULL"
    ).rows == [("stopped",)]
    row = con.refresh(1).df().iloc[0]
    assert (row.query_id, row.left) == (3, 0)
    assert all_ok(con)


# -- what differs --------------------------------------------------------------------------------


def random_pair(seed):
    """Two versions; of every third pair the later one lacks the first node."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 12))
    edge_index = rng.integers(0, n, (2, int(rng.integers(1, 30))))
    weight = rng.integers(0, 3, edge_index.shape[1]).astype(np.float32)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    earlier = Graph(edge_index, x, edge_weight=weight, keys=list(range(100, 100 + n)))
    stay = rng.random(edge_index.shape[1]) < 0.7
    new = rng.integers(0, n + 1, (2, int(rng.integers(0, 4))))
    later = Graph(
        np.concatenate([edge_index[:, stay], new], axis=1),
        np.concatenate([x, x[:1]]),
        edge_weight=np.concatenate([weight[stay], np.ones(new.shape[1], np.float32)]),
        keys=list(range(100, 101 + n)),
    )
    if seed % 3 == 0:
        later = remove_nodes(later, (["id"], [(100,)]))
    return earlier, later


@pytest.mark.parametrize("seed", range(40))
def test_the_difference_is_that_of_the_multisets_of_edges(seed):
    earlier, later = random_pair(seed)
    found = difference(earlier, later)
    if not found.alike:  # one of them happens to be undirected: units of another kind
        assert found.touched.all() and found.affected(later, 1).all()
        return

    def rows(graph):
        ends = [[graph.key(node) for node in row] for row in graph.edge_index.tolist()]
        return list(zip(*ends, graph.edge_weight.tolist()))

    before, after = rows(earlier), rows(later)
    for edge, number in enumerate(found.edges):
        assert number == GONE or before[edge] == after[number]
    kept = [before[edge] for edge in np.flatnonzero(found.edges != GONE)]
    for row in set(before) | set(after):
        assert kept.count(row) == min(before.count(row), after.count(row))
    changed = {row[1] for row in set(before) | set(after) if before.count(row) != after.count(row)}
    touched = {later.key(node) for node in np.flatnonzero(found.touched)}
    assert touched == (changed & set(later.keys)) | {later.keys[-1]}


@pytest.mark.parametrize("seed", range(20))
def test_fields_that_are_not_affected_are_equal(seed):
    from sxq.graph import extract

    earlier, later = random_pair(seed)
    found = difference(earlier, later)
    affected = found.affected(later, 3)
    for node in np.flatnonzero(~affected):
        if not found.in_order:
            break
        place = earlier.position(later.key(node))
        one, two = extract(earlier, place, 2, 1, True), extract(later, int(node), 2, 1, True)
        assert (found.nodes[one.nodes] == two.nodes).all() and (one.unit == two.unit).all()
        assert (found.edges[one.edges] == two.edges).all()
