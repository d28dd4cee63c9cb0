"""Tables into features: what an encoding decides, that it encodes other rows alike, and all that is wrong at once."""

import datetime
import json

import numpy as np
import pytest

from sxq.errors import GraphError
from sxq.graph import Graph
from sxq.graph.encoding import MOST, Encoding, learn
from sxq.graph.readers import TableReading, from_tables

NAN = float("nan")
KEYS = ["a", "b", "c", "d"]
COLUMNS = {
    "city": ["Rome", "Oslo", None, "Rome"],
    "amount": [3, None, NAN, 5.0],
    "open": [True, False, None, True],
    "since": [datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 3, 12), None, None],
    "pair": [[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0]],
    "uuid": [b"x", b"y", None, b"z"],
    "nothing": [None] * 4,
}


def encoded(columns, encoding, keys=KEYS):
    """The features by name, and the names of the attributes."""
    matrix, names, attributes = encoding.encode(columns, keys)
    assert matrix.shape == (len(keys), len(names)) and len(set(names)) == len(names)
    return {name: matrix[:, i].tolist() for i, name in enumerate(names)}, list(attributes)


def test_each_kind_of_column():
    """Worked out by hand."""
    features, attributes = encoded(COLUMNS, learn(COLUMNS, scale=False))
    assert features == {
        "city=Rome": [1, 0, 0, 1],
        "city=Oslo": [0, 1, 0, 0],
        "city is NULL": [0, 0, 1, 0],
        "amount": [3, 4, 4, 5],
        "amount is NULL": [0, 1, 1, 0],
        "open": [1, 0, 0, 1],
        "open is NULL": [0, 0, 1, 0],
        "since": [0, 2.5, 1.25, 1.25],
        "since is NULL": [0, 0, 1, 1],
        "pair[0]": [1, 3, 3, 5],
        "pair[1]": [2, 4, 4, 6],
        "pair is NULL": [0, 1, 0, 0],
    }
    assert attributes == ["city", "since", "uuid", "nothing"]


def test_scaled_numbers_have_mean_0_and_deviation_1():
    values = {"n": [1.0, 2.0, 3.0, 10.0], "same": [7, 7, 7, 7]}
    features, _ = encoded(values, learn(values, scale=True))
    assert np.mean(features["n"]) == pytest.approx(0) and np.std(features["n"]) == pytest.approx(1)
    assert features["same"] == [0] * 4  # no division by its deviation of 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unit", [1e-320, 1e-200, 1e200, 3e307])
def test_huge_and_tiny_numbers_are_scaled_like_others(unit):
    """Their squares and their sum are beyond float64."""
    given = [-5.0, 0.0, 1.0, 2.0, 3.0, 5.0, None]
    values = {"n": [number and number * unit for number in given]}
    plain, _ = encoded({"n": given}, learn({"n": given}, scale=True), given)
    learned = learn(values, scale=True)
    features, _ = encoded(values, learned, given)
    assert features["n"] == pytest.approx(plain["n"], rel=1e-2 if unit == 1e-320 else 1e-12)
    assert learned.columns[0].fill == (1.5 * unit,)
    rows = list(enumerate(values["n"]))
    graph = from_tables(
        (["id", "n"], rows), ([*"ab"], []), reading=TableReading(encode=True, scale=True)
    )
    assert graph.x[:, 0] == pytest.approx(features["n"], rel=1e-6)


@pytest.mark.filterwarnings("error")
def test_a_number_beyond_float32_is_refused_with_a_remedy_that_helps():
    rows = ((["id", "n"], [(0, 1e200), (1, 2e200)]), (["a", "b"], []))
    with pytest.raises(GraphError, match="'n' is 1e.200 at key 0.*say SCALE = standard"):
        from_tables(*rows, reading=TableReading(encode=True))
    assert from_tables(*rows, reading=TableReading(encode=True, scale=True)).x.tolist() == [
        [-1],
        [1],
    ]
    learned = learn({"n": [0.0, 1e-200]}, scale=True)
    with pytest.raises(GraphError, match="'n' is inf at key 0.*learn anew by ENCODE = auto"):
        from_tables(*rows, reading=TableReading(encode=learned))


