"""The papers' models by name: against their definitions, and through TRAIN, reopening, EXPLAIN and AUDIT."""

import itertools
import re

import numpy as np
import pytest
import torch
import torch_geometric.typing
from torch_geometric.nn import ASAPooling

import sxq
from sxq.errors import InvalidValue
from sxq.graph import Graph, GraphSet
from sxq.inference.registration import register
from sxq.language.manual import about
from sxq.models import ARCHITECTURES, ArchitectureSpec, build, spec_from_options
from sxq.models.architectures import ATTRIBUTED, EDGE_VALUES
from sxq.models.asap import ClusterPooling, SteadyTopK, highest
from sxq.models.edge_mask import instances_of, log_probabilities
from sxq.models.spline import SplineConvolution, corners
from sxq.planning.options import OPTIONS, TYPED_ARCHITECTURES


def ringed(n: int, chord: int, rng, constant=False) -> Graph:
    """A ring of n nodes with one chord, with weights and attributes of its edges."""
    ring = np.arange(n)
    pairs = np.stack([np.append(ring, 0), np.append(np.roll(ring, -1), chord)])
    ends = np.concatenate([pairs, pairs[::-1]], axis=1)
    x = np.ones((n, 3)) if constant else rng.normal(size=(n, 3))
    edges = ends.shape[1]
    return Graph(ends, x, edge_attr=rng.random((edges, 2)), edge_weight=rng.random(edges) + 0.5)


@pytest.fixture(scope="module")
def graph() -> Graph:
    rng = np.random.default_rng(0)
    plain = ringed(20, 7, rng)
    y = np.arange(20) // 5 % 2
    arrays = {"edge_attr": plain.edge_attr, "edge_weight": plain.edge_weight}
    return Graph(plain.edge_index, plain.x + y[:, None], y=y, **arrays)


@pytest.fixture(scope="module")
def graphs() -> GraphSet:
    """Constant features: most nodes are symmetric, so that the choices of ASAP are full of ties."""
    rng = np.random.default_rng(1)
    members = [ringed(8 + number % 3, 2 + 2 * (number % 2), rng, True) for number in range(20)]
    return GraphSet.join(members, y=np.arange(20) % 2)


def audited(folder, kind: str, data, options: str, target: str) -> str:
    """Train, reopen, explain and audit; returns the reason of the model's backend."""
    file = str(folder / "a.duckdb")
    with sxq.connect(file) as con:
        (con.register_graphs if isinstance(data, GraphSet) else con.register_graph)("g", data)
        row = con.execute(f"TRAIN MODEL m ON {kind} g ({options}, HIDDEN = 8, EPOCHS = 3)").rows[0]
        assert row[1] in options
    with sxq.connect(file) as con:
        con.execute(
            f"EXPLAIN {target} USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 150 CANDIDATES"
        )
        verdicts = con.execute("AUDIT").rows
        assert verdicts and {verdict for *_, verdict in verdicts} == {"ok"}
        return dict(con.execute("DESCRIBE MODEL m").rows).get("reason", "")


NEW = ["appnp", "gine", "graphconv", "splinecnn", "transformer"]  # the others: test_training.py


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", NEW)
def test_classifiers_of_nodes_are_explained_exactly(name, graph, tmp_path):
    layers = 6 if name == "appnp" else 2  # steps without weights of their own
    options = f"ARCHITECTURE = {name}, LAYERS = {layers}"
    reason = audited(tmp_path, "GRAPH", graph, options, "NODES 3, 7")
    assert ("SplineConvolution: no layered form" in reason) == (name == "splinecnn")


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", ["asap", *NEW])
def test_classifiers_of_graphs_are_explained_exactly(name, graphs, tmp_path):
    reason = audited(
        tmp_path, "GRAPHS", graphs, f"ARCHITECTURE = {name}, LAYERS = 2", "GRAPHS 0, 3"
    )
    assert bool(reason) == (name in ("asap", "splinecnn"))  # the plan says why it is not layered


@pytest.mark.parametrize("name", ["gine", "splinecnn", "transformer"])
def test_edge_attributes_move_the_output(name, graph):
    module = build(spec_from_options((("architecture", name), ("layers", 2)), graph))
    tensors = torch.tensor(graph.x), torch.tensor(graph.edge_index), torch.tensor(graph.edge_attr)
    other = module(*tensors[:2], 1 - tensors[2])
    assert not torch.allclose(module(*tensors), other, atol=1e-3)


def test_transformers_do_without_attributes_but_gine_and_splines_do_not(graph):
    plain = Graph(graph.edge_index, graph.x, y=graph.y)
    assert spec_from_options((("architecture", "transformer"),), plain).edge_channels == 0
    for name in ATTRIBUTED:
        with pytest.raises(
            InvalidValue, match=f"{name} uses edge attributes, and the graph has none"
        ):
            spec_from_options((("architecture", name),), plain)


@pytest.mark.parametrize(
    "options, message",
    [
        ((("architecture", "asap"),), "asap classifies graphs, not nodes: ON GRAPHS"),
        ((("alpha", 0.2),), "ALPHA = 0.2, but only appnp has it, not gcn"),
        ((("kernel", 3),), "KERNEL = 3, but only splinecnn has it, not gcn"),
        ((("architecture", "splinecnn"),), "edge attributes go from -1 to 2, but splinecnn takes"),
    ],
)
def test_what_an_architecture_cannot_do_is_refused(options, message, graph):
    beyond = np.where(np.arange(len(graph.edge_attr))[:, None] % 2, -1.0, 2.0)
    other = Graph(graph.edge_index, graph.x, y=graph.y, edge_attr=beyond)
    with pytest.raises(InvalidValue, match=message):
        spec_from_options(options, other)


