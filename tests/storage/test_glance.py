"""The first rows of a statement that only reads, whatever the rights of the connection."""

import pytest

import sxq
from sxq.language import statements as st
from sxq.session.glance import glance, read_only_statement


@pytest.fixture(params=["memory", "file", "untrusted"])
def con(request, tmp_path):
    path = None if request.param == "memory" else str(tmp_path / "a.duckdb")
    with sxq.connect(path, untrusted=request.param == "untrusted") as con:
        con.execute("CREATE TABLE t AS FROM range(10); CREATE SEQUENCE s")
        yield con


def first(con, sql, most):
    found = glance(con.session, sql, most)
    return found.rows, found.cut


def test_the_first_rows_and_whether_there_are_more(con):
    assert first(con, "FROM t ORDER BY range DESC", 3) == ([(9,), (8,), (7,)], True)
    assert first(con, "FROM t LIMIT 3", 3) == ([(0,), (1,), (2,)], False)
    assert first(con, "FROM t WHERE range > 99", 3) == ([], False)
    assert len(first(con, "FROM range(10000000)", 1000)[0]) == 1000
    assert con.execute("SELECT count(*) FROM t").rows == [(10,)]  # nothing is left open


@pytest.mark.parametrize(
    "sql",
    [
        "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone",
        "SELECT nextval('s')",
        "EXPLAIN ANALYZE DELETE FROM t",
        "DELETE FROM t",
        "SELECT 1; DELETE FROM t",
        "DELETE FROM t; SELECT 1",
        "COMMIT",
        "SELECT 1; COMMIT; DELETE FROM t",
        "CREATE TABLE u AS SELECT 1",
        "SELECT 1 FROM nothing",
        "SELECT 1 FROM",
    ],
)
def test_nothing_is_written_and_the_connection_stays_usable(con, sql):
    with pytest.raises(sxq.Error):
        first(con, sql, 10)
    assert con.execute("SELECT count(*) FROM t").rows == [(10,)]
    assert con.execute("SELECT nextval('s')").rows == [(1,)]
    assert not con.session.store.in_transaction()


def test_statements_of_sxq_that_only_read():
    for text in (
        "SHOW QUERIES",
        "DESCRIBE GRAPH g",
        "PLAN EXPLAIN NODE 1 USING MODEL m OPTIMIZE conc",
    ):
        assert not isinstance(read_only_statement(text), st.Sql)
    assert read_only_statement("SELECT 1;") == st.Sql("SELECT 1")
    for text in ("AUDIT", "DROP GRAPH g", "SET sxq_budget = 1", "RESUME QUERY 1", "DROP QUERY 1"):
        with pytest.raises(sxq.InvalidValue, match=f"{text.split()[0]} is not run here"):
            read_only_statement(text)
