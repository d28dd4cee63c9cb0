"""Rows changed by hand or by another program: a statement answers or raises an sxq.Error, in little time and memory."""

import random
import resource
import signal
import zlib
from contextlib import contextmanager

import duckdb
import pytest

import sxq

FILES = {
    "club": """
        CREATE GRAPH g FROM NODES (SELECT range AS id, random() AS a, range::INTEGER % 2 AS label, 'x' AS city
                                   FROM range(12))
          EDGES (SELECT range AS u, (range + 1) % 12 AS v FROM range(12)) (UNDIRECTED = true);
        TRAIN MODEL m ON GRAPH g (LAYERS = 2, HIDDEN = 4, EPOCHS = 2);
        PRETRAIN REFINE r FOR MODEL m ON GRAPH g (EPOCHS = 1);
        EXPLAIN NODES 1, 2 USING MODEL m OPTIMIZE fdl+, conc TOP 3 BUDGET 20 CANDIDATES""",
    "many": """
        CREATE GRAPHS g FROM GRAPHS (SELECT 'g' || range AS id, range % 2 AS label FROM range(3))
          NODES (SELECT 'g' || (range // 4) AS g, range % 4 AS id, random() AS a FROM range(12))
          EDGES (SELECT 'g' || (range // 3) AS g, range % 3 AS u, range % 3 + 1 AS v FROM range(9)) (UNDIRECTED = true);
        TRAIN MODEL m ON GRAPHS g (LAYERS = 1, HIDDEN = 4, EPOCHS = 2);
        EXPLAIN GRAPH 'g1' USING MODEL m OPTIMIZE fdl+, conc TOP 3 BUDGET 20 CANDIDATES""",
}
PARTS = 4  # of the changes, to be tried side by side
SHARE = 3  # one change in three is tried: all of them take a quarter of an hour
TARGETS = {"club": "NODE 1", "many": "GRAPH 'g1'"}
KINDS = {"club": "GRAPH", "many": "GRAPHS"}
STATEMENTS = [
    "SHOW QUERIES",
    "SHOW MODELS",
    "SHOW GRAPHS",
    "SHOW REFINES",
    "DESCRIBE MODEL m",
    "DESCRIBE {kind} g",
    "DESCRIBE REFINE r",
    "AUDIT STRUCTURE",
    "AUDIT",
    "EXPLAIN {target} USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 10 CANDIDATES",
    "EXPLAIN {target} USING MODEL m OPTIMIZE fdl+, conc BY refine (pretrained = r) TOP 2 BUDGET 10 CANDIDATES",
    "DROP REFINE IF EXISTS r",
    "DROP MODEL m",
    "DROP {kind} g",
]
NUMBERS = ["-1", "0", "7", "1000000000", "2147483647"]
TEXTS = ["''", "'{}'", "'[]'", "'null'", "'\"x\"'", "repeat('x', 100000)", "'1e9'"]
VALUES = {
    "BIGINT": [*NUMBERS, "9223372036854775807", "-9223372036854775808"],
    "INTEGER": NUMBERS,
    "DOUBLE": ["-1", "0", "1e300", "'nan'", "'inf'"],
    "FLOAT": ["-1", "1e30", "'nan'", "'inf'"],
    "BOOLEAN": ["true", "false"],
    "VARCHAR": TEXTS,
    "JSON": ["'{}'", "'[]'", "'null'", "'\"x\"'", "'1'", "('[' || repeat('9', 6000) || ']')", "'{\"seal\": 1}'"],
    "VARCHAR[]": ["[]", "['y']", "['x', 'x']", "['city', NULL]", "['edge_attr', 'edge_truth']"],
    "FLOAT[]": ["[]", "[1, 2, 3]", "['nan']", "[NULL]"],
    "BLOB": ["''::BLOB", "'abc'::BLOB", "repeat('x', 100000)::BLOB", "'\\xFF\\xFF\\xFF\\x00\\x00\\x00\\x00\\x00{}'::BLOB"],
    "VARIANT": ["1::VARIANT", "99::VARIANT", "'x'::VARIANT", "[1]::VARIANT", "{'a': 1}::VARIANT",
                "'infinity'::TIMESTAMP::VARIANT", "'nan'::DOUBLE::VARIANT", "true::VARIANT"],
    "TIMESTAMP": ["'infinity'", "'0001-01-01'", "'290000-01-01'"],
    "MAP(VARCHAR, DOUBLE)": ["MAP {}", "MAP {'fdl+': 'nan'}", "MAP {'fdl+': 1e300}", "MAP {'fdl+': NULL}", "MAP {'x': 1}"],
    "MAP(VARCHAR, VARIANT)": ["MAP {}", "MAP {'city': 1::VARIANT}", "MAP {'city': NULL::VARIANT}",
                              "MAP {'x': 'y'::VARIANT}"],
}  # fmt: skip
SPECS = [
    "hops = 1000000000", "hops = -1", "hops = null", "hops = \"x\"", "hops = 1.5", "hops = true", "halo = 1000000000",
    "backend = \"x\"", "backend = []", "output = \"x\"", "output = {}", "reason = null", "class = 1", "architecture = null",
    "architecture = {}", "architecture = []", "architecture = \"x\"",
    *(f"architecture.{name} = {value}" for name in ("layers", "hidden", "heads", "in_channels", "out_channels")
      for value in ("1000000000", "-1", "0", "null", "1e300", "\"x\"", "[]")),
    "architecture.architecture = \"x\"", "architecture.architecture = []", "architecture.x = 1",
    "architecture.dropout = \"x\"", "architecture.dropout = 7", "architecture.pooling = []", "architecture.norm = {}",
]  # fmt: skip
REFINES = [
    "options = null", "options = {\"preset\": 1}", "losses = 3", "targets = \"x\"", "fine_tune = 1", "attributor = {}",
    *(f"attributor.{name} = {value}" for name in ("classes", "layers", "hidden", "in_channels", "edge_features")
      for value in ("1000000000", "-1", "null", "\"x\"")),
    "attributor.temperature = 0", "attributor.classwise = 7", "attributor.x = 1",
]  # fmt: skip


