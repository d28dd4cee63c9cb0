"""A graph is also a schema: typed views of its present rows alone, and nothing of the user's is touched."""

import datetime
import shutil
import uuid

import duckdb
import numpy as np
import pytest

import sxq
from sxq.errors import StoreError
from sxq.storage import graph_views

TABLES = """
CREATE OR REPLACE TABLE a AS SELECT md5(range::VARCHAR)::UUID AS id, range * 1.5 AS amount, 'city' || range % 3 AS city,
    DATE '2020-01-01' + range::INT AS opened, [range, 2] AS vec, range % 2 AS label, range AS position FROM range(12);
CREATE OR REPLACE TABLE e AS SELECT s.id AS src, d.id AS dst, s.amount * 2 AS amount, s.position AS weight, 'x' AS edge,
    TIMESTAMP '2024-01-01' + to_seconds(s.position) AS at FROM a s JOIN a d ON d.position = (s.position * 7 + 3) % 12;
"""
GRAPH = "CREATE OR REPLACE GRAPH {} FROM NODES (FROM a) EDGES (FROM e)"
ASK = "EXPLAIN NODES (SELECT id FROM a LIMIT 2) USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES"
VIEWS = (
    *("edges", "explanation_edges", "explanation_features", "explanation_nodes", "explanations"),
    *("features", "nodes", "queries", "targets"),
)


def kinds(con, relation):
    return dict(row[:2] for row in con.execute(f"DESCRIBE {relation}").rows)


def schemas(con):
    """The views that are not in schema sxq, by schema."""
    found = {}
    for schema, view in con.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal AND schema_name <> 'sxq' ORDER BY ALL"
    ).rows:
        found.setdefault(schema, []).append(view)
    return found


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "bank.duckdb"
    with sxq.connect(str(path)) as con:
        con.execute(TABLES)
        con.execute(GRAPH.format("tx"))
        con.execute("TRAIN MODEL m ON GRAPH tx (ARCHITECTURE = gcn, LAYERS = 2, EPOCHS = 1)")
        con.execute(ASK)
    return path


@pytest.fixture
def con():
    with sxq.connect() as con:
        con.execute(TABLES)
        yield con


@pytest.mark.slow
def test_columns_have_the_names_and_the_types_of_the_user(path):
    with sxq.connect(str(path), read_only=True) as con:
        assert schemas(con) == {"tx": list(VIEWS)}
        assert kinds(con, "tx.nodes") == {
            "node": "UUID",
            "label": "BIGINT",
            "amount": "FLOAT",
            "vec": "FLOAT[]",
            "position_feature": "FLOAT",
            "city": "VARCHAR",
            "opened": "DATE",
            "position": "BIGINT",
        }
        assert kinds(con, "tx.edges") == {
            "edge": "BIGINT",
            "src": "UUID",
            "dst": "UUID",
            "weight": "FLOAT",
            "amount": "FLOAT",
            "edge_attribute": "VARCHAR",
            "at": "TIMESTAMP",
        }
        for view in VIEWS:
            assert "VARIANT" not in kinds(con, f"tx.{view}").values()
        facts = dict(con.execute("DESCRIBE GRAPH tx").rows)
        assert facts["schema"] == f"tx: {', '.join(VIEWS)}"
        assert (
            facts["renamed"] == "nodes.position is position_feature; edges.edge is edge_attribute"
        )


