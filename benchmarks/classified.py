"""Graphs that a model classifies, the edges that are known to matter, and how rankings and subgraphs of edges fare.

By case: the model, the split that attributors learn from, and the truth. Models are trained here unless published
weights are at hand (TRAINING); graphs of the test split are explained.

    ba3motif        BA-3motif with the LEConv of `data.classifier`; 400 graphs; the motif
    ba3motif-asap   the same graphs with ASAP, the paper's model
    mutagenicity    molecules with a GIN; the validation split; bonds of NO2 and NH2 groups, counted for graphs that the
                    model calls mutagens and that have such a bond
    superpixels     MNIST superpixels, or scikit-learn's digits, with SplineCNN; validation; edges between bright patches
    vg5             scenes with APPNP, only where the files are at hand; validation; no truth
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import attribution as metrics
import data
import numpy as np
import torch

from sxq.generators.explainers.mask_to_subgraphs import top
from sxq.generators.protocol import Subject
from sxq.graph import Field, Graph, GraphSet, whole
from sxq.inference import CandidateBatch
from sxq.inference.choose import open_backend
from sxq.inference.registration import register
from sxq.models import accuracies, train
from sxq.models.training import training_split
from sxq.scoring.ratios import RATIOS, sizes
from sxq.scoring.sampled import ALPHA_MINUS, ALPHA_PLUS, REMOVALS

SHARED = (("pooling", "mean"), ("weight_decay", 1e-5), ("seed", 0))
TRAINING = {
    "mutagenicity": (
        ("architecture", "gin"),
        ("layers", 3),
        ("hidden", 64),
        ("norm", "batch"),
        ("epochs", 100),
        ("lr", 0.005),
    ),
    "ba3motif-asap": (
        ("architecture", "asap"),
        ("layers", 2),
        ("hidden", 32),
        ("epochs", 60),
        ("lr", 0.005),
    ),
    "superpixels": (
        ("architecture", "splinecnn"),
        ("layers", 2),
        ("hidden", 32),
        ("norm", "batch"),
        ("epochs", 40),
        ("lr", 0.01),
        ("batch", 16),
    ),
    "vg5": (("architecture", "appnp"), ("layers", 3), ("hidden", 64), ("epochs", 100)),
}
CASES = ("ba3motif", *TRAINING)
MUTAGEN = 0
ROBUST_AT = 0.2  # of the edges: the subgraph whose robust fidelity is measured
AT_ONCE = 300_000  # nodes in one forward pass
NOWHERE = 10**6  # the size of a subgraph that was not found


@dataclass
class Fared:
    """How one row fared on every graph; NaN where a graph has no truth."""

    kept: np.ndarray  # [n, ratios] whether rho |E| edges keep the prediction
    recall: np.ndarray  # [n] Recall@5
    recall_of_all: np.ndarray  # [n] Recall@|truth|
    precision: np.ndarray  # [n] Precision@5
    robust: np.ndarray  # [n, 2] robust fidelity+ and - of the subgraph of ROBUST_AT |E| edges
    least: (
        np.ndarray
    )  # [n] size of the smallest connected subgraph that was seen to keep the prediction
    # [n] Recall@5 of the best single member, and of the five edges that most members hold; of a
    # ranking, both are its Recall@5
    best: np.ndarray
    union: np.ndarray


class Case:
    """The explained graphs with their fields loaded, and the model; n graphs of U units each."""

    def __init__(self, name: str, count: int, epochs: int | None = None):
        self.name = name
        self.graphs, self.module, self.learn_from = _read(name, epochs)
        self.accuracy = accuracies(self.module, self.graphs)
        self.model = register(self.module, self.graphs)
        self.backend = open_backend(self.model.backend, self.model)
        explained = (self.graphs.split == "test") & (np.diff(self.graphs.edge_ptr) > 0)
        self.numbers = np.flatnonzero(explained)[:count]
        members = [self.graphs.member(i) for i in self.numbers.tolist()]
        self.fields = [whole(graph, not graph.undirected) for graph in members]
        self.loaded = [
            self.backend.load(graph, field) for graph, field in zip(members, self.fields)
        ]
        self.p = self.model.probabilities(self.model.full[torch.from_numpy(self.numbers)]).numpy()
        self.classes = self.p.argmax(axis=1)
        self.subjects = [
            Subject(self.model, graph, own, int(own.argmax()), {})
            for graph, own in zip(members, self.p)
        ]
        self.truths = [self._truth(*each) for each in zip(members, self.fields, self.classes)]
        self.sizes = [sizes(field.num_units) for field in self.fields]

    def __len__(self) -> int:
        return len(self.fields)

    def _truth(self, graph: Graph, field: Field, predicted: int) -> np.ndarray:
        truth = np.zeros(field.num_units, bool)
        known = graph.edge_truth is not None
        if known and (self.name != "mutagenicity" or predicted == MUTAGEN):
            truth[field.unit[graph.edge_truth & (field.unit >= 0)]] = True
        return truth

    @cached_property
    def best_recall(self) -> float:
        """The mean of what Recall@5 can be at most."""
        sizes = np.array([truth.sum() for truth in self.truths if truth.any()])
        if not len(sizes):
            return np.nan
        return float((np.minimum(sizes, 5) / sizes).mean())

    def ask(
        self, bits: Sequence[np.ndarray], numbers: Sequence[int] | None = None
    ) -> Iterator[np.ndarray]:
        """p [2, rows, C] of units bits [rows, U] of each graph: on them alone, and without them."""
        for i, rows in zip(range(len(self)) if numbers is None else numbers, bits):
            step = max(1, AT_ONCE // self.fields[i].num_nodes)
            parts = [
                self.backend.infer([CandidateBatch(self.loaded[i], rows[start : start + step])])[0]
                for start in range(0, len(rows), step)
            ]
            yield (
                self.model.probabilities(torch.cat(parts, dim=1).flatten(0, 1))
                .numpy()
                .reshape(2, len(rows), -1)
            )

    def rankings(self, rankings: Sequence[np.ndarray | Sequence[np.ndarray]]) -> Fared:
        """Rankings [U] of each graph, or one for each ratio, judged by their rho |E| highest edges, connected or not."""
        each = [
            own if isinstance(own, list) else [own] * len(sizes)
            for own, sizes in zip(rankings, self.sizes)
        ]
        bits = [
            np.concatenate([top(ranking, [size]) for ranking, size in zip(own, sizes)])
            for own, sizes in zip(each, self.sizes)
        ]
        kept = np.array([p[0].argmax(axis=1) == c for p, c in zip(self.ask(bits), self.classes)])
        at_five = [
            own[min(int(np.searchsorted(sizes, 5)), len(own) - 1)]
            for own, sizes in zip(each, self.sizes)
        ]
        recall, of_all, precision = np.array(
            [
                (
                    metrics.recall(own, truth, 5),
                    metrics.recall(own, truth, int(truth.sum())),
                    metrics.precision(own, truth, 5) if truth.any() else np.nan,
                )
                for own, truth in zip(at_five, self.truths)
            ]
        ).T
        robust = self.robust([rows[RATIOS.index(ROBUST_AT)] for rows in bits])
        least = self._least(bits, kept)
        return Fared(kept, recall, of_all, precision, robust, least, best=recall, union=recall)

    def _least(self, bits: list[np.ndarray], kept: np.ndarray) -> np.ndarray:
        connected = [
            np.bincount(field.split(rows)[1], minlength=len(rows)) == 1
            for field, rows in zip(self.fields, bits)
        ]
        return np.array(
            [
                rows.sum(axis=1)[own & whole].min(initial=NOWHERE)
                for rows, own, whole in zip(bits, kept, connected)
            ]
        )

    def smallest(self, least: Sequence[int]) -> Fared:
        """Where all that is known is the size of the smallest subgraph of each graph that keeps the prediction."""
        least = np.asarray(least)
        nothing = np.full(len(self), np.nan)
        return Fared(
            np.stack([size <= sizes for size, sizes in zip(least, self.sizes)]),
            nothing,
            nothing,
            nothing,
            np.full((len(self), 2), np.nan),
            least,
            best=nothing,
            union=nothing,
        )

    def members(self, answers: Sequence[tuple[np.ndarray, np.ndarray]]) -> Fared:
        """Skylines: members [k, U] of each graph, all factual, with their |fdl-| [k]; within a size the best counts.

        Where no member is within the size whose robust fidelity is measured, the smallest is.
        """
        hits, chosen = [], []
        for (bits, loss), truth, allowed in zip(answers, self.truths, self.sizes):
            held = bits.sum(axis=1)
            own = [metrics.best_within(held, loss, n) for n in (5, max(1, int(truth.sum())))]
            sets = [bits[best] if best >= 0 else np.zeros(len(truth), bool) for best in own]
            inside, total = [(members & truth).sum() for members in sets], truth.sum()
            hits.append(
                [inside[0] / total, inside[1] / total, inside[0] / max(1, sets[0].sum())]
                if total
                else [np.nan] * 3
            )
            best = metrics.best_within(held, loss, allowed[RATIOS.index(ROBUST_AT)])
            nothing = np.zeros(len(truth), bool)  # where no member was found
            chosen.append(bits[best if best >= 0 else held.argmin()] if len(bits) else nothing)
        least = np.array([bits.sum(axis=1).min(initial=NOWHERE) for bits, _ in answers])
        best, union = np.array(
            [metrics.of_members(bits, truth, 5) for (bits, _), truth in zip(answers, self.truths)]
        ).T
        return Fared(
            self.smallest(least).kept,
            *np.array(hits).T,
            self.robust(chosen),
            least,
            best=best,
            union=union,
        )

    def robust(self, chosen: Sequence[np.ndarray]) -> np.ndarray:
        """Robust fidelity+ and - [n, 2] of a subgraph [U] of each graph (Zheng et al. 2024), as `sxq.scoring.sampled`.

        The same random removals for every row of the table.
        """
        asked = []
        for i, bits in enumerate(chosen):
            lots = np.random.default_rng(i).random((2, REMOVALS, len(bits)))
            asked.append(
                np.concatenate([(lots[0] < ALPHA_PLUS) & bits, (lots[1] < ALPHA_MINUS) & ~bits])
            )
        p = np.array([p[1, :, c] for p, c in zip(self.ask(asked), self.classes)]).reshape(
            len(self), 2, REMOVALS
        )
        return self.p.max(axis=1)[:, None] - p.mean(axis=2)


def _read(name: str, epochs: int | None) -> tuple[GraphSet, torch.nn.Module, str]:
    """The graphs, their model, and the split that attributors learn from; `epochs` of training, if not as usual."""
    if name == "ba3motif":
        return data.graphs(name), data.classifier(name), "train"
    held = data.graphs(name.removesuffix("-asap"))
    options = dict((*SHARED, *TRAINING[name])) | ({"epochs": epochs} if epochs else {})
    split = training_split(held, options["seed"])
    if not (split == "val").any():
        return held, train(held, tuple(options.items())).module, "train"
    graphs = GraphSet(held.union, held.node_ptr, held.edge_ptr, y=held.y, split=split)
    return graphs, train(graphs, tuple(options.items())).module, "val"


def timed(work) -> tuple[object, float]:
    """What `work()` returns, and the CPU seconds it took."""
    started = time.process_time()
    return work(), time.process_time() - started
