"""The README is what users see first: every block of it is run."""

import re
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


@pytest.mark.slow
def test_the_console_blocks_print_what_they_say(tmp_path):
    for block in blocks("console"):
        command, _, expected = block.removeprefix("$ sxq ").partition("\n")
        run = subprocess.run(
            [sys.executable, "-m", "sxq", *command.split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        assert shape(run.stdout.replace(f"{sys.executable} -m sxq", "sxq")) == shape(expected)


def test_the_sql_block_runs_as_a_script():
    with sxq.connect() as con:
        scripts = [block for block in blocks("sql") if not block.startswith("EXPLAIN (")]
        assert scripts
        for script in scripts:
            assert len(con.execute(script)) > 3
        audit = con.execute("AUDIT")
        assert len(audit) > 3 and {row[-1] for row in audit.rows} == {"ok"}


@pytest.mark.parametrize("kind", ["MEASURES", "GENERATORS"])
def test_everything_with_a_name_is_in_the_readme(kind):
    text = (ROOT / "README.md").read_text()
    with sxq.connect() as con:
        for name, *_ in con.execute(f"SHOW {kind}").rows:
            assert f"`{name}`" in text or name in text


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), target
        headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.M) if anchor else []
        assert not anchor or anchor in [
            heading.lower().replace(" ", "-") for heading in headings
        ], target
