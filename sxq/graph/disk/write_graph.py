"""A graph into a folder, whatever its size: every array passes in blocks.

In-edges are sorted by a count: one pass counts the edges into every node, a second puts each edge
in its place. Whether the graph is undirected is decided by sums over all edges: a mixed number of
128 bits for each edge and for its reverse; two multisets that differ have equal sums once in 2^128.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sxq.errors import GraphError
from sxq.graph.csr import Graph, one_hot, rows_of
from sxq.graph.disk import manifest
from sxq.graph.disk.disk_keys import write_keys
from sxq.graph.disk.half_rows import fits_half
from sxq.graph.disk.mapped import DiskGraph
from sxq.graph.disk.stored_list import write_list

EDGES = 1 << 20  # in a block
BYTES = 1 << 25  # of rows in a block
SEEDS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)
OF_NODES = ("x", "y")
OF_EDGES = ("edge_weight", "edge_attr", "edge_truth")


@dataclass(frozen=True)
class ArrayColumns:
    """The arrays of a graph that need not fit into memory, as `Graph.columns()` names them."""

    arrays: Mapping[str, Any]  # edge_index [2, E], x [n, d], perhaps y, edge_weight, edge_attr

    @property
    def num_nodes(self) -> int:
        return len(self.arrays["x"])

    @property
    def num_edges(self) -> int:
        return self.arrays["edge_index"].shape[1]

    def columns(self) -> dict[str, Any]:
        """The constructor's arguments of a graph, without copies."""
        empty: dict[str, Any] = {
            **dict.fromkeys(("y", "split", *OF_EDGES, "keys", "types", "encoding")),
            **dict.fromkeys(("feature_names", "edge_names")),
            **{name: {} for name in ("attributes", "forms", "node_inputs", "edge_inputs")},
            **{name: {} for name in ("left_out", "edge_attributes")},
        }
        return empty | dict(self.arrays)


def column_bytes(columns: Mapping[str, Any]) -> int:
    """About how many bytes the arrays of a graph take in memory."""
    edges = columns["edge_index"].shape[1]
    held = [columns[name] for name in (*OF_NODES, *OF_EDGES) if columns[name] is not None]
    held += [*columns["node_inputs"].values(), *columns["edge_inputs"].values()]
    return 32 * edges + sum(array.nbytes for array in held)


def write(folder: Path, columns: Mapping[str, Any], earlier: Path | None = None) -> DiskGraph:
    """Write the columns of a graph, as `Graph.columns()` gives them, into a new folder; the graph.

    earlier  the folder of the version before; files that are the same are hard links to its own

    Raises GraphError for arrays that are no graph, and what a full disk raises; what is written by
    then stays.
    """
    if columns["types"] is not None:
        raise GraphError(
            "STORAGE = disk is for graphs without types; this one has types of nodes and edges, and "
            "is kept in memory: say STORAGE = memory"
        )
    folder.mkdir(parents=True)
    facts = {name: columns[name] for name in ("forms", "left_out", "feature_names", "edge_names")}
    facts |= {"encoding": columns["encoding"], **_write_lists(folder, columns)}
    x = columns["x"]
    facts["half"] = x.dtype == np.float32 and all(fits_half(block) for _, block in row_blocks(x))
    facts["one_hot"] = all(one_hot(block) for _, block in row_blocks(x))
    for name in (*OF_NODES, *OF_EDGES):
        _write_array(folder, name, columns[name], columns, half=facts["half"])
    for level in ("node_input", "edge_input"):
        for number, array in enumerate(columns[f"{level}s"].values()):
            _write_array(folder, f"{level}.{number}", array, columns)
        facts[f"{level}s"] = list(columns[f"{level}s"])
    facts["loops"], facts["hub"] = _write_edges(folder, columns["edge_index"], len(columns["x"]))
    facts["undirected"] = mirrored(DiskGraph(folder, facts))
    facts["classes"] = _classes(folder)
    facts["content_hash"] = DiskGraph(folder, facts).content_hash
    manifest.save(folder, facts, earlier)
    return DiskGraph(folder, facts)


