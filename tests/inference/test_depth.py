"""How deep a model looks is found by features and by edges, since forward may compute messages from edges.

Each case is a model with the depth and context that its definition gives.
"""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import APPNP, ChebConv, GCNConv, SAGEConv, TransformerConv
from torch_geometric.utils import degree, softmax, to_undirected

import sxq
from sxq.errors import ModelNotLocal
from sxq.graph import Graph, extract
from sxq.inference.registration import register
from tests.graphs import make


class Calls(nn.Module):
    """A model written as a function of (layers, x, edge_index)."""

    def __init__(self, function, *layers):
        super().__init__()
        torch.manual_seed(1)
        self.function = function
        self.layers = nn.ModuleList(layer() for layer in layers)

    def forward(self, x, edge_index):
        return self.function(self.layers, x, edge_index)


def some_graph(undirected=True):
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 40, (2, 60))
    pairs = np.unique(pairs[:, pairs[0] != pairs[1]], axis=1)
    if undirected:
        pairs = np.unique(np.concatenate([pairs, pairs[::-1]], axis=1), axis=1)
    return Graph(pairs, rng.normal(size=(40, 6)))


def sage(inputs, outputs=3):
    return lambda: SAGEConv(inputs, outputs)


def linear(inputs, outputs=3):
    return lambda: nn.Linear(inputs, outputs)


def gather(values, edge_index):
    """The sum over in-edges [N, d]."""
    return torch.zeros_like(values).index_add(0, edge_index[1], values[edge_index[0]])


def two(layers, x, edge_index):
    return layers[1](layers[0](x, edge_index).relu(), edge_index)


def degrees(x, edge_index, end=1):
    return degree(edge_index[end], len(x)).to(x.dtype).unsqueeze(1) - 3


def degree_and_x(layers, x, edge_index):
    return two(layers, degrees(x, edge_index), edge_index) + 0.2 * layers[2](x, edge_index)


def gcn_by_hand(layers, x, edge_index):
    loops = torch.arange(len(x)).repeat(2, 1)
    edge_index = torch.cat([edge_index, loops], dim=1)
    scale = degree(edge_index[1], len(x)).to(x.dtype).rsqrt().unsqueeze(1)
    for layer in layers:
        x = gather(layer(x).tanh() * scale, edge_index) * scale
    return x


def attention_by_hand(layers, x, edge_index):
    x = layers[0](x)
    tail, head = edge_index
    weight = softmax(layers[1](torch.cat([x[tail], x[head]], 1)), head, num_nodes=len(x))
    return torch.zeros_like(x).index_add(0, head, x[tail] * weight)


def adjacency(x, edge_index):
    matrix = x.new_zeros(len(x), len(x))
    matrix[edge_index[1], edge_index[0]] = 1
    return matrix


def triangles(x, edge_index):
    matrix = adjacency(x, edge_index)
    return ((matrix @ matrix) * matrix).sum(1, keepdim=True)


def walks(layers, x, edge_index):
    """The probability to be back after three and four random steps."""
    step = adjacency(x, edge_index)
    step = step / step.sum(1, keepdim=True).clamp(min=1)
    back = [torch.linalg.matrix_power(step, n).diag() for n in (3, 4)]
    return layers[0](torch.stack(back, 1))


def two_steps(layers, x, edge_index):
    return layers[0](gather(gather(x.new_ones(len(x), 1), edge_index), edge_index) / 10)


def dense(layers, x, edge_index):
    matrix = adjacency(x, edge_index)
    return matrix @ layers[1]((matrix @ layers[0](x)).relu())


BY_FEATURES = {
    "gcn by hand": (2, 1, Calls(gcn_by_hand, linear(6, 8), linear(8))),
    "attention by hand": (1, 0, Calls(attention_by_hand, linear(6, 8), linear(16, 1))),
    "dense products": (2, 0, Calls(dense, linear(6, 8), linear(8))),
    "appnp": (2, 1, Calls(lambda m, x, e: m[1](m[0](x), e), linear(6), lambda: APPNP(2, 0.1))),
    "transformer": (1, 0, Calls(lambda m, x, e: m[0](x, e), lambda: TransformerConv(6, 3))),
    "cheb": (1, 2, Calls(lambda m, x, e: m[0](x, e), lambda: ChebConv(6, 3, 2))),
}
BY_EDGES = {
    "degree and two layers": (
        2,
        1,
        Calls(lambda m, x, e: two(m, degrees(x, e), e), sage(1, 8), sage(8)),
    ),
    "degree, two layers of gcn": (
        2,
        1,
        Calls(
            lambda m, x, e: two(m, degrees(x, e), e), lambda: GCNConv(1, 8), lambda: GCNConv(8, 3)
        ),
    ),
    "degree deep, x shallow": (2, 1, Calls(degree_and_x, sage(1, 8), sage(8), sage(6))),
    "degree alone": (1, 0, Calls(lambda m, x, e: m[0](degrees(x, e)), linear(1))),
    "x and degree": (
        1,
        0,
        Calls(lambda m, x, e: m[0](torch.cat([x, degrees(x, e)], 1)), linear(7)),
    ),
    "triangles": (2, 0, Calls(lambda m, x, e: m[0](triangles(x, e)), linear(1))),
    "random walks": (2, 1, Calls(walks, linear(2))),
    "two steps": (1, 1, Calls(two_steps, linear(1))),
}


