"""Who is compared in refine.py: rankings of edges, and the subgraphs of the engine, of chance, and of a beam search."""

import importlib.util
from functools import partial

import numpy as np
import torch
from classified import NOWHERE, Case, Fared, timed
from torch_geometric.explain import GNNExplainer

import sxq
from sxq.generators.baselines.random import grow
from sxq.generators.explainers.mask_to_subgraphs import grow_order
from sxq.generators.explainers.pgm import Dependence
from sxq.generators.explainers.pyg_explainers import unit_mask
from sxq.graph.bits import first_of_each
from sxq.inference.edge_gradients import EdgeGradients
from sxq.models import refine
from sxq.models.edge_mask import instances_of, log_probabilities
from sxq.scoring.question import Question

BEAM = {  # subgraphs of every size that the ceiling keeps
    "ba3motif": 2000,
    "ba3motif-asap": 200,
    "mutagenicity": 200,
    "superpixels": 100,
    "vg5": 100,
}
PGM_SAMPLES = 100  # of PGM-Explainer
QUERY = (
    "EXPLAIN GRAPHS ? USING MODEL m OPTIMIZE fdl-, conc BY search, "
    "refine (pretrained = r, fine_tune = false) WHERE factual TOP 100 BUDGET 2000 CANDIDATES"
)


# rankings of edges: one [U] for each graph, or a list of one for each ratio


def at_random(case: Case, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random(field.num_units) for field in case.fields]


def connected(case: Case, seed: int) -> list[np.ndarray]:
    return [
        -np.argsort(grow_order(field, own)).astype(float)
        for field, own in zip(case.fields, at_random(case, seed))
    ]


def by_truth(case: Case, seed: int) -> list[np.ndarray]:
    return [truth + 0.01 * own for truth, own in zip(case.truths, at_random(case, seed))]


def gradient(case: Case, seed: int) -> list[np.ndarray]:
    """SA: the size of each edge's gradient."""
    return [
        np.abs(
            EdgeGradients(case.model, subject.graph, field, Question(column=subject.predicted))(
                np.ones((1, field.num_units), bool), True
            )[0]
        )
        for field, subject in zip(case.fields, case.subjects)
    ]


def gnn_explainer(case: Case, seed: int) -> list[np.ndarray]:
    return [
        unit_mask(lambda _: GNNExplainer(100, 0.01), field, subject, seed=seed)
        for field, subject in zip(case.fields, case.subjects)
    ]


def pgm_explainer(case: Case, seed: int) -> list[np.ndarray]:
    """PGM-Explainer: an edge weighs its two nodes, as the generator `pgm` has it."""
    return [
        unit_mask(
            lambda _, own=seed + i: Dependence(PGM_SAMPLES, own),
            field,
            subject,
            seed=seed,
            node_mask=True,
            edge_mask=False,
        )
        for i, (field, subject) in enumerate(zip(case.fields, case.subjects))
    ]


RANKINGS = {
    "random": at_random,
    "connected": connected,
    "truth": by_truth,
    "sa": gradient,
    "gnnexplainer": gnn_explainer,
}
if importlib.util.find_spec("pgmpy"):
    RANKINGS["pgm"] = pgm_explainer


def learned(case: Case, own: refine.Pretrained, seed: int) -> list:
    """What attributors think of every edge, fine-tuned for every ratio where their preset asks for it."""
    instances = instances_of(case.model, case.graphs, case.numbers)
    if not own.fine_tune:
        return refine.saliency(own, instances, case.classes)
    generator = torch.Generator().manual_seed(seed)
    tuned = []
    for i, subject in enumerate(case.subjects):
        batch = instances.batch(np.array([i]), case.model.device)
        target = torch.from_numpy(subject.probabilities).float()[None]
        tuned.append(
            list(
                refine.fine_tune(
                    own.attributors.of(subject.predicted),
                    batch,
                    target,
                    partial(log_probabilities, case.model),
                    case.sizes[i].tolist(),
                    generator=generator,
                ).numpy()
            )
        )
    return tuned


# subgraphs


def skyline(
    case: Case, seed: int, options: tuple[tuple[str, object], ...]
) -> tuple[Fared, dict[str, np.ndarray]]:
    """The answers of the engine, and how many candidates they took."""
    with sxq.connect() as con:
        con.register_graphs("g", case.graphs)
        con.register_model("m", case.module, graphs="g")
        how = ", ".join(
            f"{option} = {value}"
            for option, value in (("preset", "refine_ft"), ("seed", seed), *options)
        )
        _, pretraining = timed(
            lambda: con.execute(f"PRETRAIN REFINE r FOR MODEL m ON GRAPHS g ({how})")
        )
        result, seconds = timed(
            lambda: con.execute(f"{QUERY} SEED {seed}", [case.numbers.tolist()])
        )
    answers = []
    for report, field in zip(result.targets, case.fields):
        if not report.explanations:
            print(f"skyline: graph {report.target} has no answer: {report.note}")
        bits = np.zeros((len(report.explanations), field.num_units), bool)
        for row, member in zip(bits, report.explanations):
            row[field.unit[member.edge_numbers]] = True
        answers.append(
            (bits, np.array([abs(member.raw["fdl-"]) for member in report.explanations]))
        )
    return case.members(answers), {
        "seconds": seconds,
        "pretraining": pretraining,
        "candidates": np.array([report.candidates for report in result.targets]),
    }


def verified(case: Case, seed: int, counts: np.ndarray) -> Fared:
    """The smallest factual one among `counts` [n] random connected subgraphs of each graph."""
    rng, least = np.random.default_rng(seed), []
    for i, (field, count) in enumerate(zip(case.fields, counts)):
        if not count:  # the skyline could not explain it
            least.append(NOWHERE)
            continue
        sizes = (
            np.exp(rng.uniform(0, np.log(field.num_units + 1), count))
            .astype(int)
            .clip(1, field.num_units)
        )
        bits = grow(field, sizes, rng)
        (p,) = case.ask([bits], [i])
        least.append(bits.sum(axis=1)[p[0].argmax(axis=1) == case.classes[i]].min(initial=NOWHERE))
    return case.smallest(least)


def ceiling(case: Case, least: np.ndarray) -> tuple[Fared, dict[str, np.ndarray]]:
    """The smallest factual subgraphs there are, `least` [n] being known, and where that is certain."""
    found = [smallest(case, i, bound) for i, bound in enumerate(least.tolist())]
    return case.smallest([size for size, _ in found]), {
        "exact": np.array([exact for _, exact in found])
    }


def smallest(case: Case, i: int, known: int) -> tuple[int, bool]:
    """The size of the smallest factual connected subgraph, one of `known` units being there; and whether it is certain."""
    field, exact = case.fields[i], True
    bits = np.eye(field.num_units, dtype=bool)
    for size in range(1, known):
        p = next(case.ask([bits], [i]))[0]
        if (p.argmax(axis=1) == case.classes[i]).any():
            return size, exact
        best = bits[np.argsort(-p[:, case.classes[i]], kind="stable")[: BEAM[case.name]]]
        exact &= len(best) == len(bits)
        row, unit = np.nonzero(field.frontiers(best))
        grown = best[row]
        grown[np.arange(len(row)), unit] = True
        bits = grown[first_of_each(grown)]
        if not len(bits):  # no part of a graph that is not connected
            break
    return known, exact
