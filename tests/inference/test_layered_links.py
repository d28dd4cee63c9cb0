"""Models of links run layer by layer: exact on really cut graphs, whatever the decoder; others fall back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch_geometric.nn import GAE, VGAE, GATConv, GCNConv, SAGEConv

from sxq.graph import extract_link
from sxq.inference import CandidateBatch
from sxq.inference.choose import choose, open_backend
from sxq.inference.layered.backend import Layered
from sxq.inference.registration import register
from sxq.inference.tracing.rowwise import Untraceable
from sxq.models.borrow import borrow
from sxq.models.forward import forward_full
from tests.graphs import random_graph
from tests.layered_models import CPU
from tests.link_models import DotGCN, SageMLP


class Encoder(nn.Module):
    """Two layers; of a VGAE with two outputs."""

    def __init__(self, layer=GCNConv, variational=False):
        super().__init__()
        self.first = layer(5, 8)
        self.second = layer(8, 6)
        self.spread = layer(8, 6) if variational else None

    def forward(self, x, edge_index):
        h = self.first(x, edge_index).relu()
        z = self.second(h, edge_index)
        return (z, self.spread(h, edge_index)) if self.spread else z


class Decoded(nn.Module):
    """An encoder, and a decoder with whatever parameters it may need."""

    def __init__(self, decoder, layer=GCNConv):
        super().__init__()
        torch.manual_seed(3)
        self.encoder = Encoder(layer)
        self.lin = nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 1))
        self.bilinear = nn.Bilinear(6, 6, 1)
        self.cosine = nn.CosineSimilarity()
        self.relation = nn.Parameter(torch.randn(6, 6))
        self.decoder = decoder

    def encode(self, x, edge_index):
        return self.encoder(x, edge_index)

    def decode(self, z, edge_label_index):
        return self.decoder(self, z, edge_label_index)


def unpacked(self, z, pairs):
    u, v = pairs
    return (z[u] * z[v]).sum(dim=1)


def both_ends(self, z, pairs):
    u, v = z[pairs]
    return torch.sigmoid(u * v).sum(1)


DECODERS = {
    "dot": lambda self, z, e: (z[e[0]] * z[e[1]]).sum(dim=-1),
    "unpacked": unpacked,
    "both ends": both_ends,
    "product over ends": lambda self, z, e: z[e].tanh().prod(dim=0).sum(-1),
    "mlp": lambda self, z, e: self.lin(torch.cat([z[e[0]], z[e[1]]], dim=-1)).view(-1),
    "mlp squeezed": lambda self, z, e: self.lin(torch.cat([z[e[0]], z[e[1]]], 1)).squeeze(),
    "distance": lambda self, z, e: 2 - (z[e[0]] - z[e[1]]).pow(2).sum(-1).sqrt(),
    "norm": lambda self, z, e: 2 - torch.linalg.norm(z[e[0]] - z[e[1]], dim=-1),
    "pairwise": lambda self, z, e: 2 - functional.pairwise_distance(z[e[0]], z[e[1]]),
    "cosine": lambda self, z, e: functional.cosine_similarity(z[e[0]], z[e[1]]),
    "cosine module": lambda self, z, e: self.cosine(z[e[0]], z[e[1]]),
    "einsum": lambda self, z, e: torch.einsum("nd,nd->n", z[e[0]], z[e[1]]),
    "einsum with a matrix": lambda self, z, e: torch.einsum(
        "nd,dk,nk->n", z[e[0]], self.relation, z[e[1]]
    ),
    "bilinear": lambda self, z, e: self.bilinear(z[e[0]], z[e[1]]),
    "relation": lambda self, z, e: ((z[e[0]] @ self.relation) * z[e[1]]).sum(-1),
    "columns kept": lambda self, z, e: (z[e[0], :] * z[e[1, :]]).sum(-1, keepdim=True),
    "selected": lambda self, z, e: (z.index_select(0, e[0]) - z.index_select(0, e[1])).sum(-1),
    "selected by torch": lambda self, z, e: (
        torch.index_select(z, 0, torch.select(e, 0, 0)) * torch.index_select(z, dim=0, index=e[1])
    ).sum(-1),
}
REFUSED = {
    "mean over nodes": lambda self, z, e: (z[e[0]] * z[e[1]]).sum(-1) - z.mean(dim=0).sum(),
    "between pairs": lambda self, z, e: z[e[0]] @ z[e[1]].T @ torch.ones(e.size(1)),
    "einsum over pairs": lambda self, z, e: torch.einsum("nd,md->n", z[e[0]], z[e[1]]),
    "pairs as numbers": lambda self, z, e: (z[e[0]] * z[e[1]]).sum(-1) + 0.0 * e[0],
    "first node": lambda self, z, e: (z[e[0]] * z[0]).sum(-1),
}


class Weighted(nn.Module):
    """Two layers of GCN."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = GCNConv(5, 8)
        self.second = GCNConv(8, 4)

    def embedded(self, x, edge_index, edge_weight):
        hidden = self.first(x, edge_index, edge_weight).relu()
        return self.second(hidden, edge_index, edge_weight)


