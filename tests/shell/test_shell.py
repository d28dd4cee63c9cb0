"""The shell: output modes and dot-commands by golden scripts, completion as a function, the prompt as a person."""

import io
import re
import time
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pytest

import sxq
from sxq.shell import MODES, Shell, display
from sxq.shell.completion import suggest
from sxq.shell.editor import finished
from sxq.shell.output_modes import Look
from sxq.shell.progress import progress_line
from sxq.shell.script_steps import DotCommand, Statement, steps
from sxq.values.explanation import TargetReport
from sxq.values.result import AuditResult
from sxq.values.sql_text import sql_text
from tests import golden, graphs
from tests.terminal import terminal


@pytest.mark.parametrize("path", golden.files("shell"), ids=golden.name)
def test_golden(path, bless, toy):
    with sxq.connect("toys.duckdb") as con:
        shell = Shell(con)

        def run(script):
            if path.stem == "display":
                return display.rendered(display.table(con.execute(script))).rstrip("\n")
            written = io.StringIO()
            with redirect_stdout(written):
                shell.run(script)
            return written.getvalue().rstrip("\n")

        golden.check(path, run, bless)


def test_the_steps_of_a_script():
    script = "-- c\nSELECT 1; SELECT\n  '.mode; x'\n;\n .mode csv\n.print it's\nSELECT 2"
    assert list(steps(script)) == [
        Statement("SELECT 1", 2, 1),
        Statement("SELECT\n  '.mode; x'", 2, 11),
        DotCommand("mode csv"),
        DotCommand("print it's"),
        Statement("SELECT 2", 7, 1),
    ]
    assert list(steps(";; ;")) == [] and list(steps("  \n-- only a comment")) == []


VOCABULARY = sxq.session.vocabulary.Vocabulary(
    graphs=("karate", "my-graph"),
    collections=("mols",),
    refines=("r",),
    models=("gcn", "gat"),
    measures=("fdl+", "fdl-", "conc"),
    tables={"explanations": ("query_id", "rank"), "mine": ("a", "b c")},
    generators={"onion": (), "random": ("size",), "refine": ("pretrained",)},
    options=("architecture", "layers"),
    pretraining=("epochs", "split"),
    architectures=("gcn", "gin"),
)


