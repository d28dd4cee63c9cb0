"""sxq_workers: several processes give the answers of one, whatever happens to the processes."""

import multiprocessing
import os
import random
import signal
import threading
import time

import numpy as np
import pytest
import torch

import sxq
from sxq.execution import workers
from tests import graphs, toys

TARGETS = 14
ASKED = (
    f"EXPLAIN NODES (SELECT range FROM range({TARGETS})) USING MODEL m OPTIMIZE fdl+, fdl-, conc "
    "BUDGET 60 CANDIDATES"
)
FOUND = """SELECT t.* EXCLUDE (query_id, seconds), e.* EXCLUDE (query_id, explanation_id)
           FROM targets t LEFT JOIN explanations e USING (query_id, target)
           WHERE t.query_id = ? ORDER BY ALL"""


class Deadly(toys.Votes):
    """The toy model; a worker dies on a field that holds the node with this feature."""

    marked = None

    def forward(self, x, edge_index):
        inside = self.marked is not None and multiprocessing.parent_process() is not None
        if inside and bool((x[:, 0] == self.marked).any()):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x, edge_index)


class Raising(toys.Votes):
    """The toy model; in a worker it cannot run on many copies of a field at once."""

    def forward(self, x, edge_index):
        if multiprocessing.parent_process() is not None and len(x) > 300:
            raise OddError(1, 2)
        return super().forward(x, edge_index)


class OddError(Exception):
    """It cannot be pickled and read again."""

    def __init__(self, one, two):
        super().__init__("odd")


def opened(module):
    con = sxq.connect()
    con.register_graph("g", graphs.random_graph(np.random.default_rng(0), TARGETS, 40, features=2))
    con.register_model("m", module, "g")
    con.execute("SET sxq_inference = 'disjoint'")
    return con


def rows(con, query):
    return con.sql(FOUND, [query]).fetchall()


@pytest.mark.slow
def test_the_same_answers_as_in_one_process():
    with opened(toys.Votes(layers=2)) as con:
        one = con.execute(ASKED)
        con.execute("SET sxq_workers = 3")
        several = con.execute(ASKED)
        assert rows(con, 1) == rows(con, 2)
        assert [r.target for r in several.targets] == [r.target for r in one.targets]
        # no report brought a copy of the graph along
        assert {e.graph is con.session.registry.graphs["g"] for e in several} == {True}
        assert several.candidates == one.candidates
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        profile = str(con.execute("PROFILE " + ASKED))
        assert f"{one.candidates} candidates" in profile
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_killing_workers_at_random_loses_and_repeats_nothing():
    told = []
    with opened(toys.Votes(layers=2)) as con:
        con.execute(ASKED)
        con.execute("SET sxq_workers = 2")
        chance = random.Random(0)
        over = threading.Event()

        def kill():
            while not over.wait(0.05) and len(told) < workers.DEATHS - 1:
                for child in multiprocessing.active_children()[:1]:
                    if chance.random() < 0.5:
                        child.kill()
                        told.append(child.pid)

        killer = threading.Thread(target=kill)
        killer.start()
        con.execute(ASKED)
        over.set()
        killer.join()
        assert told
        assert rows(con, 1) == rows(con, 2)


@pytest.mark.slow
def test_a_target_that_kills_processes_fails_alone():
    with opened(Deadly(layers=1)) as con:
        x = con.session.registry.graphs["g"].x[:, 0]
        assert (x == x[3]).sum() == 1
        con.session.registry.models.get("m").model.module.marked = float(x[3])
        con.execute("SET sxq_workers = 2")
        result = con.execute(ASKED)
        failed = [r for r in result.targets if r.status == "failed"]
        assert 3 in [r.target for r in failed] and len(failed) < TARGETS
        assert all("3 processes died while they searched it" in r.note for r in failed)
        assert all("by signal 9" in r.note for r in failed)
        assert {r.status for r in result.targets} <= {"done", "empty", "failed"}
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_an_error_in_a_worker_is_that_of_one_process():
    with opened(Raising(layers=2)) as con:
        con.execute("SET sxq_workers = 2")
        with pytest.raises(sxq.ModelError, match="OddError: odd"):
            con.execute(ASKED)
        statuses = {r.status for r in con.last_result.targets}
        assert len(con.last_result.targets) == TARGETS and statuses <= {
            "done",
            "empty",
            "stopped",
            "failed",
        }


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("how", ["interrupt", "ctrl-c"])
def test_a_stop_keeps_what_was_found(how):
    endless = ASKED.replace("BUDGET 60", "BY random BUDGET 1000000000")
    with opened(toys.Votes(layers=2)) as con:
        con.execute("SET sxq_workers = 2")
        press = lambda: os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(1.5, con.interrupt if how == "interrupt" else press)
        timer.start()
        if how == "interrupt":
            con.execute(endless)
        else:
            with pytest.raises(KeyboardInterrupt):
                con.execute(endless)
        result = con.last_result
        assert len(result.targets) == TARGETS and not result.complete and len(result)
        assert {r.status for r in result.targets} <= {"stopped", "done", "empty"}
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_within_stops_all_workers():
    with opened(toys.Votes(layers=2)) as con:
        con.execute("SET sxq_workers = 2")
        started = time.monotonic()
        text = ASKED.replace("BUDGET 60 CANDIDATES", "BY random BUDGET 1000000000 CANDIDATES")
        result = con.execute(text + " WITHIN 1 SECONDS")
        assert time.monotonic() - started < 60
        assert len(result.targets) == TARGETS
        assert all("1 seconds" in r.note for r in result.targets if r.status == "stopped")


@pytest.mark.slow
def test_jointly_and_progress():
    with opened(toys.Votes(layers=2)) as con:
        joint = ASKED + f" JOINTLY TOP {TARGETS}"
        con.execute(joint)
        con.execute("SET sxq_workers = 2")
        con.execute(joint)
        assert rows(con, 1) == rows(con, 2)
        told = []
        con.report = told.append
        result = con.execute(ASKED.replace("BUDGET 60", "BUDGET 2000"))
        assert told and told[-1].total == TARGETS
        assert max(each.candidates for each in told) <= result.candidates


def test_on_a_gpu_it_is_refused():
    with pytest.raises(sxq.InvalidValue, match="for models on the CPU, and this one is on cuda"):
        workers.require_workers(torch.device("cuda"))
