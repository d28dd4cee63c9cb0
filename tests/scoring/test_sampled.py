"""Measures by sampling against their exact expectations, and what stays the same whatever the batch."""

from itertools import permutations, product
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pytest

import sxq
from sxq.scoring import MEASURES, MeasureBatch, sampled
from sxq.scoring.measures import evaluate, report
from tests import graphs, oracles, toys

UNITS = 5
FIELD = SimpleNamespace(
    num_units=UNITS,
    all_units=UNITS,
    directed=False,
    reached=lambda bits: np.insert(bits, 0, True, axis=1),
)
BITS = np.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 1, 1, 0, 1], [1, 1, 1, 1, 1]], bool)


class Game:
    """A made-up model: class probabilities of every set of units, alone and removed, from two random tables."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.tables = rng.dirichlet([1, 1, 1], (2, 2**UNITS))  # [2, sets, classes]

    def infer(self, bits):
        return self.tables[:, bits @ (1 << np.arange(UNITS))]

    def batch(self, bits, seed=(0, 0), predicted=1):
        p = self.infer(np.asarray(bits))[:, :, predicted]
        nothing = np.zeros((1, UNITS), bool)
        empty, full = self.infer(nothing)[:, 0, predicted]
        return MeasureBatch(FIELD, bits, full, empty, *p, predicted, self.infer, seed)


def exact_shapley(game, bits, predicted=1):
    """The mean marginal gain over all orders of the players: the units outside, and G_s, which is -1."""
    outside, gains = np.flatnonzero(~bits).tolist(), []
    for order in permutations([*outside, -1]):
        before = np.zeros(UNITS, bool)
        before[list(order[: order.index(-1)])] = True
        both = game.infer(np.array([before | bits, before]))[0, :, predicted]
        gains.append(both[0] - both[1])
    return np.mean(gains)


def exact_robust(game, bits, pool, alpha, predicted=1):
    """p(G) - E p(G \\ R) over all R in the pool."""
    batch, expected = game.batch(bits[None]), 0.0
    units = np.flatnonzero(pool)
    for taken in product([False, True], repeat=len(units)):
        removed = np.zeros((1, UNITS), bool)
        removed[0, units] = taken
        chance = np.prod([alpha if t else 1 - alpha for t in taken])
        expected += chance * game.infer(removed)[1, 0, predicted]
    return batch.p_full - expected


def mean_of_seeds(name, bits, seeds=60):
    """The mean of a measure over many seeds, and the standard error of that mean."""
    values = [MEASURES[name].raw(Game().batch(bits, (seed, 7))) for seed in range(seeds)]
    return np.mean(values, axis=0), np.std(values, axis=0, ddof=1) / np.sqrt(seeds)


@pytest.mark.parametrize(
    "name, exact",
    [
        ("shapley", lambda bits: exact_shapley(Game(), bits)),
        ("rfdl+", lambda bits: exact_robust(Game(), bits, bits, sampled.ALPHA_PLUS)),
        ("rfdl-", lambda bits: exact_robust(Game(), bits, ~bits, sampled.ALPHA_MINUS)),
    ],
)
def test_samples_have_the_exact_mean(name, exact):
    mean, error = mean_of_seeds(name, BITS)
    for found, spread, bits in zip(mean, error, BITS):
        assert found == pytest.approx(exact(bits), abs=4 * spread + 1e-12)


def test_stability_is_its_definition():
    game = Game(3)
    drawn = MEASURES["stability"].samples(game.batch(BITS))
    rng = np.random.default_rng([0, 0, crc32(b"stability")])
    for sample, lot in zip(drawn.T, rng.random((sampled.CONTEXTS, UNITS))):
        for bits, found in zip(BITS, sample):
            outside = [unit for unit in range(UNITS) if not bits[unit]]
            gone = {unit for unit in outside if lot[unit] <= sampled.SHARE} or set(
                sorted(outside, key=lot.item)[:1]
            )
            lacking = np.isin(np.arange(UNITS), list(gone))
            alone = game.infer(bits[None])[0, 0].argmax()
            intact, cut = game.infer(np.array([lacking, lacking | bits]))[1].argmax(axis=1)
            assert found == (alone == intact or cut != intact)


@pytest.mark.parametrize("name", [name for name, measure in MEASURES.items() if measure.samples])
def test_neither_batch_nor_order_shows(name):
    together = MEASURES[name].samples(Game().batch(BITS))
    apart = [MEASURES[name].samples(Game().batch(bits[None]))[0] for bits in BITS[::-1]]
    np.testing.assert_array_equal(together, apart[::-1])
    assert (
        not np.array_equal(together, MEASURES[name].samples(Game().batch(BITS, (1, 0))))
        or name == "stability"
    )


def test_a_report_has_standard_errors():
    found = report([MEASURES["density"], MEASURES["shapley"]], Game().batch(BITS))
    assert list(found) == ["density", "shapley", "shapley se"]
    drawn = MEASURES["shapley"].samples(Game().batch(BITS))
    np.testing.assert_allclose(
        found["shapley se"], drawn.std(axis=1, ddof=1) / np.sqrt(sampled.ORDERS)
    )
    np.testing.assert_array_equal(
        found["shapley"], evaluate([MEASURES["shapley"]], Game().batch(BITS))[0][:, 0]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, budget", [("gcn", 20), pytest.param("gat", 60, marks=pytest.mark.slow)]
)
def test_the_engine_asks_the_model_it_was_given(kind, budget):
    """Shapley and robust fidelities of a real model, sample by sample on the whole graph."""
    graph, module = (
        graphs.random_graph(np.random.default_rng(1), nodes=12, edges=10),
        graphs.Net(kind).eval(),
    )
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g")
        con.execute("SET sxq_report = 'rfdl+, rfdl-'")
        result = con.execute(
            "EXPLAIN NODE 0 USING MODEL m OPTIMIZE shapley, conc TOP 3 BUDGET ? CANDIDATES",
            [budget],
        )
    units = {}
    field = sxq.graph.extract(graph, 0, 3, 1)
    for number, edge in zip(field.unit, field.edges):
        units.setdefault(int(number), []).append(int(edge))
    for e in result:
        again = slow_samples(module, graph, field, units, e)
        for name, value in again.items():
            assert e.raw[name] == pytest.approx(value, abs=1e-5), name


def slow_samples(module, graph, field, units, e):
    """The sampled measures of an explanation of node 0 by plain forward passes with edges removed."""
    loops = graph.edge_index[0] == graph.edge_index[1]
    bits = np.array([set(units[u]) <= set(e.edge_numbers.tolist()) for u in range(field.num_units)])
    c = int(oracles.plain_probabilities(module, graph)[0].argmax())

    def keep(chosen, rest):
        kept = np.full(graph.num_edges, rest)
        for unit in range(field.num_units):
            kept[units[unit]] = chosen[unit]
        return oracles.plain_probabilities(module, graph, kept | loops)[0, c]

    def infer(many):
        p = np.array([[keep(row, False) for row in many], [keep(~row, True) for row in many]])
        return np.stack([p, 1 - p], axis=2)

    batch = MeasureBatch(
        field,
        bits[None],
        keep(np.ones(field.num_units, bool), True),
        0.0,
        np.zeros(1),
        np.zeros(1),
        0,
        infer,
        (0, 0),
    )
    return {
        name: values[0]
        for name, values in report(
            [MEASURES[name] for name in ("shapley", "rfdl+", "rfdl-")], batch
        ).items()
        if name != "shapley se"
    }


def test_what_is_reported_is_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toys.write_files(tmp_path)
    with sxq.connect() as con:
        toys.fill(con)
        con.execute("SET sxq_report = 'STABILITY, rfdl_plus'")
        result = con.execute("EXPLAIN NODE 0 USING MODEL gossip OPTIMIZE fdl+, conc")
        stored = con.execute(
            "SELECT raw['rfdl+'], raw['rfdl+ se'], raw['stability'] FROM explanations ORDER BY rank"
        )
    assert list(stored) == [(e.raw["rfdl+"], e.raw["rfdl+ se"], e.raw["stability"]) for e in result]
    assert result.columns[-4:] == ["stability", "stability_se", "rfdl_plus", "rfdl_plus_se"]
