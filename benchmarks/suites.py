"""The targets on which the quality of a search is measured, by suite: graph, model, unit of explanation."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import data
import numpy as np

from sxq.execution.target import Found, Job, Target
from sxq.execution.verifier import Verifier
from sxq.graph import Graph, extract
from sxq.graph.generated import ba_shapes
from sxq.inference.edge_gradients import gradients_together
from sxq.inference.registration import register
from sxq.models import train
from sxq.models.forward import forward_full
from sxq.models.model import Model
from sxq.planning.nodes import Choose, FieldScan, Generate, Plan, Rank, Verify
from sxq.scoring.measures import MEASURES

NAMES = ("fdl+", "fdl-", "conc")
MEMORY = 10**9  # bytes, the default of sxq_batch_memory
EPSILON, TOP, FRONT_LIMIT, RESOLUTION = 0.1, 10, 4096, 0.01
Call = tuple[str, tuple[tuple[str, object], ...]]  # a generator and its options


@dataclass(frozen=True, eq=False)
class Suite:
    """Targets on one graph under one model, in one unit of explanation."""

    name: str
    graph: Graph
    model: Model
    targets: tuple[int, ...]
    directed: bool = False

    def search(
        self,
        target: int,
        calls: tuple[Call, ...],
        budget: int,
        seed: int = 0,
        learned: Mapping[str, object] | None = None,
        *,
        rule: str = "coverage",
        pruning: str = "sound",
    ) -> Found:
        """One target searched, from field to front, by the operators of a query; nothing is stored.

        `learned` is what generators name that was pre-trained; `rule` is that of the answer, and
        `pruning` that of candidates which are not verified.
        """
        scan = FieldScan(
            graph="g",
            directed=self.directed,
            hops=self.model.hops,
            halo=self.model.halo,
            targets=(target,),
            positions=(target,),
        )
        verify = Verify(
            Generate(scan, calls, budget, None, seed), "m", self.model.backend, "", MEMORY
        )
        lattice = Rank(verify, NAMES, EPSILON, FRONT_LIMIT, RESOLUTION, pruning)
        plan = Plan(Choose(child=lattice, k=TOP, rule=rule), False, None)
        job = Job(
            plan=plan, graph=self.graph, model=self.model, measures=MEASURES, learned=learned or {}
        )
        searched = Target(job, 0)
        verifier = Verifier(self.model, job.backend, MEMORY)
        while not searched.over:
            request = searched.ask()
            if isinstance(request, list):
                searched.estimated(gradients_together(request))
            elif request:
                searched.tell(verifier.verify([request])[0])
        return searched.close()


def suite(name: str) -> Suite:
    """A suite by its name; what suites share is made once."""
    return SUITES[name]()


@cache
def _cora() -> tuple[Graph, Model]:
    graph = data.graph("cora")
    return graph, register(data.model("cora", graph), graph, layers=3)


@cache
def _more_cora() -> tuple[int, ...]:
    """26 further Cora nodes of 10 to 400 units, 16 of them not self-sufficient: these need their edges."""
    graph, model = _cora()
    candidates = [
        v for v in data.random_targets(graph, 800, seed=1) if v not in data.published_targets()
    ]
    lone = forward_full(model, graph, np.zeros(graph.num_edges, bool))
    alone = (lone.argmax(dim=1) == model.full.argmax(dim=1)).numpy()
    sized = [v for v in candidates if 10 <= extract(graph, v, 3, 0).num_units <= 400]
    needing = [v for v in sized if not alone[v]][:16]
    return tuple(needing + [v for v in sized if alone[v]][: 26 - len(needing)])


def cora_pairs() -> Suite:
    return Suite(f"{data.label('cora')} pairs", *_cora(), tuple(data.published_targets()))


def cora_directed() -> Suite:
    return Suite(
        f"{data.label('cora')} directed", *_cora(), tuple(data.published_targets()), directed=True
    )


def more_cora() -> Suite:
    return Suite(f"{data.label('cora')} pairs", *_cora(), _more_cora())


def facebook() -> Suite:
    """20 pages with hubs in their fields: 14 at random, and 6 beside the largest hubs."""
    graph = data.graph("facebook")
    model = register(data.model("facebook", graph), graph, layers=3)
    hubs = np.argsort(-np.bincount(graph.edge_index[1], minlength=graph.num_nodes), kind="stable")[
        :6
    ]
    beside = [
        int(graph.edge_index[0, graph.in_edges(hubs[i : i + 1])[0]]) for i in range(len(hubs))
    ]
    targets = dict.fromkeys([*beside, *data.random_targets(graph, 20)])
    return Suite(data.label("facebook"), graph, model, tuple(targets)[:20])


def shapes() -> Suite:
    """50 nodes of BA-Shapes' houses, the small model trained here (92 % right); the houses are the ground truth."""
    graph = ba_shapes()
    trained = train(graph, (("hidden", 20), ("epochs", 3000), ("weight_decay", 0)))
    model = register(trained.module, graph, layers=3)
    housed = np.flatnonzero(graph.y > 0)
    return Suite(
        "ba-shapes",
        graph,
        model,
        tuple(np.random.default_rng(0).choice(housed, 50, replace=False).tolist()),
    )


SUITES = {
    "published": cora_pairs,
    "published directed": cora_directed,
    "more cora": more_cora,
    "facebook": facebook,
    "shapes": shapes,
}
