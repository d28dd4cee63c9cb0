"""What the graph has and forward could take reaches the model, or is refused by name."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.explain import Explainer
from torch_geometric.nn import GCNConv, RGCNConv, Sequential, global_mean_pool

import sxq
from sxq.models.pyg_data import graph_from_data
from sxq.pyg import SkylineExplainer

NODES, EDGES = 40, 240


def tensors():
    generator = torch.Generator().manual_seed(0)
    one_way = torch.randint(0, NODES, (2, EDGES // 2), generator=generator)
    edge_index = torch.cat([one_way, one_way.flip(0)], 1)
    weight = torch.rand(EDGES // 2, generator=generator).repeat(2) * 3
    return torch.randn(NODES, 6, generator=generator), edge_index, weight


X, E, W = tensors()
KIND = (torch.arange(EDGES // 2) % 3).repeat(2)
SHIFT = torch.linspace(-2, 2, NODES)


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = GCNConv(6, 8), GCNConv(8, 3)

    def forward(self, x, edge_index, edge_weight=None):
        return self.b(self.a(x, edge_index, edge_weight).relu(), edge_index, edge_weight)


class Around(nn.Module):
    """A module around the GCN, whose forward is one of those below."""

    def __init__(self):
        super().__init__()
        self.module = GCN()


class AnyName(Around):
    def forward(self, x, edge_index, **kwargs):
        return self.module(x, edge_index, **kwargs)


class Anything(Around):
    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)


class OtherName(Around):
    def forward(self, x, edge_index, weights=None):
        return self.module(x, edge_index, weights)


class Turned(Around):
    def forward(self, edge_index, x, edge_weight=None):
        return self.module(x, edge_index, edge_weight)


class Last(Around):
    def forward(self, x, edge_weight, edge_index):
        return self.module(x, edge_index, edge_weight)


class OneData(Around):
    def forward(self, data):
        return self.module(data.x, data.edge_index, data.edge_weight)


class NoKeywords(Around):
    def forward(self, x, edge_index, edge_weight, /):
        return self.module(x, edge_index, edge_weight)


class Keywords(Around):
    def forward(self, *, x, edge_index, edge_weight=None):
        return self.module(x, edge_index, edge_weight)


def in_sequence():
    gcn = GCN()
    return Sequential(
        "x, edge_index, edge_weight",
        [
            (gcn.a, "x, edge_index, edge_weight -> x"),
            torch.relu,
            (gcn.b, "x, edge_index, edge_weight -> x"),
        ],
    )


PLAIN = {"edge_weight": W}
CASES = {
    "compiled": (lambda: torch.compile(GCN(), backend="eager"), PLAIN),
    "DataParallel": (lambda: nn.DataParallel(GCN()), PLAIN),
    "scripted": (lambda: torch.jit.script(GCN()), PLAIN),
    "**kwargs": (AnyName, PLAIN),
    "*args, **kwargs": (Anything, PLAIN),
    "weights": (OtherName, PLAIN),
    "edge_index, x": (Turned, PLAIN),
    "edge_weight, edge_index": (Last, PLAIN),
    "data": (OneData, PLAIN),
    "positional only": (NoKeywords, PLAIN),
    "keyword only": (Keywords, PLAIN),
    "Sequential": (in_sequence, PLAIN),
    "weights in edge_attr": (GCN, {"edge_attr": W}),
    "weights in a column of edge_attr": (GCN, {"edge_attr": W[:, None]}),
    "weights in edge_attr, **kwargs": (AnyName, {"edge_attr": W}),
    "a field of the argument's name": (OtherName, {"weights": W}),
    "a field of another name": (GCN, {"weight": W}),
    "numpy": (GCN, {"edge_weight": W.numpy()}),
    "a list": (GCN, {"edge_weight": W.tolist()}),
}


def explained(model, data, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sxq.InputWarning)
        return sxq.explain(model, data, node=0, budget=40, **options).targets[0]


@pytest.mark.slow
@pytest.mark.sweep(4)
@pytest.mark.parametrize("case", CASES)
def test_weights_reach_the_model(case):
    make, fields = CASES[case]
    right = GCN()(X, E, W).softmax(1)[0].max().item()
    assert explained(make().eval(), Data(x=X, edge_index=E, **fields)).probability == pytest.approx(
        right, abs=1e-5
    )


class Relations(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = RGCNConv(6, 3, 3)

    def forward(self, x, edge_index, edge_type=None, shift=None):
        edge_type = torch.zeros_like(edge_index[0]) if edge_type is None else edge_type
        return self.a(x if shift is None else x * shift[:, None], edge_index, edge_type)


@pytest.mark.slow
def test_inputs_by_name_are_cut_along():
    """Every stored value is what the model gives with the edges, and their rows, really removed."""
    model = Relations().eval()
    with sxq.connect() as con:
        con.register_graph("g", Data(x=X, edge_index=E, edge_type=KIND, shift=SHIFT))
        con.register_model("m", model, "g", output="logits")
        found = (
            con.explain(node=0).using("m").optimize("fdl+", "fdl-", "conc").top(3).budget(80).run()
        )
        assert found.targets[0].probability == pytest.approx(
            model(X, E, KIND, SHIFT).softmax(1)[0].max().item(), abs=1e-5
        )
        for member in found:
            kept = np.zeros(EDGES, bool)
            kept[member.edge_numbers] = True
            kept = torch.from_numpy(kept)
            loops = E[0] == E[1]
            c = found.targets[0].prediction
            with torch.no_grad():
                p, alone, without = (
                    model(X, E[:, some], KIND[some], SHIFT).softmax(1)[0, c].item()
                    for some in (kept | True, kept | loops, ~kept)
                )
            assert member.raw["fdl+"] == pytest.approx(p - without, abs=1e-5)
            assert member.raw["fdl-"] == pytest.approx(p - alone, abs=1e-5)


def test_the_pyg_explainer_passes_on_or_refuses():
    model = Relations().eval()
    config = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}
    explainer = Explainer(
        model,
        SkylineExplainer(k=2, budget=40),
        explanation_type="model",
        edge_mask_type="object",
        model_config=config,
    )
    found = explainer(X, E, edge_type=KIND, index=0)
    right = model(X, E, KIND).softmax(1)[0].max().item()
    assert found.result.targets[0].probability == pytest.approx(right, abs=1e-5)

    class Flagged(Relations):
        def forward(self, x, edge_index, scale):
            return super().forward(x * scale[0], edge_index, KIND[: edge_index.shape[1]])

    explainer.model = Flagged().eval()
    with pytest.raises(sxq.InvalidValue, match="scale"):
        explainer(X, E, scale=torch.ones(7), index=0)


@pytest.mark.slow
def test_what_cannot_be_passed_is_refused_by_name():
    class Global(Relations):
        def forward(self, x, edge_index, u=None):
            return super().forward(x if u is None else x * u.sum(), edge_index)

    class Needs(Relations):
        def forward(self, x, edge_index, edge_type):
            return super().forward(x, edge_index, edge_type)

    class NoNames(Around):
        def forward(self, *args):
            return self.module(*args)

    for model, fields, said in (
        (Global, {"u": torch.ones(2, 5)}, r"u is float32 \[2, 5\]"),
        (Global, {"u": "warm"}, "u is of type str"),
        (Needs, {}, "nothing fills edge_type"),
        (NoNames, {"edge_weight": W}, "edge_weight"),
        (Relations, {"edge_type": KIND, "shift": torch.ones(3)}, "shift"),
    ):
        with pytest.raises(sxq.ModelError, match=said):
            explained(model().eval(), Data(x=X, edge_index=E, **fields), output="logits")


class TakesLabels(Around):
    def forward(self, x, edge_index, y=None):
        shift = 0 if y is None else 3 * nn.functional.one_hot(y, 3)
        return self.module(x, edge_index) + shift


class TakesSplit(Around):
    def forward(self, x, edge_index, train_mask=None):
        x = x if train_mask is None else x * train_mask[:, None]
        return self.module(x, edge_index)


class TakesTruth(Around):
    def forward(self, x, edge_index, edge_mask=None):
        return self.module(x, edge_index, edge_mask)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model, field, values",
    [
        (TakesLabels, "y", torch.arange(NODES) % 3),
        (TakesSplit, "train_mask", torch.arange(NODES) % 2 == 0),
        (TakesTruth, "edge_mask", (torch.arange(EDGES // 2) % 2).repeat(2).float()),
    ],
)
def test_labels_and_splits_that_forward_takes_are_refused_by_name(model, field, values):
    data = Data(x=X, edge_index=E, **{field: values})
    with pytest.raises(sxq.ModelError, match=f"takes {field}, which sxq reads as"):
        sxq.explain(model().eval(), data, node=0, budget=20)
    without = sxq.explain(model().eval(), Data(x=X, edge_index=E), node=0, budget=20)
    assert without.targets[0].probability == pytest.approx(
        float(model().eval()(X, E).softmax(1)[0].max()), abs=1e-5
    )


@pytest.mark.slow
def test_what_is_not_taken_is_said_once_and_described():
    class Blind(Around):
        def forward(self, x, edge_index):
            return self.module(x, edge_index)

    with sxq.connect() as con:
        con.register_graph(
            "g", Data(x=X, edge_index=E, edge_weight=W, edge_attr=torch.rand(EDGES, 2))
        )
        with pytest.warns(
            sxq.InputWarning, match="does not take the graph's edge_weight, edge_attr"
        ) as said:
            con.register_model("m", Blind().eval(), "g", output="logits")
        assert said[0].filename == __file__  # it points at the caller
        assert dict(con.execute("DESCRIBE MODEL m").rows)["not taken"] == "edge_weight, edge_attr"
        con.register_graph("h", Data(x=X, edge_index=E, edge_attr=W))
        with pytest.warns(sxq.InputWarning, match="edge_attr .* is passed as edge_weight"):
            con.register_model("n", GCN().eval(), "h", output="logits")
        assert "edge_weight" in dict(con.execute("DESCRIBE MODEL n").rows)["inputs"]


# -- types -----------------------------------------------------------------------------------------


class Seen(nn.Module):
    """A GCN that remembers the type and the shape of its inputs."""

    seen: dict = {}

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = GCNConv(4, 3)

    def forward(self, x, edge_index, edge_attr=None):
        if isinstance(x, torch.Tensor):  # recording a forward passes other objects
            Seen.seen = {"x": (x.dtype, x.shape[1:]), "edge_attr": None}
            if edge_attr is not None:
                Seen.seen["edge_attr"] = edge_attr.dtype, edge_attr.shape[1:]
        x = x.float().reshape(len(x), -1)
        return self.a(torch.cat([x, x, x, x], 1)[:, :4] / 7, edge_index)


@pytest.mark.slow
@pytest.mark.sweep(4)
@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("float64", (4,)),
        ("float16", (4,)),
        ("bfloat16", ()),
        ("int64", ()),
        ("int64", (1,)),
        ("int32", (4,)),
        ("uint8", ()),
        ("bool", (4,)),
        ("float32", ()),
    ],
)
def test_x_keeps_its_type_and_its_shape(dtype, shape, tmp_path):
    kind = getattr(torch, dtype)
    x = (torch.arange(NODES * max(1, sum(shape))) % 7).reshape(NODES, *shape).to(kind)
    attr = (torch.arange(EDGES // 2) % 3).repeat(2).to(kind)
    data = Data(x=x, edge_index=E, edge_attr=attr)
    right = Seen().eval()(x, E).softmax(1)[0].max().item()
    path = str(tmp_path / "types.duckdb")
    with sxq.connect(path) as con:
        con.register_graph("g", data)
    with sxq.connect(path) as con:
        con.register_graph("g", data)  # the same content: nothing to do
        con.register_model("m", Seen().eval(), "g", output="logits", layers=1)
        assert Seen.seen["x"] == (kind, torch.Size(shape))
        assert Seen.seen["edge_attr"] == (kind, torch.Size([]))
        found = (
            con.explain(node=0)
            .using("m")
            .optimize("fdl+", "fdl-", "conc")
            .budget(20)
            .run()
            .targets[0]
        )
        assert found.probability == pytest.approx(right, abs=1e-5)


def test_float64_is_explained_as_it_is_and_large_integers_stay():
    data = Data(x=X.double(), edge_index=E, when=torch.arange(NODES) + 2**40)

    class Dated(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.a = GCNConv(6, 3).double()

        def forward(self, x, edge_index, when):
            return self.a(x * (when - 2**40)[:, None], edge_index)

    model = Dated().eval()
    right = model(data.x, E, data.when).softmax(1)[0].max().item()
    assert explained(model, data, output="logits").probability == pytest.approx(right, abs=1e-6)
    with pytest.raises(sxq.ModelError, match="one type"):
        explained(GCN().eval(), data, output="logits")


@pytest.mark.slow
@pytest.mark.sweep(10)
@pytest.mark.parametrize("field", ["x", "y", "edge_index", "edge_weight", "edge_attr"])
@pytest.mark.parametrize("way", ["numpy", "list", "pandas", "scipy", "sparse"])
def test_fields_that_are_no_tensors_are_converted(field, way):
    pandas = pytest.importorskip("pandas")
    scipy = pytest.importorskip("scipy.sparse")
    held = {
        "x": X,
        "y": torch.arange(NODES) % 2,
        "edge_index": E,
        "edge_weight": W,
        "edge_attr": W[:, None],
    }
    value = held[field]
    if way in ("scipy", "sparse") and field not in ("x", "edge_attr"):
        pytest.skip("a matrix")
    given = {
        "numpy": lambda: value.numpy(),
        "list": lambda: value.tolist(),
        "pandas": lambda: (pandas.DataFrame if value.ndim == 2 else pandas.Series)(value.numpy()),
        "scipy": lambda: scipy.csr_matrix(value.numpy()),
        "sparse": lambda: value.to_sparse(),
    }[way]()
    with sxq.connect() as con:
        con.register_graph("right", Data(**held, num_nodes=NODES))
        con.register_graph("found", Data(**held | {field: given}, num_nodes=NODES))
        right, found = (
            {
                k: v
                for k, v in con.execute(f"DESCRIBE GRAPH {name}").rows
                if k not in ("graph", "schema")
            }
            for name in ("right", "found")
        )
        assert found == right


@pytest.mark.parametrize("field", ["x", "y", "edge_weight", "edge_attr"])
def test_fields_that_are_no_numbers_are_refused_by_name(field):
    for value in (["a"] * NODES, torch.ones(NODES, dtype=torch.complex64), {"a": 1}):
        with sxq.connect() as con, pytest.raises(sxq.GraphError, match=f"^{field} is"):
            con.register_graph("g", Data(edge_index=E, num_nodes=NODES, **{field: value}))


def test_masked_values_are_no_numbers():
    masked = np.ma.masked_greater(X.numpy(), 1)
    with sxq.connect() as con, pytest.raises(sxq.GraphError, match="x is an array"):
        con.register_graph("g", Data(x=masked, edge_index=E, num_nodes=NODES))


def test_adjacency_is_converted():
    adj_t = torch.sparse_coo_tensor(E.flip(0), W, (NODES, NODES)).coalesce().to_sparse_csr()
    with sxq.connect() as con:
        con.register_graph("g", Data(x=X, adj_t=adj_t))
        facts = dict(con.execute("DESCRIBE GRAPH g").rows)
        assert facts["edge_weight"] == "yes"

    class OnAdjacency(Around):
        def forward(self, x, adj_t):
            return self.module(x, adj_t)

    with pytest.raises(sxq.ModelError, match="adj_t"):
        explained(OnAdjacency().eval(), Data(x=X, adj_t=adj_t))


@pytest.mark.slow
def test_inputs_of_graphs_are_cut_along():
    class Atoms(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.e, self.a = nn.Embedding(5, 6), GCNConv(6, 2)

        def forward(self, z, edge_index, batch):
            return global_mean_pool(self.a(self.e(z), edge_index), batch)

    class Named(Atoms):
        def forward(self, x, edge_index, z, batch):
            return super().forward(z, edge_index, batch)

    model = Named().eval()
    graphs = [
        Data(edge_index=E[:, i::4] % (9 + i), z=torch.arange(9 + i) % 5, num_nodes=9 + i)
        for i in range(4)
    ]
    found = sxq.explain(model, graphs, budget=30, output="logits")
    for data, target in zip(graphs, found.targets):
        out = model(None, data.edge_index, data.z, torch.zeros(data.num_nodes, dtype=torch.long))
        assert target.probability == pytest.approx(out.softmax(1).max().item(), abs=1e-5)


def weighted(argument):
    """A GCN whose forward calls the weights so, and does without them where they are lacking."""
    scope = {}
    exec(f"def forward(self, x, edge_index, {argument}=None):\n"
         f"    return self.module(x, edge_index, {argument})", scope)  # fmt: skip
    return type("Named", (Around,), {"forward": scope["forward"]})().eval()


@pytest.mark.slow
@pytest.mark.parametrize("argument", ["w", "ew", "edge_w", "e_weight", "edge_values", "edge_norm"])
def test_weights_under_short_names(argument):
    data = Data(x=X, edge_index=E, edge_weight=W)
    model = weighted(argument)
    result = sxq.explain(model, data, node=0, budget=20)
    right = model(X, E, W).softmax(1)[0].max().item()
    assert result.targets[0].probability == pytest.approx(right, abs=1e-5)


def test_weights_that_may_be_the_attributes_of_the_model_are_refused():
    data = Data(x=X, edge_index=E, edge_weight=W)
    with pytest.raises(sxq.ModelError, match="has edge_weight, and forward.*takes edge_attr"):
        sxq.explain(weighted("edge_attr"), data, node=0, budget=20)


class Atoms(nn.Module):
    """Takes no x: its first arguments are other fields of the nodes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.conv = nn.Embedding(9, 4), GCNConv(7, 3)

    def forward(self, z, pos, edge_index):
        return self.conv(torch.cat([self.embed(z), pos], 1), edge_index)


