"""EXPLAIN LINK in heterogeneous graphs: exact on really cut graphs, fields by brute force, what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sxq
from tests.typed_link_models import KNOWS, PAYS, WAYS, EveryType, Scores, TwoSteps, plainly
from tests.typed_models import bank, cut

ASK = "USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 3 BUDGET 60 CANDIDATES"


def connected(module, data, path=None, **options):
    con = sxq.connect(path)
    con.register_graph("g", data)
    con.register_model("m", module, "g", output="logits", **options)
    return con


def graph_of(con):
    return con.session.registry.graphs["g"]


def sound(con):
    verdicts = [row[-1] for row in con.execute("AUDIT").fetchall()]
    return all(verdict == "ok" for verdict in verdicts) or pytest.fail(str(verdicts))


def probability(module, data, graph, pair, keep):
    return torch.tensor(plainly(module, cut(data, graph, keep), pair)).sigmoid().item()


def own_edges(graph, kind, pair):
    """The edges [E] bool of a type and of its mirror between the ends of a link."""
    source, relation, head = kind
    starts = graph.types.starts
    u = starts[graph.types.number_of(source)] + pair[0]
    v = starts[graph.types.number_of(head)] + pair[1]
    names = [graph.types.edge_types[number] for number in graph.types.of_edge]
    mirrors = {kind, (head, f"rev_{relation}", source)}
    ends = [set(edge) == {u, v} for edge in graph.edge_index.T.tolist()]
    return np.array([name in mirrors for name in names]) & np.array(ends)


def equal_to_plain(con, module, data, result, kind=PAYS, itself=True):
    """Whether all stored values are those of plain forwards on really cut graphs."""
    graph = graph_of(con)
    for report in result.targets:
        pair = tuple(end.key for end in report.target)
        there = ~own_edges(graph, kind, pair) | itself
        full = probability(module, data, graph, pair, there)
        sign = 1 if full > 0.5 else -1
        assert abs(report.probability - max(full, 1 - full)) < 1e-5
        for e in report.explanations:
            own = np.zeros(graph.num_edges, bool)
            own[e.edge_numbers] = True
            assert not (own & ~there).any()
            assert (
                abs(
                    e.raw["fdl+"]
                    - sign * (full - probability(module, data, graph, pair, there & ~own))
                )
                < 1e-5
            )
            assert (
                abs(e.raw["fdl-"] - sign * (full - probability(module, data, graph, pair, own)))
                < 1e-5
            )
    return sum(len(report.explanations) for report in result.targets)


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_to_take_pairs_by_type(way):
    data = bank(3)
    module = way(data)
    with connected(module, data, edge_type="pays") as con:
        paid = tuple(data[PAYS].edge_index[:, 0].tolist())
        for clause in ("", "WITHOUT ITSELF"):
            links = f"{paid[0]} TO {paid[1]}, 2 TO 3"
            result = con.execute(f"EXPLAIN LINKS {links} OF TYPE pays {ASK} {clause}")
            assert equal_to_plain(con, module, data, result, itself=not clause)
        assert sound(con)
        reason = dict(con.execute("DESCRIBE MODEL m").fetchall())
        assert reason["targets"] == "links account -pays-> merchant"
        assert reason["backend"] == ("disjoint" if way.__name__ == "OfData" else "layered")


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("conv", ["gat", "hgt"])
def test_layers_by_type(conv):
    data = bank(5)
    module = Scores(data, conv)
    with connected(module, data, edge_type=PAYS) as con:
        result = con.execute(f"EXPLAIN LINKS 0 TO 1, 3 TO 2 {ASK}")
        assert equal_to_plain(con, module, data, result)
        assert sound(con)


@pytest.mark.slow
def test_to_data_of_a_link_numbers_both_ends_within_their_types():
    data = bank(3)
    with connected(TwoSteps(data), data, edge_type="pays") as con:
        result = con.execute(f"EXPLAIN LINK 2 TO 3 OF TYPE pays {ASK}")
        part = result[0].to_data()
        assert part.target_type == PAYS
        u, v = part.target
        assert (part["account"].nodes[u], part["merchant"].nodes[v]) == (2, 3)


def test_a_key_of_another_type_is_told():
    data = bank(3)
    with connected(TwoSteps(data), data, edge_type="pays") as con:
        last = data["account"].num_nodes - 1
        with pytest.raises(
            sxq.NodeNotFound,
            match=f"no node {last} of type merchant: .*; it is a key of type account",
        ):
            con.execute(f"EXPLAIN LINK {last} TO {last} OF TYPE pays {ASK}")


@pytest.mark.slow
def test_links_between_nodes_of_one_type():
    data = bank(7)
    module = TwoSteps(data, kind=KNOWS)
    known = tuple(data[KNOWS].edge_index[:, 0].tolist())
    with connected(module, data, edge_type="knows") as con:
        for clause in ("", "WITHOUT ITSELF"):
            asked = con.execute(f"EXPLAIN LINK {known[0]} TO {known[1]} {ASK} {clause}")
            assert equal_to_plain(con, module, data, asked, KNOWS, not clause)
        assert sound(con)


def test_the_field_is_every_edge_that_moves_the_score():
    data = bank(11)
    module = TwoSteps(data)
    with connected(module, data, edge_type="pays") as con:
        graph = graph_of(con)
        for pair in [(0, 0), (5, 2)]:
            asked = con.explain(link=pair, edge_type="pays").using("m").optimize("conc")
            size = asked.directed().budget(10).run().targets[0].field_size
            everything = np.ones(graph.num_edges, bool)
            full = plainly(module, data, pair)
            moving = 0
            for edge in range(graph.num_edges):
                keep = everything.copy()
                keep[edge] = False
                moving += abs(plainly(module, cut(data, graph, keep), pair) - full) > 1e-9
            assert size == moving


@pytest.mark.slow
def test_without_itself_leaves_edges_of_other_types_between_the_ends():
    data = bank(3)
    paid = data[PAYS].edge_index[:, :1]
    data["account", "likes", "merchant"].edge_index = paid
    data["merchant", "rev_likes", "account"].edge_index = paid.flip(0)
    module = EveryType(data)
    with connected(module, data, edge_type="pays") as con:
        u, v = paid[:, 0].tolist()
        asked = f"EXPLAIN LINK {u} TO {v} {ASK} WITHOUT ITSELF"
        result = con.execute(asked)
        assert equal_to_plain(con, module, data, result, itself=False)
        assert con.execute(f"{asked} INCLUDE {u} OF TYPE account -> {v} OF TYPE merchant")
        assert len(con.execute(f"{asked} OVER NODES"))
        assert len(con.execute(f"{asked} OVER FEATURES"))
        assert sound(con)


def holds_path(e):
    """Whether edges of a member join the two ends of its link, in whatever direction."""
    reached = {e.target.u}
    for _ in e.edges:
        reached |= {end for edge in e.edges if set(edge) & reached for end in edge}
    return e.target.v in reached


@pytest.mark.slow
def test_a_path_is_asked_for_and_checked_again():
    data = bank(3, edges=30)
    with connected(Scores(data), data, edge_type="pays") as con:
        for word in ("", "NOT "):
            result = con.execute(
                f"EXPLAIN LINKS 0 TO 1, 3 TO 2, 6 TO 4 {ASK} WHERE {word}connected"
            )
            assert result.explanations
            assert {holds_path(e) for e in result} == {not word}
        assert sound(con)
        con.execute("EXPLAIN LINK 0 TO 1 " + ASK)
        con.sql(
            """UPDATE queries SET settings = (SELECT settings FROM queries WHERE query_id = 1)
            WHERE query_id = 2"""
        )
        wrong = {row[-1] for row in con.execute("AUDIT STRUCTURE QUERY 2").fetchall()}
        assert any(
            "no path between the two ends, but the query says WHERE connected" in w for w in wrong
        )


@pytest.mark.slow
def test_answers_are_kept_with_their_types(tmp_path):
    data = bank(3)
    path = tmp_path / "a.db"
    with connected(Scores(data), data, path, edge_type="pays") as con:
        asked = (
            f"EXPLAIN LINKS (SELECT * FROM (VALUES (0, 1), (3, 2))) OF TYPE pays {ASK} INTO kept"
        )
        whole = con.execute(asked)
        assert whole.columns[:2] == ["target", "node_type"]
        assert whole.rows[0][:2] == ((0, 1), "account -pays-> merchant")
        assert con.sql("SELECT DISTINCT node_type FROM kept").fetchall() == [
            ("account -pays-> merchant",)
        ]
        con.execute(f"EXPLAIN LINKS 0 TO 1, 3 TO 2 {ASK} WITHOUT ITSELF")
        con.session.store.resume_query(1, (1,))
        con.session.store.finish_query(1, 1.0, False)
    with sxq.connect(path) as con:
        with pytest.raises(sxq.ModelDetached):
            con.execute("AUDIT")
        con.register_model("m", Scores(data), "g", output="logits", edge_type="pays")
        resumed = con.execute("RESUME QUERY 1")
        assert [e.edges for e in resumed] == [e.edges for e in whole if e.target.u.key == 3]
        assert {row[-1] for row in con.execute("AUDIT QUERY 2").fetchall()} == {"ok"}
        assert con.sql(
            "SELECT DISTINCT target.u, target.v, node_type FROM targets ORDER BY 1"
        ).fetchall() == [(0, 1, "account -pays-> merchant"), (3, 2, "account -pays-> merchant")]
        views = con.sql("SELECT view_name FROM duckdb_views() WHERE schema_name = 'sxq'").fetchall()
        for (view,) in views:
            con.sql(f'SELECT * FROM sxq."{view}"').fetchall()


def test_members_are_drawn_and_exported(tmp_path):
    data = bank(3)
    with connected(Scores(data), data, edge_type="pays") as con:
        result = con.execute(f"EXPLAIN LINK 0 TO 1 {ASK}")
        e = result[0]
        assert str(e.target) == "0 to 1"
        assert "account 0" in e.draw() and "merchant 1" in e.draw()
        marked = {key for key, facts in e.to_networkx().nodes(data=True) if facts["target"]}
        assert marked == {("account", 0), ("merchant", 1)}
        assert e._repr_html_().count("<svg") == 1
        result.export(tmp_path / "answer.json")
        assert '"edge_type": "account -pays-> merchant"' in (tmp_path / "answer.json").read_text()
        again = con.explain(link=e.target).using("m").optimize("conc").budget(20).run()
        assert again.targets[0].target == e.target


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong, message",
    [
        ("EXPLAIN LINK 0 TO 99 {}", "no node 99 of type merchant"),
        ("EXPLAIN LINK 0 TO 1 OF TYPE knows {}", "scores links of type account -pays-> merchant"),
        ("EXPLAIN LINK 0 TO 1 OF TYPE pay {}", "pay"),
        ("EXPLAIN LINK 0 TO 1 OF TYPE merchant -pays-> account {}", "merchant -pays-> account"),
        ("EXPLAIN NODE 0 OF TYPE account {}", "say EXPLAIN LINK u TO v"),
        ("EXPLAIN LINKS 0 TO 1, 2 TO 1 {} JOINTLY", "JOINTLY is not supported"),
    ],
)
def test_what_is_wrong_is_said(wrong, message):
    data = bank(3)
    with (
        connected(Scores(data), data, edge_type="pays") as con,
        pytest.raises(sxq.Error, match=message),
    ):
        con.execute(wrong.format(ASK))


@pytest.mark.slow
def test_registration_asks_for_the_type_of_links():
    data = bank(3)
    for options, message in [
        ({}, "say which links the model scores by edge_type="),
        ({"edge_type": "buys"}, "none of the edge types account -pays-> merchant"),
        ({"edge_type": ("account", "pays", "shop")}, "no nodes are of type shop"),
        ({"edge_type": ("account", "pays")}, "expected .source type, relation, type of the head"),
        ({"edge_type": "pays", "kind": "node"}, "leave one of the two out"),
        ({"edge_type": "pays", "node_type": "account"}, "say edge_type= for the type of its links"),
    ]:
        with pytest.raises(sxq.ModelError, match=message):
            connected(Scores(data), data, **options)
    del data["account", "knows", "account"], data["device", "used_by", "account"]
    del data["account", "rev_used_by", "device"], data["device"]
    with connected(Scores(data), data) as con:  # pays is the only type but for its mirror
        assert con.execute(f"EXPLAIN LINK 0 TO 1 {ASK}").targets[0].status == "done"


@pytest.mark.slow
def test_a_type_without_edges_in_the_graph_can_be_scored():
    data = bank(3)
    module = TwoSteps(data, kind=("account", "buys_at", "merchant"))
    with connected(module, data, edge_type=("account", "buys_at", "merchant")) as con:
        result = con.execute(f"EXPLAIN LINK 0 TO 1 OF TYPE buys_at {ASK} WITHOUT ITSELF")
        assert equal_to_plain(con, module, data, result, ("account", "buys_at", "merchant"))
        assert sound(con)


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000), st.booleans())
def test_random_graphs(seed, both_ways):
    data = bank(seed, both_ways=both_ways, accounts=8, merchants=4, devices=2, edges=7)
    module = TwoSteps(data)
    with connected(module, data, edge_type="pays", layers=2) as con:
        rng = np.random.default_rng(seed)
        u, v = int(rng.integers(8)), int(rng.integers(4))
        result = con.execute(f"EXPLAIN LINK {u} TO {v} {ASK} WITHOUT ITSELF")
        equal_to_plain(con, module, data, result, itself=False)
        assert sound(con)
