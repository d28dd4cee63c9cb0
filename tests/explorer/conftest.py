"""A database whose names and keys are made to break out of pages."""

import shutil

import pytest

import sxq

KEYS = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"'><svg onload=alert(3)>",
    "a/b?c#d",
    "&lt;b&gt;",
    "\u202egpj.exe",
)
QUERIES = (
    "EXPLAIN NODES (SELECT node FROM nodes WHERE '<script>alert(4)</script>' <> '') USING MODEL m "
    "OPTIMIZE fdl+, fdl-, conc TOP 3 BUDGET 60 CANDIDATES",
    "EXPLAIN NODES (SELECT node FROM nodes) USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 30 CANDIDATES SEED 1",
    'EXPLAIN CLASS 0 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 2 BUDGET 60 CANDIDATES LABELS "<b>role"',
)


@pytest.fixture(scope="session")
def hostile_made(tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "hostile.duckdb"
    with sxq.connect(str(path)) as con:
        con.execute(
            'CREATE TABLE people (id VARCHAR, a FLOAT, b FLOAT, label INTEGER, "<b>role" VARCHAR)'
        )
        for i, key in enumerate(KEYS):
            values = {
                "key": key,
                "a": float(i),
                "b": float(-i),
                "label": int(i > 2),
                "role": "<i>x</i>",
            }
            con.execute("INSERT INTO people VALUES ($key, $a, $b, $label, $role)", values)
        con.execute("CREATE TABLE paid (a VARCHAR, b VARCHAR, weight FLOAT)")
        for i, key in enumerate(KEYS):
            for step in (1, 2):
                ends = {"a": KEYS[(i + step) % len(KEYS)], "b": key, "w": 0.25 * step}
                con.execute("INSERT INTO paid VALUES ($a, $b, $w)", ends)
        con.execute(
            "CREATE GRAPH people FROM NODES (SELECT * FROM people) EDGES (SELECT * FROM paid);"
            "TRAIN MODEL m ON GRAPH people (LAYERS = 2, EPOCHS = 40);"
            "SET sxq_pattern_size = 2"
        )
        for text in QUERIES:
            con.execute(text)
    return path


@pytest.fixture
def hostile(hostile_made, tmp_path):
    """A copy of the database."""
    return shutil.copy(hostile_made, tmp_path / "hostile.duckdb")
