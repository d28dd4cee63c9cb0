"""The shared values: one explanation, and what a query reports about one target.

Plain frozen values without behaviour beyond looking at themselves; every room may hold them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True, eq=False)
class Explanation:
    """One member of a skyline: a connected subgraph that explains the prediction of its target.

    `edge_index` and `nodes` are positions (they index `data.x`, of a graph of a collection its own); `target` and
    `edges` are the user's keys.
    """

    target: Any  # key of the explained node, or of the explained graph of a collection
    rank: int  # place in the answer, from 1
    edge_index: (
        np.ndarray
    )  # [2, m] int64, every directed edge of the subgraph, by position in the graph
    nodes: np.ndarray  # [n] int64, positions of its nodes, a target node among them
    edges: tuple[tuple[Any, Any], ...]  # the m directed edges again, by key
    size: int  # number of units: pairs {u->v, v->u} on undirected graphs, directed edges otherwise
    raw: Mapping[str, float]  # by measure name: the literature's value
    scores: Mapping[
        str, float
    ]  # by measure name: larger is better, in (0, 1]; only these are compared
    factual: bool  # the subgraph alone keeps the prediction
    counterfactual: bool  # removing the subgraph changes the prediction
    tie: bool = False  # a top-two margin below 1e-5, or than float32 can tell, stood behind one of the two flags
    generator: str = ""  # who proposed it
    dominance: int = 0  # how many explanatory candidates it epsilon-dominates
    kind: str = "node"  # what was explained: a "node", or a "graph" as a whole
    graph: Any = field(default=None, repr=False)  # the graph it was found in, for conversions
    edge_numbers: Any = field(default=None, repr=False)  # [m] columns of that graph's edge_index

    def __repr__(self) -> str:
        flags = [name for name in ("factual", "counterfactual", "tie") if getattr(self, name)]
        raw = ", ".join(f"{name}={value:.4g}" for name, value in self.raw.items() if name != "size")
        return f"Explanation(target={self.target!r}, rank={self.rank}, size={self.size}, {raw}, {'+'.join(flags)})"

    def to_networkx(self) -> "networkx.DiGraph":
        """The subgraph as a `networkx.DiGraph` on keys, a target node marked by the node attribute `target`."""
        import networkx

        picture = networkx.DiGraph(
            target=self.target, rank=self.rank, **{k: float(v) for k, v in self.raw.items()}
        )
        for position in self.nodes.tolist():
            node = self.graph.key(position)
            label = {} if self.graph.y is None else {"label": int(self.graph.y[position])}
            picture.add_node(node, target=self.kind == "node" and node == self.target, **label)
        picture.add_edges_from(self.edges)
        return picture

    def draw(self) -> str:
        """The subgraph as text: a tree from the target, and the edges that close its circles."""
        from sxq.pictures.text import drawing

        return drawing(self)

    def plot(self, path: str | None = None) -> Any:
        """The subgraph in its context as a `matplotlib.figure.Figure`, also saved to `path`; needs matplotlib."""
        from sxq.pictures.plots import plot_explanation

        return plot_explanation(self, path)

    def _repr_html_(self) -> str:
        from sxq.pictures.notebook import explanation_html

        return explanation_html(self)

    def to_data(self) -> Any:
        """The subgraph as a `torch_geometric.data.Data` with its nodes renumbered; see `sxq.pyg.to_data`."""
        from sxq.pyg import to_data  # the one place outside execution and learning that knows torch

        return to_data(self)


class CandidateRow(NamedTuple):
    """One verified candidate: a row of the table `candidates`, the state graph of a search."""

    candidate: int  # number within the target
    parent: int | None
    edited_src: Any  # the unit that was taken from the parent or added to it, by key
    edited_dst: Any
    generator: str
    size: int
    factual: bool
    counterfactual: bool
    explanatory: bool
    scores: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class TargetReport:
    """What one query says about one target: one row of the table `targets`, and its explanations."""

    target: Any  # key of the node, or of the graph
    ordinal: int  # place of the target in the query, from 0
    status: str = (
        "pending"  # pending, done, stopped, empty (no candidate or nothing explanatory), failed
    )
    prediction: int | None = None  # the predicted class c
    probability: float | None = None  # p(c) on the whole graph
    p_empty: float | None = None  # p(c) without any candidate edge
    self_sufficient: bool | None = None  # the model says c without any edge
    field_size: int | None = None  # candidate units in the receptive field
    hops: int | None = None  # depth of the field; of a graph the layers of its onion decomposition
    candidates: int = 0  # distinct candidates verified
    pruned: int = 0  # distinct candidates not verified: whatever the model says, they are dominated
    explanatory: int = 0  # of these, factual or counterfactual (and admitted by WHERE)
    front: int = 0  # exact Pareto set of the explanatory ones
    dominance: int = 0  # DS: explanatory candidates that the answer epsilon-dominates
    coverage: float | None = None  # DS / explanatory
    epsilon_achieved: float | None = None  # smallest epsilon at which the answer covers everything
    hypervolume: float | None = None  # volume that the answer's scores dominate above 0
    complete: bool = (
        False  # every generator came to its end, leaving nothing out for lack of budget
    )
    seconds: float = 0.0
    note: str = ""  # why an answer is empty, thinned, or shorter than asked
    explanations: tuple[Explanation, ...] = field(default=(), repr=False)
    kept: tuple[CandidateRow, ...] = field(
        default=(), repr=False
    )  # every candidate, until they are stored
    examined: Mapping[str, Any] = field(
        default_factory=dict, repr=False
    )  # by objective: scores [n <= 1000] of
    # explanatory candidates, an even sample, for pictures

    @property
    def reached(self) -> bool:
        """Whether its turn came before the query was stopped."""
        return self.status != "stopped" or self.prediction is not None
