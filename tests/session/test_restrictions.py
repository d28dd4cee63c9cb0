"""INCLUDE, EXCLUDE, ANYWHERE, SMALLEST, exhaustive (size) and `minimal`, against plain forwards on every set of edges."""

import re
from itertools import product

import numpy as np
import pytest
import torch

import sxq
from sxq.errors import DataError, FieldTooLarge, InvalidValue, NodeNotFound
from sxq.graph import extract
from tests import oracles
from tests.graphs import make, random_graph
from tests.pooled_models import Pools, some_graphs

FLAGS = ("factual", "counterfactual")
KINDS = ("gcn", "gin")


class Enumerated:
    """Every set of units of one field, with the flags that plain forward passes give it."""

    def __init__(self, module, graph, target):
        self.field = extract(graph, target, 2, 1)
        key = [tuple(sorted(self.field.nodes[self.field.ends[:, u]])) for u in range(self.units)]
        self.key = [(int(u), int(v)) for u, v in key]
        connected = oracles.connected_subsets(self.field.ends, self.units)
        self.connected = set(map(tuple, connected.tolist()))
        self.flags = {}
        for bits in product([False, True], repeat=self.units):
            edges = graph.edge_index[:, self.field.edges_of(np.array(bits, bool))]
            _, _, factual, counterfactual, margin = oracles.measure(module, graph, target, edges)
            assert margin > 1e-5, "no test rests on a tie"
            self.flags[bits] = {"factual": factual, "counterfactual": counterfactual}

    @property
    def units(self):
        return self.field.num_units

    def admitted(self, anywhere=False, include=(), exclude=()):
        """The candidates, by units of which all of the first and none of the second are held."""
        every = [bits for bits in self.flags if any(bits)] if anywhere else self.connected
        return [
            bits
            for bits in every
            if all(bits[u] for u in include) and not any(bits[u] for u in exclude)
        ]

    def smallest(self, flag, candidates):
        """The smallest size with the flag, or None."""
        return min((sum(bits) for bits in candidates if self.flags[bits][flag]), default=None)


@pytest.fixture(scope="module", params=KINDS)
def case(request):
    """A connection with a graph and a model, and the enumerated fields of three targets."""
    graph = random_graph(np.random.default_rng(3), nodes=20, edges=10)
    module = make(request.param, seed=1, scale=3.0, layers=2)
    targets = [v for v in range(1, 19) if 4 <= extract(graph, v, 2, 1).num_units <= 8]
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g")
        yield con, {v: Enumerated(module, graph, v) for v in targets[:3]}


def explain(con, target, clauses):
    return con.execute(f"EXPLAIN NODE {target} USING MODEL m OPTIMIZE fdl+, fdl-, conc {clauses}")


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("anywhere", [False, True])
def test_smallest_is_the_smallest_of_all(case, flag, anywhere):
    con, fields = case
    for target, every in fields.items():
        least = every.smallest(flag, every.admitted(anywhere))
        found = explain(con, target, f"SMALLEST {flag} {'ANYWHERE' if anywhere else ''}")
        assert [e.size for e in found] == ([] if least is None else [least])
        assert found.proved is (None if least is None else True)
        assert found.targets[0].bound >= (every.units if least is None else least - 1)
        assert all(getattr(e, flag) for e in found)


@pytest.mark.slow
@pytest.mark.sweep(7)
@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("budget", [2, 5, 10, 20, 40])
def test_with_little_budget_only_what_was_verified_is_claimed(case, flag, budget):
    con, fields = case
    for target, every in fields.items():
        found = explain(con, target, f"SMALLEST {flag} BUDGET {budget} CANDIDATES")
        report = found.targets[0]
        small = [bits for bits in every.connected if sum(bits) <= (report.bound or 0)]
        least = every.smallest(flag, small)
        assert report.candidates <= budget and report.candidates >= len(small)
        if len(found):
            assert found.proved is (found[0].size <= (report.bound or 0) + 1)
            assert not found.proved or found[0].size == every.smallest(flag, every.connected)
        else:
            assert least is None
        said = re.search(r"no \w+ of at most (\d+) edge", report.note)
        assert not said or int(said[1]) == report.bound and least is None


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("anywhere", [False, True])
def test_exhaustive_with_a_size_says_what_it_proved(case, size, anywhere):
    con, fields = case
    for target, every in fields.items():
        where = "ANYWHERE" if anywhere else ""
        found = explain(con, target, f"BY exhaustive (size = {size}) {where}")
        small = [bits for bits in every.admitted(anywhere) if sum(bits) <= size]
        assert found.candidates == len(small) + (size < every.units)  # the whole field, too
        assert found.targets[0].bound == min(size, every.units)
        for flag in FLAGS:
            said = f"no {flag} of at most {size} edge" in found.targets[0].note
            assert said is (every.smallest(flag, small) is None)


