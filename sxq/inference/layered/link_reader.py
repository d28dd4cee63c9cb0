"""Reads what a model of links does with its pairs: it picks the rows of their ends, and brings them together."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, fx

from sxq.inference.layered.kinds import BOTH, ENDS, LINKS, NODES, ONE_END, PLAIN, node_kind
from sxq.inference.tracing.fx_graph import name_of
from sxq.inference.tracing.rowwise import POINTWISE, Untraceable

FLAT = frozenset(("squeeze", "flatten", "ravel"))  # scores [n, 1] of links to [n]
AS_IT_IS = frozenset(("long", "to", "contiguous", "clone", "detach"))  # of the pairs
OVER_ENDS = frozenset(("sum", "mean", "prod", "amax", "amin"))


def read_pick(node: fx.Node, name: str) -> None:
    """An operation on the pairs: it tells one end of them, or picks the rows of their ends."""
    pairs = [n for n in node.all_input_nodes if node_kind(n) in (BOTH, ONE_END)]
    others = [n for n in node.all_input_nodes if n not in pairs]
    kind = node_kind(pairs[0])
    if name in AS_IT_IS or (name == "unbind" and kind == BOTH and _dim_of(node, 0) == 0):
        node.meta.update(kind=kind, end=pairs[0].meta.get("end"))
    elif not others and kind == BOTH and _selects(node) and (end := _end(node)) is not None:
        node.meta.update(kind=ONE_END, end=end)
    elif len(pairs) == len(others) == 1 and node_kind(others[0]) == NODES and _picks(node):
        end = pairs[0].meta.get("end")
        call = pick_ends if kind == BOTH else partial(pick_end, end=end)
        node.meta.update(kind=ENDS if kind == BOTH else LINKS, varies=True, call=call)
        node.args = (others[0],)
        node.kwargs = {}
    else:
        raise Untraceable(f"{name} does more with the pairs than to pick the rows of their ends")


def read_ends(node: fx.Node, name: str, call: Callable) -> None:
    """An operation on the rows [2, n, C] of both ends."""
    if name == "getitem" and node.args[1] in (0, 1, -1, -2):
        node.meta.update(kind=LINKS, call=call)
    elif name in (*OVER_ENDS, "unbind") and _dim_of(node, 0 if name == "unbind" else None) == 0:
        node.meta.update(kind=LINKS, call=call, tuple=name == "unbind")
    elif name in POINTWISE and {node_kind(n) for n in node.all_input_nodes} <= {ENDS, PLAIN}:
        node.meta.update(kind=ENDS, call=call)
    else:
        raise Untraceable(f"{name} brings the rows of both ends of a link together")


def is_flat(node: fx.Node, name: str) -> bool:
    """Whether an operation takes scores [n, 1] of links to [n]: they are never less than two, so no size is lost."""
    kinds = {node_kind(n) for n in node.all_input_nodes}
    return name in FLAT and kinds <= {LINKS, PLAIN} and len(node.args) == 1


def _end(node: fx.Node) -> int | None:
    """Which end of the pairs an index asks for: 0, 1, or None for any other index."""
    index = node.args[2] if name_of(node) == "select" else _first_index(node)
    return index % 2 if isinstance(index, int) and -2 <= index < 2 else None


def _selects(node: fx.Node) -> bool:
    """Whether an operation takes one row: pairs[0], pairs[0, :], pairs.select(0, 0)."""
    if name_of(node) == "select":
        return len(node.args) == 3 and node.args[1] == 0
    return name_of(node) == "getitem"


def _picks(node: fx.Node) -> bool:
    """Whether an operation takes the rows at an index: z[index], z[index, :], or index_select(z, 0, index)."""
    if name_of(node) == "getitem":
        return isinstance(_first_index(node), fx.Node)
    return name_of(node) == "index_select" and _dim_of(node) == 0


def _first_index(node: fx.Node) -> Any:
    """The index of a getitem, of which a second that takes everything is left off."""
    index = node.args[1]
    if isinstance(index, tuple) and len(index) == 2 and index[1] in (slice(None), Ellipsis):
        return index[0]
    return index


def _dim_of(node: fx.Node, default: int | None = None) -> Any:
    """The dimension of an operation."""
    return node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", default)


def pick_end(rows: Tensor, end: int) -> Tensor:
    """The rows of one end of every link, of rows in which those of both ends follow each other."""
    return rows[end::2].clone()


def pick_ends(rows: Tensor) -> Tensor:
    """The rows [2, n, C] of both ends of every link."""
    return rows.unflatten(0, (-1, 2)).transpose(0, 1).clone()
