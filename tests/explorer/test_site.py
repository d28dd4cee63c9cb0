"""Every route of the explorer, over a database with hostile names."""

import json
import re
import threading

import pytest

import sxq
from sxq.connection import Connection
from sxq.explorer.answers import Answers
from sxq.explorer.site import ASSETS, Site, site
from tests.explorer.conftest import KEYS

testclient = pytest.importorskip("starlette.testclient")
TAGS = re.compile(r"<(img|svg onload|b>|i>|script>alert)")


@pytest.fixture(scope="module")
def read(hostile_made):
    answers = Answers(str(hostile_made))
    yield testclient.TestClient(site(answers, "t"), base_url="http://127.0.0.1:1/t/")
    answers.close()


@pytest.fixture
def written(hostile):
    answers = Answers(str(hostile), write=True)
    yield testclient.TestClient(site(answers, "t"), base_url="http://127.0.0.1:1/t/")
    answers.close()


def data_of(page: str):
    """What a page's script reads."""
    return json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.S)[1])


GETS = {  # route -> an address, and its status
    "/": ("", 200),
    "/compare": ("compare?a=1&b=2", 200),
    "/sql": ("sql", 200),
    "/explain": ("explain", 404),
    "/assets/{name}": ("assets/page.js", 200),
    "/query/{query:int}": ("query/1", 200),
    "/query/{query:int}/target/{ordinal:int}": ("query/1/target/0", 200),
    "/api/queries": ("api/queries", 200),
    "/api/query/{query:int}": ("api/query/1", 200),
    "/api/compare": ("api/compare?a=1&b=2", 200),
    "/api/questions": ("api/questions?query=1", 200),
    "/api/sql": ("api/sql", 405),
    "/api/explain": ("api/explain", 405),
    "/api/explain/stop": ("api/explain/stop", 405),
    "/api/explain/events": ("api/explain/events", 404),
}


def test_every_route_is_tested_here():
    assert {route.path for route in Site(None, "").routes()} == set(GETS)


@pytest.mark.parametrize("address, status", GETS.values(), ids=list(GETS))
def test_a_route(read, address, status):
    found = read.get(address)
    assert found.status_code == status
    assert "unsafe" not in found.headers["content-security-policy"]
    if found.headers["content-type"].startswith("text/html"):
        assert not TAGS.search(found.text)  # hostile names stand only in JSON, with `<` escaped
        rest = re.sub(r'(type="application/json">).*?(</script>)', r"\1\2", found.text, flags=re.S)
        assert not re.search(r"<script(?! src=| id=\"data\")|<style|\son\w+=|\sstyle=", rest)
        assert not re.search(r"""(?:src|href)="(?!/t/assets/|data:,)""", rest)


@pytest.mark.parametrize("name", ASSETS)
def test_assets_show_data_as_text_nodes(read, name):
    text = read.get(f"assets/{name}").text
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text
    )
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


@pytest.mark.parametrize(
    "address, status",
    [
        ("query/9/target/0", 404),
        ("query/1/target/99", 404),
        ("query/x", 404),
        ("query/-1", 404),
        ("assets/site.py", 404),
        ("assets/..%2Fsite.py", 404),
        ("api/query/9", 400),
        ("api/compare?a=1", 400),
        ("api/compare?a=1&b=x", 400),
        ("api/compare?a=1&b=9", 400),
        ("api/questions?query=1%3BDROP", 400),
        ("api/query/99999999999999999999999", 400),
    ],
)
def test_what_is_not_there(read, address, status):
    found = read.get(address)
    assert found.status_code == status and found.text


def test_the_queries_and_their_targets(read):
    queries = read.get("api/queries").json()
    assert [query["query_id"] for query in queries] == [3, 2, 1]
    assert "<script>alert(4)" in queries[2]["text"] and queries[0]["patterns"] > 0
    found = read.get("api/query/1").json()
    assert [row["target"] for row in found["targets"]] == list(KEYS)
    with_members = [row for row in found["targets"] if row["members"]]
    assert with_members and all(row["rank"] >= 1 and row["size"] >= 1 for row in with_members)
    assert read.get("api/query/3").json()["patterns"][0]["nodes"]


