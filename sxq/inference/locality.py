"""Finds by experiment, at registration, how many hops a model sees and how much context it needs.

The depth L is found by structure, not by equal values, because a saturated softmax hides a wrong
field. One node gets poisoned features (NaN, and large noise for models that filter NaN); the
farthest node whose output moves is L hops away. The halo is the smallest one for which the target's
output on the field equals its output on the full graph, intact and with random units removed;
`agreement.py` decides when two outputs are equal.
"""

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from sxq.errors import ModelError, ModelNotLocal
from sxq.graph import Field, Graph, GraphSet, extract
from sxq.inference import CandidateBatch
from sxq.inference.agreement import agree, difference, rounding
from sxq.inference.disjoint import Disjoint
from sxq.models.borrow import Model, batch_tensors, blaming, forward_full

POISONED = 3  # nodes poisoned; each costs two full-graph forwards
DEEP = 8  # hops: if no poisoned node has a path this long ahead of it, a longer path is searched
STARTS = 64  # start nodes of that search, which looks behind them; each is one walk over the graph
TARGETS = 4  # fields compared with the full graph
REMOVALS = 1  # random removals per field; each costs two full-graph forwards
WIDEST = 3  # rings of halo tried before giving up
# Log-odds: if float32 is coarser than this for most nodes, the experiments run in double.
COARSE = 1e-4


def locate(model: Model, graph: Graph, layers: int | None = None) -> Model:
    """The model with `hops` (given, or found) and the smallest sufficient `halo`.

    Raises ModelNotLocal.
    """
    rng = np.random.default_rng(0)
    close = _in_double_if_coarse(model, graph)
    hops = find_hops(close, graph, rng) if layers is None else layers
    cases = [_Case(close, graph, target, hops, rng) for target in _targets(graph, rng)]
    for halo in range(WIDEST + 1):
        cases_left = [case for case in cases if not case.agrees(halo)]
        if not cases_left:
            return replace(model, hops=hops, halo=halo)
    raise ModelNotLocal(
        f"with {hops} hops and {WIDEST} rings of context the output of node {graph.key(cases_left[0].target)!r} still "
        f"differs from the full graph's by {cases_left[0].difference(WIDEST):.2g}; a model is explained by the "
        f"receptive field of its target, so layers that mix all nodes (graph-wide normalisation, pooling) cannot be"
    )


def _in_double_if_coarse(model: Model, graph: Graph) -> Model:
    """The model in double if its logits are so large that float32 would hide differences.

    Otherwise, or if it does not run in double, the model itself.
    """
    if np.median(rounding(model, model.full)) <= COARSE:
        return model
    close = replace(model, module=_InDouble(model.module))
    try:
        return replace(close, full=forward_full(close, graph))
    except ModelError:
        return model


