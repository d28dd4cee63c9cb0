"""AUDIT checks the field of a target, which decides what edges can be in an answer."""

from dataclasses import replace

import numpy as np
import pytest

import sxq
from sxq.execution.audit_field import FieldTarget, field_mistake
from sxq.graph import extract
from sxq.inference.registration import register
from tests.graphs import make, random_graph


def mistake(graph, model, target, size):
    there = np.ones(graph.num_edges, bool)
    return field_mistake(FieldTarget(graph, model, (target,), False, there), size)


@pytest.mark.sweep(3)
@pytest.mark.parametrize("kind", ["gcn", "sage", "gat"])
@pytest.mark.parametrize("undirected", [True, False])
def test_a_right_field_is_found_right_and_a_small_one_is_not(kind, undirected):
    graph = random_graph(np.random.default_rng(3), nodes=80, edges=70, undirected=undirected)
    model = register(make(kind, seed=3, layers=2), graph)
    small = replace(model, hops=1, halo=model.halo)
    wide = replace(model, hops=1, halo=model.halo + 1)
    noticed = 0
    for target in range(10):
        units = [extract(graph, target, hops, 1).num_units for hops in (1, 2)]
        assert not mistake(graph, model, target, units[1])
        if units[1]:
            assert "units, but" in mistake(graph, model, target, units[1] + 1)
        for one in (small, wide):
            noticed += bool(mistake(graph, one, target, units[0]))
    assert noticed > 5


def test_a_field_that_is_too_small_is_a_finding(monkeypatch):
    graph = random_graph(np.random.default_rng(3), nodes=40, edges=50)
    with sxq.connect() as con:
        con.register_graph("g", graph)
        monkeypatch.setattr("sxq.inference.locality._remark", lambda found, layers: "")
        con.register_model("m", make("sage", seed=3, layers=2), "g", layers=1)
        con.execute(
            "EXPLAIN NODES 0, 1, 2, 3 USING MODEL m OPTIMIZE fdl+, conc BUDGET 50 CANDIDATES"
        )
        verdicts = [row[-1] for row in con.execute("AUDIT")]
        assert any("edges beyond 1 hops carry messages" in verdict for verdict in verdicts)
