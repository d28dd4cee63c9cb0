"""How much of a prediction do ReFine, its variants and peers keep, between the floor and the ceiling of the data?

BA-3motif (`ba3motif_800.npz`) with `trained_here_ba3_leconv`; attributors learn from the 400 evaluation graphs, test
graphs are explained. Removal pushes small subgraphs out of the model's distribution, so a figure means something only
between a random order and the ceiling: whether *any* connected subgraph of at most that size keeps the prediction, as
far as a beam search finds one that keeps BEAM subgraphs of every size.

All rows but the last three are rankings of edges, judged by their rho |E| highest edges, connected or not. `verified`
is the best of as many random connected subgraphs as the skyline verified; `skyline` the best factual member of the
answer within each size, for OPTIMIZE fdl-, conc, which is what ACC asks for. ACC-AUC: the mean of ACC@rho over
rho = 0.1 ... 1.0. With several seeds, means and 95 % intervals.

    SXQ_DATA=... python benchmarks/refine.py [--quick] [--json] [--graphs 400] [--seeds 5] [--plot FILE]
"""

import argparse
import json
import sys
import time
from functools import partial

import data
import numpy as np
import torch
from torch_geometric.explain import GNNExplainer

import sxq
from sxq.execution import pretrain, register
from sxq.execution.conversation import Subject
from sxq.execution.generators.ladder import grow_order, top
from sxq.execution.generators.peers import soft_mask
from sxq.execution.generators.random import grow
from sxq.execution.gradient import Slopes
from sxq.execution.inference import Cuts
from sxq.execution.inference.pooled import Pooled
from sxq.execution.masked import instances_of, log_probabilities
from sxq.graph import whole
from sxq.graph.collecting import read_graphs
from sxq.learning import ArchitectureSpec, build, load_weights, refine
from sxq.scoring import attribution as metrics

BEAM = 500
QUERY = ("EXPLAIN GRAPHS ? USING MODEL m OPTIMIZE fdl-, conc BY search, random, "
         "refine (pretrained = r, fine_tune = false) WHERE factual TOP 100 BUDGET 2000 CANDIDATES")
VARIANTS = {"pgexplainer": "pgexplainer", "refine_ct": "refine_ct", "refine_ft": "refine_ft", "refine": "refine"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="20 graphs, one seed")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--graphs", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plot", metavar="FILE", help="draw ACC-AUC and Recall@5 between floor and ceiling")
    options = parser.parse_args()
    torch.set_num_threads(1)
    graphs, seeds = (20, 1) if options.quick else (options.graphs, options.seeds)
    case = Case(graphs)
    rows = [case.rows(seed) for seed in range(seeds)]
    found = {measure: {name: [row[name][measure] for row in rows] for name in rows[0]}
             for measure in rows[0]["random"]}
    for name in rows[0]:
        print(f"{name:<13}" + "  ".join(f"{measure} {interval(found[measure][name])}" for measure in found))
    if options.plot:
        plot(found, options.plot)
    if options.json:
        means = {measure: {name: float(np.mean(values)) for name, values in own.items() if np.isfinite(values).all()}
                 for measure, own in found.items()}
        print(json.dumps({"graphs": graphs, "seeds": seeds, "pretraining_seconds": case.seconds, **means}))


def interval(values: list[float]) -> str:
    mean = np.mean(values)
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0
    return f"{mean:.3f}" + (f" +-{half:.3f}" if half else "")