def test_views_hold_what_the_user_gave_and_join_plainly(path):
    with sxq.connect(str(path), read_only=True) as con:
        nodes = con.execute(
            "SELECT node, amount, vec, city, opened FROM tx.nodes ORDER BY position"
        ).rows
        given = "SELECT id, amount::FLOAT, vec::FLOAT[], city, opened FROM a ORDER BY position"
        assert nodes == con.execute(given).rows and isinstance(nodes[0][0], uuid.UUID)
        edges = con.execute(
            'SELECT src, dst, weight, amount, edge_attribute, "at" FROM tx.edges ORDER BY edge'
        ).rows
        given = 'SELECT src, dst, weight::FLOAT, (amount)::FLOAT, edge, "at" FROM e ORDER BY rowid'
        assert edges == con.execute(given).rows and isinstance(edges[0][-1], datetime.datetime)
        joined = """SELECT count(*), count(DISTINCT city) FROM tx.explanation_edges x JOIN tx.edges USING (edge, src, dst)
            JOIN tx.explanations USING (explanation_id, query_id, target) JOIN tx.targets USING (query_id, target)
            JOIN tx.queries USING (query_id) JOIN a ON a.id = target WHERE model = 'm'"""
        (found,) = con.execute(joined).rows
        (wanted,) = con.execute("SELECT count(*) FROM sxq.explanation_edges").rows
        assert found[0] == wanted[0] > 0 and found[1] == 2
        assert con.execute("SELECT name FROM tx.features ORDER BY feature").rows[0] == ("amount",)


def test_answers_go_to_parquet_with_plain_columns(path, tmp_path):
    with sxq.connect(str(path), read_only=True) as con:
        for view in VIEWS:
            file = tmp_path / f"{view}.parquet"
            con.execute(f"COPY (FROM tx.{view}) TO '{file}'")
            written, shown = kinds(con, f"'{file}'"), kinds(con, f"tx.{view}")
            assert written == shown
            count = f"(SELECT count(*) FROM '{file}'), (SELECT count(*) FROM tx.{view})"
            ((there, here),) = con.execute(f"SELECT {count}").rows
            assert there == here


@pytest.mark.slow
def test_only_the_present_version_is_shown(con):
    con.execute(GRAPH.format("tx"))
    con.execute("TRAIN MODEL m ON GRAPH tx (ARCHITECTURE = gcn, LAYERS = 2, EPOCHS = 1)")
    con.execute(ASK)
    con.execute(
        "CREATE OR REPLACE GRAPH tx FROM NODES (SELECT 'n' || position AS id, city FROM a) EDGES (SELECT 'n1', 'n2')"
    )
    assert kinds(con, "tx.nodes")["node"] == "VARCHAR"
    counts = [
        con.execute(f"SELECT count(*) FROM tx.{view}").fetchone()[0]
        for view in ("nodes", "edges", "targets")
    ]
    assert counts == [12, 1, 0]
    assert con.execute("SELECT count(*) FROM sxq.nodes").fetchone() == (24,)
    con.execute("DROP GRAPH tx")
    assert schemas(con) == {}
    con.execute(GRAPH.format("tx"))  # the content is there still, with its answers
    assert con.execute("SELECT count(*) FROM tx.targets").fetchone() == (2,)


NAMES = [
    '"',
    "a b",
    "Tx",
    "select",
    "main",
    "sxq",
    "temp",
    "system",
    "information_schema",
    "pg_catalog",
    "memory",
]
NAMES += ["tx'; DROP TABLE a; --", "übung", "x.y", "nodes", "pg_temp", "ALL", "{sxq}", "%s"]


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_safe(con, name):
    quoted = '"' + name.replace('"', '""') + '"'
    facts = dict(con.execute(GRAPH.format(quoted)).rows)
    (schema,) = schemas(con)
    reserved = name in (
        "main",
        "sxq",
        "temp",
        "system",
        "information_schema",
        "pg_catalog",
        "memory",
    )
    assert schema == (f"{name}_graph" if reserved else name)
    assert facts["schema"].startswith(
        f"{schema}, since {name} is taken: " if reserved else f"{schema}: "
    )
    shown = '"' + schema.replace('"', '""') + '"'
    assert con.execute(f"SELECT count(*) FROM {shown}.nodes").fetchone() == (12,)
    con.execute(f"DROP GRAPH {quoted}")
    assert schemas(con) == {} and con.execute("SELECT count(*) FROM a").fetchone() == (12,)


