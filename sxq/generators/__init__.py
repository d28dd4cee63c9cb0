"""The generators: one algorithm, one file, one line in this registry.

A generator is a coroutine `def name(field, context, **options) -> Search`; see `conversation.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sxq.generators.baselines.exhaustive import exhaustive
from sxq.generators.baselines.moexp import moexp
from sxq.generators.baselines.random import random
from sxq.generators.explainers.captum import captum
from sxq.generators.explainers.cf2 import cf2
from sxq.generators.explainers.pgexplainer import pgexplainer
from sxq.generators.explainers.pgm import pgm
from sxq.generators.explainers.pyg_explainers import attention, gnnexplainer, graphmask, pyg, sa
from sxq.generators.paper.growing import growing
from sxq.generators.paper.onion import onion
from sxq.generators.paper.refine import refine
from sxq.generators.protocol import Search
from sxq.generators.search import search
from sxq.scoring.attribution import RATIOS
from sxq.scoring.measures import Objective

MEAN = Objective("mean")
DEFAULT = ("search",)  # what EXPLAIN does without BY


@dataclass(frozen=True)
class GeneratorEntry:
    """A registered generator: the coroutine, its options with their defaults, and one line for users."""

    search: Callable[..., Search]
    options: dict[str, object]
    summary: str
    prunes: bool = False  # it can go on from bounds where candidates cannot enter the front
    looks_inside: bool = False  # it needs `context.subject`: the model itself


GENERATORS = {
    "search": GeneratorEntry(
        search, {}, "peel, grow and improve on one edge table, where hypervolume grows"
    ),
    "onion": GeneratorEntry(
        onion, {"objective": MEAN}, "peel the field from the outermost hop inwards (ApxSX-OP)", True
    ),
    "growing": GeneratorEntry(
        growing, {"objective": MEAN}, "grow from the target outwards, edge by edge (ApxSX-I)", True
    ),
    "exhaustive": GeneratorEntry(
        exhaustive, {}, "every connected subgraph of a small field, an error where too many"
    ),
    "refine": GeneratorEntry(
        refine,
        {
            "pretrained": "",
            "fine_tune": True,
            "ratios": RATIOS,
            "select": "sample",
            "samples": 8,
            "steps": 20,
            "lr": 1e-4,
        },
        "pre-trained class by class, fine-tuned to the target (ReFine)",
        looks_inside=True,
    ),
    "pgexplainer": GeneratorEntry(
        pgexplainer,
        {"pretrained": ""},
        "pre-trained for all classes at once (PGExplainer)",
        looks_inside=True,
    ),
    "gnnexplainer": GeneratorEntry(
        gnnexplainer,
        {"epochs": 100, "lr": 0.01},
        "the edge mask of GNNExplainer",
        looks_inside=True,
    ),
    "graphmask": GeneratorEntry(
        graphmask, {"epochs": 50, "lr": 0.01}, "the edge mask of GraphMask", looks_inside=True
    ),
    "attention": GeneratorEntry(
        attention, {}, "attention weights, of models that have them", looks_inside=True
    ),
    "sa": GeneratorEntry(sa, {}, "sizes of gradients by edges", looks_inside=True),
    "captum": GeneratorEntry(
        captum,
        {"method": "IntegratedGradients"},
        "the edge mask of a method of Captum, which is a package of its own",
        looks_inside=True,
    ),
    "pgm": GeneratorEntry(
        pgm,
        {"samples": 100},
        "nodes that the prediction depends on (PGM-Explainer); needs pgmpy",
        looks_inside=True,
    ),
    "pyg": GeneratorEntry(
        pyg,
        {"explainer": ""},
        "any explainer that was registered: con.register_explainer",
        looks_inside=True,
    ),
    "cf2": GeneratorEntry(
        cf2,
        {"epochs": 100, "lr": 0.05, "alpha": 0.6, "lam": 10.0},
        "one mask that is factual and counterfactual (CF2)",
        looks_inside=True,
    ),
    "moexp": GeneratorEntry(
        moexp,
        {"size": 32, "generations": 20},
        "evolution towards the front of two objectives (MOExp)",
    ),
    "random": GeneratorEntry(
        random, {"size": 0}, "random connected subgraphs, of `size` units or log-uniform sizes"
    ),
}
