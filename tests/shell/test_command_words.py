"""What is made from the argument parsers: completion in bash and zsh, and the manual page."""

import re
import shutil
import subprocess

import pytest

from sxq.__main__ import COMMANDS, main
from sxq.shell.dot_commands import COMMANDS as DOT_COMMANDS

OPTIONS = {
    option
    for _, parser in COMMANDS.values()
    for action in parser()._actions
    for option in action.option_strings
}


@pytest.fixture
def printed(capsys):
    """What a command prints."""

    def printed(*arguments):
        assert main([*arguments]) == 0
        return capsys.readouterr().out

    return printed


COMPLETE = """source sxq.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _sxq; printf '%s\\n' "${COMPREPLY[@]}" """


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_completes_commands_options_values_and_files(tmp_path, printed):
    (tmp_path / "sxq.bash").write_text(printed("completion", "bash"))
    (tmp_path / "a file.sql").touch()
    (tmp_path / "tx.duckdb").touch()
    (tmp_path / "folder").mkdir()
    for words, expected in (
        (["e"], ["explore"]),
        (["t"], ["tx.duckdb"]),
        (["--mode", "json"], ["json", "jsonlines"]),
        (["tx.duckdb", "-f", "a"], ["a file.sql"]),
        (["tx.duckdb", "b"], []),  # a command is the first word
        (["tx.duckdb", "--read"], ["--read-only"]),
        (["--allow", ""], ["folder"]),
        (["report", "--mem"], ["--memory-limit"]),
        (["report", "--memory-limit", ""], []),
        (["completion", ""], ["bash", "zsh"]),
        (["demo", "l"], ["laundering"]),
    ):
        done = subprocess.run(
            ["bash", "-c", COMPLETE, "_", "sxq", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert (done.stdout.split("\n")[:-1], done.stderr) == (expected or [""], ""), words


def test_zsh_is_told_of_every_option(tmp_path, printed):
    script = printed("completion", "zsh")
    assert script.startswith("#compdef sxq\n")
    for option in OPTIONS:
        assert re.search(rf"'\*?{option}\[", script), option
    if shutil.which("zsh"):
        (tmp_path / "_sxq").write_text(script)
        assert subprocess.run(["zsh", "-n", tmp_path / "_sxq"]).returncode == 0


def test_the_manual_page_tells_of_every_command_and_option(tmp_path, printed):
    page = printed("man")
    (tmp_path / "sxq.1").write_text(page)
    shown = page.replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")
    for word in (*OPTIONS, *(f".{name}" for name in DOT_COMMANDS)):
        assert f"\\fB{word}\\fR" in shown, word
    for name in filter(None, COMMANDS):
        assert f".SS sxq {name}\n" in shown
    if shutil.which("man"):
        read = ["man", "--warnings", "-l", str(tmp_path / "sxq.1")]
        done = subprocess.run(read, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
        assert done.returncode == 0 and done.stderr == ""
        assert "EXIT STATUS" in done.stdout and "    .edit" in done.stdout
