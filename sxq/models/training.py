"""Training of named architectures: Adam, with cross-entropy on the train split.

A single graph is learned in full batches, a collection in seeded random batches of BATCH graphs;
everything else is the same, with graphs in place of nodes.

The split is the graph's own if it names training nodes, otherwise a seeded 80/10/10 of the labelled
nodes of each class; SPLIT chooses one of the two, or other shares. With a validation split, the
state of the best validation accuracy is kept (of equal ones that of the smaller loss), and training
ends if none was better for PATIENCE epochs; without one, the last state is kept. CLASS_WEIGHTS
weigh the labels in the loss: given, or `balanced`, so that all classes of the training nodes weigh
the same. On the CPU the same graph,
options and SEED give the same weights; on CUDA the order of sums is not fixed, and weights differ
in the last bits.
"""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sxq.errors import DataError, InvalidValue, ModelError
from sxq.graph import GraphSet
from sxq.graph.csr import SPLITS, Graph
from sxq.models import device as devices
from sxq.models.architectures import (
    EDGE_VALUES,
    ArchitectureSpec,
    GraphClassifier,
    NodeClassifier,
    build,
    refuse_link_options,
    seeded,
    spec_from_values,
)
from sxq.models.thread_count import threads_for
from sxq.models.training_notes import settings, training_notes
from sxq.planning.options import OPTIONS, Options, read_options

BATCH = 64
MOST_CLASSES = 50  # of a confusion matrix
SHARES = (0.8, 0.1, 0.1)  # of training, validation and test, if nothing names them
PROGRESS_SECONDS = 0.1  # between two progress calls

