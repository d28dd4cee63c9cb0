"""PyG's explainers, CF2 and MOExp as generators: verified like all others; the user's model stays as it was."""

import importlib.util

import numpy as np
import pytest
import torch
from torch_geometric.explain import ExplainerAlgorithm, Explanation, GraphMaskExplainer
from torch_geometric.nn import GAT, GCN, GINConv

import sxq
from sxq.errors import InvalidValue, ModelError, UnknownName
from sxq.generators.baselines.moexp import edit, layers
from sxq.generators.explainers.cf2 import lead
from sxq.generators.explainers.pyg_explainers import to_units
from sxq.generators.search.edge_table import log_odds
from sxq.graph import Graph, extract, whole
from tests.graphs import random_graph
from tests.pooled_models import Pools, some_graphs

CALLS = {
    "gnnexplainer": "(epochs = 5)",
    "graphmask": "(epochs = 2)",
    "attention": "",
    "sa": "",
    "cf2": "(epochs = 5)",
    "moexp": "(size = 8, generations = 4)",
}


@pytest.fixture(scope="module")
def con():
    torch.manual_seed(0)
    with sxq.connect() as con:
        con.register_graph("g", random_graph(np.random.default_rng(0), 20, 30))
        con.register_model("m", GAT(5, 8, 2, 3), graph="g")
        con.register_graph(
            "weighted", random_graph(np.random.default_rng(2), 20, 30, weighted=True)
        )
        con.register_model("w", GCN(5, 8, 2, 3), graph="weighted")
        con.register_graphs("gs", some_graphs())
        con.register_model("p", Pools("gat"), graphs="gs")
        yield con


@pytest.mark.slow
@pytest.mark.sweep(4)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("target, model", [("NODE 0", "m"), ("GRAPH 1", "p")])
def test_every_explainer_proposes_and_is_verified(con, name, target, model):
    ask = f"EXPLAIN {target} USING MODEL {model} OPTIMIZE fdl+, fdl-, conc BY {name} {CALLS[name]} SEED 1"
    first, again = con.execute(ask), con.execute(ask)
    assert first.candidates > 10 and {e.generator for e in first} <= {name, "field"}
    assert [(e.edges, e.scores) for e in first] == [(e.edges, e.scores) for e in again]
    assert {verdict for *_, verdict in con.execute(f"AUDIT QUERY {again.query_id}").rows} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "library, name, options",
    [
        *(
            ("captum", "captum", f"(method = '{method}')")
            for method in ("IntegratedGradients", "saliency", "ShapleyValueSampling")
        ),
        ("pgmpy", "pgm", "(samples = 20)"),
    ],
)
@pytest.mark.parametrize("target, model", [("NODE 0", "m"), ("GRAPH 1", "p"), ("NODE 0", "w")])
def test_explainers_of_optional_packages_propose_and_are_verified(
    con, library, name, options, target, model
):
    pytest.importorskip(library)
    ask = (
        f"EXPLAIN {target} USING MODEL {model} OPTIMIZE fdl+, fdl-, conc BY {name} {options} "
        "SEED 1 BUDGET 60 CANDIDATES"
    )
    state = np.random.get_state()[1].copy()
    first, again = con.execute(ask), con.execute(ask)
    assert first.candidates > 5 and {e.generator for e in first} <= {name, "field"}
    assert [(e.edges, e.scores) for e in first] == [(e.edges, e.scores) for e in again]
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.slow
def test_pgm_explainer_sees_the_attributes_of_edges():
    """PyG's PGMExplainer does not pass them on: the model would fail without."""
    pytest.importorskip("pgmpy")
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPHS d FROM DATASET 'Digits' (GRAPHS = 20); "
            "TRAIN MODEL s ON GRAPHS d (ARCHITECTURE = splinecnn, LAYERS = 2, HIDDEN = 4, EPOCHS = 1)"
        )
        found = con.execute(
            "EXPLAIN GRAPH 0 USING MODEL s OPTIMIZE fdl-, conc BY pgm (samples = 16) "
            "BUDGET 20 CANDIDATES"
        )
    assert found.candidates == 20


@pytest.mark.parametrize("library, name", [("captum", "captum"), ("pgmpy", "pgm")])
def test_a_missing_package_is_named(con, monkeypatch, library, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidValue, match=f"BY {name} needs the package {library}: pip install"):
        con.execute(f"EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc BY {name}")


