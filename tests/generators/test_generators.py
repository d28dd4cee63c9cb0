"""The generators, driven without a model: a made-up score stands in for the verifier."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from sxq.errors import FieldTooLarge
from sxq.generators.baselines.exhaustive import CELLS, estimated_count, least_count
from sxq.generators.baselines.random import grow
from sxq.generators.paper.onion import pace, share_out
from sxq.generators.protocol import Context
from sxq.generators.search.run import SMALLEST, SearchRun
from sxq.graph import Graph, extract
from sxq.graph.whole import whole
from tests.driving import SEARCHES, drive
from tests.graphs import random_graph
from tests.oracles import connected_subsets


@pytest.fixture(params=range(4))
def field(request):
    graph = random_graph(
        np.random.default_rng(request.param), nodes=14, edges=16, undirected=request.param % 2 == 0
    )
    return extract(graph, 0, 2, 0)


@pytest.mark.parametrize("name", SEARCHES)
def test_no_batch_has_more_rows_than_may_be_asked_at_once(name):
    field = extract(random_graph(np.random.default_rng(0), nodes=40, edges=90), 0, 3, 0)
    asked, _ = drive(name, field, 200, rows=7)
    assert len(asked) > 7


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("allowance", [40, 500])
def test_candidates_are_connected_sets_that_hold_the_target(name, field, allowance):
    bits, _ = drive(name, field, allowance)
    assert len(bits) and bits.any(axis=1).all()
    assert (field.component(bits) == bits).all()


@pytest.mark.slow
@pytest.mark.sweep(12)
@pytest.mark.parametrize("name", SEARCHES)
def test_the_same_seed_gives_the_same_candidates(name, field):
    first, again = drive(name, field, 200, seed=1)[0], drive(name, field, 200, seed=1)[0]
    assert np.array_equal(first, again)


def peel_as_printed(field, score):
    """Algorithm 2, line by line: the set of all candidates it verifies."""
    seen = set()
    for hop in range(field.hops, 0, -1):
        state = [int(h) <= hop for h in field.unit_hop]
        layer = [i for i in range(field.num_units) if field.unit_hop[i] == hop]
        seen.add(tuple(state)) if layer else None
        while layer:
            children = [tuple(bit and i != e for i, bit in enumerate(state)) for e in layer]
            loss = [
                score(np.array([state]))[0].mean() - score(np.array([child]))[0].mean()
                for child in children
            ]
            seen.update(children)
            best = int(np.argmin(loss))
            state = list(children[best])
            layer.pop(best)
    return {bits for bits in seen if any(bits)}


def grow_as_printed(field, score):
    """Edge growing, line by line, the whole frontier competing."""
    state, seen = np.zeros(field.num_units, bool), set()
    while not state.all():
        nodes = {0} | {int(v) for v in field.ends[:, state].ravel()}
        near = [
            i
            for i in range(field.num_units)
            if not state[i] and {int(v) for v in field.ends[:, i]} & nodes
        ]
        children = [state | (np.arange(field.num_units) == i) for i in near]
        seen.update(tuple(child.tolist()) for child in children)
        state = children[int(np.argmax([score(child[None])[0].mean() for child in children]))]
    return seen


@pytest.mark.parametrize("name,printed", [("onion", peel_as_printed), ("growing", grow_as_printed)])
def test_with_budget_enough_the_search_is_the_paper_s(name, printed, field):
    rng = np.random.default_rng(5)
    weights = rng.normal(size=field.num_units) + 1e-3 * np.arange(field.num_units)

    def score(bits):
        return (1 / (1 + np.exp(-(bits @ weights))))[:, None]

    bits, _ = drive(name, field, score=score)
    assert {tuple(row.tolist()) for row in bits} == printed(field, score)


@pytest.mark.parametrize("name,printed", [("onion", peel_as_printed), ("growing", grow_as_printed)])
@pytest.mark.parametrize("column", [0, 1])
def test_an_objective_is_searched_alone(name, printed, column, field):
    rng = np.random.default_rng(6)
    weights = rng.normal(size=(field.num_units, 2)) + 1e-3 * np.arange(field.num_units)[:, None]

    def score(bits):
        return 1 / (1 + np.exp(-(bits @ weights)))

    bits, _ = drive(name, field, score=score, objective=("fdl+", "fdl-")[column])
    assert {tuple(row.tolist()) for row in bits} == printed(
        field, lambda bits: score(bits)[:, [column]]
    )


def big_field(units=6000):
    """A hub with 200 neighbours and thousands of units at hop two."""
    rng = np.random.default_rng(0)
    hub = np.stack([np.zeros(200, int), np.arange(1, 201)])
    far = np.stack([rng.integers(1, 201, units), np.arange(201, 201 + units)])
    pairs = np.concatenate([hub, far], axis=1)
    graph = Graph(np.concatenate([pairs, pairs[::-1]], axis=1), np.zeros((201 + units, 1)))
    return extract(graph, 0, 2, 0)


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", SEARCHES)
def test_on_a_large_field_the_cost_follows_the_allowance(name):
    field = big_field()
    bits, distinct = drive(name, field, allowance=1500)
    assert field.num_units == 6200 and distinct < 2 * 1500
    assert (field.component(bits[-200:]) == bits[-200:]).all()


def test_peeling_a_large_field_still_reaches_the_small_subgraphs():
    field = big_field()
    sizes = drive("onion", field, allowance=1500)[0].sum(axis=1)
    assert sizes.max() == field.num_units and (sizes < 20).sum() > 10


def test_growing_within_a_budget_builds_the_small_subgraphs_edge_by_edge():
    sizes = set(drive("growing", big_field(), allowance=1500)[0].sum(axis=1).tolist())
    assert set(range(1, 16)) <= sizes


def test_random_sizes_are_spread_and_can_be_fixed():
    field = big_field()
    sizes = drive("random", field, allowance=300)[0].sum(axis=1)
    assert (sizes <= 20).sum() > 60 and (sizes > 500).sum() > 60
    assert set(drive("random", field, allowance=50, size=7)[0].sum(axis=1)) == {7}


@pytest.mark.parametrize("allowance", [1, 5, 300])
def test_random_spends_its_allowance_beside_the_whole_field(allowance):
    field = extract(random_graph(np.random.default_rng(0), nodes=12, edges=16), 0, 3, 0)
    bits, distinct = drive("random", field, allowance)
    assert bits.all(axis=1).any() == (allowance == 300) and distinct == allowance + 1


def test_shares_pay_small_layers_in_full():
    assert share_out(100, np.array([4, 50, 1000])).tolist() == [10, 45, 45]
    assert share_out(10**6, np.array([4, 50])).tolist() == [10, 1275]


def test_the_pace_is_the_paper_s_where_it_can_be_paid():
    assert pace(10, 55) == (10, 1)
    width, block = pace(1000, 800)
    assert width < 60 and block > 50


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rows", [1000, 7])
@pytest.mark.parametrize("seed", range(4))
def test_exhaustive_proposes_every_connected_subgraph_once(seed, rows, directed):
    graph = random_graph(np.random.default_rng(seed), nodes=7, edges=9, undirected=True)
    field = extract(graph, 0, 2, 0, directed)
    field = extract(graph, 0, 1, 0, directed) if field.num_units > 13 else field
    bits, distinct = drive("exhaustive", field, rows=rows)
    expected = connected_subsets(field.ends, field.num_units)
    assert len(bits) == distinct == len(expected)
    assert {tuple(row) for row in bits.tolist()} == {tuple(row) for row in expected.tolist()}


def path(units):
    """A whole graph that is a path: units * (units + 1) / 2 connected subgraphs."""
    ends = np.stack([np.arange(units), np.arange(1, units + 1)])
    return whole(Graph(np.concatenate([ends, ends[::-1]], axis=1), np.zeros((units + 1, 1))))


@pytest.mark.parametrize("allowance", [120, 209])
def test_a_search_of_a_path_ends_when_all_its_parts_are_asked_for(allowance):
    """There are 210 parts and 2^20 sets, so that neighbours of a good part are soon all known."""
    asked, distinct = drive("search", path(20), allowance)
    assert distinct == allowance + 1  # and the whole path, which was there before
    assert len(asked) < 2 * distinct


def arms(count, length):
    """A node with arms: (length + 1) ** count - 1 connected subgraphs hold it."""
    tail = 1 + np.arange(count * length)
    ends = np.stack([tail, np.where(tail <= count, 0, tail - count)])
    return extract(
        Graph(np.concatenate([ends, ends[::-1]], axis=1), np.zeros((len(tail) + 1, 1))),
        0,
        length,
        0,
    )


@pytest.mark.sweep(3)
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "field,allowance,said",
    [
        (big_field(), 1500, r"6200 units has more than \de\+1806"),
        (big_field(40_000), 1500, r"40200 units has more than \de\+12041"),
        (arms(12, 1), 20, "12 units has 4,095"),
        (arms(17, 1), 300, "17 units has more than 131,070"),
        (arms(5, 9), 300, "45 units has 99,999"),
        (path(900), 300, r"900 units has about \d{3},\d{3}"),
        (path(90), 300, "90 units has 4,095"),
        (path(12_000), 10_000, "12000 units has more than 11,999"),
        (path(12_000), 2500, "12000 units has more than 11,999"),
    ],
)
def test_exhaustive_says_with_little_work_how_many_are_too_many(
    field, allowance, said, monkeypatch
):
    work = []
    frontiers = type(field).frontiers

    def counting(field, bits):
        work.append(bits.size)
        return frontiers(field, bits)

    monkeypatch.setattr(type(field), "frontiers", counting)
    with pytest.raises(
        FieldTooLarge, match=f"(?:{said}) connected subgraphs, .* {allowance + 1:,};"
    ):
        drive("exhaustive", field, allowance)
    assert sum(work) < 3 * CELLS


@pytest.mark.slow
def test_where_the_estimate_is_lower_than_the_count_the_count_is_said(monkeypatch):
    module = "sxq.generators.baselines.exhaustive"
    monkeypatch.setattr(f"{module}.estimated_count", lambda *given: np.log(50_000))
    with pytest.raises(FieldTooLarge, match="54 units has more than 100,000 connected"):
        drive("exhaustive", arms(6, 9), 300)


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_no_more_than_the_count(seed):
    graph = random_graph(np.random.default_rng(seed), nodes=7, edges=9, undirected=seed % 2 == 0)
    for field in (
        extract(graph, 0, 2, 0),
        extract(graph, 0, 3, 0, directed=seed > 3),
        whole(graph),
    ):
        assert not field.num_units or field.num_units <= least_count(field) <= len(
            drive("exhaustive", field)[0]
        )


def test_exhaustive_needs_no_more_budget_than_there_are_subgraphs(field):
    count = len(drive("exhaustive", field)[0])
    assert len(drive("exhaustive", field, allowance=count - 1)[0]) == count
    with pytest.raises(FieldTooLarge):
        drive("exhaustive", field, allowance=count - 2)


def test_the_estimate_of_the_count_is_unbiased():
    graph = random_graph(np.random.default_rng(3), nodes=9, edges=11, undirected=True)
    field = extract(graph, 0, 2, 0)
    count = len(drive("exhaustive", field)[0])
    context = Context(
        full=np.zeros(2),
        empty=np.zeros(2),
        full_id=0,
        allowance=1,
        rows=1000,
        rng=np.random.default_rng(0),
        p_full=0.9,
        p_empty=0.2,
        predict=None,
        subject=None,
    )
    estimates = [np.exp(estimated_count(field, context)) for _ in range(20)]
    assert (
        abs(np.mean(estimates) - count) < 4 * np.std(estimates) / np.sqrt(20) + 1e-9 and count > 20
    )


def test_random_subgraphs_grow_by_any_unit_of_the_frontier_alike():
    graph = Graph(
        np.array([[1, 2, 3, 4], [0, 0, 1, 2]]), np.zeros((5, 1))
    )  # two ways of two edges to the target
    drawn = grow(extract(graph, 0, 2, 0), np.full(8000, 2), np.random.default_rng(0))
    pairs, counts = np.unique(drawn, axis=0, return_counts=True)
    assert pairs.sum(axis=1).tolist() == [2, 2, 2]
    share = {
        tuple(np.flatnonzero(pair).tolist()): count / 8000 for pair, count in zip(pairs, counts)
    }
    assert share == pytest.approx({(0, 1): 0.5, (0, 2): 0.25, (1, 3): 0.25}, abs=0.02)


def test_saturated_odds_give_no_warning():
    """exp of the odds of many units together overflows; the score is that of p = 0."""
    run = SimpleNamespace(context=SimpleNamespace(predict=lambda sizes, p: p.copy()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = SearchRun.values(run, np.ones(1), np.array([[-1e4, 1e4]]), np.zeros((1, 2)))
    assert found.tolist() == [[SMALLEST, 1.0]]