def test_where_exhaustive_with_a_size_is_too_much_the_number_is_said(case):
    con, fields = case
    target, every = next(iter(fields.items()))
    count = sum(sum(bits) <= 3 for bits in every.connected)
    with pytest.raises(FieldTooLarge, match=f"has {count} connected subgraphs of at most 3 units"):
        explain(con, target, f"BY exhaustive (size = 3) BUDGET {count - 1} CANDIDATES")
    assert explain(con, target, f"BY exhaustive (size = 3) BUDGET {count + 1} CANDIDATES").complete


@pytest.mark.slow
@pytest.mark.parametrize("anywhere", [False, True])
def test_include_and_exclude_leave_exactly_what_they_admit(case, anywhere):
    con, fields = case
    for target, every in list(fields.items())[:2]:
        for include, exclude in (((0,), ()), ((), (0,)), ((every.units - 1,), (1,)), ((1, 2), ())):
            clauses = "BY exhaustive" + " ANYWHERE" * anywhere
            for word, units in (("INCLUDE", include), ("EXCLUDE", exclude)):
                listed = ", ".join("{}->{}".format(*every.key[u]) for u in units)
                clauses += f" {word} {listed}" if units else ""
            expected = every.admitted(anywhere, include, exclude)
            try:
                found = explain(con, target, clauses)
            except InvalidValue as error:
                assert not expected and "INCLUDE" in str(error)
                continue
            assert found.candidates == len(expected)
            assert found.explanatory == sum(any(every.flags[bits].values()) for bits in expected)
            assert found.complete
            for e in found:
                edges = set(e.edges)
                assert all(every.key[u] in edges for u in include)
                assert not any(every.key[u] in edges for u in exclude)
    assert con.execute(f"AUDIT QUERY {found.query_id}").findings == 0


@pytest.mark.slow
def test_a_minimal_member_loses_a_flag_with_each_unit(case):
    con, fields = case
    seen = set()
    con.execute("SET sxq_report = 'minimal'")
    for anywhere, least in ((False, 1), (True, 1), (False, 3)):
        for target, every in fields.items():
            able = set(every.admitted(anywhere))
            clauses = f"BY exhaustive WHERE size >= {least} {'ANYWHERE' if anywhere else ''}"
            found = explain(con, target, clauses)
            for e in found:
                edges = {tuple(sorted(edge)) for edge in e.edges}
                bits = tuple(key in edges for key in every.key)
                smaller = [
                    rest
                    for u in range(every.units)
                    if bits[u] and (rest := bits[:u] + (False,) + bits[u + 1 :]) in able
                ]
                kept = any(
                    all(every.flags[rest][flag] >= every.flags[bits][flag] for flag in FLAGS)
                    for rest in smaller
                )
                assert e.raw["minimal"] == (not kept)
                seen.add(kept)
    con.execute("RESET sxq_report")
    assert seen == {True, False}


def test_edges_come_from_a_relation_or_from_values(case):
    con, fields = case
    target, every = next(iter(fields.items()))
    (a, b), (c, d) = every.key[0], every.key[1]
    listed = explain(con, target, f"INCLUDE {a}->{b} EXCLUDE {c}->{d}")
    con.execute(f"CREATE OR REPLACE TABLE known AS SELECT {a} AS src, {b} AS dst")
    asked = explain(con, target, f"INCLUDE (SELECT src, dst FROM known) EXCLUDE {d}->{c}")
    query = "EXPLAIN NODE ? USING MODEL m OPTIMIZE fdl+, fdl-, conc INCLUDE ?->? EXCLUDE ?"
    bound = con.execute(query, [target, a, b, [(c, d)]])
    built = con.explain(node=target).using("m").optimize("fdl+", "fdl-", "conc")
    built = built.include((a, b)).exclude(query=f"SELECT {c}, {d}").run()
    assert listed.rows == asked.rows == bound.rows == built.rows and len(listed)
    stored = con.sql(
        f"SELECT clause, src, dst FROM query_edges WHERE query_id = {listed.query_id}"
    ).fetchall()
    assert stored == [("include", a, b), ("exclude", c, d)]


@pytest.mark.parametrize(
    "clauses,error,words",
    [
        ("INCLUDE (SELECT 1)", DataError, "INCLUDE returned 1 column ("),
        ("EXCLUDE (SELECT 1, NULL)", DataError, "EXCLUDE returned NULL in row 1"),
        ("INCLUDE (SELECT 1, 2 WHERE false)", DataError, "INCLUDE returned no rows"),
        ("INCLUDE 0->1000", NodeNotFound, "1000"),
        ("EXCLUDE 19->0", InvalidValue, "EXCLUDE 19->0, but the graph has no such edge"),
        ("ANYWHERE BY onion", InvalidValue, "ANYWHERE with BY onion"),
        ("SMALLEST factual DIVERSIFY", InvalidValue, "SMALLEST factual with DIVERSIFY"),
        ("SMALLEST factual JOINTLY", InvalidValue, "SMALLEST factual with JOINTLY"),
        ("SMALLEST factual TOP 2", InvalidValue, "SMALLEST factual with TOP 2"),
        ("SMALLEST factual WHERE NOT factual", InvalidValue, "with WHERE NOT factual"),
    ],
)
def test_contradictions_are_errors(case, clauses, error, words):
    with pytest.raises(error, match=re.escape(words)):
        explain(case[0], 1, clauses)


