"""An executor of the user's: the same answers as in one process, and errors that say what to do."""

import multiprocessing
import pickle
import sys
import threading
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

import numpy as np
import pytest
import torch

import sxq
from sxq.errors import InvalidValue
from sxq.execution import remote
from sxq.graph import extract
from sxq.scoring.measures import MEASURES, user_measure

QUERY = "EXPLAIN NODES {} USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 3 BUDGET 60 CANDIDATES"
STORED = """SELECT t.* EXCLUDE (query_id, seconds), e.* EXCLUDE (query_id, explanation_id), x.* EXCLUDE (explanation_id)
            FROM targets t LEFT JOIN explanations e USING (query_id, target)
            LEFT JOIN explanation_edges x USING (explanation_id) WHERE t.query_id = ? ORDER BY ALL"""
KEYS = ", ".join(map(str, range(2, 34, 3)))


@pytest.fixture(scope="module")
def con():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPH karate FROM DATASET 'KarateClub'; TRAIN MODEL gcn ON GRAPH karate (LAYERS = 2, EPOCHS = 20)"
        )
        con.execute(QUERY.format(KEYS))
        yield con
    torch.set_num_threads(threads)


def stored(con, query_id=1):
    return con.sql(STORED, [query_id]).rows


def same(con, pool, **options):
    result = con.query(QUERY.format(KEYS), executor=pool, **options)
    assert stored(con, result.query_id) == stored(con)
    assert {e.graph is con.session.registry.graphs["karate"] for e in result} == {True}
    return result


class Here(Executor):
    """Runs tasks in this process as a worker elsewhere would: messages and answers are pickled."""

    def __init__(self, change=lambda message: message):
        self.change = change
        self.sent = []

    def submit(self, fn, message):
        self.sent.append(message)
        future = Future()
        try:
            given = self.change(pickle.loads(pickle.dumps(message)))
            future.set_result(pickle.loads(pickle.dumps(fn(given))))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.mark.slow
def test_forked_processes_give_the_same_answers(con):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        same(con, pool)


@pytest.mark.slow
def test_new_processes_give_the_same_answers(con):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        same(con, pool)


@pytest.mark.slow
def test_threads_give_the_same_answers(con):
    with ThreadPoolExecutor(2) as pool:
        same(con, pool)


@pytest.mark.slow
def test_a_worker_without_the_file_asks_for_the_job(con):
    remote._jobs.clear()
    pool = Here(lambda message: {**message, "path": "/nowhere"})
    same(con, pool)
    whole = [message for message in pool.sent if message["payload"] is not None]
    assert 1 <= len(whole) <= remote.FIRST_OUT < len(pool.sent)


@pytest.mark.slow
def test_answers_come_without_the_graph(con):
    answers = []

    class Weighing(Here):
        def submit(self, fn, message):
            future = super().submit(fn, message)
            answers.append(len(pickle.dumps(future.result())))
            return future

    same(con, Weighing())
    graph = len(pickle.dumps(con.session.registry.graphs["karate"]))
    assert max(answers) < 40_000 and graph > 5_000


def test_workers_that_lack_sxq_or_have_another_version(con, monkeypatch):
    class Lacking(Here):
        def submit(self, fn, message):
            future = Future()
            future.set_exception(ModuleNotFoundError("No module named 'sxq'", name="sxq"))
            return future

    with pytest.raises(InvalidValue, match=r"the workers of the executor lack sxq.*install sxq \d"):
        con.execute(QUERY.format(KEYS), executor=Lacking())
    other = {**remote.versions(), "sxq": "0.0.1"}
    pool = Here(lambda message: {**message, "versions": other})
    with pytest.raises(InvalidValue, match="a worker of the executor has") as found:
        monkeypatch.setattr(
            remote, "_other_versions", lambda found: f"a worker of the executor has {found}"
        )
        con.execute(QUERY.format(KEYS), executor=pool)
    monkeypatch.undo()
    assert "sxq" in str(found.value)
    said = remote._other_versions({**remote.versions(), "torch": "1.0", "sxq": None})
    assert said.startswith("a worker of the executor has sxq not at all, this process")
    assert "torch 1.0, this process" in said and said.endswith("install the same versions there")


@pytest.mark.slow
def test_a_broken_executor_keeps_what_was_found_and_resume_goes_on(con):
    parts = []

    class Breaking(Here):
        def submit(self, fn, message):
            parts.append(message)
            if len(parts) > 3:
                future = Future()
                future.set_exception(RuntimeError("a machine is gone"))
                return future
            return super().submit(fn, message)

    with pytest.raises(InvalidValue, match="RuntimeError: a machine is gone.*RESUME QUERY"):
        con.execute(QUERY.format(KEYS), executor=Breaking())
    query_id = con.last_result.query_id
    done = con.sql(
        "SELECT count(*) FROM targets WHERE query_id = ? AND status = 'done'", [query_id]
    ).rows[0][0]
    assert 0 < done < 11
    con.execute(f"RESUME QUERY {query_id}", executor=Here())
    assert stored(con, query_id) == stored(con)