def test_the_page_of_a_target_is_the_report_of_it(read, hostile_made):
    page = read.get("query/1/target/1")
    data = data_of(page.text)
    assert data["targets"][0]["key"] == KEYS[1] and len(data["targets"]) == 1
    assert data["explorer"] == {
        "page": "target", "root": "/t", "file": "hostile.duckdb", "write": False,
        "query": 1, "ordinal": 1, "targets": len(KEYS), "kept": False,
    }  # fmt: skip
    facts = data["targets"][0]["scene"]["facts"]
    assert facts and all(
        edge[0][0] == "weight" and edge[0][1] in ("0.25", "0.5") for m in facts for edge in m
    )


def test_two_queries_side_by_side(read):
    rows = read.get("api/compare?a=1&b=2").json()["targets"]
    assert [row["target"] for row in rows] == list(KEYS)
    assert (
        [row["ordinal_a"] for row in rows]
        == [row["ordinal_b"] for row in rows]
        == list(range(len(KEYS)))
    )


# -- SQL


def ask(client, text):
    return client.post("api/sql", json={"text": text})


def test_the_questions_run(read):
    asked = read.get("api/questions?query=1").json()
    assert len(asked) == 10
    for question in asked:
        found = ask(read, question["sql"])
        assert found.status_code == 200, (question, found.text)
    assert any(ask(read, question["sql"]).json()["rows"] for question in asked)


def test_sql_shows_the_first_thousand_rows(read):
    found = ask(
        read, "SELECT range AS n, 'x' AS t, NULL AS u FROM range(5000) ORDER BY n DESC"
    ).json()
    assert found["columns"] == ["n", "t", "u"] and found["numeric"] == [True, False, False]
    assert len(found["rows"]) == 1000 and found["cut"] and found["rows"][0] == ["4999", "x", ""]
    assert not ask(read, "FROM range(1000)").json()["cut"]
    assert ask(read, "SHOW QUERIES").json()["rows"][0][0] == "1"
    assert "Verify" in ask(read, "PLAN EXPLAIN NODE 'a/b?c#d' USING MODEL m OPTIMIZE conc").text