def changed(column, text):
    """An SQL expression: a JSON column with one entry set, and without its seal."""
    path, value = text.split(" = ")
    entries = value
    for name in reversed(path.split(".")):
        entries = f'{{"{name}": {entries}}}'
    return f"json_merge_patch({column}, '{entries}', '{{\"seal\": null}}')"


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest")
    for name, script in FILES.items():
        with sxq.connect(str(folder / name)) as con:
            con.execute(f"SET sxq_keep_candidates = true; {script}")
    return {name: (folder / name).read_bytes() for name in FILES}


def updates(path):
    """Every change of one value: (table, column, SQL value)."""
    with duckdb.connect(str(path), read_only=True) as con:
        columns = con.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() JOIN duckdb_tables()"
            " USING (table_name, schema_name) WHERE schema_name = 'sxq' AND NOT duckdb_columns.internal"
            " AND table_name <> 'schema_version' ORDER BY ALL"
        ).fetchall()
        filled = {name for name, *_ in columns if con.execute(f"FROM sxq.{name}").fetchone()}
    for table, column, kind, nullable in columns:
        if table in filled:
            yield from ((table, column, value) for value in VALUES[kind])
            if nullable:
                yield table, column, "NULL"
    yield from (("models", "spec", changed("spec", text)) for text in SPECS)
    if "refines" in filled:
        yield from (("refines", "spec", changed("spec", text)) for text in REFINES)


@contextmanager
def at_most(seconds):
    """A statement that takes longer fails the test instead of stopping the suite."""

    def stop(*_):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcomes(path, name, table):
    """Exceptions that are not ours, by statement."""
    foreign = []
    statements = [text for text in STATEMENTS if table == "refines" or "pretrained" not in text]
    with sxq.connect(str(path)) as con:
        for statement in statements:
            text = statement.format(target=TARGETS[name], kind=KINDS[name])
            try:
                with at_most(20):
                    str(con.execute(text))
            except sxq.Error:
                pass
            except BaseException as error:
                foreign.append(f"{text}: {type(error).__name__}: {str(error)[:200]}")
    return foreign


def check(changes, honest, name, path):
    """Apply each change to a fresh file, and gather what is not an answer or an error of ours."""
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wrong = []
    for table, column, value in changes:
        path.write_bytes(honest[name])
        with duckdb.connect(str(path)) as con:
            try:
                con.execute(
                    f"UPDATE sxq.{table} SET {column} = {value} WHERE rowid ="
                    f" (SELECT min(rowid) FROM sxq.{table})"
                )
            except duckdb.ConstraintException:
                continue  # the primary key of another row
        wrong += [
            f"{table}.{column} = {value[:80]}: {found}" for found in outcomes(path, name, table)
        ]
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start  # KiB
    assert wrong == [] and used < 2**20


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_changed_value_gives_an_answer_or_an_error_of_ours(name, honest, tmp_path):
    (tmp_path / "honest").write_bytes(honest[name])
    every = list(updates(tmp_path / "honest"))
    some = random.Random(0).sample(every, 6)
    check(some, honest, name, tmp_path / "changed")


@pytest.fixture(scope="module")
def every(honest, tmp_path_factory):
    """A share of the changes of each file; of those that both could have, each has one half."""
    folder = tmp_path_factory.mktemp("every")
    found = {}
    for name in FILES:
        (folder / name).write_bytes(honest[name])
        found[name] = list(updates(folder / name))
    both = set.intersection(*map(set, found.values()))

    def own(name, change):
        number = zlib.crc32(repr(change).encode())
        mine = change not in both or list(FILES)[number % len(FILES)] == name
        return mine and number // len(FILES) % SHARE == 0

    return {name: [c for c in changes if own(name, c)] for name, changes in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", FILES)
def test_changed_values_give_answers_or_errors_of_ours(name, part, every, honest, tmp_path):
    check(every[name][part::PARTS], honest, name, tmp_path / "changed")