def test_too_many_control_points_are_refused(graph):
    wide = np.tile(graph.edge_attr, (1, 4))
    other = Graph(graph.edge_index, graph.x, y=graph.y, edge_attr=wide)
    with pytest.raises(
        InvalidValue, match="KERNEL = 5 with 8 edge attributes makes more than 10,000"
    ):
        spec_from_options((("architecture", "splinecnn"),), other)


def test_asap_with_a_norm_is_refused(graphs):
    with pytest.raises(InvalidValue, match="NORM = batch, but asap has no normalisation"):
        spec_from_options((("architecture", "asap"), ("norm", "batch")), graphs)


# splines


def test_a_spline_is_the_product_of_hat_functions():
    """Against the definition: the weight of a control point is a product of hats around it."""
    torch.manual_seed(0)
    x, edge_index = torch.randn(5, 3), torch.tensor([[0, 1, 2, 3, 0], [1, 0, 1, 1, 4]])
    edge_attr = torch.cat([torch.rand(3, 2), torch.tensor([[1.0, 0.0], [0.5, 1.0]])])
    layer = SplineConvolution(3, 4, dim=2, kernel_size=3)
    expected = torch.zeros(5, 4)
    for edge, (tail, head) in enumerate(edge_index.T):
        for first, second in itertools.product(range(3), repeat=2):
            hats = [
                max(0.0, 1 - abs(2 * float(place) - point))
                for place, point in zip(edge_attr[edge], (first, second))
            ]
            message = hats[0] * hats[1] * (x[tail] @ layer.weight[first + 3 * second])
            expected[head] += message / (edge_index[1] == head).sum()
    expected += x @ layer.lin.weight.T + layer.bias
    assert torch.allclose(layer(x, edge_index, edge_attr), expected, atol=1e-5)
    assert torch.allclose(corners(edge_attr, 3)[1].sum(dim=1), torch.ones(5))


@pytest.mark.skipif(not torch_geometric.typing.WITH_SPLINE, reason="PyG's extension is absent")
@pytest.mark.parametrize("dim, kernel_size", [(1, 4), (2, 5), (3, 2)])
def test_a_spline_equals_that_of_pyg(dim, kernel_size):
    from torch_geometric.nn import SplineConv

    torch.manual_seed(0)
    ours = SplineConvolution(3, 4, dim, kernel_size)
    theirs = SplineConv(3, 4, dim, kernel_size)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    x, edge_index, attr = torch.randn(6, 3), torch.randint(6, (2, 20)), torch.rand(20, dim)
    assert torch.allclose(ours(x, edge_index, attr), theirs(x, edge_index, attr), atol=1e-5)


# ASAP


@pytest.mark.parametrize("seed", range(20))
def test_pooling_is_that_of_pyg_where_no_clusters_tie(seed):
    torch.manual_seed(seed)
    pool = ClusterPooling(4, 0.5)
    size = int(torch.randint(1, 20, (1,)))
    batch = torch.unique(torch.randint(0, 3, (size,)).sort().values, return_inverse=True)[1]
    edge_index = torch.randint(0, size, (2, int(torch.randint(0, 40, (1,)))))
    edge_index = edge_index[:, batch[edge_index[0]] == batch[edge_index[1]]]
    x = torch.randn(size, 4)
    torch.nn.init.ones_(pool.select.weight)
    theirs = ASAPooling.forward(pool, x, edge_index, batch=batch)
    pool.select = SteadyTopK(1, 0.5)
    kept, edges, batches = pool(x, edge_index, batch)
    assert torch.allclose(kept, theirs[0], atol=1e-6) and torch.equal(batches, theirs[3])
    assert sorted(edges.T.tolist()) == sorted(theirs[1].T.tolist())


def test_equal_clusters_stay_in_the_order_of_their_nodes():
    batch = torch.tensor([1, 1, 1, 0, 0, 0, 0]).flip(0)
    score = torch.tensor([0.5, 0.5 + 1e-7, 0.9, 0.5 - 1e-7, 0.1, 0.7, 0.3])
    assert highest(score, batch, 0.5).tolist() == [2, 0, 5, 6]
    noise = 1e-7 * torch.tensor([-1.0, 1, 0, 2, 0, 0, 0])
    assert highest(score + noise, batch, 0.5).tolist() == [2, 0, 5, 6]


def test_attributors_learn_through_the_pooling_of_asap(graphs):
    module = build(ArchitectureSpec("asap", 3, 2, layers=2, pooling="mean"))
    model = register(module, graphs, "logits")
    batch = instances_of(model, graphs, np.arange(4)).batch(np.arange(4), torch.device("cpu"))
    mask = torch.ones(batch.edge_index.shape[1], requires_grad=True)
    (slope,) = torch.autograd.grad(log_probabilities(model, batch, mask)[:, 0].sum(), mask)
    assert (slope != 0).float().mean() > 0.5


# the manual


def test_every_option_and_architecture_is_in_the_manual():
    words = set(re.findall(r"\w+", about("TRAIN")))
    assert {*ARCHITECTURES, *TYPED_ARCHITECTURES, *(option.upper() for option in OPTIONS)} <= words


def test_architectures_with_edge_values_are_known():
    assert {*EDGE_VALUES, *ATTRIBUTED} <= set(ARCHITECTURES)
