"""What a module of a heterogeneous graph is given, and what is refused by name."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import GCNConv, HeteroConv, SAGEConv, to_hetero

import sxq
from sxq.errors import GraphError, ModelError, ModelOutputError
from sxq.graph import Graph
from sxq.inference.registration import attach, register, transfer
from sxq.models import graphs_from_data
from sxq.models.hetero_data import hetero_from_graph, typed_graph
from tests.typed_models import Sage, bank, model

PAYS = ("account", "pays", "merchant")


def data_with(**fields):
    """The bank with further fields: at every type of nodes or of edges."""
    data = bank(1)
    generator = torch.Generator().manual_seed(9)
    stores = {"time": data.node_stores, "edge_weight": data.edge_stores}
    for name, made in fields.items():
        for store in stores.get(name, data.edge_stores):
            rows = store.edge_index.shape[1] if "edge_index" in store else len(store.x)
            store[name] = made(rows, generator)
    return data


class Mean(nn.Module):
    """Payments to merchants, summed: what it makes of x and edge_index by type is easy to see."""

    def of(self, x, edge_index, values=None):
        tail, head = edge_index[PAYS]
        found = x["merchant"].new_zeros(len(x["merchant"]), 2)
        sent = x["account"][tail, :2]
        if values is not None:
            sent = sent * (values[:, None] if values.ndim == 1 else values[:, :1])
        return found.index_add(0, head, sent)


class ByPosition(Mean):
    def forward(self, x_dict, edge_index_dict):
        return {"merchant": self.of(x_dict, edge_index_dict)}


class ByName(Mean):
    def forward(self, edge_index_dict, *, x_dict):
        return {"merchant": self.of(x_dict, edge_index_dict)}


class OtherNames(Mean):
    def forward(self, features, edges):
        return {"merchant": self.of(features, edges)}


class Anything(Mean):
    def forward(self, *args):
        return {"merchant": self.of(*args)}


class OneTensor(Mean):
    def forward(self, x_dict, edge_index_dict):
        return self.of(x_dict, edge_index_dict)


class WholeData(Mean):
    def forward(self, data: HeteroData):
        assert isinstance(data, HeteroData)
        assert data.metadata() == bank(1).metadata()
        assert data["account"].num_nodes == len(data["account"].x)
        return {"merchant": self.of(data.x_dict, data.edge_index_dict)}


@pytest.mark.parametrize("kind", [ByPosition, ByName, OtherNames, Anything, OneTensor, WholeData])
def test_a_module_gets_its_dictionaries_in_its_own_way(kind):
    data = bank(1)
    graph = typed_graph(data)
    found = register(kind(), graph, output="logits")
    assert found.judged == ("merchant",)
    assert found.targets(graph).tolist() == list(range(14, 20))
    expected = Mean().of(data.x_dict, data.edge_index_dict)
    assert torch.equal(found.full[14:20], expected)
    assert not found.full[:14].any() and not found.full[20:].any()


class Weighted(Mean):
    def forward(self, x_dict, edge_index_dict, edge_weight_dict):
        return {"merchant": self.of(x_dict, edge_index_dict, edge_weight_dict[PAYS])}


class WeightedOtherwise(Mean):
    def forward(self, x_dict, edge_index_dict, weight_dict):
        return {"merchant": self.of(x_dict, edge_index_dict, weight_dict[PAYS])}


class Timed(Mean):
    def forward(self, x_dict, edge_index_dict, time_dict):
        assert time_dict["account"].dtype == torch.long
        x = {name: own * time_dict[name][:, None] for name, own in x_dict.items()}
        return {"merchant": self.of(x, edge_index_dict)}


class Keywords(Mean):
    def forward(self, x_dict, edge_index_dict, **more):
        return {"merchant": self.of(x_dict, edge_index_dict, more["edge_weight"][PAYS])}


def test_further_inputs_come_by_type():
    data = data_with(edge_weight=lambda rows, g: torch.rand(rows, generator=g))
    graph = typed_graph(data)
    expected = Mean().of(data.x_dict, data.edge_index_dict, data[PAYS].edge_weight)
    for kind in (Weighted, WeightedOtherwise, Keywords):
        assert torch.equal(register(kind(), graph, output="logits").full[14:20], expected)
    data = data_with(time=lambda rows, g: torch.randint(1, 9, (rows,), generator=g))
    x = {name: data[name].x * data[name].time[:, None] for name in data.node_types}
    found = register(Timed(), typed_graph(data), output="logits")
    assert torch.equal(found.full[14:20], Mean().of(x, data.edge_index_dict))


class Attributed(Mean):
    def forward(self, x_dict, edge_index_dict, edge_attr_dict):
        assert set(edge_attr_dict) == {PAYS, ("device", "used_by", "account")}
        assert edge_attr_dict[PAYS].shape[1] == 3
        assert edge_attr_dict["device", "used_by", "account"].shape[1] == 1
        return {"merchant": self.of(x_dict, edge_index_dict, edge_attr_dict[PAYS])}


def test_attributes_have_the_columns_of_their_type():
    data = bank(1)
    data[PAYS].edge_attr = torch.rand(data[PAYS].num_edges, 3)
    used = data["device", "used_by", "account"]
    used.edge_attr = torch.rand(used.num_edges, 1)
    found = register(Attributed(), typed_graph(data), output="logits")
    expected = Mean().of(data.x_dict, data.edge_index_dict, data[PAYS].edge_attr)
    assert torch.equal(found.full[14:20], expected)


class Numbers(nn.Module):
    """An embedding by node, as models of nodes without features have."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Embedding(50, 2)

    def forward(self, x_dict, edge_index_dict):
        assert all(own.ndim == 1 and own.dtype == torch.long for own in x_dict.values())
        x = {name: self.rows(own) for name, own in x_dict.items()}
        return {"merchant": Mean().of(x, edge_index_dict)}


