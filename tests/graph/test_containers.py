"""A container of graphs is several targets, and never taken for one graph."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Subset
from torch_geometric.data import Batch, Data, Dataset, InMemoryDataset
from torch_geometric.explain import Explainer
from torch_geometric.loader import DataLoader, NeighborLoader
from torch_geometric.nn import GCNConv, global_mean_pool

import sxq
from sxq.pyg import SkylineExplainer


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.last = GCNConv(5, 8), nn.Linear(8, 2)

    def forward(self, x, edge_index, batch):
        return self.last(global_mean_pool(self.a(x, edge_index).relu(), batch))


def six():
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for i in range(6):
        ends = torch.randint(0, 8 + i, (2, 12), generator=generator)
        x = torch.randn(8 + i, 5, generator=generator) * (1 + i)
        graphs.append(Data(x=x, edge_index=torch.cat([ends, ends.flip(0)], 1)))
    return graphs


class Held(Dataset):
    def len(self):
        return 6

    def get(self, number):
        return six()[number]


class InMemory(InMemoryDataset):
    def __init__(self):
        super().__init__()
        self.data, self.slices = self.collate(six())


class Plain(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, number):
        if number >= 6:
            raise IndexError(number)
        return six()[number]


def unnamed(graphs):
    batch = Batch.from_data_list(graphs)
    return Data(x=batch.x, edge_index=batch.edge_index, batch=batch.batch)


CONTAINERS = {
    "list": six,
    "tuple": lambda: tuple(six()),
    "generator": lambda: iter(six()),
    "Batch": lambda: Batch.from_data_list(six()),
    "Data with batch": lambda: unnamed(six()),
    "batches": lambda: [Batch.from_data_list(six()[:2]), *six()[2:]],
    "DataLoader": lambda: DataLoader(six(), batch_size=2),
    "shuffled": lambda: DataLoader(six(), batch_size=4, shuffle=True),
    "data set": Held,
    "in memory": InMemory,
    "torch data set": Plain,
    "subset": lambda: Subset(six(), range(6)),
}


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_graph_of_a_container_is_a_target(kind):
    model = Pooled().eval()
    batch = Batch.from_data_list(six())
    right = model(batch.x, batch.edge_index, batch.batch).softmax(1).max(1).values
    found = sxq.explain(model, CONTAINERS[kind](), budget=20)
    assert [target.target for target in found.targets] == list(range(6))
    assert [target.probability for target in found.targets] == pytest.approx(
        right.tolist(), abs=1e-5
    )


def test_several_graphs_are_not_one():
    with sxq.connect() as con:
        for kind in ("Batch", "Data with batch"):
            with pytest.raises(
                sxq.GraphError, match="batch of 6 graphs.*register_graphs.*one graph"
            ):
                con.register_graph("g", CONTAINERS[kind]())
        for kind in ("list", "data set", "in memory"):
            with pytest.raises(sxq.DataError, match=r"6 graphs; register_graphs.*data\[0\]"):
                con.register_graph("g", CONTAINERS[kind]())
        con.register_graph("one", six()[:1])
        con.register_graph("batched", Batch.from_data_list(six()[:1]))


def test_other_data_are_refused():
    loader = NeighborLoader(six()[5], num_neighbors=[-1], batch_size=2) if _sampler() else None
    with sxq.connect() as con:
        for data in ("MUTAG", {"x": 1}, 3, None, [3], loader):
            with pytest.raises(sxq.DataError):
                con.register_graphs("g", data)
        for data in ("MUTAG", {"x": 1}, 3, None, [3], loader):
            with pytest.raises(sxq.DataError):
                con.register_graph("g", data)


def _sampler() -> bool:
    try:
        NeighborLoader(six()[5], num_neighbors=[-1], batch_size=2)
    except ImportError:
        return False
    return True


@pytest.mark.slow
def test_the_pyg_explainer_takes_a_batch():
    model = Pooled().eval()
    batch = Batch.from_data_list(six()[:3])
    out = model(batch.x, batch.edge_index, batch.batch).softmax(1).max(1).values.tolist()
    config = {"mode": "multiclass_classification", "task_level": "graph", "return_type": "raw"}
    explainer = Explainer(
        model,
        SkylineExplainer(k=2, budget=30),
        explanation_type="model",
        edge_mask_type="object",
        model_config=config,
    )
    whole = explainer(batch.x, batch.edge_index, batch=batch.batch)
    assert [target.probability for target in whole.result.targets] == pytest.approx(out, abs=1e-5)
    for number in range(3):
        one = explainer(batch.x, batch.edge_index, batch=batch.batch, index=number)
        assert one.result.targets[0].probability == pytest.approx(out[number], abs=1e-5)
        owners = batch.batch[batch.edge_index[0]]
        assert (owners[one.edge_mask > 0] == number).all() and one.edge_mask.any()
    with pytest.raises(sxq.InvalidValue, match="0 to 2"):
        explainer(batch.x, batch.edge_index, batch=batch.batch, index=3)


class Weighted(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.last = GCNConv(5, 8), nn.Linear(8, 2)

    def forward(self, x, edge_index, batch, edge_weight=None):
        return self.last(global_mean_pool(self.a(x, edge_index, edge_weight).relu(), batch))


def cycles():
    """One `Data` of five directed cycles, whose edges are as many as its nodes and not in order."""
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for n in range(6, 11):
        ends = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
        weight = torch.rand(n, generator=generator) * 3
        x = torch.randn(n, 5, generator=generator) * n
        graphs.append(Data(x=x, edge_index=ends, edge_weight=weight, y=torch.tensor([n % 2])))
    batch = Batch.from_data_list(graphs)
    order = torch.randperm(batch.num_edges, generator=generator)
    return Data(
        x=batch.x,
        edge_index=batch.edge_index[:, order],
        edge_weight=batch.edge_weight[order],
        batch=batch.batch,
        y=batch.y,
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", [lambda t: t, lambda t: t.numpy(), lambda t: t.tolist()])
def test_a_data_of_several_graphs_is_parted_with_its_weights_and_labels(way):
    data, model = cycles(), Weighted().eval()
    right = model(data.x, data.edge_index, data.batch, data.edge_weight).softmax(1).max(1).values
    for name in ("edge_weight", "batch", "y"):
        data[name] = way(data[name])
    found = sxq.explain(model, data, budget=20)
    assert [t.probability for t in found.targets] == pytest.approx(right.tolist(), abs=1e-5)
    with sxq.connect() as con:
        con.register_graphs("g", data)
        assert ("classes", "2") in con.execute("DESCRIBE GRAPHS g").rows


@pytest.mark.parametrize("y", [1, 1.0, torch.tensor(1), np.int64(1), [1], np.array([1])])
def test_the_class_of_a_graph_is_a_number_in_any_form(y):
    data = [Data(x=g.x, edge_index=g.edge_index, y=y) for g in six()]
    with sxq.connect() as con:
        con.register_graphs("g", data)
        assert ("classes", "2") in con.execute("DESCRIBE GRAPHS g").rows


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("batch", lambda d: d.batch - 1, "batch is -1 for node 0"),
        ("batch", lambda d: d.batch + 0.5, "batch is 0.5 for node 0"),
        ("batch", lambda d: d.batch * 10**12, "batch is 1000000000000 for node 6"),
        ("batch", lambda d: d.batch[:-2], "batch has 38 values, expected one for each of 40"),
        ("batch", lambda d: d.batch[:, None], r"batch has shape \[40, 1\]"),
        ("batch", lambda d: ["a"] * 40, "batch is a list of 40, the first str"),
        ("edge_index", lambda d: d.edge_index + 1, "but nodes are 0 to 39"),
        ("edge_index", lambda d: d.edge_index.float(), "edge_index has type float32"),
        ("edge_index", lambda d: None, "no edge_index"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(field, value, message):
    data = cycles()
    data[field] = value(data)
    with sxq.connect() as con, pytest.raises(sxq.Error, match=message):
        con.register_graphs("g", data)
