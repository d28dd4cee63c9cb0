"""Collections of heterogeneous graphs: graph targets, classes, files and what is refused."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

import sxq
from sxq.errors import GraphError, InvalidValue, ModelError
from sxq.models.hetero_data import hetero_from_graph
from sxq.models.pyg_data import graphs_from_data
from tests.typed_models import bank, banks, model, of_graphs

EXPLAIN = "EXPLAIN GRAPHS 0, 5 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 3 BUDGET 40 CANDIDATES"


@pytest.fixture(scope="module")
def graphs():
    return banks()


@pytest.fixture(scope="module")
def con(graphs):
    with sxq.connect() as con:
        con.register_graphs("banks", graphs)
        con.register_model("m", of_graphs(graphs), "banks", output="logits")
        yield con


def plainly(module, data):
    """p of each class; a node of every type in a graph of its own behind the data, so that none is missing."""
    batch = {}
    x = {}
    for name, width in (("account", 5), ("merchant", 3), ("device", 4)):
        own = data[name].x if name in data.node_types else torch.zeros(0, width)
        x[name] = torch.cat([own, torch.zeros(1, width)])
        batch[name] = torch.tensor([0] * len(own) + [1])
    with torch.no_grad():
        return module(x, data.edge_index_dict, batch)[0].softmax(0).double()


def cut_out(data, e, removed):
    """The data without the edges of an explanation, or with them alone and the nodes they have."""
    graph = e.graph
    keep = torch.zeros(graph.num_edges, dtype=torch.bool)
    keep[torch.as_tensor(e.edge_numbers)] = True
    data = hetero_from_graph(graph)
    nodes = set(graph.edge_index[:, keep.numpy()].ravel().tolist())
    for number, name in enumerate(data.edge_types):
        own = keep[torch.from_numpy(graph.types.of_edge == number)]
        data[name].edge_index = data[name].edge_index[:, ~own if removed else own]
    if removed:
        return data
    starts = graph.types.starts
    for number, name in enumerate(data.node_types):
        there = [place in nodes for place in range(starts[number], starts[number + 1])]
        data[name].mask = torch.tensor(there, dtype=torch.bool)
    return data.subgraph({name: data[name].mask for name in data.node_types})


def test_stored_values_are_plain_forwards_and_their_audit(con, graphs):
    """The last graph has no devices; a candidate may have no node of some types."""
    module = of_graphs(graphs)
    result = con.execute(EXPLAIN)
    assert {e.target for e in result} == {0, 5}
    for e in result:
        whole = plainly(module, graphs[e.target])
        c = int(whole.argmax())
        kept = plainly(module, cut_out(graphs[e.target], e, removed=False))
        left = plainly(module, cut_out(graphs[e.target], e, removed=True))
        assert e.raw["fdl-"] == pytest.approx(float(whole[c] - kept[c]), abs=1e-5)
        assert e.raw["fdl+"] == pytest.approx(float(whole[c] - left[c]), abs=1e-5)
    assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}
    kinds = con.execute("SELECT DISTINCT edge_type FROM explanation_edges").fetchall()
    assert {kind for (kind,) in kinds} >= {"account -pays-> merchant"}


@pytest.mark.slow
def test_over_nodes_names_nodes_by_their_types(con):
    result = con.execute(EXPLAIN.replace(" OPTIMIZE", " OVER NODES OPTIMIZE"))
    assert {node.node_type for e in result for node in e.units} <= {"account", "merchant", "device"}
    assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}


@pytest.mark.slow
def test_a_class_has_patterns_of_types(con):
    result = con.execute(
        "EXPLAIN CLASS 1 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 2 BUDGET 20 CANDIDATES TARGETS 3"
    )
    labels = {label for pattern in result.patterns for label in pattern.labels}
    assert labels <= {"account", "merchant", "device"}
    assert labels
    assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}


@pytest.mark.slow
def test_a_file_holds_the_collection(graphs, tmp_path):
    path = str(tmp_path / "banks.duckdb")
    with sxq.connect(path) as con:
        con.register_graphs("banks", graphs)
        con.register_model("m", of_graphs(graphs), "banks", output="logits")
        con.execute(EXPLAIN)
        keys = con.execute(
            "SELECT node_type, list(node ORDER BY position) FROM nodes WHERE graph = 0"
            " GROUP BY node_type ORDER BY node_type"
        ).fetchall()
        assert [(kind, list(map(int, own))) for kind, own in keys] == [
            ("account", [0, 1, 2, 3, 4]),
            ("device", [0, 1]),
            ("merchant", [0, 1, 2]),
        ]
    with sxq.connect(path) as con:
        con.register_graphs("banks", graphs)  # the same content
        con.register_model("m", of_graphs(graphs), "banks", output="logits")
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}


class Whole(nn.Module):
    """forward(data), as PyG's own examples have it."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, data):
        return self.module(data.x_dict, data.edge_index_dict, data.batch_dict)