@pytest.mark.parametrize(
    ("lists", "why"),
    [
        ([[1.0, 2.0], [1.0, None], None], "1 of 2 lists hold NULL or NaN"),
        ([[1.0, NAN], [1.0, None], [None, NAN]], "3 of 3 lists hold NULL or NaN"),
        ([[1.0], [1.0, 2.0, 3.0]], "lists of unequal length, 1 to 3"),
        ([[], [1.0]], "lists of unequal length, 0 to 1"),
        ([[], []], "lists without values"),
        ([[1.0], ["a"]], "lists that hold text, not only numbers"),
        ([[[1.0]], [[2.0]]], "lists that hold a list, not only numbers"),
    ],
)
def test_why_lists_are_no_feature(lists, why):
    (column,) = learn({"c": lists}, scale=False).columns
    assert column.kind == "attribute" and column.summary.startswith(f"attribute only: {why}")


@pytest.mark.parametrize("item", [NAN, None])
def test_a_list_of_new_rows_that_lacks_a_number_is_refused(item):
    learned = learn({"c": [[1.0, 2.0], [3.0, 5.0]]}, scale=True)
    with pytest.raises(GraphError, match=r"'c' is \[1.0, (nan|None)\] .* at key 'b'; .* 2 numbers"):
        learned.encode({"c": [[1.0, 2.0], [1.0, item]]}, KEYS[:2])


def test_rare_categories_are_other_and_names_are_no_feature():
    rows = [f"c{i}" for i in range(MOST + 8) for _ in range(MOST + 10 - i)]
    encoding = learn({"c": rows, "name": [f"n{i}" for i in range(len(rows))]}, scale=False)
    names = encoding.columns[0].features
    assert names == [*(f"c=c{i}" for i in range(MOST)), "c=(other)"]
    matrix, _, attributes = encoding.encode({"c": rows, "name": rows}, rows)
    assert (matrix.sum(axis=1) == 1).all() and "name" in attributes
    assert matrix[:, -1].sum() == sum(
        row in {f"c{i}" for i in range(MOST, MOST + 8)} for row in rows
    )
    assert "nearly a name" in encoding.columns[1].summary


def test_other_rows_are_encoded_alike():
    """By what the first table held, also after the encoding was stored as JSON."""
    learned = learn(COLUMNS, scale=True)
    stored = Encoding.from_dict(json.loads(json.dumps(learned.as_dict())))
    assert stored == learned
    again = {name: [values[2], values[0]] for name, values in COLUMNS.items()}
    first, _, _ = learned.encode(COLUMNS, KEYS)
    second, _, _ = stored.encode(again, ["x", "y"])
    np.testing.assert_array_equal(second, first[[2, 0]])
    unseen, _ = encoded({**again, "city": ["Turin", None]}, learned, ["x", "y"])
    assert unseen["city=Rome"] == unseen["city=Oslo"] == [0, 0]


def test_what_an_encoding_cannot_read_is_an_error():
    encoding = learn(COLUMNS, scale=False)
    for name, value, words in (
        ("city", 3, "'city' is 3 .* at key 'a'; the encoding expects text"),
        ("amount", "much", "expects a number"),
        ("since", 3, "expects a date"),
        ("pair", [1.0], "expects 2 numbers"),
        ("amount", float("inf"), "infinite at 1 key, such as 'a'"),
    ):
        with pytest.raises(GraphError, match=words):
            encoding.encode({**COLUMNS, name: [value, *COLUMNS[name][1:]]}, KEYS)
    with pytest.raises(GraphError, match="no column 'amount', which the encoding needs"):
        encoding.encode({k: v for k, v in COLUMNS.items() if k != "amount"}, KEYS)
    for wrong in ({}, {"columns": 3, "labels": []}, {"columns": [{"name": "a"}], "labels": []}):
        with pytest.raises(GraphError, match="none that sxq writes"):
            Encoding.from_dict(wrong)