# epoch, epochs, training loss, accuracy (on the validation split where there is one, else in training)
Progress = Callable[[int, int, float, float], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of training; the module is in eval mode on the CPU."""

    module: Any  # a NodeClassifier, a GraphClassifier, or a LinkScorer
    spec: ArchitectureSpec
    accuracy: Mapping[str, float]  # by split, and "all": every labelled node; of links their AUC
    _: KW_ONLY
    confusion: Mapping[str, Any]  # what `confusion` finds
    epochs_run: int
    stopped: str  # the reason if it ended before the last epoch
    notes: tuple[str, ...]  # what a user should know of it
    settings: Mapping[str, str]  # how it was trained, in words
    metric: str = "accuracy"  # what `accuracy` holds; of links "AUC"


def train(
    graph: Graph | GraphSet,
    options: Options = (),
    *,
    device: str = "cpu",
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Trained:
    """Train the architecture that `options` ask for (planning.options.OPTIONS).

    `progress` is called at most ten times a second and after the last epoch. `should_stop` is
    called before each epoch; once it returns True, the best state so far is returned. The global
    random state is left as it was. Raises UnknownName and InvalidValue (options), DataError
    (labels), and ModelError (a loss that is not finite).
    """
    values = read_options(options, OPTIONS)
    refuse_link_options(values)
    split = training_split(graph, values["seed"], values["split"])
    spec = spec_from_values(values, graph)
    if values["batch"] is not None and isinstance(graph, Graph):
        raise InvalidValue(
            "BATCH is for collections of graphs; a single graph is learned as a whole"
        )
    assert graph.y is not None, "what can be split has labels"
    if graph.y.max() >= spec.out_channels:
        raise InvalidValue(f"CLASSES = {spec.out_channels}, but labels go up to {graph.y.max()}")
    weights = class_weights(values["class_weights"], graph.y[split == "train"], spec.out_channels)
    on = torch.device(device)
    module: Any = build(spec, values["seed"]).to(on)  # of the kind that the graph takes
    run: Training = (
        _GraphTraining(module, graph, split, values | {"weights": weights})
        if isinstance(graph, GraphSet)
        else _NodeTraining(module, graph, split, values | {"weights": weights})
    )
    with seeded(values["seed"], on):
        epochs_run = run.epochs(progress, should_stop)
    module = run.best_module()
    accuracy = accuracies(module, graph, split)
    found: dict[str, Any] = {
        "confusion": confusion(module, graph, split),
        "epochs_run": epochs_run,
        "stopped": run.stopped,
    }
    values = {**values, "architecture": spec.architecture}
    found["notes"] = training_notes(graph, split, values, found["confusion"])
    found["settings"] = settings(values, split is graph.split)
    return Trained(module.cpu(), spec, accuracy, **found)


def accuracies(
    module: Any,  # a NodeClassifier, or a GraphClassifier for a collection
    graph: Graph | GraphSet,
    split: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
) -> dict[str, float]:
    """Share of labelled nodes (of a collection: graphs) that a module in eval mode predicts right.

    It is given by split, and for "all". split [n] is by default the graph's; splits without
    labelled nodes are left out. predicted [n] are the module's classes, where they are known already.
    """
    if graph.y is None:
        return {}
    predicted = _predictions(module, graph) if predicted is None else predicted
    right = predicted == graph.y
    chosen = _labelled(graph, split)
    return {name: float(right[own].mean()) for name, own in chosen.items()}


def confusion(
    module: Any,
    graph: Graph | GraphSet,
    split: np.ndarray | None = None,
    predicted: np.ndarray | None = None,
) -> dict[str, Any]:
    """How often a module in eval mode predicts which class for which label.

    `split` is the first of test, val and all that has labelled nodes (of a collection: graphs), and
    `counts` has a row for each label and a column for each prediction. Empty without labels, or
    with more than MOST_CLASSES classes. `predicted` as for `accuracies`.
    """
    found = _labelled(graph, split) if graph.y is not None else {}
    classes = module.spec.out_channels
    if graph.y is None or not found or classes > MOST_CLASSES or graph.y.max() >= classes:
        return {}
    name = next(name for name in ("test", "val", "all") if name in found)
    counts = np.zeros((classes, classes), int)
    predicted = _predictions(module, graph) if predicted is None else predicted
    np.add.at(counts, (graph.y[found[name]], predicted[found[name]]), 1)
    return {"split": name, "counts": counts.tolist()}


def _predictions(module: Any, graph: Graph | GraphSet) -> np.ndarray:
    """The class that a module predicts for each node, or for each graph of a collection."""
    with torch.inference_mode():
        logits = (
            predict(module, graph)
            if isinstance(graph, GraphSet)
            else of_every_node(module(*model_inputs(module, graph)), graph)
        )
    return logits.argmax(dim=1).cpu().numpy()


def _labelled(graph: Graph | GraphSet, split: np.ndarray | None) -> dict[str, np.ndarray]:
    """The labelled nodes of each split that has some, as [n] bool, and "all" of them."""
    assert graph.y is not None, "who asks for labelled nodes has labels"
    split = graph.split if split is None else split
    labelled = graph.y >= 0
    nodes = {} if split is None else {name: labelled & (split == name) for name in SPLITS}
    nodes["all"] = labelled
    return {name: chosen for name, chosen in nodes.items() if chosen.any()}


def of_every_node(found: Any, graph: Graph) -> Tensor:
    """Logits [N, C] of all nodes; of a heterogeneous graph, zeros for those of other types."""
    if isinstance(found, Tensor):
        return found
    assert graph.types is not None
    ((name, logits),) = found.items()
    number = graph.types.number_of(name)
    before, end = graph.types.starts[number : number + 2].tolist()
    return F.pad(logits, (0, 0, before, graph.num_nodes - end))


def typed_inputs(
    graph: Graph, device: torch.device, keep: np.ndarray | None = None
) -> tuple[dict, dict]:
    """x_dict and edge_index_dict of a heterogeneous graph, or of its edges `keep` [E] bool."""
    types = graph.types
    assert types is not None
    x = torch.tensor(graph.x.astype(np.float32), device=device)
    rows = zip(types.node_types, types.widths, types.starts[:-1], types.starts[1:])
    x_dict = {name: x[start:end, :width] for name, width, start, end in rows}
    edge_index_dict = {}
    for number, kind in enumerate(types.edge_types):
        first = [[types.starts[types.number_of(end)]] for end in kind[::2]]
        chosen = types.of_edge == number
        own = graph.edge_index[:, chosen if keep is None else chosen & keep] - np.array(first)
        edge_index_dict[kind] = torch.tensor(own, device=device)
    return x_dict, edge_index_dict


def model_inputs(module: NodeClassifier, graph: Graph) -> tuple[Any, ...]:
    """The arguments of `module.forward` on the whole graph, on the module's device."""
    if graph.types is not None:
        return typed_inputs(graph, next(module.parameters()).device)
    arrays = [graph.x.astype(np.float32), graph.edge_index]
    values = edge_values(module, graph)
    if values is not None:
        arrays.append(values.astype(np.float32))
    device = next(module.parameters()).device
    return tuple(torch.tensor(array, device=device) for array in arrays)


def graph_inputs(
    module: GraphClassifier, graphs: GraphSet, numbers: np.ndarray
) -> tuple[Tensor, ...]:
    """The arguments of `module.forward` on a batch of graphs, on the module's device."""
    nodes, edges, edge_index, owner = graphs.gather(numbers)
    arrays = [graphs.union.x[nodes].astype(np.float32), edge_index, owner]
    values = edge_values(module, graphs.union)
    if values is not None:
        arrays.append(values[edges].astype(np.float32))
    device = next(module.parameters()).device
    return tuple(devices.to_device(array, device) for array in arrays)


def edge_values(module: Any, graph: Graph) -> np.ndarray | None:
    """The edge weights or attributes that the layers of a module take, if the graph has them."""
    name = EDGE_VALUES.get(module.spec.architecture)
    return None if name is None else getattr(graph, name)


def predict(module: GraphClassifier, graphs: GraphSet, batch: int = 256) -> Tensor:
    """Logits [n, C] of every graph of a collection."""
    numbers = np.arange(len(graphs))
    return torch.cat(
        [
            module(*graph_inputs(module, graphs, numbers[start : start + batch]))
            for start in range(0, len(graphs), batch)
        ]
    )


def training_split(graph: Graph | GraphSet, seed: int, choice: Any = None) -> np.ndarray:
    """The split [n] to train on: the graph's, or a random one; `choice` is the option SPLIT.

    Raises DataError if it is useless, and InvalidValue for a choice that cannot be made.
    """
    if graph.y is None or (graph.y < 0).all():
        raise DataError("the graph has no labels to train on")
    split = graph.split
    own = split is not None and bool((split == "train").any())
    if choice == "graph" and not own:
        raise InvalidValue("SPLIT = graph, but the graph names no training nodes; try random")
    shares = choice if isinstance(choice, tuple) else SHARES
    if len(shares) != len(SHARES) or not np.isclose(sum(shares), 1) or not shares[0]:
        raise InvalidValue(
            f"SPLIT = {list(shares)}, expected the shares of training, validation and test, which "
            f"sum to 1, such as [0.6, 0.2, 0.2]"
        )
    if split is None or not own or choice not in (None, "graph"):
        split = _random_split(graph.y, seed, shares)
    classes = np.unique(graph.y[(split == "train") & (graph.y >= 0)])
    if len(classes) < 2:
        found = f"only class {classes[0]}" if len(classes) else "no labels"
        raise DataError(f"the training nodes have {found}, expected two classes or more")
    return split


def _random_split(y: np.ndarray, seed: int, shares: tuple[float, ...]) -> np.ndarray:
    """The shares of each class; what does not make a whole node is for training."""
    split = np.full(len(y), "", object)
    rng = np.random.default_rng(seed)
    for label in np.unique(y[y >= 0]):
        nodes = rng.permutation(np.flatnonzero(y == label))
        # 0.1 of ten nodes is one node, though the product may be a little less.
        val, test = (int(share * len(nodes) + 1e-9) for share in shares[1:])
        split[nodes] = "train"
        split[nodes[:val]] = "val"
        split[nodes[val : val + test]] = "test"
    return split


def class_weights(choice: Any, y: np.ndarray, classes: int) -> Tensor | None:
    """The weight of each class in the loss, given labels y of training; None if all are the same.

    `choice` is the option CLASS_WEIGHTS. Raises InvalidValue.
    """
    if choice == "none":
        return None
    if choice == "balanced":
        counts = np.bincount(y[y >= 0], minlength=classes)
        weights = counts.sum() / (len(counts[counts > 0]) * np.maximum(counts, 1))
        return torch.from_numpy(weights).float()
    if len(choice) != classes or not any(choice):
        raise InvalidValue(
            f"CLASS_WEIGHTS = {list(choice)}, expected {classes} numbers, one for each class and "
            f"not all 0"
        )
    return torch.tensor(choice)


class Training:
    """One training run: the module, the labels it learns from, and the best state so far."""

    size: tuple[float, float]  # features of all nodes together, and edges, that a step takes

    def __init__(
        self,
        module: NodeClassifier | GraphClassifier,
        y: np.ndarray | None,
        split: np.ndarray,
        values: dict[str, Any],
    ):
        assert y is not None, "what can be split has labels"
        self._begin(module, values)
        self.y = torch.tensor(y, device=next(module.parameters()).device)
        numbers = [np.flatnonzero((split == name) & (y >= 0)) for name in ("train", "val")]
        self.train, self.val = (torch.tensor(chosen, device=self.y.device) for chosen in numbers)
        if values["patience"] is not None and not len(self.val):
            raise InvalidValue(
                f"PATIENCE = {values['patience']} needs a validation split, and there is none: "
                f"say SPLIT = random, or shares such as [0.8, 0.1, 0.1]"
            )
        weights = values["weights"]
        self.weights = None if weights is None else weights.to(self.y.device)

    def _begin(self, module: Any, values: dict[str, Any]) -> None:
        self.module = module
        self.num_epochs = values["epochs"]
        self.lr = values["lr"]
        self.optimizer = torch.optim.Adam(
            module.parameters(), self.lr, weight_decay=values["weight_decay"]
        )
        self.patience = values["patience"] or self.num_epochs
        self.since = 0  # epochs since the best state
        self.stopped = ""
        self.best: tuple[float, float] = (-1.0, 0.0)  # validation accuracy, minus validation loss
        self.best_state: dict[str, Tensor] | None = None

    def epochs(self, progress: Progress | None, should_stop: Callable[[], bool] | None) -> int:
        """Run the epochs; returns how many were run."""
        with threads_for(*self.size):
            return self._epochs(progress, should_stop)

    def _epochs(self, progress: Progress | None, should_stop: Callable[[], bool] | None) -> int:
        shown = -PROGRESS_SECONDS
        for epoch in range(1, self.num_epochs + 1):
            if should_stop is not None and should_stop():
                self.stopped = "interrupted"
                return epoch - 1
            loss, accuracy = self._step(epoch)
            ended = self.since >= self.patience and epoch < self.num_epochs
            if progress and (
                time.monotonic() - shown >= PROGRESS_SECONDS or epoch == self.num_epochs or ended
            ):
                progress(epoch, self.num_epochs, loss, accuracy)
                shown = time.monotonic()
            if ended:
                self.stopped = f"no better validation state for {self.since} epochs"
                return epoch
        return self.num_epochs

    def best_module(self) -> NodeClassifier | GraphClassifier:
        """The module at its best state, in eval mode."""
        if self.best_state is not None:
            self.module.load_state_dict(self.best_state)
        return self.module.eval()

    def _step(self, epoch: int) -> tuple[float, float]:
        """One epoch: training loss, and accuracy on the validation split if there is one."""
        loss, accuracy = self._learn(self.train, epoch)
        return loss, self._validate() if len(self.val) else accuracy

    def _learn(self, chosen: Any, epoch: int) -> tuple[float, float]:
        """One step of the optimizer on some nodes or graphs."""
        self.module.train()
        self.optimizer.zero_grad()
        loss, accuracy = self._measure(chosen)
        if not torch.isfinite(loss):
            advice = (
                f"try LR below {self.lr:g}"
                if epoch > 1
                else "features or edge weights are too extreme"
            )
            raise ModelError(f"the loss became {loss.item()} in epoch {epoch}: {advice}")
        loss.backward()
        self.optimizer.step()
        return loss.item(), accuracy

    @torch.no_grad()
    def _validate(self) -> float:
        self.module.eval()
        loss, accuracy = self._measure(self.val)
        self.since += 1
        if (accuracy, -loss.item()) > self.best:
            self.best = (accuracy, -loss.item())
            self.best_state = deepcopy(self.module.state_dict())
            self.since = 0
        return accuracy

    def _measure(self, chosen: Tensor) -> tuple[Tensor, float]:
        """Cross-entropy and accuracy on some nodes or graphs."""
        logits = self._logits(chosen)
        y = self.y[chosen]
        right = (logits.argmax(dim=1) == y).float()
        return F.cross_entropy(logits, y, self.weights), right.mean().item()

    def _logits(self, chosen: Tensor) -> Tensor:
        raise NotImplementedError


class _NodeTraining(Training):
    """On a graph: every epoch is one step on all its training nodes."""

    def __init__(
        self, module: NodeClassifier, graph: Graph, split: np.ndarray, values: dict[str, Any]
    ):
        super().__init__(module, graph.y, split, values)
        self.inputs = model_inputs(module, graph)
        self.graph = graph
        self.size = graph.x.size, graph.num_edges

    def _logits(self, chosen: Tensor) -> Tensor:
        return of_every_node(self.module(*self.inputs), self.graph)[chosen]


class _GraphTraining(Training):
    """On a collection: an epoch uses all its training graphs in random batches."""

    module: GraphClassifier

    def __init__(
        self, module: GraphClassifier, graphs: GraphSet, split: np.ndarray, values: dict[str, Any]
    ):
        super().__init__(module, graphs.y, split, values)
        self.graphs = graphs
        self.batch = values["batch"] or BATCH
        share = min(1.0, self.batch / len(graphs))
        self.size = share * graphs.union.x.size, share * graphs.num_edges

    def _step(self, epoch: int) -> tuple[float, float]:
        order = self.train[torch.randperm(len(self.train)).to(self.train.device)]
        found = [(*self._learn(batch, epoch), len(batch)) for batch in order.split(self.batch)]
        losses, shares, sizes = map(np.array, zip(*found))
        loss = float(np.average(losses, weights=sizes))
        accuracy = float(np.average(shares, weights=sizes))
        return loss, self._validate() if len(self.val) else accuracy

    def _logits(self, chosen: Tensor) -> Tensor:
        return self.module(*graph_inputs(self.module, self.graphs, chosen.cpu().numpy()))
