"""Walks on a made-up hub whose first-order estimates mislead; branches of a field, against a slow twin."""

import numpy as np
import pytest

from sxq.generators.protocol import Context, Estimate, Scored
from sxq.generators.search import walks
from sxq.generators.search.edge_table import EdgeTable
from sxq.generators.search.run import SearchRun
from sxq.graph import Graph, extract
from tests.graphs import random_graph

LEAVES, ALLOWANCE = 1200, 2400


def hub():
    """The target, a hub, and the hub's leaves."""
    ends = np.stack([np.append(0, np.ones(LEAVES, int)), 1 + np.arange(LEAVES + 1)])
    graph = Graph(np.concatenate([ends, ends[::-1]], axis=1), np.ones((LEAVES + 2, 1), np.float32))
    return extract(graph, 0, 2, 0)


def lowest(field, rng):
    """The least log-odds on G \\ G_s that walks reach where every fifth unit, though its estimate says that removing it
    takes most from the class, gives it as much."""
    harmful = np.arange(field.num_units) % 5 == 0
    harmful[:2] = False
    takes = np.where(harmful, -0.1, 0.02)  # from the log-odds, by being removed
    estimates = np.where(harmful, 0.2, 0.02)

    def odds(bits):
        return np.stack([np.zeros(len(bits)), 4 - bits @ takes], axis=1)

    context = Context(
        full=np.ones(2),
        empty=np.ones(2),
        full_id=0,
        allowance=ALLOWANCE,
        rows=1000,
        rng=rng,
        p_full=0.98,
        p_empty=0.5,
        predict=lambda sizes, p: np.stack([1 - p[:, 1], 1 - sizes / field.num_units], axis=1),
        measures=("fdl+", "conc"),
        subject=None,
    )
    run = SearchRun(field, context, estimates)
    reached = []

    def drive(search):
        answer = None
        while True:
            try:
                asked = search.send(answer)
            except StopIteration:
                return
            bits = asked.bits
            if isinstance(asked, Estimate):
                answer = np.repeat(estimates[None], len(bits), axis=0)
                continue
            p = 1 / (1 + np.exp(-odds(bits)))
            reached.append(odds(bits)[:, 1].min())
            flags = np.ones(len(bits), bool)
            answer = Scored(
                ids=np.arange(len(bits)),
                sizes=bits.sum(axis=1),
                scores=p,
                factual=flags,
                counterfactual=flags,
                explanatory=flags,
                p=p,
            )

    drive(walks.measure_units(run))
    assert 0 < len(run.table.unmeasured) < field.num_units
    drive(walks.Walks.start(run, thorough=True).go(run))
    return min(reached)


def test_walks_of_a_field_too_large_to_measure_go_by_what_they_measure(monkeypatch):
    monkeypatch.setattr(walks, "MEASURED", 24)
    assert lowest(hub(), np.random.default_rng(0)) < 0
    monkeypatch.setattr(walks, "LATE", (0, 0))
    assert lowest(hub(), np.random.default_rng(0)) > 0


@pytest.mark.parametrize("undirected", [True, False])
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_a_unit_is_on_the_branch_of_the_one_that_joins_it_to_the_target(hops, undirected):
    rng = np.random.default_rng(hops)
    field = extract(random_graph(rng, nodes=40, edges=70, undirected=undirected), 0, hops, 0)
    context = Context(
        full=np.ones(2),
        empty=np.ones(2),
        full_id=0,
        allowance=100,
        rows=100,
        rng=rng,
        p_full=0.9,
        p_empty=0.5,
        predict=None,
        subject=None,
    )
    table = EdgeTable(field, context, rng.random(field.num_units))
    for hop, branches in zip(
        range(max(int(field.unit_hop.max()) - 1, 1), 0, -1), table.branches, strict=True
    ):
        for unit, branch in enumerate(branches):
            while field.unit_hop[unit] > hop and table.link[unit] >= 0:
                unit = table.link[unit]
            assert branch == unit
