"""Questions put together in Python are the statements that the parser makes, and their text parses to them again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from torch_geometric.data import Data
from torch_geometric.nn import GCN

import sxq
from sxq import language
from sxq.language.statements import Condition, Diversify, Explain, GeneratorCall, Subquery
from tests import toys
from tests.pooled_models import Pools, some_graphs


def bare(text, values=None):
    """What the parser makes of a text, without the text."""
    return replace(language.bind([language.parse(text)], values)[0], text="")


def test_every_clause_becomes_what_the_parser_makes_of_it(con):
    question = (
        con.explain(nodes=["a", "b"])
        .using("votes", graph="payments")
        .optimize("fdl+", "FDL-", "conc")
        .by("onion")
        .by("random", size=6)
        .where("factual", "not counterfactual", ("size", "<=", 12))
        .directed()
        .diversify(0.8)
        .jointly()
        .top(5)
        .epsilon(0.05)
        .budget(2000)
        .within(1.5)
        .seed(7)
        .into("t")
    )
    text = (
        "EXPLAIN NODES 'a', 'b' USING MODEL votes ON GRAPH payments OPTIMIZE fdl+, fdl-, conc "
        "BY onion, random (size = 6) WHERE FACTUAL AND NOT COUNTERFACTUAL AND size <= 12 EDGES DIRECTED "
        "DIVERSIFY ALPHA 0.8 JOINTLY TOP 5 EPSILON 0.05 BUDGET 2000 CANDIDATES WITHIN 1.5 SECONDS SEED 7 INTO t"
    )
    assert str(question) == text
    assert replace(question.statement, text="") == bare(text)


def test_a_question_gives_the_answer_of_its_text(con):
    question = con.explain(node="acct-17").using("votes").optimize("fdl+", "conc").top(3)
    built, written = question.run(), con.execute(str(question))
    assert built.rows == written.rows and len(built) == 2
    assert con.sql("SELECT DISTINCT text FROM queries").fetchall() == [(str(question),)]
    assert str(question.plan()) == str(con.execute(f"PLAN {question}"))
    assert "candidates in" in str(question.profile())


def test_targets_by_a_query_with_values(con):
    question = con.explain(
        query="SELECT id FROM accounts WHERE city = ? AND pro = ?", parameters=["Turin", 0]
    )
    question = question.using("votes").optimize("conc")
    assert [report.target for report in question.run().targets] == ["acct-9", "acct-17"]
    assert question.statement.keys == Subquery(
        "SELECT id FROM accounts WHERE city = ? AND pro = ?", ("Turin", 0)
    )


def test_a_beginning_can_be_varied(con):
    start = con.explain(node="acct-17").using("votes").optimize("fdl+", "conc")
    one, both = start.top(1), start.where("factual")
    assert len(one.run()) == 1 and len(both.run()) == 2 and str(start).endswith("conc")


def test_graphs_are_targets_too(con):
    def begin(**targets):
        return con.explain(**targets).using("m", graph="gs").optimize("conc")

    for question, text in (
        (begin(graph="a"), "GRAPH 'a'"),
        (begin(graphs=[1, 2]), "GRAPHS 1, 2"),
        (begin(query="SELECT 1", kind="graph"), "GRAPHS (SELECT 1)"),
    ):
        assert str(question) == f"EXPLAIN {text} USING MODEL m ON GRAPHS gs OPTIMIZE conc"
        assert replace(question.statement, text="") == bare(str(question))


def test_numpy_and_torch_values_are_plain(con):
    question = (
        con.explain(nodes=np.array([3, 4]))
        .using("m")
        .optimize("conc")
        .top(np.int64(5))
        .epsilon(torch.tensor(0.5))
    )
    assert str(question) == "EXPLAIN NODES 3, 4 USING MODEL m OPTIMIZE conc TOP 5 EPSILON 0.5"


@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            lambda con: con.explain(),
            "explain takes one of node=, nodes=, graph=, graphs=, link=, links= and query=, found none",
        ),
        (lambda con: con.explain(node=1, nodes=[2]), "found node, nodes"),
        (lambda con: con.explain(node=1, graph=2), "found node, graph"),
        (lambda con: con.explain(nodes="acct-1"), "expected a list of keys"),
        (lambda con: con.explain(graphs="g1"), "one key is graph="),
        (
            lambda con: con.explain(query="SELECT 1", kind="edge"),
            "kind='edge'; expected 'node' or 'graph'",
        ),
        (lambda con: con.explain(query="SELECT ?"), "1 placeholder, but 0 values were given"),
        (lambda con: con.explain(node=1).run(), r"not finished; add \.using\(model\)"),
        (lambda con: con.explain(node=1).using("votes").run(), r"add \.optimize\("),
        (
            lambda con: con.explain(node=1).where("size <= 3"),
            "condition 'size <= 3'; expected 'factual'",
        ),
        (lambda con: con.explain(node=1).where(("size", "=<", 3)), "expected 'factual'"),
        (
            lambda con: con.explain(node="acct-17").using("votes").optimize("conc").top(0).run(),
            "TOP 0",
        ),
    ],
)
def test_what_is_wrong_is_said(con, wrong, message):
    with pytest.raises(sxq.InvalidValue, match=message):
        wrong(con)


def test_one_call_takes_every_clause():
    data, votes = toys.payments_data(), toys.Votes()
    result = sxq.explain(
        votes,
        data,
        3,
        where=["factual", ("size", "<=", 1)],
        by={"random": {"size": 1}},
        diversify=0.3,
        optimize=("fdl+", "conc"),
    )
    assert (
        "random(size = 1)" in result.plan
        and "alpha 0.3" in result.plan
        and "factual AND size <= 1" in result.plan
    )
    assert {e.size for e in result} == {1}
    both = sxq.explain(votes, data, [3, 4], k=2, jointly=True, by=["onion"])
    assert "jointly" in both.plan and len(both) == 2


def test_one_call_says_what_was_mixed_up():
    data, votes = toys.payments_data(), toys.Votes()
    with pytest.raises(sxq.ModelError, match="without node=, data is one graph"):
        sxq.explain(votes, data)
    with pytest.raises(sxq.InvalidValue, match="the data are a model"):
        sxq.explain(data, votes, 3)


def test_one_call_takes_whole_graphs():
    graphs, model = some_graphs(), Pools()
    one, two = (
        Data(x=torch.tensor(graph.x), edge_index=torch.tensor(graph.edge_index))
        for graph in list(graphs)[:2]
    )
    alone, both = (sxq.explain(model, data, k=2, budget=40) for data in (one, [one, two]))
    assert alone[0].kind == "graph" and [report.target for report in both.targets] == [0, 1]
    assert [e.edges for e in alone] == [e.edges for e in both.targets[0].explanations]
    with pytest.raises(sxq.ModelOutputError, match="one row for each graph"):
        sxq.explain(GCN(5, 4, 1, 2), one)


NAMES = some.sampled_from(["gcn", "my model", 'a"b', "top", "Where", "ärger", "x1"])
NUMBERS = some.one_of(some.integers(-(10**6), 10**6), some.floats(-1e6, 1e6, allow_nan=False))
KEYS = some.one_of(some.integers(), some.text(max_size=5))


@settings(suppress_health_check=[HealthCheck.too_slow])  # machines differ
@given(
    some.builds(
        Explain,
        keys=some.lists(KEYS, min_size=1, max_size=3).map(tuple),
        model=NAMES,
        measures=some.lists(
            some.sampled_from(["fdl+", "fdl-", "conc", "fdl_plus", "by"]), min_size=1
        ).map(tuple),
        graph=some.none() | NAMES,
        kind=some.sampled_from(["node", "graph"]),
        into=some.none() | NAMES,
        directed=some.booleans(),
        jointly=some.booleans(),
        generators=some.lists(
            some.builds(
                GeneratorCall,
                some.sampled_from(["onion", "random"]),
                some.lists(
                    some.tuples(
                        some.just("size"), NUMBERS | some.booleans() | some.text(max_size=3)
                    ),
                    max_size=1,
                ).map(tuple),
            ),
            max_size=2,
        ).map(tuple),
        where=some.lists(
            some.builds(Condition, some.just("factual"), some.just("is"), some.booleans())
            | some.builds(
                Condition, some.just("size"), some.sampled_from(["<", "!=", ">="]), NUMBERS
            ),
            max_size=2,
        ).map(tuple),
        diversify=some.none() | some.builds(Diversify, some.none() | NUMBERS),
        top=some.none() | NUMBERS,
        epsilon=some.none() | NUMBERS,
        budget=some.none() | NUMBERS,
        within=some.none() | NUMBERS,
        seed=some.none() | NUMBERS,
    )
)
def test_the_text_of_any_statement_parses_to_it_again(statement):
    assert bare(language.write(statement)) == replace(statement, text="")
