"""The one loop: many targets at once, and what it lets go of when a target is closed."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

import sxq
from sxq.errors import ModelError
from sxq.execution import Job, Profile, executor
from sxq.execution.target import Target
from sxq.execution.verifier import Verifier
from sxq.graph.keys import shown
from sxq.inference import edge_gradients, masked_copies
from sxq.inference.edge_gradients import gradients_together
from sxq.inference.registration import register
from sxq.models.odds import answer_odds
from sxq.planning.nodes import Choose, FieldScan, Filter, Generate, Plan, Rank, Verify
from sxq.scoring.measures import MEASURES
from tests.graphs import make, random_graph
from tests.toys import Votes


def plan(model, targets, calls, budget=60):
    """A plan as EXPLAIN makes it, of targets by position."""
    scan = FieldScan(
        graph="g",
        directed=False,
        hops=model.hops,
        halo=model.halo,
        targets=targets,
        positions=targets,
    )
    verify = Verify(Generate(scan, calls, budget, None, 0), "m", model.backend, "", 10**9)
    rank = Rank(verify, ("fdl+", "fdl-", "conc"), 0.1, 4096, 0.01)
    return Plan(Choose(child=rank, k=10, rule="coverage"), False, None)


@pytest.fixture(scope="module")
def job():
    graph = random_graph(np.random.default_rng(4))
    model = register(make("gcn"), graph)
    calls = tuple((name, ()) for name in ("search", "onion", "growing", "random"))
    return Job(plan=plan(model, (0, 5, 9), calls), graph=graph, model=model, measures=MEASURES)


def searched(job, ordinal, rounds):
    """A target after so many rounds, or as many as there are."""
    target = Target(job, ordinal)
    verifier = Verifier(job.model, job.backend, 10**9)
    while rounds and not target.over:
        rounds -= 1
        request = target.ask()
        if isinstance(request, list):
            target.estimated(gradients_together(request))
            request = target.ask()
        if request:
            target.tell(verifier.verify([request])[0])
    return target


def test_targets_are_searched_in_the_order_given_and_as_each_alone(monkeypatch):
    monkeypatch.setitem(executor.TOGETHER, "cpu", 3)
    graph = random_graph(np.random.default_rng(1), features=2)
    admitted = []
    started = Target.__init__

    def listen(self, job, ordinal):
        admitted.append(ordinal)
        started(self, job, ordinal)

    monkeypatch.setattr(Target, "__init__", listen)
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", Votes(2), "g")
        query = "EXPLAIN NODES ? USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 60 CANDIDATES"
        together = con.execute(query, [list(range(12))])
        assert admitted == list(range(12))
        assert [report.target for report in together.targets] == list(range(12))
        alone = [row for v in range(12) for row in con.execute(query, [[v]]).rows]
    assert together.rows == alone


@pytest.mark.parametrize("rounds", [0, 1, 3, 1000])
def test_a_closed_target_is_freed_at_once_with_all_that_it_loaded(job, rounds):
    target = searched(job, 0, rounds)
    watched = [
        weakref.ref(thing)
        for thing in (target, target.loaded, target.loaded.on_field, target.turns, target.state)
    ]
    gc.disable()  # a circle of references would be freed by the collector only
    try:
        found = target.close()
        del target
        kept = {found.loaded, found.loaded.on_field}  # for the worth of its members
        assert {watch() for watch in watched} - kept == {None}
        assert found.table.count >= min(rounds, 1)
        del found, kept
        assert [watch() for watch in watched] == [None] * len(watched)
    finally:
        gc.enable()


def test_a_target_that_is_closed_early_asks_nothing_more(job):
    target = searched(job, 1, 2)
    count = target.state.table.count
    found = target.close("stopped by a test")
    assert target.over and target.ask() is None and target.turns.ask() is None
    assert found.stopped == "stopped by a test" and found.table.count == count > 1


def test_what_was_found_is_the_same_when_it_is_measured_again(job):
    """The field is loaded anew, as it was let go of."""
    found = searched(job, 2, 1000).close()
    members = list(found.lattice.answer(5).members)
    rows = found.table.rows(members)
    p = found.loaded.on_field.infer(found.bits_of(members))[:, :, found.loaded.predicted]
    assert len(members) and np.allclose(p.T, rows.p, atol=1e-6)


def test_a_plan_finds_operators_by_their_kind(job):
    found = job.plan
    for kind in (FieldScan, Generate, Verify, Rank, Choose, Plan):
        assert type(found.find(kind)) is kind
    assert found.filter is None
    filtered = Filter(found.find(Verify), ())
    rank = Rank(filtered, ("conc",), 0.1, 4096, 0.01)
    assert Plan(Choose(child=rank, k=1, rule="coverage"), False, None).filter is filtered
    assert shown(found.find(FieldScan).targets[0]) in str(found)


def refuse(monkeypatch, error, times=10**6):
    """Let the next so many estimates fail in the middle."""
    log_odds = answer_odds
    left = [None] * times

    def fail(*given, **named):
        if not left:
            return log_odds(*given, **named)
        left.pop()
        raise error

    for module in (edge_gradients, masked_copies):
        monkeypatch.setattr(module, "answer_odds", fail)


def test_an_estimate_that_is_not_available_is_counted_by_reason(job, monkeypatch):
    refuse(monkeypatch, NotImplementedError("this layer takes no mask\nat all"))
    profile = Profile()
    reports = list(executor.run(job, lambda: False, profile))
    assert [report.status for report in reports] == ["done"] * 3
    assert dict(profile.missing) == {"NotImplementedError: this layer takes no mask": 3}


def test_an_error_in_an_estimate_that_nobody_expects_is_raised(job, monkeypatch):
    refuse(monkeypatch, OSError("a mistake of ours"))
    with pytest.raises(
        ModelError, match="edge masks: OSError: a mistake of ours; choose .*BY random"
    ) as raised:
        list(executor.run(job, lambda: False, Profile()))
    assert isinstance(raised.value.__cause__, OSError)


@pytest.mark.slow
@pytest.mark.parametrize(
    "failing, said", [(0, ""), (1, ""), (2, "1 estimate not available: ValueError: no mask here")]
)
def test_profile_says_how_many_estimates_are_missing(monkeypatch, failing, said):
    """Where layers cannot be masked, copies of the field give the estimate: only then is it missing."""
    refuse(monkeypatch, ValueError("no mask here"), failing)
    with sxq.connect() as con:
        con.register_graph("g", random_graph(np.random.default_rng(4)))
        con.register_model("m", make("gcn"), "g")
        plan = str(
            con.execute(
                "PROFILE EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc BY onion "
                "BUDGET 50 CANDIDATES"
            )
        )
    assert said in plan and ("not available" in plan) == bool(said)


def test_progress_says_how_long_it_will_take():
    begun = executor.Progress(targets=0, total=8, candidates=100, seconds=2.0, front=3, share=0)
    assert str(begun) == "0 of 8 targets, 100 candidates, 50/s, front 3"
    later = replace(begun, targets=2, candidates=900, seconds=5.0, share=0.25)
    assert str(later).endswith("front 3, at most 15 s left")
