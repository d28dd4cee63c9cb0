"""A model as the engine runs it: the copy of a module, how it is called, and what its output means."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sxq.errors import ModelChanged, ModelOutputError
from sxq.graph import EdgeType, Graph, GraphSet
from sxq.models.call import PAIRS, PLAIN, Call
from sxq.models.fingerprint import fingerprint
from sxq.models.thread_count import threads_for

# From a single column of output to the probability of the second class.
ONE_COLUMN: Mapping[str, Callable[[Tensor], Tensor]] = {
    "logits": torch.sigmoid,
    "log_probs": torch.exp,
    "probs": torch.Tensor.clone,
}
VECTOR = 16  # doubles; a multiple of what any CPU computes at once


def by_whole_vectors(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """function of rows [n, C] as columns [C, n] of doubles, which it treats alike; the result has rows again.

    A CPU computes the numbers that fill no vector of its own by another formula, whose last bit may
    differ. Rows are filled up, so that a row has the same result whatever stands beside it.
    """
    n = len(rows)
    columns = rows.new_zeros(rows.shape[1], n + -n % VECTOR, dtype=torch.float64)
    columns[:, :n] = rows.T
    with threads_for(columns.numel()):
        return function(columns)[:, :n].T


@dataclass(frozen=True, eq=False)
class Model:
    """A model as the engine runs it; `hops`, `halo` and `backend` are what registration found."""

    module: nn.Module  # the engine's copy: eval mode, no caches, no masks, no gradients
    output: (
        str  # what forward returns: "logits", "log_probs", "probs" or, for regression, "numbers"
    )
    # which of edge_weight, edge_attr, batch and edge_label_index forward is given
    arguments: tuple[str, ...]
    device: torch.device
    # [N, C] output on the whole graph, for each graph of a collection, or for each of `pairs`, on the CPU
    full: Tensor
    _: KW_ONLY
    task: str = "multiclass"  # what the columns are: one of scoring.question.TASKS
    spread: tuple[float, ...] = ()  # of regression: the standard deviation of every column
    hops: int = 0
    halo: int = 0
    backend: str = "disjoint"
    reason: str = ""  # the reason for this backend
    error: float = 0.0  # of log-odds: what float32 loses inside the model, where it is not small
    alone: bool = False  # whether it runs one graph at a time, as a batch changes its output
    depth: str = ""  # a remark on `hops`, where features alone do not tell them
    shallow: bool = False  # whether the user gave fewer layers than the model was found to have
    node_type: str | None = None  # whose outputs the user chose, on a heterogeneous graph
    edge_type: EdgeType | None = None  # of a heterogeneous graph, of the links that it scores
    judged: tuple[
        str, ...
    ] = ()  # of a heterogeneous graph, the types of the nodes that are targets
    output_key: Any = None  # which of several outputs is meant
    inputs: tuple[tuple[str, str], ...] = ()  # argument of forward -> field of the data, as given
    call: Call = PLAIN  # how forward is called; `module` is an `Adapted` unless this is plain
    meant: str = ""  # why the output is what `output` says, where that was inferred
    pairs: np.ndarray | None = None  # of a model of links: the pairs [2, N] of `full`
    original: "weakref.ref[nn.Module] | None" = field(default=None, repr=False)
    fingerprint: tuple = field(default=(), repr=False)
    # Backends by name: tracing takes time.
    opened: dict = field(default_factory=dict, init=False, repr=False)

    def __call__(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight=None,
        edge_attr=None,
        batch=None,
        *,
        pairs=None,
    ) -> Tensor:
        """Output [n, C] on a graph whose tensors are on the model's device.

        A graph classifier gives one row per graph of `batch` [nodes]; without `batch` there is one
        graph. A model of links gives one row per pair of `pairs` [2, n].
        """
        batch = x.new_zeros(len(x), dtype=torch.long) if self.pools and batch is None else batch
        given = {"edge_weight": edge_weight, "edge_attr": edge_attr, "batch": batch}
        given[PAIRS[0]] = pairs
        with threads_for(x.numel(), edge_index.shape[1]):
            found = self.module(x, edge_index, **{name: given[name] for name in self.arguments})
        if not isinstance(found, Tensor):
            raise ModelOutputError(
                f"the model returned {kind_of(found)}, expected one tensor [n, classes]; give output_key=, "
                f"the position in a tuple or the key of a dictionary, or wrap the model in a module whose "
                f"forward returns it"
            )
        if self.links and found.ndim < 2 and found.numel() == pairs.shape[1]:
            found = found.reshape(-1, 1)
        # A module may return a parameter, or what it made differentiable itself.
        return found if torch.is_grad_enabled() else found.detach()

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: without the user's module, which is here, and without backends."""
        return {**self.__dict__, "original": None, "opened": {}}

    @property
    def pools(self) -> bool:
        """Whether the model classifies graphs, not nodes."""
        return "batch" in self.arguments

    @property
    def links(self) -> bool:
        """Whether the model scores pairs of nodes."""
        return PAIRS[0] in self.arguments

    @property
    def kind(self) -> str:
        """What the model judges: a node, a link or a graph."""
        return "graph" if self.pools else "link" if self.links else "node"

    def at_targets(
        self, x: Tensor, edge_index: Tensor, weight: Any, attr: Any, *, starts: Any, owner: Any
    ) -> Tensor:
        """Output [k, C] for copies of fields: `starts` [k] is node 0 of each, `owner` the copy of each node."""
        if self.pools:
            return self(x, edge_index, weight, attr, owner)
        if self.links:
            pairs = torch.stack([starts, starts + 1])
            return self(x, edge_index, weight, attr, pairs=pairs)
        return self(x, edge_index, weight, attr)[starts]

    def targets(self, graph: Graph | GraphSet) -> np.ndarray:
        """The positions of what the model judges: graphs, or nodes of the types that it has outputs for."""
        if self.pairs is not None:
            return np.arange(self.pairs.shape[1])
        if isinstance(graph, GraphSet):
            return np.arange(len(graph))
        types = graph.types
        if types is None or not self.judged:
            return np.arange(graph.num_nodes)
        numbers = [types.number_of(name) for name in self.judged]
        return np.flatnonzero(np.isin(types.of_node, numbers))

    @property
    def num_classes(self) -> int:
        """How many columns `probabilities` has."""
        return self.full.shape[1] if self.separate else max(2, self.full.shape[1])

    @property
    def separate(self) -> bool:
        """Whether every column is for itself: a label that applies or not, or a number."""
        return self.task in ("multilabel", "regression")

    def probabilities(self, output: Tensor) -> Tensor:
        """Class probabilities [n, classes] in double precision.

        One column of output means two classes by sigmoid. Of multilabel, each column is the
        probability of its label; of regression, the number in spreads.
        """
        if self.task == "regression":
            return output.double() / output.new_tensor(self.spread, dtype=torch.float64)
        if self.task == "multilabel":
            return by_whole_vectors(ONE_COLUMN[self.output], output)
        if output.shape[1] == 1:
            p = by_whole_vectors(ONE_COLUMN[self.output], output)
            return torch.cat([1 - p, p], dim=1)
        if self.output == "logits":
            # A softmax over a short last dimension takes ten times as long.
            return by_whole_vectors(partial(torch.softmax, dim=0), output)
        return output.double().exp() if self.output == "log_probs" else output.double()

    def check_unchanged(self, name: str) -> None:
        """Raise ModelChanged if the user's module was changed since its registration."""
        original = self.original() if self.original else None
        if original is not None and fingerprint(original) != self.fingerprint:
            raise ModelChanged(
                f"the weights of model {name!r} have changed since it was registered; "
                f"register it again with replace=True to explain the new ones"
            )


def kind_of(value: Any) -> str:
    """What an output is, in words."""
    if isinstance(value, Tensor) and value.is_nested:
        return "a nested tensor"
    if isinstance(value, Tensor):
        sparse = "" if value.layout is torch.strided else f" ({value.layout})"
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}{sparse}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {', '.join(map(kind_of, value[:3])) or 'nothing'}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with {', '.join(map(str, list(value)[:5]))}"
    return "None" if value is None else f"a {type(value).__name__}"
