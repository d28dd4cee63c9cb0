"""The tools of `sxq mcp`: as functions, and once over the protocol."""

import asyncio
import json
import sys

import pytest

import sxq
from sxq.explorer.tools import CHARACTERS, Tools
from tests import toys
from tests.explorer.conftest import KEYS

mcp = pytest.importorskip("mcp")


@pytest.fixture(scope="module")
def tools(hostile_made):
    tools = Tools(str(hostile_made))
    yield tools
    tools.close()


@pytest.fixture
def writing(hostile):
    tools = Tools(str(hostile), write=True)
    yield tools
    tools.close()


def test_graphs_and_models(tools):
    (graph,) = json.loads(tools.list_graphs())["graphs"]
    (model,) = json.loads(tools.list_models())["models"]
    assert graph["graph"] == "people" and graph["nodes"] == len(KEYS)
    assert model["model"] == "m" and model["graph"] == "people"


def test_a_plan(tools):
    asked = "EXPLAIN NODE 'a/b?c#d' USING MODEL m OPTIMIZE conc"
    assert tools.plan(asked) == tools.plan(f"PLAN {asked}") and "Verify" in tools.plan(asked)
    with pytest.raises(sxq.UnknownName, match="did you mean 'm'|no model named"):
        tools.plan(asked.replace("MODEL m", "MODEL mm"))
    with pytest.raises(sxq.QueryError):
        tools.plan("SELECT 1")


def test_rows_come_with_the_figures_of_the_explanations_that_they_name(tools):
    found = json.loads(
        tools.query("SELECT explanation_id, target FROM explanations ORDER BY 1 LIMIT 3")
    )
    assert found["columns"] == ["explanation_id", "target"] and found["cut"] is None
    assert found["rows"][0]["target"] in KEYS
    audit = found["audit"]
    assert audit["explanations"] == audit["exact"] == 3
    assert all(one["difference"] < 1e-5 for one in audit["figures"].values())
    assert "audit" not in json.loads(tools.query("SELECT 1 AS a"))


def test_long_answers_are_cut_and_say_so(tools):
    many = json.loads(tools.query("FROM range(3000)"))
    assert len(many["rows"]) == 1000 and many["cut"] == "only the first 1,000 rows; there are more"
    text = tools.query("SELECT repeat('x', 400) AS a FROM range(900)")
    assert len(text) <= CHARACTERS and "of 900 rows" in json.loads(text)["cut"]
    both = tools.query("SELECT repeat('x', 400) AS a FROM range(5000)")
    assert len(both) <= CHARACTERS and "of more than 1,000 rows" in json.loads(both)["cut"]
    one = tools.query("SELECT " + ", ".join(f"repeat('y', 1900) AS c{i}" for i in range(40)))
    assert len(one) <= CHARACTERS and "cut" in json.loads(one)


@pytest.mark.parametrize(
    "sql", ["DELETE FROM queries", "SELECT 1; SELECT 2", "COPY queries TO 'x.csv'"]
)
def test_sql_only_reads(tools, writing, sql):
    for one in (tools, writing):
        with pytest.raises(sxq.Error):
            one.query(sql)


def test_one_explanation_with_edges_worth_and_figures(tools):
    (number,) = json.loads(
        tools.query(
            "SELECT explanation_id FROM explanations WHERE query_id = 1 AND size > 1 LIMIT 1"
        )
    )["audit"]["figures"]
    found = json.loads(tools.explanation(int(number)))
    assert found["size"] == len(found["edges"]) > 1  # the graph is directed
    assert {"src", "dst", "worth_kept", "worth_removed", "needed"} == set(found["edges"][0])
    assert found["audit"]["figures"][number]["verdict"] == "ok"
    stored = json.loads(
        tools.query(f"SELECT worth_kept FROM explanation_edges WHERE explanation_id = {number}")
    )["rows"]
    assert sorted(e["worth_kept"] for e in found["edges"]) == sorted(
        e["worth_kept"] for e in stored
    )
    with pytest.raises(sxq.InvalidValue, match="no explanation 9999 is stored"):
        tools.explanation(9999)
    for wrong in ("x", None, 1.5, True, [1]):
        with pytest.raises(sxq.InvalidValue, match="expected a whole number"):
            tools.explanation(wrong)
    with pytest.raises(sxq.InvalidValue, match="no explanation 1000.* is stored"):
        tools.explanation(10**30)
    for wrong in ("", None, 7):
        for tool in (tools.plan, tools.query):
            with pytest.raises(sxq.InvalidValue, match="expected the text of one statement"):
                tool(wrong)


