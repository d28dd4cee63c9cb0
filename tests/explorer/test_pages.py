"""The pages of the explorer in a real browser, over a database with hostile names."""

import threading
import time
from contextlib import contextmanager

import pytest

import sxq
from sxq.explorer.answers import Answers
from tests import browser
from tests.explorer.conftest import KEYS

pytest.importorskip("uvicorn")
from sxq.explorer.serve import listening, server

pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())


@contextmanager
def served(path, write=False):
    """The address of a running explorer."""
    answers = Answers(str(path), write)
    with listening(0) as free:
        running = server(answers, "t")
        thread = threading.Thread(target=running.run, args=([free],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{free.getsockname()[1]}/t/"
        finally:
            running.should_exit = True
            thread.join()
            answers.close()


def until(window, selector):
    """Wait for an element that a script makes."""
    for _ in range(200):
        if window.count(selector):
            return
        time.sleep(0.05)
    raise AssertionError(f"no {selector}: {window.errors()}")


def choose(window, number, value):
    """Give the filter at a place a value."""
    window.run(
        "const i = document.querySelectorAll('.filters input, .filters select')[arguments[0]];"
        "i.value = arguments[1]; i.dispatchEvent(new Event('input'))",
        number,
        value,
    )


def keys(window):
    return window.run(
        "return [...document.querySelectorAll('tbody .key a')].map(a => a.textContent)"
    )


def test_the_pages_show_what_is_stored_as_it_is(hostile):
    with served(hostile) as root, browser.browser() as window:
        window.visit(root)
        until(window, "a.card pre")
        assert window.count("a.card") == 3 and "<script>alert(4)" in window.text("main")
        window.visit(f"{root}query/1")
        until(window, "tbody tr")
        assert keys(window) == list(KEYS)
        window.click("th[data-name='key'] button")
        assert sorted(keys(window)) == sorted(KEYS) and keys(window) != list(KEYS)
        assert window.count("th[aria-sort='ascending']") == 1
        choose(window, 0, "IMG")
        assert keys(window) == [KEYS[0]]
        choose(window, 0, "")
        choose(window, 6, "factual")
        assert 0 < window.count("tbody tr") == window.count("tbody .pill.yes:first-child")
        window.visit(f"{root}query/3")
        until(window, "#patterns svg")
        window.visit(f"{root}query/1/target/3")
        until(window, ".member")
        assert KEYS[3] in window.text("#meaning") and window.count(".point") == window.count(
            ".member"
        )
        window.run(
            "const s = document.getElementById('edge-label'); s.value = 'weight'; s.dispatchEvent(new Event('change'))"
        )
        assert window.text(".on-edge") in ("0.25", "0.5")
        assert (
            "worth kept" in window.text(".member details")
            and window.count(".member details tr") > 1
        )
        window.press("n")
        until(window, ".crumbs")
        assert "target 5 of 6" in window.text(".crumbs")
        window.visit(f"{root}compare?a=1&b=2")
        until(window, "tbody tr")
        assert window.count("tbody tr") == len(KEYS)
        window.visit(f"{root}sql?query=1")
        until(window, ".questions button")
        window.run("document.querySelectorAll('.questions button')[3].click()")
        until(window, ".list.sql td")
        assert window.count(".questions button") == 10 and KEYS[2] in window.text(".list.sql")
        assert window.count("img") == 0 and window.errors() == []


@pytest.mark.slow
def test_a_narrow_screen_scrolls_only_down_and_the_theme_stays(hostile):
    with served(hostile) as root, browser.browser(size=(400, 800), dark=True) as window:
        for page in ("", "query/1", "query/1/target/3", "compare?a=1&b=2", "sql"):
            window.visit(root + page)
            until(window, "h1:not(:empty)")
            assert window.run("return document.documentElement.scrollWidth <= innerWidth"), page
            assert window.run("return document.documentElement.dataset.theme") == "dark", page
            assert window.run("return document.querySelector('.top').offsetHeight") < 60, page
        window.click(".top nav button")
        window.visit(f"{root}query/1/target/0")
        assert window.run("return document.documentElement.dataset.theme") == "light"
        window.visit(f"{root}query/1")
        until(window, "tbody tr")
        window.as_on_paper()
        shown = (
            "return [...document.querySelectorAll(arguments[0])].some((e) => e.offsetHeight > 0)"
        )
        assert window.run(shown, "th button") and not window.run(shown, ".filters, .row")
        assert window.errors() == []


@pytest.mark.slow
def test_explain_in_the_page(hostile):
    with served(hostile, write=True) as root, browser.browser() as window:
        window.visit(f"{root}explain")
        until(window, "textarea")
        window.run(
            "document.querySelector('textarea').value = arguments[0]",
            "EXPLAIN NODE 'a/b?c#d' USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 50 CANDIDATES",
        )
        time.sleep(0.2)
        window.click("button.do")
        until(window, "a.open")
        assert window.text("a.open") == "open query 4"
        window.run("document.querySelector('textarea').value = 'DROP MODEL m'")
        window.click("button.do")
        until(window, ".bad")
        assert "expected an EXPLAIN" in window.text(".bad")


@pytest.mark.slow
def test_types_of_nodes_have_a_column(tmp_path):
    """Keys are unique within a type only, so the tables of targets and of a comparison say the type, and find by it."""
    path = tmp_path / "typed.duckdb"
    with sxq.connect(path) as con:
        con.execute(
            """CREATE GRAPH g FROM NODES account (SELECT range AS id, range % 3 AS f, range % 2 AS label FROM range(8)),
                                   NODES "shop <b>" (SELECT range AS id, range % 5 AS f FROM range(8)),
               EDGES account -pays-> "shop <b>" (SELECT range, (range * 3) % 8 FROM range(8)),
                     EDGES "shop <b>" -owns-> account (SELECT range, (range * 5 + 1) % 8 FROM range(8));
               TRAIN MODEL m ON GRAPH g (ARCHITECTURE = sage, LAYERS = 2, EPOCHS = 2)"""
        )
        for seed in (0, 1):
            con.execute(
                f"EXPLAIN NODES 1, 2 USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 30 CANDIDATES SEED {seed}"
            )
    column = "return [...document.querySelectorAll('tbody tr')].map(r => r.children[arguments[0]].textContent)"
    head = "return [...document.querySelectorAll('thead th')].map(h => h.textContent.trim().split(/\\s/)[0])"
    with served(path) as root, browser.browser() as window:
        window.visit(f"{root}query/1")
        until(window, "tbody tr")
        place = window.run(head).index("type")
        assert window.run(column, place) == ["account", "account"]
        choose(window, 0, "shop")
        assert keys(window) == []
        choose(window, 0, "account")
        assert len(keys(window)) == 2
        window.visit(f"{root}query/1/target/0")
        until(window, ".member")
        assert "shop <b>" in window.text("main")
        window.visit(f"{root}compare?a=1&b=2")
        until(window, "tbody tr")
        assert window.run(column, window.run(head).index("type")) == ["account", "account"]
        assert not window.errors()
