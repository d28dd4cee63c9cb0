"""Keys of any type: from the user's table through a query into the answer's tables, and back by a join."""

import datetime
import decimal
import json
import uuid

import numpy as np
import pytest

import sxq
from sxq.errors import DataError, GraphError, NodeNotFound
from sxq.graph import Graph
from sxq.graph.key_texts import BitKey, DateKey, JsonKey, NanosecondsKey, TimestampKey
from sxq.graph.saved_npz import write_npz

TYPES = {  # SQL type -> the key of row i, and that of row 0 as a query writes it
    "UUID": ("CAST(md5('a' || i) AS UUID)", "5640486d-aa68-80d6-67b7-6c958820361a"),
    "DATE": ("DATE '2024-01-01' + CAST(i AS INTEGER)", "2024-01-01"),
    "TIMESTAMP": ("TIMESTAMP '2024-01-01' + i * INTERVAL '90 minutes'", "2024-01-01 00:00:00"),
    "TIME": ("TIME '00:00' + i * INTERVAL '1 minute'", "00:00:00"),
    "DECIMAL(10,2)": ("CAST(i + 0.25 AS DECIMAL(10, 2))", "0.25"),
    "DOUBLE": ("CAST(i + 0.5 AS DOUBLE)", "0.5"),
    "BLOB": ("CAST('k' || i AS BLOB)", "6b30"),
    "HUGEINT": ("CAST(i AS HUGEINT) + 9223372036854775808", 9223372036854775808),
    "ENUM": ("CAST(chr(CAST(97 + i AS INTEGER)) AS ENUM('a', 'b', 'c', 'd', 'e', 'f'))", "a"),
    # what Python holds in part, or not at all
    "BIT": ("CAST(i + 2 AS BIT)", f"{'0' * 62}10"),
    "JSON": ("CAST('{\"a\":' || i || '}' AS JSON)", '{"a":0}'),
    "BIGNUM": ("CAST(repeat('9', 40) || i AS BIGNUM)", "9" * 40 + "0"),
    "TIMESTAMP_NS": (
        "CAST('2024-01-01 00:00:00.12345678' || i AS TIMESTAMP_NS)",
        "2024-01-01 00:00:00.12345678",
    ),
    "TIME_NS": ("CAST('00:00:00.12345678' || (i + 1) AS TIME_NS)", "00:00:00.123456781"),
    "DATE infinity": (
        "CASE i WHEN 0 THEN DATE 'infinity' ELSE DATE '9999-12-26' + CAST(i AS INTEGER) END",
        "infinity",
    ),
    "DATE of year 10000": ("DATE '9999-12-31' + CAST(i + 1 AS INTEGER)", "10000-01-01"),
    "DATE before Christ": ("DATE '0044-03-15 (BC)' + CAST(i AS INTEGER)", "0044-03-15 (BC)"),
    "TIMESTAMP infinity": (
        "CASE i WHEN 0 THEN TIMESTAMP '-infinity' ELSE TIMESTAMP '2024-01-01 00:00:00.5' + i * INTERVAL 1 DAY END",
        "-infinity",
    ),
    "TIMESTAMP_MS infinity": (
        "CAST(CASE i WHEN 0 THEN TIMESTAMP 'infinity' ELSE TIMESTAMP '2024-01-01' + i * INTERVAL 1 DAY END"
        " AS TIMESTAMP_MS)",
        "infinity",
    ),
    "TIME of 24 hours": (
        "CASE i WHEN 0 THEN TIME '24:00' ELSE TIME '00:00' + i * INTERVAL '1 minute' END",
        "24:00:00",
    ),
}
QUERY = "USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 20 CANDIDATES"


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("name", TYPES)
def test_a_key_goes_through_a_query_and_joins_back(name, tmp_path):
    expression, first = TYPES[name]
    literal = first if isinstance(first, int) else f"'{first}'"
    with sxq.connect(str(tmp_path / "keys.duckdb")) as con:
        con.execute(f"""
            CREATE TABLE people AS SELECT {expression} AS id, CAST(i % 4 AS DOUBLE) AS age, i % 2 AS label
                FROM range(6) t(i);
            CREATE TABLE calls AS SELECT a.id AS caller, b.id AS callee FROM people a POSITIONAL JOIN
                (FROM (FROM people OFFSET 1) UNION ALL FROM (FROM people LIMIT 1)) b;
            CREATE GRAPH g FROM NODES (FROM people) EDGES (FROM calls) (UNDIRECTED = true);
            TRAIN MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 4, EPOCHS = 30)""")
        result = con.execute(f"EXPLAIN NODE {literal} {QUERY}")
        key = result.targets[0].target
        assert len(result)
        assert con.execute("SELECT id = ? FROM people LIMIT 1", [key]).rows == [(True,)]
        asked = con.explain(node=key).using("m").optimize("fdl+", "conc").top(2).budget(20)
        assert str(asked) == f"EXPLAIN NODE {literal} {QUERY}"
        assert [e.edges for e in asked.run()] == [
            e.edges for e in con.execute(f"EXPLAIN NODE ? {QUERY}", [key])
        ]
        assert len(con.execute(f"EXPLAIN NODES (SELECT id FROM people) {QUERY}").targets) == 6
        for joined in (
            "explanations e JOIN people ON e.target = id",
            "explanation_edges e JOIN people ON e.src = id",
        ):
            ((held, found),) = con.execute(
                f"SELECT (SELECT count(*) FROM {joined.split()[0]}), count(*) FROM {joined}"
            ).rows
            assert held == found > 0
        assert len(con.execute("SELECT * FROM knee JOIN people ON target = id"))
        result.export(str(tmp_path / "answer.json"))
        assert str(
            json.loads((tmp_path / "answer.json").read_text())["targets"][0]["target"]
        ) == str(first)
        page = result.to_html()
        assert str(key) in page or json.dumps(str(key)) in page
    with sxq.connect(str(tmp_path / "keys.duckdb")) as con:  # keys survive the file
        assert {row[-1] for row in con.execute("AUDIT").rows} == {"ok"}
        assert con.execute(f"EXPLAIN NODE {literal} {QUERY}").targets[0].target == key


