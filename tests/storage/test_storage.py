"""The store: what goes in comes out bit for bit, nothing stored is lost, every refusal says what to do."""

import dataclasses
import datetime
import decimal
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from importlib.resources import files

import duckdb
import numpy as np
import pytest

from sxq.errors import (
    DatabaseLocked,
    Error,
    InvalidValue,
    NameTaken,
    SQLError,
    StoreError,
    TransactionOpen,
    UnknownName,
)
from sxq.graph.csr import Graph
from sxq.storage import NewTable, Store
from sxq.values.explanation import CandidateRow, TargetReport
from tests.stored_values import begin, explanation, graph, report, save, stopped

HOLD = "import sys; from sxq.storage import Store; store = Store(sys.argv[1]); print(flush=True)"


@pytest.fixture
def store():
    with Store() as store:
        yield store


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "tx.duckdb")


def python(code: str, path: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), path],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


# graphs: round trips

GRAPHS = {
    "positions": {},
    "labels": {"y": [2, 0, 2], "split": ["train", "", "test"]},
    "integer keys": {"keys": [10, -7, 2**40]},
    "wide integer keys": {"keys": [-1, 2**63, 2**100]},
    "text keys": {"keys": ["", 'it\'s "é" 中', "42"]},
    "text keys with NUL": {"keys": ["a\0b", "a\0", "a"]},
    "weights": {"edge_weight": [0.1, -0.0, 1e-42, 3.4e38]},
    "edge features": {"edge_attr": [[0.1, 2], [3, 4], [5, 6], [7, 1 / 3]]},
    "parallel edges and loops": {"edge_index": [[2, 2, 0, 0], [2, 2, 1, 1]]},
    "no edges": {"edge_index": [[], []]},
    "no edges, weights": {"edge_index": [[], []], "edge_weight": []},
    "no edges, edge features": {"edge_index": [[], []], "edge_attr": np.zeros((0, 3))},
    "no features": {"x": np.zeros((3, 0))},
    "no nodes": {"edge_index": [[], []], "x": np.zeros((0, 2)), "y": [], "split": []},
    "fortran order": {"x": np.asfortranarray(np.random.default_rng(0).random((3, 5)))},
    "attributes": {
        "attributes": {
            "zip": ["01234", "x", None],
            "Age": [1, 2.5, "old"],
            "age": [True, None, 2**70],
            "since": [
                datetime.date(2020, 1, 2),
                datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
                datetime.time(1, 2),
            ],
            "": [b"ab", -0.0, [1, 2]],
            "price": [decimal.Decimal("1.50"), float("inf"), {"a": "b"}],
        }
    },
}


@pytest.mark.slow
@pytest.mark.sweep(5)
@pytest.mark.parametrize("columns", GRAPHS.values(), ids=GRAPHS)
def test_a_graph_comes_back_bit_for_bit(path, columns):
    saved = graph(**columns)
    with Store(path) as store:
        number = save(store, "g", saved)
        (row,) = store.graphs()
    with Store(path, read_only=True) as store:
        assert store.graphs() == [row]
        by_name, by_id = store.load_graph("g"), store.load_graph(number)
    loaded = Graph(**by_name)
    assert (
        loaded.content_hash == saved.content_hash == Graph(**by_id).content_hash == row.content_hash
    )
    for name in ("edge_index", "x", "y", "edge_weight", "edge_attr"):
        before, after = getattr(saved, name), by_name[name]
        assert (before is None) == (after is None), name
        if before is not None:
            assert (before.dtype, before.shape) == (after.dtype, after.shape), name
            assert before.tobytes() == after.tobytes(), name
    assert loaded.attributes == saved.attributes and loaded.keys == saved.keys
    assert (row.graph_id, row.num_nodes, row.num_edges) == (
        number,
        saved.num_nodes,
        saved.num_edges,
    )


def test_a_graph_row_describes_the_graph(store):
    save(store, "b", graph(y=[0, 0, 4], edge_index=[[0], [1]]))
    save(store, "a", graph())
    first, second = store.graphs()
    assert (first.name, first.num_classes, first.num_features, first.undirected) == (
        "a",
        None,
        2,
        True,
    )
    assert (second.name, second.num_classes, second.num_edges, second.undirected) == (
        "b",
        2,
        1,
        False,
    )


