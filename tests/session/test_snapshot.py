"""SET sxq_snapshot: other processes read the answers while this one holds the file."""

import os
import subprocess
import sys

import duckdb
import pytest

import sxq
from sxq.session import snapshots
from tests import toys

EXPLAIN = "EXPLAIN NODES {} USING MODEL votes OPTIMIZE fdl+, fdl-, conc TOP 2"


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sxq.connect("own.duckdb") as con:
        con.register_graph("payments", toys.payments_data())
        con.register_model("votes", toys.Votes(), "payments")
        yield con


def verdicts(con, statement):
    return {row[-1] for row in con.execute(statement).rows}


def seen(path="seen.duckdb"):
    with sxq.connect(path, read_only=True) as reader:
        return reader.execute("SELECT count(*) FROM explanations").fetchone()[0]


@pytest.mark.slow
def test_another_process_reads_what_was_stored(own):
    own.execute("SET sxq_snapshot = 'seen.duckdb'")
    own.execute(EXPLAIN.format("0, 3"))
    text = "import sxq; print(len(sxq.connect('seen.duckdb', read_only=True).execute('FROM explanations').rows))"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    rows = own.execute("SELECT count(*) FROM explanations").fetchone()[0]
    assert int(found.stdout) == rows > 0
    assert verdicts(own, "AUDIT") == {"ok"}
    with sxq.connect("seen.duckdb", read_only=True) as reader:
        reader.register_model("votes", toys.Votes(), "payments")
        assert verdicts(reader, "AUDIT") == {"ok"}


def test_it_is_written_after_each_statement_that_stores_and_only_then(own):
    own.execute("SET sxq_snapshot = 'seen.duckdb'")
    first = os.stat("seen.duckdb").st_ino
    own.execute("SELECT 1; SHOW QUERIES")
    assert os.stat("seen.duckdb").st_ino == first
    own.execute("CREATE TABLE mine AS SELECT 7 AS a")
    with duckdb.connect("seen.duckdb", read_only=True) as reader:
        assert reader.execute("SELECT a FROM mine").fetchone() == (7,)
    own.execute("BEGIN; UPDATE mine SET a = 8")
    own.execute("COMMIT")
    with duckdb.connect("seen.duckdb", read_only=True) as reader:
        assert reader.execute("SELECT a FROM mine").fetchone() == (8,)


@pytest.mark.slow
def test_a_reader_keeps_what_it_has_open(own):
    own.execute("SET sxq_snapshot = 'seen.duckdb'")
    with sxq.connect("seen.duckdb", read_only=True) as reader:
        own.execute(EXPLAIN.format("3"))
        assert reader.execute("SELECT count(*) FROM explanations").fetchone() == (0,)
    assert seen() > 0


@pytest.mark.slow
def test_a_long_statement_writes_it_as_targets_end(own, monkeypatch):
    monkeypatch.setattr(snapshots, "EVERY", 0.0)
    monkeypatch.setattr(snapshots, "SHARE", 0)
    monkeypatch.setattr("sxq.session.commits.TOGETHER", 0.0)
    own.execute("SET sxq_snapshot = 'seen.duckdb'")
    written = []
    monkeypatch.setattr(snapshots, "write", lambda session, path: written.append(path))
    own.execute(EXPLAIN.format("0, 1, 2, 3"))
    assert len(written) > 2


def test_no_other_file_is_replaced(own):
    duckdb.connect("theirs.duckdb").close()
    open("notes.txt", "w").write("dear diary")
    os.link("own.duckdb", "same.duckdb")
    for path, said in (
        ("theirs.duckdb", "is no snapshot"),
        ("notes.txt", "is no snapshot"),
        ("own.duckdb", "is the database itself"),
        ("same.duckdb", "is the database itself"),
        (".", "is no snapshot"),
    ):
        with pytest.raises(sxq.InvalidValue, match=said):
            own.execute(f"SET sxq_snapshot = '{path}'")
    with pytest.raises(sxq.StoreError, match="no directory"):
        own.execute("SET sxq_snapshot = 'nowhere/seen.duckdb'")
    with pytest.raises(sxq.InvalidValue, match="expected the name of a file"):
        own.execute("SET sxq_snapshot = 7")
    assert open("notes.txt").read() == "dear diary"
    assert own.execute("SHOW SETTINGS").df().set_index("setting").value["sxq_snapshot"] == ""
    assert not [name for name in os.listdir() if name.startswith(".sxq")]


@pytest.mark.slow
def test_a_snapshot_that_cannot_be_written_warns_and_the_statement_goes_on(own):
    os.mkdir("there")
    own.execute("SET sxq_snapshot = 'there/seen.duckdb'")
    os.remove("there/seen.duckdb")
    os.rmdir("there")
    with pytest.warns(
        sxq.StoreWarning, match="the snapshot was not written: there is no directory"
    ):
        own.execute(EXPLAIN.format("3"))
    assert own.execute("SELECT count(*) FROM explanations").fetchone()[0] > 0


@pytest.mark.slow
def test_graphs_on_disk_are_read_through_the_snapshot(own):
    own.execute("SET sxq_snapshot = 'seen.duckdb'")
    own.register_graph("big", toys.payments_data(), storage="disk")
    own.register_model("far", toys.Votes(), "big")
    own.execute("EXPLAIN NODES 3 USING MODEL far OPTIMIZE fdl+, conc TOP 2")
    with sxq.connect("seen.duckdb", read_only=True) as reader:
        reader.register_model("far", toys.Votes(), "big")
        assert verdicts(reader, "AUDIT QUERY 1") == {"ok"}
    own.execute("DROP QUERY 1; DROP MODEL far; DROP GRAPH big")
    assert not os.path.exists("seen.duckdb.graphs")
    assert seen() == 0


def test_read_only_and_untrusted_connections_write_none(own):
    own.close()
    with sxq.connect("own.duckdb", read_only=True) as reader:
        with pytest.raises(sxq.StoreError, match="opened read-only"):
            reader.execute("SET sxq_snapshot = 'seen.duckdb'")
    with sxq.connect("own.duckdb", untrusted=True) as stranger:
        with pytest.raises(sxq.NotAllowed):
            stranger.execute("SET sxq_snapshot = 'seen.duckdb'")
    assert not os.path.exists("seen.duckdb")


def test_a_copy_that_is_called_like_a_graph_opens_read_only(own):
    own.backup("payments.duckdb")
    with sxq.connect("payments.duckdb", read_only=True) as reader:
        assert len(reader.execute("FROM payments.payments.nodes").rows) == 6
