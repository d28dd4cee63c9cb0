"""Any PyG explainer as a generator: its soft mask ranks the units, and the ranking gives candidates.

One adapter for every `torch_geometric.explain.ExplainerAlgorithm`. PyG's pitfalls are avoided here,
for all of them. The explainer works on a copy of the model, because an interrupted one leaves its
masks behind. It works on the receptive field without self-loops, because PyG puts masks on the
wrong edges if every node has one. It explains a single target, whose number is an int. Every target
gets a new algorithm object, and its own seed for PyG's global random numbers. The model is wrapped
so that its output is always the log-probabilities of two classes or more: of the model's own, or of the
answers to the question of the target.

    gnnexplainer  Ying et al. 2019        epochs masked passes, forward and backward
    graphmask     Schlichtkrull et al. 2021   epochs passes per layer
    attention     the attention weights of GAT-like layers, averaged; one pass
    sa            Baldassarre and Azizpour 2019: |gradient| of the class's log-odds by each edge's messages; one pass

    pyg           any other, registered by `con.register_explainer(name, make)`
    captum, pgm   those that need packages which sxq does not install: captum.py, pgm.py

PGExplainer (Luo et al. 2020), which learns from many targets beforehand, is in pgexplainer.py.
Cost: the explainer's own passes and two candidates for each size of subgraph.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.explain import (
    AttentionExplainer,
    Explainer,
    ExplainerAlgorithm,
    GNNExplainer,
    GraphMaskExplainer,
)
from torch_geometric.nn import MessagePassing

from sxq.errors import Error, ModelError
from sxq.generators.explainers.mask_to_subgraphs import mask_to_subgraphs, propose
from sxq.generators.protocol import Context, Search, Subject, gradient
from sxq.graph import EdgeKind, Field
from sxq.models import device as devices
from sxq.models.architectures import seeded
from sxq.models.blame import told
from sxq.models.edge_mask import log_answers
from sxq.models.forward import edge_tensors, node_tensor
from sxq.models.model import Model
from sxq.models.thread_count import threads_for
from sxq.models.typed_call import by_types
from sxq.models.wrappers import unwrapped
from sxq.scoring.question import Question

INSTEAD = "say BY gnnexplainer, BY sa or BY search"


def gnnexplainer(field: Field, context: Context, epochs: int = 100, lr: float = 0.01) -> Search:
    """Candidates of GNNExplainer's edge mask."""
    return explain(lambda _: GNNExplainer(epochs, lr), field, context)


def graphmask(field: Field, context: Context, epochs: int = 50, lr: float = 0.01) -> Search:
    """Candidates of GraphMaskExplainer's edge mask."""
    return explain(
        lambda model: GraphMaskExplainer(_layers(model), epochs, lr, log=False),
        field,
        context,
        node_mask=True,
    )


def attention(field: Field, context: Context) -> Search:
    """Candidates of the attention weights; raises ModelError for a model without any."""
    if by_types(context.subject.model.module) is not None:
        raise ModelError(
            f"BY attention averages the attention weights of layers that see all edges, and "
            f"a layer of a heterogeneous model sees those of one type; {INSTEAD}"
        )
    return explain(lambda _: AttentionExplainer(), field, context)


def sa(field: Field, context: Context) -> Search:
    """Candidates of the absolute gradient."""
    drop = yield from gradient(field)
    yield from propose(context, mask_to_subgraphs(field, np.abs(drop)))


def pyg(field: Field, context: Context, explainer: str = "") -> Search:
    """Candidates of the explainer that was registered under a name: `con.register_explainer`."""
    make, node_mask = context.subject.learned[explainer]
    return explain(make, field, context, node_mask)


def explain(
    make: Callable[[nn.Module], ExplainerAlgorithm],
    field: Field,
    context: Context,
    node_mask: bool = False,
    edge_mask: bool = True,
) -> Search:
    """Candidates of any explainer; `make` gives a new one for the copy of the model to explain."""
    seed = int(context.rng.integers(2**62))
    mask = unit_mask(
        make, field, context.subject, seed=seed, node_mask=node_mask, edge_mask=edge_mask
    )
    yield from propose(context, mask_to_subgraphs(field, mask))


