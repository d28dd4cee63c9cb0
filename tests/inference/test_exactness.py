"""Every stored measure is what a plain full-graph forward gives when the edges are really removed."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import sxq
from sxq.errors import NodeNotFound
from sxq.graph.readers import read_npz
from tests.graphs import make, random_graph
from tests.oracles import measure

DATA = os.environ.get("SXQ_DATA")
QUERY = "EXPLAIN NODES ? USING MODEL m OPTIMIZE fdl+, fdl-, conc{extra} BUDGET 150 CANDIDATES TOP 8"


def check(con, module, graph, result):
    """Compare every explanation of a result with the oracle; how many there were."""
    for e in result:
        position = graph.position(e.target)
        fdl_plus, fdl_minus, factual, counterfactual, margin = measure(
            module, graph, position, e.edge_index
        )
        assert abs(e.raw["fdl+"] - fdl_plus) < 1e-5 and abs(e.raw["fdl-"] - fdl_minus) < 1e-5
        if margin > 1e-4:
            assert (e.factual, e.counterfactual) == (factual, counterfactual) and not e.tie
    audited = con.execute("AUDIT")
    assert len(audited) == len(result) and {row[-1] for row in audited.rows} <= {"ok"}
    return len(result)


KINDS = ["gcn", "gcn_weighted", "gcn_cached", "sage", "sage_max", "gat", "gat_attr", "gin"]


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("undirected,extra", [(True, ""), (True, " EDGES DIRECTED"), (False, "")])
def test_random_graphs(kind, undirected, extra):
    """Self-loops, parallel edges, an isolated node and a hub are in every one of these graphs."""
    rng = np.random.default_rng(len(kind))
    graph = random_graph(
        rng, undirected=undirected, weighted=kind == "gcn_weighted", attributed=kind == "gat_attr"
    )
    module = make(kind, seed=3)
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g")
        targets = [0, *rng.choice(np.arange(1, 23), 3, replace=False).tolist(), 23]
        result = con.execute(QUERY.format(extra=extra), [targets])
        assert check(con, module, graph, result) > 5
        isolated = result.targets[-1]
        assert isolated.status == "empty" and "no edge can carry a message" in isolated.note


@pytest.mark.sweep(1)
@pytest.mark.parametrize("output", ["log_probs", "probs", "one column"])
def test_other_outputs_measure_the_same_probabilities(output):
    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = make("gin", classes=1 if output == "one column" else 3)

        def forward(self, x, edge_index):
            out = self.net(x, edge_index)
            return {"log_probs": out.log_softmax(1), "probs": out.softmax(1), "one column": out}[
                output
            ]

    module, graph = Wrapped(), random_graph(np.random.default_rng(5))
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g", output="logits" if output == "one column" else output)
        result = con.execute(QUERY.format(extra=""), [[0, 5, 9]])
        assert check(con, module.net, graph, result) > 3


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="SXQ_DATA does not name the folder with cora.npz")
def test_cora_with_the_published_model():
    from sxq.models import ArchitectureSpec, build, load_weights

    graph = read_npz(Path(DATA, "cora.npz"))
    module = build(ArchitectureSpec("gcn", 1433, 7, layers=3, hidden=16))
    load_weights(module, Path(DATA, "models", "skyexp_cora_gcn.safetensors"))
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g")
        targets = [61, 1879, 570, 2039, 2668]
        result = con.execute(
            QUERY.format(extra="").replace("150", "40").replace("TOP 8", "TOP 4"), [targets]
        )
        assert check(con, module, graph, result) >= 10


def test_an_explanation_knows_its_edges_by_key_and_by_position():
    graph = random_graph(np.random.default_rng(2))
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", make("gin"), "g")
        for e in con.execute("EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc TOP 5"):
            data, picture = e.to_data(), e.to_networkx()
            assert torch.equal(data.nodes[data.edge_index], torch.from_numpy(e.edge_index))
            assert (
                np.array_equal(data.x.numpy(), graph.x[e.nodes])
                and data.nodes[data.target] == e.target
            )
            assert set(picture.edges) == set(e.edges) and picture.nodes[e.target]["target"]
    with pytest.raises(NodeNotFound):
        graph.position(99)


def test_parallel_edges_of_others_do_not_choose_the_order_of_a_sum():
    """Whether rows are mapped or summed first must not depend on the fields that share a tile."""
    with sxq.connect() as con:
        con.execute("""
            CREATE GRAPH g FROM NODES (SELECT i AS id, (i * 7 % 5)::FLOAT AS f, (i * 11 % 9) / 9 AS h, i % 2 AS label
                FROM range(24) t(i))
              EDGES (SELECT i * i % 24 AS s, (i * 5 + i // 7) % 24 AS d FROM range(70) t(i) WHERE s <> d);
            TRAIN MODEL m ON GRAPH g (LAYERS = 2, HIDDEN = 8, EPOCHS = 30)
        """)

        def raw(nodes):
            keys = ", ".join(map(str, nodes))
            text = (
                f"EXPLAIN NODES {keys} USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 60 CANDIDATES"
            )
            return {(e.target, e.rank): e.raw for e in con.execute(text)}

        alone = {}
        for node in range(24):
            alone |= raw([node])
        assert raw(range(24)) == alone
