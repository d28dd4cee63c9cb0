"""A database file that someone else has prepared: opening it and asking of it runs none of the SQL it holds."""

import re

import duckdb
import pytest

import sxq
from sxq.errors import StoreError
from sxq.storage.key_columns import KEY_TYPES

CLUB = """
    CREATE TABLE people AS SELECT i AS id, CAST(i % 4 AS DOUBLE) AS age, i % 2 AS label FROM range(6) t(i);
    CREATE TABLE calls AS SELECT i AS caller, (i + 1) % 6 AS callee FROM range(6) t(i);
    CREATE GRAPH g FROM NODES (FROM people) EDGES (FROM calls) (UNDIRECTED = true);
    TRAIN MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 4, EPOCHS = 2);
    EXPLAIN NODE 1 USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES"""
MOLECULES = """
    CREATE TABLE molecules AS SELECT 'm' || i AS id, i % 2 AS label FROM range(4) t(i);
    CREATE TABLE atoms AS SELECT 'm' || i AS molecule, j AS atom, CAST(j AS DOUBLE) AS charge
        FROM range(4) t(i), range(3) u(j);
    CREATE TABLE bonds AS SELECT molecule, atom AS a, (atom + 1) % 3 AS b FROM atoms;
    CREATE GRAPHS g FROM GRAPHS (FROM molecules) NODES (FROM atoms) EDGES (FROM bonds) (UNDIRECTED = true);
    TRAIN MODEL m ON GRAPHS g (ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 4, EPOCHS = 2);
    EXPLAIN GRAPH 'm1' USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES"""
FILES = {  # column that is changed -> the script that makes the file, the kind of its graph, a target
    "key_type": (CLUB, "GRAPH", "NODE 1"),
    "graph_key_type": (MOLECULES, "GRAPHS", "GRAPH 'm1'"),
}
LOADING = [
    "DESCRIBE {kind} g",
    "PLAN EXPLAIN {target} USING MODEL m OPTIMIZE fdl+, conc",
    "EXPLAIN {target} USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES",
    "AUDIT",
    "AUDIT QUERY 1",
    "AUDIT STRUCTURE",
]
READING = [
    "SHOW GRAPHS",
    "SHOW MODELS",
    "SHOW QUERIES",
    "SHOW REFINES",
    *(
        f"SELECT * FROM {view}"
        for view in (
            "graphs",
            "knee",
            "label_mix",
            "recurring_edges",
            "agreement",
            "indicators",
            "stability",
            "best('fdl+')",
            "compare(1, 1)",
        )
    ),
]


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """Files as sxq makes them, by the column of their key type."""
    folder = tmp_path_factory.mktemp("honest")
    for column, (script, _, _) in FILES.items():
        with sxq.connect(str(folder / column)) as con:
            con.execute(script)
    return {column: (folder / column).read_bytes() for column in FILES}


@pytest.fixture
def hostile(honest, tmp_path):
    """A function that writes a file whose `graphs` holds a text in a column; the path."""

    def write(column, text):
        path = tmp_path / "hostile.duckdb"
        path.write_bytes(honest[column])
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"UPDATE sxq.graphs SET {column} = ?", [text])
        return str(path)

    return write


def payload(column, planted):
    """A type that is SQL: where it becomes part of a statement, that statement writes the file `planted`."""
    key, table = ("node", "nodes") if column == "key_type" else ("graph", "graph_members")
    return f"VARCHAR FROM {table}; COPY (SELECT 42) TO '{planted}'; SELECT {key}::VARCHAR"


