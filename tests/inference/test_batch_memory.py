"""Inference takes the memory it is said to take: what torch and numpy hold at most, measured."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
from torch.profiler import ProfilerActivity, profile
from torch_geometric import nn as pyg

from sxq.execution.verifier import Request, Verifier
from sxq.graph import extract
from sxq.inference import CandidateBatch
from sxq.inference.delta.bases import bases_of
from sxq.inference.delta.match import match
from sxq.inference.layered.backend import Layered
from sxq.scoring.question import Question
from tests.graphs import random_graph
from tests.layered_models import CASES, Attributed, Weighted, prepared, some_bits


def peak(run):
    """Bytes that torch holds at most while it runs, beyond what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [
        event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"
    ]
    held = np.cumsum(
        [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    )
    assert len(held)
    return held.max()


@pytest.mark.sweep(24)
@pytest.mark.parametrize(
    "kind,name,make", CASES, ids=[f"{kind.__name__} {name}" for kind, name, _ in CASES]
)
def test_a_candidate_takes_no_more_memory_than_it_is_said_to(kind, name, make):
    graph = random_graph(
        np.random.default_rng(1),
        nodes=100,
        edges=400,
        weighted=kind is Weighted,
        attributed=kind is Attributed,
    )
    backend = Layered(prepared(kind(make), graph))
    layout = backend.load(graph, extract(graph, 0, backend.steps.hops, 1))
    bits = some_bits(layout.field, 20)
    backend.infer([CandidateBatch(layout, bits)])
    assert peak(lambda: backend.infer([CandidateBatch(layout, bits)])) <= len(bits) * backend.cost(
        layout
    )


@pytest.mark.parametrize("share", [0.002, 0.5])
def test_verification_stays_within_its_memory(share):
    graph = random_graph(np.random.default_rng(1), nodes=300, edges=3000)
    model = prepared(pyg.GCN(5, 16, 3, 3), graph)
    backend = Layered(model)
    layout = backend.load(graph, extract(graph, 0, 3, 1))
    request = Request(
        layout, np.random.default_rng(0).random((400, layout.units)) < share, Question(column=0)
    )
    assert (match(layout, bases_of(layout), request.bits[:50], True) is not None) == (share < 0.5)
    for memory in (5 * 10**6, 20 * 10**6):
        verifier = Verifier(model, backend, memory)
        verifier.verify([request])
        assert len(request.bits) * backend.cost(layout) > 2 * memory
        tracemalloc.start()  # what numpy holds
        try:
            assert (
                peak(partial(verifier.verify, [request])) + tracemalloc.get_traced_memory()[1]
                <= memory
            )
        finally:
            tracemalloc.stop()