def test_an_interrupt_calls_back_what_has_not_begun(con):
    class Slow(Executor):
        def submit(self, fn, message):
            con.interrupt()
            return Future()  # never begins

    result = con.query(QUERY.format(KEYS), executor=Slow())
    assert {target.status for target in result.targets} == {"stopped"}
    assert "interrupted before this target was reached" in result.targets[0].note


def test_an_interrupt_stops_targets_that_run_on_the_same_disk(con):
    con.report = lambda progress: con.interrupt()
    try:
        with ThreadPoolExecutor(1) as pool:
            text = QUERY.format("0, 33").replace("BUDGET 60", "BY random BUDGET 1000000")
            result = con.query(text, executor=pool)
    finally:
        con.report = None
    assert {report.status for report in result.targets} == {"stopped"}
    assert result.candidates < 1_000_000
    assert any(report.note == "interrupted" for report in result.targets)
    assert len(result) > 0, "what was found by then"


@pytest.mark.slow
def test_what_cannot_be_sent_is_named(con):
    con.register_measure("mine", lambda batch: batch.p_kept, larger_is_better=True)
    text = QUERY.format(KEYS).replace("fdl-", "mine")
    with pytest.raises(
        InvalidValue, match="the measures cannot be sent to the workers.*in a module"
    ):
        con.execute(text, executor=Here())
    same(con, Here())  # a measure that the plan does not name stays here
    with pytest.raises(
        InvalidValue, match="executor=5 is no executor; expected a concurrent.futures.Executor"
    ):
        con.execute(QUERY.format(KEYS), executor=5)


def test_one_target_stays_here(con):
    pool = Here()
    con.execute(QUERY.format("2").replace("NODES", "NODE"), executor=pool)
    con.execute(QUERY.format("2, 5") + " JOINTLY", executor=pool)
    con.execute(QUERY.format("2, 5"))  # the executor is that of one call
    assert pool.sent == []


def test_a_plan_a_field_a_model_and_measures_are_plain_values(con):
    named = con.session.registry.models.get("gcn")
    graph = con.session.registry.graphs["karate"]
    model = pickle.loads(pickle.dumps(named.model))
    assert torch.equal(model.full, named.model.full) and model.original is None
    for name, measure in MEASURES.items():
        assert pickle.loads(pickle.dumps(measure)) is measure, name
    field = extract(graph, 5, 2, 1)
    again = pickle.loads(pickle.dumps(field))
    assert np.array_equal(again.unit, field.unit)
    plan = con.explain(nodes=[2, 5]).using("gcn").optimize("fdl+", "conc").plan()
    assert pickle.loads(pickle.dumps(str(plan))) == str(plan)


@pytest.mark.slow
def test_dask(con):
    """A local cluster of two workers."""
    distributed = pytest.importorskip(
        "distributed", reason="dask is not installed: pip install 'sxq[dask]'"
    )
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        same(con, sxq.executors.dask(client))


@pytest.mark.slow
def test_ray(con):
    """A local cluster."""
    library = pytest.importorskip("ray", reason="Ray is not installed: pip install 'sxq[ray]'")
    try:
        library.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    except Exception as error:
        pytest.skip(f"Ray does not start on this machine: {error}")
    try:
        same(con, sxq.executors.ray())
    finally:
        library.shutdown()


def test_adapters_say_what_is_missing():
    with pytest.raises(InvalidValue, match="expected a dask.distributed.Client"):
        sxq.executors.dask(None)
    if "ray" not in sys.modules:
        try:
            import ray  # noqa: F401
        except ImportError:
            with pytest.raises(InvalidValue, match=r"pip install 'sxq\[ray\]'"):
                sxq.executors.ray()


def test_the_plan_measures_the_first_fields_only(con):
    plan = str(con.execute("PLAN " + QUERY.format("(SELECT node FROM nodes)")))
    assert "34 nodes: " in plan and "least / median / most of the first 32)" in plan


@pytest.mark.slow
def test_nothing_is_left_behind(con, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    same(con, Here())
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() < 20


def few_edges(batch):
    return (batch.bits.sum(axis=1) < 3).astype(float)


@pytest.mark.slow
def test_a_measure_of_the_user_travels(con):
    con.register_measure("few", few_edges, larger_is_better=True)
    scored = user_measure("scored", few_edges, larger_is_better=False, score=np.exp)
    for measure in (user_measure("few", few_edges, larger_is_better=True), scored):
        again = pickle.loads(pickle.dumps(measure))
        assert again.raw == measure.raw and again.score == measure.score
    text = QUERY.format(KEYS).replace("fdl-", "few")
    own, sent = con.query(text), con.query(text, executor=Here())
    assert [e.scores["few"] for e in sent] == [e.scores["few"] for e in own]


@pytest.mark.parametrize("error", [RuntimeError("shut down"), BrokenExecutor("dead")])
def test_an_executor_that_takes_nothing_is_told(con, error):
    class Closed(Executor):
        def submit(self, fn, message):
            raise error

    with pytest.raises(InvalidValue, match=f"the executor failed .{type(error).__name__}: {error}"):
        con.execute(QUERY.format(KEYS), executor=Closed())
    con.execute(f"RESUME QUERY {con.execute('SELECT max(query_id) FROM queries').fetchone()[0]}")
    assert con.execute("FROM queries SELECT last(status ORDER BY query_id)").fetchone() == ("done",)
