"""Weights of PyG's own GCN, GraphSAGE, GAT and GIN under the names of the architectures here.

`torch_geometric.nn.models` numbers layers as convs.0, convs.1, ...; here they are conv1, conv2, ... A GIN of PyG has
two linear maps in each layer, nn.lins.0 and nn.lins.1, here nn.0 and nn.2. Its last layer is as wide inside as there
are classes, here as wide as HIDDEN: rows and columns of zeros make up the difference and change no output. Whatever
else such a model has, as norms.0, keeps its name and is found not to fit.
"""

import re
from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import pad

_LAYER = re.compile(r"convs\.(\d{1,4})\.(.+)")
_WITHIN = {"nn.lins.0.": "nn.0.", "nn.lins.1.": "nn.2."}


def adopted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under the names used here; one of another kind as it is."""
    if "node_emb.weight" in state or not any(_LAYER.fullmatch(name) for name in state):
        return dict(state)  # of a classifier of graphs, whose layers are called convs here, too
    return _widened({_name(name): tensor for name, tensor in state.items()})


def _name(name: str) -> str:
    layer = _LAYER.fullmatch(name)
    if layer is None:
        return name
    rest = layer[2]
    for theirs, ours in _WITHIN.items():
        if rest.startswith(theirs):
            rest = ours + rest.removeprefix(theirs)
    return f"conv{int(layer[1]) + 1}.{rest}"


def _widened(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The last layer of a GIN with zeros up to the width of the others."""
    layers = sum(1 for name in state if re.fullmatch(r"conv\d+\.nn\.0\.weight", name))
    matrix, bias, out = (f"conv{layers}.nn.{part}" for part in ("0.weight", "0.bias", "2.weight"))
    if layers < 2 or not {matrix, bias, out, "conv1.nn.0.weight"} <= state.keys():
        return state
    missing = len(state["conv1.nn.0.weight"]) - len(state[matrix])
    if missing <= 0 or state[matrix].dim() != 2 or state[out].dim() != 2:
        return state
    return {
        **state,
        matrix: pad(state[matrix], (0, 0, 0, missing)),
        bias: pad(state[bias], (0, missing)),
        out: pad(state[out], (0, missing)),
    }