@pytest.mark.parametrize(
    "text, typed, expected",
    [
        ("", "", ["EXPLAIN", "TRAIN", "SELECT"]),
        ("EXP", "EXP", ["EXPLAIN"]),
        ("EXPLAIN NODE 4 USING MODEL ", "", ["gcn", "gat"]),
        ("EXPLAIN NODE 4 USING MODEL gcn ON GRAPH ", "", ["karate", '"my-graph"']),
        ("EXPLAIN NODE 4 USING MODEL gcn OPTIMIZE fd", "fd", ["fdl+", "fdl-"]),
        ("EXPLAIN NODE 4 USING MODEL gcn OPTIMIZE fdl+", "fdl+", []),
        ("EXPLAIN NODE 4 USING MODEL gcn OPTIMIZE fdl+, ", "", ["conc"]),
        ("EXPLAIN NODE 4 USING MODEL gcn OPTIMIZE conc WHERE ", "", ["conc", "FACTUAL"]),
        ("EXPLAIN NODE 4 USING MODEL gcn OPTIMIZE conc B", "B", ["BUDGET", "BY"]),
        ("EXPLAIN NODE 4 USING MODEL gcn OPTIMIZE conc BY ", "", ["onion", "random"]),
        ("EXPLAIN NODE 4 USING MODEL gcn OPTIMIZE conc BY random (", "", ["size"]),
        ("EXPLAIN NODES (SELECT ", "", ["query_id", "rank", "a", '"b c"', "FROM"]),
        ("EXPLAIN NODES (SELECT a FROM m", "m", ["mine"]),
        ("SELECT 1; TRAIN MODEL new ON GRAPH k", "k", ["karate"]),
        ("TRAIN MODEL new ON GRAPH karate (", "", ["ARCHITECTURE", "LAYERS"]),
        ("CREATE GRAPH g FROM DATASET 'KarateClub' (", "", ["UNDIRECTED"]),
        ("TRAIN MODEL new ON GRAPH karate (ARCHITECTURE = ", "", ["gcn", "gin"]),
        ("TRAIN MODEL ", "", []),
        ("TRAIN MODEL new ON GRAPHS ", "", ["mols"]),
        ("EXPLAIN GRAPHS 1 USING MODEL gcn ON GRAPHS ", "", ["mols"]),
        ("PRETRAIN REFINE ", "", []),
        ("PRETRAIN REFINE r FOR MODEL ", "", ["gcn", "gat"]),
        ("PRETRAIN REFINE r FOR MODEL gcn ON GRAPH karate (", "", ["EPOCHS", "SPLIT"]),
        ("EXPLAIN NODE 4 USING MODEL gcn OPTIMIZE conc BY refine (pretrained = ", "", ["r"]),
        ("DROP REFINE ", "", ["r", "IF"]),
        ("SET sxq_bu", "sxq_bu", ["sxq_budget"]),
        ("SELECT * FROM exp", "exp", ["explanations"]),
        ("SELECT e.r", "r", []),
        ("SELECT rank FROM explanations e WHERE e.r", "r", ["rank"]),
        ("SELECT x FROM mine AS m WHERE m.", "", ["a", '"b c"']),
        ("SELECT 'exp", "exp", []),
        (".mo", ".mo", [".mode", ".models"]),
        (".mode c", "c", ["csv"]),
        (".help on", "on", ["onion"]),
        ("\\d mi", "mi", ["mine"]),
        (".import x.csv mi", "mi", ["mine"]),
    ],
)
def test_completion(text, typed, expected):
    found, words = suggest(text, VOCABULARY, ("mode", "models", "quit"))
    assert found == typed
    assert set(expected) <= set(words) if expected else not words, words


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ("SELECT e.r", " FROM explanations e", ["rank"]),
        ("SELECT e.r", " FROM sxq.explanations AS e WHERE true; FROM mine e", ["rank"]),
        ("SELECT m.", ' FROM "mine" m, explanations e', ["a", '"b c"']),
        ('SELECT "the m".', ' FROM mine "the m"', ["a", '"b c"']),
        ("FROM mine JOIN explanations ex ON EX.q", "", ["query_id"]),
        ("SELECT MINE.", " FROM Mine", ["a", '"b c"']),
        ("SELECT r", " FROM explanations", ["rank", "round("]),
        ("SELECT ra", " FROM mine", []),
        ("SELECT where.", " FROM mine WHERE", []),
        ("EXPLAIN NODES (SELECT x.", " FROM mine x) USING MODEL gcn", ["a", '"b c"']),
        ("SELECT * FROM mine long_name WHERE lo", "", ["long_name"]),
    ],
)
def test_completion_knows_aliases_on_both_sides_of_the_cursor(before, after, expected):
    assert suggest(before, VOCABULARY, (), after)[1][: len(expected) or None] == expected


def test_every_completion_of_a_keyword_leads_to_what_the_grammar_knows():
    """Whatever is suggested after a beginning is never refused as the next word."""
    for text in (
        "EXPLAIN ",
        "EXPLAIN NODE 1 USING ",
        "EXPLAIN NODE 1 USING MODEL m OPTIMIZE conc ",
        "SHOW ",
    ):
        for word in suggest(text, VOCABULARY)[1]:
            with pytest.raises(sxq.ParseError) as refused:
                sxq.language.parse(f"{text}{word} ~")
            assert refused.value.column > len(text) + len(word)


def test_paths_are_completed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "one.sql").touch()
    assert suggest(".read s", VOCABULARY) == ("s", ["scripts/"])
    assert suggest(".read scripts/", VOCABULARY) == ("scripts/", ["scripts/one.sql"])
    assert suggest(".read nowhere/", VOCABULARY) == ("nowhere/", [])