@pytest.mark.slow
@pytest.mark.sweep(5)
@pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "writable"])
@pytest.mark.parametrize("column", FILES)
@pytest.mark.parametrize("statement", LOADING)
def test_sql_in_place_of_a_key_type_is_refused_and_not_run(
    statement, column, read_only, hostile, tmp_path
):
    planted, (_, kind, target) = tmp_path / "planted.csv", FILES[column]
    with sxq.connect(hostile(column, payload(column, planted)), read_only=read_only) as con:
        said = rf"table sxq.graphs, row with graph_id 1, column {column}: found .VARCHAR FROM .* expected BIGINT"
        if statement.startswith("AUDIT"):
            assert re.search(said, con.execute(statement).rows[0][-1])
        else:
            with pytest.raises(StoreError, match=said):
                con.execute(statement.format(kind=kind, target=target))
    assert not planted.exists()


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "writable"])
@pytest.mark.parametrize("column", FILES)
def test_what_reads_no_keys_works_on_and_runs_nothing(column, read_only, hostile, tmp_path):
    planted = tmp_path / "planted.csv"
    with sxq.connect(hostile(column, payload(column, planted)), read_only=read_only) as con:
        for statement in READING:
            con.execute(statement)
        con.vocabulary()
    assert not planted.exists()


@pytest.mark.slow
@pytest.mark.sweep(10)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "bigint",
        "BIGINT ",
        "BIGINT[]",
        "INTEGER",
        "VARIANT",
        "DECIMAL",
        "DECIMAL(5,2)",
        "DECIMAL(39, 2)",
        "DECIMAL(5, 6)",
        "DECIMAL(5, 2",
        "ENUM('a')",
        "BIGINT, (SELECT content FROM read_text('/etc/hostname'))",
        "mine",
        "NULL",
        "BIGINT--",
        "\u0000",
    ],
)
@pytest.mark.parametrize("column", FILES)
def test_what_sxq_never_writes_is_no_key_type(text, column, hostile):
    with (
        sxq.connect(hostile(column, text), read_only=True) as con,
        pytest.raises(StoreError, match=column),
    ):
        con.execute(f"DESCRIBE {FILES[column][1]} g")


def test_a_key_type_that_is_no_text(honest, tmp_path):
    path = tmp_path / "hostile.duckdb"
    path.write_bytes(honest["key_type"])
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE sxq.graphs ALTER key_type TYPE VARCHAR[] USING ['BIGINT']")
    with (
        sxq.connect(str(path), read_only=True) as con,
        pytest.raises(StoreError, match=r"found \['BIGINT'\]"),
    ):
        con.execute("DESCRIBE GRAPH g")


def test_a_long_text_is_cut_in_the_message(hostile):
    with sxq.connect(hostile("key_type", "x" * 10_000)) as con, pytest.raises(StoreError) as raised:
        con.execute("DESCRIBE GRAPH g")
    assert "xxx..." in str(raised.value) and len(str(raised.value)) < 500


def test_a_key_type_that_the_keys_do_not_have(hostile):
    with (
        sxq.connect(hostile("graph_key_type", "BIGINT")) as con,
        pytest.raises(StoreError, match="database refused"),
    ):
        con.execute("DESCRIBE GRAPHS g")