def unit_mask(
    make: Callable[[nn.Module], ExplainerAlgorithm],
    field: Field,
    subject: Subject,
    *,
    seed: int,
    node_mask: bool = False,
    edge_mask: bool = True,
) -> np.ndarray:
    """The mask of every unit, [U]: the mean over the unit's edges; a node mask counts for the edges at a node.

    `node_mask` and `edge_mask` are the mask types that PyG requests from it.
    """
    model: Model = subject.model
    if node_mask and by_types(model.module) is not None:
        raise ModelError(
            f"an explainer that masks or perturbs nodes needs one table of features and layers that see "
            f"all edges, and a heterogeneous model has a table and layers for each type; {INSTEAD}"
        )
    edges = np.flatnonzero(field.unit != EdgeKind.LOOP)
    x = node_tensor(model, subject.graph, field.nodes)
    _, weight, attr = edge_tensors(
        subject.graph, field.edges[edges], model.device, model.call.edge_inputs
    )
    edge_index = devices.to_device(field.edge_index[:, edges], model.device)
    given = {
        name: value
        for name, value in (("edge_weight", weight), ("edge_attr", attr))
        if name in model.arguments
    }
    shown = Shown(model, tuple(given), subject.question)
    one = model.kind == "node"  # a row of many; of a graph or a link the output is its own
    try:
        small = threads_for(x.numel(), edge_index.shape[1])
        with seeded(seed, model.device), torch.enable_grad(), small:
            algorithm = make(shown)
            explainer = Explainer(
                shown,
                algorithm,
                explanation_type="model",
                edge_mask_type="object" if edge_mask else None,
                node_mask_type="object" if node_mask else None,
                model_config={
                    "mode": "multiclass_classification",
                    "task_level": "node" if one else "graph",
                    "return_type": "log_probs",
                },
            )
            found = explainer(x, edge_index, index=0 if one else None, **given)
    except Error:
        raise
    except Exception as error:  # an explainer may raise anything
        raise ModelError(
            f"the explainer failed on {type(unwrapped(model.module)).__name__}: {told(error)}"
        ) from error
    return to_units(field, edges, _edge_values(found, edge_index))


def to_units(field: Field, edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means [U] over units of values of some edges of the field; NaN counts as nothing."""
    unit = field.unit[edges]
    values = np.nan_to_num(values)
    inside = unit >= 0
    count = np.bincount(unit[inside], minlength=field.num_units)
    total = np.bincount(unit[inside], values[inside], minlength=field.num_units)
    return total / np.maximum(count, 1)


def _edge_values(found, edge_index: Tensor) -> np.ndarray:
    """The mask of every edge that an explainer found; node masks are summed over its ends."""
    if found.get("edge_mask") is not None:
        return found.edge_mask.detach().double().cpu().numpy()
    if found.get("node_mask") is None:
        raise ModelError("the explainer gave neither an edge mask nor a node mask")
    nodes = found.node_mask.detach().double().flatten(1).sum(dim=1)
    return (nodes[edge_index[0]] + nodes[edge_index[1]]).cpu().numpy()


class Shown(nn.Module):
    """A copy of a borrowed model as PyG's explainers call it: forward(x, edge_index, ...) to log-probabilities."""

    def __init__(self, model: Model, names: tuple[str, ...] = (), question: Question | None = None):
        super().__init__()
        self.names = names  # of further arguments, for explainers that pass them by position
        self.module = copy.deepcopy(model.module)
        self.answers = partial(log_answers, replace(model, module=nn.Identity()), question=question)
        self.pools = model.pools
        self.links = model.links

    def forward(self, x: Tensor, edge_index: Tensor, *placed: Tensor, **given: Tensor) -> Tensor:
        given |= dict(zip(self.names, placed))
        batch = {"batch": x.new_zeros(len(x), dtype=torch.long)} if self.pools else {}
        if self.links:
            ends = torch.tensor([[0], [1]], device=x.device)
            found = self.module(x, edge_index, **given, edge_label_index=ends)
            return self.answers(found.reshape(1, -1))
        return self.answers(self.module(x, edge_index, **given, **batch))


def _layers(model: nn.Module) -> int:
    return sum(isinstance(part, MessagePassing) for part in model.modules())
