"""What the planner may know of the world: one frozen value, built by the corridor for each statement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sxq.graph import Graph, GraphSet
from sxq.scoring.measures import Measure


@dataclass(frozen=True)
class ModelInfo:
    """A model as registration found it on one graph."""

    name: str
    graph: str  # name of the graph it runs on
    hops: int  # L
    halo: int  # rings of context
    backend: str  # the inference backend chosen
    reason: str  # why


class GeneratorInfo(Protocol):
    """A generator as a plan sees it; an entry of the catalog of generators is one."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The defaults of its options by name, which also tell their types."""


@dataclass(frozen=True)
class Catalog:
    """Everything a plan can refer to, by name."""

    graphs: Mapping[str, Graph | GraphSet]
    models: Mapping[str, ModelInfo]
    measures: Mapping[str, Measure]
    generators: Mapping[str, GeneratorInfo]
    default_generators: tuple[str, ...]
    settings: Mapping[str, Any]  # by name, as `parse_setting` returned them
    learned: Mapping[str, str] = field(
        default_factory=dict
    )  # pre-trained attributors: name -> their model's
    explainers: tuple[str, ...] = ()  # PyG explainers that were registered
    stores: bool = True  # false on a read-only database: answers are shown, not stored