def test_x_of_whole_numbers_stays_as_it_is():
    data = bank(1)
    for store in data.node_stores:
        store.x = torch.arange(len(store.x))
    module = Numbers()
    found = register(module, typed_graph(data), output="logits")
    with torch.no_grad():
        assert torch.equal(found.full[14:20], module(data.x_dict, data.edge_index_dict)["merchant"])
    assert found.hops == 1


class TwoWidths(Mean):
    def forward(self, x_dict, edge_index_dict):
        return {"merchant": self.of(x_dict, edge_index_dict), "account": x_dict["account"][:, :3]}


class Rows(nn.Module):
    """As many rows as it is told, in one tensor."""

    def __init__(self, rows, columns=2):
        super().__init__()
        self.shape = (rows, columns) if columns else (rows,)

    def forward(self, x_dict, edge_index_dict):
        return torch.arange(float(np.prod(self.shape))).reshape(self.shape) - 3


class Nothing(nn.Module):
    def forward(self, x_dict, edge_index_dict):
        return {"account": None}


@pytest.mark.parametrize(
    "module, data, message",
    [
        (
            TwoWidths(),
            bank(1),
            r"several widths \(merchant \[6, 2\], account \[14, 3\]\): say which",
        ),
        (
            Rows(6),
            bank(1, devices=6),
            "as many nodes of type merchant and of type device: say whose",
        ),
        (Rows(9), bank(1), r"returned 9 rows; expected .* \(the graph has 14 account, 6 merchant"),
        (
            Rows(6, 0),
            bank(1),
            r"shape \[6\] for merchant, expected \[6, classes\].* is it squeezed",
        ),
        (Nothing(), bank(1), "returned no output of any node type"),
    ],
)
def test_outputs_that_do_not_tell_their_nodes(module, data, message):
    with pytest.raises(ModelOutputError, match=message):
        register(module, typed_graph(data), output="logits")


def test_node_type_says_which_outputs_are_meant():
    graph = typed_graph(bank(1))
    found = register(TwoWidths(), graph, output="logits", node_type="account")
    assert found.judged == ("account",)
    assert found.full.shape == (24, 3)
    again = attach(
        TwoWidths(), graph, {"hops": 1, "halo": 0, "output": "logits", "node_type": "account"}
    )
    assert again.judged == ("account",)
    other = transfer(found, typed_graph(bank(2)))
    assert other.judged == ("account",)
    with pytest.raises(
        ModelOutputError, match="node_type = 'device', but the model returns outputs"
    ):
        register(TwoWidths(), graph, output="logits", node_type="device")
    with pytest.raises(GraphError, match="no node type 'shop'; node types are account, merchant"):
        register(TwoWidths(), graph, output="logits", node_type="shop")


