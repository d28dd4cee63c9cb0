"""TRAIN with TASK = link: messages never run along what is scored, AUC, seeds; and the models it makes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sxq
from sxq.errors import DataError
from sxq.graph import Graph
from sxq.models.architectures import build, spec_from_options
from sxq.models.hetero_data import typed_graph
from sxq.models.link_training import LinkTraining, auc, links_of, train_links, without_edge
from sxq.planning.options import OPTIONS, read_options
from tests.graphs import random_graph
from tests.typed_models import bank

OPTIONS_OF_LINKS = (("task", "link"), ("layers", 2), ("hidden", 8), ("epochs", 15))


def communities(nodes=60, seed=0):
    """Two groups whose members are linked; features tell the group."""
    rng = np.random.default_rng(seed)
    group = np.arange(nodes) % 2
    pairs = rng.integers(0, nodes, (2, nodes * 8))
    pairs = pairs[:, (pairs[0] != pairs[1]) & (group[pairs[0]] == group[pairs[1]])]
    pairs = np.unique(np.concatenate([pairs, pairs[::-1]], axis=1), axis=1)
    x = np.eye(2)[group] + 0.3 * rng.normal(size=(nodes, 2))
    return Graph(pairs, x)


def run(graph, *options):
    values = read_options((*OPTIONS_OF_LINKS, *options), OPTIONS)
    spec = spec_from_options(
        [o for o in (*OPTIONS_OF_LINKS, *options) if o[0] not in ("epochs", "split", "seed")], graph
    )
    return LinkTraining(build(spec), graph, values)


def edges_between(graph, pairs):
    """[E] bool: edges that join a pair, in either direction."""
    asked = {frozenset(pair) for pair in pairs.T.tolist()}
    return np.array([frozenset(edge) in asked for edge in graph.edge_index.T.tolist()])


@pytest.mark.parametrize("undirected", [True, False])
def test_messages_never_run_along_what_is_scored(undirected):
    graph = random_graph(np.random.default_rng(3), undirected=undirected, edges=80)
    training = run(graph, ("split", [0.5, 0.25, 0.25]))
    loops = graph.edge_index[0] == graph.edge_index[1]
    scored = [training._drawn(), training._drawn(), training.held["val"], training.held["test"]]
    for one in scored:
        links = one.pairs[:, one.truth]
        others = one.pairs[:, ~one.truth]
        assert links.shape == others.shape and links.shape[1] > 0
        assert one.messages[loops].all() and one.messages.any() and not one.messages.all()
        codes = {tuple(edge) for edge in graph.edge_index.T.tolist()}
        assert all(tuple(pair) in codes for pair in links.T.tolist())
        if undirected:
            assert not (edges_between(graph, links) & one.messages).any()
            assert not edges_between(graph, others).any()
        else:
            own = {tuple(pair) for pair in links.T.tolist()}
            along = {tuple(e) for e in graph.edge_index[:, one.messages].T.tolist()}
            assert not own & along
            assert not {tuple(pair) for pair in others.T.tolist()} & codes
    test = edges_between(graph, training.held["test"].pairs[:, training.held["test"].truth])
    assert undirected is False or not (test & training.held["val"].messages).any()


def test_of_an_edge_type_the_mirror_is_held_out_with_it():
    graph = typed_graph(bank(3))
    kinds = graph.types.edge_types
    training = run(graph, ("edge_type", "pays"))
    for one in (training._drawn(), training.held["val"], training.held["test"]):
        links = one.pairs[:, one.truth]
        assert not (edges_between(graph, links) & one.messages).any()
        others = np.array([kinds[number][1] for number in graph.types.of_edge])
        assert one.messages[np.isin(others, ["knows", "used_by", "rev_used_by"])].all()
        account, merchant = (graph.types.number_of(name) for name in ("account", "merchant"))
        assert (graph.types.of_node[one.pairs[0]] == account).all()
        assert (graph.types.of_node[one.pairs[1]] == merchant).all()


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2))
def test_auc_is_the_share_of_pairs_in_order(rows):
    scores = np.array([score for score, _ in rows], float)
    truth = np.array([true for _, true in rows])
    if truth.all() or not truth.any():
        return
    pairs = [(a > b) + (a == b) / 2 for a in scores[truth] for b in scores[~truth]]
    assert abs(auc(scores, truth) - np.mean(pairs)) < 1e-12


@pytest.mark.parametrize("decoder", ["dot", "mlp", "distance"])
def test_it_learns_what_can_be_learned(decoder):
    options = (*OPTIONS_OF_LINKS[:3], ("epochs", 40), ("decoder", decoder), ("lr", 0.05))
    found = train_links(communities(), options)
    assert set(found.accuracy) == {"train", "val", "test"}
    assert found.metric == "AUC"
    assert found.accuracy["test"] > 0.65, found.accuracy


def test_a_seed_gives_the_same_model():
    graph = communities()
    first, again, other = (
        train_links(graph, (*OPTIONS_OF_LINKS, ("seed", seed))) for seed in (1, 1, 2)
    )
    assert first.accuracy == again.accuracy != other.accuracy
    states = [list(found.module.state_dict().values()) for found in (first, again)]
    assert all((a == b).all() for a, b in zip(*states))


def test_too_few_links_or_too_many():
    with pytest.raises(DataError, match="learns from two or more"):
        links_of(Graph(np.array([[0, 1], [1, 0]]), np.ones((3, 1))))
    full = np.array([(u, v) for u in range(5) for v in range(5) if u != v]).T
    links = links_of(Graph(full, np.ones((5, 1))))
    with pytest.raises(DataError, match="almost every pair of nodes is linked"):
        without_edge(links, 3, 5, np.random.default_rng(0))


def shop(con):
    con.register_graph("bank", bank(3))
    con.register_graph("plain", random_graph_data())


def random_graph_data():
    import torch
    from torch_geometric.data import Data

    graph = random_graph(np.random.default_rng(4), weighted=True)
    return Data(
        x=torch.tensor(graph.x),
        edge_index=torch.tensor(graph.edge_index),
        edge_weight=torch.tensor(graph.edge_weight),
    )


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "graph, architecture", [("plain", "gcn"), ("plain", "gat"), ("bank", "sage"), ("bank", "rgcn")]
)
def test_a_trained_model_is_stored_whole(graph, architecture, tmp_path):
    of_type = ", EDGE_TYPE = pays" if graph == "bank" else ""
    options = (
        f"TASK = link, ARCHITECTURE = {architecture}, LAYERS = 2, HIDDEN = 8, EPOCHS = 5{of_type}"
    )
    asked = "EXPLAIN LINK 0 TO 1 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 3 BUDGET 40 CANDIDATES"
    with sxq.connect(tmp_path / "a.db") as con:
        shop(con)
        answer = con.execute(f"TRAIN MODEL m ON GRAPH {graph} ({options})")
        facts = dict(zip(answer.columns, answer.rows[0]))
        assert 0 <= facts["test_auc"] <= 1 and facts["hops"] == 2
        first = con.execute(asked)
        before = con.execute("PREDICT LINKS 0 TO 1, 2 TO 3 USING MODEL m").rows
    with sxq.connect(tmp_path / "a.db") as con:
        described = dict(con.execute("DESCRIBE MODEL m").fetchall())
        assert float(described["test AUC"]) == round(facts["test_auc"], 4)
        assert "carry no messages while they are scored" in described["trained on"]
        again = con.execute(asked)
        assert [e.edges for e in again] == [e.edges for e in first]
        assert con.execute("PREDICT LINKS 0 TO 1, 2 TO 3 USING MODEL m").rows == before
        assert dict(con.execute("DESCRIBE MODEL m").fetchall())["backend"] == "layered"
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options, message",
    [
        ("TASK = link, CLASSES = 3", "one score for each pair"),
        ("TASK = link, CLASS_WEIGHTS = balanced", "as many links as pairs without an edge"),
        ("TASK = link, BATCH = 3", "BATCH is for collections"),
        ("TASK = link, SPLIT = graph", "SPLIT = graph is of nodes"),
        ("TASK = link, SPLIT = [1, 0, 0], PATIENCE = 3", "needs validation links"),
        ("TASK = link, SPLIT = [0, 0.5, 0.5]", "sum to 1"),
        ("TASK = link, DECODER = dots", "did you mean 'dot'"),
        ("TASK = link, EDGE_TYPE = pays", "the edges have no types"),
        ("TASK = link, POOLING = mean", "models of graphs"),
        ("DECODER = dot", "say TASK = link"),
        ("EDGE_TYPE = pays", "say TASK = link"),
        ("TASK = regression", "only multiclass models and models of links"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with sxq.connect() as con:
        shop(con)
        with pytest.raises(sxq.Error, match=message):
            con.execute(f"TRAIN MODEL m ON GRAPH plain ({options})")


def test_the_type_of_links_must_be_clear():
    with sxq.connect() as con:
        shop(con)
        for option, message in (
            (
                "",
                "say which links are scored, .*: account -pays-> merchant, .*account -knows-> account",
            ),
            (", EDGE_TYPE = buys", "stands for no edge type"),
        ):
            with pytest.raises(sxq.InvalidValue, match=message):
                con.execute(f"TRAIN MODEL m ON GRAPH bank (TASK = link{option})")


@pytest.mark.slow
def test_links_are_predicted_as_a_relation():
    with sxq.connect() as con:
        shop(con)
        con.execute("TRAIN MODEL m ON GRAPH plain (TASK = link, LAYERS = 2, EPOCHS = 3)")
        con.execute(
            "TRAIN MODEL t ON GRAPH bank (TASK = link, EDGE_TYPE = pays, LAYERS = 2, EPOCHS = 3)"
        )
        con.execute(
            "CREATE TABLE offers AS SELECT a, b FROM (VALUES (5, 9), (0, 1), (5, 9)) t(a, b)"
        )
        found = con.execute("PREDICT LINKS (SELECT a, b FROM offers) USING MODEL m INTO ranked")
        assert found.columns == ["src", "dst", "prediction", "probability", "class_0", "class_1"]
        assert [row[:2] for row in found.rows] == [(5, 9), (0, 1)]
        for row in found.rows:
            report = con.execute(
                f"EXPLAIN LINK {row[0]} TO {row[1]} USING MODEL m OPTIMIZE conc BUDGET 5 CANDIDATES"
            ).targets[0]
            assert row[2] == report.prediction and abs(row[3] - report.probability) < 1e-5
        joined = "SELECT count(*) FROM ranked JOIN offers ON src = a AND dst = b"
        assert con.sql(joined).fetchone() == (3,)
        typed = con.execute("PREDICT LINKS ? OF TYPE pays USING MODEL t", [[(0, 1), (3, 2)]])
        assert typed.columns[:4] == ["src", "dst", "edge_type", "prediction"]
        assert typed.rows[1][:3] == (3, 2, "account -pays-> merchant")
        for wrong, message in (
            ("PREDICT USING MODEL m", "PREDICT LINKS .SELECT u, v"),
            ("PREDICT NODES 1 USING MODEL m", "scores links of 'plain': say PREDICT LINKS"),
            ("PREDICT LINK 1 TO 99 USING MODEL m", "no node 99"),
            ("PREDICT LINK 1 TO 1 USING MODEL m", "two different ends"),
            (
                "PREDICT LINKS (SELECT 1) USING MODEL m",
                "the keys of both ends of the links to predict",
            ),
            (
                "PREDICT LINK 1 TO 2 OF TYPE knows USING MODEL t",
                "scores links of type account -pays->",
            ),
            ("PREDICT LINK 1 TO 2 OF TYPE pays USING MODEL m", "have no types"),
        ):
            with pytest.raises(sxq.Error, match=message):
                con.execute(wrong)
