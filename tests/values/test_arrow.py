"""Results as Arrow and Polars: each column in the type that SQL gave it, also without a single row."""

import datetime
import decimal
import sys

import duckdb
import pytest

import sxq
from sxq.values import arrow

VALUES = {
    "a": "1::TINYINT", "b": "2::USMALLINT", "c": "3::INTEGER", "d": "4::UBIGINT", "e": "5::HUGEINT", "f": "1.5::FLOAT",
    "g": "2.5::DOUBLE", "h": "12.34::DECIMAL(10, 2)", "i": "'text'", "j": "true", "k": "DATE '2024-02-29'",
    "l": "TIMESTAMP '2024-02-29 12:30:00.5'", "m": "TIME '12:30:00'", "n": "'ab'::BLOB", "o": "[1, NULL, 3]",
    "p": "MAP {'x': 1.5, 'y': NULL}", "q": "{'a b': 1, 'c': ['x'], 'd,\"e': {'f': DATE '2024-01-01'}}", "r": "NULL::BIGINT",
    "s": "'00000000-0000-0000-0000-000000000001'::UUID", "t": "'{\"a\": 1}'::JSON", "u": "INTERVAL 90 SECONDS",
    "v": "TIMESTAMPTZ '2024-02-29 12:00:00+00'", "w": "'one'::ENUM('one', 'it''s, two)')", "x": "[[1.5::FLOAT]]",
    "y": "TIMESTAMP_S '2024-02-29 12:00:00'", "z": "[1, 2]::INTEGER[2]",
}  # fmt: skip
SELECT = f"SELECT {', '.join(f'{value} AS {name}' for name, value in VALUES.items())}"


@pytest.fixture(scope="module")
def con():
    with sxq.connect() as con:
        yield con


def test_columns_have_the_types_of_sql(con):
    pa = pytest.importorskip("pyarrow")
    made = con.execute(f"{SELECT} UNION ALL SELECT {', '.join(['NULL'] * len(VALUES))}").arrow()
    empty = con.execute(f"{SELECT} LIMIT 0").arrow()
    assert made.schema == empty.schema
    types = dict(zip(made.schema.names, made.schema.types))
    assert (types["a"], types["b"], types["d"]) == (pa.int8(), pa.uint16(), pa.uint64())
    assert (types["k"], types["l"]) == (pa.date32(), pa.timestamp("us"))
    assert pa.types.is_map(types["p"])
    assert types["h"] == pa.decimal128(10, 2) and types["x"] == pa.list_(pa.list_(pa.float32()))
    first, second = made.to_pylist()
    assert set(second.values()) == {None}
    assert first["e"] == decimal.Decimal(5) and first["h"] == decimal.Decimal("12.34")
    assert first["q"] == {"a b": 1, "c": ["x"], 'd,"e': {"f": datetime.date(2024, 1, 1)}}
    assert (first["s"], first["w"]) == ("00000000-0000-0000-0000-000000000001", "one")
    assert (first["o"], first["z"], first["u"]) == (
        [1, None, 3],
        [1, 2],
        datetime.timedelta(seconds=90),
    )
    own = duckdb.connect().execute(SELECT).to_arrow_table().to_pylist()[0]
    alike = set(VALUES) - set(
        "espuvw"
    )  # HUGEINT, UUID, MAP, INTERVAL, zone and ENUM have several forms in Arrow
    assert {name: first[name] for name in alike} == {name: own[name] for name in alike}


def test_polars_frames_are_typed(con):
    pl = pytest.importorskip("polars")
    made = con.execute(SELECT).pl()
    kinds = dict(made.schema)
    assert (kinds["a"], kinds["k"], kinds["j"]) == (pl.Int8, pl.Date, pl.Boolean)
    assert kinds["o"] == pl.List(pl.Int32) and made["l"][0] == datetime.datetime(
        2024, 2, 29, 12, 30, 0, 500000
    )
    with pytest.raises(sxq.DataError, match="1 names stand for several columns .a."):
        con.execute("SELECT 1 AS a, 2 AS a").pl()
    assert con.execute("SELECT 1 AS a, 2 AS a").df().shape == (1, 2)


def test_results_of_queries_and_tables_of_sxq(con):
    pytest.importorskip("polars")
    con.execute(
        "CREATE OR REPLACE GRAPH g FROM NODES (SELECT 'k' || range AS id, range % 2 AS label FROM range(6))"
        " EDGES (SELECT 'k1', 'k2')"
    )
    con.execute("TRAIN OR REPLACE MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 1, EPOCHS = 1)")
    found = con.execute(
        "EXPLAIN NODE 'k2' USING MODEL m OPTIMIZE fdl+, conc TOP 1 BUDGET 5 CANDIDATES"
    ).pl()
    assert found["target"].to_list() == ["k2"] and str(found["factual"].dtype) == "Boolean"
    assert con.execute("SHOW GRAPHS").pl()["nodes"].to_list() == [6]
    assert con.execute("PREDICT USING MODEL m").arrow().num_rows == 6
    assert con.execute("FROM sxq.explanations").pl()["target"].to_list() == ["k2"]


@pytest.mark.parametrize(
    "values", [[1, "a", None], [2**70, 1], [{"u": 1}, 2], [{1, 2}], [b"a", "a"]]
)
def test_values_of_several_types_become_text(values):
    pytest.importorskip("pyarrow")
    made = arrow.arrow_table(["k"], [(value,) for value in values], ["VARIANT"])
    assert made.num_rows == len(values)


def test_a_missing_library_is_named(con, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(sxq.DataError, match=r"needs pyarrow.*pip install 'sxq\[frames\]'"):
        con.execute("SELECT 1").arrow()
