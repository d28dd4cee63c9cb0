"""Models of links, which score pairs of nodes: forward with the pairs, or encode and decode.

    forward(x, edge_index, edge_label_index, ...)                        one row for each pair [2, k]
    encode(x, edge_index, ...) -> z, decode(z, edge_label_index)         the same in two steps

Scores [k] are read as one column [k, 1]. A model is told to be of links by what it takes, or by the
argument kind of its registration.
"""

import inspect
from typing import Any

import numpy as np
from torch import Tensor, nn

from sxq.errors import ModelError
from sxq.graph import Graph, GraphSet
from sxq.models.calling import PAIRS, Wrapper, signature_of

KINDS = ("node", "link")
SAMPLED = 64  # pairs that a model is registered with; half of them are edges
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
HOW = "forward(x, edge_index, edge_label_index), or encode(x, edge_index) and decode(z, edge_label_index)"


class EncodeDecode(Wrapper):
    """A module with `encode` and `decode` as one that takes the pairs in forward."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        pairs = inspect.Parameter(PAIRS[0], inspect.Parameter.KEYWORD_ONLY)
        self.asks = _with(_signature_of_encode(module), pairs)

    def forward(self, *first: Tensor, edge_label_index: Tensor, **given: Any) -> Any:
        encode: Any = self.module.encode
        decode: Any = self.module.decode
        return decode(encode(*first, **given), edge_label_index)


def of_links(module: nn.Module, kind: str | None, graph: Graph | GraphSet) -> bool:
    """Whether a model is registered as one of links; raises ModelError where it cannot be one."""
    if kind is not None and kind not in KINDS:
        raise ModelError(f"kind = {kind!r}; expected {' or '.join(map(repr, KINDS))}")
    if kind == "node":
        return False
    takes = _takes_pairs(module) or _encodes(module)
    if kind == "link" and not takes and not _takes_data(module):
        raise ModelError(
            f"kind = 'link', but {type(module).__name__} takes no pairs of nodes: expected {HOW}"
        )
    found = takes if kind is None else True
    if isinstance(graph, GraphSet):
        if kind is None:
            return False
        raise ModelError(
            "kind = 'link' on a collection of graphs; links are explained in one graph"
        )
    if found and graph.types is not None:
        raise ModelError(
            "a model of links on a heterogeneous graph is not supported; register a homogeneous graph, "
            "or kind = 'node' for a model of nodes"
        )
    return found


def link_way(module: nn.Module) -> nn.Module:
    """The module as one whose forward takes the pairs."""
    if _takes_pairs(module) or not _encodes(module):
        return module
    return EncodeDecode(module)


def sample_pairs(graph: Graph) -> np.ndarray:
    """Pairs [2, k] of different nodes: edges of the graph, and as many pairs at random."""
    rng = np.random.default_rng(5)
    real = np.flatnonzero(graph.edge_index[0] != graph.edge_index[1])
    edges = graph.edge_index[:, rng.permutation(real)[: SAMPLED // 2]]
    others = rng.integers(0, graph.num_nodes, (2, SAMPLED // 2))
    pairs = np.concatenate([edges, others[:, others[0] != others[1]]], axis=1)
    if not pairs.shape[1]:
        raise ModelError("a model of links needs a graph of two nodes or more")
    return pairs


def _takes_pairs(module: nn.Module) -> bool:
    return bool(set(PAIRS) & set(signature_of(module).parameters))


def _takes_data(module: nn.Module) -> bool:
    return len(signature_of(module).parameters) == 1


def _encodes(module: nn.Module) -> bool:
    """Whether a module has an encode, and a decode of what that gives and of pairs."""
    encode, decode = (getattr(module, name, None) for name in ("encode", "decode"))
    if not (callable(encode) and callable(decode)) or isinstance(encode, nn.Module):
        return False
    try:
        parameters = inspect.signature(decode).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    return sum(p.kind in _POSITIONAL for p in parameters) > 1


def _signature_of_encode(module: Any) -> inspect.Signature:
    """The signature of encode; of an autoencoder of PyG, that of its encoder."""
    own = inspect.signature(module.encode)
    plain = any(p.kind in _POSITIONAL for p in own.parameters.values())
    inner = getattr(module, "encoder", None)
    return own if plain or not isinstance(inner, nn.Module) else signature_of(inner)


def _with(signature: inspect.Signature, pairs: inspect.Parameter) -> inspect.Signature:
    parameters = list(signature.parameters.values())
    last = [p for p in parameters if p.kind is p.VAR_KEYWORD]
    return inspect.Signature([*(p for p in parameters if p not in last), pairs, *last])