@pytest.mark.slow
def test_keys_of_a_collection_are_kept():
    with sxq.connect() as con:
        con.execute("""
            CREATE TABLE molecules AS SELECT CAST(i AS BIT) AS id, i % 2 AS label FROM range(6) t(i);
            CREATE TABLE atoms AS SELECT id AS molecule, CAST('["' || a || '"]' AS JSON) AS atom, 1.0 * a + label AS x
                FROM molecules, range(4) t(a);
            CREATE TABLE bonds AS SELECT id AS molecule, CAST('["' || a || '"]' AS JSON) AS a,
                CAST('["' || (a + 1) % 4 || '"]' AS JSON) AS b FROM molecules, range(4) t(a);
            CREATE GRAPHS g FROM GRAPHS (FROM molecules) NODES (FROM atoms) EDGES (FROM bonds) (UNDIRECTED = true);
            TRAIN MODEL m ON GRAPHS g (ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 4, EPOCHS = 30);
            SET sxq_keep_candidates = true""")
        query = "USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 50 CANDIDATES"
        assert (
            len(con.execute(f"EXPLAIN GRAPHS (SELECT id FROM molecules) {query} INTO kept").targets)
            == 6
        )
        again = con.execute(
            f"EXPLAIN GRAPHS (SELECT DISTINCT target FROM explanations LIMIT 2) {query}"
        )
        assert len(again.targets) == 2
        counted = {
            table: con.execute(
                f"SELECT count(*), count(id) FROM {table} LEFT JOIN {joined} ON {condition}"
            ).rows[0]
            for table, joined, condition in (
                ("explanations", "molecules", "target = id"),
                ("candidates", "molecules", "target = id"),
                ("kept", "molecules", "target = id"),
                ("explanation_edges", "(SELECT DISTINCT a AS id FROM bonds)", "src = id"),
                ("nodes", "molecules", "graph = id"),
            )
        }
        assert {
            table: held == found > 0 for table, (held, found) in counted.items()
        } == dict.fromkeys(counted, True)
        assert {row[-1] for row in con.execute("AUDIT").rows} == {"ok"}


