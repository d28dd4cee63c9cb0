"""Whatever the user's keys are: no terminal obeys them, no spreadsheet computes them, and every file parses."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from contextlib import redirect_stderr, redirect_stdout

import pytest

import sxq
from sxq.shell import Shell, display, format_error
from sxq.shell.progress import progress_line
from sxq.values.table import csv_cell, printable
from tests.terminal import terminal

KEYS = [
    *("+cmd|'/C calc'!A0", "=1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "-7"),
    *(
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x9b31m",
        "\u202egpj.exe",
        "a\x00b",
        "a\u2028b",
        "\x7f",
        "a\x08b",
    ),
    *(
        "a\nb",
        "a\rb",
        "]]>",
        "<script>&",
        "\"quoted\", 'so'",
        "\ufffe",
        "\uffff",
        "😀",
        "Zürich",
        "x" * 10_000,
    ),
    *("a\\u0007", "a\x07", "|", "", " "),
]
UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
EXPLAIN = "EXPLAIN NODES (SELECT k FROM t WHERE i % 4 = 1) USING MODEL m OPTIMIZE fdl+, conc TOP 1 BUDGET 4 CANDIDATES"


@pytest.fixture(scope="module")
def con():
    with sxq.connect() as con:
        con.execute("CREATE TABLE t (i INT, k VARCHAR, f DOUBLE)")
        for i, key in enumerate(KEYS):
            con.execute("INSERT INTO t VALUES (?, ?, ?)", [i, key, i % 3])
        con.execute(
            "CREATE TABLE e AS SELECT a.k AS s, b.k AS d FROM t a JOIN t b ON b.i = a.i + 1"
        )
        con.execute(
            "CREATE GRAPH g FROM NODES (SELECT k, f, (i % 2) AS label FROM t) EDGES (FROM e) (UNDIRECTED = true);"
            "TRAIN MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 1, HIDDEN = 4, EPOCHS = 2)"
        )
        con.execute(EXPLAIN)
        yield con


@pytest.fixture(scope="module")
def result(con):
    return con.last_result


def shown(con, mode, script):
    written = io.StringIO()
    with redirect_stdout(written):
        Shell(con, mode).run(script)
    return written.getvalue()


@pytest.mark.parametrize(
    "mode", ["table", "box", "json", "jsonlines", "markdown", "html", "latex", "line"]
)
def test_no_terminal_is_commanded(mode, con, result):
    tables = [
        result,
        con.execute(f"PLAN {EXPLAIN}"),
        con.execute("DESCRIBE GRAPH g"),
        con.execute("FROM t"),
    ]
    tables += [
        con.execute('SELECT 1 AS "\x1b[31mred\u202e", [k] AS list, MAP {k: k} AS map FROM t')
    ]
    written = io.StringIO()
    with redirect_stdout(written):
        shell = Shell(con, mode)
        for table in tables:
            shell.show(table)
    assert written.getvalue() and not UNSAFE.search(written.getvalue())


def test_nothing_else_commands_it_either(con, result, monkeypatch):
    bad = "\x1b[31mred\u202e"
    with pytest.raises(sxq.Error) as unknown:
        con.execute(f'DESCRIBE GRAPH "{bad}"')
    with pytest.raises(sxq.Error) as sql:
        con.execute(f"SELECT {bad!s} FROM t -- '\x1b'")
    errors = io.StringIO()
    for problem in (unknown.value, sql.value, sxq.Error(bad)):
        assert not UNSAFE.search(format_error(problem))
        with redirect_stderr(errors):
            display.error(problem, f'SELECT "{bad}"')
    assert not UNSAFE.search(
        re.sub("\x1b\\[[0-9;]*m", "", errors.getvalue().replace("\x1b[31mred", "!\x1b!"))
    )
    assert not UNSAFE.search(progress_line(bad))
    assert not UNSAFE.search(display.rendered(display.table(result, 80)))
    assert not UNSAFE.search(repr(result) + repr(con.execute("FROM t")))
    assert not UNSAFE.search("".join(e.draw() for e in result))
    assert printable("a\nb\tc\x1b") == "a\nb\\tc\\x1b"


def test_csv_on_a_terminal_is_safe(tmp_path):
    script = "SELECT chr(27) || '[31mred' AS a, 'the end' AS b"
    with terminal("--mode", "csv", "-c", script, cwd=tmp_path) as seen:
        assert "\\x1b[31mred" in seen.wait("the end")


@pytest.mark.parametrize(
    "value, cell",
    [
        *((key, "'" + key) for key in KEYS[:8]),
        *(
            (value, value)
            for value in ("-7", "+1.5e3", "a=1", "", -7, -1.5, None, "2024-01-01", "'=1")
        ),
        ("-", "'-"),
        ("-1-1", "'-1-1"),
        ("\n=1", "'\n=1"),
    ],
)
def test_a_cell_is_no_formula(value, cell):
    assert csv_cell(value) == cell


def test_csv_has_every_key_and_no_formula(con, result, tmp_path):
    rows = list(
        csv.reader(io.StringIO(shown(con, "csv", 'SELECT k AS "=k" FROM t ORDER BY i'), newline=""))
    )
    assert [row[0] if row else "" for row in rows] == [csv_cell(key) for key in ["=k", *KEYS]]
    result.export(str(tmp_path / "answer.csv"))
    with open(tmp_path / "answer.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["target"] for row in rows] == [csv_cell(e.target) for e in result]
    assert [float(row["fdl_plus"]) for row in rows] == [e.raw["fdl+"] for e in result]


def test_json_has_every_key(con, result, tmp_path):
    lines = shown(con, "jsonlines", "SELECT k, 'inf'::DOUBLE AS f FROM t ORDER BY i").splitlines()
    assert [json.loads(line) for line in lines] == [{"k": key, "f": None} for key in KEYS]
    result.export(str(tmp_path / "answer.json"))
    text = (tmp_path / "answer.json").read_text(encoding="utf-8")
    assert not UNSAFE.search(text)
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [target["target"] for target in found["targets"]] == KEYS[1::4]
    edges = {
        key
        for target in found["targets"]
        for e in target["explanations"]
        for edge in e["edges"]
        for key in edge
    }
    assert edges == {key for e in result for edge in e.edges for key in edge}


def test_graphml_is_valid_and_keeps_keys_apart(result, tmp_path):
    result.export(str(tmp_path / "answer.graphml"))
    root = ElementTree.parse(tmp_path / "answer.graphml").getroot()
    names = [node.get("id") for node in root.iter("{http://graphml.graphdrawing.org/xmlns}node")]
    nodes = {key for e in result for edge in e.edges for key in edge}
    assert len(set(names)) == len(names) == len(nodes)
    simple = {key for key in nodes if key.isprintable() or key == "a\nb"}
    assert simple <= set(names)


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        "1.5::DOUBLE|'inf'::DOUBLE",
        "'\\xAA\\x00'::BLOB|'=1'::BLOB",
        "DATE '2020-01-01'|DATE '2021-01-01'",
    ],
)
def test_other_kinds_of_keys_are_exported(keys, tmp_path):
    one, two = keys.split("|")
    with sxq.connect() as con:
        con.execute(
            f"CREATE GRAPH g FROM NODES (SELECT {one} AS k, 1 AS f, 0 AS label UNION ALL SELECT {two}, 2, 1)"
            f" EDGES (SELECT {one} AS s, {two} AS d) (UNDIRECTED = true);"
            "TRAIN MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 1, HIDDEN = 4, EPOCHS = 2)"
        )
        result = con.execute(f"EXPLAIN NODES (SELECT {two}) USING MODEL m OPTIMIZE fdl+")
        for suffix in ("json", "csv", "graphml"):
            result.export(str(tmp_path / f"answer.{suffix}"))
    text = (tmp_path / "answer.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    ElementTree.parse(tmp_path / "answer.graphml")
