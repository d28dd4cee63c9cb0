"""A graph on disk: the same answers as in memory, bit for bit, and what becomes of its folder."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import sxq
from sxq.execution import audit_on_disk
from sxq.graph import Graph
from sxq.graph.disk import DiskGraph, manifest
from sxq.inference import on_disk
from sxq.storage import Store
from tests.graphs import make, random_graph
from tests.toys import Agree

ASK = "EXPLAIN NODES (SELECT node FROM nodes WHERE label = 1) USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 5"
SHAPES = {
    "pairs": ({}, "gcn"),
    "directed": ({"undirected": False}, "sage"),
    "weighted": ({"weighted": True}, "gcn_weighted"),
    "attributed": ({"attributed": True, "undirected": False}, "gat_attr"),
}


def named_graph(**shape):
    """A random graph with text keys, attributes of several kinds, splits and a ground truth."""
    graph = random_graph(np.random.default_rng(1), **shape)
    n = graph.num_nodes
    return Graph(
        **graph.columns()
        | {
            "keys": [f"acct-{i * 7 % 100}" for i in range(n)],
            "attributes": {
                "city": [None if i % 3 == 0 else f"Århus {i}" for i in range(n)],
                "age": list(range(n)),
                "share": [i / 3 for i in range(n)],
            },
            "split": ["train", "val", "", "test"] * (n // 4),
            "edge_truth": np.arange(graph.num_edges) % 5 == 0,
        }
    )


def answers(con):
    """Everything that a statement stores, but for times."""
    found = con.execute(ASK)
    edges = con.sql("FROM explanation_edges ORDER BY ALL").fetchall()
    targets = con.sql(
        "SELECT target, prediction, probability, p_empty, hops, field_size, candidates FROM targets ORDER BY ALL"
    ).fetchall()
    rows = [(e.target, e.rank, e.raw, e.scores, e.edges) for e in found]
    return rows, edges, targets, con.sql("FROM agreement ORDER BY ALL").fetchall()


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_answers_are_those_of_the_same_graph_in_memory(shape, tmp_path):
    options, kind = SHAPES[shape]
    graph = named_graph(**options)
    found = []
    for storage in ("memory", "disk"):
        with sxq.connect(str(tmp_path / f"{storage}.duckdb")) as con:
            con.register_graph("g", graph, storage=storage)
            con.register_model("m", make(kind), graph="g")
            found.append((answers(con), con.execute("PREDICT USING MODEL m").fetchall()))
            assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}
    assert found[0] == found[1]
    assert len(found[0][0][0]) > 10


@pytest.mark.slow
def test_a_graph_on_disk_is_found_again(tmp_path):
    path = str(tmp_path / "tx.duckdb")
    graph = named_graph()
    with sxq.connect(path) as con:
        con.register_graph("g", graph, storage="disk")
        con.register_model("m", make("gcn"), graph="g")
        before = answers(con)[0]
    with sxq.connect(path, read_only=True) as con:
        con.register_model("m", make("gcn"), graph="g")
        assert [(e.target, e.rank, e.raw, e.scores, e.edges) for e in con.execute(ASK)] == before
        facts = dict(con.execute("DESCRIBE GRAPH g").fetchall())
        assert facts["storage"].startswith("disk, ") and facts["hash"] == graph.content_hash
        held = con.session.registry.graphs["g"]
        assert isinstance(held, DiskGraph) and isinstance(held.x.base, np.memmap)
        with pytest.raises(sxq.StoreError, match="read-only"):
            con.register_graph("h", graph, storage="disk")
        with pytest.raises(sxq.NodeNotFound, match="did you mean 'acct-7'"):
            held.position("act-7")


@pytest.mark.slow
def test_workers_share_the_mapping(tmp_path):
    with sxq.connect(str(tmp_path / "tx.duckdb")) as con:
        con.register_graph("g", named_graph(), storage="disk")
        con.register_model("m", make("gcn"), graph="g")
        alone = {(e.target, e.rank): e for e in con.execute(ASK)}
        con.execute("SET sxq_workers = 2")
        shared = {(e.target, e.rank): e for e in con.execute(ASK)}
        assert shared.keys() == alone.keys()
        for name, found in shared.items():
            assert found.edges == alone[name].edges
            assert found.raw == pytest.approx(alone[name].raw, abs=1e-6)


@pytest.mark.slow
def test_every_source_may_go_to_disk_and_other_storage_is_other_content(tmp_path):
    with sxq.connect(str(tmp_path / "tx.duckdb")) as con:
        con.execute(
            "CREATE TABLE n AS SELECT 'k' || i AS id, i::FLOAT AS a, i % 2 AS label FROM range(5) t(i)"
        )
        con.execute(
            "CREATE TABLE e AS SELECT 'k' || i AS u, 'k' || (i + 1) AS v FROM range(4) t(i)"
        )
        con.execute(
            "CREATE GRAPH g FROM NODES (FROM n) EDGES (FROM e) (UNDIRECTED = true, STORAGE = disk)"
        )
        con.execute("CREATE GRAPH ba FROM DATASET 'BA-Shapes' (STORAGE = disk)")
        with pytest.raises(sxq.NameTaken):
            con.execute("CREATE GRAPH g FROM NODES (FROM n) EDGES (FROM e) (UNDIRECTED = true)")
        con.execute(
            "CREATE GRAPH g FROM NODES (FROM n) EDGES (FROM e) (UNDIRECTED = true, STORAGE = disk)"
        )
        assert len(list((tmp_path / "tx.duckdb.graphs").iterdir())) == 2
        con.execute(
            "CREATE OR REPLACE GRAPH g FROM NODES (FROM n) EDGES (FROM e) (UNDIRECTED = true, STORAGE = memory)"
        )
        assert len(list((tmp_path / "tx.duckdb.graphs").iterdir())) == 1
        assert "storage" not in dict(con.execute("DESCRIBE GRAPH g").fetchall())
        con.execute("DROP GRAPH ba")
        assert not (tmp_path / "tx.duckdb.graphs").exists()


@pytest.mark.slow
def test_a_folder_stays_as_long_as_an_answer_refers_to_it(tmp_path):
    folders = tmp_path / "tx.duckdb.graphs"
    with sxq.connect(str(tmp_path / "tx.duckdb")) as con:
        con.register_graph("g", named_graph(), storage="disk")
        con.register_model("m", make("gcn"), graph="g")
        con.execute(ASK)
        con.register_graph("g", named_graph(weighted=True), replace=True, storage="disk")
        assert len(list(folders.iterdir())) == 2
        con.execute("DROP MODEL m")
        con.execute("DROP QUERY 1")
        assert len(list(folders.iterdir())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("over", ["", "OVER NODES", "OVER FEATURES"])
def test_answers_on_a_large_graph_are_those_in_memory_and_audited(over, tmp_path, monkeypatch):
    monkeypatch.setattr(on_disk, "PART", 200)
    monkeypatch.setattr(on_disk, "ROOTS", 4)
    graph = random_graph(np.random.default_rng(3), nodes=300, edges=500)
    ask = f"EXPLAIN NODES 5, 17, 40 USING MODEL m {over} OPTIMIZE fdl+, fdl-, conc BUDGET 200 CANDIDATES"
    found = []
    for storage in ("memory", "disk"):
        with sxq.connect(str(tmp_path / f"{storage}.duckdb")) as con:
            con.register_graph("g", graph, storage=storage)
            con.register_model("m", make("sage", layers=2), graph="g")
            result = con.execute(ask)
            found.append([(e.target, e.rank, e.raw, e.scores, e.edges) for e in result])
            assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}
    assert found[0] == found[1]


@pytest.mark.slow
def test_what_is_not_built_on_a_large_graph_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(on_disk, "PART", 200)
    graph = random_graph(np.random.default_rng(3), nodes=300, edges=500)
    with sxq.connect(str(tmp_path / "g.duckdb")) as con:
        con.register_graph("g", graph, storage="disk")
        with pytest.raises(sxq.ModelError, match="models of links are not built"):
            con.register_model("m", Agree(), graph="g", kind="link", output="logits")
        con.register_model("m", make("sage", layers=2), graph="g")
        with pytest.raises(sxq.InvalidValue, match="PRETRAIN REFINE"):
            con.execute("PRETRAIN REFINE r FOR MODEL m ON GRAPH g")
        con.execute("SET sxq_memory = '1 MB'")
        con.execute("EXPLAIN NODE 5 USING MODEL m OPTIMIZE fdl+, conc BUDGET 50 CANDIDATES")
        monkeypatch.setattr(audit_on_disk, "EDGE", 100_000)
        assert "SET sxq_memory to more" in con.execute("AUDIT").fetchall()[0][-1]


@pytest.mark.slow
def test_where_a_graph_cannot_go_to_disk_the_error_says_why(tmp_path):
    graph = named_graph()
    with sxq.connect() as con:
        with pytest.raises(sxq.StoreError, match="this database is in memory"):
            con.register_graph("g", graph, storage="disk")
        with pytest.raises(sxq.InvalidValue, match="expected disk or memory"):
            con.register_graph("g", graph, storage="tape")
        con.execute("SET sxq_memory = '1 MB'")
        con.register_graph("g", Data(x=torch.ones(100_000, 4), edge_index=torch.zeros(2, 1).long()))
    with sxq.connect(str(tmp_path / "t.duckdb")) as con:
        with pytest.raises(sxq.InvalidValue, match="STORAGE = 'tape'; expected disk or memory"):
            con.execute("CREATE GRAPH b FROM DATASET 'BA-Shapes' (STORAGE = tape)")
        with pytest.raises(sxq.InvalidValue, match="collections are kept in memory"):
            con.execute("CREATE GRAPHS b FROM DATASET 'BA-3motif' (STORAGE = disk)")
        with pytest.raises(sxq.GraphError, match="graphs without types"):
            con.execute(
                "CREATE GRAPH h FROM NODES a (SELECT 1 AS k, 2.0 AS x), NODES b (SELECT 1 AS k, 3.0 AS x),"
                " EDGES a -to-> b (SELECT 1 AS u, 1 AS v) (STORAGE = disk)"
            )
        with pytest.raises(sxq.GraphError, match="attribute 'wait' holds"):
            con.execute(
                "CREATE GRAPH i FROM NODES (SELECT 1 AS k, 2.0 AS x, INTERVAL 1 DAY AS wait)"
                " EDGES (SELECT 1 AS u, 1 AS v) (STORAGE = disk)"
            )
        assert not (tmp_path / "t.duckdb.graphs").exists()
    with sxq.connect(str(tmp_path / "u.duckdb"), untrusted=True) as con:
        with pytest.raises(sxq.NotAllowed, match="STORAGE = disk"):
            con.execute("CREATE GRAPH k FROM DATASET 'BA-Shapes' (STORAGE = disk)")


@pytest.mark.slow
def test_a_large_graph_goes_to_disk_by_itself(tmp_path):
    rng = np.random.default_rng(0)
    ends = torch.from_numpy(rng.integers(0, 20_000, (2, 40_000)))
    data = Data(x=torch.rand(20_000, 8), edge_index=ends, y=torch.arange(20_000) % 3)
    with sxq.connect(str(tmp_path / "tx.duckdb")) as con:
        con.execute("SET sxq_memory = '1 MB'")
        con.register_graph("g", data)
        held = con.session.registry.graphs["g"]
        assert isinstance(held, DiskGraph)
        con.register_graph("h", data, storage="memory")
        other = con.session.registry.graphs["h"]
        assert not isinstance(other, DiskGraph) and other.content_hash == held.content_hash


# -- bad luck ------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    """The path of a database with a graph on disk, and the folder of the graph."""
    path = tmp_path / "tx.duckdb"
    with sxq.connect(str(path)) as con:
        con.register_graph("g", named_graph(), storage="disk")
    (folder,) = (tmp_path / "tx.duckdb.graphs").iterdir()
    return str(path), folder


def opening(path):
    with sxq.connect(path) as con:
        con.execute("DESCRIBE GRAPH g")


def test_a_folder_that_was_moved(stored):
    path, folder = stored
    elsewhere = folder.parent.parent / "elsewhere"
    shutil.move(folder, elsewhere)
    with pytest.raises(sxq.StoreError, match=r"is not there: .* moves along with it"):
        opening(path)
    shutil.move(elsewhere, folder)
    opening(path)


def test_a_file_in_place_of_the_folder(stored):
    path, folder = stored
    shutil.rmtree(folder)
    folder.write_text("", encoding="utf-8")
    with sxq.connect(path) as con:
        assert con.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(sxq.StoreError, match="is not there"):
            con.execute("DESCRIBE GRAPH g")


def test_a_truncated_file(stored):
    path, folder = stored
    file = folder / "x.npy"
    os.truncate(file, file.stat().st_size - 4)
    with pytest.raises(sxq.StoreError, match=r"x.npy' has [\d,]+ bytes, expected"):
        opening(path)


@pytest.mark.slow
@pytest.mark.parametrize("place", [-1, 200, "middle"])
def test_a_file_that_was_changed(stored, place):
    path, folder = stored
    file = folder / "x.npy"
    content = bytearray(file.read_bytes())
    content[len(content) // 2 if place == "middle" else place] ^= 1
    file.write_bytes(content)
    with pytest.raises(sxq.StoreError, match="x.npy' was changed after it was written"):
        opening(path)


@pytest.mark.slow
def test_a_change_that_leaves_size_time_and_ends_is_found_by_audit(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "ENDS", 64)
    path = str(tmp_path / "tx.duckdb")
    with sxq.connect(path) as con:
        con.register_graph("g", named_graph(), storage="disk")
        con.register_model("m", make("gcn"), graph="g")
        con.execute(ASK)
    (folder,) = (tmp_path / "tx.duckdb.graphs").iterdir()
    file = folder / "x.npy"
    times = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with sxq.connect(path) as con:
        found = con.execute("AUDIT STRUCTURE").fetchall()
    assert any("x.npy' was changed" in row[-1] for row in found)


def test_a_copy_with_other_times_is_the_same_graph(stored):
    path, folder = stored
    for file in folder.iterdir():
        os.utime(file, ns=(1, 1))
    opening(path)


@pytest.mark.slow
def test_another_version_and_an_edited_manifest(stored):
    path, folder = stored
    file = folder / manifest.MANIFEST
    text = file.read_text()
    file.write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(sxq.StoreError, match="has version 2, and this program knows version 1"):
        opening(path)
    file.write_text(text.replace('"loops": 3', '"loops": 4'))
    with pytest.raises(sxq.StoreError, match="was changed after it was written"):
        opening(path)
    file.write_text(text[: len(text) // 2])
    with pytest.raises(sxq.StoreError, match="cannot be read"):
        opening(path)


@pytest.mark.slow
def test_a_damaged_graph_can_be_dropped_and_made_again(stored):
    path, folder = stored
    (folder / "x.npy").unlink()
    with sxq.connect(path) as con:
        con.execute("SELECT count(*) FROM nodes")
        con.execute("DROP GRAPH g")
        assert not folder.exists()
        con.register_graph("g", named_graph(), storage="disk")


def test_a_full_disk_leaves_the_database_as_it_was(tmp_path, monkeypatch):
    made = manifest.created

    def full(folder, name, kind, shape):
        if name == "tails":
            raise OSError(errno.ENOSPC, "No space left on device")
        return made(folder, name, kind, shape)

    with sxq.connect(str(tmp_path / "tx.duckdb")) as con:
        monkeypatch.setattr(manifest, "created", full)
        with pytest.raises(sxq.StoreError, match="no room on the disk"):
            con.register_graph("g", named_graph(), storage="disk")
        assert not (tmp_path / "tx.duckdb.graphs").exists()
        monkeypatch.undo()
        con.register_graph("g", named_graph(), storage="disk")


def test_a_transaction_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    with sxq.connect(str(tmp_path / "tx.duckdb")) as con:
        monkeypatch.setattr("sxq.storage.graph_folders.sync", lambda folder: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            con.register_graph("g", named_graph(), storage="disk")
        monkeypatch.undo()
        assert list((tmp_path / "tx.duckdb.graphs").glob("*")) == []
        assert con.execute("SHOW GRAPHS").fetchall() == []


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize("moment", ["writing", "before the commit", "after the commit"])
def test_a_process_that_is_killed_while_it_writes(tmp_path, moment):
    path = str(tmp_path / "tx.duckdb")
    sxq.connect(path).close()
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        import sxq
        from sxq.graph.disk import manifest
        from sxq.storage import graph_folders
        from tests.session.test_graph_on_disk import named_graph
        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)
        if {moment!r} == "writing":
            manifest.save = die
        if {moment!r} == "before the commit":
            graph_folders.sync = die
        if {moment!r} == "after the commit":
            graph_folders.finish = die
        sxq.connect({path!r}).register_graph("g", named_graph(), storage="disk")
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert ended.returncode == -signal.SIGKILL
    if moment == "after the commit":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            opening(path)
        return
    with pytest.warns(sxq.StoreWarning, match="wrote graph 'g' to disk was ended"):
        con = sxq.connect(path)
    with con:
        assert con.execute("SHOW GRAPHS").fetchall() == []
        assert list((tmp_path / "tx.duckdb.graphs").glob("*")) == []
        con.register_graph("g", named_graph(), storage="disk")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opening(path)


@pytest.mark.slow
def test_a_backup_has_the_folders(stored, tmp_path):
    path, _ = stored
    with sxq.connect(path) as con:
        con.backup(str(tmp_path / "copy.duckdb"))
    shutil.rmtree(tmp_path / "tx.duckdb.graphs")
    opening(str(tmp_path / "copy.duckdb"))


@pytest.mark.slow
def test_folders_of_other_databases_are_left_alone(stored):
    path, folder = stored
    os.remove(path)
    Store(path).close()  # another database of this name
    assert folder.exists()
