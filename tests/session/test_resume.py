"""RESUME QUERY goes on where a query was cut short, and DROP QUERY deletes one whole."""

import os
import signal

import numpy as np
import pytest

import sxq
from sxq.session import commits
from tests import graphs, toys

ASKED = (
    "EXPLAIN NODES 0, 1, 2, 3, 4, 5 USING MODEL m OPTIMIZE fdl+, conc EPSILON 0.05 TOP 3 SEED 4 "
    "BUDGET 60 CANDIDATES"
)
FOUND = """SELECT t.target, t.ordinal, t.status, t.candidates, e.rank, e.raw, e.scores
           FROM targets t LEFT JOIN explanations e USING (query_id, target)
           WHERE query_id = ? ORDER BY ALL"""


def opened(path):
    con = sxq.connect(str(path))
    con.register_graph("g", graphs.random_graph(np.random.default_rng(0), features=2))
    con.register_model("m", toys.Votes(layers=2), "g")
    return con


def cut_short(con, after, text=ASKED, parameters=None):
    """Run a statement until so many targets are stored, then kill the process that does it."""
    commits.TOGETHER = 0  # each target is stored alone; this process ends here
    save = con.session.store.save_target
    stored = []

    def then_die(*arguments):
        save(*arguments)
        stored.append(arguments)
        if len(stored) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    con.session.store.save_target = then_die
    con.execute(text, parameters)


def killed(path, after, text=ASKED, parameters=None):
    """The same in a forked process that opens the file."""
    child = os.fork()
    if not child:
        try:
            cut_short(opened(path), after, text, parameters)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def rows(con, query):
    return con.sql(FOUND, [query]).fetchall()


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("after", [1, 4])
def test_after_kill_9_it_gives_what_the_whole_query_gives(tmp_path, after):
    killed(tmp_path / "a.duckdb", after)
    with opened(tmp_path / "a.duckdb") as con:
        con.execute("SET sxq_resolution = 0.2")  # the query had 0.01
        before = rows(con, 1)
        done = [row for row in before if row[2] != "interrupted"]
        assert len({row[0] for row in done}) == after
        result = con.execute("RESUME QUERY 1")
        assert result.query_id == 1 and len(result.targets) == 6 - after
        con.execute("RESET sxq_resolution")
        con.execute(ASKED)
        assert rows(con, 1) == rows(con, 2)
        assert (
            con.sql("SELECT status, complete FROM queries").fetchall()
            == [("done", result.complete)] * 2
        )
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        assert "nothing to resume" in con.execute("RESUME QUERY 1").notes()[0]


@pytest.mark.slow
def test_with_values_and_restrictions_of_the_query(tmp_path):
    text = (
        "EXPLAIN NODES ? USING MODEL m OPTIMIZE fdl+, conc EXCLUDE (SELECT src, dst FROM edges "
        "WHERE src = ? LIMIT 1) TOP ? BUDGET ? CANDIDATES BY random SEED ?"
    )
    values = [[3, 1, 0], 1, 2, 10, 5]
    killed(tmp_path / "a.duckdb", 1, text, values)
    with opened(tmp_path / "a.duckdb") as con:
        con.execute("RESUME QUERY ?", [1])
        con.execute(text, values)
        assert rows(con, 1) == rows(con, 2)
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "over,include,exclude", [("NODES", [], [7, 8]), ("FEATURES", ["x[1]"], [0])]
)
def test_with_nodes_and_features_that_are_restricted(tmp_path, over, include, exclude):
    text = ASKED.replace("OPTIMIZE", f"OVER {over} OPTIMIZE") + f" EXCLUDE {over} ?"
    text += f" INCLUDE {over} ?" if include else ""
    values = [exclude, include] if include else [exclude]
    killed(tmp_path / "a.duckdb", 2, text, values)
    with opened(tmp_path / "a.duckdb") as con:
        con.execute("RESUME QUERY 1")
        con.execute(text, values)
        assert rows(con, 1) == rows(con, 2) and len(rows(con, 1))
        assert con.execute("AUDIT STRUCTURE").findings == 0


@pytest.mark.slow
def test_failed_targets_are_tried_again_and_stopped_ones_keep_their_answer(tmp_path):
    with opened(tmp_path / "a.duckdb") as con:
        con.execute(ASKED)
        con.sql("DELETE FROM sxq.explanations WHERE target = 2")
        con.sql(
            "DELETE FROM sxq.explanation_edges WHERE explanation_id NOT IN (SELECT explanation_id FROM sxq.explanations)"
        )
        con.sql("UPDATE sxq.targets SET status = 'failed' WHERE target = 2")
        assert [r.target for r in con.execute("RESUME QUERY 1").targets] == [2]
        con.execute(ASKED)
        assert rows(con, 1) == rows(con, 2)
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        con.sql("UPDATE sxq.targets SET status = 'stopped' WHERE target = 2")
        stored = con.execute("RESUME QUERY 1")
        assert "its answer, 1 from a search that was stopped" in stored.notes()[0]


