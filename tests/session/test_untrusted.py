"""Untrusted connections: text of strangers reaches nothing outside of the database. Every escape tried is here."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import duckdb
import numpy as np
import pytest

import sxq
from sxq.shell import Shell

SECRET = "do-not-tell"
GRAPH = """
    CREATE OR REPLACE TABLE people AS
        SELECT i AS id, CAST(i % 4 AS DOUBLE) AS age, i % 2 AS label FROM range(6) t(i);
    CREATE OR REPLACE TABLE calls AS SELECT i AS caller, (i + 1) % 6 AS callee FROM range(6) t(i);
    CREATE OR REPLACE GRAPH g FROM NODES (FROM people) EDGES (FROM calls) (UNDIRECTED = true);
    TRAIN OR REPLACE MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 4, EPOCHS = 2)"""
EXPLAIN = "EXPLAIN NODE 1 USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES"
frame = None  # a Python variable that SQL must not see

READS = [  # table expressions that read a file, tell a setting, or run text
    *("'secret.csv'", "'{folder}/secret.csv'", '"secret.csv"', "'https://example.com/a.csv'"),
    *("read_csv('secret.csv')", "read_csv_auto(['secret.csv'])", "READ_TEXT('secret.csv')"),
    *(
        "\"read_text\"('secret.csv')",
        "read_text/* */('secret.csv')",
        "system.main.read_text('secret.csv')",
    ),
    *("read_blob('secret.csv')", "read_blob('here.duckdb')", "read_blob('here.duckdb.wal')"),
    *("read_json('secret.csv')", "read_ndjson_objects('secret.csv')", "read_parquet('secret.csv')"),
    *(
        "parquet_scan('secret.csv')",
        "parquet_metadata('secret.csv')",
        "read_duckdb('other.duckdb')",
    ),
    *(
        "read_duckdb('here.duckdb')",
        "glob('*')",
        "sniff_csv('secret.csv')",
        "read_single_csv_file('secret.csv')",
    ),
    *(
        "query('FROM read_text(''secret.csv'')')",
        "query_table('secret.csv')",
        "query_table(['secret.csv'])",
    ),
    *(
        "query('FROM duckdb_' || 'settings()')",
        "json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    ),
    *(
        "duckdb_settings()",
        "duckdb_databases()",
        "duckdb_databases",
        "duckdb_secrets()",
        "duckdb_secrets(redact=false)",
    ),
    *(
        "duckdb_extensions()",
        "duckdb_logs()",
        "duckdb_logs",
        "duckdb_log_contexts()",
        "duckdb_temporary_files()",
    ),
    *(
        "pragma_database_list",
        "pg_catalog.pg_settings",
        "which_secret('s3://a', 's3')",
        "(SHOW secret_directory)",
    ),
    *(
        "(SHOW threads)",
        "pandas_scan(1)",
        "arrow_scan(1, 2, 3)",
        "python_map_function(1)",
        "frame",
        "sxq",
        "con",
    ),
    *("register_external_resource('a')", "start_ui()", "load_aws_credentials()"),
]
AROUND = [  # what can stand around them
    "FROM {}",
    "SELECT count(*) FROM {} AS t",
    "WITH a AS (SELECT * FROM {}) SELECT * FROM a",
    "SELECT (SELECT count(*) FROM {})",
    "EXPLAIN SELECT * FROM {}",
    "CREATE TABLE stolen AS FROM {}",
    "INSERT INTO people SELECT 1, 1, 1 FROM {}",
    "CREATE GRAPH h FROM NODES (SELECT 1 AS k FROM {}) EDGES (SELECT 1 AS s, 1 AS d)",
    "EXPLAIN NODES (SELECT 1 FROM {}) USING MODEL m OPTIMIZE fdl+",
    "PLAN EXPLAIN NODES (SELECT 1 FROM {}) USING MODEL m OPTIMIZE fdl+",
]
EVERYWHERE = READS[0], READS[6], READS[11]  # these go into all of AROUND; the others into the first
OTHERS = [
    *(
        "CREATE VIEW v AS FROM read_text('secret.csv'); FROM v",
        "CREATE VIEW v AS FROM 'secret.csv'",
    ),
    *(
        "CREATE MACRO m(p) AS TABLE FROM read_text(p); FROM m('secret.csv')",
        "CREATE MACRO s() AS current_setting('threads')",
    ),
    "CREATE TYPE t AS ENUM (SELECT content FROM read_text('secret.csv'))",
    *("PREPARE p AS FROM read_text('secret.csv')", "PREPARE p AS SELECT 1", "EXECUTE p"),
    *(
        "SELECT json_serialize_plan('SELECT current_setting(''threads'')', optimize := true)",
        "SELECT getenv('HOME')",
        "SELECT current_setting('secret_directory')",
        "SELECT 'threads'.current_setting()",
    ),
    *(
        "SELECT write_log('x')",
        "SELECT * FROM people ORDER BY (SELECT content FROM read_text('secret.csv'))",
    ),
    *(
        "COPY (SELECT 1) TO 'new.csv'",
        "COPY people TO '{folder}/new.csv'",
        "COPY people FROM 'secret.csv'",
    ),
    *(
        "COPY (SELECT 1) TO STDOUT",
        "COPY people FROM '/dev/stdin'",
        "COPY (SELECT 1) TO ('new' || '.csv')",
    ),
    *("COPY (SELECT 1) TO '{folder}/here.duckdb'", "COPY (SELECT 1) TO '{folder}/here.duckdb.wal'"),
    *("COPY (SELECT 1) TO '{folder}/here.duckdb.tmp/new.csv'", "COPY FROM DATABASE here TO memory"),
    *(
        "WITH a AS (COPY (SELECT 1) TO 'here.duckdb.wal') SELECT 1",
        "WITH a AS (copy people TO 'new.csv') FROM a",
    ),
    *(
        "SELECT 1; /* ; */ COPY (SELECT 1) TO 'new.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'new.csv'",
    ),
    *(
        "EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'new.csv'",
        "CREATE VIEW w AS WITH a AS (COPY (SELECT 1) TO 'new.csv') FROM a",
    ),
    "EXPLAIN NODES (WITH a AS (COPY (SELECT 1) TO 'here.duckdb.wal') SELECT 1) USING MODEL m OPTIMIZE fdl+",
    *(
        "EXPORT DATABASE 'new'",
        "IMPORT DATABASE 'new'",
        "PRAGMA import_database('new')",
        "PRAGMA copy_database('a', 'b')",
    ),
    *(
        "ALTER DATABASE here SET ALIAS TO there",
        "alter /* */ database IF EXISTS here SET ALIAS TO there",
        "ATTACH ':memory:' AS a",
        "ATTACH 'other.duckdb'",
        "ATTACH 'new.duckdb'",
        "ATTACH 'here.duckdb' AS again",
    ),
    *(
        "ATTACH IF NOT EXISTS 'other.duckdb' (READ_ONLY)",
        "DETACH here",
        "USE main",
        "INSTALL httpfs",
        "LOAD httpfs",
    ),
    *(
        "FORCE INSTALL httpfs",
        "INSTALL a FROM community",
        "UPDATE EXTENSIONS",
        "LOAD json",
        "LOAD './x.so'",
    ),
    *(
        "CREATE SECRET s (TYPE http)",
        "CREATE OR REPLACE PERSISTENT SECRET s (TYPE s3)",
        "DROP SECRET s",
    ),
    *("CREATE TEMPORARY SECRET IF NOT EXISTS s (TYPE http)", "DROP PERSISTENT SECRET s"),
    *(
        f"{verb} {rest}"
        for verb in ("SET", "SET GLOBAL", "SET SESSION", "PRAGMA")
        for rest in (
            "memory_limit = '90 GB'",
            "enable_external_access = true",
            "lock_configuration = false",
        )
    ),
    *(
        "SET allowed_directories = ['/']",
        "SET temp_directory = 'new'",
        "SET python_enable_replacements = true",
    ),
    *(
        "SET python_scan_all_frames = true",
        "SET profile_output = 'new.json'",
        "SET log_query_path = 'new.log'",
    ),
    *(
        "SET search_path = 'main'",
        "SET VARIABLE a = 'secret.csv'",
        "RESET memory_limit",
        "RESET ALL",
    ),
    *(
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "PRAGMA version",
        "PRAGMA enable_checkpoint_on_shutdown",
    ),
    *("PRAGMA add_parquet_key('k', '0123456789112345')", "PRAGMA storage_info('people')"),
    *(
        "CALL enable_logging(storage = 'file', storage_path = 'new')",
        "CALL enable_profiling()",
        "CHECKPOINT",
    ),
    *(
        "CALL truncate_duckdb_logs()",
        "CALL pragma_database_size()",
        "SHOW secret_directory",
        'SHOW "memory_limit"',
    ),
    *("CREATE GRAPH h FROM FILE 'graph.npz'", "CREATE GRAPHS h FROM FILE '{folder}/graph.npz'"),
    *(
        "CREATE GRAPH h FROM FILE 'allowed/../graph.npz'",
        "CREATE GRAPH h FROM FILE 'allowed/link.npz'",
    ),
    *("CREATE GRAPH h FROM FILE '~/graph.npz'", "CREATE GRAPH h FROM FILE 'allowedx/graph.npz'"),
    "CREATE MODEL n ON GRAPH g FROM FILE '/etc/passwd' (ARCHITECTURE = gcn)",
    *(
        "CREATE GRAPH h FROM DATASET 'Cora'",
        "CREATE GRAPHS h FROM DATASET 'MUTAG'",
        "CREATE GRAPH h FROM DATASET 'Flickr'",
    ),
    "CREATE GRAPHS h FROM DATASET 'BA-3motif' (GRAPHS = 1000000000)",
    *(
        "SET sxq_batch_memory = '90 GB'",
        "SET sxq_budget = 1000000000",
        "SET sxq_front_limit = 1000000",
    ),
    *(
        "SET sxq_device = 'cpu'",
        "SELECT * FROM range(100000000)",
        "SELECT list(i) FROM range(1000000000) t(i)",
    ),
    *("SELECT i FROM range(30000000) t(i) ORDER BY hash(i)",),
]
ESCAPES = [
    *(f"FROM {read}" for read in READS if read not in EVERYWHERE),
    *(around.replace("{}", read) for around in AROUND for read in EVERYWHERE),
    *OTHERS,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with files that strangers must not read, and one that they may."""
    folder = tmp_path_factory.mktemp("untrusted")
    (folder / "secret.csv").write_text(f"a,b\n{SECRET},2\n")
    np.savez(folder / "graph.npz", edge_index=np.array([[0, 1], [1, 0]]), x=np.ones((2, 1)))
    (folder / "allowed").mkdir()
    (folder / "allowedx").mkdir()
    for name in ("allowed/good.npz", "allowedx/graph.npz"):
        (folder / name).write_bytes((folder / "graph.npz").read_bytes())
    (folder / "allowed/link.npz").symlink_to(folder / "graph.npz")
    (folder / "allowed/script.sql").write_text("SELECT 42 AS answer;\n.read secret.sql\n")
    (folder / "secret.sql").write_text(f"SELECT '{SECRET}';")
    duckdb.connect(str(folder / "other.duckdb")).close()
    with sxq.connect(str(folder / "here.duckdb")) as con:
        con.execute(GRAPH)
    return folder