def test_names_that_differ_in_capitals_alone_have_schemas_of_their_own(con):
    con.execute(GRAPH.format("tx"))
    con.execute(GRAPH.format('"TX"'))
    assert sorted(schemas(con)) == ["TX_graph", "tx"]
    con.execute("DROP GRAPH tx")
    assert list(schemas(con)) == ["TX_graph"]


def test_what_the_user_made_is_left_alone(con):
    con.execute(
        "CREATE SCHEMA tx; CREATE TABLE tx.nodes AS SELECT 1 AS mine; CREATE SCHEMA tx_graph"
    )
    facts = dict(con.execute(GRAPH.format("tx")).rows)
    assert facts["schema"].startswith("tx_graph_2, since tx is taken: ")
    con.execute("CREATE VIEW tx_graph_2.own AS SELECT 7 AS seven")
    con.execute(GRAPH.format("tx").replace("FROM a", "SELECT id, label FROM a"))
    assert con.execute("SELECT seven, mine FROM tx_graph_2.own, tx.nodes").fetchone() == (7, 1)
    con.execute("DROP GRAPH tx")
    assert schemas(con) == {"tx_graph_2": ["own"]}
    assert con.execute("FROM tx.nodes").fetchone() == (1,)


def test_a_database_that_is_called_like_the_graph(tmp_path):
    """tx.nodes could be schema or database, so DuckDB would refuse it."""
    with sxq.connect(str(tmp_path / "tx.duckdb")) as con:
        con.execute(TABLES)
        facts = dict(con.execute(GRAPH.format("tx")).rows)
        assert facts["schema"].startswith("tx_graph, since tx is taken")
        assert con.execute("SELECT count(*) FROM tx_graph.nodes, tx.a").fetchone() == (144,)


@pytest.mark.slow
def test_a_file_under_other_names(path, tmp_path):
    """The name of a file is that of the database; tx.nodes must not become ambiguous."""
    moved = tmp_path / "tx.duckdb"
    shutil.copy(path, moved)
    with sxq.connect(str(moved)) as con:
        assert con.execute("SELECT count(*) FROM tx_graph.nodes").fetchone() == (12,)
    shutil.copy(moved, tmp_path / "plain.duckdb")
    for read_only in (False, True):
        with sxq.connect(str(tmp_path / "plain.duckdb"), read_only=read_only) as con:
            assert con.execute("SELECT count(*) FROM tx_graph.nodes").fetchone() == (12,)


@pytest.mark.slow
def test_a_database_that_is_called_sxq(path, tmp_path):
    """DuckDB refuses views of sxq's tables there, in whatever way they are named."""
    moved = tmp_path / "sxq.duckdb"
    shutil.copy(path, moved)
    sxq.connect(str(moved), read_only=True).close()
    with sxq.connect(str(moved)) as con:
        said = dict(con.execute(GRAPH.format("ty")).rows)["schema"]
        assert said.startswith("none, since the database is called sxq: rename the file")
        assert list(schemas(con)) == ["tx"]  # as they were; refused by DuckDB here
        con.backup(str(tmp_path / "copy.duckdb"))
    with sxq.connect(str(tmp_path / "copy.duckdb")) as con:
        assert con.execute(
            "SELECT count(*) FROM tx.edges JOIN ty.nodes ON src = node"
        ).fetchone() == (12,)


def test_other_programs_read_the_views(path, tmp_path):
    with sxq.connect(str(path)) as con:
        con.backup(str(tmp_path / "copy.duckdb"))
        con.execute(f"ATTACH '{tmp_path / 'copy.duckdb'}' AS other (READ_ONLY)")
        assert con.execute(
            "SELECT count(*) FROM other.tx.nodes JOIN tx.nodes USING (node)"
        ).fetchone() == (12,)
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM tx.targets JOIN a ON target = id").fetchone() == (
            2,
        )