def test_edges_of_many_rows_keep_their_order(store):
    edge_index = np.random.default_rng(0).integers(0, 3000, (2, 50_000))
    keys = [f"node {i}" for i in range(3000)]
    save(
        store, "g", Graph(edge_index, np.zeros((3000, 1)), keys=keys, edge_weight=np.arange(50_000))
    )
    loaded = store.load_graph("g")
    assert np.array_equal(loaded["edge_index"], edge_index) and loaded["keys"] == keys
    assert np.array_equal(loaded["edge_weight"], np.arange(50_000))


@pytest.mark.parametrize(
    "columns, said",
    [
        ({"keys": [0, 1, 2**130]}, "128 bits"),
        ({"keys": ["a", "b", "\ud800"]}, "UTF-8"),
        (
            {"attributes": {"at": [None, None, datetime.datetime.now(datetime.UTC)]}},
            "attribute 'at'",
        ),
        ({"attributes": {"thing": [None, None, object()]}}, "object"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(store, columns, said):
    refused = graph(**columns)
    with pytest.raises(StoreError, match=said):
        store.save_graph("g", "hash", refused.columns(), True)
    assert store.graphs() == [] and store.execute("SELECT count(*) FROM nodes").rows == [(0,)]
    save(store, "g", graph())  # the store is as usable as before


# keys and the user's tables


def test_integer_keys_join_with_integer_columns(store):
    save(store, "small", graph(keys=[42, 7, 2**40]))
    save(store, "wide", graph(keys=[42, 7, 2**70]))
    for kind in ("INTEGER", "UBIGINT", "HUGEINT"):
        rows = store.execute(
            f"SELECT g.name FROM (SELECT 42::{kind} AS id) u JOIN nodes ON node = u.id"
            " JOIN graphs g USING (graph_id) ORDER BY ALL"
        ).rows
        assert rows == [("small",), ("wide",)], kind
    assert store.execute("SELECT count(*) FROM nodes WHERE node = ?", [42]).rows == [(2,)]
    assert store.execute("SELECT count(*) FROM nodes WHERE node = '42'").rows == [(0,)]


def test_text_keys_join_with_text_columns(store):
    save(store, "g", graph(keys=["42", "it's", ""]))
    store.execute("CREATE TABLE accounts AS SELECT unnest(['42', 'it''s', '', 'x']) AS name")
    assert store.execute(
        "SELECT name FROM accounts JOIN nodes ON node = name ORDER BY position"
    ).rows == [("42",), ("it's",), ("",)]
    assert store.execute("SELECT src, dst FROM edges ORDER BY edge").rows[0] == ("42", "it's")
    assert store.execute("SELECT count(*) FROM nodes WHERE node = 42").rows == [(0,)]


@pytest.mark.parametrize(
    "keys, kind",
    [([10, 20, 30], "INTEGER"), ([2**63, 20, 30], "UBIGINT"), (["a", "42", ""], "VARCHAR")],
)
def test_explanation_edges_join_with_nodes_and_users_tables(store, keys, kind):
    query = begin(store, keys[:1], save(store, "g", graph(keys=keys)))
    edges = ((keys[0], keys[1]), (keys[1], keys[0]))
    store.save_target(query, report(keys[0], 0, explanation(keys[0], edges=edges)))
    store.execute(f"CREATE TABLE mine (id {kind})")
    store.execute("INSERT INTO mine SELECT unnest(?)", [keys])
    for table, column in (("nodes", "node"), ("mine", "id")):
        rows = store.execute(
            f"SELECT src FROM explanation_edges JOIN {table} ON dst = {column}"
        ).rows
        assert {key for (key,) in rows} == set(keys[:2]) and len(rows) == 2
    assert store.execute("SELECT position FROM targets JOIN nodes ON node = target").rows == [(0,)]
    assert store.execute("SELECT target FROM explanations JOIN mine ON id = target").rows == [
        (keys[0],)
    ]


def test_attributes_are_columns_for_sql(store):
    save(store, "g", graph(attributes={"city": ["Bern", None, "Ulm"], "age": [7, 8, 9]}))
    assert store.execute("SELECT node FROM nodes WHERE attributes['city'] = 'Ulm'").rows == [(2,)]
    assert store.execute("SELECT node FROM nodes WHERE attributes['age'] < 9 ORDER BY 1").rows == [
        (0,),
        (1,),
    ]


# names


def test_the_same_content_again_is_a_no_op(store):
    assert (
        save(store, "g", graph())
        == save(store, "g", graph())
        == save(store, "g", graph(), replace=True)
    )
    assert save(store, "h", graph()) != save(store, "g", graph())
    assert store.execute("SELECT count(*) FROM nodes").rows == [(6,)]


def test_other_content_needs_replace(store):
    first = save(store, "g", graph())
    with pytest.raises(
        NameTaken, match="'g' exists with other content.*OR REPLACE GRAPH or replace=True"
    ):
        save(store, "g", graph(y=[0, 1, 2]))
    second = save(store, "g", graph(y=[0, 1, 2]), replace=True)
    assert second != first and [row.graph_id for row in store.graphs()] == [second]
    stored = store.execute("SELECT graph_id FROM nodes UNION SELECT graph_id FROM edges").rows
    assert stored == [(second,)]
    with pytest.raises(InvalidValue, match=f"no graph with graph_id {first}"):
        store.load_graph(first)


def test_what_answers_refer_to_keeps_its_row(store):
    query = begin(store)
    (before,), (model,) = store.graphs(), store.models()
    store.drop("model", "gcn")
    replaced = save(store, "path", graph(y=[0, 1, 2]), replace=True)
    assert store.models() == [] and [row.graph_id for row in store.graphs()] == [replaced]
    assert Graph(**store.load_graph(before.graph_id)).content_hash == before.content_hash
    assert store.load_model("gcn") is None and store.load_model(model.model_id) == model
    assert [(row.query_id, row.model, row.graph) for row in store.queries()] == [
        (query, "gcn", "path")
    ]


def test_the_same_content_under_its_old_name_is_found_again(store):
    begin(store)
    (before,) = store.graphs()
    save(store, "path", graph(y=[0, 1, 2]), replace=True)
    assert save(store, "path", graph(), replace=True) == before.graph_id
    assert store.graphs() == [before]
    assert store.execute("SELECT count(*) FROM graphs").rows == [(1,)]


def test_a_model_keeps_its_graph(store):
    number = save(store, "g", graph())
    store.save_model("gcn", number, "hash", {}, weights=None)
    store.drop("graph", "g")
    assert store.load_graph(number)["x"].shape == (3, 2)
    store.drop("model", "gcn")
    assert (
        store.execute("SELECT graph_id FROM graphs UNION ALL SELECT graph_id FROM nodes").rows == []
    )


def test_unknown_names(store):
    save(store, "cora", graph())
    for act in (lambda: store.load_graph("coar"), lambda: store.drop("graph", "coar")):
        with pytest.raises(UnknownName, match="no graph named 'coar', did you mean 'cora'"):
            act()
    store.drop("graph", "coar", if_exists=True)
    store.drop("graph", "cora")
    assert store.graphs() == [] and store.load_model("gcn") is None


def test_models_come_back_whole(path):
    spec = {"architecture": "gcn", "layers": 3, "options": {"dropout": 0.1, "heads": None}}
    with Store(path) as store:
        number = save(store, "g", graph())
        whole = store.save_model("whole", number, "h1", spec, weights=b"\0\xffweights")
        store.save_model("foreign", number, "h2", {"class": "Mine"}, weights=None)
    with Store(path) as store:
        row = store.load_model("whole")
        assert (row.model_id, row.graph_id, row.content_hash) == (whole, number, "h1")
        assert (row.spec, row.weights) == (spec, b"\0\xffweights")
        foreign = store.load_model("foreign")
        assert foreign.weights is None
        assert store.models() == [foreign, row]
        assert store.save_model("whole", number, "h1", spec, weights=b"") == whole
        other = save(store, "h", graph())  # equal content under another name is another graph
        for graph_id, content in ((number, "other"), (other, "h1")):
            with pytest.raises(NameTaken, match="REPLACE MODEL"):
                store.save_model("whole", graph_id, content, spec, weights=None)
        assert store.save_model("whole", number, "other", spec, weights=None, replace=True) > whole


# queries and answers


def test_a_query_is_pending_until_its_targets_are_saved(store):
    query = begin(store, [1, 2])
    store.save_target(query, report(2, 1, explanation(2), explanation(2, rank=2)))
    rows = store.execute(
        "SELECT target, ordinal, status, prediction, coverage, note FROM targets ORDER BY ordinal"
    ).rows
    assert rows == [(1, 0, "pending", None, None, None), (2, 1, "done", 1, 1.0, "")]
    assert store.execute("SELECT seconds, complete FROM queries").rows == [(None, None)]
    store.finish_query(query, 1.5, np.True_)
    (row,) = store.queries()
    assert (row.query_id, row.model, row.graph, row.targets, row.explanations) == (
        query,
        "gcn",
        "path",
        2,
        2,
    )
    assert (row.seconds, row.complete) == (1.5, True)
    assert (
        abs(
            datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - row.started_at
        ).total_seconds()
        < 60
    )


def test_an_explanation_fills_its_columns(store):
    query = begin(store)
    store.save_target(query, report(1, 0, explanation(tie=True)))
    ((number,),) = store.execute("SELECT explanation_id FROM explanations").rows
    assert store.execute(
        "SELECT explanation_id, query_id, target, rank, size, num_nodes, factual, counterfactual, tie,"
        " generator, dominance, fdl_plus, fdl_minus, conc, raw, scores FROM explanations"
    ).rows == [
        (
            number,
            query,
            1,
            1,
            1,
            2,
            True,
            False,
            True,
            "onion",
            3,
            0.5,
            None,
            0.25,
            {"fdl+": 0.5, "conc": 0.25},
            {"fdl+": 0.5, "conc": 0.75},
        )
    ]
    unmeasured = None, None, None, None
    assert store.execute("SELECT * FROM explanation_edges").rows == [
        (number, 0, 1, 0, 0, *unmeasured),
        (number, 1, 0, 0, 1, *unmeasured),
    ]


def test_targets_that_were_not_reached_are_stored_together(store):
    query = begin(store, targets=range(5))
    store.save_target(query, report(1, 1))
    notes = ["interrupted", "interrupted", "late", "interrupted"]
    unreached = [stopped(i, note) for i, note in zip([0, 1, 2, 4], notes)]
    with pytest.raises(StoreError, match="no target with ordinal 9"):
        store.save_unreached(query, [*unreached, stopped(9, "late")])
    select = "SELECT status, note, complete, candidates FROM targets ORDER BY ordinal"
    assert [row[0] for row in store.execute(select).rows] == [
        "pending",
        "done",
        "pending",
        "pending",
        "pending",
    ]
    for _ in range(2):  # the second time changes nothing
        store.save_unreached(query, unreached)
        rows = store.execute(select).rows
        assert rows[1][0] == "done" and rows[3][0] == "pending"  # stored before; not among them
        assert [rows[i] for i in (0, 2, 4)] == [
            ("stopped", note, False, 0) for note in ("interrupted", "late", "interrupted")
        ]


def test_an_empty_answer_has_its_reason(store):
    query = begin(store, [1])
    store.save_target(
        query, TargetReport(target=1, ordinal=0, status="empty", note="no edge reaches node 1")
    )
    assert store.execute("SELECT status, note FROM targets").rows == [
        ("empty", "no edge reaches node 1")
    ]


def test_a_target_is_stored_once(store):
    query = begin(store, [1])
    for _ in range(2):  # Ctrl-C just after the COMMIT lets the caller try again
        store.save_target(query, report(1, 0, explanation()))
    assert store.execute("SELECT count(*) FROM explanations").rows == [(1,)]
    with pytest.raises(StoreError, match=f"query {query} has no target with ordinal 7"):
        store.save_target(query, report(1, 7))


def test_a_target_that_fails_half_way_stays_pending(store):
    query = begin(store, [1])
    with pytest.raises(StoreError, match="UTF-8"):
        store.save_target(query, report(1, 0, explanation(edges=(("\ud800", "b"),))))
    assert store.execute("SELECT status FROM targets").rows == [("pending",)]
    assert store.execute("SELECT count(*) FROM explanations").rows == [(0,)]
    store.save_target(query, report(1, 0, explanation()))


def test_ids_are_unique_across_queries_and_openings(path):
    for _ in range(2):
        with Store(path) as store:
            for _ in range(2):
                store.save_target(begin(store), report(1, 0, explanation(), explanation(rank=2)))
            found = store.stored_explanations()
    assert [member.explanation_id for member in found] == list(range(1, 9))
    assert [member.query_id for member in found] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_stored_explanations_are_what_audit_needs(store):
    first, second = begin(store), begin(store, settings={"directed": True})
    store.save_target(
        first, report(1, 0, explanation(), explanation(rank=2, edges=((2, 1), (1, 2), (0, 1))))
    )
    store.save_target(second, report(2, 1, explanation(2, factual=False)))
    one, two, three = store.stored_explanations()
    assert [member.query_id for member in (one, two, three)] == [first, first, second]
    assert (two.target, two.rank, two.edges) == (1, 2, ((2, 1), (1, 2), (0, 1)))
    assert two.raw == {"fdl+": 0.5, "conc": 0.25} and two.factual and not two.counterfactual
    assert (two.tie, two.field_size) == (False, 2)
    assert (three.factual, three.settings) == (False, {"directed": True})
    assert (three.model_id, three.graph_id) == (
        store.models()[0].model_id,
        store.graphs()[0].graph_id,
    )
    assert store.stored_explanations(second) == [three]
    with pytest.raises(InvalidValue, match=f"no query 99; the last is {second}"):
        store.stored_explanations(99)


def test_candidates_keep_the_state_graph(store):
    query = begin(store)
    rows = (
        CandidateRow(0, None, None, None, "onion", 4, True, False, True, {"fdl+": np.float32(0.5)}),
        CandidateRow(1, 0, 0, 1, "onion", 3, False, False, False, {"fdl+": 0.25}),
    )
    for _ in range(2):  # the second time it is stored already
        store.save_target(query, dataclasses.replace(report(), kept=rows))
    stored = store.execute("SELECT * FROM candidates ORDER BY candidate").rows
    assert stored == [(query, 1, *row) for row in rows]


def test_what_was_stored_survives_kill(path):
    child = python(
        """
        import os, signal, sys
        from sxq.storage import Store
        from tests.stored_values import begin, explanation, report
        store = Store(sys.argv[1])
        query = begin(store, [1, 2])
        store.save_target(query, report(1, 0, explanation()))
        os.kill(os.getpid(), signal.SIGKILL)
    """,
        path,
    )
    assert child.wait() == -signal.SIGKILL
    with Store(path) as store:
        targets = store.execute("SELECT target, status FROM targets ORDER BY ordinal").rows
        assert targets == [(1, "done"), (2, "interrupted")]
        assert [member.edges for member in store.stored_explanations()] == [((0, 1), (1, 0))]
        assert [(row.status, row.complete) for row in store.queries()] == [("interrupted", False)]


# EXPLAIN ... INTO


def save_into(store, name, columns, types, rows):
    query = begin(store, [1])
    store.finish_query(query, 0.5, True, NewTable(name, columns, types, rows))


def test_into_makes_a_table_of_the_user(store):
    rows = [(1, "it's", {"fdl+": 0.5}), ("k", None, {})]
    types = ["VARIANT", "VARCHAR", "MAP(VARCHAR, DOUBLE)"]
    save_into(store, 'my "table"', ["target", "no te", "raw"], types, rows)
    table = store.execute('SELECT * FROM main."my ""table"""')
    assert (table.columns, table.rows) == (("target", "no te", "raw"), rows)


def test_into_a_taken_name_is_refused_before_the_run(store):
    store.execute(
        "CREATE TABLE mine (i INTEGER); CREATE VIEW seen AS SELECT 1;"
        "CREATE TEMP TABLE fleeting (i INTEGER)"
    )
    for name in ("mine", "MINE", "seen", "fleeting"):
        with pytest.raises(NameTaken, match=f"table '{name}' exists"):
            store.require_free_table(name)
        with pytest.raises(NameTaken):
            save_into(store, name, ["a"], ["INTEGER"], [])
    store.require_free_table("free")
    with pytest.raises(NameTaken, match="one of the engine's own"):
        store.require_free_table("Nodes")
    store.execute(
        "CREATE TABLE nodes AS SELECT 1 AS a"
    )  # the user's own table wins, sxq.nodes stays
    assert store.execute("SELECT * FROM nodes").rows == [(1,)]
    save(store, "g", graph())
    assert store.execute("SELECT count(*) FROM sxq.nodes").rows == [(6,)]


def test_into_with_a_wrong_type_leaves_nothing(store):
    with pytest.raises(StoreError):
        save_into(store, "t", ["a"], ["INTEGER); DROP TABLE sxq.nodes; --"], [])
    with pytest.raises(StoreError):
        save_into(store, "t", ["a"], ["INTEGER"], [("x",)])
    store.require_free_table("t")
    assert [(row.status, row.seconds) for row in store.queries()] == [("running", None)] * 2


# the user's SQL


def test_execute_reads_the_last_result_completely(store):
    store.execute("CREATE TABLE t (i INTEGER)")
    table = store.execute("INSERT INTO t VALUES (1), (2); SELECT i, -i AS j FROM t")
    assert (table.columns, table.types) == (("i", "j"), ("INTEGER", "INTEGER"))
    assert table.rows == [(1, -1), (2, -2)]
    assert store.execute("INSERT INTO t VALUES (3)").rows == [(1,)]
    assert store.execute("-- nothing").columns == ()
    assert store.execute("SELECT i FROM t WHERE false").rows == []


def test_parameters_are_bound(store):
    assert store.execute("SELECT ?, ?", ["it's", np.int64(4)]).rows == [("it's", 4)]
    assert store.execute("SELECT $a, $b", {"a": np.float32(0.5), "b": np.arange(2)}).rows == [
        (0.5, [0, 1])
    ]
    assert store.execute("SELECT ?", (np.bool_(True),)).rows == [(True,)]


def test_df_has_the_types_of_duckdb(store):
    values = [
        "1::INTEGER",
        "1::UTINYINT",
        "1::BIGINT",
        "1::HUGEINT",
        "1.5",
        "1.5::FLOAT",
        "true",
        "'x'",
        "[1]",
        "DATE '2020-01-01'",
        "TIMESTAMP '2020-01-01 01:02:03'",
        "INTERVAL 1 DAY",
        "MAP {'a': 1}",
    ]
    sql = f"SELECT {', '.join(f'{value} AS c' for value in values)}"
    nulls = f"{sql} UNION ALL SELECT {', '.join(['NULL'] * len(values))}"
    for query in (sql, nulls):
        with duckdb.connect() as plain:
            expected = plain.execute(query).df()
        found = store.execute(query).df()
        assert list(found.dtypes.astype(str)) == list(expected.dtypes.astype(str))
        assert list(found.columns) == ["c"] * len(values) and found.shape == expected.shape


def test_sql_errors_are_duckdbs_own(store):
    for sql in ("SELEC 1", "SELECT nothing", "SELECT 'x'::INTEGER", "SELECT ?", "CREATE TABLE (i)"):
        with duckdb.connect() as plain, pytest.raises(duckdb.Error) as expected:
            plain.execute(sql).fetchall()
        with pytest.raises(SQLError) as found:
            store.execute(sql)
        assert str(found.value) == str(expected.value)
        assert isinstance(found.value.__cause__, duckdb.Error)
    assert store.execute("SELECT 1").rows == [(1,)]


WITHOUT_PYTZ = """
import sys

sys.modules["pytz"] = None  # without it, DuckDB cannot hand over times with a zone
import sxq

with sxq.connect() as con:
    try:
        con.execute("SELECT now()")
    except sxq.SQLError as error:
        assert "pytz" in str(error)
    else:
        raise AssertionError("now() was read")
    con.execute("CREATE GRAPH g FROM DATASET 'BA-Shapes'")
    assert con.execute("SELECT 1").rows == [(1,)]
"""


@pytest.mark.slow
def test_a_result_that_python_cannot_read_does_not_block_the_next_statement():
    subprocess.run([sys.executable, "-c", WITHOUT_PYTZ], check=True, timeout=120)


def test_sql_does_not_read_other_python_variables(store):
    """Only frames of pandas, Polars and Arrow: tests/session/test_caller_frames.py."""
    frame = {"secret": np.arange(3)}  # noqa: F841
    with pytest.raises(SQLError, match="frame does not exist"):
        store.execute("SELECT * FROM frame")


def test_interrupt_from_another_thread(store):
    threading.Timer(0.2, store.interrupt).start()
    with pytest.raises(SQLError, match="[Ii]nterrupt"):
        store.execute("SELECT sum(hash(range)) FROM range(100000000000)")
    assert store.execute("SELECT 1").rows == [(1,)]


def test_ctrl_c_stops_the_users_sql(store):
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            store.execute("SELECT sum(hash(range)) FROM range(100000000000)")
    finally:
        signal.signal(signal.SIGINT, previous)
    assert store.execute("SELECT 1").rows == [(1,)]


def test_execute_outside_the_main_thread():
    found = []

    def work():
        with Store() as store:
            found.append(store.execute("SELECT 1").rows)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [[(1,)]]


def test_an_interrupt_that_comes_too_late_stops_nothing(store):
    store.interrupt()
    assert store.execute("SELECT sum(range) FROM range(1000)").rows == [(499500,)]
    save(store, "g", graph())


def test_a_closed_store_says_so():
    store = Store()
    store.close()
    store.close()
    for act in (store.graphs, store.in_transaction, lambda: store.execute("SELECT 1")):
        with pytest.raises(Error, match="closed"):
            act()


# transactions


def test_the_users_transaction_is_noticed(store):
    assert not store.in_transaction()
    store.execute("BEGIN")
    assert store.in_transaction()
    store.execute("CREATE TABLE t (i INTEGER)")
    assert store.in_transaction()
    store.execute("COMMIT")
    assert not store.in_transaction() and store.execute("SELECT * FROM t").rows == []
    store.execute("BEGIN")
    with pytest.raises(SQLError):
        store.execute("SELECT 'x'::INTEGER")
    assert store.in_transaction()  # aborted, and still waiting for ROLLBACK
    store.execute("ROLLBACK")
    assert not store.in_transaction()


def test_what_stores_says_commit_first(store):
    query = begin(store)
    store.execute("BEGIN")
    store.execute("CREATE TABLE t AS SELECT 1 AS i")
    with pytest.raises(TransactionOpen, match="EXPLAIN stores.*COMMIT first"):
        store.require_writable("EXPLAIN")
    for act in (
        lambda: save(store, "g", graph()),
        lambda: store.drop("graph", "path"),
        lambda: store.save_target(query, report()),
        lambda: save_into(store, "u", ["a"], ["INTEGER"], []),
    ):
        with pytest.raises(TransactionOpen):
            act()
    assert len(store.graphs()) == 1  # reading is allowed
    store.execute("COMMIT")
    store.require_writable("EXPLAIN")
    assert store.execute("SELECT * FROM t").rows == [(1,)]


# the file


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sxq.duckdb", "main.db", "memory.db", "q\"u'o.te,d.db"])
def test_any_file_name_will_do(tmp_path, name):
    for _ in range(2):
        with Store(str(tmp_path / name)) as store:
            query = begin(store)
            store.save_target(query, report(1, 0, explanation()))
            store.execute("CREATE TABLE IF NOT EXISTS mine AS SELECT node FROM nodes")
            store.execute("SELECT * FROM explanation_edges JOIN mine ON src = node")
    assert query == 2


def test_the_users_names_do_not_disturb_the_engine(store):
    store.execute(
        "CREATE TABLE nodes (i INTEGER); CREATE TABLE graphs (i INTEGER);"
        "CREATE TEMP TABLE incoming (i INTEGER); CREATE SCHEMA other;"
        "CREATE TABLE other.targets (i INTEGER); USE other"
    )
    query = begin(store)
    store.save_target(query, report(1, 0, explanation()))
    assert len(store.graphs()) == 1 and len(store.stored_explanations()) == 1


@pytest.mark.slow
def test_locked_by_another_process(path):
    child = python(f"{HOLD}; input()", path)
    child.stdout.readline()
    try:
        with pytest.raises(DatabaseLocked, match=f"PID {child.pid}"):
            Store(path)
    finally:
        child.communicate("\n")
    Store(path).close()


def test_a_lock_that_is_let_go_is_waited_for(path):
    child = python(f"{HOLD}; import time; time.sleep(0.3)", path)
    child.stdout.readline()
    Store(path).close()
    child.communicate()


def test_not_a_database(tmp_path):
    text, empty, other = tmp_path / "notes.txt", tmp_path / "empty.db", tmp_path / "other.sqlite"
    text.write_text("hello, this is not a database")
    empty.touch()
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (i)")
    for path, found in (
        (text, "starts with b'hello"),
        (empty, "is empty"),
        (other, "starts with b'SQLite"),
        (tmp_path, "is a directory"),
    ):
        with pytest.raises(StoreError, match=found):
            Store(str(path))
    assert text.read_text().startswith("hello")


def test_missing_places(tmp_path):
    with pytest.raises(StoreError, match="there is no directory .*nowhere.*create it first"):
        Store(str(tmp_path / "nowhere" / "tx.duckdb"))
    with pytest.raises(StoreError, match="open it without read_only to create it"):
        Store(str(tmp_path / "tx.duckdb"), read_only=True)
    with pytest.raises(StoreError, match="in-memory"):
        Store(read_only=True)


def test_read_only(path):
    duckdb.connect(path).close()
    with pytest.raises(StoreError, match="holds no tables of sxq"):
        Store(path, read_only=True)
    with Store(path) as store:
        save(store, "g", graph())
    with Store(path, read_only=True) as one, Store(path, read_only=True) as two:
        assert one.graphs() == two.graphs() and one.read_only
        with pytest.raises(
            StoreError, match="EXPLAIN stores, but the database was opened read-only"
        ):
            one.require_writable("EXPLAIN")
        with pytest.raises(StoreError, match="read-only"):
            save(one, "h", graph())
        with pytest.raises(SQLError, match="read-only"):
            one.execute("CREATE TABLE t (i INTEGER)")


def test_tables_of_another_version_are_refused(path):
    Store(path).close()
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE sxq.schema_version SET version = 99")
    with pytest.raises(
        StoreError, match="have version 99, and this program knows only up to version 6"
    ):
        Store(path)
    with duckdb.connect(path) as connection:
        connection.execute("DROP TABLE sxq.schema_version")
    with pytest.raises(StoreError, match="candidates, edge_types.*no schema_version"):
        Store(path)


def test_a_database_of_the_user_gets_the_tables(path):
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 42 AS id")
    with Store(path) as store:
        save(store, "g", graph(keys=[1, 42, 3]))
        assert store.execute("SELECT position FROM mine JOIN nodes ON node = id").rows == [(1,)]


def test_every_column_is_documented(store):
    names = {
        name
        for (name,) in store.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'sxq'"
        ).rows
    }
    scripts = [
        files("sxq.storage").joinpath(name).read_text() for name in ("schema.sql", "views.sql")
    ]
    for line in "\n".join(scripts).splitlines():
        first = line.strip().split(" ")[0]
        assert first not in names or " -- " in line, line
