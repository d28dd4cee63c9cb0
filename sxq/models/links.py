"""Models of links, which score pairs of nodes: forward with the pairs, or encode and decode.

    forward(x, edge_index, edge_label_index, ...)                        one row for each pair [2, k]
    encode(x, edge_index, ...) -> z, decode(z, edge_label_index)         the same in two steps

Scores [k] are read as one column [k, 1]. A model is told to be of links by what it takes, or by the
arguments kind or edge_type of its registration. In a heterogeneous graph it takes dictionaries by type
(`typed_links`) and scores the links of one edge type.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from sxq.errors import ModelError
from sxq.graph import EdgeType, Graph, GraphSet, shown_type
from sxq.models.call import PAIRS
from sxq.models.signature import signature_of
from sxq.models.wrappers import Wrapper

KINDS = ("node", "link")
SAMPLED = 64  # pairs that a model is registered with; half of them are edges
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
HOW = "forward(x, edge_index, edge_label_index), or encode(x, edge_index) and decode(z, edge_label_index)"


class EncodeDecode(Wrapper):
    """A module with `encode` and `decode` as one that takes the pairs in forward."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module
        self.spec = getattr(module, "spec", None)  # of a named architecture
        pairs = inspect.Parameter(PAIRS[0], inspect.Parameter.KEYWORD_ONLY)
        self.asks = with_pairs(signature_of_encode(module), pairs)

    def forward(self, *first: Tensor, edge_label_index: Tensor, **given: Any) -> Any:
        encode: Any = self.module.encode
        decode: Any = self.module.decode
        return decode(encode(*first, **given), edge_label_index)


def of_links(
    module: nn.Module,
    kind: str | None,
    graph: Graph | GraphSet,
    inputs: Mapping[str, str] | None = None,
) -> bool:
    """Whether a model is registered as one of links; raises ModelError where it cannot be one.

    inputs  argument of forward -> field of the data, as the user says
    """
    if kind is not None and kind not in KINDS:
        raise ModelError(f"kind = {kind!r}; expected {' or '.join(map(repr, KINDS))}")
    if kind == "node":
        return False
    takes = takes_pairs(module, inputs) or encodes(module)
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
    return found


def link_way(module: nn.Module, inputs: Mapping[str, str] | None = None) -> nn.Module:
    """The module as one whose forward takes the pairs."""
    if takes_pairs(module, inputs) or not encodes(module):
        return module
    return EncodeDecode(module)


def sample_pairs(graph: Graph, edge_type: EdgeType | None = None) -> np.ndarray:
    """Pairs [2, k] of different nodes: edges of the graph, and as many pairs at random.

    edge_type  in a heterogeneous graph, the type of the edges, between whose ends the pairs are
    """
    rng = np.random.default_rng(5)
    own = graph.edge_index[0] != graph.edge_index[1]
    low, high = [0, 0], [graph.num_nodes] * 2
    if edge_type is not None:
        assert graph.types is not None, "edges have types"
        kinds = graph.types.edge_types
        number = kinds.index(edge_type) if edge_type in kinds else -1
        own &= graph.types.of_edge == number
        ends = [graph.types.number_of(end) for end in edge_type[::2]]
        low, high = (graph.types.starts[[end + more for end in ends]].tolist() for more in (0, 1))
    real = np.flatnonzero(own)
    edges = graph.edge_index[:, rng.permutation(real)[: SAMPLED // 2]]
    if any(first >= last for first, last in zip(low, high)):
        raise ModelError(f"a model of links, but no nodes of type {' or '.join(edge_type or ())}")
    others = np.stack([rng.integers(first, last, SAMPLED // 2) for first, last in zip(low, high)])
    pairs = np.concatenate([edges, others[:, others[0] != others[1]]], axis=1)
    if not pairs.shape[1]:
        raise ModelError("a model of links needs a graph of two nodes or more")
    return pairs


def takes_pairs(module: nn.Module, inputs: Mapping[str, str] | None = None) -> bool:
    """Whether forward has an argument for pairs, besides those for x and edge_index."""
    said = {name: source.removesuffix("_dict") for name, source in (inputs or {}).items()}
    given = signature_of(module).parameters
    names = [said.get(name, name.removesuffix("_dict")) for name in given]
    if not {"x", "edge_index"} <= set(names):
        names = names[2:]  # the first two are x and edge_index, whatever they are called
    return bool(set(PAIRS) & set(names))


def scored_type(graph: Graph, given: Any) -> EdgeType | None:
    """The type of the links that a model scores: the given one, by name, or the only one of a graph.

    Raises ModelError. None: the graph has no types.
    """
    types = graph.types
    if types is None:
        if given is not None:
            raise ModelError(
                f"edge_type = {given!r}, but the graph has no types; leave edge_type out"
            )
        return None
    known = ", ".join(map(shown_type, types.edge_types)) or "none"
    if given is None:
        own = types.forward_types
        if len(own) == 1:
            return own[0]
        raise ModelError(f"say which links the model scores by edge_type=; edge types are {known}")
    if isinstance(given, str):
        found = types.edge_types_of(given)
        if len(found) == 1:
            return found[0]
        which = " and ".join(map(shown_type, found)) or f"none of the edge types {known}"
        raise ModelError(f"edge_type = {given!r} stands for {which}; name the three parts of one")
    if not isinstance(given, tuple | list) or len(given) != 3 or not _all_text(given):
        raise ModelError(
            f"edge_type = {given!r}; expected (source type, relation, type of the head)"
        )
    unknown = [end for end in given[::2] if end not in types.node_types]
    if unknown:
        raise ModelError(
            f"edge_type = {given!r}, but no nodes are of type {unknown[0]}; node types are "
            f"{', '.join(types.node_types)}"
        )
    return given[0], given[1], given[2]


def _all_text(parts: Any) -> bool:
    return all(isinstance(part, str) for part in parts)


def _takes_data(module: nn.Module) -> bool:
    return len(signature_of(module).parameters) == 1


def encodes(module: nn.Module) -> bool:
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


def signature_of_encode(module: Any) -> inspect.Signature:
    """The signature of encode; of an autoencoder of PyG, that of its encoder."""
    own = inspect.signature(module.encode)
    plain = any(p.kind in _POSITIONAL for p in own.parameters.values())
    inner = getattr(module, "encoder", None)
    return own if plain or not isinstance(inner, nn.Module) else signature_of(inner)


def with_pairs(signature: inspect.Signature, pairs: inspect.Parameter) -> inspect.Signature:
    parameters = list(signature.parameters.values())
    last = [p for p in parameters if p.kind is p.VAR_KEYWORD]
    return inspect.Signature([*(p for p in parameters if p not in last), pairs, *last])
