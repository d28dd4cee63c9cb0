"""The README is what users see first: every block of it is run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import sxq
from tests.printed import shape

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


def blocks(language):
    return [text for found, text in BLOCKS if found == language]


def test_the_python_blocks_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert Path("tx.duckdb").exists() and len(names["result"]) >= 2


def scripts():
    """The blocks of SQL that are no rules of the grammar: the first is bank.sql."""
    return [block for block in blocks("sql") if not block.startswith("EXPLAIN (")]


@pytest.mark.slow
def test_the_console_blocks_print_what_they_say(tmp_path):
    """One session: each command finds what those before it have left."""
    (tmp_path / "bank.sql").write_text(scripts()[0])
    assert len(blocks("console")) >= 4
    for block in blocks("console"):
        command, _, expected = block.removeprefix("$ sxq ").partition("\n")
        run = subprocess.run(
            [sys.executable, "-m", "sxq", *shlex.split(command)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert run.returncode == 0, run.stderr
        assert shape(run.stdout) == shape(expected), run.stdout


def test_in_the_session_the_edges_decide():
    """No mule is one without its edges, and the answers differ: some keep the prediction, some also change it."""
    with sxq.connect() as con:
        con.execute(scripts()[0])
        answer = con.query(
            "EXPLAIN NODE 'acct-43' USING MODEL watch OPTIMIZE fdl+, fdl-, conc TOP 4"
        )
        (target,) = answer.targets
        assert target.prediction == 1 and target.probability > 0.9 and target.p_empty < 0.1
        assert {(e.factual, e.counterfactual) for e in answer} >= {(True, True), (True, False)}
        reported = {f"acct-{number}" for number in range(0, 100, 4)}
        assert {payer for payer, _ in answer.recommended[0].edges} <= reported
        assert {row[-1] for row in con.execute("AUDIT").rows} == {"ok"}


@pytest.mark.parametrize("kind", ["MEASURES", "GENERATORS"])
def test_everything_with_a_name_is_in_the_readme(kind):
    text = (ROOT / "README.md").read_text()
    with sxq.connect() as con:
        for name, *_ in con.execute(f"SHOW {kind}").rows:
            assert f"`{name}`" in text or name in text