def _write_lists(folder: Path, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Keys, split, attributes of nodes and of edges; their kinds."""
    keys = columns["keys"]
    facts: dict[str, Any] = {"keys": None if keys is None else write_keys(folder, keys)}
    facts["split"] = None
    if columns["split"] is not None:
        names, codes = np.unique(np.asarray(columns["split"]).astype(str), return_inverse=True)
        manifest.created(folder, "split", np.uint8, codes.shape)[:] = codes
        facts["split"] = names.tolist()
    for level in ("attribute", "edge_attribute"):
        facts[f"{level}s"] = {
            name: write_list(folder, f"{level}.{number}", values, f"{level} {name!r}")
            for number, (name, values) in enumerate(columns[f"{level}s"].items())
        }
    return facts


def _write_array(
    folder: Path, name: str, values: Any, columns: Mapping[str, Any], half: bool = False
) -> None:
    """One array, block by block; raises GraphError for values that no graph holds."""
    if values is None:
        return
    of_nodes = name in OF_NODES or name.startswith("node_input")
    rows = len(columns["x"]) if of_nodes else columns["edge_index"].shape[1]
    if len(values) != rows:
        each = f"{rows} nodes" if of_nodes else f"{rows} edges"
        raise GraphError(f"{name} has {len(values)} rows, expected one for each of {each}")
    kind = np.float16 if name == "x" and half else values.dtype
    held = manifest.created(folder, name, kind, values.shape)
    for first, block in row_blocks(values):
        if name in ("x", "edge_weight", "edge_attr") and not np.isfinite(block).all():
            bad = first + int(np.argwhere(~np.isfinite(rows_of(block)).all(axis=1))[0, 0])
            raise GraphError(f"{name} holds NaN or infinite values, the first in row {bad}")
        held[first : first + len(block)] = block


def row_blocks(values: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Some rows of an array at a time, with the number of the first."""
    width = values.itemsize * int(np.prod(values.shape[1:]))
    step = max(1, BYTES // max(1, width))
    for first in range(0, len(values), step):
        yield first, np.asarray(values[first : first + step])


def _edge_blocks(edge_index: Any) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, edge_index.shape[1], EDGES):
        yield first, np.asarray(edge_index[:, first : first + EDGES]).astype(np.int64, copy=False)


def _write_edges(folder: Path, edge_index: Any, nodes: int) -> tuple[int, int]:
    """The ends of edges, and the edges by head; how many are loops, and the node with most edges into it."""
    if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_index.dtype.kind not in "iu":
        raise GraphError(
            f"edge_index is {edge_index.dtype} of shape {list(edge_index.shape)}, expected integers [2, E]"
        )
    edges = edge_index.shape[1]
    ends = manifest.created(folder, "edge_index", np.int64, (2, edges))
    count = np.zeros(nodes, np.int64)
    loops = 0
    ascending = True
    last = 0
    for first, block in _edge_blocks(edge_index):
        _require_range(block, first, nodes)
        ends[:, first : first + block.shape[1]] = block
        count += np.bincount(block[1], minlength=nodes)
        loops += int((block[0] == block[1]).sum())
        ascending = ascending and block[1, 0] >= last and bool((np.diff(block[1]) >= 0).all())
        last = block[1, -1]
    start = manifest.created(folder, "start", np.int64, (nodes + 1,))
    start[0] = 0
    np.cumsum(count, out=start[1:])
    _sort_by_head(folder, ends, start, sorted_already=ascending)
    return loops, int(count.argmax()) if nodes else 0


def _sort_by_head(folder: Path, ends: np.ndarray, start: np.ndarray, sorted_already: bool) -> None:
    """`tails` [E] by head, and `numbers` [E] of the edges unless they are in this order already."""
    nodes = len(start) - 1
    edges = ends.shape[1]
    tails = manifest.created(folder, "tails", _whole(nodes), (edges,))
    if sorted_already:
        for first, block in _edge_blocks(ends):
            tails[first : first + block.shape[1]] = block[0]
        return
    numbers = manifest.created(folder, "numbers", _whole(edges), (edges,))
    free = np.array(start[:-1])
    for first, block in _edge_blocks(ends):
        order = np.argsort(block[1], kind="stable")
        heads = block[1, order]
        begins = np.flatnonzero(np.diff(heads, prepend=-1))
        sizes = np.diff(np.append(begins, len(heads)))
        within = np.arange(len(heads)) - np.repeat(begins, sizes)
        place = free[heads] + within
        tails[place] = block[0, order]
        numbers[place] = first + order
        free[heads[begins]] += sizes


def _whole(count: int) -> Any:
    """The smaller type of whole numbers that holds numbers below `count`."""
    return np.int32 if count <= 2**31 else np.int64


def _require_range(block: np.ndarray, first: int, nodes: int) -> None:
    bad = np.flatnonzero(((block < 0) | (block >= nodes)).any(axis=0))
    if len(bad):
        u, v = block[:, bad[0]].tolist()
        raise GraphError(f"edge {first + bad[0]} is {u} -> {v}, but nodes are 0 to {nodes - 1}")


def _classes(folder: Path) -> int | None:
    """How many labels occur; None without labels."""
    y = manifest.array(folder, "y")
    if y is None:
        return None
    found: Sequence[int] = []
    for _, block in row_blocks(y):
        found = np.union1d(found, block).tolist()
    return len(found)


def mirrored(graph: Graph) -> bool:
    """Whether the multiset of (source, target, attributes) equals its reverse."""
    sums = np.zeros((2, len(SEEDS)), np.uint64)
    for first in range(0, graph.num_edges, EDGES):
        some = slice(first, first + EDGES)
        ends = graph.edge_index[:, some]
        values = _values(graph, some)
        for place, seed in enumerate(SEEDS):
            own = _mixed(values, seed)
            for way, (tail, head) in enumerate((ends, ends[::-1])):
                mixed = _mix(_mix(own ^ tail.view(np.uint64)) ^ head.view(np.uint64))
                sums[way, place : place + 1] += (
                    mixed.sum()
                )  # an array's sum wraps around in silence
    return bool((sums[0] == sums[1]).all())


def _values(graph: Graph, some: slice) -> list[np.ndarray]:
    """What an edge is besides its ends: columns of doubles, where 0 and -0 are the same."""
    parts = [graph.edge_weight, graph.edge_attr, *graph.edge_inputs.values()]
    tables = [rows_of(part[some]).astype(np.float64) + 0.0 for part in parts if part is not None]
    return [np.ascontiguousarray(column) for table in tables for column in table.T]


def _mixed(columns: list[np.ndarray], seed: int) -> Any:
    """A number for each row of columns of doubles."""
    found: Any = np.uint64(seed)
    for column in columns:
        found = _mix(found ^ column.view(np.uint64))
    return found


def _mix(values: Any) -> Any:
    """A bijection of 64-bit numbers in which every bit depends on all (splitmix64; Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(SEEDS[0])
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))
