"""The command line as a process: what goes to stdout, what to stderr, and the exit code."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

import sxq
from sxq.__main__ import main
from tests import graphs

EXPLAIN = "EXPLAIN NODE 'acct-17' USING MODEL votes OPTIMIZE fdl+, fdl-, conc"
COMMAND = [sys.executable, "-m", "sxq"]
HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def environment():
    return {
        **os.environ,
        "TERM": "dumb",
        "HOME": "/nonexistent",
        "PYTHONPATH": HERE,
        "OMP_NUM_THREADS": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def run(*arguments, script=None, **options):
    return subprocess.run(
        [*COMMAND, *arguments],
        input=script or "",
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(),
        **options,
    )


@pytest.fixture
def run_here(capsys):
    """What `run` gives, by a call in this process, which has imported torch already."""

    def run_here(*arguments):
        try:
            code = main([*arguments])
        except SystemExit as end:
            code = end.code
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run_here


@pytest.mark.slow
def test_a_command_prints_tables_and_nothing_else(tmp_path):
    done = run("-c", "SELECT 1 AS one, 'a' AS letter; SELECT 2 AS two", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "one  letter\n---  ------\n  1  a\ntwo\n---\n  2\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_scripts_run_in_the_order_in_which_they_are_given(tmp_path):
    (tmp_path / "two.sql").write_text("SELECT n + 1 AS m FROM t;")
    first = "CREATE VIEW t AS SELECT 1 AS n"
    done = run("-c", first, "-f", "two.sql", "-c", "FROM t", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.endswith("m\n-\n2\nn\n-\n1\n")
    done = run("-c", "SELECT 1 AS a", "-c", ".exit", "-c", "SELECT 2 AS b", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "a\n-\n1\n")
    done = run("-c", "SELECT 1 AS a", "-c", "FROM nowhere", "-c", "SELECT 2 AS b", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "a\n-\n1\n" and "nowhere" in done.stderr
    assert run("--version", cwd=tmp_path).stdout == f"sxq {sxq.__version__}\n"


@pytest.mark.slow
def test_a_script_on_stdin_goes_into_the_database(tmp_path):
    done = run(
        "x.duckdb", script="CREATE TABLE t AS SELECT 7 AS seven;\n-- the end\n", cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert run("x.duckdb", "-c", "FROM t", cwd=tmp_path).stdout.split() == ["seven", "-----", "7"]
    assert run("x.duckdb", script="", cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_json_is_one_object_for_each_row(tmp_path):
    done = run(
        "--json",
        "-c",
        "SELECT range AS n, 'ä\n\"' AS text, NULL AS nothing, [1.5] AS list, "
        "DATE '2026-01-02' AS day, MAP {DATE '2026-01-02': 2.25} AS map FROM range(2); "
        "SELECT 1 WHERE false; SELECT true AS yes",
    )
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        *(
            {
                "n": n,
                "text": 'ä\n"',
                "nothing": None,
                "list": [1.5],
                "day": "2026-01-02",
                "map": {"2026-01-02": 2.25},
            }
            for n in (0, 1)
        ),
        {"yes": True},
    ]


@pytest.mark.slow
def test_json_has_no_numbers_that_are_no_json(tmp_path):
    done = run(
        "--json",
        "-c",
        "SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, [-'inf'::DOUBLE] AS c, "
        "MAP {'x': 'nan'::DOUBLE} AS d",
    )

    def refuse(word):
        raise ValueError(word)

    assert set(json.loads(done.stdout, parse_constant=refuse)) == {"a", "b", "c", "d"}


@pytest.mark.slow
def test_explain_in_a_pipe(toy):
    """The skyline as JSON; every line of stdout is a row, and progress is for terminals only."""
    done = run(
        "toys.duckdb",
        "--json",
        script=f"SET sxq_budget = 50;\n{EXPLAIN};\n"
        "SELECT count(*) AS stored FROM explanations;\n"
        "EXPLAIN NODE 'acct-71' USING MODEL votes OPTIMIZE conc;\nDROP MODEL votes",
    )
    assert done.returncode == 1
    assert done.stderr == "Error: no node 'acct-71', did you mean 'acct-1'?\n"
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["target"], row["rank"], row["size"], row["factual"]) for row in rows[:2]] == [
        ("acct-17", 1, 1, True),
        ("acct-17", 2, 2, True),
    ]
    assert rows[0]["fdl_plus"] == pytest.approx(0.5466, abs=1e-4) and rows[2:] == [{"stored": 2}]
    with sxq.connect("toys.duckdb") as con:
        assert len(con.execute("SHOW MODELS")) == 2  # nothing after the error was run


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "script, message",
    [
        (
            "SELECT 1 AS a;\n\nEXPLAIN NODDE 1",
            "Error: line 3, column 9: found 'NODDE', expected CLASS, GRAPH, GRAPHS, LINK, LINKS, NODE or NODES, "
            "did you mean 'NODE'?",
        ),
        (
            "SELECT 1 AS a;\nEXPLAIN NODE 1 USING MODEL nope OPTIMIZE conc",
            "Error: no model named 'nope'; there is no model yet",
        ),
        (
            "SELECT 1 AS a; SELECT * FROM nowhere",
            "Error: Catalog Error: Table with name nowhere does not exist!",
        ),
        ("SELECT 1 AS a; SELECT ?", "Error: the query has 1 placeholder, but 0 values were given"),
    ],
)
def test_an_error_is_one_message_on_stderr_and_exit_code_1(script, message):
    done = run(script=script)
    assert (
        done.returncode == 1
        and done.stderr.splitlines()[0] == message
        and "Traceback" not in done.stderr
    )
    assert done.stdout == "a\n-\n1\n"


@pytest.mark.slow
def test_a_script_file_may_read_others_and_hold_dot_commands(tmp_path):
    (tmp_path / "inner.sql").write_text("SELECT 2 AS two;")
    (tmp_path / "outer.sql").write_text(
        ".mode csv\nSELECT 1 AS one;\n.read inner.sql\n.quit\nSELECT 3;"
    )
    done = run("-f", "outer.sql", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\n1\ntwo\n2\n", "")
    (tmp_path / "inner.sql").write_text(".read outer.sql")
    done = run(
        "--mode", "jsonlines", script="SELECT 1 AS one;\n.read outer.sql\nSELECT 4;", cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (1, '{"one": 1}\none\n1\n')
    assert done.stderr == "Error: 'outer.sql' reads itself\nin inner.sql, line 1\n"
    assert run("-f", "nowhere.sql", cwd=tmp_path).returncode == 1


@pytest.mark.slow
def test_a_report_is_one_file(toy, run_here):
    done = run_here("report", "toys.duckdb", EXPLAIN, "-o", "answer.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "wrote answer.html\n")
    assert "acct-17" in (toy / "answer.html").read_text()
    done = run_here("report", "toys.duckdb", "SELECT 1", "-o", "none.html")
    assert (
        done.returncode == 1
        and "hold no EXPLAIN" in done.stderr
        and not (toy / "none.html").exists()
    )


def test_what_a_report_lacks_is_said_before_anything_runs(toy, run_here):
    for arguments, said in (
        (("toys.duckdb", EXPLAIN, "-o", "no/where.html"), "there is no folder to write"),
        (("toys.duckdb",), "there is no statement"),
        (("none.duckdb", EXPLAIN), "there is no database 'none.duckdb'"),
    ):
        done = run_here("report", *arguments)
        assert done.returncode == 2 and said in done.stderr
    assert not (toy / "none.duckdb").exists()
    done = run_here("report", "toys.duckdb", "--read-only", EXPLAIN, "-o", "between.html")
    assert done.returncode == 0


@pytest.mark.slow
def test_a_statement_is_no_name_of_a_database(tmp_path):
    done = run("EXPLAIN NODE 1 USING MODEL gcn OPTIMIZE conc", cwd=tmp_path)
    assert done.returncode == 2 and "use -c" in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_wrong_usage_is_exit_code_2(tmp_path):
    done = run("--jason", "-c", "SELECT 1")
    assert (
        done.returncode == 2
        and "unrecognized arguments: --jason" in done.stderr
        and done.stdout == ""
    )
    (tmp_path / "no.duckdb").write_bytes(b"no database, but long enough to be read")
    done = run(str(tmp_path / "no.duckdb"), "-c", "SELECT 1")
    assert (
        done.returncode == 1
        and "is not a DuckDB database" in done.stderr
        and "Traceback" not in done.stderr
    )
    done = run(str(tmp_path / "nowhere.duckdb"), "--read-only", "-c", "SELECT 1")
    assert done.returncode == 1 and "there is no database" in done.stderr


def test_plain_sql_needs_no_parser_no_lattice_and_no_pictures():
    code = (
        "import sys; from sxq.__main__ import main; main(['-c', 'SELECT 1']); "
        "late = {'lark', 'bitarray', 'sxq.scoring.lattice', 'sxq.pictures', 'sxq.shell.karate_demo'}; "
        "print(sorted(late & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_sql_needs_no_torch():
    code = (
        "import sys; from sxq.__main__ import main; "
        "code = main(['-c', 'SELECT 1 AS one; SHOW QUERIES; SHOW MEASURES; SHOW GRAPHS']); "
        "heavy = {'torch', 'torch_geometric', 'pandas', 'networkx', 'rich', 'pygments', 'prompt_toolkit'}; "
        "print(sorted(heavy & set(sys.modules)), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[] 0", done.stderr


@contextmanager
def started(*arguments, **options):
    """A running command, killed at the end if it has not ended."""
    options = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        **options,
    }
    program = [sys.executable, *options.pop("program")] if "program" in options else COMMAND
    child = subprocess.Popen([*program, *arguments], env=environment(), **options)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in filter(None, (child.stdout, child.stderr)):
            pipe.close()


def test_a_reader_that_leaves_ends_it_quietly():
    """`sxq -c ... | head -1`"""
    with started("-c", "SELECT range AS n FROM range(100000); SELECT 1") as child:
        assert child.stdout.readline().strip() == b"n"
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 0
        child.stdout = None


@pytest.mark.slow
def test_one_interrupt_returns_what_was_found(toy):
    """An endless search; Ctrl-C comes once it runs, which its first progress on a terminal's stderr tells."""
    with sxq.connect("toys.duckdb") as con:
        con.register_graph(
            "big", graphs.random_graph(np.random.default_rng(0), nodes=60, edges=150, features=2)
        )
    script = (
        "CREATE MODEL long ON GRAPH big FROM FILE 'gossip.safetensors' "
        "(ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 2, CLASSES = 2); "
        "EXPLAIN NODES 0, 1, 2 USING MODEL long OPTIMIZE fdl+, conc BY random BUDGET 1000000000 CANDIDATES; "
        "SELECT 'not reached'"
    )
    terminal, side = pty.openpty()
    with started("toys.duckdb", "--json", "-c", script, stderr=side, text=True) as child:
        seen = read_until(terminal, b"0 of 3 targets, ")
        child.send_signal(signal.SIGINT)
        output = child.stdout.read()
        assert child.wait(60) == 130 and "not reached" not in output and "Traceback" not in seen
    os.close(side)
    os.close(terminal)
    model, *rows = map(json.loads, output.splitlines())
    assert model["model"] == "long" and rows and {row["target"] for row in rows} == {0, 1, 2}
    with sxq.connect("toys.duckdb") as con:
        assert (
            con.sql("SELECT status, complete FROM targets").fetchall() == [("stopped", False)] * 3
        )
        assert con.sql("SELECT count(*) FROM explanations").fetchone() == (len(rows),)


