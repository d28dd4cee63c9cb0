"""EXPLAIN LINK: stored values equal plain forwards on the really cut graph; what is refused, and how."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GAE, GCNConv

import sxq
from sxq.graph import between
from tests.graphs import make, random_graph
from tests.link_models import DotGCN, SageMLP, plain_p, plain_score

ASK = "USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 150 CANDIDATES"
MODELS = {"gcn": DotGCN, "sage": SageMLP, "classes": lambda: SageMLP(columns=3)}


def data_of(graph):
    return Data(x=torch.tensor(graph.x), edge_index=torch.tensor(graph.edge_index))


def connected(module, graph, **options):
    con = sxq.connect()
    con.register_graph("g", data_of(graph))
    con.register_model("m", module, **options)
    return con


def sound(con):
    """Whether AUDIT finds all answers exact."""
    verdicts = [row[-1] for row in con.execute("AUDIT").fetchall()]
    return all(verdict == "ok" for verdict in verdicts) or pytest.fail(str(verdicts))


def an_edge(graph):
    return next(edge for edge in graph.edge_index.T.tolist() if edge[0] != edge[1])


def inside(graph, e):
    mask = np.zeros(graph.num_edges, bool)
    mask[e.edge_numbers] = True
    return mask


@pytest.mark.slow
@pytest.mark.sweep(4)
@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("clause", ["", "WITHOUT ITSELF"])
def test_stored_values_are_those_of_plain_forwards(kind, undirected, clause):
    graph = random_graph(np.random.default_rng(4), undirected=undirected)
    module = MODELS[kind]()
    pairs = [tuple(an_edge(graph)), (5, 9), (9, 5)]
    loops = graph.edge_index[0] == graph.edge_index[1]
    with connected(module, graph) as con:
        listed = ", ".join(f"{u} TO {v}" for u, v in pairs)
        result = con.execute(f"EXPLAIN LINKS {listed} {ASK} {clause}")
        assert [report.target for report in result.targets] == pairs
        for report in result.targets:
            there = np.ones(graph.num_edges, bool)
            if clause:
                there[between(graph, *report.target)] = False
            full = plain_p(module, graph, report.target, there)
            c = int(full.argmax())
            assert report.prediction == c
            assert abs(report.probability - full[c]) < 1e-5
            assert abs(report.p_empty - plain_p(module, graph, report.target, loops)[c]) < 1e-5
            assert report.explanations or report.status == "empty"
            for e in report.explanations:
                own = inside(graph, e)
                assert not (own & ~there).any()
                kept = plain_p(module, graph, report.target, own | loops)
                left = plain_p(module, graph, report.target, there & ~own)
                assert abs(e.raw["fdl+"] - (full[c] - left[c])) < 1e-5
                assert abs(e.raw["fdl-"] - (full[c] - kept[c])) < 1e-5
                assert set(report.target) <= set(e.nodes.tolist())
        assert sound(con)


@pytest.mark.slow
def test_every_candidate_of_a_small_field_is_found():
    graph = random_graph(np.random.default_rng(6), nodes=16, edges=8)
    module = DotGCN()
    with connected(module, graph) as con:
        for pair in ((1, 6), (3, 8), (2, 11), (4, 7)):
            asked = con.explain(link=pair).using("m").optimize("fdl+", "fdl-", "conc")
            report = asked.by("exhaustive").budget(10**5).run().targets[0]
            if not 3 <= report.field_size <= 10:
                continue
            field = extract_units(graph, pair)
            assert len(field) == report.field_size
            number = sum(
                is_candidate([unit for unit, chosen in zip(field, bits) if chosen], pair)
                for bits in product([False, True], repeat=len(field))
            )
            assert report.candidates == number
            return
    pytest.fail("no field of the right size")


def extract_units(graph, pair):
    """The pairs within two hops of one of two nodes, by definition."""
    edges = {frozenset(edge) for edge in graph.edge_index.T.tolist() if edge[0] != edge[1]}
    near = set(pair) | {node for edge in edges if edge & set(pair) for node in edge}
    return [edge for edge in edges if edge & near]


def is_candidate(edges, pair):
    reached = set(pair)
    for _ in edges:
        reached |= {node for edge in edges if edge & reached for node in edge}
    return bool(edges) and all(edge <= reached for edge in edges)


@pytest.mark.slow
@pytest.mark.parametrize("over", ["nodes", "features"])
@pytest.mark.parametrize("clause", ["", "WITHOUT ITSELF"])
def test_other_units_are_measured_again(over, clause):
    graph = random_graph(np.random.default_rng(8))
    u, v = an_edge(graph)
    with connected(SageMLP(), graph) as con:
        result = con.execute(f"EXPLAIN LINK {u} TO {v} {ASK} OVER {over} {clause}")
        assert len(result) and sound(con)


@pytest.mark.slow
@pytest.mark.parametrize("undirected", [True, False])
def test_connected_members_hold_a_path(undirected):
    graph = random_graph(np.random.default_rng(9), undirected=undirected)
    with connected(DotGCN(), graph) as con:
        seen = 0
        for pair in ((0, 4), (2, 9), (1, 7)):
            for e in (
                con.explain(link=pair)
                .using("m")
                .optimize("fdl+", "conc")
                .where("connected")
                .budget(300)
                .run()
            ):
                edges = [frozenset(edge) for edge in e.edge_index.T.tolist()]
                assert is_candidate(edges, pair[:1]) and pair[1] in e.nodes
                seen += 1
        assert seen
        assert sound(con)


@pytest.mark.slow
def test_restrictions_hold_for_links():
    graph = random_graph(np.random.default_rng(10))
    u, v = an_edge(graph)
    with connected(DotGCN(), graph) as con:
        field = (
            con.explain(link=(u, v)).using("m").optimize("fdl+", "conc").by("growing").budget(200)
        )
        edges = [edge for e in field.run() for edge in e.edges if set(edge) != {u, v}]
        held = next(edge for edge in edges if not set(edge) & {u, v})
        for query in (field.include(held), field.exclude(held), field.anywhere().include(held)):
            result = query.run()
            assert len(result)
            for e in result:
                assert (held in e.edges) == ("INCLUDE" in str(query))
        nodes = (
            con.explain(link=(u, v)).using("m").optimize("fdl+", "conc").over("nodes").budget(200)
        )
        for e in nodes.include(held[0], units="nodes").run():
            assert held[0] in e.units
        with pytest.raises(sxq.InvalidValue, match="it is the target"):
            nodes.exclude(v, units="nodes").run()
        assert sound(con)


@pytest.mark.slow
@pytest.mark.parametrize("generator", ["onion", "gnnexplainer", "sa", "cf2", "moexp", "random"])
def test_generators_know_links(generator):
    graph = random_graph(np.random.default_rng(11))
    with connected(DotGCN(), graph) as con:
        query = con.explain(link=(0, 5)).using("m").optimize("fdl+", "conc").budget(100)
        options = {"epochs": 5} if generator in ("gnnexplainer", "cf2") else {}
        result = query.by(generator, **options).run()
        assert any(e.generator == generator for e in result), result
        assert sound(con)


@pytest.mark.slow
def test_a_score_that_is_a_number():
    graph = random_graph(np.random.default_rng(12))
    module = SageMLP()
    with connected(module, graph, task="regression") as con:
        report = con.execute(f"EXPLAIN LINK 0 TO 5 {ASK}").targets[0]
        assert abs(report.probability - plain_score(module, graph, (0, 5)).item()) < 1e-5
        assert sound(con)


@pytest.mark.slow
def test_targets_are_structs_that_join():
    graph = random_graph(np.random.default_rng(4))
    with connected(DotGCN(), graph) as con:
        con.execute("CREATE TABLE wanted AS SELECT * FROM (VALUES (5, 9), (1, 2)) t(a, b)")
        result = con.execute(f"EXPLAIN LINKS (SELECT a, b FROM wanted) {ASK} INTO answers")
        stored = con.sql("SELECT count(*) FROM answers a JOIN wanted ON a.target.u = wanted.a")
        assert stored.fetchone() == (len(result),)
        joined = con.sql(
            "SELECT a, b FROM targets JOIN wanted ON target.u = a AND target.v = b ORDER BY a"
        )
        assert joined.fetchall() == [(1, 2), (5, 9)]
        number = con.sql("SELECT count(*) FROM explanations JOIN targets USING (query_id, target)")
        assert number.fetchone() == (len(result),)
        assert con.execute("EXPLAIN LINKS ? " + ASK, [[(5, 9)]]).targets[0].target == (5, 9)
        assert con.explain(query="FROM wanted", kind="link").using("m").optimize("conc").run()


@pytest.mark.slow
def test_a_query_of_links_is_resumed(tmp_path):
    graph = random_graph(np.random.default_rng(4))
    asked = f"EXPLAIN LINKS 5 TO 9, 1 TO 2 {ASK} WITHOUT ITSELF"
    with sxq.connect(tmp_path / "a.db") as con:
        con.register_graph("g", data_of(graph))
        con.register_model("m", DotGCN())
        whole = con.execute(asked)
        con.execute(asked)
        con.session.store.resume_query(2, (1,))  # as if it had been killed before its second target
        con.session.store.finish_query(2, 1.0, False)
    with sxq.connect(tmp_path / "a.db") as con:
        con.register_model("m", DotGCN(), "g")
        resumed = con.execute("RESUME QUERY 2")
        assert [e.edges for e in resumed] == [e.edges for e in whole if e.target == (1, 2)]


def test_pictures_ring_both_ends():
    graph = random_graph(np.random.default_rng(4))
    with connected(DotGCN(), graph) as con:
        result = con.execute(f"EXPLAIN LINK 0 TO 5 {ASK} WHERE NOT connected")
        e = result.explanations[0]
        drawn = e.draw().splitlines()
        assert [line for line in drawn if line in ("0", "5")] == ["0", "5"]
        marked = {key for key, facts in e.to_networkx().nodes(data=True) if facts["target"]}
        assert marked == {0, 5}
        assert e._repr_html_().count("<svg") == 1
        assert e.to_data().nodes[e.to_data().target].tolist() == [0, 5]
        assert "1 link: " in str(result)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = GCNConv(5, 4)

    def forward(self, x, edge_index):
        return self.layer(x, edge_index)


@pytest.mark.slow
def test_an_autoencoder_of_pyg_is_a_model_of_links():
    graph = random_graph(np.random.default_rng(4))
    with connected(GAE(Encoder()), graph, output="probs") as con:
        assert len(con.execute(f"EXPLAIN LINK 0 TO 5 {ASK}"))
        facts = str(con.execute("DESCRIBE MODEL m"))
        assert "links" in facts
        assert sound(con)
    with (
        connected(make("gcn", seed=0, layers=2), graph) as con,
        pytest.raises(sxq.InvalidValue, match="classifies the nodes of 'g': say EXPLAIN NODE"),
    ):
        con.execute(f"EXPLAIN LINK 0 TO 5 {ASK}")


class Together(SageMLP):
    """Scores that depend on the other pairs."""

    def forward(self, x, edge_index, edge_label_index):
        return super().forward(x, edge_index, edge_label_index) / edge_label_index.shape[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong, message",
    [
        ("EXPLAIN LINK 0 TO 99 {}", "no node 99"),
        ("EXPLAIN LINK 3 TO 3 {}", "a link has two different ends"),
        ("EXPLAIN NODE 0 {}", "scores links of 'g': say EXPLAIN LINK u TO v"),
        ("EXPLAIN LINKS 0 TO 5, 1 TO 2 {} JOINTLY", "JOINTLY is not supported"),
        ("EXPLAIN CLASS 1 {}", "EXPLAIN CLASS, but model 'm' scores links"),
        ("EXPLAIN LINK 0 TO 5 {} WHERE connected OVER FEATURES", "features are on no path"),
        ("EXPLAIN LINKS (SELECT 1) {}", "expected two, the keys of both ends"),
        ("EXPLAIN LINKS (SELECT 1, NULL) {}", "returned NULL in row 1"),
        ("PREDICT USING MODEL m", "scores links: say which"),
    ],
)
def test_what_is_wrong_is_said(wrong, message):
    graph = random_graph(np.random.default_rng(4))
    with connected(SageMLP(), graph) as con, pytest.raises(sxq.Error, match=message):
        con.execute(wrong.format(ASK))


def test_a_node_has_no_clauses_of_links():
    graph = random_graph(np.random.default_rng(4))
    with connected(make("gcn", seed=0, layers=2), graph) as con:
        for clause in ("WITHOUT ITSELF", "WHERE connected"):
            with pytest.raises(sxq.InvalidValue, match="leave it out"):
                con.execute(f"EXPLAIN NODE 0 {ASK} {clause}")


def test_registration_says_why_a_model_is_none_of_links():
    graph = random_graph(np.random.default_rng(4))
    with pytest.raises(sxq.ModelError, match="takes no pairs of nodes"):
        connected(make("gcn", seed=0, layers=2), graph, kind="link")
    with pytest.raises(sxq.ModelError, match="a pair must be scored without the others"):
        connected(Together(), graph)
    with pytest.raises(sxq.ModelError, match="kind = 'edge'"):
        connected(SageMLP(), graph, kind="edge")
