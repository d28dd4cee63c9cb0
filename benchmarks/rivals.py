"""What the engine's search is compared with, as generators: each verifies its candidates as the engine does.

    nsga2           NSGA-II (Deb et al. 2002) on the bits of the units; on a small field it ends, all its children born
                    before, with most of the budget left
    nsga2_restarted the same, begun anew with another population until the budget is spent
    onehop          the target's one-hop ego net
    gnnexplainer    PyG's GNNExplainer: its edge mask cut at a ladder of sizes
    pgexplainer     PyG's PGExplainer, trained on the suite's own targets, cut likewise
    reference_*     what the public reference code of the skyline paper stored (26 Cora targets, directed edges)

A mask is cut to the best-ranked units, of these the part that hangs together with the target.
"""

import time
from collections.abc import Callable, Sequence

import data
import numpy as np
import torch
from suites import Suite
from torch_geometric.explain import Explainer, GNNExplainer, PGExplainer

from sxq.generators import GENERATORS, GeneratorEntry
from sxq.generators.baselines.random import any_sizes, grow
from sxq.generators.protocol import Candidates, Context, Search
from sxq.graph import Field, Graph
from sxq.models.forward import edge_tensors
from sxq.scoring.dominance import frontier

POPULATION = 100
STORED = {"reference_onion": "ksx", "reference_growing": "insert", "reference_diversified": "div"}
NAMES = ("nsga2", "nsga2_restarted", "onehop", "gnnexplainer", "pgexplainer", *STORED)
TRAINING = {
    "cora pairs": (20, 20),
    "cora directed": (20, 20),
    "ba-shapes": (20, 20),
    "facebook": (5, 10),
}


def enter(stage: Suite, names: Sequence[str]) -> dict[str, float]:
    """Make the rivals generators by name, for targets of this suite; seconds that some of `names` spent on training."""
    searches, seconds = (
        {
            "nsga2": nsga2,
            "nsga2_restarted": nsga2_restarted,
            "onehop": onehop,
            "gnnexplainer": _masked(stage, _gnn_explainer),
        },
        {},
    )
    if "pgexplainer" in names:
        trained, seconds["pgexplainer"] = _train(stage)
        searches["pgexplainer"] = _masked(stage, trained)
    for name, search in searches.items():
        GENERATORS[name] = GeneratorEntry(name=name, function=search, help="")
    enter_stored()
    return seconds


def enter_stored() -> None:
    """Make what the authors' code stored generators, by name."""
    for name, key in STORED.items():
        GENERATORS[name] = GeneratorEntry(name=name, function=_stored(key), help="")


