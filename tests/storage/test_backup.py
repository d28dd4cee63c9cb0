"""Copies of a whole database, and what a killed process leaves in one."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import duckdb
import pytest

import sxq
from sxq.__main__ import main
from sxq.errors import NameTaken, SQLError, StoreError
from sxq.execution import executor

CLUB = """
    CREATE TABLE people AS SELECT 'p' || i AS id, CAST(i % 4 AS DOUBLE) AS age, i % 2 AS label FROM range(6) t(i);
    CREATE TABLE calls AS SELECT 'p' || i AS caller, 'p' || ((i + 1) % 6) AS callee FROM range(6) t(i);
    CREATE VIEW adults AS FROM people WHERE age > 1;
    CREATE SEQUENCE numbers;
    CREATE GRAPH g FROM NODES (FROM people) EDGES (FROM calls) (UNDIRECTED = true);
    TRAIN MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 4, EPOCHS = 2)"""
EXPLAIN = "EXPLAIN NODE 'p1' USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES"
ALL = "SELECT schema_name, table_name FROM duckdb_tables() ORDER BY ALL"


def content(path):
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute(ALL).fetchall()
        return {
            name: connection.execute(f"FROM {'.'.join(name)} ORDER BY ALL").fetchall()
            for name in names
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "club.duckdb"
    with sxq.connect(str(path)) as con:
        con.execute(f"{CLUB}; {EXPLAIN}; SELECT nextval('numbers')")
    return path


@pytest.fixture
def club(made, tmp_path):
    return shutil.copy(made, tmp_path / "club.duckdb")


def assert_usable(path, query_id):
    with sxq.connect(str(path)) as con:
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        assert con.query(EXPLAIN).query_id == query_id
        assert con.execute("SELECT nextval('numbers'), count(*) FROM adults").rows == [(2, 2)]
        ids = con.sql("SELECT explanation_id FROM explanations").rows
        assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_the_command_copies_a_database_that_nobody_has_open(club, tmp_path, capsys):
    copy = tmp_path / "copy.duckdb"
    assert main(["backup", str(club), str(copy)]) == 0
    assert content(copy) == content(club)
    assert_usable(copy, 2)
    before = copy.read_bytes()
    assert main(["backup", str(club), str(copy)]) == 1
    assert "exists; a copy never replaces a file" in capsys.readouterr().err
    assert copy.read_bytes() == before
    assert main(["backup", str(tmp_path / "none.duckdb"), str(tmp_path / "x.duckdb")]) == 1
    assert main(["backup", str(club), str(tmp_path / "no" / "x.duckdb")]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["club.duckdb", "copy.duckdb"]


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("path", [None, "club.duckdb"])
def test_an_open_database_copies_what_is_committed(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sxq.connect(path) as con:
        con.execute(f"{CLUB}; {EXPLAIN}; SELECT nextval('numbers')")
        con.execute("BEGIN; CREATE TABLE unfinished AS SELECT 1 AS one")
        con.backup("copy.duckdb")
        con.execute("COMMIT")
        with pytest.raises(NameTaken):
            con.backup("copy.duckdb")
        assert con.execute("FROM unfinished").rows == [(1,)]
        assert con.query(EXPLAIN).query_id == 2
        assert len(con.execute("SHOW DATABASES")) == 1
    assert ("main", "unfinished") not in content("copy.duckdb")
    assert_usable("copy.duckdb", 2)


def test_a_copy_that_fails_leaves_nothing(club, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with sxq.connect(str(club)) as con, pytest.raises(StoreError, match="No space left"):
        con.backup(tmp_path / "copy.duckdb")
    assert not [path for path in tmp_path.iterdir() if "club" not in path.name]


@pytest.mark.slow
def test_duckdbs_own_export_is_refused_and_its_copy_works(club, tmp_path):
    """EXPORT DATABASE would say that it succeeded, and IMPORT DATABASE could not read it."""
    with sxq.connect(str(club)) as con:
        for statement in (
            "EXPORT DATABASE '{}'",
            "/* all */ export database '{}' (FORMAT parquet)",
        ):
            with pytest.raises(StoreError, match="sxq backup FROM TO"):
                con.execute(statement.format(tmp_path / "exported"))
        con.execute("SELECT 'EXPORT DATABASE' AS export")
        with pytest.raises(SQLError):
            con.execute("IMPORT DATABASE 'nowhere'")
        con.execute(f"ATTACH '{tmp_path / 'other.duckdb'}' AS other")
        con.execute("COPY FROM DATABASE club TO other; DETACH other")
    assert not (tmp_path / "exported").exists()
    assert_usable(tmp_path / "other.duckdb", 2)


# killed processes

KILLED = """
    import os, signal, sys
    import sxq
    from sxq.storage import store
    def die(*arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)
    con = sxq.connect(sys.argv[1])
    store.append = die  # it would fill the table of INTO
    con.execute(sys.argv[2] + " INTO found")
"""


@pytest.mark.slow
def test_a_query_ends_with_its_table_or_is_interrupted(club):
    code = textwrap.dedent(KILLED)
    child = subprocess.run([sys.executable, "-c", code, str(club), EXPLAIN])
    assert child.returncode == -signal.SIGKILL
    with sxq.connect(str(club)) as con:
        assert [row[-1] for row in con.execute("SHOW QUERIES")] == ["done", "interrupted"]
        assert con.sql("SELECT complete FROM queries WHERE query_id = 2").rows == [(False,)]
        tables = con.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'").rows
        assert ("found",) not in tables
        assert con.sql("SELECT status FROM targets").rows == [("done",), ("done",)]
        con.execute(f"{EXPLAIN} INTO found")
        assert len(con.execute("FROM found")) == len(con.last_result)


def test_a_table_that_cannot_be_made_leaves_an_ended_query(club, monkeypatch):
    monkeypatch.setattr(executor, "REPORT_EVERY", 0)
    with sxq.connect(str(club)) as con, sxq.connect(str(club)) as other:
        con.report = lambda _: other.execute("CREATE TABLE IF NOT EXISTS found AS SELECT 1 AS mine")
        with pytest.raises(NameTaken, match="'found' exists"):
            con.execute(f"{EXPLAIN} INTO found")
        con.report = None
        assert [row[-1] for row in con.execute("SHOW QUERIES")] == ["done", "done"]
        assert con.execute("FROM found").rows == [(1,)]


@pytest.mark.slow
def test_a_second_connection_does_not_end_the_queries_of_the_first(club, monkeypatch):
    monkeypatch.setattr(executor, "REPORT_EVERY", 0)
    seen = []

    def open_again(_):
        with sxq.connect(str(club)) as other:
            seen.append(other.execute("SHOW QUERIES").rows[-1][-1])

    with sxq.connect(str(club)) as con:
        con.report = open_again
        con.execute(EXPLAIN)
        assert seen[0] == "running"
        assert [row[-1] for row in con.execute("SHOW QUERIES")] == ["done", "done"]
        assert con.sql("SELECT DISTINCT status FROM targets").rows == [("done",)]


def test_a_second_connection_keeps_the_lock_of_the_first(club):
    """A process loses its lock on a file when it closes any handle of it, also one that only read."""
    ask = f"import duckdb; duckdb.connect({str(club)!r})"
    with sxq.connect(str(club)):
        sxq.connect(str(club)).close()
        child = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    assert "Could not set lock" in child.stderr