def altered(path, tmp_path, *statements):
    """A copy of the file, changed by another program."""
    other = tmp_path / "other.duckdb"
    shutil.copy(path, other)
    with duckdb.connect(str(other)) as con:
        for statement in statements:
            con.execute(statement)
    return str(other)


def mark(path):
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(
            "SELECT comment FROM duckdb_views() WHERE schema_name = 'tx'"
        ).fetchone()[0]


@pytest.mark.slow
def test_a_view_that_another_program_changed_is_made_anew(path, tmp_path):
    said = mark(path).replace("'", "''")
    other = altered(
        *(path, tmp_path, "CREATE OR REPLACE VIEW tx.nodes AS SELECT 666 AS node"),
        *("CREATE VIEW tx.more AS SELECT 1", "CREATE VIEW main.nodes AS SELECT 2"),
        *(f"COMMENT ON VIEW {view} IS '{said}'" for view in ("tx.nodes", "tx.more", "main.nodes")),
    )
    with pytest.raises(StoreError, match=r"view \w+.\w+ is not that of this program"):
        sxq.connect(other, read_only=True)
    with sxq.connect(other) as con:
        assert schemas(con) == {"tx": list(VIEWS)}
        assert kinds(con, "tx.nodes")["node"] == "UUID"
    sxq.connect(other, read_only=True).close()


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "comment",
    [
        "sxq graph",
        "sxq graph []",
        "sxq graph {",
        'sxq graph {"graph": true}',
        'sxq graph {"graph": 1, "types": {"": [[]]}}',
    ]
    + [
        'sxq graph {"graph": 1, "types": {"": ["BIGINT); DROP TABLE a; --", "DATE"]}}',
        'sxq graph {"graph": 99}',
    ],
)
def test_a_comment_that_says_nonsense(path, tmp_path, comment):
    told = (f"COMMENT ON VIEW tx.{view} IS '{comment}'" for view in VIEWS)
    with sxq.connect(altered(path, tmp_path, *told)) as con:
        schema = (
            dict(con.execute("DESCRIBE GRAPH tx").rows)["schema"]
            .partition(":")[0]
            .partition(",")[0]
        )
        assert schemas(con)[schema] == list(VIEWS)
        assert con.execute(f'SELECT count(*) FROM "{schema}".nodes').fetchone() == (12,)
        assert con.execute("SELECT count(*) FROM a").fetchone() == (12,)


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sxq.graphs SET key_type = 'BIGINT) FROM a; --'",
        "DELETE FROM sxq.features WHERE feature = 1",
    ]
    + ["UPDATE sxq.graph_inputs SET form = 'BIGINT) AS x, (1' WHERE level = 'edge attribute'"]
    + ["UPDATE sxq.graph_inputs SET form = '{' WHERE level = 'names'"],
)
def test_rows_that_another_program_changed(path, tmp_path, change):
    """Nothing of a file becomes SQL; a damaged graph is told when it is used."""
    with sxq.connect(altered(path, tmp_path, change)) as con:
        assert con.execute("SELECT count(*) FROM a").fetchone() == (12,)
        assert con.execute("SELECT count(*) FROM tx.edges").fetchone() == (12,)
        assert list(schemas(con)) == ["tx"]


@pytest.mark.slow
def test_a_file_without_views_gets_them(path, tmp_path):
    other = altered(path, tmp_path, *(f"DROP VIEW tx.{view}" for view in VIEWS), "DROP SCHEMA tx")
    with sxq.connect(other, read_only=True) as con:  # works without
        assert schemas(con) == {}
        assert "schema" not in dict(con.execute("DESCRIBE GRAPH tx").rows)
    sxq.connect(other).close()
    with sxq.connect(other, read_only=True) as con:
        assert schemas(con) == {"tx": list(VIEWS)}