def test_options_of_optional_explainers_are_checked(con, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    for call, error, message in (
        ("captum (method = IntegratedGradient)", UnknownName, "did you mean 'IntegratedGradients'"),
        ("pgm (samples = 3)", InvalidValue, "expected 16 or more"),
    ):
        with pytest.raises(error, match=message):
            con.execute(f"EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc BY {call}")


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("target", range(4))
def test_a_union_holds_what_each_part_finds_alone(target):
    """With the budget of all of them: whatever batches its candidates come in, a generator goes the same way."""
    torch.manual_seed(1)
    with sxq.connect() as own:
        own.register_graph("g", random_graph(np.random.default_rng(3), 40, 70))
        own.register_model("m", GCN(5, 8, 3, 3), graph="g")
        ask = (
            f"EXPLAIN NODE {target} USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 1000 EPSILON 0 BY "
        )
        parts = ("search", "onion", "random", "moexp (generations = 4)", "sa")
        alone = [own.execute(f"{ask} {part} BUDGET 400 CANDIDATES") for part in parts]
        united = own.execute(f"{ask} {', '.join(parts)} BUDGET 2000 CANDIDATES")
        found = np.array([list(e.scores.values()) for e in united])
        for part in (
            alone
        ):  # a front without thinning, all of it in the answer: nothing in it may be better
            for e in part:
                assert (found >= np.array(list(e.scores.values()))).all(axis=1).any(), e.generator


def test_the_last_bits_of_a_probability_do_not_decide_where_a_search_goes():
    p = np.random.default_rng(0).random((1000, 2))
    assert (p != p * (1 + 3e-16)).any() and (log_odds(p) == log_odds(p * (1 + 3e-16))).all()


def test_explainers_leave_the_model_and_the_global_state_alone(con):
    data = random_graph(np.random.default_rng(0), 20, 30)
    model = GCN(5, 8, 2, 3).train()
    with sxq.connect() as own:
        own.register_graph("g", data)
        own.register_model("m", model, graph="g")
        torch.manual_seed(5)
        state, coefficients = torch.get_rng_state(), dict(GraphMaskExplainer.coeffs)
        own.execute(
            "EXPLAIN NODES 0, 1 USING MODEL m OPTIMIZE fdl+, conc BY gnnexplainer (epochs = 2), graphmask "
            "(epochs = 1), cf2 (epochs = 2), sa BUDGET 60 CANDIDATES"
        )
        assert (
            torch.equal(torch.get_rng_state(), state) and GraphMaskExplainer.coeffs == coefficients
        )
    assert model.training
    assert all(
        part._edge_mask is None and not part.explain
        for part in model.modules()
        if hasattr(part, "_edge_mask")
    )


def test_a_model_without_attention_says_so(con):
    with sxq.connect() as own:
        own.register_graph("g", random_graph(np.random.default_rng(0), 12, 16))
        own.register_model("m", GCN(5, 4, 1, 2), graph="g")
        with pytest.raises(ModelError, match="the explainer failed on GCN"):
            own.execute("EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc BY attention")


def test_the_mask_of_an_edge_counts_for_its_unit():
    field = whole(Graph([[0, 1, 1, 2, 0], [1, 0, 2, 1, 0]], np.ones((3, 1))))
    edges = np.flatnonzero(field.unit >= 0)
    values = to_units(field, edges, np.array([0.2, 0.4, 1.0, np.nan]))
    named = {
        frozenset(field.nodes[end].tolist()): value for end, value in zip(field.ends.T, values)
    }
    assert named == {frozenset((0, 1)): pytest.approx(0.3), frozenset((1, 2)): pytest.approx(0.5)}


def test_the_parts_of_cf2_and_moexp():
    assert lead(torch.tensor([0.2, 0.5, 0.3]), 1).item() == pytest.approx(0.2)
    assert lead(torch.tensor([0.2, 0.5, 0.3]), 0).item() == pytest.approx(-0.3)
    assert layers(np.array([[1, 1], [2, 2], [3, 0], [0, 0], [2, 2]])).tolist() == [1, 0, 0, 2, 0]
    rng = np.random.default_rng(0)
    for field in (extract(random_graph(rng, 12, 14), 0, 2, 0), whole(random_graph(rng, 12, 14))):
        bits = field.component(rng.random((1, field.num_units)) < 0.8)[0]
        for _ in range(30):
            child = edit(field, bits, rng)
            assert child.any() and (field.component(child[None])[0] == child).all()
            bits = child


def test_cf2_learns_a_mask_that_is_enough_and_needed():
    """Of a field where one edge decides, that edge comes first."""
    graph = Graph(
        [[1, 2, 3, 4], [0, 0, 0, 0]], np.array([[0.0, 0], [3, 0], [0, 0.1], [0, 0.1], [0, 0.2]])
    )
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", GINConv(torch.nn.Identity()), graph="g")
        result = con.execute("EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, fdl-, conc BY cf2")
        assert result[0].edges == ((1, 0),)


def test_an_explainer_of_ones_own_proposes(con):
    class Nearest(ExplainerAlgorithm):
        """The mask says which edges enter the target."""

        def forward(self, model, x, edge_index, *, target, index=None, **given):
            assert len(target) == len(x) and int(index) == 0
            return Explanation(edge_mask=(edge_index[1] == 0).float())

        def supports(self):
            return True

    without = "EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc BY pyg"
    with pytest.raises(InvalidValue, match=r"con.register_explainer\('e', make\), then BY pyg"):
        con.execute(without)
    con.register_explainer("nearest", lambda model: Nearest())
    with pytest.raises(InvalidValue, match=r"registered explainer: BY pyg \(explainer = nearest\)"):
        con.execute(without)
    result = con.execute(
        "EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc BY pyg (explainer = nearest)"
    )
    assert result.candidates > 5 and result[0].generator in ("pyg", "field")
    con.register_explainer("broken", lambda model: 1 / 0)
    for call, error, message in (
        ("nearer", UnknownName, "did you mean 'nearest'"),
        ("broken", ModelError, "the explainer failed on GAT: ZeroDivisionError"),
    ):
        with pytest.raises(error, match=message):
            con.execute(f"EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc BY pyg (explainer = {call})")
    with pytest.raises(InvalidValue, match="expected a function"):
        con.register_explainer("x", Nearest.__name__)