NODES = (["key", "n", "label"], [("a", 1.0, "x"), ("b", 2.0, "y"), ("c", 4.0, None)])


def test_a_graph_keeps_its_encoding():
    auto = TableReading(encode=True)
    graph = from_tables(NODES, (["u", "v"], [("a", "b")]), reading=auto)
    assert Graph(**graph.columns()).encoding == graph.encoding
    assert graph.encoding.labels == ("x", "y")
    plain = from_tables(NODES, (["u", "v"], [("a", "b")]))
    assert plain.encoding is None and plain.content_hash != graph.content_hash
    only_y = (NODES[0], [("q", 1.0, "y")])
    again = from_tables(only_y, (["u", "v"], []), reading=TableReading(encode=graph.encoding))
    assert again.y.tolist() == [1]  # y is class 1 there, too
    strange = (NODES[0], [("q", 1.0, "z")])
    with pytest.raises(GraphError, match="label 'z' is none that the encoding knows: x, y"):
        from_tables(strange, (["u", "v"], []), reading=TableReading(encode=graph.encoding))


def test_all_problems_are_told_at_once():
    nodes = (["key", "n"], [("a", None), ("a", NAN), (None, 1.0), ("b", float("inf"))])
    edges = (["u", "v", "w"], [("a", "z"), (None, "b"), ("y", "b"), ("a", "b")])
    edges = (edges[0], [(*ends, value) for ends, value in zip(edges[1], (1.0, None, 2.0, 3.0))])
    with pytest.raises(GraphError) as told:
        from_tables(nodes, edges)
    lines = str(told.value).splitlines()
    assert lines[0] == "8 problems in the tables:"
    assert "- 1 row of NODES with a NULL key, such as row 3: leave them out" in lines
    assert "- 1 row of EDGES with a key in 'u' that is not in NODES, such as 'y' in row 3: " in str(
        told.value
    )
    assert any("2 rows of NODES with NULL or NaN in 'n', such as 'a'" in line for line in lines)
    with pytest.raises(GraphError, match="2 rows of EDGES with a key in 'v'"):
        from_tables(NODES, (["u", "v"], [("a", "z"), ("a", "y")]))
    with pytest.raises(GraphError, match="row 1 of EDGES: no node 'bb', did you mean 'b'"):
        from_tables(NODES, (["u", "v"], [("a", "bb")]))  # of a single one, what was meant


def test_dangling_edges_are_dropped_and_counted():
    edges = (["u", "v", "w"], [("a", "b", 1.0), ("a", "z", 2.0), (None, "b", 3.0), ("b", "b", 4.0)])
    graph = from_tables(NODES, edges, reading=TableReading(drop_dangling=True))
    assert graph.edge_index.tolist() == [[0, 1], [1, 1]]
    assert graph.edge_attr.tolist() == [[1.0], [4.0]]
    assert graph.left_out == {"dangling edges": "2 of 4 dropped"}


@pytest.mark.parametrize("scale", [False, True])
def test_values_are_shown_as_they_were_in_the_table(scale):
    columns = {**COLUMNS, "amount": [12345.67, None, 5.0, 7.0]}
    encoding = learn(columns, scale)
    matrix, names, _ = encoding.encode(columns, KEYS)
    shown = [
        {name: encoding.text(i, float(value)) for i, (name, value) in enumerate(zip(names, row))}
        for row in matrix.astype(np.float32)
    ]
    assert [row["amount"] for row in shown] == ["12,345.67", "7", "5", "7"]
    assert [row["since"] for row in shown][:2] == ["2024-01-01", "2024-01-03"]
    assert [row["city=Rome"] for row in shown] == ["1", "0", "0", "1"]
    assert [row["pair[1]"] for row in shown] == ["2", "4", "4", "6"]
    assert [row["amount is NULL"] for row in shown] == ["0", "1", "0", "0"]