def test_an_edge_outside_of_the_field_is_an_error_of_that_target_only(case):
    con, fields = case
    target, every = next(iter(fields.items()))
    edge = "{}->{}".format(*every.key[0])
    graph = random_graph(np.random.default_rng(3), nodes=20, edges=10)
    others = [v for v in range(20) if extract(graph, v, 2, 1).num_units == 0]
    with pytest.raises(InvalidValue, match=f"INCLUDE {edge}, but it is outside of the 2-hop field"):
        explain(con, others[0], f"INCLUDE {edge}")
    both = con.execute(
        f"EXPLAIN NODES {target}, {others[0]} USING MODEL m OPTIMIZE fdl+, conc INCLUDE {edge}"
    )
    assert [report.status for report in both.targets] == ["done", "failed"]
    assert "outside of the 2-hop field" in both.targets[1].note


@pytest.mark.slow
def test_audit_knows_the_clauses(case):
    con, fields = case
    target, every = next(iter(fields.items()))
    found = explain(con, target, "ANYWHERE SMALLEST factual EXCLUDE {}->{}".format(*every.key[0]))
    number = found.query_id
    assert con.execute(f"AUDIT QUERY {number}").findings == 0
    (u, v), *_ = found[0].edges
    con.execute(f"INSERT INTO sxq.query_edges VALUES ({number}, 'exclude', {u}, {v})")
    assert "EXCLUDE names it" in str(con.execute(f"AUDIT STRUCTURE QUERY {number}"))
    con.execute(f"UPDATE sxq.query_edges SET clause = 'include' WHERE query_id = {number}")
    assert "INCLUDE names it" in str(con.execute(f"AUDIT STRUCTURE QUERY {number}"))
    con.execute(f"DELETE FROM sxq.query_edges WHERE query_id = {number}")
    con.execute(f"UPDATE sxq.targets SET proved = NOT proved WHERE query_id = {number}")
    assert "proved is False" in str(con.execute(f"AUDIT STRUCTURE QUERY {number}"))


@pytest.mark.slow
def test_audit_asks_for_connected_members_unless_anywhere(case):
    con, fields = case
    target, every, apart = next(
        (target, every, apart)
        for target, every in fields.items()
        if (apart := [bits for bits in every.admitted(True) if bits not in every.connected])
    )
    clauses = ", ".join("{}->{}".format(*every.key[u]) for u in np.flatnonzero(apart[0]))
    found = explain(con, target, f"ANYWHERE INCLUDE {clauses} BY exhaustive")
    assert len(found) and con.execute(f"AUDIT QUERY {found.query_id}").findings == 0
    con.execute(
        "UPDATE sxq.queries SET settings = json_merge_patch(settings, '{\"anywhere\": false}') "
        f"WHERE query_id = {found.query_id}"
    )
    wrong = str(con.execute(f"AUDIT STRUCTURE QUERY {found.query_id}"))
    loose = [
        e
        for e in found
        if tuple(key in {tuple(sorted(x)) for x in e.edges} for key in every.key)
        not in every.connected
    ]
    assert ("not connected" in wrong) is bool(loose)


@pytest.mark.slow
def test_graphs_have_restrictions_of_their_own():
    torch.manual_seed(0)
    with sxq.connect() as con:
        con.register_graphs("some", some_graphs())
        con.register_model("m", Pools("gcn"), graphs="some")
        explained = "EXPLAIN GRAPHS 0, 1, 2 USING MODEL m OPTIMIZE fdl+, fdl-, conc"
        plain = con.execute(f"{explained} BUDGET 200 CANDIDATES")
        u, v = plain[0].edges[0]
        held = con.execute(f"{explained} INCLUDE {u}->{v} BUDGET 200 CANDIDATES")
        has = [report for report in held.targets if report.status == "done"]
        assert has and all((u, v) in e.edges for report in has for e in report.explanations)
        lacks = con.execute(f"{explained} EXCLUDE {u}->{v} BUDGET 200 CANDIDATES BY search, onion")
        assert len(lacks) and not any((u, v) in e.edges for e in lacks)
        least = con.execute(f"{explained} SMALLEST counterfactual ANYWHERE")
        joined = con.execute(f"{explained} SMALLEST counterfactual")
        for loose, tight in zip(least.targets, joined.targets):
            if loose.proved and tight.proved:
                assert loose.explanations[0].size <= tight.explanations[0].size
        assert con.execute("AUDIT").findings == 0
