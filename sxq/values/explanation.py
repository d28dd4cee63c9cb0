"""The shared values: one explanation, and what a query reports about one target.

Plain frozen values without behaviour beyond looking at themselves; every room may hold them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sxq.values.views import view

if TYPE_CHECKING:
    import networkx
    from matplotlib.figure import Figure
    from torch_geometric.data import Data, HeteroData


@dataclass(frozen=True, eq=False, kw_only=True)
class Worth:
    """What each directed edge of an explanation is worth, as its unit: measured, in the order of `edges`.

    Of OVER NODES and OVER FEATURES it is what each unit is worth, in the order of `units`.
    """

    kept: np.ndarray  # [m] what p loses on G_s when the unit alone is left out
    removed: np.ndarray  # [m] what p regains on G \\ G_s when the unit alone is put back
    # [m] bool: without the unit the explanation is no longer factual, or no longer counterfactual
    needed: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """[m] in [0, 1]: kept and removed together, of that of the best edge; 1 where nothing is gained."""
        gained = np.maximum(self.kept, 0) + np.maximum(self.removed, 0)
        most = gained.max(initial=0)
        return gained / most if most > 1e-12 else np.ones(len(gained))


class Reason(NamedTuple):
    """A unit of an explanation OVER NODES or OVER FEATURES, and what it is worth: a "reason code"."""

    unit: Any  # key of the node, or name of the feature
    value: float | None  # of a feature at the target
    share: float  # as of `Worth.share`; 1/2 where it was not measured
    kept: float | None  # None where it was not measured
    removed: float | None
    needed: bool | None
    text: str = ""  # of a feature: its value for people, as it was in the user's table


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """One member of a skyline: a connected subgraph that explains the prediction of its target.

    Of OVER NODES it is the subgraph of the nodes `units`; of OVER FEATURES it has no edge, and `units` are features.

    `edge_index` and `nodes` are positions: they index `data.x`, in a collection that of the target's own graph.
    `target` and `edges` are the user's keys.
    """

    target: Any  # key of the explained node, of the graph of a collection, or of a link: (u, v)
    rank: int  # place in the answer, from 1
    edge_index: np.ndarray  # [2, m] int64, positions of every directed edge of the subgraph
    nodes: np.ndarray  # [n] int64, positions of its nodes, a target node among them
    edges: tuple[tuple[Any, Any], ...]  # the m directed edges again, by key
    size: int  # units: pairs {u->v, v->u} on undirected graphs, directed edges otherwise
    raw: Mapping[str, float]  # by measure name: the literature's value
    scores: Mapping[str, float]  # by measure name, in (0, 1]: larger is better; only these compare
    factual: bool  # the subgraph alone keeps the prediction
    counterfactual: bool  # removing the subgraph changes the prediction
    # One of the two flags rests on a top-two margin below 1e-5, or below what float32 can tell.
    tie: bool = False
    generator: str = ""  # the generator that proposed it
    recommended: bool = False  # the member to look at first: most like the others of its target
    dominance: int = 0  # how many explanatory candidates it epsilon-dominates
    kind: str = "node"  # what was explained: a "node", a "link", or a "graph" as a whole
    graph: Any = field(default=None, repr=False)  # the graph it was found in, for conversions
    edge_numbers: Any = field(default=None, repr=False)  # [m] columns of that graph's edge_index
    # [m] the unit of each edge, by its number in the field of the target
    edge_units: Any = field(default=None, repr=False)
    first_edge: int = 0  # number of the graph's first edge among all edges of its collection
    over: str = "edges"  # what units are: "edges", "nodes" or "features"
    units: tuple[Any, ...] = ()  # OVER NODES: their keys; OVER FEATURES: their names
    features: Any = field(default=None, repr=False)  # OVER FEATURES: [size] columns of x
    # OVER FEATURES: [size] what they are at the target; of a graph the mean over its nodes
    values: Any = field(default=None, repr=False)
    # What each edge (or unit) is worth; None where measuring it would cost more than sxq_worth_budget.
    worth: Worth | None = field(default=None, repr=False)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """`units` with their values and worth, worth most first; in their own order where that was not measured."""
        values = [None] * len(self.units) if self.values is None else self.values.tolist()
        texts = self._texts(values)
        worth = self.worth
        if worth is None or not self.units:
            return tuple(
                Reason(unit, value, share=0.5, kept=None, removed=None, needed=None, text=text)
                for unit, value, text in zip(self.units, values, texts)
            )
        share = worth.share
        return tuple(
            Reason(
                self.units[place],
                values[place],
                share=float(share[place]),
                kept=float(worth.kept[place]),
                removed=float(worth.removed[place]),
                needed=bool(worth.needed[place]),
                text=texts[place],
            )
            for place in np.argsort(-share, kind="stable").tolist()
        )

    def _texts(self, values: list[float | None]) -> list[str]:
        """Values of features for people."""
        if self.graph is None or self.features is None:
            return ["" if value is None else f"{value:.4g}" for value in values]
        columns = self.features.tolist()
        return [self.graph.feature_text(column, value) for column, value in zip(columns, values)]

    @property
    def roots(self) -> tuple[Any, ...]:
        """The keys of the nodes that are the target: one, both ends of a link, or none of a graph."""
        if self.kind == "link":
            return tuple(self.target)
        return () if self.kind == "graph" else (self.target,)

    @property
    def noun(self) -> str:
        """What its units are called: `edge`, `2 nodes` without the number."""
        return self.over[:-1] if self.size == 1 else self.over

    @property
    def edge_share(self) -> np.ndarray:
        """[m] in [0, 1]: the worth of each edge as of `Worth.share`; 1/2 where it was not measured.

        Of OVER NODES the smaller one of its ends, where the target counts 1.
        """
        if self.worth is None:
            return np.full(len(self.edges), 0.5)
        if self.over == "edges":
            return self.worth.share
        known = dict(zip(self.units, self.worth.share.tolist()))
        return np.array([min(known.get(u, 1.0), known.get(v, 1.0)) for u, v in self.edges])

    def __repr__(self) -> str:
        flags = [name for name in ("factual", "counterfactual", "tie") if getattr(self, name)]
        raw = ", ".join(f"{name}={value:.4g}" for name, value in self.raw.items() if name != "size")
        return (
            f"Explanation(target={self.target!r}, rank={self.rank}, size={self.size}, {raw}, "
            f"{'+'.join(flags)})"
        )

    def to_networkx(self) -> "networkx.DiGraph":
        """The subgraph as a `networkx.DiGraph` on keys; node attribute `target` marks the target."""
        return view("Explanation.to_networkx", self)

    def draw(self) -> str:
        """The subgraph as text: a tree from the target, and the edges that close its cycles."""
        return view("Explanation.draw", self)

    def plot(self, path: str | None = None) -> "Figure":
        """The subgraph in its context as a `matplotlib.figure.Figure`, also saved to `path`.

        Needs matplotlib; raises DataError where it is missing or the file cannot be written.
        """
        return view("Explanation.plot", self, path)

    def _repr_html_(self) -> str:
        return view("Explanation._repr_html_", self)

    def to_data(self) -> "Data | HeteroData":
        """The subgraph as a PyG `Data` (or `HeteroData`) with its nodes renumbered; see `sxq.pyg.to_data`."""
        return view("Explanation.to_data", self)


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
    edge_type: str | None = None  # of the unit, where it is an edge of a heterogeneous graph
    node_type: str | None = None  # of the unit, where it is a node of one


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetReport:
    """What one query says about one target: one row of the table `targets`, and its explanations."""

    target: Any  # key of the node, or of the graph
    ordinal: int  # place of the target in the query, from 0
    status: str = "pending"  # pending, done, stopped, failed; empty: nothing explanatory was found
    prediction: int | None = None  # what the model says: a class, the most probable label, a column
    asked: int | None = None  # the class c in question, of FOR CLASS or what the model says
    against: int | None = None  # the class d of AGAINST
    # p(c) on the whole graph, AGAINST d as a share of both; of a regression the number
    probability: float | None = None
    p_empty: float | None = None  # the same without any candidate edge
    self_sufficient: bool | None = None  # the model gives the same answer without any edge
    field_size: int | None = None  # candidate units in the receptive field
    hops: int | None = None  # depth of the field; of a graph the layers of its onion decomposition
    candidates: int = 0  # distinct candidates verified
    pruned: int = 0  # distinct candidates not verified: dominated whatever the model says
    explanatory: int = 0  # of those verified, factual or counterfactual (and admitted by WHERE)
    front: int = 0  # exact Pareto set of the explanatory ones
    dominance: int = 0  # DS: explanatory candidates that the answer epsilon-dominates
    coverage: float | None = None  # DS / explanatory
    epsilon_achieved: float | None = None  # smallest epsilon at which the answer covers everything
    hypervolume: float | None = None  # volume that the answer's scores dominate above 0
    proved: bool | None = None  # of SMALLEST: no smaller member exists; None without a member
    # Every candidate of at most so many units was verified: what exhaustive and SMALLEST prove.
    bound: int | None = None
    # Every generator came to its end and left nothing out for lack of budget.
    complete: bool = False
    seconds: float = 0.0
    note: str = ""  # why an answer is empty, thinned, or shorter than asked
    refreshed: str | None = None  # what REFRESH did: carried, measured, searched, gone
    explanations: tuple[Explanation, ...] = field(default=(), repr=False)
    kept: tuple[CandidateRow, ...] = field(default=(), repr=False)  # all, until they are stored
    # By objective: scores [n <= 1000] of explanatory candidates, an even sample, for pictures.
    examined: Mapping[str, Any] = field(default_factory=dict, repr=False)

    task: str = "multiclass"  # of the model
    chosen: bool = False  # whether c was named by FOR CLASS
    says: bool = True  # whether the model says c on the whole graph, or prefers it to d

    @property
    def why(self) -> str:
        """The question in words, such as `why class 2 rather than 5`; empty for the predicted class."""
        if self.asked is None:
            return ""
        if self.task == "regression":
            column = f" in column {self.asked}" if self.asked else ""
            return f"why {self.probability:.4g}{column}"
        noun = "label" if self.task == "multilabel" else "class"
        if self.against is not None:
            pair = (self.asked, self.against) if self.says else (self.against, self.asked)
            return f"why {noun} {pair[0]} rather than {pair[1]}"
        if self.task != "multilabel" and self.says and not self.chosen:
            return ""
        return f"why {'' if self.says else 'not '}{noun} {self.asked}"

    @property
    def reached(self) -> bool:
        """Whether its turn came before the query was stopped."""
        return self.status != "stopped" or self.prediction is not None
