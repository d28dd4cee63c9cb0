"""ALTER GRAPH and REFRESH of a graph on disk: the same versions and answers as of a graph in memory."""

import os

import pytest

import sxq
from sxq.errors import InvalidValue
from sxq.graph.disk import DiskGraph
from sxq.inference import on_disk
from sxq.session import alter

CLAUSES = "USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 4 BUDGET 80 CANDIDATES"
NODES = "SELECT 'n' || i AS id, (i % 4)::FLOAT AS f, ((i * 7) % 5)::FLOAT AS g, i % 2 AS label, i AS age FROM range(26) t(i)"
EDGES = (
    "SELECT 'n' || i AS u, 'n' || (i + 1) AS v, (i % 3 + 1)::FLOAT AS weight FROM range(24) t(i) "
    "UNION ALL SELECT 'n' || i, 'n' || (i + 2), 1 FROM range(0, 24, 3) t(i)"
)
CHANGE = """ALTER GRAPH chain
    ADD NODES (SELECT 'new' AS id, 1::FLOAT AS f, 2::FLOAT AS g, 1 AS label, 7 AS age),
    ADD EDGES (SELECT 'new' AS u, 'n2' AS v, 2::FLOAT AS weight),
    REMOVE EDGES (SELECT 'n20' AS u, 'n21' AS v)"""
STORED = """SELECT query_id, target, ordinal, status, candidates, coverage, refreshed, rank, size, raw, scores, graph_version
            FROM targets LEFT JOIN explanations USING (query_id, target) ORDER BY ALL"""


def opened(folder, storage):
    return sxq.connect(str(folder / f"{storage}.duckdb"))


def made(folder, storage):
    con = opened(folder, storage)
    con.execute(
        f"CREATE GRAPH chain FROM NODES ({NODES}) EDGES ({EDGES}) (UNDIRECTED = true, STORAGE = {storage})"
    )
    con.execute("TRAIN MODEL gcn ON GRAPH chain (LAYERS = 2, EPOCHS = 30, HIDDEN = 4, SEED = 2)")
    con.execute(
        f"EXPLAIN NODES (SELECT id FROM (VALUES ('n2'), ('n6'), ('n12'), ('n21')) v(id)) {CLAUSES}"
    )
    return con


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True])
def test_versions_and_answers_are_those_of_a_graph_in_memory(tmp_path, monkeypatch, large):
    if large:  # as it is treated that is too large to be examined whole
        monkeypatch.setattr(on_disk, "PART", 10)
    found = {}
    for storage in ("memory", "disk"):
        with made(tmp_path, storage) as con:
            (row,) = con.execute(CHANGE).df().to_dict("records")
            again = con.execute(f"EXPLAIN NODE 'n2' {CLAUSES}").rows
        with opened(tmp_path, storage) as con:  # the new version is found again
            graph = con.session.registry.graphs["chain"]
            assert isinstance(graph, DiskGraph) == (storage == "disk")
            refreshed = con.execute("REFRESH").df().drop(columns="seconds").to_dict("records")
            assert con.execute(f"EXPLAIN NODE 'n2' {CLAUSES}").rows == again
            assert {verdict[-1] for verdict in con.execute("AUDIT")} == {"ok"}
            found[storage] = row, again, refreshed, con.sql(STORED).rows, graph.content_hash
    assert found["disk"] == found["memory"]
    assert found["disk"][0]["version"] == 2 and found["disk"][0]["models"] == "gcn"
    assert not any(folder.name.startswith("writing") for folder in tmp_path.rglob("*"))


def test_folders_go_with_the_last_query_of_their_version(tmp_path):
    with made(tmp_path, "disk") as con:
        folders = tmp_path / "disk.duckdb.graphs"
        con.execute(CHANGE)
        assert len(list(folders.iterdir())) == 2
        con.execute("DROP QUERY 1")
        (left,) = folders.iterdir()
        assert con.session.registry.graphs["chain"].folder == left


