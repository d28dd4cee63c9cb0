"""Stopping a query: what was found is the answer, it is stored, and the connection and the model are as before.

The models here count their forward passes and do something at the n-th: no test depends on the clock.
"""

import signal
import threading

import numpy as np
import pytest
import torch

import sxq
from sxq.execution import executor
from sxq.execution.target import Target
from sxq.planning import planner
from sxq.session import explain as explaining
from tests import graphs, toys

TARGETS = 8
LONG = (
    f"EXPLAIN NODES (SELECT range FROM range({TARGETS})) USING MODEL m OPTIMIZE fdl+, fdl-, conc "
    "BUDGET 500 CANDIDATES"
)
ENDLESS = LONG.replace("BUDGET 500", "BY random BUDGET 1000000000")


class Watched(toys.Votes):
    """The toy model; calls `at` with the number of forward passes since it was set."""

    at = None
    calls = 0

    def forward(self, x, edge_index):
        if Watched.at:
            Watched.calls += 1
            Watched.at(Watched.calls)
        return super().forward(x, edge_index)


@pytest.fixture
def watch():
    """Set what happens at each forward pass; the engine's copies of the model are watched, too."""

    def watch(at):
        Watched.at, Watched.calls = at, 0

    yield watch
    Watched.at = None


def at_call(number, action):
    return lambda calls: action() if calls == number else None


def raise_interrupt():
    raise KeyboardInterrupt


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "x.duckdb")


@pytest.fixture
def con(path):
    with sxq.connect(path) as con:
        con.register_graph("g", graphs.random_graph(np.random.default_rng(0), features=2))
        con.register_model("m", Watched(layers=2), "g")
        yield con


def assert_stopped(con, result):
    """An incomplete answer, stored as it was returned, of a connection that goes on."""
    assert not result.complete and len(result.targets) == TARGETS
    assert [r.target for r in result.targets] == list(range(TARGETS))
    assert {r.status for r in result.targets} <= {"done", "empty", "stopped"}
    stopped = [r for r in result.targets if r.status == "stopped"]
    assert stopped and all("interrupted" in r.note and not r.complete for r in stopped)
    query = [result.query_id]
    stored = con.sql(
        "SELECT target, status, candidates, complete FROM targets WHERE query_id = ? ORDER BY ordinal",
        query,
    )
    assert list(stored) == [(r.target, r.status, r.candidates, r.complete) for r in result.targets]
    found = con.sql("SELECT target, rank, fdl_plus FROM explanations WHERE query_id = ?", query)
    assert sorted(found) == sorted((e.target, e.rank, e.raw["fdl+"]) for e in result)
    assert con.sql("SELECT complete FROM queries WHERE query_id = ?", query).fetchone() == (False,)
    again = con.execute(
        "EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 50 CANDIDATES"
    )
    assert len(again) and {row[-1] for row in con.execute("AUDIT")} == {"ok"}
    assert (
        len(
            con.execute(
                "EXPLAIN NODES 0, 1 USING MODEL m OPTIMIZE conc BUDGET 20 CANDIDATES"
            ).targets
        )
        == 2
    )


def test_interrupt_from_another_thread_returns_what_was_found(con, watch):
    def from_a_thread():
        other = threading.Thread(target=con.interrupt)
        other.start()
        other.join()

    watch(at_call(40, from_a_thread))
    result = con.execute(LONG)
    watch(None)
    assert len(result) and result.candidates > TARGETS
    assert_stopped(con, result)


def test_interrupt_while_another_thread_explains(con, watch):
    started, outcome = threading.Event(), []
    watch(at_call(15, started.set))
    worker = threading.Thread(target=lambda: outcome.append(con.execute(ENDLESS)))
    worker.start()
    assert started.wait(30)
    con.interrupt()
    worker.join(30)
    watch(None)
    assert not worker.is_alive()
    assert_stopped(con, outcome[0])


def test_an_interrupt_before_a_statement_does_not_stop_it(con):
    con.interrupt()
    assert (
        con.execute("EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc BUDGET 50 CANDIDATES")
        .targets[0]
        .status
        == "done"
    )


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("call", [1, 2, TARGETS, TARGETS + 1, TARGETS + 2, 2 * TARGETS + 2, 40])
def test_keyboard_interrupt_saves_what_was_found_and_is_raised_again(con, watch, call):
    """In the field of the first target, of the last, in the first batch, in a gradient, in later batches."""
    watch(at_call(call, raise_interrupt))
    with pytest.raises(KeyboardInterrupt):
        con.execute(LONG)
    watch(None)
    assert bool(len(con.last_result)) == (call > TARGETS + 1)
    assert_stopped(con, con.last_result)


