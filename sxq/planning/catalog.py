"""The catalog of a statement: everything that its plan can refer to, by name.

It is one frozen value, made for each statement by the session. Among its entries are those of the catalog of
generators (`sxq/generators/catalog.py`); both catalogs only list names and run nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sxq.graph import EdgeType, Graph, GraphSet
from sxq.scoring.measures import Measure


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model as registration found it on one graph."""

    name: str
    graph: str  # name of the graph it runs on
    hops: int  # L
    halo: int  # rings of context
    backend: str  # the inference backend chosen
    reason: str  # why
    depth: str = ""  # a remark on how the hops were found
    kind: str = "node"  # what it judges: "node", "link" or "graph"
    task: str = "multiclass"  # one of scoring.question.TASKS
    # Of a heterogeneous graph, the types of the nodes that it has outputs for.
    judged: tuple[str, ...] = ()
    edge_type: EdgeType | None = None  # of the links that it scores, where they have types
    classes: int | None = None  # classes, labels or numbers that it gives; None: not known
    # What decides whether, and how, its features can be units: (backend, why), or an error.
    over_features: Callable[[], tuple[str, str]] = field(
        default=lambda: ("disjoint", ""), repr=False
    )
    # The class [n] that it predicts for every node, or graph, of its graph.
    predictions: Callable[[], np.ndarray] = field(default=lambda: np.zeros(0, np.int64), repr=False)


class GeneratorInfo(Protocol):
    """A generator as a plan sees it: the attributes of an entry in the catalog of generators."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The defaults of its options by name, which also tell their types."""

    @property
    def over(self) -> tuple[str, ...]:
        """The units that it can choose from."""

    @property
    def pretrained(self) -> bool:
        """Whether it needs attributors of PRETRAIN REFINE, named by its option `pretrained`."""


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything a plan can refer to, by name."""

    graphs: Mapping[str, Graph | GraphSet]
    models: Mapping[str, ModelInfo]
    measures: Mapping[str, Measure]
    generators: Mapping[str, GeneratorInfo]
    default_generators: tuple[str, ...]  # of a statement without BY
    settings: Mapping[str, Any]  # by name, as `parse_setting` returned them
    # pre-trained attributors: the model of each
    learned: Mapping[str, str] = field(default_factory=dict)
    explainers: tuple[str, ...] = ()  # PyG explainers that were registered
    stores: bool = True  # false on a read-only database: answers are shown, not stored