def test_one_table_of_all_nodes():
    """Rows of all nodes, type by type; also where a batch has nodes in another order."""

    class Joined(nn.Module):
        def forward(self, x_dict, edge_index_dict):
            tail, head = edge_index_dict[PAYS]
            sums = x_dict["merchant"][:, :2].index_add(0, head, x_dict["account"][tail, :2])
            others = [x_dict[name][:, :2] for name in ("account", "device")]
            return torch.cat([others[0], sums, others[1]])

    graph = typed_graph(bank(1))
    found = register(Joined(), graph, output="logits")
    assert found.judged == ("account", "merchant", "device")
    assert found.hops == 1


class Adjacency(nn.Module):
    def forward(self, x_dict, adj_t_dict):
        return x_dict


class Lacking(nn.Module):
    def forward(self, x_dict, edge_index_dict, edge_attr_dict):
        return x_dict


class Clash(nn.Module):
    def forward(self, x_dict, edge_index_dict, node_type):
        return x_dict


class NotTyped(nn.Module):
    def forward(self, x, edge_index):
        return x.no_such_thing + edge_index


@pytest.mark.parametrize(
    "module, message",
    [
        (Adjacency(), "takes adj_t_dict, adjacency matrices by type, and sxq passes edges"),
        (Lacking(), "nothing fills edge_attr"),
        (Clash(), "takes node_type beside dictionaries by type"),
        (
            NotTyped(),
            "called with dictionaries by type, .* called with x and edge_index of all nodes",
        ),
    ],
)
def test_what_cannot_be_passed_is_refused(module, message):
    with pytest.raises(ModelError, match=message):
        register(module, typed_graph(bank(1)), output="logits")


class Dated(Mean):
    """Payments have times, and accounts have ages; what has none gets none."""

    def forward(self, x_dict, edge_index_dict, time_dict, age_dict):
        assert list(time_dict) == [PAYS] and list(age_dict) == ["account"]
        x = {**x_dict, "account": x_dict["account"] * age_dict["account"][:, None]}
        return {"merchant": self.of(x, edge_index_dict, time_dict[PAYS])}


class DatedData(Dated):
    def forward(self, data):
        return super().forward(data.x_dict, data.edge_index_dict, data.time_dict, data.age_dict)


class OneTableWithTime(nn.Module):
    def forward(self, x, edge_index, edge_type, time):
        return x


def dated():
    data = bank(1)
    generator = torch.Generator().manual_seed(2)
    data[PAYS].time = torch.rand(data[PAYS].edge_index.shape[1], generator=generator)
    data["account"].age = torch.rand(14, generator=generator)
    return data


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Dated, DatedData])
def test_fields_that_only_some_types_have(kind):
    data = dated()
    with sxq.connect() as con:
        con.register_graph("g", data)
        con.register_model("m", kind(), "g", output="logits")
        ask = "EXPLAIN NODE 2 OF TYPE merchant USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 3"
        found = con.execute(ask)
        times, ages = {PAYS: data[PAYS].time}, {"account": data["account"].age}
        right = Dated()(data.x_dict, data.edge_index_dict, times, ages)["merchant"][2]
        assert abs(found.targets[0].probability - right.softmax(0).max().item()) < 1e-5
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}
        again = hetero_from_graph(con.session.registry.graphs["g"])
    assert [name for name, store in again.edge_items() if "time" in store] == [PAYS]
    assert [name for name, store in again.node_items() if "age" in store] == ["account"]


def test_one_table_gets_no_field_that_some_types_lack():
    said = "takes time, and the data's .*time is lacking, which other types have"
    with pytest.raises(ModelError, match=said):
        register(OneTableWithTime(), typed_graph(dated()), output="logits")


def test_graphs_of_which_only_some_lack_a_field():
    both = [dated(), dated()]
    both[1]["merchant"].age = torch.ones(6)
    union = graphs_from_data(both).union
    assert (
        "age" not in union.node_inputs and "age" in union.left_out and "time" in union.edge_inputs
    )


class Renamed(Mean):
    def forward(self, feats, links, strength_dict):
        return {"merchant": self.of(feats, links, strength_dict[PAYS])}


class RenamedOfAny(Mean):
    def forward(self, x_dict, edge_index_dict, **more):
        return {"merchant": self.of(x_dict, edge_index_dict, more["strength"][PAYS])}


