"""Training of models of links: edges against pairs without one, and AUC on edges held out.

A link is an edge, or both directions of an undirected one, and of an edge type with its mirror. Links
are parted at random by SEED: 80, 10 and 10 % for training, validation and test, or the shares of SPLIT.
The edges along which messages run are never those that are scored:

    an epoch    a random share of the training links is scored; messages run along the others
    validation  messages run along all training links
    test        messages run along the training and validation links

Edges of other types, and self-loops, carry messages always. As many pairs without an edge are scored as
links: drawn anew in every epoch for training, once for validation and test. The loss is the
cross-entropy of both; the state of the best validation AUC is kept. The AUC is the probability that a
link has a larger score than a pair without an edge; that of training is measured as in an epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sxq.errors import DataError, InvalidValue
from sxq.graph import EdgeType, Graph, GraphSet, shown_type
from sxq.models import device as devices
from sxq.models.architectures import build, seeded, spec_from_values
from sxq.models.training import SHARES, Progress, Trained, Training, edge_values, typed_inputs
from sxq.models.training_notes import unused_values
from sxq.planning.options import OPTIONS, Options, read_options

SCORED = 0.3  # the share of the training links that an epoch scores
ROUNDS = 200  # of drawing pairs without an edge, before giving up
CHANCE = 0.55  # an AUC below which a note says that the model has learned little


@dataclass(frozen=True, eq=False)
class Links:
    """The links of a graph: pairs, and the edges of each."""

    pairs: np.ndarray  # [2, L] positions; of an undirected link the smaller one first
    of_edge: np.ndarray  # [E] the link of each edge, -1: it is of none
    both_ways: bool  # whether (u, v) and (v, u) are one link
    sources: tuple[int, int]  # positions between which the first ends lie
    heads: tuple[int, int]


@dataclass(frozen=True, eq=False)
class ScoredPairs:
    """Pairs that are scored while messages run along some edges only."""

    pairs: np.ndarray  # [2, k]: links, then as many pairs without an edge
    messages: np.ndarray  # [E] bool

    def __len__(self) -> int:
        return self.pairs.shape[1]

    @property
    def truth(self) -> np.ndarray:
        """[k] 1 for a link."""
        return np.arange(len(self)) < len(self) // 2


def train_links(
    graph: Graph | GraphSet,
    options: Options = (),
    *,
    device: str = "cpu",
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Trained:
    """Train a model of links, as `train` trains one of nodes; `accuracy` of the result is the AUC by split.

    Raises UnknownName, InvalidValue, DataError and ModelError.
    """
    values = read_options(options, OPTIONS)
    spec = spec_from_values(values, graph)
    assert isinstance(graph, Graph), "a collection has no links"
    _refuse_options(values)
    on = torch.device(device)
    run = LinkTraining(build(spec, values["seed"]).to(on), graph, values)
    with seeded(values["seed"], on):
        epochs_run = run.epochs(progress, should_stop)
    module = run.best_module()
    found = run.auc()
    return Trained(
        module.cpu(),
        spec,
        found,
        confusion={},
        epochs_run=epochs_run,
        stopped=run.stopped,
        notes=(*_chance(found), *unused_values(graph, spec.architecture)),
        settings=_settings(values, spec),
        metric="AUC",
    )


def _refuse_options(values: dict[str, Any]) -> None:
    if values["class_weights"] != "none":
        raise InvalidValue(
            "CLASS_WEIGHTS, but a model of links learns from as many links as pairs without an edge: "
            "leave it out"
        )
    if values["batch"] is not None:
        raise InvalidValue(
            "BATCH is for collections of graphs; the links of a graph are learned as a whole"
        )
    if values["split"] == "graph":
        raise InvalidValue("SPLIT = graph is of nodes; links are parted at random, or by shares")


def _settings(values: dict[str, Any], spec: Any) -> dict[str, str]:
    """How a model was trained, in words."""
    shares = ", ".join(f"{share:.0%}" for share in _shares(values["split"]))
    patience = values["patience"]
    ends = f"{patience} epochs without a better validation state" if patience else "none"
    of = f" {shown_type(spec.types['link'])}" if spec.types else ""
    return {
        "trained on": f"random {shares} of the links{of}, which carry no messages while they are scored",
        "against": "as many random pairs without an edge",
        "patience": ends,
    }


def _chance(found: dict[str, float]) -> list[str]:
    name = next((name for name in ("test", "val") if name in found), None)
    if name is None or found[name] >= CHANCE:
        return []
    return [
        f"the model tells links from other pairs hardly better than chance: {name} AUC {found[name]:.3f}"
    ]


def _shares(choice: Any) -> tuple[float, ...]:
    shares = choice if isinstance(choice, tuple) else SHARES
    if len(shares) != len(SHARES) or not np.isclose(sum(shares), 1) or not shares[0]:
        raise InvalidValue(
            f"SPLIT = {list(shares)}, expected the shares of training, validation and test, which "
            f"sum to 1, such as [0.6, 0.2, 0.2]"
        )
    return shares


def links_of(graph: Graph, edge_type: EdgeType | None = None) -> Links:
    """The links of a graph, of one edge type of a heterogeneous one; raises DataError where there are too few."""
    u, v = graph.edge_index
    own = u != v
    n = graph.num_nodes
    sources = heads = (0, n)
    both_ways = graph.undirected
    if edge_type is not None:
        types = graph.types
        assert types is not None, "edges have types"
        number = types.edge_types.index(edge_type)
        mirror = int(types.mirrors[number])
        reverse = types.of_edge == mirror
        own &= reverse | (types.of_edge == number)
        both_ways = bool(types.reverses[number] == number and graph.undirected)
        u, v = np.where(reverse, v, u), np.where(reverse, u, v)
        ends = [types.number_of(end) for end in edge_type[::2]]
        sources, heads = ((int(types.starts[e]), int(types.starts[e + 1])) for e in ends)
    if both_ways:
        u, v = np.minimum(u, v), np.maximum(u, v)
    codes, number_of = np.unique(u[own] * n + v[own], return_inverse=True)
    of_edge = np.full(graph.num_edges, -1)
    of_edge[own] = number_of
    if len(codes) < 2:
        of = "" if edge_type is None else f" of type {shown_type(edge_type)}"
        raise DataError(
            f"the graph has {len(codes)} links{of}; a model of links learns from two or more"
        )
    return Links(np.stack(np.divmod(codes, n)), of_edge, both_ways, sources, heads)


def without_edge(links: Links, count: int, nodes: int, rng: np.random.Generator) -> np.ndarray:
    """Random pairs [2, count] of different nodes between which there is no link; raises DataError."""
    known = np.sort(links.pairs[0] * nodes + links.pairs[1])
    found: list[np.ndarray] = []
    left = count
    for _ in range(ROUNDS):
        u = rng.integers(*links.sources, 2 * left + 8)
        v = rng.integers(*links.heads, 2 * left + 8)
        code = u * nodes + v
        if links.both_ways:
            code = np.minimum(u, v) * nodes + np.maximum(u, v)
        place = np.searchsorted(known, code).clip(max=len(known) - 1)
        fresh = (u != v) & (known[place] != code)
        found.append(np.stack([u, v])[:, fresh][:, :left])
        left -= found[-1].shape[1]
        if left <= 0:
            return np.concatenate(found, axis=1)
    raise DataError(
        "almost every pair of nodes is linked, so that there are no pairs without an edge to learn from"
    )


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """The probability that a true one has a larger score than another; ties count one half."""
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[place]
    true = int(truth.sum())
    other = len(truth) - true
    return float((rank[truth].sum() - true * (true + 1) / 2) / (true * other))


class LinkTraining(Training):
    """One training run of a model of links."""

    def __init__(self, module: Any, graph: Graph, values: dict[str, Any]):
        self._begin(module, values)
        self.graph = graph
        self.size = graph.x.size, graph.num_edges
        self.rng = np.random.default_rng(values["seed"])
        kind = module.spec.types["link"] if module.spec.types else None
        self.links = links_of(graph, None if kind is None else tuple(kind))
        self.kind = None if kind is None else (kind[0], kind[1], kind[2])
        count = self.links.pairs.shape[1]
        order = self.rng.permutation(count)
        # What does not make a whole link is for training.
        val, test = (int(share * count + 1e-9) for share in _shares(values["split"])[1:])
        held = {"val": order[:val], "test": order[val : val + test]}
        self.training = order[val + test :]
        if len(self.training) < 2:
            raise DataError(
                f"{len(self.training)} of {count} links for training; expected two or more"
            )
        if values["patience"] is not None and not val:
            raise InvalidValue(
                f"PATIENCE = {values['patience']} needs validation links, and there are none: say shares "
                f"such as SPLIT = [0.8, 0.1, 0.1]"
            )
        known = self.training
        self.held: dict[str, ScoredPairs] = {}
        for name, own in held.items():
            if len(own):
                self.held[name] = self._scored(own, known)
            known = np.concatenate([known, own])
        self.val: Any = self.held.get("val", ())
        self.device = next(module.parameters(), torch.empty(0)).device

    def _scored(self, own: np.ndarray, messages: np.ndarray) -> ScoredPairs:
        """Links, and as many pairs without an edge, while messages run along other links."""
        pairs = self.links.pairs[:, own]
        if self.links.both_ways:  # in either direction
            turned = self.rng.random(len(own)) < 0.5
            pairs = np.where(turned, pairs[::-1], pairs)
        others = without_edge(self.links, len(own), self.graph.num_nodes, self.rng)
        along = np.zeros(self.links.pairs.shape[1] + 1, bool)
        along[messages] = True
        along[-1] = True  # edges that are of no link
        return ScoredPairs(np.concatenate([pairs, others], axis=1), along[self.links.of_edge])

    def _drawn(self) -> ScoredPairs:
        """The links that an epoch scores."""
        order = self.rng.permutation(self.training)
        count = max(1, min(len(order) - 1, round(SCORED * len(order))))
        return self._scored(order[:count], order[count:])

    def _step(self, epoch: int) -> tuple[float, float]:
        loss, found = self._learn(self._drawn(), epoch)
        return loss, self._validate() if len(self.val) else found

    def _measure(self, chosen: Any) -> tuple[Tensor, float]:
        """Cross-entropy and AUC of pairs."""
        scores = self._scores(chosen)
        truth = devices.to_device(chosen.truth, scores.device).to(scores)
        loss = binary_cross_entropy_with_logits(scores, truth)
        return loss, auc(scores.detach().cpu().numpy(), chosen.truth)

    def _scores(self, chosen: ScoredPairs) -> Tensor:
        pairs = chosen.pairs
        if self.kind is None:
            z = self.module.encode(*self._inputs(chosen.messages))
            return self.module.decode(z, devices.to_device(pairs, self.device))
        pairs = pairs - np.array([[self.links.sources[0]], [self.links.heads[0]]])
        z = self.module.encode(*typed_inputs(self.graph, self.device, chosen.messages))
        ends = z[self.kind[0]], z[self.kind[2]]
        return self.module.decode(*ends, devices.to_device(pairs, self.device))

    def _inputs(self, keep: np.ndarray) -> tuple[Tensor, ...]:
        """The arguments of `encode` on some edges [E] bool of the graph."""
        arrays = [self.graph.x.astype(np.float32), self.graph.edge_index[:, keep]]
        values = edge_values(self.module, self.graph)
        if values is not None:
            arrays.append(values[keep].astype(np.float32))
        return tuple(torch.tensor(array, device=self.device) for array in arrays)

    @torch.no_grad()
    def auc(self) -> dict[str, float]:
        """The AUC of the best state, by split."""
        asked = {"train": self._drawn(), **self.held}
        return {name: self._measure(scored)[1] for name, scored in asked.items()}