class Named(Weighted):
    """Takes the pairs under another name, and the weights of edges."""

    def forward(self, x, edge_index, pairs, edge_weight):
        z = self.embedded(x, edge_index, edge_weight)
        return (z[pairs[0]] * z[pairs[1]]).sum(-1)


class RenamedSteps(Weighted):
    """encode with names of its own."""

    def encode(self, feats, adjacency, strength):
        return self.embedded(feats, adjacency, strength)

    def decode(self, z, which):
        return (z[which[0]] * z[which[1]]).sum(-1)


class Renamed(RenamedSteps):
    """Pairs under a name of its own, too."""

    def forward(self, feats, adjacency, which, strength):
        return self.decode(self.encode(feats, adjacency, strength), which)


class NoLoops(Named):
    """Refuses the pair of a node with itself."""

    def forward(self, x, edge_index, pairs, edge_weight):
        assert (pairs[0] != pairs[1]).all(), "no node is linked to itself"
        return super().forward(x, edge_index, pairs, edge_weight)


MODULES = {
    **{name: lambda own=own: Decoded(own) for name, own in DECODERS.items()},
    "gat": lambda: Decoded(DECODERS["dot"], GATConv),
    "sage": SageMLP,
    "three classes": lambda: SageMLP(columns=3),
    "encode and decode": DotGCN,
    "autoencoder": lambda: GAE(Encoder()),
    "variational": lambda: VGAE(Encoder(variational=True)),
}


def borrowed(module, graph):
    """The model as registration finds it, without its experiments."""
    return replace(borrow(module, graph, "logits", CPU, kind="link"), hops=2, halo=1)


def equal_to_plain(model, graph, pairs, size=9, seed=0):
    """Whether random candidates of several links in one batch get the outputs of really cut graphs."""
    backend = Layered(model)
    rng = np.random.default_rng(seed)
    n = graph.num_nodes
    fields = [extract_link(graph, u * n + v, model.hops, model.halo) for u, v in pairs]
    bits = [rng.random((size, field.num_units)) < rng.random((size, 1)) for field in fields]
    for own in bits:
        own[0] = False
        own[1] = True
    loops = graph.edge_index[0] == graph.edge_index[1]
    batches = [CandidateBatch(backend.load(graph, f), b) for f, b in zip(fields, bits)]
    found = backend.infer(batches)
    alone = [backend.infer([batch])[0] for batch in batches]
    for pair, field, own, *both in zip(pairs, fields, bits, found, alone):
        for row, candidate in enumerate(own):
            inside = np.zeros(graph.num_edges, bool)
            inside[field.edges_of(candidate)] = True
            for side, keep in enumerate((inside | loops, ~inside)):
                plain = forward_full(model, graph, keep, np.array(pair)[:, None])[0]
                for outputs in both:
                    np.testing.assert_allclose(outputs[side, row], plain, atol=1e-5, rtol=1e-5)
    return True