def read_until(terminal, text):
    """What a terminal shows, up to a text."""
    seen = b""
    while text not in seen:
        assert select.select([terminal], [], [], 60)[0], seen.decode()
        seen += os.read(terminal, 4096)
    return seen.decode().replace("\r\n", "\n")


def type_until(terminal, line, text):
    """Type a line again until its answer is seen: a late Ctrl-C clears the line that it meets."""
    seen = b""
    for _ in range(20):
        os.write(terminal, line.encode())
        while select.select([terminal], [], [], 3)[0]:
            seen += os.read(terminal, 4096)
            if text.encode() in seen:
                return
    raise AssertionError(seen.decode())


def test_the_plain_prompt(tmp_path):
    """Statements over several lines; an error does not end it; Ctrl-C clears the line; Ctrl-D leaves."""
    terminal, side = pty.openpty()
    with started(
        str(tmp_path / "x.duckdb"), stdin=side, stdout=side, stderr=side, start_new_session=True
    ) as child:
        os.close(side)

        def answer(typed, prompt=b"sxq> "):
            os.write(terminal, typed.encode())
            return read_until(terminal, prompt)

        read_until(terminal, b"sxq> ")
        answer("CREATE TABLE t AS\n", b"...> ")
        assert "answer\n------\n    42" in answer("SELECT 41 + 1 AS answer; FROM t;\n")
        assert "Error: Parser Error: syntax error at or near" in answer("SELCT 1;\n")
        answer("SELECT 'never finished\n", b"...> ")
        while not select.select([terminal], [], [], 1)[0]:
            child.send_signal(
                signal.SIGINT
            )  # one that comes between prompt and reading waits for the next key
        read_until(terminal, b"sxq> ")
        assert (
            answer("SELECT 'still here' AS state;\n").count("still here") == 2
        )  # echoed, and answered
        os.write(terminal, b"\x04")
        assert child.wait(60) == 0
    os.close(terminal)