@pytest.mark.slow
def test_opening_changes_nothing_where_views_are_right(path, tmp_path):
    other = altered(path, tmp_path)
    sxq.connect(other).close()
    with duckdb.connect(other, read_only=True) as con:
        before = con.execute(
            "SELECT view_name, view_oid FROM duckdb_views() WHERE schema_name = 'tx'"
        ).fetchall()
    sxq.connect(other).close()
    with duckdb.connect(other, read_only=True) as con:
        assert (
            con.execute(
                "SELECT view_name, view_oid FROM duckdb_views() WHERE schema_name = 'tx'"
            ).fetchall()
            == before
        )


def test_a_date_is_a_date_although_it_is_encoded(con):
    con.execute(GRAPH.format("tx").replace("FROM e)", "SELECT src, dst FROM e) (ENCODE = auto)"))
    found = kinds(con, "tx.nodes")
    assert (found["opened"], found["opened_feature"]) == ("DATE", "FLOAT")
    assert (found["city"], found["city=city0"]) == ("VARCHAR", "FLOAT")


def test_collections_have_a_view_of_graphs(con):
    con.execute(
        """CREATE GRAPHS mol FROM GRAPHS (SELECT 'g' || range AS id, range % 2 AS label FROM range(3))
           NODES (SELECT 'g' || g.range, n.range * 10 AS id, n.range AS charge FROM range(3) g, range(4) n)
           EDGES (SELECT 'g' || g.range, n.range * 10, (n.range + 1) % 4 * 10 FROM range(3) g, range(4) n)"""
    )
    assert kinds(con, "mol.graphs")["graph"] == "VARCHAR"
    found = kinds(con, "mol.nodes")
    assert (found["node"], found["graph"], found["charge"]) == ("BIGINT", "VARCHAR", "FLOAT")
    rows = con.execute(
        "SELECT graph, count(*), max(src) FROM mol.edges JOIN mol.graphs USING (graph) GROUP BY ALL ORDER BY 1"
    )
    assert rows.rows == [("g0", 4, 30), ("g1", 4, 30), ("g2", 4, 30)]
    assert kinds(con, "mol.targets")["target"] == "VARCHAR" and "target_u" not in kinds(
        con, "mol.targets"
    )


def test_every_node_type_has_a_view(con):
    con.execute(
        """CREATE GRAPH shop FROM
           NODES account (SELECT range AS id, range * 2 AS age, DATE '2020-01-01' AS since FROM range(3)),
           NODES edges (SELECT range AS id, 'm' || range AS title, [range, 1, 2] AS v FROM range(2)),
           EDGES account -buys-> edges (SELECT range, 0 FROM range(3))"""
    )
    assert kinds(con, "shop.account") == {
        "node": "BIGINT",
        "age": "FLOAT",
        "since": "DATE",
        "position": "BIGINT",
    }
    assert kinds(con, "shop.edges_view") == {
        "node": "BIGINT",
        "v": "FLOAT[]",
        "title": "VARCHAR",
        "position": "BIGINT",
    }
    assert con.execute("SELECT node, v FROM shop.edges_view ORDER BY node").rows[1] == (
        1,
        [1.0, 1.0, 2.0],
    )
    found = con.execute(
        "SELECT src, dst, edge_type, src_type, dst_type FROM shop.edges ORDER BY edge"
    ).rows
    assert found[2] == (2, 0, "account -buys-> edges", "account", "edges")
    assert kinds(con, "shop.nodes")["node_type"] == "VARCHAR"
    assert "view edges is edges_view" in dict(con.execute("DESCRIBE GRAPH shop").rows)["renamed"]


