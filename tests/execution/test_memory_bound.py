"""Fields that are too large for the memory are searched in part; long rounds can be stopped within."""

import numpy as np
import pytest
import torch

import sxq
from sxq.execution import executor
from sxq.execution.target import memory_bound
from sxq.execution.verifier import Request, Verifier
from sxq.graph import extract
from sxq.graph.whole import whole
from sxq.inference import CandidateBatch
from sxq.inference.choose import open_backend
from sxq.inference.disjoint import Disjoint
from sxq.scoring.question import Question
from tests import graphs
from tests.pooled_models import Pools, some_graphs

UNITS = 12  # searched of a field


@pytest.fixture
def small(monkeypatch):
    """Fields of more than UNITS units do not fit, whatever the setting says."""
    monkeypatch.setattr(memory_bound, "searched_units", lambda units, memory: min(units, UNITS))


def connect(kind="gcn", inference="auto", seed=0):
    torch.manual_seed(seed)
    con = sxq.connect()
    con.register_graph("g", graphs.random_graph(np.random.default_rng(seed), nodes=30, edges=60))
    con.register_model("m", graphs.make(kind), "g")
    con.execute(f"SET sxq_inference = '{inference}'")
    return con


QUERY = "EXPLAIN NODES 0, 1 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 200 CANDIDATES"


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("inference", ["auto", "disjoint"])
@pytest.mark.parametrize("kind", ["gcn", "gat"])
def test_a_large_field_is_searched_in_part_and_measured_as_a_whole(small, kind, inference):
    """AUDIT measures every member on the whole graph, and compares the conciseness with the whole field."""
    with connect(kind, inference) as con:
        result = con.execute(QUERY)
        assert len(result) and {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        for report in result.targets:
            assert report.field_size > UNITS
            assert f"{UNITS} of {report.field_size} units were searched" in report.note
        assert max(e.size for e in result) <= UNITS


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "by", ["onion", "growing", "random", "cf2 (epochs = 3)", "exhaustive", "moexp"]
)
def test_every_generator_searches_a_part(small, by):
    with connect() as con:
        budget = 5000 if by == "exhaustive" else 100
        result = con.execute(QUERY.replace("BUDGET 200", f"BY {by} BUDGET {budget}"))
        assert {row[-1] for row in con.execute("AUDIT")} <= {"ok"}
        assert all("units were searched" in report.note for report in result.targets)


@pytest.mark.slow
def test_the_part_is_the_same_for_the_same_seed(small):
    def answers():
        with connect() as con:
            return [(e.target, e.edges, dict(e.raw)) for e in con.execute(QUERY)]

    assert answers() == answers()


def test_the_strongest_units_hang_together():
    rng = np.random.default_rng(0)
    graph = graphs.random_graph(rng, nodes=60, edges=150)
    field = extract(graph, 0, 3, 1)
    worth = rng.standard_normal(field.num_units)
    for most in (1, 7, 20, field.num_units):
        units = memory_bound.strongest(field, worth, most, rng)
        assert len(units) <= most and (np.diff(units) > 0).all()
        bits = np.zeros((1, field.num_units), bool)
        bits[0, units] = True
        assert (field.component(bits) == bits).all()
    part = field.narrowed(units[:5])
    assert part.num_units == 5 and part.all_units == field.num_units


def test_the_memory_decides_how_much_is_searched():
    assert memory_bound.searched_units(5000, 10**9) == 5000
    assert memory_bound.searched_units(80_000, 10**9) == 80_000
    assert memory_bound.searched_units(417_000, 10**9) == memory_bound.SEARCHED
    assert memory_bound.searched_units(417_000, 10**10) == 417_000
    assert memory_bound.searched_units(5000, 10**6) == 83
    assert memory_bound.most_candidates(10**9, 200, 1) > 500_000


def test_the_candidate_table_ends_the_search_where_the_memory_does(monkeypatch):
    from sxq.execution.target import search

    monkeypatch.setattr(search, "most_candidates", lambda memory, units, targets: 50)
    with connect() as con:
        result = con.execute(QUERY)
        assert [report.candidates for report in result.targets] == [50, 50]
        assert all("as many as sxq_batch_memory holds" in r.note for r in result.targets)
        assert not result.complete


def test_a_round_can_be_stopped_between_its_batches():
    """The verdicts of the batches that ran are kept, in order; the others are not there."""
    with connect() as con:
        model = con.session.registry.models.get("m").model
        graph = con.session.registry.graphs["g"]
        backend = Disjoint(model)
        field = extract(graph, 0, 2, 1)
        bits = np.random.default_rng(0).random((10, field.num_units)) < 0.5
        loaded = backend.load(graph, field)
        requests = [
            Request(loaded, bits, Question(column=0)),
            Request(loaded, bits, Question(column=0)),
        ]
        verifier = Verifier(model, backend, 4 * backend.cost(loaded))
        whole_round = verifier.verify(requests)
        calls = []
        part = verifier.verify(requests, stopped=lambda: calls.append(1) or len(calls) == 4)
        assert [len(verdict.p_kept) for verdict in part] == [10, 6]
        for all_, some in zip(whole_round, part):
            assert np.allclose(all_.p_kept[: len(some.p_kept)], some.p_kept)


def test_an_interrupt_within_a_round_keeps_what_was_verified(monkeypatch):
    with connect() as con:
        con.execute("SET sxq_inference = 'disjoint'; SET sxq_batch_memory = '1 MB'")
        con.execute("SET sxq_worth_budget = 0")
        infer, calls = Disjoint.infer, []

        def counted(self, batches):
            calls.append(1)
            if len(calls) == 12:
                con.interrupt()
            return infer(self, batches)

        monkeypatch.setattr(executor, "LONG_ROUND", 0.0)
        monkeypatch.setattr(Disjoint, "infer", counted)
        result = con.execute(QUERY.replace("BUDGET 200", "BY random BUDGET 100000"))
        monkeypatch.undo()
        assert len(calls) <= 14 and not result.complete
        assert {r.status for r in result.targets} == {"stopped"} and len(result)
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("kind", ["gcn", "gat", "gin"])
@pytest.mark.parametrize("backend", ["disjoint", "layered"])
def test_a_whole_graph_without_some_of_its_units(kind, backend):
    """Units that became context are in G \\ G_s only; a pooled G_s has only the nodes of its edges."""
    with sxq.connect() as con:
        con.register_graphs("many", some_graphs())
        con.register_model("p", Pools(kind), graphs="many")
        model = con.session.registry.models.get("p").model
        graph = con.session.registry.graphs["many"].member(0)
    field = whole(graph)
    part = field.narrowed(np.arange(0, field.num_units, 2))
    some = np.random.default_rng(1).random((5, part.num_units)) < 0.5
    same = np.zeros((5, field.num_units), bool)
    same[:, ::2] = some
    opened = open_backend(backend, model)
    found = opened.infer([CandidateBatch(opened.load(graph, part), some)])[0]
    right = opened.infer([CandidateBatch(opened.load(graph, field), same)])[0]
    assert torch.allclose(found, right, atol=1e-5)