@pytest.mark.parametrize(
    "text, words",
    [
        ("DELETE FROM queries", "only reads; found DELETE"),
        ("CREATE TABLE t AS SELECT 1", "only reads; found CREATE"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("", "no statement"),
        ("-- nothing", "one statement"),
        ("DROP GRAPH people", "DROP is not run here"),
        ("EXPLAIN NODE 'a/b?c#d' USING MODEL m OPTIMIZE conc", "EXPLAIN is not run here"),
        ("SELECT * FROM read_csv('/etc/passwd')", "read_csv is not allowed"),
        ("COPY queries TO '/tmp/x.csv'", "COPY"),
        ("SELECT getenv('HOME')", "getenv is not allowed"),
        ("SELEC 1", "SELEC"),
        ("BEGIN", "TRANSACTION"),
    ],
)
@pytest.mark.parametrize("client", ["read", "written"])
def test_sql_only_reads(request, client, text, words):
    found = ask(request.getfixturevalue(client), text)
    assert found.status_code == 400 and words in found.json()["error"]


@pytest.mark.parametrize(
    "text",
    [
        "WITH x AS (DELETE FROM queries RETURNING query_id) SELECT * FROM x",
        "SELECT nextval('sxq.query_ids')",
        "EXPLAIN ANALYZE DELETE FROM sxq.queries",
    ],
)
def test_a_select_that_writes_is_stopped_by_its_transaction(written, text):
    assert ask(written, text).status_code == 400
    assert ask(written, "SELECT count(*) FROM queries").json()["rows"] == [["3"]]


def test_a_slow_statement_is_stopped(read, monkeypatch):
    monkeypatch.setattr("sxq.explorer.answers.SECONDS", 0.2)
    found = ask(
        read,
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3",
    )
    assert found.status_code == 400 and "stopped after 0.2 seconds" in found.json()["error"]
    assert ask(read, "SELECT 1").status_code == 200


@pytest.mark.parametrize(
    "content, kind, status",
    [
        (b"text=SELECT+1", "application/x-www-form-urlencoded", 415),
        (b'{"text": "SELECT 1"}', "text/plain", 415),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[1]", "application/json", 400),
        (b'{"text": 1}', "application/json", 400),
        (b" " * 1_000_001, "application/json", 413),
    ],
)
def test_bodies_that_are_no_question(read, content, kind, status):
    found = read.post("api/sql", content=content, headers={"content-type": kind})
    assert found.status_code == status


def test_a_page_of_another_site_is_refused(read):
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        assert read.get("api/queries", headers=headers).status_code == 403
        assert read.post("api/sql", json={"text": "SELECT 1"}, headers=headers).status_code == 403
    assert read.get("http://127.0.0.1:1/wrong/api/queries").status_code == 403


# -- EXPLAIN

ASKED = "EXPLAIN NODE 'a/b?c#d' USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 50 CANDIDATES"


def events(client):
    lines = client.get("api/explain/events").text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_explain_is_for_those_who_may_write(read):
    for address in ("api/explain", "api/explain/stop"):
        found = read.post(address, json={"text": ASKED})
        assert found.status_code == 404 and "--write" in found.text
    assert read.get("query/1").status_code == 200


def test_explain_streams_its_progress_and_stores_its_answer(written):
    assert written.get("explain").status_code == 200
    assert events(written) == [{"kind": "idle"}]
    assert written.post("api/explain", json={"text": ASKED}).json() == {"started": True}
    last = events(written)[-1]
    assert last["kind"] == "done" and last["query"] == 4 and "candidates" in last["text"]
    assert events(written)[-1] == last  # a page that comes later sees the end, too
    assert written.get("api/queries").json()[0]["text"] == ASKED
    assert written.get("query/4/target/0").status_code == 200


@pytest.mark.parametrize(
    "text, words",
    [
        ("SELECT 1", "expected an EXPLAIN"),
        ("DROP MODEL m", "expected an EXPLAIN"),
        (f"{ASKED}; DROP MODEL m", "expected one EXPLAIN, found 2"),
        ("EXPLAIN NODE", "line 1"),
    ],
)
def test_only_explain_is_run(written, text, words):
    found = written.post("api/explain", json={"text": text})
    assert found.status_code == 400 and words in found.json()["error"]


def test_what_goes_wrong_in_an_explain_is_its_last_event(written):
    written.post("api/explain", json={"text": ASKED.replace("a/b?c#d", "nobody")})
    last = events(written)[-1]
    assert last["kind"] == "error" and "no node 'nobody'" in last["text"]


def test_explain_runs_alone_and_can_be_stopped(written, monkeypatch):
    began, go_on = threading.Event(), threading.Event()

    def wait(con, statement):
        began.set()
        go_on.wait(20)
        raise sxq.QueryError("it was stopped")

    monkeypatch.setattr(Connection, "run", wait)
    monkeypatch.setattr(Connection, "interrupt", lambda con: go_on.set() or True)
    assert written.post("api/explain", json={"text": ASKED}).status_code == 200
    assert began.wait(20)
    second = written.post("api/explain", json={"text": ASKED})
    assert second.status_code == 400 and "another EXPLAIN runs" in second.json()["error"]
    assert written.post("api/explain/stop", json={}).json() == {"stopped": True}
    assert events(written)[-1] == {"kind": "error", "text": "it was stopped"}


def test_an_explorer_of_a_missing_file(tmp_path):
    with pytest.raises(sxq.StoreError, match="there is no database"):
        Answers(str(tmp_path / "none.duckdb"))