def test_links_have_two_ends(con):
    con.execute(GRAPH.format("tx"))
    con.execute(
        """INSERT INTO sxq.queries SELECT 1, '', '', 1, 1, '{}', 0, 0, 1, 'cpu', '{}', now()::TIMESTAMP, 1, true, 'done',
           NULL;
           INSERT INTO sxq.targets (query_id, target, ordinal, status)
           SELECT 1, {'u': src, 'v': dst}::VARIANT, 0, 'done' FROM e LIMIT 1"""
    )
    found = con.execute("SELECT target, target_u, target_v FROM tx.targets").fetchone()
    assert found == (None, *con.execute("SELECT src, dst FROM e LIMIT 1").fetchone())


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("range::INT", "BIGINT"),
        ("range::HUGEINT * 1000000000000000000000", "HUGEINT"),
        ("'t' || range", "VARCHAR"),
    ]
    + [
        ("range::DECIMAL(9, 2)", "DECIMAL(5,2)"),
        ("DATE '2020-01-01' + range::INT", "DATE"),
        ("range::DOUBLE + 0.5", "DOUBLE"),
    ]
    + [
        ("TIME '10:00' + to_seconds(range)", "TIME"),
        ("make_timestamp(range)", "TIMESTAMP"),
        ("encode(range::VARCHAR)", "BLOB"),
    ]
    + [
        ("range::BIT", "BIT"),
        ("(range::VARCHAR)::JSON", "JSON"),
        ("range::TIMESTAMP_S" if 0 else "make_timestamp_ns(range)", "TIMESTAMP_NS"),
    ],
)
def test_keys_of_every_type(con, values, kind):
    con.execute(f"CREATE TABLE k AS SELECT {values} AS id, range AS n FROM range(101)")
    con.execute(
        "CREATE GRAPH g FROM NODES (FROM k) EDGES (SELECT a.id AS src, b.id AS dst FROM k a JOIN k b ON b.n = a.n + 1)"
    )
    assert kinds(con, "g.nodes")["node"] == kind
    joined = "SELECT count(*) FROM g.nodes JOIN k ON node = id JOIN g.edges ON src = id WHERE g.nodes.n = k.n"
    assert con.execute(joined).fetchone() == (100,)


def test_graphs_of_data_have_views(con):
    torch = pytest.importorskip("torch")
    data = pytest.importorskip("torch_geometric.data").Data
    con.register_graph(
        "g",
        data(
            x=torch.rand(4, 3),
            edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]),
            y=torch.tensor([0, 1, 0, 1]),
        ),
    )
    assert kinds(con, "g.nodes") == {
        "node": "BIGINT",
        "label": "BIGINT",
        "x": "FLOAT[]",
        "position": "BIGINT",
    }
    assert con.execute("SELECT src, dst FROM g.edges ORDER BY edge").rows == [
        (0, 1),
        (1, 2),
        (2, 3),
    ]
    assert "features" not in schemas(con)["g"]
    assert np.shape(con.execute("SELECT x FROM g.nodes").rows[0][0]) == (3,)


def test_lists_of_features_are_one_column():
    names = ["a", "v[0]", "v[1]", "v[2]", "w[0]", "x[1]", "v[0]", "v[1]", "b[0]", "b[2]"]
    assert graph_views._columns_of(names) == [
        *((0, "a", None), (1, "v", 3), (4, "w[0]", None), (5, "x[1]", None)),
        *((6, "v", 2), (8, "b[0]", None), (9, "b[2]", None)),
    ]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ([], None),
        (["VARIANT_NULL"], None),
        (["INT8", "INT64", "VARIANT_NULL"], "BIGINT"),
        (["INT8", "DOUBLE"], "DOUBLE"),
    ]
    + [
        (["VARCHAR", "INT8"], "VARCHAR"),
        (["BOOL_TRUE", "BOOL_FALSE"], "BOOLEAN"),
        (["OBJECT(a)"], "VARCHAR"),
    ]
    + [(["DECIMAL(4, 2)"], "DOUBLE"), (["DATE", "TIMESTAMP_MICROS"], "VARCHAR")],
)
def test_types_of_attributes(found, kind):
    assert graph_views.value_type(found) == kind
