"""A model of links seen as a model of nodes, so that its depth is found as that of any other.

The row of node w has the scores of (w, w), of w with a few strangers, and of these with w. No edge leads
to a stranger, so a row depends on the receptive field of w alone. A link (u, v) is then as deep as the
deeper of its ends. In a heterogeneous graph strangers are of the types of the model's links; nodes of
other types have zeros.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from sxq.errors import ModelError
from sxq.graph import Graph
from sxq.inference.agreement import agree, difference
from sxq.models.call import NODE_TYPE, PAIRS
from sxq.models.forward import forward_full, node_tensor
from sxq.models.model import Model
from sxq.models.typed_links import typed_links
from sxq.models.wrappers import Wrapper

OTHERS = 3  # strangers that each node is paired with
ALONE = 4  # pairs that are also scored one by one


def as_node_model(model: Model, graph: Graph) -> Model:
    """The model of links as one of nodes; raises ModelError for one that cannot score a node with itself."""
    rng = np.random.default_rng(6)
    if typed_links(model.module) is not None:
        return _view(model, graph, node_tensor(model, graph, _strangers(model, graph, rng)))
    rows = rng.integers(0, graph.num_nodes, OTHERS)
    others = node_tensor(model, graph, rows)
    failed: list[ModelError] = []
    # A model may refuse the pair of a node with itself, or have something of its own for each node.
    for strangers, itself in ((others, True), (others, False), (others[:0], True)):
        try:
            return _view(model, graph, strangers, itself)
        except ModelError as error:
            failed.append(error)
    raise failed[0]


def _strangers(model: Model, graph: Graph, rng: np.random.Generator) -> np.ndarray:
    """OTHERS nodes of the type of the sources, then as many of that of the heads."""
    assert graph.types is not None and model.edge_type is not None, "links have a type"
    ends = [graph.types.number_of(end) for end in model.edge_type[::2]]
    starts = graph.types.starts
    return np.concatenate([rng.integers(starts[end], starts[end + 1], OTHERS) for end in ends])


def _view(model: Model, graph: Graph, others: Tensor, itself: bool = True) -> Model:
    typed = typed_links(model.module) is not None
    columns = 1 + len(others) if typed else int(itself) + 2 * len(others)
    arguments = tuple(name for name in model.arguments if name != PAIRS[0])
    found = replace(
        model,
        module=(
            _EndsByType(model, others) if typed else _Ends(model.module, others, itself)
        ).eval(),
        arguments=arguments,
        task="regression" if model.task == "regression" else "multilabel",
        spread=model.spread * columns,
        pairs=None,
        judged=tuple(dict.fromkeys(model.edge_type[::2])) if typed and model.edge_type else (),
    )
    return replace(found, full=forward_full(found, graph))


class _Ends(Wrapper):
    """Scores every node with itself, and with strangers in both directions: [n, columns * C]."""

    others: Tensor

    def __init__(self, module: nn.Module, others: Tensor, itself: bool = True):
        super().__init__()
        self.module = module
        self.itself = itself  # whether nodes are paired with themselves, too
        self.register_buffer("others", others)

    def forward(self, x: Tensor, edge_index: Tensor, **given: Tensor) -> Tensor:
        own = torch.arange(len(x), device=x.device)
        pairs = [torch.stack([own, own])] if self.itself else []
        for number in range(len(self.others)):
            other = torch.full_like(own, len(x) + number)
            pairs += [torch.stack([own, other]), torch.stack([other, own])]
        x = torch.cat([x, self.others.to(x)])
        found = self.module(x, edge_index, **given, **{PAIRS[0]: torch.cat(pairs, dim=1)})
        return found.reshape(len(pairs), len(own), -1).transpose(0, 1).flatten(1)


class _EndsByType(_Ends):
    """The same by types: scores a source with strange heads, and a head with strange sources."""

    def __init__(self, model: Model, others: Tensor):
        super().__init__(model.module, others)
        typed = typed_links(model.module)
        assert typed is not None, "it scores links by type"
        self.ends = [typed.types.number_of(end) for end in typed.edge_type[::2]]
        parts = model.call.node_parts
        place = [part.name for part in parts].index(NODE_TYPE)
        self.column = sum(part.width for part in parts[:place])

    def forward(self, x: Tensor, edge_index: Tensor, **given: Tensor) -> Tensor:
        kinds = x[:, self.column].to(torch.long)
        source, head = (torch.nonzero(kinds == end)[:, 0] for end in self.ends)
        each = len(self.others) // 2
        asked = [
            (head, torch.stack([torch.full_like(head, len(x) + n), head])) for n in range(each)
        ]
        for number in range(each, 2 * each):
            other = torch.full_like(source, len(x) + number)
            asked.append((source, torch.stack([source, other])))
        if self.ends[0] == self.ends[1]:
            asked.append((source, torch.stack([source, source])))
        pairs = torch.cat([pair for _, pair in asked], dim=1)
        found = self.module(
            torch.cat([x, self.others.to(x)]), edge_index, **given, **{PAIRS[0]: pairs}
        )
        found = found.reshape(pairs.shape[1], -1)
        table = found.new_zeros(2 * each + 1, len(x), found.shape[1])
        for column, (rows, own) in enumerate(
            zip([rows for rows, _ in asked], found.split([len(rows) for rows, _ in asked]))
        ):
            table[column] = table[column].index_copy(0, rows, own)
        return table.transpose(0, 1).flatten(1)


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
