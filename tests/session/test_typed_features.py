"""OVER FEATURES in a heterogeneous graph: each type has features of its own."""

import numpy as np
import pytest
import torch

import sxq
from tests.typed_models import bank, model

TARGET = 8
ASK = "USING MODEL m OVER FEATURES OPTIMIZE fdl+, fdl-, conc TOP 4 BUDGET 60 CANDIDATES"


def near(data, target, hops=2):
    """The nodes of each type that can reach an account."""
    reached = {(name, n) for name, n in [("account", target)]}
    for _ in range(hops):
        reached |= {
            (name[0], u)
            for name in data.edge_types
            for u, v in data[name].edge_index.T.tolist()
            if (name[2], v) in reached
        }
    return {t: sorted(n for name, n in reached if name == t) for t in data.node_types}


def expected(module, data, chosen, mean):
    """p of each class where features (type, column) have their baseline on the nodes near the target."""
    x = {name: own.clone() for name, own in data.x_dict.items()}
    for name, column in chosen:
        rows = near(data, TARGET)[name]
        x[name][rows, column] = x[name][rows, column].mean() if mean else 0.0
    with torch.no_grad():
        found = module(x, data.edge_index_dict)
    found = found["account"] if isinstance(found, dict) else found
    return found[TARGET].softmax(0).double()


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("kind", ["layered", "hgt"])
def test_values_are_those_of_the_model_without_the_features(kind, mean):
    data = bank(4)
    module = model(kind, data)
    width = {name: own.shape[1] for name, own in data.x_dict.items()}
    every = [
        (name, column)
        for name, rows in near(data, TARGET).items()
        for column in range(width[name] if rows else 0)
        if len(rows) == 1 or len(set(data[name].x[rows, column].tolist())) > 1
    ]
    with sxq.connect() as con:
        con.register_graph("bank", data)
        con.register_model("m", module, "bank", output="logits", node_type="account")
        con.execute(f"SET sxq_baseline = '{'mean' if mean else 'zero'}'")
        result = con.execute(f"EXPLAIN NODE {TARGET} {ASK}")
        whole = expected(module, data, (), mean)
        c = int(whole.argmax())
        assert len(result)
        for e in result:
            own = [(n.split(".x[")[0], int(n.split("[")[1][:-1])) for n in e.units]
            rest = [one for one in every if one not in own]
            kept = expected(module, data, rest, mean)[c]
            left = expected(module, data, own, mean)[c]
            assert e.raw["fdl-"] == pytest.approx(float(whole[c] - kept), abs=1e-5)
            assert e.raw["fdl+"] == pytest.approx(float(whole[c] - left), abs=1e-5)
            for (name, column), value in zip(own, e.values):
                there = data[name].x[:, column].numpy().astype(np.float64)
                rows = [TARGET] if name == "account" else near(data, TARGET)[name]
                assert value == pytest.approx(there[rows].mean(), abs=1e-6)
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}


def test_features_are_named_with_their_types():
    data = bank(4)
    data["merchant"].feature_names = ["turnover", "age", "rank"]
    with sxq.connect() as con:
        con.register_graph("bank", data)
        con.register_model("m", model("rgcn", data), "bank", output="logits", node_type="account")
        ask = f"EXPLAIN NODE {TARGET} {ASK} INCLUDE FEATURES 'merchant.turnover'"
        result = con.execute(f"{ask} EXCLUDE FEATURES 'account.x[0]'")
        assert len(result)
        assert all("merchant.turnover" in e.units for e in result)
        assert all("account.x[0]" not in e.units for e in result)
        names = {
            name for (name,) in con.execute("SELECT name FROM explanation_features").fetchall()
        }
        assert "merchant.turnover" in names
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}
        with pytest.raises(sxq.InvalidValue, match="did you mean 'merchant.turnover'"):
            con.execute(f"EXPLAIN NODE {TARGET} {ASK} INCLUDE FEATURES 'merchant.turnovr'")