@pytest.mark.parametrize(
    "text, runs",
    [
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 'a;", False),
        ("", True),
        (".mode csv", True),
        ("-- ;", False),
    ],
)
def test_enter_runs_what_is_finished(text, runs):
    assert finished(text) == runs


def test_a_result_of_duckdb_is_written_as_duckdb_writes_it(capsys):
    with sxq.connect() as con:
        sql = """SELECT x, x::VARCHAR AS text FROM (VALUES (45000.0::DOUBLE), (1e16), (1e-5), (1e15), (-0.0),
                 (0.1), (123456789.123), ('inf'), ('nan'), (5e-324)) t(x)"""
        for value, text in con.execute(sql).rows:
            assert sql_text(value, "DOUBLE") == text
        for sql_type, written in (
            ("FLOAT", "0.1"),
            ("FLOAT", "16777216"),
            ("TIMESTAMP", "2026-01-02 03:04:05.5"),
            ("TIMESTAMP", "2026-01-02"),
            ("TIME", "03:04:05.25"),
            ("INTERVAL", "3 days"),
            ("INTERVAL", "90 minutes 1.5 seconds"),
            ("DECIMAL(9, 2)", "0.10"),
            ("BLOB", r"a\xAA\x5C"),
            ("UUID", "cea2e15e-1895-aa78-1641-bcbf365b7f67"),
            ("INTEGER[]", "[1, NULL]"),
            ("STRUCT(a INTEGER, b BOOLEAN)", "{'a': 1, 'b': true}"),
        ):
            query = f"SELECT $1::{sql_type} AS value, $1::{sql_type}::VARCHAR AS text"
            ((value, text),) = con.execute(query, [written]).rows
            assert sql_text(value, sql_type) == text
        plan = con.execute("EXPLAIN SELECT 1 AS one")
        Shell(con).show(plan)
        assert capsys.readouterr().out.rstrip("\n") == plan.rows[0][1].rstrip("\n")


def test_insert_statements_are_read_back():
    with sxq.connect() as con:
        con.execute(
            """CREATE TABLE t AS SELECT 1 AS n, 'it''s' AS "the ""text", NULL::DATE AS nothing, true AS yes,
               'nan'::DOUBLE AS nan, DATE '2026-01-02' AS day, [1, NULL] AS list, {'a': 1} AS struct,
               MAP {'k': 2} AS map, '\\xAA'::BLOB AS bytes, 0.1::FLOAT AS float, TIME '01:02:03' AS time,
               INTERVAL 26 HOURS AS long, 12.50::DECIMAL(9, 2) AS price"""
        )
        found = con.execute("FROM t")
        con.execute("CREATE TABLE copies AS FROM t WHERE false")
        for line in MODES["insert"](found, Look(name="copies")):
            con.execute(line)
        assert str(con.execute("FROM copies").rows) == str(found.rows)


def test_many_targets_get_an_overview():
    members = [
        TargetReport(target=n, ordinal=n, prediction=1, asked=1, probability=0.9, status="empty")
        for n in range(30)
    ]
    few, many = sxq.Result(members[:20], {}), sxq.Result(members, {})
    assert "probability" not in few.shown()[0].columns
    (table,) = many.shown()
    assert len(table) == 30 and table.rows[3][:3] == (3, 1, 0.9)
    boxed = "\n".join(MODES["box"](many, Look()))
    for text in (repr(many), display.rendered(display.table(many)), boxed):
        assert "p_empty" in text and "30 nodes" in text
    assert len(list(MODES["csv"](many, Look()))) == 1  # programs get members, and there is none


def test_an_audit_of_many_rows_shows_totals_and_what_is_wrong():
    rows = [(1, n, 1, n, 1e-7, "ok") for n in range(50)] + [(2, 0, 1, 99, 0.5, "differs")]
    audit = AuditResult(rows, queries=2, targets=50)
    overview, found = audit.shown()
    assert overview.rows == [(1, 50, 50, 0, 1e-7), (2, 1, 1, 1, 0.5)]
    assert found.rows == [rows[-1]] and str(audit).endswith(audit.summary())


