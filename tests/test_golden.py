"""The engine as a user sees it: golden scripts for plans, runs and errors, on the toy graphs of `toys.py`.

Every file has a database of its own, filled by `toys.fill`; its cases run in it one after the other. Values for
parameters follow the script as JSON: `-- with ["acct-17", 2]`. A file named `read_only` has its database reopened so;
a file named `needs_LIBRARY` is skipped where the library is not installed.
"""

import json

import pytest

import sxq
from sxq.values.result import Table
from sxq.values.table import text_table
from tests import golden, toys

FILES = [
    *golden.files("plan"),
    *golden.files("run"),
    *(p for p in golden.files("errors") if "parse" not in p.stem),
]


@pytest.mark.sweep(99)
@pytest.mark.parametrize("path", FILES, ids=golden.name)
def test_golden(path, bless, toy):
    if path.stem.startswith("needs_"):
        pytest.importorskip(path.stem.removeprefix("needs_"))
    if path.stem == "show":  # it tells models that were just made from stored ones
        (toy / "toys.duckdb").unlink()
    with sxq.connect("toys.duckdb") as con:
        if path.stem == "show":
            toys.fill(con)
        con.register_explainer("loudest", lambda model: toys.Loudest())
        if path.stem == "links":
            con.register_model("agree", toys.Agree(), "club")
        if path.stem != "read_only":
            return golden.check(path, lambda written: execute(con, written), bless)
    with sxq.connect("toys.duckdb", read_only=True) as con:
        golden.check(path, lambda written: execute(con, written), bless)


def execute(con, written):
    script, _, values = written.partition("\n-- with ")
    return printed(con.execute(script, json.loads(values or "null")))


def printed(result):
    """A result as text; of SQL's numbers the digits that are the same on every machine."""
    if type(result) is Table and result.columns:
        return text_table(result.columns, result.rows)
    return str(result)