class RenamedOfData(Mean):
    def forward(self, data):
        return {"merchant": self.of(data.x_dict, data.edge_index_dict, data[PAYS].strength)}


@pytest.mark.parametrize(
    "kind, inputs",
    [
        (Renamed, {"strength_dict": "edge_weight"}),
        (Renamed, {"strength": "edge_weight_dict"}),
        (
            Renamed,
            {"feats": "x_dict", "links": "edge_index_dict", "strength_dict": "edge_weight_dict"},
        ),
        (RenamedOfAny, {"strength": "edge_weight"}),
        (RenamedOfData, {"strength": "edge_weight"}),
    ],
)
def test_arguments_by_other_names(kind, inputs):
    data = data_with(edge_weight=lambda rows, generator: torch.rand(rows, generator=generator))
    found = register(kind(), typed_graph(data), output="logits", inputs=inputs)
    right = Mean().of(data.x_dict, data.edge_index_dict, data[PAYS].edge_weight)
    assert torch.equal(found.full[torch.from_numpy(found.targets(typed_graph(data)))], right)


@pytest.mark.parametrize(
    "inputs, message",
    [
        ({}, "forward\\(feats, links, strength_dict\\).*nothing fills strength.*inputs="),
        ({"w": "edge_weight"}, "has no argument w"),
        ({"strength": "amount"}, "the data has no amount; it has x, edge_index, edge_weight"),
        (
            {"feats": "x", "strength": "edge_weight"},
            "which arguments get x_dict and edge_index_dict",
        ),
    ],
)
def test_wrong_names_are_refused(inputs, message):
    data = data_with(edge_weight=lambda rows, generator: torch.rand(rows, generator=generator))
    with pytest.raises(ModelError, match=message):
        register(Renamed(), typed_graph(data), output="logits", inputs=inputs)


def test_models_of_types_need_a_graph_with_types():
    graph = Graph(np.array([[0, 1], [1, 2]]), np.ones((3, 2)))
    with pytest.raises(
        ModelError, match="takes x_dict, edge_index_dict, but the graph has no types"
    ):
        register(ByPosition(), graph)
    with pytest.raises(ModelError, match="node_type = 'account', but the graph has no types"):
        register(GCNConv(2, 2), graph, node_type="account")


def test_a_lazy_model_runs_once_before():
    data = bank(1)
    lazy = to_hetero(Sage(), data.metadata())
    with pytest.raises(ModelError, match="has no values yet .*; run one forward of your own model"):
        register(lazy, typed_graph(data))


def test_layers_of_edge_types_that_the_graph_lacks_are_left_out():
    """A lazy layer of a type that no forward has seen has no values, and is not needed."""
    data = bank(1)
    names = [*data.edge_types, ("merchant", "near", "merchant")]
    module = HeteroConv({name: SAGEConv((-1, -1), 2) for name in names}).eval()
    with torch.no_grad():
        expected = module(data.x_dict, data.edge_index_dict)["account"]
    found = register(module, typed_graph(data), output="logits")
    assert torch.equal(found.full[:14], expected)


class OneTable(nn.Module):
    """It sees nodes of all types alike."""

    def __init__(self):
        super().__init__()
        self.layer = GCNConv(5, 2)

    def forward(self, x, edge_index):
        return self.layer(x, edge_index)


def test_a_model_that_ignores_types_is_told_so():
    with (
        sxq.connect() as con,
        pytest.warns(sxq.InputWarning, match="does not take the graph's edge_type"),
    ):
        con.register_graph("bank", typed_graph(bank(1)))
        con.register_model("m", OneTable(), "bank", output="logits", node_type="account")
        assert ("targets", "nodes of type account") in con.execute("DESCRIBE MODEL m").fetchall()


def test_the_module_is_left_as_it_is():
    data = bank(1)
    module = model("layered", data)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    kept = {name: dict(vars(part)) for name, part in module.named_modules()}
    with sxq.connect() as con:
        con.register_graph("bank", typed_graph(data))
        con.register_model("m", module, "bank")
        con.execute(
            "EXPLAIN NODE 9 USING MODEL m OPTIMIZE fdl+, conc BY sa, gnnexplainer(epochs = 2)"
        )
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    for name, part in module.named_modules():
        assert vars(part).keys() == kept[name].keys()
        assert vars(part).get("_edge_mask") is None