@pytest.mark.parametrize(
    "command", ["open x.duckdb", "import x.csv t", "edit", "shell true", "\\! true"]
)
def test_strangers_reach_no_files_and_no_programs(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("a\n1\n")
    with sxq.connect(untrusted=True) as con:
        with pytest.raises(sxq.NotAllowed, match="not allowed on an untrusted connection"):
            Shell(con).run(command if command[0] == "\\" else f".{command}")
        assert Shell(con).run(".open") == 0  # which only shows
    assert not (tmp_path / "x.duckdb").exists()


@pytest.mark.parametrize(
    "share, drawn",
    [(0, "      "), (1, "██████"), (0.5, "███   "), (1 / 48, "▏     "), (7, "██████")],
)
def test_bars(share, drawn):
    assert display.bar(share) == drawn


def test_progress_says_how_far_and_how_long():
    from sxq.execution import Progress

    half = Progress(
        targets=1, total=2, candidates=3000, seconds=2.0, front=7, share=0.5, coverage=0.875
    )
    assert progress_line(half) == (
        "━━━━━━━━╌╌╌╌╌╌╌╌  50%  1 of 2 targets, 3,000 candidates, 1,500/s, front 7, covers 87.5%, "
        "at most 2 s left"
    )
    begun = replace(half, targets=0, total=1, candidates=10, front=1, share=0.1, within=3.0)
    assert "at most 1 s left" in str(begun)
    assert "left" not in str(replace(begun, candidates=0, seconds=0.0, front=0, share=0.0))
    assert progress_line("epoch 3") == "epoch 3"


@pytest.mark.slow
def test_a_person_at_the_prompt(toy):
    """Lines up to a `;`, a caret below what is wrong, completion, Ctrl-C, and a history that outlives the session."""
    (toy / ".sxqrc").write_text(".timer off\nCREATE TEMP TABLE from_init AS SELECT 42 AS answer;\n")
    with terminal("toys.duckdb", cwd=toy) as shell:
        assert "42" in shell.answer("SELECT *\rFROM from_init;")
        assert "...>" in shell.screen
        seen = shell.answer("EXPLAIN NODE 'acct-17' USING MODEL vots OPTIMIZE conc;")
        assert re.search(
            r"no model named 'vots', did you mean 'votes'\?.*\n.*MODEL vots OPT.*\n +\^\^\^\^", seen
        )
        seen = shell.answer("EXPLIAN NODE 'acct-17';")
        assert re.search(
            r"found 'EXPLIAN', did you mean 'EXPLAIN'\?\n +EXPLIAN NODE 'acct-17'\n +\^", seen
        )
        shell.type("EXPLAIN NODE 'acct-17' USING MODEL v")
        shell.wait("MODEL v")
        shell.type("\t")
        shell.wait("MODEL votes")
        shell.type(" OPTIMIZE fdl+, conc;\r")
        seen = shell.wait("explanatory")
        assert "█" in seen and "●" in seen
        shell.prompt()
        shell.type("SELECT 'half a thought")
        shell.wait("half a thought")
        shell.type("\x03")
        shell.prompt()
        assert "still here" in shell.answer("SELECT 'still here' AS state;")
        shell.type(".quit\r")
        assert shell.child.wait(60) == 0
    with terminal("toys.duckdb", cwd=toy) as shell:
        shell.prompt()
        shell.type("\x12from_in")  # Ctrl-R
        shell.wait("FROM from_init;")
        shell.type("\r")
        shell.wait(lambda screen: screen.endswith("FROM from_init;"))
        shell.type("\r")
        shell.wait("42")
        assert (toy / ".sxq_history").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_progress_and_two_interrupts_at_the_prompt(toy):
    """The first Ctrl-C shows what was found, marked incomplete; the second aborts; the prompt comes back."""
    with sxq.connect("toys.duckdb") as con:
        con.register_graph(
            "big", graphs.random_graph(np.random.default_rng(0), nodes=60, edges=150, features=2)
        )
        con.execute(
            "CREATE MODEL long ON GRAPH big FROM FILE 'gossip.safetensors' "
            "(ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 2, CLASSES = 2)"
        )
    endless = (
        "EXPLAIN NODE 0 USING MODEL long OPTIMIZE fdl+, conc BY random BUDGET 1000000000 CANDIDATES"
    )
    with terminal("toys.duckdb", cwd=toy) as shell:
        shell.prompt()
        shell.type(endless + ";\r")
        shell.wait(
            lambda screen: re.search(
                r"0 of 1 targets, [\d,]+ candidates, [\d,]+/s, front \d+, covers", screen
            )
        )
        shell.type("\x03")
        assert "before the search was stopped" in " ".join(shell.prompt().split())
        shell.type(f"EXPLAIN NODES (SELECT count(*) FROM range(10000000000)) {endless[15:]};\r")
        time.sleep(0.5)  # DuckDB counts, and nothing is on the screen yet
        shell.type("\x03")
        assert "interrupted" in shell.prompt() or "INTERRUPT" in shell.screen
        assert "still here" in shell.answer("SELECT 'still here' AS state;")


SLOW = """
import time
import sxq
from sxq.shell import run_prompt

def slow(batch):
    time.sleep(600 if len(batch.bits) > 1 else 0)     # a batch that nobody wants to wait for
    return batch.sizes * 0.0

with sxq.connect("toys.duckdb") as con:
    con.register_measure("slow", slow, larger_is_better=True)
    run_prompt(con)
"""


@pytest.mark.slow
def test_a_second_interrupt_aborts_what_the_first_has_to_wait_for(toy):
    (toy / "slow.py").write_text(SLOW)
    with terminal(program=["slow.py"], cwd=toy) as shell:
        shell.answer("EXPLAIN NODE 'acct-17' USING MODEL votes OPTIMIZE fdl+, conc;")
        shell.type("EXPLAIN NODES 'acct-17', 'acct-1' USING MODEL votes OPTIMIZE fdl+, slow;\r")
        time.sleep(2)
        shell.type("\x03")
        shell.wait("stopping; Ctrl-C again to abort")
        shell.type("\x03")
        shell.wait("interrupted")
        shell.prompt()
        seen = shell.answer("SELECT query_id, complete, 'kept' AS t FROM queries ORDER BY ALL;")
        assert re.search(r"1 +true +kept\n +2 +false +kept", seen)
        assert "ok" in shell.answer("AUDIT QUERY 1;")


@pytest.mark.slow
def test_a_wide_result_goes_through_the_pager(toy):
    with terminal("toys.duckdb", cwd=toy, rows=20, columns=80) as shell:
        shell.answer(".timer off")
        shell.type("SELECT range AS n FROM range(500);\r")
        shell.wait(lambda screen: screen.endswith(":"))
        shell.type("q")
        shell.prompt()
        shell.answer(".pager off")
        assert "499" in shell.answer("SELECT range AS n FROM range(500);")


@pytest.mark.parametrize(
    "mode, sql, last",
    [
        ("jsonlines", "SELECT 1 AS a, 2 AS a", '{"a": 1, "a": 2}'),
        (
            "json",
            r"SELECT '\x01'::BLOB AS a, INTERVAL 1 DAY AS b",
            r'[{"a": "\\x01", "b": "1 day"}]',
        ),
        ("csv", r"SELECT 'nan'::DOUBLE AS a, NULL AS b, '\x01'::BLOB AS c", r"nan,,\x01"),
        ("markdown", "SELECT '<b>|`' AS a", r"| \<b>\|\` |"),
        ("latex", "SELECT 'a<b' AS a", r"a\textless{}b \\"),
    ],
)
def test_nothing_is_lost_or_read_as_markup(mode, sql, last):
    with sxq.connect() as con:
        lines = list(MODES[mode](con.execute(sql), Look()))
    assert last in lines
