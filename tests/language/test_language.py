"""The language: golden scripts for what parses and what does not, and properties that hold for any text."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sxq.errors import Error, InvalidValue, ParseError
from sxq.language import arguments, bind, complete, is_sxq, parse, split
from sxq.language.lexemes import MAX_NESTING, lexemes
from sxq.language.script import DUCKDB_EXPLAINS
from sxq.language.statements import Explain, Parameter, Sql, Subquery
from tests import golden

GRAMMAR = Path(__file__).parent.parent.parent / "grammar" / "sxq.lark"
LEAST = "USING MODEL gcn OPTIMIZE conc"


def parse_script(script):
    return [parse(piece.text, piece.line, piece.column) for piece in split(script)]


def examples():
    """The indented comment lines of the grammar."""
    return "\n".join(re.findall(r"^//     (.*)", GRAMMAR.read_text(), re.MULTILINE))


def show(value):
    """A statement as its constructor call, without defaults and the text it came from."""
    if dataclasses.is_dataclass(value):
        given = [
            (field.name, getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name != "text" and getattr(value, field.name) != field.default
        ]
        parts = [f"{name}={show(part)}" for name, part in given]
        breaks = "\n  " if isinstance(value, Explain) and len(parts) > 3 else ""
        return f"{type(value).__name__}({breaks}{f', {breaks}'.join(parts)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))}{',' * (len(value) == 1)})"
    return repr(value)


def show_script(script):
    return "\n".join(show(each) for each in parse_script(script.replace("DIGITS", "9" * 5000)))


@pytest.mark.parametrize(
    "path", golden.files("parse") + golden.files("errors/parse*"), ids=golden.name
)
def test_golden(path, bless):
    golden.check(path, show_script, bless)


def test_every_example_of_the_manual_parses():
    statements = parse_script(examples())
    assert len(statements) > 20
    assert not any(isinstance(statement, Sql) for statement in statements)


@pytest.mark.parametrize(
    "text",
    [
        "EXPLAIN NODE 1",
        "explain nodes 1",
        "EXPLAIN NODDE 1",
        "EXPLAIN GRAPH 1",
        "EXPLAIN",
        'EXPLAIN "select"',
        "PLAN EXPLAIN",
        "PROFILE x",
        "AUDIT",
        "TRAIN MODEL m",
        "PRETRAIN REFINE r",
        "CREATE MODEL m",
        "DROP GRAPH g",
        "CREATE OR REPLACE GRAPH g",
        "CREATE GRAPHS g",
        "DROP REFINE r",
        "SHOW MODELS",
        "show /* the */ queries;",
        "DESCRIBE MODEL gcn",
        'DESCRIBE graph "g"',
        "SET sxq_x = 1",
        "set SXQ_x to 1",
        "RESET sxq_x",
        "-- first\n/* then */ AUDIT",
    ],
)
def test_is_sxq(text):
    assert is_sxq(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN (FORMAT json) SELECT 1",
        "EXPLAIN FROM t",
        "explain with x AS (SELECT 1) FROM x",
        "EXPLAIN INSERT INTO t VALUES (1)",
        "CREATE TABLE graph (a INT)",
        "CREATE OR REPLACE TABLE model (a INT)",
        "DROP TABLE model",
        "SHOW TABLES",
        "SHOW t",
        "SHOW models.t",
        "DESCRIBE t",
        "DESCRIBE graph",
        "DESCRIBE graph;",
        "DESCRIBE model.t",
        "SET threads = 1",
        "RESET threads",
        "-- AUDIT\nSELECT 1",
        "FROM train",
        '"AUDIT"',
        "'AUDIT'",
    ],
)
def test_is_duckdbs(text):
    assert not is_sxq(text)
    assert parse(text) == Sql(text)


@pytest.mark.slow
def test_duckdb_explains_what_we_leave_to_it():
    """DuckDB as the oracle: after these words its parser does not stop at the word itself."""
    for word in DUCKDB_EXPLAINS:
        with pytest.raises(duckdb.Error) as failure:
            duckdb.connect().execute(f"EXPLAIN {word} ?!")
        assert f'at or near "{word}"' not in str(failure.value)


@pytest.mark.parametrize(
    "script",
    [
        "SELECT 1; SELECT 2",
        "SELECT ';'; SELECT ''';'",
        'SELECT 1 AS ";"";"; SELECT 2',
        "SELECT $$;$$; SELECT $a$;$$;$a$",
        "SELECT 1 -- ;\n; SELECT 2 /* ; /* ; */ ; */ + 1",
        r"SELECT e'\';'; SELECT E'\\'; SELECT '\'",
        "; ;SELECT 1;;",
        "SELECT 1 AS a$b; SELECT 2",
        "SELECT x'41'; SELECT 1 --",
        "SELECT 1 --x\r; SELECT 2",
    ],
)
def test_split_as_duckdb_does(script):
    assert len(split(script)) == len(duckdb.extract_statements(script))


def test_pieces_know_their_place():
    pieces = split("  SELECT 1;\n-- note\n\n /* x */ AUDIT ; SHOW\nMODELS -- end")
    assert [(piece.text, piece.line, piece.column) for piece in pieces] == [
        ("SELECT 1", 1, 3),
        ("AUDIT", 4, 10),
        ("SHOW\nMODELS", 4, 18),
    ]


@pytest.mark.parametrize(
    "text, finished",
    [
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT ';", False),
        ("", False),
        ("SELECT 1; SELECT", False),
        ("SELECT 1 /* ;", False),
        ("EXPLAIN NODES (SELECT $$;", False),
        (";", True),
    ],
)
def test_complete(text, finished):
    assert complete(text) is finished


def test_errors_carry_their_place():
    with pytest.raises(ParseError) as caught:
        parse("AUDIT QUERY\n x", line=7, column=5)
    assert (caught.value.line, caught.value.column) == (8, 2)


def test_subqueries_nest():
    nested = "(" * MAX_NESTING + "1" + ")" * MAX_NESTING
    assert parse(f"EXPLAIN NODES {nested} {LEAST}").keys == Subquery(nested[1:-1])
    with pytest.raises(ParseError, match="at most 50 deep"):
        parse(f"EXPLAIN NODES ({nested}) {LEAST}")


# ------------------------------------------------------------------------------------------- values


def one(text, values=None):
    return bind([parse(text)], values)[0]


def test_values_by_position_are_consumed_across_statements():
    script = f"SELECT ?; EXPLAIN NODES (SELECT ? + ?) {LEAST} TOP ?; AUDIT; SELECT $2 - $1"
    first, explain, _, last = bind(parse_script(script), [1, 2, 3, 4, 5, 6])
    assert (arguments(first), arguments(explain.keys), explain.top) == ([1], [2, 3], 4)
    assert arguments(last) == {"2": 6, "1": 5}


def test_values_by_name_in_any_case():
    script = f"SELECT $a; EXPLAIN NODES (SELECT $A + $b) {LEAST} BY random (size = $b)"
    first, explain = bind(parse_script(script), {"A": 1, "b": 2})
    assert (arguments(first), arguments(explain.keys)) == ({"a": 1}, {"a": 1, "b": 2})
    assert explain.generators[0].options == (("size", 2),)


@pytest.mark.parametrize("keys", [[3, "x"], (3, "x"), iter([3, "x"]), np.array([3, "x"], object)])
def test_nodes_placeholder_takes_a_list(keys):
    assert one(f"EXPLAIN NODES ? {LEAST}", [keys]).keys == (3, "x")


@pytest.mark.parametrize(
    "key", [3, np.int64(3), np.array([3]), torch.tensor(3), torch.tensor([[3]])]
)
def test_scalars_of_numpy_and_torch(key):
    statement = one(f"EXPLAIN NODE ? {LEAST}", [key])
    assert statement.keys == (3,) and type(statement.keys[0]) is int
    assert one(f"EXPLAIN NODES ? {LEAST}", [torch.arange(1)]).keys == (0,)


def test_values_of_sql_are_for_duckdb_to_judge():
    bound = one("SELECT ?, ?, ?, ?", [None, np.arange(2), np.float32(0.5), (1, 2)])
    assert arguments(bound) == [None, [0, 1], 0.5, [1, 2]]
    assert duckdb.connect().execute(bound.sql, arguments(bound)).fetchall() == [
        (None, [0, 1], 0.5, [1, 2])
    ]


@pytest.mark.parametrize(
    "text, values, message",
    [
        ("SELECT ?, ?", [1], "2 placeholders, but 1 value was given"),
        ("SELECT ?", None, "1 placeholder, but 0 values were given"),
        ("SELECT 1", [1], "0 placeholders, but 1 value was given"),
        (
            "SELECT $a, $b",
            {"a": 1, "c": 2, "d": 3},
            r"2 placeholders \(\$a, \$b\), but 3 values \(\$a, \$c",
        ),
        ("SELECT $a", [1], r"no value for \$a"),
        ("SELECT ?", {"a": 1}, "by position"),
        ("SELECT ?", "x", "a list, not str"),
        (f"EXPLAIN NODES ? {LEAST}", [3], "a list, not int"),
        (f"EXPLAIN NODES ? {LEAST}", ["alice"], "a list, not str"),
        (f"EXPLAIN NODE ? {LEAST}", [[3, 4]], "not for list"),
        (f"EXPLAIN NODE 1 {LEAST} TOP ?", [None], "not for NoneType"),
    ],
)
def test_values_that_do_not_fit(text, values, message):
    with pytest.raises(InvalidValue, match=message):
        one(text, values)


def test_binding_leaves_the_statement_as_it_was():
    statement = parse(f"EXPLAIN NODE ? {LEAST}")
    bind([statement], [3])
    assert statement.keys == (Parameter(0),)
    assert isinstance(statement, Explain) and statement.text == f"EXPLAIN NODE ? {LEAST}"


# ----------------------------------------------------------------------------------------- any text

WORDS = sorted({lexeme.text for lexeme in lexemes(examples())} | set("'\"();,?$=[]*-/\0\n\\\ud800"))


def check_no_other_error(text):
    try:
        complete(text)
        bind([parse(text), *parse_script(text)])
    except Error as error:
        assert str(error)


@given(st.text())
def test_no_text_raises_anything_but_our_errors(text):
    check_no_other_error(text)
    check_no_other_error(f"EXPLAIN NODES {text}")


@given(st.lists(st.sampled_from(WORDS), max_size=30), st.sampled_from([" ", "", "\n"]))
def test_no_words_do_either(words, blank):
    check_no_other_error(f"EXPLAIN {blank.join(words)}")


@given(st.sampled_from(split(examples())), st.data())
def test_no_changed_statement_does_either(piece, data):
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(piece.text))] * 2)))
    inserted = data.draw(st.sampled_from([*WORDS, ""]))
    check_no_other_error(f"{piece.text[:start]}{inserted}{piece.text[end:]}")


LONG = """
import sys
from sxq.errors import Error
from sxq.language import bind, complete, parse, split

for unit in ["(", "()", "'", '"', "/*", "$a$", "$a", "--", "[", "1,", "e'\\\\", ";", chr(0)]:
    text = sys.argv[1] + unit * (200_000 // len(unit))
    try:
        complete(text)
        bind([parse(text), *(parse(piece.text) for piece in split(text))])
    except Error as error:
        assert str(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "EXPLAIN NODES ", "EXPLAIN NODES (", "SET sxq_x = ["])
def test_long_text_takes_linear_time(before):
    """Time that grew with the square of the length would take hours: the child would be killed."""
    subprocess.run([sys.executable, "-c", LONG, before], check=True, timeout=300)