@pytest.mark.slow
def test_a_model_may_take_the_data(con, graphs):
    con.register_model("whole", Whole(of_graphs(graphs)).eval(), "banks", output="logits")
    found = [con.execute(f"PREDICT USING MODEL {name}").fetchall() for name in ("m", "whole")]
    assert [row[2] for row in found[0]] == pytest.approx([row[2] for row in found[1]])


def test_containers_of_heterogeneous_graphs(graphs):
    names = graphs_from_data(graphs).content_hash
    assert graphs_from_data(DataLoader(graphs, batch_size=2)).content_hash == names
    same = graphs[:5]
    assert (
        graphs_from_data(Batch.from_data_list(same)).num_nodes == graphs_from_data(same).num_nodes
    )


def test_what_differs_between_graphs_is_named(graphs):
    other = banks(2)
    other[1]["account"].x = torch.ones(len(other[1]["account"].x), 9)
    with pytest.raises(GraphError, match=r"graph 1 has other columns of x by type than graph 0"):
        graphs_from_data(other)
    plain = Data(x=torch.ones(3, 5), edge_index=torch.tensor([[0], [1]]))
    del other[1]["device", "used_by", "account"]
    with pytest.raises(GraphError, match="graph 1 lacks the edge type device -used_by-> account"):
        graphs_from_data(other)
    with pytest.raises(GraphError, match="graph 0 has types of nodes and edges, and graph 1 has"):
        graphs_from_data([graphs[0], plain])


def test_what_is_not_built_is_refused_by_name(con, graphs):
    with pytest.raises(ModelError, match="a model of graphs has outputs for graphs"):
        con.register_model("n", of_graphs(graphs), "banks", node_type="account")
    with pytest.raises(InvalidValue, match="no architecture pools the nodes of heterogeneous"):
        con.execute("TRAIN MODEL t ON GRAPHS banks (ARCHITECTURE = sage)")


@pytest.mark.slow
def test_a_class_of_nodes_has_patterns_of_types():
    data = bank(4)
    with sxq.connect() as con:
        con.register_graph("bank", data)
        con.register_model("h", model("layered", data), "bank", output="logits")
        counts = con.execute("PREDICT USING MODEL h")
        rows = counts.fetchall()
        place = counts.columns.index("prediction")
        classes = [row[place] for row in rows]
        most = max(set(classes), key=classes.count)
        result = con.execute(
            f"EXPLAIN CLASS {most} USING MODEL h OPTIMIZE fdl+, fdl-, conc TOP 2 BUDGET 20 CANDIDATES"
            " TARGETS 3"
        )
        kinds = {label for pattern in result.patterns for label in pattern.labels}
        assert kinds <= {"account", "merchant", "device"}
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}
        with pytest.raises(sxq.Error, match="known: label, type"):
            con.execute(f"EXPLAIN CLASS {most} USING MODEL h OPTIMIZE fdl+, conc LABELS none")
