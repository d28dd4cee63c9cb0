"""The verifier's batches: bounded by memory, halved where they do not fit, the same verdicts in any case."""

import numpy as np
import pytest
import torch

from sxq.execution.verifier import Request, Verifier, read
from sxq.graph import extract
from sxq.inference.disjoint import Disjoint
from sxq.inference.registration import register
from sxq.scoring.question import Question
from tests.graphs import make, random_graph


@pytest.fixture(scope="module")
def setting():
    graph = random_graph(np.random.default_rng(4))
    model = register(make("gcn"), graph)
    return graph, model


class Recording(Disjoint):
    """A backend that remembers its batches and runs out of memory above `limit` candidates."""

    def __init__(self, model, limit=10**9):
        super().__init__(model)
        self.batches, self.limit = [], limit

    def infer(self, cuts):
        candidates = sum(len(cut.bits) for cut in cuts)
        if candidates > self.limit:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: not enough memory"
            )
        self.batches.append(candidates)
        return super().infer(cuts)


def requests(graph, model, backend, counts=(30, 1, 17)):
    rng = np.random.default_rng(0)
    for target, count in zip((0, 5, 9), counts):
        field = extract(graph, target, model.hops, model.halo)
        yield Request(
            backend.load(graph, field),
            rng.random((count, field.num_units)) < 0.5,
            Question(column=target % 3),
        )


def verdicts(setting, memory=10**9, limit=10**9, apart=False):
    graph, model = setting
    backend = Recording(model, limit)
    verifier, asked = Verifier(model, backend, memory), list(requests(graph, model, backend))
    found = [verifier.verify([one])[0] for one in asked] if apart else verifier.verify(asked)
    return found, backend, verifier


def same(a, b):
    for x, y in zip(a, b):
        assert np.allclose(x.p_kept, y.p_kept, atol=1e-6) and np.allclose(
            x.p_removed, y.p_removed, atol=1e-6
        )
        assert (x.factual == y.factual).all() and (x.counterfactual == y.counterfactual).all()


def test_several_targets_in_one_batch_are_what_each_is_alone(setting):
    together, backend, _ = verdicts(setting)
    assert backend.batches == [48]
    same(together, verdicts(setting, apart=True)[0])


def test_memory_bounds_the_batches(setting):
    found, backend, verifier = verdicts(setting, memory=600_000)
    cost = max(backend.cost(r.field) for r in requests(*setting, backend))
    assert len(backend.batches) > 1 and sum(backend.batches) == 48
    assert max(backend.batches) * cost <= 2 * 600_000
    assert verifier.batch_memory == 600_000
    same(found, verdicts(setting)[0])


def test_a_batch_that_does_not_fit_is_halved_and_the_size_remembered(setting):
    found, backend, verifier = verdicts(setting, limit=10)
    assert (
        max(backend.batches) <= 10 and sum(backend.batches) == 48 and verifier.batch_memory < 10**9
    )
    same(found, verdicts(setting)[0])


def test_one_candidate_that_does_not_fit_is_an_error(setting):
    with pytest.raises(RuntimeError, match="not enough memory"):
        verdicts(setting, limit=0)


def test_another_error_of_the_model_is_not_taken_for_a_lack_of_memory(setting):
    class Broken(Disjoint):
        def infer(self, cuts):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    graph, model = setting
    backend = Broken(model)
    with pytest.raises(RuntimeError, match="shapes"):
        Verifier(model, backend, 10**9).verify(list(requests(graph, model, backend)))


def test_ties_are_margins_of_the_two_largest():
    p = np.array([[0.5, 0.5, 0.0], [0.4, 0.35, 0.25], [0.2, 0.4, 0.4 - 1e-7]])
    probability, predicted, tie = read(p, Question(column=1))
    assert probability.tolist() == [0.5, 0.35, 0.4]
    assert predicted.tolist() == [False, False, True] and tie.tolist() == [True, False, True]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_verdicts_are_those_of_the_cpu(setting):
    graph, model = setting
    on_gpu = register(make("gcn"), graph, device="cuda")
    same(verdicts((graph, on_gpu))[0], verdicts(setting)[0])