@pytest.mark.parametrize("name", MODULES)
def test_a_decoder_runs_layer_by_layer(name):
    graph = random_graph(np.random.default_rng(len(name)), undirected=len(name) % 2 == 0)
    model = borrowed(MODULES[name](), graph)
    edge = next(edge for edge in graph.edge_index.T.tolist() if edge[0] != edge[1])
    assert equal_to_plain(model, graph, [tuple(edge), (5, 9), (9, 5), (23, 0)])


@pytest.mark.parametrize("name", ["mlp", "encode and decode"])
def test_registration_checks_it_and_gives_no_reason(name):
    model = register(MODULES[name](), random_graph(np.random.default_rng(1)), "logits", kind="link")
    assert (model.backend, model.reason) == ("layered", "")


@pytest.mark.parametrize("name", REFUSED)
def test_what_looks_at_other_rows_is_not_layered(name):
    graph = random_graph(np.random.default_rng(1))
    model = borrowed(MODULES["dot"](), graph)
    model.module.module.decoder = REFUSED[name]
    with pytest.raises(Untraceable):
        Layered(model)


def test_pairs_under_another_name_and_weights_of_edges():
    graph = random_graph(np.random.default_rng(2), weighted=True)
    model = register(Named(), graph, "logits")
    assert (model.backend, model.reason) == ("layered", "")
    assert equal_to_plain(model, graph, [(5, 9), (0, 1)])


ENDS = {"feats": "x", "adjacency": "edge_index", "strength": "edge_weight"}


@pytest.mark.parametrize(
    "module, inputs",
    [
        (RenamedSteps, {"strength": "edge_weight"}),
        (RenamedSteps, ENDS),
        (Renamed, {"which": "edge_label_index", "strength": "edge_weight"}),
        (Renamed, ENDS | {"which": "edge_label_index"}),
    ],
)
def test_arguments_by_other_names(module, inputs):
    graph = random_graph(np.random.default_rng(2), weighted=True)
    model = borrow(module(), graph, "logits", CPU, kind="link", inputs=inputs)
    assert torch.equal(model.full, borrow(Named(), graph, "logits", CPU).full)
    assert equal_to_plain(replace(model, hops=2, halo=1), graph, [(5, 9), (0, 1)], size=4)


def test_a_model_that_refuses_the_pair_of_a_node_with_itself():
    graph = random_graph(np.random.default_rng(2), weighted=True)
    found = register(NoLoops(), graph, "logits")
    assert (found.hops, found.backend) == (2, "disjoint")


def test_the_module_keeps_no_trace_of_the_recording():
    graph = random_graph(np.random.default_rng(1))
    model = borrowed(VGAE(Encoder(variational=True)), graph)
    Layered(model)
    inner = model.module.module
    assert all(
        isinstance(v, torch.Tensor) for k, v in vars(inner).items() if k in ("__mu__", "__logstd__")
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from(["dot", "mlp", "distance"]))
def test_small_random_graphs(seed, undirected, name):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, nodes=9, edges=10, undirected=undirected)
    model = borrowed(Decoded(DECODERS[name], SAGEConv), graph)
    u, v = rng.choice(9, 2, replace=False).tolist()
    assert equal_to_plain(model, graph, [(u, v), (v, u)], size=4, seed=seed)


def test_the_setting_disjoint_is_heard():
    graph = random_graph(np.random.default_rng(1))
    model = borrowed(DotGCN(), graph)
    assert choose(model, graph, "disjoint")[0] == "disjoint"
    assert choose(model, graph, "layered")[0] == "layered"
    assert open_backend("layered", model).steps.hops == 2