def test_every_key_type_is_one_of_duckdb():
    for kind in KEY_TYPES:
        assert str(duckdb.sqltype(kind)) == kind.replace(", ", ",")


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "name", ['a"b', "a.b", "\"; COPY (SELECT 42) TO 'planted.csv'; --", "'", "select"]
)
def test_names_in_statements_are_quoted(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quoted = '"' + name.replace('"', '""') + '"'
    with sxq.connect() as con:
        con.execute(CLUB.replace("GRAPH g", f"GRAPH {quoted}"))
        con.execute(
            f"EXPLAIN NODE 1 USING MODEL m OPTIMIZE fdl+, conc BUDGET 20 CANDIDATES INTO {quoted}"
        )
        assert con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' AND table_name = ?",
            [name],
        ).rows == [(name,)]
        con.execute(
            f"SELECT * FROM {quoted}; DESCRIBE GRAPH {quoted}; DROP MODEL m; DROP GRAPH {quoted}"
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("table", ["schema_version", "graphs"])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_view_in_the_place_of_a_table_is_never_read(tmp_path, table, read_only):
    """Opening a file reads the version; a view of that name would run its own SQL, and hand out files."""
    path = tmp_path / "hostile.duckdb"
    secret = tmp_path / "secret.txt"
    secret.write_text("do not tell")
    sxq.connect(str(path)).close()
    with duckdb.connect(str(path)) as other:
        other.execute(f"DROP TABLE sxq.{table} CASCADE")
        other.execute(
            f"CREATE VIEW sxq.{table} AS SELECT content::INT AS version, 1 AS graph_id"
            f" FROM read_text('{secret}')"
        )
    with pytest.raises(sxq.StoreError, match=f"sxq.{table} is a view") as caught:
        sxq.connect(str(path), read_only=read_only)
    assert "tell" not in str(caught.value)


# what DuckDB would run by itself

SECRET = "do not tell"


@pytest.fixture
def planted(honest, tmp_path):
    """A function that runs SQL of another program on a file; the path. `{secret}` is a file to read."""
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)

    def plant(*statements):
        path = tmp_path / "club.duckdb"
        path.write_bytes(honest["key_type"])
        with duckdb.connect(str(path)) as other:
            for statement in statements:
                other.execute(statement.format(secret=secret, planted=tmp_path / "planted"))
        return str(path)

    return plant


FOREIGN_VIEWS = {  # they are made anew where the file can be written, else the file is refused
    "a view that reads a file": (
        "DROP VIEW sxq.knee; CREATE VIEW sxq.knee AS SELECT 1 AS query_id, content FROM read_text('{secret}')",
    ),
    "a view that changes settings": (
        "DROP VIEW sxq.stability; CREATE VIEW sxq.stability AS"
        " FROM enable_logging('QueryLog', storage := 'file', storage_path := '{planted}')",
    ),
    "a view that sxq does not have": (
        "CREATE VIEW sxq.people AS SELECT content FROM read_text('{secret}')",
    ),
    "a table macro": (
        "DROP MACRO TABLE sxq.best;"
        " CREATE MACRO sxq.best(measure, of_query := NULL, k := 10) AS TABLE"
        " SELECT content FROM read_text('{secret}')",
    ),
    "a macro that bears the name of a function": tuple(
        f"CREATE MACRO sxq.{name} AS (SELECT content FROM read_text('{{secret}}'))"
        for name in (
            *("nextval(a)", "txid_current()", "now()", "max(a)", "count(a)", "lower(a)"),
            *("current_catalog()", '"+"(a, b)', '"->>"(a, b)', "list_transform(a, b)", "unnest(a)"),
        )
    ),
    "a table macro that bears the name of a function": (
        "CREATE MACRO sxq.range(a) AS TABLE SELECT content FROM read_text('{secret}')",
        "CREATE MACRO sxq.duckdb_views() AS TABLE SELECT content FROM read_text('{secret}')",
    ),
    "no views": ("DROP VIEW sxq.knee; DROP MACRO TABLE sxq.best",),
}
USES = [
    *READING,
    "SELECT count(*), max(rank) + 1, lower('A'), now() FROM sxq.knee",
    "SELECT * FROM range(2)",
    LOADING[2].format(target="NODE 1") + " INTO answer",
    "AUDIT",
    "SHOW QUERIES",
]


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", FOREIGN_VIEWS)
def test_views_and_macros_of_a_file_are_never_run(name, planted, tmp_path):
    path = planted(*FOREIGN_VIEWS[name])
    with pytest.raises(StoreError, match="views of sxq are not .* open it once without read_only"):
        sxq.connect(path, read_only=True)
    with sxq.connect(path) as con:
        for statement in USES:
            assert SECRET not in str(con.execute(statement).rows), statement
        con.vocabulary()
        assert con.sql("SELECT count(*) FROM people").rows == [(6,)]
    assert not (tmp_path / "planted").exists()
    with sxq.connect(path, read_only=True) as con:
        assert len(con.execute("FROM knee")) == 2