def test_read_only(toy):
    done = run(
        "toys.duckdb",
        "--read-only",
        "-c",
        "SELECT count(*) AS models FROM models; DROP MODEL votes",
    )
    assert done.returncode == 1 and done.stdout == "models\n------\n     2\n"
    assert done.stderr == "Error: DROP MODEL stores, but the database was opened read-only\n"


def interrupted_at(sign, *arguments, presses=1, **options):
    """(exit code, stderr) of `sxq`, to which Ctrl-C comes once `sign` is on its stderr."""
    with started(*arguments, **options) as child:
        seen = b""
        while sign not in seen:
            line = child.stderr.readline()
            assert line, seen.decode()
            seen += line
        for _ in range(presses):
            child.send_signal(signal.SIGINT)
            time.sleep(0.02)
        child.stdout.close()
        child.stdout = None
        rest = child.stderr.read()
        return child.wait(60), (seen + rest).decode()


@pytest.mark.sweep(1)
@pytest.mark.parametrize("way", ["-c", "-f", "stdin"])
def test_ctrl_c_in_sql_ends_a_script_with_130(tmp_path, way):
    script = "SELECT count(*) FROM range(100000000000);"
    (tmp_path / "long.sql").write_text(script)
    with open(tmp_path / "long.sql") as file:
        arguments = {"-c": ["-c", script], "-f": ["-f", "long.sql"], "stdin": []}[way]
        with started(*arguments, cwd=tmp_path, stdin=file) as child:
            time.sleep(1.5)
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 130
            assert child.stderr.read() == b"interrupted\n"


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "module, presses", [("numpy.version", 1), ("torch._C", 2), ("torch.nn.functional", 3)]
)
def test_ctrl_c_during_imports_is_quiet(module, presses):
    """While sxq itself is imported, and while a statement imports torch."""
    script = "CREATE GRAPH g FROM DATASET 'KarateClub'; TRAIN MODEL m ON GRAPH g (EPOCHS = 100000)"
    sign = f" {module}\n".encode()  # the end of the line that says how long its import took
    code, said = interrupted_at(
        sign, "-c", script, presses=presses, program=("-X", "importtime", "-m", "sxq")
    )
    assert code == 130 and "Traceback" not in said and "interrupted" in said


