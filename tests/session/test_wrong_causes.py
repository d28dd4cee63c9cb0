"""Messages name the cause in the words of SQL: the column, the key, NULL; and every error is one of sxq's."""

import warnings

import pytest
import torch
from torch_geometric.data import Data

import sxq

NODES = "NODES (SELECT * FROM (VALUES ('acct-1', {}), ('acct-2', .2)) t(id, f))"
EDGES = "EDGES (SELECT 'acct-1' AS payer, {} AS payee)"


GRAPHS = "NODES (SELECT 'A' AS g, 'n' AS node, 1.0 AS f) EDGES (SELECT 'A', 'n', 'n')"


@pytest.mark.parametrize(
    "script, said, never",
    [
        (
            f"CREATE GRAPHS g FROM GRAPHS (SELECT 'A' AS id, 1.5 AS label) {GRAPHS}",
            "label of graph 'A' is Decimal",
            "float",
        ),
        (
            f"CREATE GRAPHS g FROM GRAPHS (SELECT 'A' AS id, -7 AS label) {GRAPHS}",
            "label of graph 'A' is -7",
            "int\\b",
        ),
        (
            f"CREATE GRAPHS g FROM GRAPHS (SELECT 'A' AS id, 1::HUGEINT << 90 AS label) {GRAPHS}",
            "label of graph 'A' is 1237940039285380274899124224",
            "int64",
        ),
        (
            f"CREATE GRAPHS g FROM GRAPHS (SELECT 'A' AS id UNION ALL SELECT 'A') {GRAPHS}",
            "the key 'A' stands in more than one row of GRAPHS",
            "first column",
        ),
        (
            f"CREATE GRAPHS g FROM GRAPHS (SELECT ['A'] AS id) {GRAPHS}",
            "the key 'id' is a list in row 1 of GRAPHS",
            "unhashable",
        ),
        (
            f"CREATE GRAPH g FROM {NODES.format('.1')} {EDGES.format('NULL::VARCHAR')}",
            "'payee' is NULL in row 1 of EDGES",
            "None",
        ),
        (
            f"CREATE GRAPH g FROM {NODES.format('1e300')} {EDGES.format(1)}",
            "'f' is 1e\\+300 at key 'acct-1', beyond what float32",
            "NaN",
        ),
        (
            f"CREATE GRAPH g FROM {NODES.format('-1e39')} {EDGES.format(1)}",
            "'f' is -1e\\+39 at key 'acct-1', beyond",
            "NaN",
        ),
        (
            f"CREATE GRAPH g FROM {NODES.format('.1')} EDGES (SELECT 'acct-1' AS a, 'acct-2' AS b, 1e300 AS weight)",
            "'weight' is 1e\\+300 at row 1 of EDGES",
            "NaN",
        ),
        (
            "CREATE GRAPHS g FROM GRAPHS (SELECT 1 AS id) NODES (SELECT NULL::INT AS molecule, 1 AS atom, 1.0 AS f)"
            " EDGES (SELECT 1 AS m, 1 AS a, 1 AS b LIMIT 0)",
            "'molecule', the key of the graph, is NULL in row 1 of NODES",
            "None",
        ),
    ],
)
def test_the_cause_is_named(script, said, never):
    with (
        sxq.connect() as con,
        warnings.catch_warnings(),
        pytest.raises(sxq.GraphError, match=said) as raised,
    ):
        warnings.simplefilter("error")
        con.execute(script)
    assert never not in str(raised.value)


@pytest.mark.parametrize("field", ["x", "edge_weight", "edge_attr"])
def test_tensors_beyond_float32_are_named(field):
    values = {
        "x": torch.ones(2, 2).double(),
        "edge_weight": torch.ones(1).double(),
        "edge_attr": torch.ones(1, 2).double(),
    }
    values[field].view(-1)[-1] = 1e300
    data = Data(edge_index=torch.tensor([[0], [1]]), **values)
    with (
        sxq.connect() as con,
        warnings.catch_warnings(),
        pytest.raises(sxq.GraphError, match=rf"{field} is 1e\+300 at .* float32"),
    ):
        warnings.simplefilter("error")
        con.register_graph("g", data)


def test_a_null_target_is_called_null():
    with sxq.connect() as con:
        con.execute(f"CREATE GRAPH g FROM {NODES.format('.1')} {EDGES.format(repr('acct-2'))}")
        graph = con.session.registry.graphs["g"]
        with pytest.raises(sxq.NodeNotFound, match="no node NULL: a key is never NULL"):
            graph.position(None)


def test_a_collection_without_edges_is_described():
    with sxq.connect() as con:
        con.execute("CREATE TABLE e AS SELECT 1 AS molecule, 0 AS a, 1 AS b, 1.0 AS bond LIMIT 0")
        con.execute(
            "CREATE GRAPHS g FROM GRAPHS (SELECT 1 AS id)"
            " NODES (SELECT 1 AS g, i AS atom, 1.0 AS f FROM range(2) t(i)) EDGES (FROM e)"
        )
        assert ("edges", "0 directed") in con.execute("DESCRIBE GRAPHS g").rows