def plot(found: dict[str, dict[str, list[float]]], file: str) -> None:
    """Means over the seeds, one bar for each row of the table, with what no ranking and no subgraph can pass."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        sys.exit("--plot needs matplotlib")
    bounds = {"acc_auc": ("ceiling", "ACC-AUC; dashed: a random order, the ceiling"),
              "recall_at_5": ("truth", "Recall@5; dashed: a random order, the ground truth")}
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (measure, (best, title)) in zip(figure.subplots(1, 2), bounds.items()):
        names = [name for name, values in found[measure].items() if np.isfinite(values).all()][::-1]
        means = [float(np.mean(found[measure][name])) for name in names]
        bars = axes.barh(names, means, color=["#efb118" if name == "skyline" else "#4269d0" for name in names])
        axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
        for name in ("random", best):
            axes.axvline(np.mean(found[measure][name]), color="#444444", lw=1, ls="--")
        axes.set(xticks=[])
        axes.set_title(title, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=110)


class Case:
    """The test graphs with their fields loaded, and the model."""

    def __init__(self, count: int):
        self.graphs = read_graphs(data.folder() / "ba3motif_800.npz")
        module = build(ArchitectureSpec("leconv", 4, 3, layers=2, hidden=64, pooling="mean"))
        load_weights(module, data.folder() / "models" / "trained_here_ba3_leconv.safetensors")
        self.module, self.model = module, register(module, self.graphs)
        self.backend = Pooled(self.model)
        self.numbers = np.flatnonzero(self.graphs.split == "test")[:count]
        members = [self.graphs.member(i) for i in self.numbers.tolist()]
        self.fields = [whole(graph, directed=True) for graph in members]
        self.loaded = [self.backend.load(graph, field) for graph, field in zip(members, self.fields)]
        p = self.model.probabilities(self.model.full[torch.from_numpy(self.numbers)]).numpy()
        self.classes = p.argmax(axis=1)
        self.subjects = [Subject(self.model, graph, own, int(own.argmax()), {}) for graph, own in zip(members, p)]
        self.truths = [self._truth(graph, field) for graph, field in zip(members, self.fields)]
        self.seconds, self._fixed = {}, {}

    def _truth(self, graph, field) -> np.ndarray:
        truth = np.zeros(field.num_units, bool)
        truth[field.unit[graph.edge_truth]] = True
        return truth

    def rows(self, seed: int) -> dict[str, dict[str, float]]:
        """Every row of the table for one seed."""
        rng = np.random.default_rng(seed)
        rankings = {"random": [rng.random(field.num_units) for field in self.fields],
                    "connected": [-np.argsort(grow_order(field, rng.random(field.num_units))).astype(float)
                                  for field in self.fields],
                    "truth": [truth + 0.01 * rng.random(len(truth)) for truth in self.truths]}
        table = {name: self.judge(own) for name, own in rankings.items()}
        table["sa"] = self.timed(self.gradient)
        table["gnnexplainer"] = self.timed(lambda i: soft_mask(lambda _: GNNExplainer(100, 0.01), self.fields[i],
                                                               self.subjects[i], seed))
        for name, preset in VARIANTS.items():
            table[name] = self.learned(name, preset, seed)
        table["skyline"], verified = self.skyline(seed)
        table["verified"] = self.verified(rng, verified)
        if "ceiling" not in self._fixed:
            self._fixed["ceiling"] = self.score([self.smallest(i) for i in range(len(self.fields))])
        return {**table, "ceiling": self._fixed["ceiling"]}

    def gradient(self, i: int) -> np.ndarray:
        """SA: the size of each edge's gradient."""
        field, subject = self.fields[i], self.subjects[i]
        slopes = Slopes(self.model, subject.graph, field, subject.predicted)
        return np.abs(slopes(np.ones((1, field.num_units), bool), True)[0])

    def timed(self, rank) -> dict[str, float]:
        started = time.process_time()
        rankings = [rank(i) for i in range(len(self.fields))]
        return {**self.judge(rankings), "seconds_per_graph": (time.process_time() - started) / len(rankings)}

    def learned(self, name: str, preset: str, seed: int) -> dict[str, float]:
        """A variant of ReFine, pre-trained on the evaluation graphs; "refine" is fine-tuned for every ratio."""
        started = time.process_time()
        own = pretrain(self.model, self.graphs, (("preset", preset), ("split", "train"), ("seed", seed))).pretrained
        self.seconds[name] = time.process_time() - started
        saliency = refine.saliency(own, instances_of(self.model, self.graphs, self.numbers), self.classes)
        return self.timed(lambda i: self.tuned(own, i, seed)) if own.fine_tune else self.judge(saliency)

    def tuned(self, own, i: int, seed: int) -> list[np.ndarray]:
        """A ranking for every ratio."""
        batch = instances_of(self.model, self.graphs, self.numbers[i:i + 1]).batch(np.array([0]), self.model.device)
        target = torch.from_numpy(self.subjects[i].probabilities).float()[None]
        generator = torch.Generator().manual_seed(seed)
        return [refine.fine_tune(own.attributors.of(self.subjects[i].predicted), batch, target,
                                 partial(log_probabilities, self.model), size, generator=generator).numpy()
                for size in metrics.sizes(self.fields[i].num_units).tolist()]

    def judge(self, rankings) -> dict[str, float]:
        """ACC and recall of rankings [U] of each graph, or of one ranking for each ratio."""
        kept, recalls, full, precisions = [], [], [], []
        for i, own in enumerate(rankings):
            sizes = metrics.sizes(self.fields[i].num_units)
            per_ratio = own if isinstance(own, list) else [own] * len(sizes)
            bits = np.concatenate([top(ranking, [size]) for ranking, size in zip(per_ratio, sizes)])
            kept.append(self.p_kept(i, bits)[1])
            ranking = per_ratio[int(np.searchsorted(sizes, 5).clip(max=len(sizes) - 1))]
            recalls.append(metrics.recall(ranking, self.truths[i], 5))
            precisions.append(metrics.precision(ranking, self.truths[i], 5))
            full.append(metrics.recall(ranking, self.truths[i], int(self.truths[i].sum())))
        return self.summary(kept, recalls, full, precisions)

    def summary(self, kept, recalls=np.nan, full=np.nan, precisions=np.nan) -> dict[str, float]:
        accuracy = metrics.accuracy(np.array(kept))
        return {"acc_auc": accuracy.mean(), "acc_at_0.2": accuracy[1], "acc_at_0.5": accuracy[4],
                "recall_at_5": np.mean(recalls), "recall_at_motif": np.mean(full), "precision_at_5": np.mean(precisions),
                "seconds_per_graph": np.nan}

    def score(self, least: list[float]) -> dict[str, float]:
        """ACC where the smallest factual subgraph of each graph has `least` units."""
        return self.summary([size <= metrics.sizes(field.num_units) for size, field in zip(least, self.fields)])

    def p_kept(self, i: int, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """p(c) on G_s, and whether it is predicted, [n] each."""
        p = self.model.probabilities(self.backend.infer([Cuts(self.loaded[i], bits)])[0][0]).numpy()
        return p[:, self.classes[i]], p.argmax(axis=1) == self.classes[i]

    def skyline(self, seed: int) -> tuple[dict[str, float], np.ndarray]:
        with sxq.connect() as con:
            con.register_graphs("g", self.graphs)
            con.register_model("m", self.module, graphs="g")
            con.execute(f"PRETRAIN REFINE r FOR MODEL m ON GRAPHS g (SPLIT = train, PRESET = refine_ft, SEED = {seed})")
            started = time.process_time()
            result = con.execute(f"{QUERY} SEED {seed}", [self.numbers.tolist()])
            seconds = time.process_time() - started
        least, recalls = [], []
        for report, truth, field in zip(result.targets, self.truths, self.fields):
            sizes = np.array([e.size for e in report.explanations], int)
            least.append(sizes.min(initial=10**6))
            best = metrics.best_within(sizes, np.array([abs(e.raw["fdl-"]) for e in report.explanations]), 5)
            chosen = report.explanations[best].edge_numbers if best >= 0 else np.zeros(0, int)
            recalls.append(truth[field.unit[chosen]].sum() / truth.sum())
        found = self.score(least)
        return {**found, "recall_at_5": np.mean(recalls), "seconds_per_graph": seconds / len(least)}, \
            np.array([report.candidates for report in result.targets])

    def verified(self, rng: np.random.Generator, counts: np.ndarray) -> dict[str, float]:
        """The smallest factual one among `counts` [graphs] random connected subgraphs."""
        least = []
        for i, (field, count) in enumerate(zip(self.fields, counts)):
            sizes = np.exp(rng.uniform(0, np.log(field.num_units + 1), count)).astype(int).clip(1, field.num_units)
            bits = grow(field, sizes, rng)
            least.append(bits.sum(axis=1)[self.p_kept(i, bits)[1]].min(initial=10**6))
        return self.score(least)

    def smallest(self, i: int) -> int:
        """The size of the smallest factual connected subgraph that a beam search finds."""
        field = self.fields[i]
        bits = np.eye(field.num_units, dtype=bool)
        for size in range(1, field.num_units + 1):
            p, factual = self.p_kept(i, bits)
            if factual.any():
                return size
            best = bits[np.argsort(-p, kind="stable")[:BEAM]]
            reached = field.reached(best)
            row, unit = np.nonzero((reached[:, field.ends[0]] | reached[:, field.ends[1]]) & ~best)
            grown = best[row]
            grown[np.arange(len(row)), unit] = True
            if not len(grown):
                break
            _, first = np.unique(np.packbits(grown, axis=1), axis=0, return_index=True)
            bits = grown[first]
        return 10**6


if __name__ == "__main__":
    main()