@pytest.mark.slow
def test_a_burst_of_ctrl_c_never_ends_the_prompt(tmp_path):
    """While SQL runs, while a result is written, and at the prompt."""
    terminal, side = pty.openpty()
    with started(
        "--no-init", stdin=side, stdout=side, stderr=side, start_new_session=True
    ) as child:
        os.close(side)
        read_until(terminal, b"sxq> ")
        for number, statement in enumerate(
            (f"SELECT count(*) FROM range({10**11});", "FROM range(200000);")
        ):
            os.write(terminal, f"{statement}\n".encode())
            read_until(terminal, b"\n")
            time.sleep(0.5)
            for _ in range(6):
                child.send_signal(signal.SIGINT)
                time.sleep(0.01)
            read_until(terminal, b"sxq> ")
            for _ in range(6):
                child.send_signal(signal.SIGINT)
            type_until(terminal, f"SELECT 'alive' || {number} AS state;\n", f"alive{number}")
        os.write(terminal, b"\x04")
        assert child.wait(60) == 0
    os.close(terminal)


def test_a_long_script_takes_time_in_proportion_to_its_length(tmp_path):
    """Counted in characters that are read: no statement looks at the script in front of it again."""
    from sxq.shell.script_steps import steps

    def looked_at(count, end):
        class Counted(str):
            seen = 0

            def count(self, text, start=0, stop=None):
                Counted.seen += (len(self) if stop is None else stop) - start
                return super().count(text, start, stop)

        script = Counted(f"INSERT INTO t VALUES (1);{end}" * count)
        found = list(steps(script))
        assert len(found) == count and sum(len(step.text) for step in found) < len(script)
        return Counted.seen

    for end in ("\n", " "):
        assert looked_at(2000, end) <= 4.1 * looked_at(500, end)
