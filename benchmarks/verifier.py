"""How many candidates are verified per second, as a multiple of one forward pass at a time?

Time from candidates' bits to scores (both inferences, flags, measures), in the batches that onion peeling and
edge growing really ask for: recorded in a run, then replayed warm on loaded fields. `alone` explains one
target after the other, `together` all of them in one statement; the naive verifier is measured before, between and
after these, and the median counts, since a shared machine changes its pace. Beside it: the disjoint backend, how far
memory grows while the engine runs (several targets at once, then replayed), cost per candidate against the size of
the field and the depth of the model, and what the machine's arithmetic would allow.

    SXQ_DATA=... python benchmarks/verifier.py [--quick] [--json] [--plot cost.png]
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from functools import partial

import data
import limits
import memory
import naive
import numpy as np
import torch

from sxq.execution.executor import Profile, run
from sxq.execution.target import Job, Target
from sxq.execution.verifier import Request, Verifier
from sxq.graph import Field, Graph
from sxq.inference.choose import open_backend
from sxq.inference.registration import register
from sxq.planning.nodes import Choose, FieldScan, Generate, Plan, Rank, Verify
from sxq.scoring.measures import MEASURES, MeasureBatch, evaluate
from sxq.scoring.question import Question

NAMES = ("fdl+", "fdl-", "conc")
MEMORY = 10**9  # bytes, the default of sxq_batch_memory
ROUNDS = 3  # replays; the median counts
SAMPLES = 5  # candidates of the naive verifier, and pairs of them of the disjoint backend


@dataclass(frozen=True, eq=False)
class Asked:
    """What a generator asked for in one round, for one target."""

    field: Field
    bits: np.ndarray  # [n, U] bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="few targets, a small budget, GCN only"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--plot", metavar="FILE", help="draw cost against field size and depth")
    options = parser.parse_args()
    cora, found = data.graph("cora"), {}
    targets, budget = (
        data.published_targets()[: 4 if options.quick else 26],
        1000 if options.quick else 5000,
    )
    for architecture in ("gcn",) if options.quick else ("gcn", "sage", "gat", "gin"):
        name = f"cora {architecture}"
        found[name] = compare(name, cora, data.model("cora", cora, architecture), targets, budget)
    if not options.quick:
        hubs = data.graph("facebook")
        found["facebook gcn"] = compare(
            "facebook gcn", hubs, data.model("facebook", hubs), data.random_targets(hubs, 20), 500
        )
    depths = by_depth(cora, targets[: 3 if options.quick else 8])
    grown = max(row["peak_memory_mb"] for row in found.values())
    print(
        f"{torch.get_num_threads()} threads; memory grows by at most {grown:,.0f} MB "
        f"(sxq_batch_memory is {MEMORY / 1e6:,.0f})"
    )
    if options.plot:
        limits.plot(options.plot, {name: row["cost"] for name, row in found.items()}, depths)
    if options.json:
        print(
            json.dumps(
                {**found["cora gcn"], "peak_memory_mb": grown, "us_by_depth": depths, "rows": found}
            )
        )


def compare(name: str, graph: Graph, module, targets: list[int], budget: int) -> dict:
    """Rates of the engine and of the naive verifier on the same candidates, printed and returned."""
    model = register(module, graph, layers=3)
    with memory.Growth() as recording:
        all_rounds = record(graph, model, targets, budget)
    each = [of_target(all_rounds, target) for target in targets]
    sample = [rounds[len(rounds) // 2][0] for rounds in each][:: -(-len(each) // SAMPLES)]
    one_by_one = partial(
        naive.seconds_per_candidate, module, graph, [(one.field, one.bits[0]) for one in sample]
    )
    single = [one_by_one()]
    with memory.Growth() as together_growth:
        together = rate(graph, model, all_rounds)
    single.append(one_by_one())
    with memory.Growth() as alone_growth:
        alone = np.array([rate(graph, model, rounds) for rounds in each])
    single = float(np.median([*single, one_by_one()]))
    slow = rate(
        graph, replace(model, backend="disjoint"), [[Asked(a.field, a.bits[:2])] for a in sample]
    )
    found = {
        "backend": model.backend,
        "ratio": float(np.median(alone * single)),
        "ratio_min": float((alone * single).min()),
        "ratio_together": together * single,
        "ratio_disjoint": float(np.median(alone) / slow),
        "candidates_per_second": float(np.median(alone)),
        "candidates_per_second_together": together,
        "naive_candidates_per_second": 1 / single,
        "disjoint_candidates_per_second": slow,
        "peak_memory_mb": max(
            growth.megabytes for growth in (recording, together_growth, alone_growth)
        ),
        "cost": [(len(rounds[0][0].field.edges), 1e6 / one) for rounds, one in zip(each, alone)],
    }
    if name.endswith("gcn"):
        needed = np.array(
            [limits.multiply_adds(graph, model, rounds[0][0].field) for rounds in each]
        )
        found["arithmetic_share"] = float(
            np.median(needed * alone) / limits.multiply_adds_per_second()
        )
    show(name, found)
    return found


def show(name: str, found: dict) -> None:
    """Print what `compare` found."""
    margin = f"\n{'':<13} "
    print(
        f"{name:<13} {found['backend']}: {found['candidates_per_second']:,.0f}/s alone, "
        f"{found['candidates_per_second_together']:,.0f}/s together, "
        f"naive {found['naive_candidates_per_second']:,.1f}/s{margin}"
        f"{found['ratio']:,.0f} times the naive verifier (least {found['ratio_min']:,.0f}), "
        f"together {found['ratio_together']:,.0f} times{margin}"
        f"{found['ratio_disjoint']:,.0f} times the disjoint backend "
        f"({found['disjoint_candidates_per_second']:,.0f}/s); "
        f"memory grows by {found['peak_memory_mb']:,.0f} MB"
    )
    if "arithmetic_share" in found:
        print(f"{'':<13} {found['arithmetic_share']:.1%} of the rate of a dense matrix product")
    for fewest, most, micros in limits.by_size(found["cost"]):
        print(f"{'':<13} fields of {fewest:,} to {most:,} edges: {micros:,.0f} us each")


def by_depth(graph: Graph, targets: list[int]) -> dict[int, float]:
    """Median microseconds per candidate of GCNs with 1 to 4 layers, printed and returned."""
    found = {}
    for layers in range(1, 5):
        model = register(data.model("cora", graph, layers=layers), graph, layers=layers)
        all_rounds = record(graph, model, targets, 500)
        each = [of_target(all_rounds, target) for target in targets]
        found[layers] = float(
            np.median([1e6 / rate(graph, model, rounds) for rounds in each if rounds])
        )
        edges = np.median([len(rounds[0][0].field.edges) for rounds in each])
        print(
            f"cora gcn      {layers} layers, fields of {edges:,.0f} edges: {found[layers]:,.0f} us each"
        )
    return found


def record(graph: Graph, model, targets: list[int], budget: int) -> list[list[Asked]]:
    """What onion and growing ask the verifier for, round by round."""
    rounds: list[list[Asked]] = []
    scan = FieldScan(
        graph="g",
        directed=not graph.undirected,
        hops=model.hops,
        halo=model.halo,
        targets=tuple(targets),
        positions=tuple(targets),
    )
    generate = Generate(scan, (("onion", ()), ("growing", ())), budget, None, 0)
    verify = Verify(generate, "m", model.backend, model.reason, MEMORY)
    plan = Plan(
        Choose(child=Rank(verify, NAMES, 0.1, 4096, 0.01), k=10, rule="coverage"), False, None
    )
    ask = Target.ask
    profile = Profile()

    def listen(self):
        request = ask(self)
        if isinstance(request, Request):  # not a list of estimates
            while len(rounds) <= profile.rounds:
                rounds.append([])
            rounds[profile.rounds].append(Asked(self.loaded.field, request.bits.copy()))
        return request

    Target.ask = listen
    try:
        job = Job(plan=plan, graph=graph, model=model, measures=MEASURES)
        list(run(job, lambda: False, profile))
    finally:
        Target.ask = ask
    return [asked for asked in rounds if asked]


def of_target(rounds: list[list[Asked]], target: int) -> list[list[Asked]]:
    """What was asked for one of the targets: the same as if it had been alone."""
    own = [[asked for asked in batch if asked.field.target == target] for batch in rounds]
    return [batch for batch in own if batch]


def rate(graph: Graph, model, rounds: list[list[Asked]]) -> float:
    """Candidates per second from bits to scores, warm: the median of some replays on loaded fields."""
    backend = open_backend(model.backend, model)
    fields = {id(asked.field): asked.field for batch in rounds for asked in batch}
    loaded = {key: backend.load(graph, field) for key, field in fields.items()}
    verifier, measures = Verifier(model, backend, MEMORY), [MEASURES[name] for name in NAMES]
    predicted = {
        id(a.field): int(model.full[a.field.target].argmax()) for batch in rounds for a in batch
    }
    seconds = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        for batch in rounds:
            requests = [
                Request(loaded[id(a.field)], a.bits, Question(column=predicted[id(a.field)]))
                for a in batch
            ]
            for asked, verdict in zip(batch, verifier.verify(requests)):
                evaluate(
                    measures,
                    MeasureBatch(
                        asked.field, asked.bits, 1.0, 0.0, verdict.p_kept, verdict.p_removed
                    ),
                )
        seconds.append(time.perf_counter() - started)
    return sum(len(a.bits) for batch in rounds for a in batch) / float(np.median(seconds[1:]))


if __name__ == "__main__":
    main()
