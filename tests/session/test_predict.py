"""PREDICT says what a plain forward pass says, for every task, of nodes and of graphs."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data

import sxq
from tests import graphs, oracles
from tests.pooled_models import Pools, some_graphs


class Sums(nn.Module):
    """Each node's features and those of its neighbours, summed."""

    def forward(self, x, edge_index):
        return x.index_add(0, edge_index[1], x[edge_index[0]])


@pytest.fixture
def con():
    graph = graphs.random_graph(np.random.default_rng(3), 14, 20)
    with sxq.connect() as con:
        data = Data(x=torch.tensor(graph.x), edge_index=torch.tensor(graph.edge_index))
        con.register_graph("g", data)
        yield con


def test_of_classes_it_gives_each_probability(con):
    module = graphs.make("gcn")
    con.register_model("m", module, "g")
    graph = con.session.registry.graphs["g"]
    plain = oracles.plain_probabilities(module, graph, np.ones(graph.num_edges, bool))
    found = con.execute("PREDICT USING MODEL m")
    classes = [f"class_{number}" for number in range(plain.shape[1])]
    assert found.columns == ["node", "prediction", "probability", *classes]
    assert np.allclose([row[3:] for row in found], plain, atol=1e-6)
    assert [row[1] for row in found] == plain.argmax(axis=1).tolist()
    assert all(row[2] == max(row[3:]) for row in found)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_of_labels_and_numbers_it_gives_each(con, task):
    con.register_model(
        "m", Sums(), "g", task=task, output="logits" if task == "multilabel" else None
    )
    graph = con.session.registry.graphs["g"]
    plain = Sums()(torch.tensor(graph.x), torch.tensor(graph.edge_index))
    plain = plain.sigmoid() if task == "multilabel" else plain
    found = con.execute("PREDICT NODES 5, 2 USING MODEL m")
    first = 3 if task == "multilabel" else 1
    assert [row[0] for row in found] == [5, 2]
    assert np.allclose([row[first:] for row in found], plain[[5, 2]], atol=1e-6)
    assert found.columns[first] == ("class_0" if task == "multilabel" else "value_0")


def test_of_graphs_by_key(con):
    con.register_graphs(
        "many",
        [Data(x=torch.tensor(g.x), edge_index=torch.tensor(g.edge_index)) for g in some_graphs()],
    )
    con.register_model("pools", Pools(), graphs="many")
    every = con.execute("PREDICT USING MODEL pools")
    assert every.columns[0] == "graph" and len(every) == len(con.session.registry.graphs["many"])
    assert con.execute("PREDICT GRAPHS ? USING MODEL pools", [[1]]).rows == every.rows[1:2]


@pytest.mark.slow
def test_without_into_nothing_is_stored(tmp_path):
    path = str(tmp_path / "club.duckdb")
    with sxq.connect(path) as con:
        con.execute(
            "CREATE GRAPH g FROM DATASET 'KarateClub'; TRAIN MODEL m ON GRAPH g (EPOCHS = 2)"
        )
        before = con.execute("PREDICT USING MODEL m").rows
    with sxq.connect(path, read_only=True) as con:
        assert con.execute("PREDICT USING MODEL m").rows == before
        with pytest.raises(
            sxq.StoreError, match="INTO stores, but the database was opened read-only"
        ):
            con.execute("PREDICT USING MODEL m INTO said")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "column"),
    [*((name, "amount") for name in ("graphconv", "leconv", "gine", "sage")), ("gcn", "weight")],
)
def test_a_trained_model_says_what_it_learned(architecture, column):
    """A column of amounts is no weight to an architecture that was trained without it."""
    with sxq.connect() as con:
        con.execute(
            f"""CREATE TABLE a AS SELECT range AS id, hash(range) % 7 AS f, (hash(range, 2) % 3 = 0)::INT AS label
                FROM range(60);
                CREATE GRAPH g FROM NODES (FROM a) EDGES (SELECT hash(range, 3) % 60, hash(range, 4) % 60,
                                                          hash(range, 5) % 900 + 1 AS {column} FROM range(150));
                TRAIN MODEL m ON GRAPH g (ARCHITECTURE = {architecture}, LAYERS = 1, EPOCHS = 20, LR = 0.05);
                PREDICT USING MODEL m INTO said"""
        )
        facts = dict(con.execute("DESCRIBE MODEL m").rows)
        ((share,),) = con.sql(
            "SELECT avg((prediction = label)::INT) FROM said JOIN a ON id = node"
        ).rows
        assert float(facts["all accuracy"]) == pytest.approx(share, abs=1e-3)
