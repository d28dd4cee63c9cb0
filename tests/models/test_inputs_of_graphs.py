"""Tensors that a graph has once, such as `u` [1, k] or a temperature: each is given as the data has it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.explain import Explainer, ModelConfig
from torch_geometric.nn import GCNConv, GINConv, global_mean_pool

import sxq
from sxq.errors import ModelError, StoreError
from sxq.pyg import SkylineExplainer


def data(seed, nodes=10):
    rng = torch.Generator().manual_seed(seed)
    ends = torch.randint(nodes, (2, 2 * nodes), generator=rng)
    ends = ends[:, ends[0] != ends[1]]  # a self-loop is part of its node
    edges = torch.unique(torch.cat([ends, ends.flip(0)], dim=1), dim=1)
    return Data(
        x=torch.randn(nodes, 4, generator=rng),
        edge_index=edges,
        u=torch.randn(1, 3, generator=rng),
        temperature=torch.rand((), generator=rng) + 0.5,
        kind=torch.tensor([seed]),
    )


class OfNodes(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = GCNConv(7, 3)

    def forward(self, x, edge_index, u, temperature, kind):
        assert (u.shape, temperature.shape, kind.shape) == ((1, 3), (), (1,))
        assert kind.dtype == torch.long
        x = torch.cat([x, u.expand(len(x), -1)], dim=1)
        return self.layer(x, edge_index) * temperature + kind


class OfGraphs(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = GINConv(nn.Linear(7, 8))
        self.out = nn.Linear(8, 2)

    def forward(self, x, edge_index, batch, u, temperature, kind):
        found = self.layer(torch.cat([x, u[batch]], dim=1), edge_index)
        return self.out(global_mean_pool(found * temperature[batch, None], batch)) + kind[:, None]


def cut(one, explanation, kept):
    edges = torch.zeros(one.num_edges, dtype=torch.bool)
    edges[torch.from_numpy(np.array(explanation.edge_numbers))] = True
    return one.edge_index[:, edges if kept else ~edges]


def require_exact(result, plain):
    """Compare fdl+ and fdl- with a plain forward p(edges, class or None for the one that is predicted)."""
    assert len(result)
    for explanation in result:
        whole = plain(explanation, None)
        kept = plain(explanation, True)
        removed = plain(explanation, False)
        column = int(whole.argmax())
        assert abs(explanation.raw["fdl+"] - float(whole[column] - removed[column])) < 1e-5
        assert abs(explanation.raw["fdl-"] - float(whole[column] - kept[column])) < 1e-5


def of_nodes(one):
    """The plain forward for `require_exact` of a graph's nodes."""

    def plain(explanation, kept):
        edges = one.edge_index if kept is None else cut(one, explanation, kept)
        with torch.no_grad():
            out = OfNodes().eval()(one.x, edges, one.u, one.temperature, one.kind)
        return out.softmax(1)[explanation.target]

    return plain


def of_graphs(graphs):
    """The plain forward for `require_exact` of whole graphs."""

    def plain(explanation, kept):
        one = graphs[explanation.target].clone()
        if kept is not None:
            one.edge_index = cut(one, explanation, kept)
        if kept:  # only nodes of its edges are there
            nodes, numbers = one.edge_index.unique(return_inverse=True)
            one.x = one.x[nodes]
            one.edge_index = numbers
        given = Batch.from_data_list([one, graphs[0]])
        fields = (given.batch, given.u, given.temperature, given.kind)
        with torch.no_grad():
            out = OfGraphs().eval()(given.x, given.edge_index, *fields)
        return out.softmax(1)[0]

    return plain


ASK = "USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 60 CANDIDATES TOP 4"


