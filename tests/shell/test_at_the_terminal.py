"""What a person sees at the prompt, by a pseudo-terminal: other programs, other databases, windows of other sizes."""

import time

import pytest

import sxq
from tests.terminal import terminal

pytestmark = pytest.mark.slow  # every one waits for a prompt


def test_other_databases_editors_and_commands(tmp_path):
    with sxq.connect(str(tmp_path / "other.duckdb")) as con:
        con.execute("CREATE TABLE parcels AS SELECT 7 AS weight")
    with terminal(cwd=tmp_path, VISUAL="", EDITOR="sed -i s/41/42/") as shell:
        shell.answer(".timer off")
        shell.answer("SELECT 41 AS answer;")
        assert "    42\n" in shell.answer(".edit")
        shell.answer("SELECT 43 AS answer;")
        shell.answer(".edit")  # sed changes nothing, so nothing runs
        assert shell.screen.count("43") == 2 and "nothing was changed" in shell.screen
        assert "UPPER CASE" in shell.answer(".shell echo 'upper  case' | tr -s ' ' | tr a-z A-Z")
        assert "exit code 3" in shell.answer("\\! exit 3")
        assert ":memory:" in shell.answer(".open")
        assert "no directory 'nowhere'" in shell.answer(".open nowhere/no.duckdb")
        assert "  44\n" in shell.answer("FROM (SELECT 44 AS alive);")  # in the database before
        shell.answer(".open other.duckdb")
        shell.type("FROM parc")
        shell.wait("parcels")  # a menu of the names in the new database
        shell.type("\t")
        shell.wait("FROM parcels")
        shell.type(" WHERE weight > 1;\r")
        shell.wait("     7")
        shell.prompt()
        shell.type("\\q\r")
        assert shell.child.wait(60) == 0


def test_ctrl_c_leaves_the_pager_and_a_clean_prompt(tmp_path):
    with terminal(cwd=tmp_path, rows=12, columns=60) as shell:
        shell.answer(".timer off")
        for key in ("\x03", "q"):
            shell.type("SELECT range AS n FROM range(500);\r")
            shell.wait(lambda screen: screen.endswith(":"))
            time.sleep(1.0)  # `less` draws its prompt a moment before it hears Ctrl-C
            shell.type(key)
            shell.prompt()
        assert "still here" in shell.answer("SELECT 'still here' AS state;")
        assert "interrupted" not in shell.screen and "Traceback" not in shell.screen


def test_a_window_that_changes_its_size_keeps_one_prompt(tmp_path):
    with terminal(cwd=tmp_path, rows=24, columns=100) as shell:
        shell.prompt()
        shell.type("SELECT 'a text that is longer than the narrow window' AS text, 2 AS two")
        shell.wait("AS two")
        for rows, columns in ((24, 50), (10, 50), (30, 120)):
            shell.resize(rows, columns)
            shell.wait(lambda screen: screen.count("sxq>") == 1 and "AS two" in screen)
        shell.type(";\r")
        shell.wait("narrow window  ")
        shell.prompt()


def test_what_was_typed_before_is_suggested(tmp_path):
    with terminal(cwd=tmp_path, SXQ_HISTORY=str(tmp_path / "history")) as shell:
        shell.answer("SELECT 'a long thought' AS said;")
        shell.type("SELECT 'a l")
        shell.wait(lambda screen: screen.endswith("sxq> SELECT 'a long thought' AS said;"))
        shell.type("\x1b[C\r")  # the right arrow takes it
        shell.wait(lambda screen: screen.count("a long thought") == 4)


def test_help_is_wrapped_and_never_cut(tmp_path):
    with terminal(cwd=tmp_path, rows=50, columns=80) as shell:
        shell.answer(".pager off")
        seen = " ".join(shell.answer(".help").split())
        assert "in your editor ($VISUAL or $EDITOR), then run it" in seen and " ... " not in seen
        seen = shell.answer(".help dropout")
        assert "0.0 by\ndefault" in seen and "along each\n    dimension of" in seen