def test_what_was_changed_by_hand_is_told(hostile):
    with sxq.connect(str(hostile)) as con:
        con.execute("UPDATE sxq.explanations SET raw = map {'fdl+': 0.9, 'fdl-': 0.0, 'conc': 0.5}")
    tools = Tools(str(hostile))
    audit = json.loads(tools.query("SELECT explanation_id FROM explanations LIMIT 2"))["audit"]
    assert audit["exact"] == 0
    assert all(not one["verdict"].startswith("ok") for one in audit["figures"].values())
    tools.close()


def test_a_model_without_its_code_is_not_measured_and_said_so(tmp_path):
    path = str(tmp_path / "votes.duckdb")
    with sxq.connect(path) as con:
        con.register_graph("payments", toys.payments_data())
        con.register_model("votes", toys.Votes(), graph="payments")
        con.execute("EXPLAIN NODE 3 USING MODEL votes OPTIMIZE fdl+, conc")
    tools = Tools(path)
    found = json.loads(tools.query("SELECT explanation_id FROM explanations"))
    assert found["rows"] and found["audit"]["exact"] == 0
    assert all("not measured: " in one["verdict"] for one in found["audit"]["figures"].values())
    assert json.loads(tools.explanation(found["rows"][0]["explanation_id"]))["edges"]
    tools.close()


def test_explain_stores_and_measures(writing):
    asked = "EXPLAIN NODE 'a/b?c#d' USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 40 CANDIDATES"
    found = json.loads(writing.explain(asked))
    assert found["query_id"] == 4 and found["explanations"]
    assert found["audit"]["exact"] == len(found["explanations"])
    assert json.loads(writing.query("SELECT count(*) AS n FROM queries"))["rows"] == [{"n": 4}]
    with pytest.raises(sxq.QueryError, match="expected an EXPLAIN"):
        writing.explain("DROP MODEL m")
    with pytest.raises(sxq.InvalidValue, match="no node 'nobody'"):
        writing.explain(asked.replace("a/b?c#d", "nobody"))


def test_explain_is_refused_where_the_server_only_reads(tools, writing):
    from sxq.explorer.tool_server import tool_server

    with pytest.raises(sxq.InvalidValue, match="sxq mcp --write"):
        tools.explain("EXPLAIN NODE 1 USING MODEL m OPTIMIZE conc")
    names = [
        {tool.name for tool in asyncio.run(tool_server(t).list_tools())} for t in (tools, writing)
    ]
    assert names[0] == {"list_graphs", "list_models", "plan", "query", "explanation"}
    assert names[1] - names[0] == {"explain"}


async def over_stdio(path):
    """The names of the tools, one answer, and one error."""
    server = mcp.StdioServerParameters(command=sys.executable, args=["-m", "sxq", "mcp", str(path)])
    async with mcp.stdio_client(server) as streams, mcp.ClientSession(*streams) as session:
        await session.initialize()
        tools = await session.list_tools()
        answer = await session.call_tool("query", {"sql": "SELECT count(*) AS n FROM queries"})
        wrong = await session.call_tool("query", {"sql": "DROP TABLE x"})
        return [tool.name for tool in tools.tools], answer, wrong


@pytest.mark.slow
def test_the_protocol_over_stdin_and_stdout(hostile):
    names, answer, wrong = asyncio.run(over_stdio(hostile))
    assert "explanation" in names and "explain" not in names
    assert json.loads(answer.content[0].text)["rows"] == [{"n": 3}]
    assert wrong.is_error and "only reads; found DROP" in wrong.content[0].text