@pytest.fixture(scope="module")
def stranger(folder):
    with sxq.connect(
        str(folder / "here.duckdb"),
        untrusted=True,
        allow=[folder / "allowed"],
        memory_limit="32 MB",
    ) as con:
        yield con


def files(folder: Path):
    """Every file below a folder, with its content unless the open database writes it."""
    return {
        path: None if path.name.startswith("here.duckdb") else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "here.duckdb.wal"
    }


@pytest.mark.slow
@pytest.mark.parametrize("script", ESCAPES)
def test_an_escape_is_refused(script, stranger, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("builtins.frame", [1], raising=False)
    before = files(folder)
    con, sxq_ = stranger, sxq  # a replacement scan would find these names
    with pytest.raises(sxq_.Error) as refused:
        con.execute(script.replace("{folder}", str(folder)))
    assert SECRET not in str(refused.value)
    assert files(folder) == before
    assert con.execute("SELECT count(*) FROM people").rows == [(6,)]  # the connection goes on


@pytest.mark.slow
def test_ordinary_work_goes_on(tmp_path):
    path = str(tmp_path / "mine.duckdb")
    with sxq.connect(path, untrusted=True) as con:
        con.execute(f"{GRAPH}; {EXPLAIN} INTO answers")
        for statement in [
            "SELECT count(*) FROM answers",
            "WITH a AS (SELECT 1 AS copy) SELECT copy FROM a",
            'SELECT "copy" FROM (SELECT 1 AS copy)',
            "PIVOT calls ON caller USING count(*)",
            "CREATE VIEW v AS SELECT * FROM best('fdl+'); FROM v; DROP VIEW v",
            "BEGIN; INSERT INTO people VALUES (9, 1, 1); ROLLBACK",
            "SELECT label AS query FROM people WHERE 'abc' GLOB 'a*'",
            *(
                "DESCRIBE people",
                "SUMMARIZE people",
                "SHOW TABLES",
                "EXPLAIN SELECT 1",
                "EXPLAIN ANALYZE SELECT 1",
            ),
            *(
                "SHOW GRAPHS",
                "SHOW QUERIES",
                "DESCRIBE GRAPH g",
                "DESCRIBE MODEL m",
                f"PLAN {EXPLAIN}",
                "AUDIT",
            ),
            *("SET sxq_budget = 100", "RESET sxq_budget", "SET sxq_keep_candidates = true"),
            "CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 3)",
            *(
                "UPDATE people SET age = 1 WHERE id = 0",
                "ALTER TABLE people ADD COLUMN city VARCHAR",
            ),
        ]:
            con.execute(statement)
        con.vocabulary()
    with sxq.connect(path, untrusted=True) as con:  # again
        assert con.execute("AUDIT").rows[0][-1] == "ok"
    with sxq.connect(path, read_only=True, untrusted=True) as con:
        assert len(con.execute(EXPLAIN)) and con.execute("SELECT count(*) FROM answers").rows
        for script in ("FROM 'x.csv'", "CREATE TABLE a (b INT)", "ATTACH ':memory:' AS m"):
            with pytest.raises(sxq.Error):
                con.execute(script)
    with sxq.connect(path) as con:
        assert con.execute("SELECT count(*) FROM queries").rows == [(1,)]
    assert [each.name for each in tmp_path.iterdir()] == ["mine.duckdb"]


def test_allowed_folders_are_read(stranger, folder):
    stranger.execute(
        f"CREATE OR REPLACE GRAPH h FROM FILE '{folder}/allowed/good.npz'; DROP GRAPH h"
    )


@pytest.mark.parametrize(
    "options, said",
    [
        ({"untrusted": True, "allow": ["/no/such/folder"]}, "expected a folder"),
        ({"untrusted": True, "allow": [3]}, "expected a folder"),
        ({"allow": ["."]}, "untrusted=True"),
        ({"memory_limit": "1 GB"}, "untrusted=True"),
        ({"untrusted": True, "memory_limit": "much"}, "such as '512 MB'"),
    ],
)
def test_rights_that_make_no_sense(options, said):
    with pytest.raises(sxq.InvalidValue, match=said):
        sxq.connect(**options)


@pytest.mark.slow
def test_two_kinds_of_connection_to_one_file(stranger, folder):
    with pytest.raises(sxq.StoreError, match="with other rights"):
        sxq.connect(str(folder / "here.duckdb"))


def test_the_shell_of_a_stranger(stranger, folder, monkeypatch):
    monkeypatch.chdir(folder)
    shell = Shell(stranger)
    before = files(folder)
    stranger.execute(EXPLAIN)
    for line in [
        *(".read secret.sql", ".read allowed/script.sql", ".read allowed/../secret.sql"),
        *(
            ".output new.txt",
            ".once new.txt",
            ".plot new.png",
            ".export new.json",
            ".report new.html",
        ),
    ]:
        written = io.StringIO()
        with redirect_stdout(written), pytest.raises(sxq.NotAllowed):
            shell.run(line)
        assert SECRET not in written.getvalue()
    assert files(folder) == before
    with redirect_stdout(written):
        shell.run(".tables\n.schema people\n.output\n.mode json\nSELECT 1 AS a")
    assert '{"a": 1}' in written.getvalue()


READ_ONLY_ESCAPES = [
    *(
        f"COPY (SELECT 1) TO '{path}'"
        for path in ("mine.duckdb", "./mine.duckdb", "{folder}/mine.duckdb")
    ),
    *(
        f"COPY (SELECT 1) TO '{path}'"
        for path in ("mine.duckdb.wal", "sub/../mine.duckdb", "link.duckdb")
    ),
    *(
        f"COPY (SELECT 1) TO '{path}'"
        for path in ("hard.duckdb", "file:{folder}/mine.duckdb", "linked/mine.duckdb")
    ),
    *(
        f"COPY (SELECT 1) TO '{path}'"
        for path in ("file://{folder}/mine.duckdb", "file://localhost{folder}/mine.duckdb")
    ),
    *(
        "COPY (SELECT 1) TO ('mine' || '.duckdb')",
        'COPY (SELECT 1) TO "mine.duckdb"',
        "COPY (SELECT 1) TO $$mine.duckdb$$",
    ),
    *(
        "COPY (SELECT ' TO ' || (1)) TO E'mine.duckdb'",
        "SET VARIABLE f = 'mine.duckdb'; COPY (SELECT 1) TO (getvariable('f'))",
    ),
    "COPY (SELECT 1) TO '{folder}' (FORMAT csv, PER_THREAD_OUTPUT, FILENAME_PATTERN 'mine', FILE_EXTENSION 'duckdb')",
    "COPY people (id) TO 'mine.duckdb' (USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'mine.duckdb'",
    *(
        "PREPARE p AS COPY (SELECT 1) TO 'mine.duckdb'; EXECUTE p",
        "WITH a AS (COPY (SELECT 1) TO 'mine.duckdb') SELECT 1",
    ),
    "EXPLAIN NODES (WITH a AS (COPY (SELECT 1) TO 'mine.duckdb') SELECT 1) USING MODEL m OPTIMIZE fdl+",
    *(
        "EXPORT DATABASE 'new'",
        "export database 'new' (FORMAT parquet)",
        "IMPORT DATABASE 'new'",
        "PRAGMA import_database('new')",
    ),
    *(
        "CREATE PERSISTENT SECRET s (TYPE http)",
        "CREATE OR REPLACE PERSISTENT SECRET s (TYPE http)",
        "DROP PERSISTENT SECRET s",
    ),
    *(
        "ATTACH 'mine.duckdb' AS a",
        "ATTACH 'link.duckdb' AS a",
        "ATTACH 'hard.duckdb' AS a",
        "ATTACH 'file://{folder}/mine.duckdb' AS a",
    ),
    *(
        "ATTACH DATABASE IF NOT EXISTS 'link.duckdb' AS a",
        "ATTACH ('li' || 'nk.duckdb') AS a",
        "ATTACH 'duckdb:link.duckdb' AS a",
    ),
    *(
        "SET profile_output = 'mine.duckdb'",
        "CALL enable_logging(storage = 'file', storage_path = 'new')",
    ),
    *("SET log_query_path = 'mine.duckdb'", "PRAGMA enable_profiling = 'json'"),
    *(
        "SET \"profiling_output\" = 'new.json'",
        "SET GLOBAL \"log_query_path\" = 'new.log'",
        "CALL \"enable_logging\"(storage = 'file', storage_path = 'new')",
        "FROM enable_logging(storage = 'file', storage_path = 'new')",
        "PREPARE p AS FROM system.main.\"enable_profiling\"(save_location = 'new.json')",
    ),
    *(
        "CREATE TABLE t (a INT)",
        "INSERT INTO people VALUES (1, 1, 1)",
        "SET GLOBAL log_query_path = 'mine.duckdb'",
    ),
]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    with sxq.connect(str(folder / "mine.duckdb")) as con:
        con.execute(GRAPH)
    (folder / "sub").mkdir()
    (folder / "link.duckdb").symlink_to("mine.duckdb")
    (folder / "linked").symlink_to(folder)
    (folder / "hard.duckdb").hardlink_to(folder / "mine.duckdb")
    with sxq.connect(str(folder / "mine.duckdb"), read_only=True) as con:
        yield con, folder


@pytest.mark.slow
@pytest.mark.parametrize("script", READ_ONLY_ESCAPES)
def test_read_only_leaves_its_own_file_alone(script, reader, monkeypatch):
    con, folder = reader
    monkeypatch.chdir(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(sxq.Error):
        con.execute(script.replace("{folder}", str(folder)))
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_read_only_may_write_other_files(reader, tmp_path, monkeypatch):
    con, _ = reader
    monkeypatch.chdir(tmp_path)
    con.execute("COPY people TO 'people.parquet'; COPY (SELECT 'a TO b') TO 'b.csv' (HEADER false)")
    con.execute(
        "SET threads = 2; ATTACH 'side.duckdb' AS side (READ_WRITE); CREATE TABLE side.t AS FROM people; DETACH side"
    )
    assert Path("b.csv").read_text() == "a TO b\n"
    assert con.execute("SELECT count(*) FROM 'people.parquet'").rows == [(6,)]
