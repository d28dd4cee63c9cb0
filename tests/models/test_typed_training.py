"""TRAIN on heterogeneous graphs: named architectures by type, which are stored whole."""

import dataclasses

import pytest
import torch

import sxq
from sxq.errors import DataError, InvalidValue, ModelError, UnknownName
from sxq.models import build, spec_from_options
from sxq.models.hetero_data import typed_graph
from sxq.models.weights import restore, to_bytes
from sxq.planning.options import TYPED_ARCHITECTURES
from tests.typed_models import bank


def told_by_merchants(accounts=60):
    """A bank whose accounts have the label that the merchants tell whom they pay."""
    data = bank(3, accounts=accounts, merchants=12, devices=10, edges=120)
    payer, shop = data["account", "pays", "merchant"].edge_index
    kind = (data["merchant"].x[:, 0] > 0).float() * 2 - 1
    score = torch.zeros(accounts).index_add(0, payer, kind[shop])
    data["account"].y = (score > 0).long()
    return data


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("name", TYPED_ARCHITECTURES)
def test_a_model_is_trained_explained_and_restored(name, tmp_path):
    path = str(tmp_path / "bank.duckdb")
    explain = "EXPLAIN NODE 3 USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 60 CANDIDATES"
    with sxq.connect(path) as con:
        con.register_graph("bank", told_by_merchants())
        trained = con.execute(
            f"TRAIN MODEL m ON GRAPH bank (ARCHITECTURE = {name}, LAYERS = 2, HIDDEN = 8, EPOCHS = 40)"
        )
        assert dict(zip(trained.columns, trained.rows[0]))["train_accuracy"] > 0.75
        facts = dict(con.execute("DESCRIBE MODEL m").fetchall())
        assert facts["targets"] == "nodes of type account"
        assert facts["backend"] == "layered"
        first = con.execute(explain)
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}
    with sxq.connect(path) as con:
        again = con.execute(explain)
        assert [e.raw for e in again] == [e.raw for e in first]


def test_without_a_name_it_is_sage():
    graph = typed_graph(told_by_merchants())
    assert spec_from_options((), graph).architecture == "sage"
    assert spec_from_options((), graph).types["target"] == "account"


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            (("architecture", "gcn"),),
            InvalidValue,
            "gcn does not know types, .* one of gat, hgt, rgcn",
        ),
        ((("architecture", "sag"),), UnknownName, "sage"),
        (
            (("architecture", "hgt"), ("heads", 3)),
            InvalidValue,
            "HIDDEN = 16 is not a multiple of HEADS",
        ),
    ],
)
def test_what_no_typed_architecture_has(options, error, message):
    with pytest.raises(error, match=message):
        spec_from_options(options, typed_graph(told_by_merchants()))


def test_hgt_needs_types():
    graph = typed_graph(told_by_merchants())
    untyped = type(graph)(graph.edge_index, graph.x, y=graph.y)
    with pytest.raises(InvalidValue, match="hgt is for heterogeneous graphs"):
        spec_from_options((("architecture", "hgt"),), untyped)


def test_labels_must_be_of_one_type():
    data = told_by_merchants()
    data["merchant"].y = torch.arange(12) % 2
    with pytest.raises(DataError, match="account and merchant have labels"):
        spec_from_options((), typed_graph(data))


@pytest.mark.parametrize(
    "types",
    [
        "no mapping",
        {},
        {"nodes": {"a": 3}, "edges": [["a", "r", "b"]], "target": "a"},
        {"nodes": {"a": -1}, "edges": [["a", "r", "a"]], "target": "a"},
        {"nodes": {"a": 3}, "edges": [5], "target": "a"},
    ],
)
def test_types_of_a_changed_file_are_refused(types):
    spec = spec_from_options((), typed_graph(told_by_merchants()))
    weights = to_bytes(build(spec))
    with pytest.raises(ModelError):
        restore(dataclasses.replace(spec, types=types).columns(), weights)


@pytest.mark.parametrize("name", ["a.b", "items"])
def test_hgt_says_which_node_type_torch_refuses(name):
    create = f"""CREATE GRAPH g FROM NODES "{name}" (SELECT range, 0.5 AS v, range % 2 AS label FROM range(9)),
        NODES c (SELECT range, 1.0 AS v FROM range(5)),
        EDGES "{name}" -x-> c (SELECT range AS a, range AS b FROM range(5)) (UNDIRECTED = true)"""
    with sxq.connect() as con:
        con.execute(create)
        with pytest.raises(
            InvalidValue, match=f"hgt cannot have a node type '{name}': torch .*; rename"
        ):
            con.execute("TRAIN MODEL m ON GRAPH g (ARCHITECTURE = hgt, EPOCHS = 1)")
        assert len(con.execute("TRAIN MODEL m ON GRAPH g (ARCHITECTURE = rgcn, EPOCHS = 1)"))