KEPT = [
    *(
        "1|2",
        "1::HUGEINT|170141183460469231731687303715884105727::HUGEINT",
        "1::UBIGINT|18446744073709551615::UBIGINT",
    ),
    *(
        "'a'|'b'",
        "'a'::ENUM('a', 'b')|'b'::ENUM('a', 'b')",
        "1.5::DECIMAL(5, 2)|2.50::DECIMAL(5, 2)",
        "0.1::FLOAT|2::FLOAT",
    ),
    *(
        "0.1::DOUBLE|'inf'::DOUBLE",
        "'\\xAA'::BLOB|'ab'::BLOB",
        "TIME '12:00'|TIME '13:00:00.000001'",
        "DATE '2020-01-01'|DATE '1500-01-01'",
    ),
    *(
        "TIMESTAMP '2020-01-01'|TIMESTAMP '1500-01-01'",
        "TIMESTAMP_S '2020-01-01'|TIMESTAMP_S '2021-01-01'",
    ),
    "UUID '00000000-0000-0000-0000-000000000001'|UUID '00000000-0000-0000-0000-000000000002'",
]
KEPT_AS_TEXT = [
    *(
        "TIMESTAMP 'infinity'|TIMESTAMP '2020-01-01'",
        "TIMESTAMP '2020-01-01'|TIMESTAMP '-infinity'",
        "DATE 'infinity'|DATE '2020-01-01'",
    ),
    *(
        "BIT '101'|BIT '0101'",
        "JSON '{{\"a\":1}}'|JSON '2'",
        "1::BIGNUM|2::BIGNUM",
        "TIMESTAMP '20000-01-01'|TIMESTAMP '2000-01-01'",
    ),
    *(
        "DATE '0044-03-15 (BC)'|DATE '2000-01-01'",
        "TIME '24:00:00'|TIME '12:00'",
        "'12:00:00.123456789'::TIME_NS|'13:00:00'::TIME_NS",
        "'12:00:00+02'::TIMETZ|'13:00:00+02'::TIMETZ",
    ),
    *(
        "TIMESTAMP_NS '2020-01-01 00:00:00.123456789'|TIMESTAMP_NS '2021-01-01'",
        "TIMESTAMP_S '200000-01-01'|TIMESTAMP_S '2021-01-01'",
    ),
]
REFUSED = [
    *("JSON '{{\"a\": 1}}'|JSON '2'", "JSON '1.50'|JSON '2'", "JSON 'null'|JSON '2'"),
    *("true|false", "[1]|[2]", "{{'a': 1}}|{{'a': 2}}"),
    *("INTERVAL 1 DAY|INTERVAL 2 DAY", "MAP {{'a': 1}}|MAP {{'a': 2}}"),
]
OF_KEYS = """
    CREATE TABLE t AS SELECT {} AS k, 1 AS f UNION ALL SELECT {}, 2;
    CREATE TABLE e AS SELECT {} AS s, {} AS d;
    CREATE GRAPH g FROM NODES (FROM t) EDGES (FROM e)"""


@pytest.mark.slow
@pytest.mark.sweep(9)
@pytest.mark.parametrize("keys", KEPT + KEPT_AS_TEXT)
def test_a_key_keeps_its_value(keys, tmp_path):
    pair = keys.replace("{{", "{").replace("}}", "}").split("|")
    column = "k::VARCHAR" if keys in KEPT_AS_TEXT else "k"
    path = str(tmp_path / "keys.duckdb")
    with sxq.connect(path) as con:
        con.execute(OF_KEYS.format(*pair, *pair))
        assert con.execute("SELECT count(*) FROM t JOIN nodes ON node = k").rows == [(2,)]
        assert con.execute("SELECT count(*) FROM e JOIN edges ON src = s AND dst = d").rows == [
            (1,)
        ]
        keys = [key for (key,) in con.execute(f"SELECT {column} FROM t").rows]
    with sxq.connect(path) as con:
        assert con.session.registry.graphs["g"].keys == keys


@pytest.mark.slow
@pytest.mark.parametrize("keys", REFUSED)
def test_a_key_that_would_change_is_refused_by_name(keys):
    pair = keys.replace("{{", "{").replace("}}", "}").split("|")
    with sxq.connect() as con, pytest.raises(sxq.GraphError, match="key.*cast"):
        con.execute(OF_KEYS.format(*pair, *pair))


@pytest.mark.slow
def test_an_aborted_transaction_says_rollback(tmp_path):
    with sxq.connect(str(tmp_path / "a.duckdb")) as con:
        con.execute(OF_KEYS.format(1, 2, 1, 2))
        con.execute("BEGIN")
        with pytest.raises(sxq.SQLError):
            con.execute("SELECT 1 / (SELECT 'a')::INT")
        for statement in [
            *(
                "CREATE GRAPH h FROM NODES (FROM t) EDGES (FROM e)",
                "DROP GRAPH g",
                "SELECT 1",
                "FROM nodes",
            ),
            *("CREATE OR REPLACE GRAPHS g FROM DATASET 'BA-3motif'",),
        ]:
            with pytest.raises(sxq.Error, match="ROLLBACK"):
                con.execute(statement)
        con.execute("SHOW GRAPHS; DESCRIBE GRAPH g; ROLLBACK; SELECT 1; DROP GRAPH g")


@pytest.mark.parametrize(
    "text, parameters",
    [
        ("SELECT '\ud800'", None),
        ("SHOW \udfff", None),
        ('DESCRIBE GRAPH "\ud800"', None),
        ("SELECT ?", ["\ud800"]),
        ("SELECT $a", {"a": ["\ud800"]}),
        ("SELECT $a", {"a": {"\ud800": 1}}),
        (b"SELECT 1", None),
        (None, None),
    ],
)
def test_half_a_surrogate_pair(text, parameters):
    with sxq.connect() as con, pytest.raises(sxq.InvalidValue):
        con.execute(text, parameters)


def test_names_that_are_no_text():
    data = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0], [1]]))
    with sxq.connect() as con, pytest.raises(sxq.Error):
        con.register_graph("\ud800", data)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("path", ["a\0b", "a" * 300, "a/" * 3000 + "b", "\ud800", "a\0b/c", "\0"])
def test_paths_that_cannot_be(path, read_only, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(sxq.StoreError):
        sxq.connect(path, read_only)
    assert not list(tmp_path.iterdir())