def test_on_an_undirected_graph_to_undirected_changes_nothing():
    """A pair that trades tails stays a pair, so that the degrees that forward sees are kept."""
    graph = some_graph()
    layers = (lambda: GCNConv(6, 8), lambda: GCNConv(8, 3))
    plain = register(Calls(two, *layers), graph)
    doubled = register(Calls(lambda m, x, e: two(m, x, to_undirected(e)), *layers), graph)
    assert (doubled.hops, doubled.halo) == (plain.hops, plain.halo) == (2, 1)


@pytest.mark.parametrize("name", [*BY_FEATURES, *BY_EDGES])
def test_depth_and_context_are_those_of_the_definition(name):
    hops, halo, module = (BY_FEATURES | BY_EDGES)[name]
    model = register(module, some_graph())
    assert (model.hops, model.halo) == (hops, halo)
    assert (f"{hops} hops by edges" in model.depth) == (name in BY_EDGES)


@pytest.mark.slow
@pytest.mark.parametrize("skip", [False, True])
def test_an_edge_that_only_degrees_look_at_can_be_a_candidate(skip):
    function = degree_and_x if skip else lambda m, x, e: two(m, degrees(x, e), e)
    module = Calls(function, sage(1, 8), sage(8), sage(6)).eval()
    graph = some_graph()
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g")
        facts = dict(con.execute("DESCRIBE MODEL m").rows)
        assert facts["hops"] == "2" and "2 hops by edges" in facts["depth"]
        query = "EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc BUDGET 200 CANDIDATES"
        assert "2 hops by edges" in str(con.execute(f"PLAN {query}"))
        result = con.execute(query)
        assert result.targets[0].field_size == extract(graph, 0, 2, 0).num_units
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_degrees_over_a_directed_graph():
    module = Calls(lambda m, x, e: two(m, degrees(x, e), e), sage(1, 8), sage(8))
    assert register(module, some_graph(undirected=False)).hops == 2


def page_rank(layers, x, edge_index):
    rank = x.new_full((len(x), 1), 1 / len(x))
    for _ in range(20):
        rank = 0.15 / len(x) + 0.85 * gather(rank / 4, edge_index)
    return layers[0](rank)


def eigenvectors(layers, x, edge_index):
    matrix = adjacency(x, edge_index)
    laplacian = matrix.sum(1).diag() - matrix
    return layers[0](torch.linalg.eigh(laplacian)[1][:, 1:4].abs())


@pytest.mark.parametrize(
    "module", [Calls(page_rank, linear(1)), Calls(eigenvectors, linear(3))], ids=["rank", "eigen"]
)
def test_an_encoding_of_the_whole_graph_is_not_local(module):
    with pytest.raises(ModelNotLocal, match="mixes all nodes.*eigenvectors or PageRank"):
        register(module, some_graph())


@pytest.mark.slow
def test_fewer_layers_than_the_model_has_are_said():
    graph = some_graph()
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", make("sage", inputs=6, layers=2), "g", layers=1)
        result = con.execute(
            "EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc BUDGET 50 CANDIDATES"
        )
        said = "layers = 1 was given, but the model looks 2 hops deep"
        assert said in result.targets[0].note
        assert said in dict(con.execute("DESCRIBE MODEL m").rows)["depth"]
        con.register_model("deep", make("sage", inputs=6, layers=2), "g", layers=3)
        result = con.execute(
            "EXPLAIN NODE 0 USING MODEL deep OPTIMIZE fdl+, conc BUDGET 50 CANDIDATES"
        )
        assert "layers" not in result.targets[0].note


class Indexed(nn.Module):
    """Features are whole numbers that index a table."""

    def __init__(self, one_hot):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(7, 7)
        self.layer = GCNConv(7, 3)
        self.one_hot = one_hot

    def forward(self, x, edge_index):
        x = x.long().view(-1)
        x = nn.functional.one_hot(x, 7).float() if self.one_hot else self.table(x)
        return self.layer(x, edge_index)


@pytest.mark.parametrize("one_hot", [False, True])
def test_whole_numbers_are_probed_by_values_that_occur(one_hot):
    graph = some_graph()
    model = register(Indexed(one_hot), Graph(graph.edge_index, np.arange(40).reshape(-1, 1) % 7))
    assert (model.hops, model.halo) == (1, 1)


def test_a_probe_that_no_model_takes_is_named():
    def picky(layers, x, edge_index):
        if len(x) >= 40 and not torch.equal(x[:40].float(), known):
            raise ValueError("not a feature")
        return layers[0](x, edge_index)

    graph = some_graph()
    known = torch.tensor(graph.x)
    with pytest.raises(
        sxq.ModelError, match=r"node \d+ are replaced by NaN: not a .*1000.*layers="
    ):
        register(Calls(picky, sage(6)), graph)
    assert register(Calls(picky, sage(6)), graph, layers=1).hops == 1


def test_a_model_that_iterates_until_nothing_changes_is_probed():
    """On NaN, which equals nothing, its loop never ends."""

    def reached(layers, x, edge_index):
        tails = edge_index[1][:, None].expand(-1, x.shape[1])
        while True:
            larger = x.scatter_reduce(0, tails, x[edge_index[0]], "amax")
            if torch.equal(larger, x):
                return layers[0](x)
            x = larger

    path = np.stack([np.arange(11), np.arange(1, 12)])
    features = np.random.default_rng(3).normal(size=(12, 6))
    features[0] = 9  # reaches every node
    model = register(Calls(reached, lambda: nn.Linear(6, 2)), Graph(path, features))
    assert model.hops == 11


def test_a_graph_without_edges_has_attributes_of_none():
    edges = np.zeros((2, 0), np.int64)
    graph = Graph(edges, np.ones((4, 5)), edge_attr=np.zeros((0, 2)))
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", make("gat_attr"), "g")
        assert con.execute("EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc").candidates == 0