@pytest.mark.slow
def test_targets_that_an_interrupt_left_out(tmp_path):
    with opened(tmp_path / "a.duckdb") as con:
        save = con.session.store.save_target

        def interrupted(*arguments):
            save(*arguments)
            con.interrupt()

        con.session.store.save_target = interrupted
        con.execute("EXPLAIN NODES (SELECT node FROM nodes) USING MODEL m OPTIMIZE conc BY random")
        del con.session.store.save_target
        statuses = "SELECT status, count(*) FROM targets GROUP BY ALL"
        first = dict(con.sql(statuses).fetchall())
        if "stopped" not in first:
            pytest.skip("all targets ended before the interrupt was heard")
        con.execute("RESUME QUERY 1")
        assert con.sql("SELECT count(*) FROM targets WHERE candidates IS NULL").fetchone() == (0,)
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


@pytest.mark.slow
def test_it_may_be_cut_short_again(tmp_path):
    killed(tmp_path / "a.duckdb", 2)
    killed(tmp_path / "a.duckdb", 1, "RESUME QUERY 1")
    with opened(tmp_path / "a.duckdb") as con:
        assert len(con.execute("RESUME QUERY 1").targets) == 3
        con.execute(ASKED)
        assert rows(con, 1) == rows(con, 2)


@pytest.mark.parametrize(
    "text, words",
    [
        (ASKED.replace("TOP 3", "TOP 6 JOINTLY"), "JOINTLY needs all targets at once"),
        ("EXPLAIN CLASS 0 USING MODEL m OPTIMIZE conc BUDGET 40 CANDIDATES", "EXPLAIN CLASS needs"),
    ],
)
def test_what_needs_all_targets_is_refused(tmp_path, text, words):
    with opened(tmp_path / "a.duckdb") as con:
        con.execute(text)
        con.sql("UPDATE sxq.targets SET status = 'interrupted' WHERE ordinal = 1")
        with pytest.raises(sxq.InvalidValue, match=words):
            con.execute("RESUME QUERY 1")


@pytest.mark.slow
def test_a_query_of_a_replaced_model_is_refused(tmp_path):
    killed(tmp_path / "a.duckdb", 2)
    with opened(tmp_path / "a.duckdb") as con:
        con.register_model("m", toys.Votes(layers=1), "g", replace=True)
        with pytest.raises(sxq.InvalidValue, match="query 1 asked another model than 'm' is now"):
            con.execute("RESUME QUERY 1")
        with pytest.raises(sxq.InvalidValue, match="no query 7; the last is 1"):
            con.execute("RESUME QUERY 7")
        with pytest.raises(sxq.InvalidValue, match=r"QUERY 1\.5; expected the number"):
            con.execute("RESUME QUERY 1.5")


@pytest.mark.slow
def test_dropping_a_query_leaves_nothing_of_it(tmp_path):
    with opened(tmp_path / "a.duckdb") as con:
        con.execute("SET sxq_keep_candidates = true")
        con.execute(ASKED)
        con.execute("EXPLAIN CLASS 0 USING MODEL m OPTIMIZE fdl+, conc BUDGET 40 CANDIDATES")
        con.execute(ASKED)
        kept = rows(con, 3)
        con.execute("DROP QUERY 2")
        con.execute("DROP QUERY 1")
        tables = con.sql(
            "SELECT table_name FROM duckdb_columns() WHERE schema_name = 'sxq' AND NOT internal "
            "AND column_name = 'query_id' AND table_name IN (SELECT table_name FROM duckdb_tables())"
        ).fetchall()
        assert len(tables) >= 8
        for (table,) in tables:
            left = con.sql(f"SELECT DISTINCT query_id FROM sxq.{table}").fetchall()
            assert left in ([], [(3,)]), table
        assert rows(con, 3) == kept
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        with pytest.raises(sxq.InvalidValue, match="no query 2; the last is 3"):
            con.execute("DROP QUERY 2")


def test_dropping_the_last_query_of_a_replaced_graph_deletes_the_graph(tmp_path):
    with opened(tmp_path / "a.duckdb") as con:
        con.execute(ASKED)
        con.execute("DROP MODEL m")
        other = graphs.random_graph(np.random.default_rng(1), features=2)
        con.register_graph("g", other, replace=True)
        assert con.sql("SELECT count(*) FROM sxq.graphs").fetchone() == (2,)
        con.execute("DROP QUERY 1")
        assert con.sql("SELECT count(*) FROM sxq.graphs").fetchone() == (1,)
