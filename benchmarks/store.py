"""The store with many explanations: time and memory of the usual questions about one query, and CPU per stored target.

    python -m benchmarks.store --explanations 1000000

Each of 100 queries has targets with five explanations of ten edges, on a graph of 100,000 nodes. The rows are made in
SQL, a tenth of them at a time; answers and commits go through `Store`, as those of a user do. The goals are a second
and a gigabyte for a question about one query, and 2 ms for a target.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import sxq
from benchmarks.memory import Growth
from sxq.graph import Graph
from sxq.storage import Store
from sxq.values.explanation import Explanation, TargetReport

QUERIES = 100
MEMBERS = 5
EDGES = 10
NODES = 100_000
GROUP = 20  # targets that end together
LIMIT = "1GB"  # what DuckDB may take
QUESTIONS = {
    "best": "SELECT count(*) FROM sxq.best('fdl-', of_query := {q})",
    "knee": "SELECT count(*) FROM sxq.knee({q})",
    "label_mix": "SELECT count(*) FROM sxq.label_mix({q})",
    "recurring_edges": "SELECT count(*) FROM sxq.recurring_edges({q})",
    "indicators": "SELECT count(*) FROM sxq.indicators({q})",
    "stability": "SELECT count(*) FROM sxq.stability({q})",
    "unit_scores": "SELECT count(*) FROM sxq.unit_scores({q})",
    "counterfactuals": "SELECT count(*) FROM sxq.counterfactuals({q})",
    "compare": "SELECT count(*) FROM sxq.compare({q}, {q} + 1)",
    "targets of the graph": "SELECT count(DISTINCT target) FROM g.targets WHERE query_id = {q}",
    "edges of the graph": "SELECT count(src) FROM g.explanation_edges WHERE query_id = {q}",
}
ASKED = """
INSERT INTO sxq.queries SELECT {q}, 'EXPLAIN ...', 'plan; seed ' || {q}, {model}, {graph},
    '{{"optimize": ["fdl+", "fdl-", "conc"], "kind": ' || {q} // 2 || '}}', {q}, 0.1, 5, 'cpu', '{{}}', now()::TIMESTAMP, 1,
    true, 'done', NULL;
INSERT INTO sxq.targets (query_id, target, ordinal, status, prediction, class, field_size, hypervolume, coverage)
    SELECT {q}, range::VARIANT, range, 'done', range % 4, range % 4, 40, 0.5, 0.9 FROM range({targets});
INSERT INTO sxq.explanations SELECT {first} + range, {q}, (range // {members})::BIGINT::VARIANT, range % {members} + 1,
    range % {members} = 0, 5 + range % 7, 6, true, range % 3 = 0, false, 'search', 3, score, 0.01, 0.8,
    MAP {{'fdl+': score, 'fdl-': 0.01, 'conc': 0.8}}, MAP {{'fdl+': score, 'fdl-': 0.99, 'conc': 1 - score}}, 1
    FROM (SELECT range, hash(range + {q}) % 1000 / 1000 AS score FROM range({explanations}));
INSERT INTO sxq.explanation_edges SELECT {first} + range // {edges}, u::VARIANT, (u + 1)::BIGINT::VARIANT, range % {edges},
    u, 0.1, 0.2, false, NULL
    FROM (SELECT range, ((range // {edges} // {members}) * 7 + range % {edges} * 3) % ({nodes} - 1) AS u
          FROM range({explanations} * {edges}));
"""


def fill(con: sxq.Connection, explanations: int) -> None:
    """Make the graph, a model and the queries with their answers."""
    rng = np.random.default_rng(0)
    ends = np.arange(NODES - 1)
    graph = Graph(
        np.stack([ends, ends + 1]), rng.random((NODES, 2), np.float32), y=rng.integers(0, 4, NODES)
    )
    con.register_graph("g", graph)
    store = con.session.store
    model_id = store.save_model("m", 1, "hash", {"class": "none"}, weights=None)
    each = explanations // QUERIES
    for number in range(1, QUERIES + 1):
        sizes = {"targets": each // MEMBERS, "explanations": each, "first": number * each + 1}
        fixed = {"members": MEMBERS, "edges": EDGES, "nodes": NODES, "graph": 1, "model": model_id}
        con.execute(ASKED.format(q=number, **sizes, **fixed))
    for sequence, count in (("query_ids", QUERIES), ("explanation_ids", (QUERIES + 2) * each)):
        con.execute(f"SELECT max(nextval('sxq.{sequence}')) FROM range({count})")


def asked(con: sxq.Connection) -> None:
    """Print the time, the CPU time and the memory of each question, asked about two queries."""
    print(f"{'question':22} {'first s':>8} {'next s':>8} {'CPU s':>8} {'MB':>6}")
    for name, question in QUESTIONS.items():
        seconds = []
        spent = time.process_time()
        with Growth() as growth:
            for query in (7, 61):
                clock = time.perf_counter()
                con.execute(question.format(q=query))
                seconds.append(time.perf_counter() - clock)
        took = f"{seconds[0]:8.2f} {seconds[1]:8.2f} {(time.process_time() - spent) / 2:8.2f}"
        print(f"{name:22} {took} {growth.megabytes:6.0f}", flush=True)


def committed(store: Store, targets: int) -> None:
    """Print the CPU that storing a target takes, alone and with others."""
    for together in (1, GROUP):
        query_id = store.begin_query(
            text="",
            plan="",
            model_id=1,
            graph_id=1,
            settings={},
            seed=0,
            epsilon=0.1,
            k=5,
            device="cpu",
            versions={},
            targets=range(targets),
        )
        reports = [_report(number) for number in range(targets)]
        clock = time.process_time()
        for first in range(0, targets, together):
            with store.together():
                for report in reports[first : first + together]:
                    store.save_target(query_id, report)
        spent = time.process_time() - clock
        print(f"{together:3} targets a transaction: {1e3 * spent / targets:.2f} ms of CPU a target")


def _report(number: int) -> TargetReport:
    members = tuple(_explanation(number, rank) for rank in range(1, MEMBERS + 1))
    return TargetReport(target=number, ordinal=number, status="done", explanations=members)


def _explanation(target: int, rank: int) -> Explanation:
    return Explanation(
        target=target,
        rank=rank,
        edge_index=np.zeros((2, EDGES), np.int64),
        nodes=np.arange(EDGES),
        edges=tuple((target + i, target + i + 1) for i in range(EDGES)),
        edge_numbers=np.arange(EDGES),
        edge_units=np.arange(EDGES),
        size=EDGES,
        raw={"fdl+": 0.5, "conc": 0.25},
        scores={"fdl+": 0.5, "conc": 0.75},
        factual=True,
        counterfactual=False,
        generator="search",
        dominance=3,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--explanations", type=int, default=1_000_000)
    parser.add_argument("--targets", type=int, default=1000, help="that are stored")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.duckdb"
        with sxq.connect(str(path)) as con:
            con.execute(f"SET memory_limit = '{LIMIT}'; SET threads = 2")
            fill(con, options.explanations)
        with sxq.connect(str(path)) as con:
            con.execute(f"SET memory_limit = '{LIMIT}'; SET threads = 2")
            print(f"{options.explanations:,} explanations, {path.stat().st_size / 1e6:,.0f} MB")
            asked(con)
            committed(con.session.store, options.targets)


if __name__ == "__main__":
    main()