def test_a_model_of_nodes_is_given_them_as_they_are(tmp_path):
    one = data(3)
    module = OfNodes().eval()

    with sxq.connect(str(tmp_path / "g.duckdb")) as con:
        con.register_graph("g", one)
        with pytest.warns(sxq.SpeedWarning, match=r"the graph has its input \w+ once"):
            con.register_model("m", module, "g", output="logits")
        require_exact(con.execute(f"EXPLAIN NODES 0, 4 {ASK}"), of_nodes(one))
    with sxq.connect(str(tmp_path / "g.duckdb")) as con:
        con.register_graph("g", one)  # the same content
        con.register_model("m", module, "g", output="logits")
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_a_model_of_graphs_is_given_a_row_for_each_graph():
    graphs = [data(seed, nodes) for seed, nodes in enumerate((6, 1, 9, 7))]
    module = OfGraphs().eval()

    with sxq.connect() as con:
        con.register_graphs("gs", graphs)
        con.register_model("m", module, graphs="gs", output="logits")
        require_exact(con.execute(f"EXPLAIN GRAPHS 0, 2 {ASK}"), of_graphs(graphs))
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_a_graph_of_one_edge_has_them_once():
    """Their one row is also a row for each edge."""
    graphs = [data(0, 6), data(1, 4), data(2, 5)]
    graphs[1].edge_index = torch.tensor([[0], [1]])
    with sxq.connect() as con:
        con.register_graphs("gs", graphs)
        con.register_model("m", OfGraphs().eval(), graphs="gs", output="logits")
        found = con.execute(f"EXPLAIN GRAPHS 0, 1, 2 {ASK}")
        assert {explanation.target for explanation in found} == {0, 1, 2}
        require_exact(found, of_graphs(graphs))


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_nodes_that_are_added_need_none(tmp_path, storage):
    one = data(3)
    module = OfNodes().eval()
    with sxq.connect(str(tmp_path / "g.duckdb")) as con:
        con.register_graph("g", one, storage=storage)
        con.register_model("m", module, "g", output="logits")
        con.execute("ALTER GRAPH g ADD NODES (SELECT 10 AS id, [1.0, 2.0, 0.5, -1.0] AS x)")
        con.execute("ALTER GRAPH g ADD EDGES (SELECT 10, 4)")
        found = con.execute(f"EXPLAIN NODES 4, 10 {ASK}")
        later = found[0].graph
        one.x = torch.tensor(later.x)
        one.edge_index = torch.tensor(later.edge_index)
        assert len(one.x) == 11
        require_exact(found, of_nodes(one))


def explainer(module, level):
    return Explainer(
        module,
        SkylineExplainer(budget=60, k=4),
        explanation_type="model",
        edge_mask_type="object",
        model_config=ModelConfig("multiclass_classification", level, "raw"),
    )


def test_an_explainer_of_pyg_passes_them_on():
    one = data(3)
    given = {name: one[name] for name in ("u", "temperature", "kind")}
    found = explainer(OfNodes().eval(), "node")(one.x, one.edge_index, index=4, **given)
    require_exact(found.skyline, of_nodes(one))
    graphs = [data(0, 6), data(1, 9)]
    batch = Batch.from_data_list(graphs)
    given = {name: batch[name] for name in ("batch", "u", "temperature", "kind")}
    found = explainer(OfGraphs().eval(), "graph")(batch.x, batch.edge_index, index=1, **given)
    require_exact(found.skyline, of_graphs(graphs[1:]))


def test_a_number_of_a_node_is_none_of_the_graph():
    """A field of the receptive field numbers its nodes anew."""

    class Rooted(nn.Module):
        def forward(self, x, edge_index, root_index):
            return x

    one = data(0)
    one.root_index = torch.tensor([2])
    with sxq.connect() as con:
        con.register_graph("g", one)
        with pytest.raises(ModelError, match=r"root_index is int64 \[1\]: sxq passes numbers with"):
            con.register_model("m", Rooted(), "g", output="logits")


def test_a_form_that_fits_no_rows_is_refused(tmp_path):
    with sxq.connect(str(tmp_path / "g.duckdb")) as con:
        con.register_graph("g", data(0))
        con.execute(
            "UPDATE sxq.graph_inputs SET form = 'float32 [1, 7]' WHERE name = 'u' AND level = 'form'"
        )
    with sxq.connect(str(tmp_path / "g.duckdb")) as con:
        with pytest.raises(StoreError, match="form 'float32 \\[1, 7\\]' fits no input of nodes"):
            con.register_model("m", OfNodes(), "g", output="logits")
