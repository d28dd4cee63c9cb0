"""Databases of older versions are brought up as they are opened: everything in them can then be used."""

import lzma
from pathlib import Path

import duckdb
import pytest

import sxq
from sxq.errors import StoreError
from sxq.storage import Store, schema

FIXTURES = Path(__file__).parent / "fixtures"
SHAPES = sorted(path.name.partition(".")[0] for path in FIXTURES.glob("*.xz"))
COLUMNS = """SELECT table_name, column_name, column_index, data_type, is_nullable, column_default
             FROM duckdb_columns() WHERE schema_name = 'sxq' ORDER BY ALL"""
CONSTRAINTS = """SELECT table_name, constraint_type, constraint_text, constraint_column_names
                 FROM duckdb_constraints() WHERE schema_name = 'sxq' ORDER BY ALL"""
NAMES = """SELECT 'sequence', sequence_name, NULL FROM duckdb_sequences() WHERE schema_name = 'sxq'
           UNION ALL SELECT 'view', view_name, sql FROM duckdb_views() WHERE schema_name = 'sxq' AND NOT internal
           UNION ALL SELECT 'macro', function_name, macro_definition FROM duckdb_functions()
           WHERE schema_name = 'sxq' AND NOT internal ORDER BY ALL"""
VIEWS = ["knee", "label_mix", "recurring_edges", "agreement", "indicators", "stability"]
MACROS = ["best('fdl+')", "compare(1, 3)", "skyline('found', larger := ['size'])"]


def old(tmp_path, shape):
    """A file of an older version; its path."""
    path = tmp_path / "old.duckdb"
    path.write_bytes(lzma.decompress((FIXTURES / f"{shape}.duckdb.xz").read_bytes()))
    return str(path)


def shape_of(path):
    with duckdb.connect(path, read_only=True) as connection:
        return [connection.execute(ask).fetchall() for ask in (COLUMNS, CONSTRAINTS, NAMES)]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("fresh") / "fresh.duckdb")
    Store(path).close()
    return shape_of(path)


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_that_was_brought_up_is_like_a_new_one(shape, fresh, tmp_path):
    path = old(tmp_path, shape)
    before = Path(path).read_bytes()
    said = rf"version {shape[0]}, an older one than 6; open it once without read_only"
    with pytest.raises(StoreError, match=said):
        sxq.connect(path, read_only=True)
    assert Path(path).read_bytes() == before
    sxq.connect(path).close()
    assert shape_of(path) == fresh
    copy = str(tmp_path / f"old.version-{shape[0]}.duckdb")
    with duckdb.connect(copy, read_only=True) as kept:
        version = kept.execute("SELECT max(version) FROM sxq.schema_version").fetchall()
        assert version == [(int(shape[0]),)]
        assert kept.execute("SELECT count(*) FROM sxq.queries").fetchall()[0][0] >= 3
    sxq.connect(path, read_only=True).close()
    assert len(list(tmp_path.iterdir())) == 2  # opened again, it is not copied again


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "shape",
    ["1-tables", "2-pruned", "2-collections", "2-views", "3-status", "4-types", "5-versions"],
)
def test_everything_in_an_older_file_can_be_used(shape, tmp_path):
    with sxq.connect(old(tmp_path, shape)) as con:
        queries = con.execute("SHOW QUERIES").df()
        assert list(queries.status)[:3] == ["done", "interrupted", "done"]
        statuses = con.sql("SELECT status FROM targets WHERE query_id = 2").rows
        assert statuses == [("interrupted",)]
        for words in ("GRAPHS", "MODELS", "REFINES"):
            con.execute(f"SHOW {words}")
        for view in [*VIEWS, *MACROS]:
            con.execute(f"FROM {view}")
        assert con.sql("SELECT count(*), doubled(4) FROM mine").rows == [(12, 8)]
        con.execute(
            "EXPLAIN NODE 19 USING MODEL gcn OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES"
        )
        con.execute(
            "EXPLAIN NODE 'p3' USING MODEL text OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES"
        )
        if "gin" in [row[0] for row in con.execute("SHOW MODELS")]:
            con.execute("EXPLAIN GRAPH 0 USING MODEL gin OPTIMIZE fdl+, conc BUDGET 20 CANDIDATES")
        numbers = [row[0] for row in con.sql("SELECT explanation_id FROM explanations").rows]
        assert len(numbers) == len(set(numbers))
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        con.execute("DROP MODEL text; DROP GRAPH club")
        assert "club" not in [row[0] for row in con.execute("SHOW GRAPHS")]


def test_older_patterns_get_the_types_of_their_nodes(tmp_path):
    with sxq.connect(old(tmp_path, "5-versions")) as con:
        nodes = con.sql("SELECT DISTINCT label, node_type FROM pattern_nodes ORDER BY 1").rows
        assert nodes == [("person", "person"), ("shop", "shop")]
        edges = con.sql("SELECT DISTINCT edge_type, one_way FROM pattern_edges").rows
        assert edges == [(None, False)]
        assert con.sql("SELECT DISTINCT edge_type FROM candidates").rows == [(None,)]
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = old(tmp_path, "2-pruned")
    before = shape_of(path)
    with monkeypatch.context() as patch:
        broken = {3: schema._MIGRATIONS[3] + "; SELECT error('full')"}
        patch.setattr(schema, "_MIGRATIONS", broken)
        with pytest.raises(StoreError, match="full"):
            sxq.connect(path)
    assert shape_of(path) == before
    sxq.connect(path).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "old.duckdb",
        "old.version-2.2.duckdb",
        "old.version-2.duckdb",
    ]


def test_a_file_without_rows_is_brought_up_without_a_copy(tmp_path, fresh):
    path = old(tmp_path, "2-pruned")
    with duckdb.connect(path) as connection:
        connection.execute("USE old.sxq")
        for table in ("graphs", "nodes", "edges", "models", "queries", "targets", "explanations"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("DELETE FROM explanation_edges; DROP TABLE main.found")
        connection.execute("DROP VIEW main.mine; DROP TABLE main.people; DROP TABLE main.calls")
    sxq.connect(path).close()
    assert shape_of(path) == fresh
    assert [p.name for p in tmp_path.iterdir()] == ["old.duckdb"]


def test_every_number_has_one_migration_and_the_last_is_the_version():
    assert list(schema._MIGRATIONS) == list(range(3, schema.VERSION + 1))