def test_a_key_that_variant_would_change_is_refused_by_name():
    with sxq.connect() as con:
        with pytest.raises(GraphError, match="JSON key .* of 'id' of NODES would be stored as"):
            con.execute("""CREATE GRAPH g FROM NODES (SELECT CAST('{"b":1,"a":2}' AS JSON) AS id, 1.0 AS x)
                EDGES (SELECT NULL, NULL LIMIT 0)""")


def test_a_python_date_that_stands_for_two_keys_is_refused():
    graph = graph_of([DateKey("infinity"), DateKey("9999-12-31"), DateKey("-infinity")])
    assert graph.position("9999-12-31") == 1
    assert graph.position(datetime.date.min) == 2
    with pytest.raises(NodeNotFound, match="stands for '9999-12-31' and 'infinity'"):
        graph.position(datetime.date.max)


def test_the_text_of_a_bit_is_not_text(tmp_path):
    bits = graph_of([BitKey("01")])
    assert bits.content_hash != graph_of(["01"]).content_hash
    with pytest.raises(DataError, match="keys of the nodes are BIT"):
        write_npz(bits, tmp_path / "g.npz")


def graph_of(keys):
    return Graph(np.zeros((2, 0), int), np.ones((len(keys), 1)), keys=keys)


@pytest.mark.parametrize(
    "keys, literal, place",
    [
        ([uuid.UUID(int=7), uuid.UUID(int=8)], uuid.UUID(int=8), 1),
        ([1.5, 2.0], 2, 1),
        ([3, 4], decimal.Decimal(4), 1),
        ([decimal.Decimal("0.10")], "0.1", 0),
        ([datetime.datetime(2024, 1, 1)], "2024-01-01", 0),
        ([b"\xff\x00"], "FF00", 0),
        (
            [TimestampKey("infinity"), TimestampKey("2024-01-01 00:00:00.5")],
            "2024-01-01T00:00:00.500",
            1,
        ),
        ([DateKey("infinity")], "Infinity", 0),
        (
            [NanosecondsKey("2024-01-01 00:00:00.123456")],
            datetime.datetime(2024, 1, 1, 0, 0, 0, 123456),
            0,
        ),
        ([JsonKey("1"), JsonKey("true")], True, 1),
    ],
)
def test_a_literal_is_read_as_the_type_of_the_keys(keys, literal, place):
    assert graph_of(keys).position(literal) == place


@pytest.mark.parametrize(
    "keys, literal, said",
    [
        (
            [uuid.UUID(int=7)],
            "x",
            "keys are UUIDs such as '00000000-0000-0000-0000-000000000007', 'x' is text",
        ),
        (
            [datetime.date(2024, 1, 1)],
            "2024-01-02",
            "the graph has 1 nodes, the first is '2024-01-01'",
        ),
        ([1.5], True, "keys are numbers such as 1.5, True is a BOOLEAN"),
        ([1], 1.0, "keys are integers such as 1"),
        ([BitKey("01")], 1, "keys are BIT values such as '01', 1 is an integer"),
        (
            [datetime.datetime(2024, 1, 1)],
            NanosecondsKey("2024-01-01 00:00:00.000000001"),
            "keys are timestamps .* is TIMESTAMP_NS",
        ),
        (["a"], 1, "keys are text such as 'a', 1 is an integer"),
    ],
)
def test_what_is_no_key_is_said(keys, literal, said):
    with pytest.raises(NodeNotFound, match=said):
        graph_of(keys).position(literal)


@pytest.mark.parametrize(
    "keys, said",
    [
        ([True, False], "key True is a BOOLEAN; expected integers, text"),
        ([[1], [2]], "is a list; expected"),
        ([float("nan")], "NaN"),
        ([1, "a"], "keys are of several types .an integer, text.; expected all of one type"),
        ([1, None], "none missing"),
        ([1, 1], "key 1 stands for"),
        ([datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)], "say key AT TIME ZONE 'UTC'"),
    ],
)
def test_what_cannot_be_keys_is_said(keys, said):
    with pytest.raises(GraphError, match=said):
        graph_of(keys)
