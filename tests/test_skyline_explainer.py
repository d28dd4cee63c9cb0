"""sxq as a PyG explainer: in `Explainer`, with PyG's metrics, on nodes and graphs."""

import numpy as np
import pytest
import torch
from torch_geometric.explain import Explainer, ModelConfig
from torch_geometric.explain.metric import fidelity, unfaithfulness
from torch_geometric.nn import GCN

import sxq
from sxq.errors import InvalidValue, ModelError
from sxq.pyg import SkylineExplainer
from tests.graphs import random_graph
from tests.pooled_models import Pools, some_graphs
from tests.typed_models import bank, model


def explainer(model, level="node", returns="raw", **options):
    return Explainer(
        model,
        SkylineExplainer(**options),
        explanation_type="model",
        edge_mask_type="object",
        model_config=ModelConfig("multiclass_classification", level, returns),
    )


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(1)
    graph = random_graph(np.random.default_rng(1), 20, 30)
    return GCN(5, 8, 2, 3), torch.tensor(graph.x), torch.tensor(graph.edge_index)


@pytest.mark.slow
def test_the_mask_is_a_member_of_the_skyline_that_rides_along(case):
    model, x, edge_index = case
    found = explainer(model)(x, edge_index, index=3)
    expected = sxq.explain(model, torch_data(x, edge_index), 3)
    assert [e.edges for e in found.skyline] == [e.edges for e in expected]
    (best,) = expected.recommended
    assert set(np.flatnonzero(found.edge_mask.numpy())) == set(best.edge_numbers)
    assert found.validate() and found.result.candidates == expected.candidates
    assert (
        f"skyline=[{len(expected)}]" in repr(found)
        and "\n" not in repr(found)
        and len(found.result) == len(expected)
    )


def torch_data(x, edge_index):
    from torch_geometric.data import Data

    return Data(x=x, edge_index=edge_index)


@pytest.mark.slow
def test_the_member_with_the_best_score_of_a_measure_can_be_chosen(case):
    model, x, edge_index = case
    small, strong = (
        explainer(model, choose=name)(x, edge_index, index=3) for name in ("conc", "fdl+")
    )
    assert small.edge_mask.sum() <= strong.edge_mask.sum()
    assert strong.edge_mask.sum() == len(max(strong.skyline, key=lambda e: e.scores["fdl+"]).edges)
    with pytest.raises(InvalidValue, match="choose = 'lift'"):
        SkylineExplainer(choose="lift")


def test_metrics_and_subgraphs_of_pyg_take_it(case):
    model, x, edge_index = case
    run = explainer(model, by="onion", budget=200)
    found = run(x, edge_index, index=torch.tensor([3]))
    assert all(value in (0.0, 1.0) for value in fidelity(run, found))
    assert 0 <= unfaithfulness(run, found) <= 1
    inside = found.get_explanation_subgraph()
    assert inside.edge_index.shape[1] == int(found.edge_mask.sum()) and len(inside.skyline) == len(
        found.skyline
    )


def test_graphs_are_explained(case):
    graph, model = some_graphs().member(1), Pools()
    found = explainer(model, "graph")(
        torch.tensor(graph.x),
        torch.tensor(graph.edge_index),
        batch=torch.zeros(10, dtype=torch.long),
    )
    assert found.edge_mask.sum() > 0 and found.skyline[0].kind == "graph"


def test_what_it_cannot_do_is_said(case):
    model, x, edge_index = case
    with pytest.raises(InvalidValue, match="one target"):
        explainer(model)(x, edge_index, index=torch.tensor([1, 2]))
    with pytest.raises(InvalidValue, match="one target"):
        explainer(model)(x, edge_index)
    with pytest.raises(ValueError, match="does not support"):
        explainer(model, "edge")


@pytest.mark.slow
def test_a_heterogeneous_model_has_masks_by_edge_type():
    data = bank(4)
    module = model("layered", data)

    def explained(**options):
        return Explainer(
            module,
            SkylineExplainer(budget=60, k=3, **options),
            explanation_type="model",
            edge_mask_type="object",
            model_config={
                "mode": "multiclass_classification",
                "task_level": "node",
                "return_type": "raw",
            },
        )(data.x_dict, data.edge_index_dict, index=8)

    found = explained()
    assert found.validate()
    assert "result" not in repr(found)
    best = next(e for e in found.skyline if e.recommended)
    types = best.graph.types
    chosen = [
        (types.edge_types[n], place)
        for n, place in (
            (types.of_edge[edge], edge - int((types.of_edge < types.of_edge[edge]).sum()))
            for edge in best.edge_numbers.tolist()
        )
    ]
    held = [
        (kind, place)
        for kind, mask in found.edge_mask_dict.items()
        for place in mask.nonzero().view(-1).tolist()
    ]
    assert sorted(held) == sorted(chosen)
    assert explained(node_type="account").edge_mask_dict.keys() == found.edge_mask_dict.keys()
    with pytest.raises(ModelError, match="returns outputs|rows"):
        explained(node_type="merchant")
