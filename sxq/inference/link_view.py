"""A model of links seen as a model of nodes, so that its depth is found as that of any other.

The row of node w has the scores of (w, w), of w with a few strangers, and of these with w. No edge leads
to a stranger, so a row depends on the receptive field of w alone. A link (u, v) is then as deep as the
deeper of its ends.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from sxq.errors import ModelError
from sxq.graph import Graph
from sxq.inference.agreement import agree, difference
from sxq.models.borrow import Model, forward_full, node_tensor
from sxq.models.calling import PAIRS, Wrapper

OTHERS = 3  # strangers that each node is paired with
ALONE = 4  # pairs that are also scored one by one


def as_node_model(model: Model, graph: Graph) -> Model:
    """The model of links as one of nodes; raises ModelError for one that cannot score a node with itself."""
    rows = np.random.default_rng(6).integers(0, graph.num_nodes, OTHERS)
    try:
        return _view(model, graph, node_tensor(model, graph, rows))
    except ModelError:  # it has something of its own for each node of the graph
        return _view(model, graph, node_tensor(model, graph, rows[:0]))


def _view(model: Model, graph: Graph, others: Tensor) -> Model:
    columns = 1 + 2 * len(others)
    arguments = tuple(name for name in model.arguments if name != PAIRS[0])
    found = replace(
        model,
        module=_Ends(model.module, others).eval(),
        arguments=arguments,
        task="regression" if model.task == "regression" else "multilabel",
        spread=model.spread * columns,
        pairs=None,
    )
    return replace(found, full=forward_full(found, graph))


class _Ends(Wrapper):
    """Scores every node with itself, and with strangers in both directions: [n, columns * C]."""

    others: Tensor

    def __init__(self, module: nn.Module, others: Tensor):
        super().__init__()
        self.module = module
        self.register_buffer("others", others)

    def forward(self, x: Tensor, edge_index: Tensor, **given: Tensor) -> Tensor:
        own = torch.arange(len(x), device=x.device)
        pairs = [torch.stack([own, own])]
        for number in range(len(self.others)):
            other = torch.full_like(own, len(x) + number)
            pairs += [torch.stack([own, other]), torch.stack([other, own])]
        x = torch.cat([x, self.others.to(x)])
        found = self.module(x, edge_index, **given, **{PAIRS[0]: torch.cat(pairs, dim=1)})
        return found.reshape(len(pairs), len(own), -1).transpose(0, 1).flatten(1)


def require_separate(model: Model, graph: Graph) -> None:
    """Raise ModelError for a model whose score of a pair depends on the other pairs it is given."""
    assert model.pairs is not None
    for number in range(min(ALONE, model.pairs.shape[1])):
        alone = forward_full(model, graph, pairs=model.pairs[:, [number]])
        together = model.full[[number]]
        if not agree(model, alone, together):
            raise ModelError(
                f"the score of a pair alone differs by {difference(model, alone, together):.2g} from "
                f"its score among {model.pairs.shape[1]} pairs; a pair must be scored without the others"
            )