def test_a_change_that_fails_leaves_the_version_before(tmp_path, monkeypatch):
    with made(tmp_path, "disk") as con:
        before = con.execute("DESCRIBE GRAPH chain").rows
        with pytest.raises(sxq.GraphError, match="no node"):
            con.execute(
                "ALTER GRAPH chain ADD EDGES (SELECT 'n1' AS u, 'nobody' AS v, 1.0 AS weight)"
            )
        monkeypatch.setattr("sxq.storage.model_rows.save", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            con.execute(CHANGE)
        assert con.execute("DESCRIBE GRAPH chain").rows == before
        assert len(list((tmp_path / "disk.duckdb.graphs").iterdir())) == 1


def test_a_graph_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    with made(tmp_path, "disk") as con:
        monkeypatch.setattr(alter, "column_bytes", lambda columns: 3 * 10**9)
        with pytest.raises(InvalidValue, match="SET sxq_memory higher"):
            con.execute(CHANGE)


def files(folder):
    """The folders of the graph by version, each with the numbers of its files' contents by name."""
    found = sorted(folder.glob("*.graphs/*"), key=lambda own: int(own.name.split("-")[0]))
    return [{file.name: file.stat().st_ino for file in own.glob("*.npy")} for own in found]


@pytest.mark.parametrize("links", [True, False])
def test_versions_share_the_files_that_are_the_same(tmp_path, monkeypatch, links):
    def refuse(source, target):
        raise OSError("no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    with opened(tmp_path, "disk") as con:
        con.execute(f"CREATE GRAPH chain FROM NODES ({NODES}) EDGES ({EDGES}) (STORAGE = disk)")
        con.execute(
            "TRAIN MODEL gcn ON GRAPH chain (LAYERS = 1, EPOCHS = 1, SPLIT = [0.8, 0.1, 0.1])"
        )
        con.execute(f"EXPLAIN NODE 'n2' {CLAUSES}")
        con.execute("ALTER GRAPH chain REMOVE EDGES (SELECT 'n20', 'n21')")
        first, second = files(tmp_path)
        assert first.keys() == second.keys()
        same = {name for name in first if first[name] == second[name]}
        assert same == (
            {"x.npy", "y.npy"} | {n for n in first if n.startswith(("key", "attr"))}
            if links
            else set()
        )
        (tmp_path / "copy").mkdir(exist_ok=True)
        con.backup(str(tmp_path / "copy" / "disk.duckdb"))
        one, two = files(tmp_path / "copy")
        assert {name for name in one if one[name] == two[name]} == same
        content = con.session.registry.graphs["chain"].content_hash
        assert {verdict[-1] for verdict in con.execute("AUDIT")} == {"ok"}
        con.execute("DROP QUERY 1")  # and with it the first version
    assert len(files(tmp_path)) == 1
    for folder in (tmp_path, tmp_path / "copy"):
        with opened(folder, "disk") as con:
            assert con.session.registry.graphs["chain"].content_hash == content
            assert con.session.registry.graphs.reloaded(con.session.registry.graphs.id_of("chain"))


def test_a_graph_that_is_made_anew_shares_files_too(tmp_path):
    with made(tmp_path, "disk") as con:
        edges = EDGES.replace("24) t(i) ", "23) t(i) ")
        con.execute(
            f"CREATE OR REPLACE GRAPH chain FROM NODES ({NODES}) EDGES ({edges}) (STORAGE = disk)"
        )
        first, second = files(tmp_path)
        assert (
            first["x.npy"] == second["x.npy"]
            and first["edge_index.npy"] != second["edge_index.npy"]
        )
        damaged = next(tmp_path.glob("*.graphs/*/edge_weight.npy"))
        damaged.write_bytes(damaged.read_bytes()[:-4] + b"oops")
    with opened(
        tmp_path, "disk"
    ) as con:  # an earlier version that is damaged is no help, and no harm
        con.execute(
            f"CREATE OR REPLACE GRAPH chain FROM NODES ({NODES}) EDGES ({EDGES}) (STORAGE = disk)"
        )
        assert con.session.registry.graphs["chain"].num_edges > 0