def nsga2(field: Field, context: Context) -> Search:
    """Tournaments by rank and crowding, uniform crossover, a unit flipped on average, connectedness repaired."""
    rng, count = context.rng, max(2, min(POPULATION, context.rows // 2, context.allowance))
    bits = grow(field, any_sizes(field, count, rng), rng)
    scored = yield Candidates.of(bits)
    worth = _worth(scored)
    for _ in range(
        3 * context.allowance // count
    ):  # many children were born before: they cost nothing
        order = _order(worth)
        place = np.empty(len(order), int)
        place[order] = np.arange(len(order))
        parents = [
            np.where(place[one] < place[two], one, two)
            for one, two in rng.integers(0, len(bits), (2, 2, count))
        ]
        children = np.where(
            rng.random((count, field.num_units)) < 0.5, bits[parents[0]], bits[parents[1]]
        )
        children = _repaired(
            field, children ^ (rng.random(children.shape) < 1 / field.num_units), rng
        )
        scored = yield Candidates.of(children)
        bits, worth = np.concatenate([bits, children]), np.concatenate([worth, _worth(scored)])
        kept = _order(worth)[:count]
        bits, worth = bits[kept], worth[kept]


def nsga2_restarted(field: Field, context: Context) -> Search:
    """NSGA-II until three generations in a row bear nothing new, then again, until that is so of three beginnings."""
    seen, before = set(), [-1, -1, -1]
    while before[0] < len(seen) < context.allowance:
        before = [*before[1:], len(seen)]
        evolution, scored, counts = nsga2(field, context), None, [-1, -1, -1]
        while counts[0] < len(seen) < context.allowance:
            try:
                candidates = evolution.send(scored)
            except StopIteration:
                break
            scored = yield candidates
            seen.update(scored.ids.tolist())
            counts = [*counts[1:], len(seen)]


def _worth(scored) -> np.ndarray:
    """Scores [n, M]; less than anything where a candidate explains nothing."""
    return np.where(scored.explanatory[:, None], np.nan_to_num(scored.scores), -1.0)


def _order(worth: np.ndarray) -> np.ndarray:
    """Positions [n], best first: by non-dominated rank, then by crowding distance; copies last of their rank."""
    rank, left, level = np.zeros(len(worth), int), np.arange(len(worth)), 0
    while len(left):
        best = {row.tobytes() for row in frontier(worth[left])}
        top = np.array([row.tobytes() in best for row in worth[left]])
        rank[left[top]], left, level = level, left[~top], level + 1
    crowding = np.zeros(len(worth))
    for level in np.unique(rank):
        members = np.flatnonzero(rank == level)
        _, first = np.unique(worth[members], axis=0, return_index=True)
        members = members[first]
        for column in worth[members].T:
            by = np.argsort(column, kind="stable")
            gaps = np.full(len(by), np.inf)
            gaps[1:-1] = (column[by[2:]] - column[by[:-2]]) / (
                (column[by[-1]] - column[by[0]]) or 1
            )
            crowding[members[by]] += gaps
    return np.lexsort((-crowding, rank))


def _repaired(field: Field, bits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The part of every child that holds the target; a unit at the target where there is none."""
    bits = field.component(bits)
    empty = np.flatnonzero(~bits.any(axis=1))
    bits[empty, rng.choice(field.frontier(np.zeros(field.num_units, bool)), len(empty))] = True
    return bits


def onehop(field: Field, context: Context) -> Search:
    """Every unit at the target: one candidate."""
    yield Candidates.of((field.ends == 0).any(axis=0)[None])


def _stored(key: str) -> Callable[..., Search]:
    packed = data.stored_masks()
    nodes, ends = (packed[f"{key}_nodes"].tolist(), packed[f"{key}_ptr"]) if packed else ([], [])

    def stored(field: Field, context: Context) -> Search:
        """What the authors' code stored for the target."""
        if field.target not in nodes:
            return
        row = nodes.index(field.target)
        masks = np.unpackbits(packed[f"{key}_masks"][ends[row] : ends[row + 1]], axis=1).astype(
            bool
        )
        bits = np.zeros((len(masks), field.num_units), bool)
        inside = field.unit >= 0
        for candidate, mask in zip(bits, masks):
            candidate[field.unit[inside][mask[field.edges[inside]]]] = True
        yield Candidates.of(bits[bits.any(axis=1)])

    return stored


def _masked(stage: Suite, explain: Callable[[Suite, Field], np.ndarray]) -> Callable[..., Search]:
    def masked(field: Field, context: Context) -> Search:
        """The best-ranked 1, 2, 3, 4, 6, 8, ... units of a mask, as far as they hang together with the target."""
        mask = explain(stage, field)
        inside = field.unit >= 0
        weight = np.full(field.num_units, -np.inf)
        np.maximum.at(weight, field.unit[inside], mask[inside])
        place = np.empty(field.num_units, int)
        place[np.argsort(-weight, kind="stable")] = np.arange(field.num_units)
        sizes = np.unique(np.clip(1.4 ** np.arange(40), 1, field.num_units).astype(int))
        bits = field.component(place < sizes[:, None])
        yield Candidates.of(bits[bits.any(axis=1)])

    return masked


def _explainer(stage: Suite, algorithm, kind: str) -> Explainer:
    return Explainer(
        stage.model.module,
        algorithm,
        explanation_type=kind,
        edge_mask_type="object",
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "raw",
        },
    )


def _tensors(stage: Suite, field: Field) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.from_numpy(stage.graph.features(field.nodes))
    return x, torch.from_numpy(field.edge_index)


def _gnn_explainer(stage: Suite, field: Field) -> np.ndarray:
    """A weight for every edge of the field [m]; PyG's own defaults."""
    torch.manual_seed(0)
    return _explainer(stage, GNNExplainer(), "model")(
        *_tensors(stage, field), index=0
    ).edge_mask.numpy()


def _train(stage: Suite) -> tuple[Callable[[Suite, Field], np.ndarray], float]:
    """PGExplainer, trained on some targets of the suite with the full graph, as its authors do; and the seconds."""
    started = time.process_time()
    torch.manual_seed(0)
    targets, epochs = TRAINING[stage.name.replace(" (trained here)", "")]
    explainer = _explainer(stage, PGExplainer(epochs=epochs), "phenomenon")
    graph: Graph = stage.graph
    x, (edge_index, _, _) = (
        torch.from_numpy(graph.x.copy()),
        edge_tensors(graph, np.arange(graph.num_edges), "cpu"),
    )
    predicted = stage.model.full.argmax(dim=1)
    for epoch in range(epochs):
        for target in stage.targets[:targets]:
            explainer.algorithm.train(
                epoch, stage.model.module, x, edge_index, target=predicted, index=target
            )

    def explain(stage: Suite, field: Field) -> np.ndarray:
        local = predicted[torch.from_numpy(field.nodes)]
        return explainer(*_tensors(stage, field), target=local, index=0).edge_mask.numpy()

    return explain, time.process_time() - started