@pytest.mark.slow
def test_keyboard_interrupt_as_a_signal(con, watch):
    watch(at_call(40, lambda: signal.raise_signal(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        con.execute(LONG)
    watch(None)
    assert len(con.last_result)
    assert_stopped(con, con.last_result)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_keyboard_interrupt_in_a_report(con):
    con.report = lambda progress: raise_interrupt()
    with pytest.raises(KeyboardInterrupt):
        con.execute(ENDLESS)
    con.report = None
    assert len(con.last_result)
    assert_stopped(con, con.last_result)


def test_keyboard_interrupt_of_one_target(con, watch):
    for call, status in ((1, "stopped"), (4, "stopped")):
        watch(at_call(call, raise_interrupt))
        with pytest.raises(KeyboardInterrupt):
            con.execute("EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc")
        assert [r.status for r in con.last_result.targets] == [
            status
        ] and not con.last_result.complete


def test_a_second_keyboard_interrupt_aborts(con, watch, monkeypatch):
    monkeypatch.setattr(con.session.store, "save_target", lambda *_: raise_interrupt())
    watch(at_call(40, raise_interrupt))
    with pytest.raises(KeyboardInterrupt):
        con.execute(LONG)
    watch(None)
    monkeypatch.undo()
    assert {row[0] for row in con.sql("SELECT status FROM targets")} == {"pending"}
    assert con.sql("SELECT seconds FROM queries").fetchone() == (None,)
    assert len(con.execute("EXPLAIN NODE 0 USING MODEL m OPTIMIZE conc BUDGET 50 CANDIDATES"))


@pytest.mark.slow
@pytest.mark.parametrize("close", [1, 2, 4])
def test_a_second_keyboard_interrupt_while_the_run_stops(con, watch, monkeypatch, close):
    """Answers that were chosen are kept; the other targets are stored as stopped, none as pending."""
    closed = Target.close

    def interrupted(target, reason):
        if reason:
            stopped.append(target)
            if len(stopped) == close:
                raise KeyboardInterrupt
        return closed(target, reason)

    stopped = []
    monkeypatch.setattr(Target, "close", interrupted)
    watch(at_call(18, raise_interrupt))
    with pytest.raises(KeyboardInterrupt):
        con.execute(LONG)
    watch(None)
    monkeypatch.undo()
    result = con.last_result
    kept = [report for report in result.targets if report.status == "stopped" and report.reached]
    assert len(kept) == close - 1
    assert_stopped(con, result)


def test_keyboard_interrupt_while_saving_stores_it_after_all(con, monkeypatch):
    save, calls = con.session.store.save_target, []

    def interrupted_once(*arguments):
        calls.append(arguments)
        save(*arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt  # stored, but nobody was told

    monkeypatch.setattr(con.session.store, "save_target", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        con.execute(LONG + " BY onion")
    monkeypatch.undo()
    statuses = con.sql("SELECT status, count(*) FROM targets GROUP BY ALL").fetchall()
    assert sum(
        count for status, count in statuses if status != "pending"
    ) == TARGETS and "stopped" in dict(statuses)
    explanations = con.sql(
        "SELECT count(*), count(DISTINCT (target, rank)) FROM explanations"
    ).fetchone()
    assert explanations[0] == explanations[1] == len(con.last_result)


def test_the_users_model_carries_no_masks_after_an_interrupt():
    """The onion asks for a gradient through edge masks; the interrupt comes in the middle of it."""
    torch.manual_seed(0)
    module = graphs.make("gcn")
    data = graphs.random_graph(np.random.default_rng(3))
    modes, keys = (
        [part.training for part in module.modules()],
        [set(vars(part)) for part in module.modules()],
    )
    with sxq.connect() as con:
        con.register_graph("g", data)
        con.register_model("m", module, "g")
        con.execute("SET sxq_inference = 'disjoint'")  # the layered backend sets no masks
        engines = con.session.registry.models.get("m").model.module
        masked = []

        def strike(part, *_):
            if part._edge_mask is not None:
                masked.append(part)
                raise KeyboardInterrupt

        hook = engines.layers[1].register_forward_pre_hook(strike)
        with pytest.raises(KeyboardInterrupt):
            con.execute(
                "EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 50 CANDIDATES"
            )
        hook.remove()
        assert masked
        for own in (module, engines):
            assert all(layer._edge_mask is None and not layer.explain for layer in own.layers)
        first = con.execute(
            "EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 50 CANDIDATES"
        )
        assert len(first) and {row[-1] for row in con.execute("AUDIT")} == {"ok"}
    assert [part.training for part in module.modules()] == modes
    assert [set(vars(part)) for part in module.modules()] == keys
    assert all(parameter.grad is None for parameter in module.parameters())


class Clock:
    """A clock that stands still until somebody sets it forward."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(explaining, "time", clock)
    monkeypatch.setattr(executor, "time", clock)
    return clock


@pytest.mark.slow
@pytest.mark.parametrize("planned, complete", [(1.0, True), (10.0, False)])
def test_planning_counts_for_within(con, clock, monkeypatch, planned, complete):
    plan = explaining.planning.plan

    def slowly(*given):
        clock.now += planned
        return plan(*given)

    monkeypatch.setattr(explaining.planning, "plan", slowly)
    result = con.execute(LONG.replace("BUDGET 500", "BY random BUDGET 3") + " WITHIN 5 SECONDS")
    assert ("stopped" not in {r.status for r in result.targets}) == complete
    assert complete or all("stopped after 5 seconds" in r.note for r in result.targets)
    assert result.candidates and result.seconds == planned
    stored = con.sql("SELECT status FROM targets ORDER BY ordinal").fetchall()
    assert stored == [(r.status,) for r in result.targets]


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "tail, at, sized",
    [
        (" WITHIN 6.5 SECONDS", None, 7),
        ("", 7, 7),
        ("", None, TARGETS),
        (" WITHIN 100 SECONDS", None, TARGETS),
    ],
)
def test_no_more_fields_are_sized_when_the_statement_is_late(
    con, clock, monkeypatch, tail, at, sized
):
    fields, size = [], planner.field_size

    def slowly(*given):
        clock.now += 1
        fields.append(given[2])
        if len(fields) == at:
            con.interrupt()
        return size(*given)

    monkeypatch.setattr(planner, "field_size", slowly)
    result = con.execute(LONG.replace("BUDGET 500", "BY random BUDGET 3") + tail)
    assert fields == list(range(sized)) and len(result.targets) == TARGETS
    assert (f"of the first {sized})" in result.plan) == (
        sized < TARGETS
    ) and f" {TARGETS} nodes: " in result.plan
    assert ("stopped" in {r.status for r in result.targets}) == (sized < TARGETS)
    fields.clear()
    con.execute(f"PLAN {LONG}{tail}")
    assert len(fields) == TARGETS


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("jointly", ["", " JOINTLY"])
@pytest.mark.parametrize("again", [False, True])
def test_targets_that_were_not_reached_are_stored_together(con, watch, monkeypatch, jointly, again):
    monkeypatch.setitem(executor.TOGETHER, "cpu", 3)
    save, batches = con.session.store.save_unreached, []

    def once(query_id, reports):
        batches.append(len(reports))
        save(query_id, reports)
        if again and len(batches) == 1:
            raise KeyboardInterrupt  # stored, but nobody was told

    monkeypatch.setattr(con.session.store, "save_unreached", once)
    watch(at_call(10, con.interrupt))
    if again:
        with pytest.raises(KeyboardInterrupt):
            con.execute(LONG + jointly)
    else:
        con.execute(LONG + jointly)
    watch(None)
    assert batches == [TARGETS - 3] * (1 + again)
    assert (
        sum("before this target was reached" in report.note for report in con.last_result.targets)
        == TARGETS - 3
    )
    assert_stopped(con, con.last_result)


def test_training_stops_where_it_is_and_keeps_the_model(con):
    con.report = lambda news: con.interrupt()
    row = con.execute("TRAIN MODEL t ON GRAPH g (EPOCHS = 100000, LAYERS = 1)").df().iloc[0]
    con.report = None
    assert row["epochs"] < 100000
    assert len(con.execute("EXPLAIN NODE 0 USING MODEL t OPTIMIZE conc BUDGET 20 CANDIDATES"))