class Named(Atoms):
    def forward(self, atoms, pos, edge_index):
        return super().forward(atoms, pos, edge_index)


@pytest.mark.parametrize("with_x", [True, False])
@pytest.mark.parametrize(("module", "inputs"), [(Atoms(), None), (Named(), {"atoms": "z"})])
def test_a_field_may_stand_where_x_usually_does(module, inputs, with_x):
    """SchNet and its like take z and pos; x would be passed in place of z."""
    data = Data(z=torch.arange(NODES) % 9, pos=X[:, :3], edge_index=E)
    if with_x:
        data.x = X
    expected = module(data.z, data.pos, E).softmax(1)[3]
    with sxq.connect() as con:
        con.register_graph("g", data)
        con.register_model("m", module.eval(), "g", output="logits", inputs=inputs)
        facts = dict(con.execute("DESCRIBE MODEL m").fetchall())
        assert facts.get("not taken") == ("x" if with_x else None)
        result = con.execute(
            "EXPLAIN NODE 3 USING MODEL m OPTIMIZE fdl+, conc BUDGET 20 CANDIDATES"
        )
        assert result.targets[0].probability == pytest.approx(float(expected.max()), abs=1e-5)
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}


def test_the_order_of_fields_changes_no_graph():
    """PyG has the names of fields as a set, in another order in each process."""

    class Reversed(Data):
        def keys(self):
            return sorted(super().keys(), reverse=True)

    class Sorted(Data):
        def keys(self):
            return sorted(super().keys())

    fields = {"x": X, "edge_index": E, "time": torch.arange(NODES), "pos": torch.ones(NODES, 2)}
    fields |= {
        "flow": W,
        "cap": W + 1,
        "names": ["a"],
        "other": torch.ones(7),
        "u": torch.ones(1, 2),
    }
    hashes = {graph_from_data(kind(**fields)).content_hash for kind in (Reversed, Sorted)}
    assert len(hashes) == 1
