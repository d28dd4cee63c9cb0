"""Files that sxq writes by path: whole or not at all, whatever goes wrong."""

import os
import signal
import stat
import subprocess
import sys
import textwrap

import pytest

import sxq
from sxq.shell import Shell
from sxq.values.files import replacing, write_text
from tests import toys

GOOD = "the file that was there before"


def only(folder):
    return [path.name for path in folder.iterdir()]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "answer.json"
    path.write_text(GOOD)
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write_text("half of")
        raise ZeroDivisionError
    assert path.read_text() == GOOD and only(tmp_path) == ["answer.json"]


def test_permissions_and_links_stay(tmp_path):
    private = tmp_path / "private.json"
    private.write_text(GOOD)
    private.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(private.name)
    write_text(link, "new")
    assert link.is_symlink() and private.read_text() == "new"
    assert stat.S_IMODE(private.stat().st_mode) == 0o640
    dangling = tmp_path / "dangling.json"
    dangling.symlink_to("made.json")
    write_text(dangling, "new")
    assert (tmp_path / "made.json").read_text() == "new" and dangling.is_symlink()
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "fresh.json", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "fresh.json").stat().st_mode) == 0o640


def test_devices_and_pipes_are_written_to(tmp_path):
    write_text("/dev/null", "nothing")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("name", ["no/folder.json", ".", "x" * 300 + ".json"])
def test_what_cannot_be_written_leaves_nothing(name, tmp_path):
    with pytest.raises(OSError):
        write_text(tmp_path / name, "new")
    assert only(tmp_path) == []


WRITERS = {
    "answer.json": lambda answer, path: answer.export(path),
    "answer.csv": lambda answer, path: answer.export(path),
    "answer.graphml": lambda answer, path: answer.export(path),
    "answer.html": lambda answer, path: answer.to_html(path),
    "answer.png": lambda answer, path: answer.plot(path),
}


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    toys.write_files(folder)
    with pytest.MonkeyPatch.context() as patch, sxq.connect() as con:
        patch.chdir(folder)
        toys.fill(con)
        return con.query(
            "EXPLAIN NODES (SELECT DISTINCT dst FROM edges JOIN graphs USING (graph_id)"
            " WHERE name = 'payments') USING MODEL votes OPTIMIZE fdl+, conc BUDGET 30 CANDIDATES"
        )


@pytest.mark.parametrize("name", WRITERS)
def test_every_export_replaces_the_file_at_its_end(name, answer, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_text(GOOD)

    def full(*_):
        assert path.read_text() == GOOD  # so far
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(sxq.Error, match="cannot write .*No space left"):
            WRITERS[name](answer, str(path))
    assert path.read_text() == GOOD and only(tmp_path) == [name]
    WRITERS[name](answer, str(path))
    assert path.read_bytes() != GOOD.encode() and only(tmp_path) == [name]


def test_a_picture_without_a_suffix_is_a_png(answer, tmp_path):
    answer.plot(str(tmp_path / "answer"))
    assert only(tmp_path) == ["answer.png"]


def test_results_sent_to_a_file_replace_it_when_they_end(tmp_path):
    path = tmp_path / "results.txt"
    path.write_text(GOOD)
    with sxq.connect() as con:
        shell = Shell(con, "csv")
        shell.run(f".output '{path}'")
        shell.run("SELECT 1 AS one;")
        assert path.read_text() == GOOD
        shell.run(".output")
        assert path.read_text().split() == ["one", "1"]
        shell.run(f".once '{path}'\nSELECT 2 AS two;")
        assert path.read_text().split() == ["two", "2"]
    assert only(tmp_path) == ["results.txt"]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "answer.html"
    path.write_text(GOOD)
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import os, signal, sys
                from sxq.values.files import replacing
                with replacing(sys.argv[1]) as file, open(file, "w") as out:
                    out.write("half of")
                    out.flush()
                    os.kill(os.getpid(), signal.SIGKILL)
            """),
            str(path),
        ]
    )
    assert child.returncode == -signal.SIGKILL and path.read_text() == GOOD
