"""Weights of PyG's own models, and `sxq import`: what torch.save wrote, without executing it."""

import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch_geometric.nn.models import GAT, GCN, GIN, GraphSAGE

import sxq
from sxq.__main__ import main
from sxq.errors import DataError, ModelError
from sxq.models import import_weights

MODELS = {
    "gcn": (lambda: GCN(3, 8, 2, 4), {}),
    "sage": (lambda: GraphSAGE(3, 8, 3, 4), {}),
    "gat": (lambda: GAT(3, 8, 2, 4, heads=2), {"heads": 2, "hidden": 4}),
    "gin": (lambda: GIN(3, 8, 2, 4), {}),
    "gin wide": (lambda: GIN(3, 4, 3, 4), {"hidden": 4}),
    "gcn one": (lambda: GCN(3, 4, 1), {}),
}


@pytest.fixture
def con():
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPH g FROM NODES (SELECT range AS id, range * 0.1 AS a, sin(range) AS b, cos(range) AS c,"
            " range % 4 AS label FROM range(12)) EDGES (SELECT range, (range * 5 + 1) % 12 FROM range(12))"
        )
        yield con


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_pygs_own_models_say_the_same(con, name, tmp_path):
    make, options = MODELS[name]
    torch.manual_seed(3)
    model = make().eval()
    for parameter in model.parameters():  # biases are 0 at first
        torch.nn.init.normal_(parameter)
    save_file(model.state_dict(), tmp_path / "m.safetensors")
    given = {"hidden": 8, "layers": model.num_layers, **options}
    written = ", ".join(f"{key.upper()} = {value}" for key, value in given.items())
    con.execute(
        f"CREATE MODEL m ON GRAPH g FROM FILE '{tmp_path / 'm.safetensors'}' (ARCHITECTURE = {name.split()[0]}, {written})"
    )
    graph = con.session.registry.graphs["g"]
    with torch.no_grad():
        expected = model(torch.tensor(graph.x), torch.tensor(graph.edge_index)).softmax(1)
    found = torch.tensor([row[3:] for row in con.execute("PREDICT USING MODEL m").rows])
    assert (found - expected).abs().max() < 1e-6


def test_what_does_not_fit_is_shown_as_a_table(con, tmp_path):
    save_file(GCN(3, 8, 2, 4, norm="batch_norm").state_dict(), tmp_path / "m.safetensors")
    create = f"CREATE MODEL m ON GRAPH g FROM FILE '{tmp_path / 'm.safetensors'}'"
    with pytest.raises(ModelError) as raised:
        con.execute(f"{create} (ARCHITECTURE = gcn, LAYERS = 2, HIDDEN = 5)")
    text = str(raised.value)
    assert "the file suggests HIDDEN = 8" in text
    rows = [line.split() for line in text.splitlines()[1:]]
    assert rows[0] == ["name", "expected", "found"]
    assert ["conv1.lin.weight", "[5,", "3]", "[8,", "3]"] in rows
    assert any(row[:2] == ["norms.0.module.bias", "-"] for row in rows)


def test_a_state_dict_is_imported(tmp_path, capsys):
    model = GCN(3, 8, 2, 4)
    torch.save(model.state_dict(), tmp_path / "m.pt")
    assert main(["import", str(tmp_path / "m.pt")]) == 0
    assert "wrote" in capsys.readouterr().err
    found = load_file(tmp_path / "m.safetensors")
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
    assert main(["import", str(tmp_path / "m.pt")]) == 1
    assert "m.safetensors' exists" in capsys.readouterr().err


def test_checkpoints_and_prefixes_are_told(tmp_path):
    tied = torch.arange(4.0)
    held = {
        "epoch": 3,
        "model_state_dict": {"module.a": tied, "module.b": tied, "module.c": tied[::2]},
    }
    torch.save(held, tmp_path / "m.pt")
    said = import_weights(str(tmp_path / "m.pt"), str(tmp_path / "m.safetensors"))
    assert (
        said
        == "3 tensors with 10 values; from 'model_state_dict', without epoch; names without 'module.'"
    )
    assert load_file(tmp_path / "m.safetensors")["c"].tolist() == [0, 2]


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (GCN(3, 8, 2, 4), "holds an object of torch_geometric.nn.models.*save its weights alone"),
        (Bomb(), "holds an object of"),
    ]
    + [
        ([1, 2], "holds list, expected a state dict"),
        ({}, "holds nothing, expected"),
        ({"a": 1}, "a is int; expected a dense"),
    ]
    + [
        ({1: torch.ones(1)}, "1 is Tensor; expected"),
        ({"a": torch.ones(2, 2).to_sparse(), "b": torch.ones(1)}, "a is Tensor"),
    ],
)
def test_anything_else_is_refused(held, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(held, "m.pt")
    with pytest.raises(DataError, match=said):
        import_weights("m.pt", "m.safetensors")
    assert not (tmp_path / "exploded").exists() and not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", b"\x80\x02", b"no weights at all", pickle.dumps(Bomb()), b"\x80\x02c"],
)
def test_files_that_torch_did_not_write(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(DataError, match="m.pt"):
        import_weights("m.pt", "m.safetensors")
    assert not (tmp_path / "exploded").exists()
    with pytest.raises(DataError, match="nowhere.pt"):
        import_weights("nowhere.pt", "m.safetensors")
