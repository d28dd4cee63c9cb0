"""Models of heterogeneous graphs: what is stored equals a plain forward on the data with the edges removed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.explain.algorithm.utils import clear_masks, set_hetero_masks, set_masks
from torch_geometric.nn import HANConv

import sxq
from sxq.errors import InvalidValue, ModelError, ModelNotLocal
from sxq.graph import EdgeKind, extract
from sxq.inference import CandidateBatch
from sxq.inference.choose import open_backend
from sxq.inference.edge_gradients import EdgeGradients
from sxq.inference.registration import register
from sxq.models.hetero_data import typed_graph
from sxq.scoring.question import Question
from tests.typed_models import KINDS, Attention, bank, cut, model, plainly

TARGET = 2


def kept_by(graph, field, bits):
    """The edges [n, E] bool of G_s and of G without it, on the whole graph."""
    inside = np.zeros((len(bits), graph.num_edges), bool)
    for row, own in enumerate(bits):
        inside[row, field.edges_of(own)] = True
    return inside | (graph.edge_index[0] == graph.edge_index[1]), ~inside


def require_exact(data, module, backend=None, targets=3, seed=0):
    """Both graphs of random candidates of some accounts equal plain forward passes."""
    graph = typed_graph(data)
    found = register(module, graph, output="logits")
    rng = np.random.default_rng(seed)
    backend = open_backend(backend or found.backend, found)
    heads = np.unique(graph.edge_index[1])
    accounts = heads[heads < len(data["account"].x)]
    for target in rng.choice(accounts, min(targets, len(accounts)), replace=False):
        field = extract(graph, int(target), found.hops, found.halo)
        bits = rng.random((4, field.num_units)) < rng.random((4, 1))
        outputs = backend.infer([CandidateBatch(backend.load(graph, field), bits)])[0]
        for side, keeps in zip(outputs, kept_by(graph, field, bits)):
            for output, keep in zip(side, keeps):
                expected = plainly(module, cut(data, graph, keep))[target]
                assert (output.softmax(0) - expected.softmax(0)).abs().max() < 1e-5
    return found


BACKENDS = [(kind, backend) for kind in KINDS for backend in ("disjoint", "layered")]


@pytest.mark.slow
@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("kind, backend", BACKENDS)
def test_both_graphs_of_a_candidate_equal_plain_forwards(kind, backend, both_ways):
    data = bank(1, both_ways=both_ways)
    found = require_exact(data, model(kind, data), backend)
    assert backend in (found.backend, "disjoint")
    assert found.hops == 2
    assert (
        found.full[: len(data["account"].x)] - plainly(model(kind, data), data)
    ).abs().max() < 1e-5


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(st.data())
def test_random_typed_graphs(drawn):
    """Types without edges, nodes without any, parallel edges of several types, and loops."""
    seed = drawn.draw(st.integers(0, 10**6))
    generator = torch.Generator().manual_seed(seed)
    names = ["a", "b", "c"][: drawn.draw(st.integers(1, 3))]
    data = HeteroData()
    widths = {}
    for name in names:
        widths[name] = drawn.draw(st.integers(1, 4))
        data[name].x = torch.randn(drawn.draw(st.integers(1, 6)), widths[name], generator=generator)
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(["r", "s"]), st.sampled_from(names))
    for kind in drawn.draw(st.lists(pairs, min_size=1, max_size=5, unique=True)):
        sizes = [len(data[kind[end]].x) for end in (0, 2)]
        count = drawn.draw(st.integers(0, 10))
        rows = [torch.randint(0, size, (count,), generator=generator) for size in sizes]
        data[kind].edge_index = torch.stack(rows)
    torch.manual_seed(seed)
    module = Attention(data.metadata(), widths=widths).eval()
    graph = typed_graph(data)
    if not graph.num_edges:
        return
    found = register(module, graph, output="logits")
    head = int(np.random.default_rng(seed).choice(graph.edge_index[1]))
    field = extract(graph, head, found.hops, found.halo)
    bits = np.random.default_rng(seed).random((3, field.num_units)) < 0.5
    backend = open_backend(found.backend, found)
    outputs = backend.infer([CandidateBatch(backend.load(graph, field), bits)])[0]
    number = graph.types.of_node[head]
    place = head - graph.types.starts[number]
    for side, keeps in zip(outputs, kept_by(graph, field, bits)):
        for output, keep in zip(side, keeps):
            left = cut(data, graph, keep)
            with torch.no_grad():
                expected = module(left.x_dict, left.edge_index_dict)[names[number]][place]
            assert (output.softmax(0) - expected.softmax(0)).abs().max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["linear", "layered", "hgt", "rgcn"])
def test_the_field_has_every_edge_that_moves_the_output(kind):
    """By brute force; of a linear model each edge of the field moves it."""
    data = bank(3, both_ways=False)
    graph = typed_graph(data)
    module = model(kind, data)
    found = register(module, graph, output="logits")
    for target in (0, 5):
        field = extract(graph, target, found.hops, found.halo)
        whole = plainly(module, data)[target]
        moving = set()
        for edge in range(graph.num_edges):
            keep = np.arange(graph.num_edges) != edge
            if (plainly(module, cut(data, graph, keep))[target] - whole).abs().max() > 1e-6:
                moving.add(edge)
        assert moving
        assert moving <= set(field.edges.tolist())
        if kind == "linear":
            units = field.edges[field.unit != EdgeKind.HALO].tolist()
            assert moving == set(units)


@pytest.mark.slow
def test_stored_values_and_their_audit():
    data = bank(4)
    graph = typed_graph(data)
    module = model("hgt", data)
    with sxq.connect() as con:
        con.register_graph("bank", graph)
        con.register_model("hgt", module, "bank", node_type="account")
        result = con.execute(
            "EXPLAIN NODES 8, 9, 11 USING MODEL hgt OPTIMIZE fdl+, fdl-, conc TOP 4 BUDGET 300 CANDIDATES"
        )
        assert len(result)
        for e in result:
            keep = np.zeros(graph.num_edges, bool)
            keep[e.edge_numbers] = True
            target = graph.position(e.target)
            p, kept, removed = (
                plainly(module, cut(data, graph, one))[target].double().softmax(0)
                for one in (np.ones_like(keep), keep, ~keep)
            )
            c = int(p.argmax())
            assert e.raw["fdl+"] == pytest.approx(float(p[c] - removed[c]), abs=1e-5)
            assert e.raw["fdl-"] == pytest.approx(float(p[c] - kept[c]), abs=1e-5)
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}


@pytest.mark.slow
def test_one_call_explains_a_node_of_a_type():
    data = bank(4)
    given = {"output": "logits", "budget": 60, "k": 3}
    result = sxq.explain(model("hgt", data), data, 2, node_type="merchant", **given)
    assert {row[result.columns.index("node_type")] for row in result.rows} == {"merchant"}
    assert len(sxq.explain(model("layered", data), data, [2, 3], **given).targets) == 2


@pytest.mark.slow
def test_nodes_of_other_types_are_no_targets():
    data = bank(4, accounts=5, merchants=9)
    with sxq.connect() as con:
        con.register_graph("bank", typed_graph(data))
        con.register_model("m", model("layered", data), "bank")
        assert ("targets", "nodes of type account") in con.execute("DESCRIBE MODEL m").fetchall()
        other = 7  # no account has this key
        message = "is a merchant, but model 'm' has outputs for nodes of type account only"
        with pytest.raises(InvalidValue, match=message):
            con.execute(
                "EXPLAIN NODE ? OF TYPE merchant USING MODEL m OPTIMIZE fdl+, conc", [other]
            )
        with pytest.raises(InvalidValue, match=message):
            con.execute("PREDICT NODES ? OF TYPE merchant USING MODEL m", [[other]])
        assert len(con.execute("PREDICT USING MODEL m").fetchall()) == len(data["account"].x)


def test_attention_over_all_nodes_of_a_type_is_refused_by_its_cause():
    data = bank(2)
    with pytest.raises(ModelNotLocal, match="HANConv weighs the edge types that enter a node type"):
        register(model("han", data), typed_graph(data), output="logits")


def test_han_with_one_edge_type_into_each_node_type():
    data = bank(2)
    for name in [("account", "knows", "account"), ("device", "used_by", "account")]:
        del data[name]
    torch.manual_seed(0)
    require_exact(data, Attention(data.metadata(), HANConv).eval())


class Squashed(nn.Module):
    """Probabilities so sure that only what is behind them tells."""

    def __init__(self, module, times):
        super().__init__()
        self.module = module
        self.times = times

    def forward(self, x_dict, edge_index_dict):
        found = self.module(x_dict, edge_index_dict)
        return {name: (self.times * own).softmax(1) for name, own in found.items()}


@pytest.mark.slow
def test_logits_behind_probabilities_are_found_by_type():
    data = bank(1)
    found = register(Squashed(model("hgt", data), 100), typed_graph(data))
    assert found.output == "probs"
    assert (found.hops, found.depth) == (2, "")


def masked_plainly(kind, module, data):
    """The gradient of each edge's message, by PyG's own masks on the user's module: [E], type by type."""
    masks = {
        name: torch.ones(e.shape[1], requires_grad=True) for name, e in data.edge_index_dict.items()
    }
    try:
        if kind == "hgt":  # its layers see all edges, type by type
            every = torch.cat(list(data.edge_index_dict.values()), 1)
            set_masks(
                module, torch.cat(list(masks.values())), every + torch.tensor([[0], [99]]), False
            )
        else:
            set_hetero_masks(module, masks, data.edge_index_dict, apply_sigmoid=False)
        found = module(data.x_dict, data.edge_index_dict)
        out = found["account"] if isinstance(found, dict) else found
        odds = out[TARGET, 0] - out[TARGET, 1]
        return torch.cat(torch.autograd.grad(odds, list(masks.values()))).numpy()
    finally:
        clear_masks(module)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, backend", [(kind, backend) for kind in KINDS[:3] for backend in ("disjoint", "layered")]
)
def test_edge_gradients_are_those_of_masks_by_type(kind, backend):
    """One mask of all edges reaches the layers of each edge type."""
    data = bank(5)
    graph = typed_graph(data)
    module = model(kind, data)
    found = register(module, graph, output="logits")
    field = extract(graph, TARGET, found.hops, found.halo)
    gradients = EdgeGradients(found, graph, field, Question(column=0), open_backend(backend, found))
    gradient = gradients(np.ones((1, field.num_units), bool), True)[0]
    by_edge = masked_plainly(kind, module, data)
    expected = np.zeros(field.num_units)
    own = field.unit >= 0
    np.add.at(expected, field.unit[own], by_edge[field.edges[own]])
    assert not gradients.unavailable
    assert gradients.by_layers == (backend == "layered")
    assert np.count_nonzero(expected) > field.num_units / 3
    assert gradient == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "by, message",
    [
        ("gnnexplainer(epochs = 3)", ""),
        ("growing", ""),
        ("onion", ""),
        ("attention", "BY attention averages the attention weights of layers that see all edges"),
        ("graphmask", "has a table and layers for each type"),
        ("cf2", "explainers that learn an edge mask do not pass on node_type, edge_type"),
    ],
)
def test_generators_work_or_say_why_not(by, message):
    data = bank(5)
    with sxq.connect() as con:
        con.register_graph("bank", typed_graph(data))
        con.register_model("m", model("layered", data), "bank")
        explain = (
            f"EXPLAIN NODE 9 USING MODEL m OPTIMIZE fdl+, influence BY {by} BUDGET 50 CANDIDATES"
        )
        if message:
            with pytest.raises(ModelError, match=message):
                con.execute(explain)
        else:
            assert len(con.execute(explain))
            assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}


def test_edge_gradients_of_one_table_are_the_same_on_both_backends():
    """RGCN passes messages along one type after the other; PyG's mask is parted for it."""
    data = bank(5)
    graph = typed_graph(data)
    found = register(model("rgcn", data), graph, output="logits")
    field = extract(graph, TARGET, found.hops, found.halo)
    both = []
    for backend in ("layered", "disjoint"):
        gradients = EdgeGradients(
            found, graph, field, Question(column=0), open_backend(backend, found)
        )
        both.append(gradients(np.ones((1, field.num_units), bool), True)[0])
        assert not gradients.unavailable
    assert np.count_nonzero(both[0]) > field.num_units / 3
    assert both[0] == pytest.approx(both[1], abs=1e-5)


@pytest.mark.slow
def test_gnnexplainer_of_one_table_with_edge_types():
    data = bank(5)
    with sxq.connect() as con:
        con.register_graph("bank", data)
        con.register_model("m", model("rgcn", data), "bank", output="logits")
        assert len(
            con.execute(
                "EXPLAIN NODE 9 OF TYPE account USING MODEL m OPTIMIZE fdl+, conc BY gnnexplainer(epochs = 3)"
                " BUDGET 20 CANDIDATES"
            )
        )
