"""What a notebook shows: answers to look at, errors that end it, and a bar while a statement runs."""

import time

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import sxq
from sxq.execution import executor
from sxq.notebook import ProgressBar, progress_html
from sxq.pictures.inline_html import result_html
from tests import browser

HOSTILE = '</script><script>window.broken = 1</script><img src=x onerror="window.broken = 2">'
EXPLAIN = "EXPLAIN NODE 'acct-17'\nUSING MODEL votes OPTIMIZE fdl+, conc;"


@pytest.fixture
def answer(toy):
    with sxq.connect("toys.duckdb", read_only=True) as con:
        return con.query(EXPLAIN)


@pytest.fixture
def notebook(toy):
    """IPython with the magics, connected to the toys."""
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "sxq")
    shell.run_line_magic("sxq", "connect toys.duckdb")
    yield shell
    shell.user_ns["sxq_connection"].close()
    InteractiveShell.clear_instance()


def test_static_html_is_small_and_has_no_scripts(answer):
    hostile = answer[0].__class__(**{**vars(answer[0]), "generator": HOSTILE})
    for text in (
        result_html(answer),
        answer[0]._repr_html_(),
        hostile._repr_html_(),
        sxq.Table(["a"], [(HOSTILE,), (None,)])._repr_html_(),
    ):
        assert "<script" not in text and 'onerror="' not in text and len(text) < 60_000
    assert result_html(answer).count("<svg") == len(answer)
    assert answer[0]._repr_html_().count("<circle") >= len(answer[0].nodes)
    assert "7 more rows" in sxq.Table(["n"], [(i,) for i in range(47)])._repr_html_()


def test_an_answer_is_static_html_and_one_script_that_replaces_it(answer):
    static, script = answer._repr_html_().split("</div><script>")
    assert static.endswith(result_html(answer)) and script.count("<") == script.count("</script>")
    assert script.count("</script>") == 1  # the page inside ends none
    missing = sxq.Result([], {})
    assert missing._repr_html_() == result_html(missing)


@pytest.mark.slow
@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())
def test_where_scripts_run_the_report_is_in_the_cell(answer, tmp_path):
    (tmp_path / "cell.html").write_text(f"<!DOCTYPE html><body>{answer._repr_html_()}</body>")
    with browser.browser(size=(900, 700)) as window:
        window.open(tmp_path / "cell.html")
        assert window.count("iframe") == 1 and window.count("table") == 0
        height = "return document.querySelector('iframe').getBoundingClientRect().height"
        while window.run(height) == 480:  # until the page in the frame has told how high it is
            time.sleep(0.05)
        assert window.run(height) > 600
        assert window.run("return document.querySelector('iframe').contentDocument") is None
        assert window.errors() == []


def test_magics(notebook):
    assert notebook.run_line_magic("sxq", "SELECT 42 AS answer").rows == [(42,)]
    result = notebook.run_cell_magic("sxq", "kept", EXPLAIN)
    assert notebook.user_ns["kept"] is result and len(result) == 2
    con = notebook.user_ns["sxq_connection"]
    with pytest.raises(sxq.StoreError):
        notebook.run_line_magic("sxq", "connect nowhere/no.duckdb")
    assert notebook.user_ns["sxq_connection"] is con  # and it is open
    assert con.execute("SELECT 1 AS one").rows == [(1,)]


@pytest.mark.parametrize("cell", ["%sxq EXPLIAN NODE 1", "%%sxq\nSELECT 1;\nFROM nowhere"])
def test_an_error_ends_a_notebook_that_runs_as_a_whole(notebook, cell):
    with capture_output() as shown:
        done = notebook.run_cell(cell)
    assert not done.success and isinstance(done.error_in_exec, sxq.Error)
    assert "Error: " in shown.stdout and "Traceback" not in shown.stdout
    assert shown.stdout.count("\n") < 6


def test_a_bar_lives_as_long_as_its_statement(notebook, monkeypatch):
    monkeypatch.setattr(executor, "REPORT_EVERY", 0)  # however fast the search is
    notebook.kernel = object()  # as in a notebook: a terminal gets its own line of progress
    with capture_output() as shown:
        notebook.run_cell_magic("sxq", "", EXPLAIN)
    first, *others = (output.data["text/html"] for output in shown.outputs)
    assert 'value="' in first and "of 1 targets, " in first
    assert others and others[-1] == ""
    assert notebook.user_ns["sxq_connection"].report is None


def test_a_bar_is_drawn_now_and_then_and_escapes_what_it_is_told(notebook):
    assert progress_html("epoch <3>") == "<div>epoch &lt;3&gt;</div>"
    bar = ProgressBar()
    with capture_output() as shown:
        for number in range(100):
            bar(f"epoch {number}")
    assert 1 <= len(shown.outputs) < 50