MACROS_OF_THE_USER = [
    *(
        "txid_current()",
        "current_catalog()",
        "nextval(a)",
        "now()",
        "count(a)",
        "max(a)",
        "list(a)",
    ),
    *("lower(a)", '"+"(a, b)', "length(a)", "timezone(a, b)", "to_json(a)", "contains(a, b)"),
]


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "writable"])
def test_the_engine_never_runs_what_is_in_schema_main(read_only, planted):
    """These are the user's own and stay; only the user's SQL finds them before DuckDB's functions."""
    path = planted(
        *(f"CREATE MACRO {name} AS error('{SECRET}')" for name in MACROS_OF_THE_USER),
        "CREATE MACRO range(a) AS TABLE SELECT error('it ran')",
        "CREATE MACRO duckdb_columns() AS TABLE SELECT error('it ran')",
        "CREATE VIEW mine AS SELECT content FROM read_text('{secret}')",
    )
    with sxq.connect(path, read_only=read_only) as con:
        for statement in ("SHOW GRAPHS", "SHOW QUERIES", "DESCRIBE GRAPH g", "DESCRIBE MODEL m"):
            con.execute(statement)
        con.execute("EXPLAIN NODE 1 USING MODEL m OPTIMIZE fdl+, conc BUDGET 20 CANDIDATES")
        con.execute("AUDIT")
        assert "knee" in con.vocabulary().tables
        assert con.execute("FROM mine").rows == [(SECRET,)]
        if not read_only:
            con.execute(
                "CREATE GRAPH h FROM DATASET 'BA-Shapes';"
                "TRAIN MODEL n ON GRAPH g (LAYERS = 1, EPOCHS = 1); DROP MODEL n; DROP GRAPH h"
            )


EXPRESSIONS = {
    "a trigger": (
        "CREATE TRIGGER t AFTER INSERT ON sxq.targets FOR EACH STATEMENT INSERT INTO sxq.candidates"
        " BY NAME SELECT 1 AS query_id, 1::VARIANT AS target, 1 AS candidate",
        "trigger 't'",
    ),
    "a default": (
        "ALTER TABLE sxq.targets ALTER note SET DEFAULT getvariable('x')",
        "column note of sxq.targets has the default",
    ),
    "a type": ("CREATE TYPE sxq.json AS ENUM ('a')", "type 'json'"),
    "a generated column": (
        "ALTER TABLE sxq.saliency RENAME TO s; CREATE TABLE sxq.saliency (refine_id BIGINT,"
        " target VARIANT, class INTEGER, edge BIGINT, saliency DOUBLE GENERATED ALWAYS AS (edge + 1.0))",
        "column saliency of sxq.saliency has the default",
    ),
    "a check": (
        "ALTER TABLE sxq.saliency RENAME TO s; CREATE TABLE sxq.saliency (refine_id BIGINT,"
        " target VARIANT, class INTEGER, edge BIGINT CHECK (edge > getvariable('x')), saliency DOUBLE)",
        "check",
    ),
    "an index over an expression": (
        "CREATE INDEX i ON sxq.candidates ((size + 1))",
        "index over an expression 'i'",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [True, False], ids=["read-only", "writable"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_in_tables_are_refused(name, read_only, planted):
    statement, said = EXPRESSIONS[name]
    with pytest.raises(StoreError, match=f"{said}.*another program changed the file"):
        sxq.connect(planted(statement), read_only=read_only)


@pytest.mark.parametrize("kind, word", [("key_type", "GRAPH"), ("graph_key_type", "GRAPHS")])
def test_a_graph_that_cannot_be_read_can_be_dropped(kind, word, hostile):
    with sxq.connect(hostile(kind, "nonsense")) as con:
        other = "GRAPHS" if word == "GRAPH" else "GRAPH"
        with pytest.raises(sxq.Error, match="'g' is a "):
            con.execute(f"DROP {other} g")
        con.execute(f"DROP {word} g")
        assert con.execute("SHOW GRAPHS").rows == []
