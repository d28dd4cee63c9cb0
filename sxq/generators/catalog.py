"""The catalog of generators, which statements name after BY; it imports no algorithm and no torch.

Planning, completion and SHOW GENERATORS read `GENERATORS`; only a plan that runs imports an algorithm, by `load(name)`.
A new generator is one file with its coroutine, and one entry here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from sxq.generators.protocol import Search
from sxq.scoring.measures import Objective
from sxq.scoring.ratios import RATIOS

MEAN = Objective("mean")
DEFAULT = ("search",)  # the generators of an EXPLAIN without BY


@dataclass(frozen=True, kw_only=True)
class GeneratorEntry:
    """A generator as statements know it, and where its coroutine is."""

    name: str
    function: str | Callable[..., Search]  # "module:function", or a coroutine made while running
    help: str  # one line for users
    # Defaults, which also tell the types; None is that of a flag which something else decides.
    options: Mapping[str, Any] = field(default_factory=dict)
    prunes: bool = False  # it can use bounds for candidates that cannot enter the front
    endless: bool = False  # it goes on until its budget is spent
    looks_inside: bool = False  # it needs `context.subject`: the model itself
    over: tuple[str, ...] = ("edges",)  # the units that it can choose from
    package: str = ""  # a package it needs that sxq does not install

    @property
    def pretrained(self) -> bool:
        """Whether it needs attributors of PRETRAIN REFINE, named by its option `pretrained`."""
        return "pretrained" in self.options


def load(name: str) -> Callable[..., Search]:
    """The coroutine of a generator; imports its algorithm, and torch if the algorithm needs it."""
    function = GENERATORS[name].function
    if not isinstance(function, str):
        return function
    module, _, attribute = function.partition(":")
    return getattr(import_module(module), attribute)


GENERATORS: dict[str, GeneratorEntry] = {
    entry.name: entry
    for entry in (
        GeneratorEntry(
            name="search",
            function="sxq.generators.search:search",
            help="add, remove and swap units wherever that increases the hypervolume",
            endless=True,
            over=("edges", "nodes", "features"),
        ),
        GeneratorEntry(
            name="onion",
            function="sxq.generators.paper.onion:onion",
            help="peel the field from the outermost hop inwards (ApxSX-OP)",
            options={"objective": MEAN},
            prunes=True,
            over=("edges", "nodes"),
        ),
        GeneratorEntry(
            name="growing",
            function="sxq.generators.paper.growing:growing",
            help="grow from the target outwards, edge by edge (ApxSX-I)",
            options={"objective": MEAN},
            prunes=True,
            over=("edges", "nodes", "features"),
        ),
        GeneratorEntry(
            name="exhaustive",
            function="sxq.generators.baselines.exhaustive:exhaustive",
            help="every connected subgraph of a small field, or of at most `size` units; fails if there are too many",
            options={"size": 0},
            over=("edges", "nodes", "features"),
        ),
        GeneratorEntry(
            name="deepening",
            function="sxq.generators.baselines.deepening:deepening",
            help="every connected subgraph of one unit, then of two, ..., as far as the budget goes (SMALLEST)",
            options={"until": ""},
            over=("edges", "nodes", "features"),
        ),
        GeneratorEntry(
            name="refine",
            function="sxq.generators.paper.refine:refine",
            help="pre-trained class by class, fine-tuned to the target (ReFine)",
            options={
                "pretrained": "",
                "fine_tune": None,  # as the preset says
                "ratios": RATIOS,
                "select": "sample",
                "samples": 8,
                "steps": 50,
                "lr": 1e-4,
            },
            looks_inside=True,
        ),
        GeneratorEntry(
            name="pgexplainer",
            function="sxq.generators.explainers.pgexplainer:pgexplainer",
            help="pre-trained for all classes at once (PGExplainer)",
            options={"pretrained": ""},
            looks_inside=True,
        ),
        GeneratorEntry(
            name="gnnexplainer",
            function="sxq.generators.explainers.pyg_explainers:gnnexplainer",
            help="the edge mask of GNNExplainer",
            options={"epochs": 100, "lr": 0.01},
            looks_inside=True,
        ),
        GeneratorEntry(
            name="graphmask",
            function="sxq.generators.explainers.pyg_explainers:graphmask",
            help="the edge mask of GraphMask",
            options={"epochs": 50, "lr": 0.01},
            looks_inside=True,
        ),
        GeneratorEntry(
            name="attention",
            function="sxq.generators.explainers.pyg_explainers:attention",
            help="attention weights, for models that have them",
            looks_inside=True,
        ),
        GeneratorEntry(
            name="sa",
            function="sxq.generators.explainers.pyg_explainers:sa",
            help="magnitudes of the gradients on edges (SA)",
            looks_inside=True,
        ),
        GeneratorEntry(
            name="captum",
            function="sxq.generators.explainers.captum:captum",
            help="the edge mask of a Captum method; needs captum",
            options={"method": "IntegratedGradients"},
            looks_inside=True,
            package="captum",
        ),
        GeneratorEntry(
            name="pgm",
            function="sxq.generators.explainers.pgm:pgm",
            help="the nodes that the prediction depends on (PGM-Explainer); needs pgmpy",
            options={"samples": 100},
            looks_inside=True,
            package="pgmpy<1",
        ),
        GeneratorEntry(
            name="pyg",
            function="sxq.generators.explainers.pyg_explainers:pyg",
            help="any explainer that was registered: con.register_explainer",
            options={"explainer": ""},
            looks_inside=True,
        ),
        GeneratorEntry(
            name="cf2",
            function="sxq.generators.explainers.cf2:cf2",
            help="one mask that is factual and counterfactual (CF2)",
            options={"epochs": 100, "lr": 0.05, "alpha": 0.6, "lam": 10.0},
            looks_inside=True,
        ),
        GeneratorEntry(
            name="moexp",
            function="sxq.generators.baselines.moexp:moexp",
            help="evolution towards the front of two objectives (MOExp)",
            options={"size": 32, "generations": 20},
            over=("edges", "nodes", "features"),
        ),
        GeneratorEntry(
            name="random",
            function="sxq.generators.baselines.random:random",
            help="random connected subgraphs, of `size` units or log-uniform sizes",
            options={"size": 0},
            endless=True,
            over=("edges", "nodes", "features"),
        ),
    )
}