class _InDouble(nn.Module):
    """Runs a model in double; subtracts each row's largest logit before the rows are rounded."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = copy.deepcopy(module).double()

    def forward(self, x: Tensor, edge_index: Tensor, **given: Tensor) -> Tensor:
        given = {name: value.double() for name, value in given.items()}
        logits = self.module(x.double(), edge_index, **given)
        return logits if logits.shape[1] == 1 else logits - logits.amax(dim=1, keepdim=True)


def require_alone(model: Model, graphs: GraphSet) -> Model:
    """The graph classifier, if graphs alone get the same output as in a batch; or ModelNotLocal."""
    for number in np.random.default_rng(0).choice(
        len(graphs), min(TARGETS, len(graphs)), replace=False
    ):
        with blaming(model, f"graph {graphs.key(number)!r} alone"), torch.inference_mode():
            alone = (
                model(*batch_tensors(graphs, np.array([number]), model.device, model.call))
                .float()
                .cpu()
            )
        if alone.shape != (1, model.full.shape[1]) or not agree(model, alone, model.full[[number]]):
            raise ModelNotLocal(
                f"graph {graphs.key(number)!r} alone gets another output than in a batch; a graph must "
                f"be judged without looking at the others (normalisation over the batch?)"
            )
    return model


def find_hops(model: Model, graph: Graph, rng: np.random.Generator) -> int:
    """The deepest hop whose features reach an output: 0 for a model that ignores the edges."""
    clean = model.full
    deepest = 0
    for source in _far_nodes(graph, rng):
        distance = _distances(graph, source)
        for poison in (np.nan, 1e3):
            x = graph.x.copy()
            x[source] = poison * (1 + rng.random(graph.num_features))
            poisoned = forward_full(model, _with_features(graph, x))
            moved = ((poisoned != clean) & ~(poisoned.isnan() & clean.isnan())).any(dim=1).numpy()
            if (moved & (distance < 0)).any():
                raise ModelNotLocal(
                    f"changing the features of node {source} moves the output of nodes that no path "
                    f"reaches: the model mixes all nodes (graph-wide normalisation or pooling?)"
                )
            deepest = max(deepest, int(distance[moved].max(initial=0)))
    return deepest


def _with_features(graph: Graph, x: np.ndarray) -> Graph:
    """The same graph with other features, which may be NaN: for experiments only."""
    poisoned = object.__new__(Graph)
    poisoned.__dict__.update(graph.__dict__, x=x)
    return poisoned


def _far_nodes(graph: Graph, rng: np.random.Generator) -> list[int]:
    """Source nodes with the longest paths ahead of them that the graph offers."""
    tails = np.unique(graph.edge_index[0])
    if not len(tails):
        return []
    starts = rng.choice(tails, size=min(POISONED, len(tails)), replace=False)
    found = [_farthest_tail(graph, int(start)) for start in starts]
    # In a sparse directed graph most starts have no node behind them.
    if max(length for length, _ in found) < DEEP:
        others = np.random.default_rng(1).permutation(tails)[:STARTS]
        found.append(max(_farthest_tail(graph, int(start)) for start in others))
    return sorted({node for _, node in found} | {int(starts[0])})


def _farthest_tail(graph: Graph, start: int) -> tuple[int, int]:
    """(distance, node) of the node farthest *behind* `start`: its messages go the longest way."""
    distance = _distances(graph, start, graph.edge_index[::-1])
    return int(distance.max()), int(distance.argmax())


def _distances(graph: Graph, source: int, edge_index: np.ndarray | None = None) -> np.ndarray:
    """Hops from `source` along the edges to every node, as [N]; -1 where there is no path."""
    tail, head = graph.edge_index if edge_index is None else edge_index
    distance = np.full(graph.num_nodes, -1)
    distance[source] = 0
    hop = 0
    while True:
        hop += 1
        reached = head[(distance[tail] == hop - 1)]
        reached = reached[distance[reached] < 0]
        if not len(reached):
            return distance
        distance[reached] = hop


def _targets(graph: Graph, rng: np.random.Generator) -> list[int]:
    heads = np.unique(graph.edge_index[1])
    return [int(v) for v in rng.choice(heads, size=min(TARGETS, len(heads)), replace=False)]


class _Case:
    """One target with the full graph's outputs, intact and with edges removed: a field must match them."""

    def __init__(
        self, model: Model, graph: Graph, target: int, hops: int, rng: np.random.Generator
    ):
        self.model = model
        self.graph = graph
        self.target = target
        self.hops = hops
        field = extract(graph, target, hops, 0)
        nothing = np.zeros((1, field.num_units), bool)
        some = rng.random((REMOVALS, field.num_units)) < 0.5
        self.bits = np.concatenate(
            [nothing, some]
        )  # the complement of the first is the whole graph
        halves = [_halves(graph, field, bits) for bits in self.bits]
        self.expected = torch.stack(
            [
                torch.stack([forward_full(model, graph, keep)[target] for keep in side])
                for side in zip(*halves)
            ]
        )

    def agrees(self, halo: int) -> bool:
        return agree(self.model, *self._outputs(halo))

    def difference(self, halo: int) -> float:
        return difference(self.model, *self._outputs(halo))

    def _outputs(self, halo: int) -> tuple[Tensor, Tensor]:
        """The outputs [2, n, C] of the target on its field, and on the whole graph."""
        backend = Disjoint(self.model)
        loaded = backend.load(self.graph, extract(self.graph, self.target, self.hops, halo))
        with blaming(self.model, f"the receptive field of node {self.graph.key(self.target)!r}"):
            return backend.infer([CandidateBatch(loaded, self.bits)])[0].cpu(), self.expected


def _halves(graph: Graph, field: Field, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges [E] of the whole graph in G_s and in its complement, for bits [U]; loops are in both."""
    inside = np.zeros(graph.num_edges, bool)
    inside[field.edges_of(bits)] = True
    return inside | (graph.edge_index[0] == graph.edge_index[1]), ~inside
