"""FROM df finds the caller's frames where DuckDB would: a bare name that is no table, spelt as the variable is."""

import pandas
import pytest

import sxq
from sxq.errors import InvalidValue

everywhere = pandas.DataFrame({"a": [7]})  # a variable of the module


@pytest.fixture
def con():
    with sxq.connect() as con:
        yield con


def test_a_frame_of_the_caller_is_a_table(con):
    df = pandas.DataFrame({"a": [1, 2]})
    assert con.execute("SELECT sum(a) FROM df").fetchone() == (3,)
    assert con.execute("WITH q AS (FROM df) SELECT count(*) FROM q, everywhere, df").fetchone() == (
        4,
    )
    assert con.execute("SELECT (SELECT max(a) FROM df) + x.a FROM everywhere x").fetchone() == (9,)
    con.execute(
        "CREATE TABLE kept AS FROM df; INSERT INTO kept SELECT a + 1 FROM df WHERE a = ?", [2]
    )
    df = df.assign(a=100)
    assert con.execute("SELECT max(a) FROM df").fetchone() == (100,)
    assert con.execute("FROM kept ORDER BY a").rows == [(1,), (2,), (3,)]
    assert con.execute("SELECT count(*) FROM duckdb_views() WHERE view_name = 'df'").fetchone() == (
        0,
    )


def test_a_table_of_that_name_comes_first(con):
    df = pandas.DataFrame({"a": [1]})
    con.execute("CREATE TABLE df AS SELECT 5 AS a")
    assert con.execute("FROM df").fetchone() == (5,)
    con.execute(
        "DROP TABLE df; CREATE TABLE IF NOT EXISTS other AS FROM df; DROP TABLE IF EXISTS df"
    )
    assert con.execute("FROM other").fetchone() == (1,)
    nodes = df  # schema sxq has a table of that name
    assert "graph_id" in con.execute("FROM nodes").columns and len(nodes) == 1
    con.register_table("df", pandas.DataFrame({"a": [8]}))
    assert con.execute("FROM df").fetchone() == (8,)


@pytest.mark.parametrize(
    "sql",
    [
        "FROM DF",
        "FROM main.df",
        "FROM within",
        "FROM series",
        "FROM words",
        "FROM df(3)",
        "TABLE nowhere",
    ],
)
def test_what_duckdb_would_not_find(con, sql):
    df = pandas.DataFrame({"a": [1]})
    series, words = df.a, ["a"]

    def enclosing():
        within = df
        return within

    enclosing()
    with pytest.raises(sxq.SQLError, match="does not exist|is not"):
        con.execute(sql)
    assert len(series) == len(words)


def test_a_failed_statement_leaves_nothing_behind(con):
    df = pandas.DataFrame({"a": [1]})
    for sql in ("SELECT nowhere FROM df", "FROM df, nowhere", "SELECT FROM df WHERE"):
        with pytest.raises(sxq.SQLError):
            con.execute(sql)
    con.execute("BEGIN; CREATE TABLE t AS FROM df")
    with pytest.raises(sxq.SQLError):
        con.execute("SELECT nowhere FROM df")
    con.execute("ROLLBACK")
    assert con.execute("FROM df").fetchone() == (1,)
    con.execute("BEGIN; CREATE TABLE t AS FROM df; COMMIT")
    assert con.execute("FROM t").fetchone() == (1,)
    del df
    with pytest.raises(sxq.SQLError, match="df does not exist"):
        con.execute("FROM df")


@pytest.mark.parametrize(
    "sql", ["CREATE VIEW v AS FROM df", "CREATE OR REPLACE TEMP VIEW v AS SELECT a FROM df"]
)
def test_a_view_of_a_variable_is_refused(con, sql):
    df = pandas.DataFrame({"a": [1]})
    with pytest.raises(
        sxq.InvalidValue, match="'df' is a Python variable, .*CREATE TABLE .* AS FROM df"
    ):
        con.execute(sql)
    assert len(df) == 1


def test_sub_queries_find_frames_too(con):
    accounts = pandas.DataFrame(  # noqa: F841 - SQL reads it
        {"id": ["a", "b", "c"], "amount": [1.0, 2.0, 3.0], "label": [0, 1, 0]}
    )
    moves = pandas.DataFrame({"payer": ["a", "b"], "payee": ["b", "c"]})
    con.execute("CREATE GRAPH g FROM NODES (FROM accounts) EDGES (SELECT payer, payee FROM moves)")
    found = con.execute(
        "SELECT node, n.amount FROM g.nodes n JOIN accounts ON id = node ORDER BY 1"
    )
    assert found.rows == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    con.execute("TRAIN MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 1, EPOCHS = 1)")
    asked = moves.rename(columns={"payee": "node"})
    assert (
        len(con.execute("PREDICT NODES (SELECT node FROM asked) USING MODEL m")) == 2 == len(asked)
    )


def test_strangers_see_no_variables():
    df = pandas.DataFrame({"a": [1]})
    with sxq.connect(untrusted=True) as con, pytest.raises(sxq.SQLError, match="does not exist"):
        con.execute("FROM df")
    assert len(df) == 1


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries(con, library):
    made = pytest.importorskip(library)
    table = made.DataFrame({"a": [1, 2]}) if library == "polars" else made.table({"a": [1, 2]})
    assert con.execute('SELECT sum(a) FROM "table"').fetchone() == (3,)
    if library == "polars":
        lazy = table.lazy()
        assert con.execute("SELECT sum(a) FROM lazy").fetchone() == (3,)
        assert lazy is not None


@pytest.mark.parametrize(
    "frame", [pandas.DataFrame({"a": [1j]}), pandas.DataFrame()], ids=["complex", "no column"]
)
def test_a_frame_that_duckdb_does_not_read_is_named(con, frame):
    with pytest.raises(InvalidValue, match="table 'frame' is pandas's DataFrame.*convert columns"):
        con.execute("FROM frame")
    with pytest.raises(InvalidValue, match="table 'own' is pandas's DataFrame.*convert columns"):
        con.register_table("own", frame)
    assert con.execute("SELECT 1").fetchone() == (1,)
