"""PyG's `HeteroData` as one graph whose nodes and edges know their type, and back.

Nodes of a type lie together, in the order of `data.node_types`; edges of a type too. Rows of x and
edge_attr are padded with zeros to those of the widest type. What only some types have is filled
where filling changes nothing (an unknown label, a mask that is false); otherwise it is refused, or
left out and remembered as in `Graph.left_out`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Batch, HeteroData

from sxq.errors import GraphError
from sxq.graph import Graph, GraphTypes, shown_type
from sxq.graph.csr import SPLITS
from sxq.graph.readers import MASKS, UNKNOWN_CLASS, from_arrays
from sxq.graph.types import LACKING
from sxq.models.pyg_fields import (
    KNOWN,
    Fields,
    column_of_ones,
    defect,
    judge_y,
    read_fields,
    unusable,
)

Parts = dict[str, Fields]  # the fields of every type, by the name of the type
Rows = Mapping[str, int]  # how many rows each type has
ONES = "ones"  # the type of x of nodes that have none: it is that of others


def typed_graph(data: HeteroData) -> Graph:
    """A copy of a heterogeneous graph; keys are numbers within a type. `data` is not changed.

    A type without x has one column of ones. y of several types is kept: each type has classes of
    its own, and nodes without one are unknown. Raises GraphError for fields that are no graph.
    """
    _require_one(data)
    nodes: Parts = {name: read_fields(data[name]) for name in data.node_types}
    edges: Parts = {shown_type(name): read_fields(data[name]) for name in data.edge_types}
    _require_edges(edges)
    nodes = {name: _with_x(data[name], name, fields) for name, fields in nodes.items()}
    counts = {name: len(fields["x"][0]) for name, fields in nodes.items()}
    lengths = {name: fields["edge_index"][0].shape[-1] for name, fields in edges.items()}
    left_out = _described(data, nodes, edges)
    types, edge_index = _types(data, counts, edges, lengths)
    arrays = {"edge_index": edge_index}
    forms: dict[str, str] = {}
    widths = {}
    for name, parts, rows in (
        ("x", nodes, counts),
        ("edge_weight", edges, lengths),
        ("edge_attr", edges, lengths),
    ):
        if found := _padded(name, parts, rows):
            arrays[name], form, widths[name] = found
            forms |= {name: form} if form else {}
    inputs, more = _inputs(nodes, counts)
    edge_inputs, others = _inputs(edges, lengths)
    checked = {
        name: array.astype(np.float64) if name in forms else array for name, array in arrays.items()
    }
    graph = from_arrays(checked | _labels(nodes, counts, left_out) | _truth(edges, lengths))
    kept = {name: arrays[name] for name in forms}
    return Graph(
        **{
            **graph.columns(),
            **kept,
            "forms": forms,
            "node_inputs": inputs,
            "edge_inputs": edge_inputs,
            "left_out": left_out | more | others,
            "types": _with_widths(types, widths, data),
        }
    )


def hetero_from_graph(graph: Graph) -> HeteroData:
    """The `HeteroData` of a graph with types, as `typed_graph` reads it; further inputs included."""
    types = graph.types
    assert types is not None
    data = HeteroData()
    for number, name in enumerate(types.node_types):
        own = slice(types.starts[number], types.starts[number + 1])
        fields = _held(graph, name, _node_fields(graph, own))
        fields["x"] = fields["x"][:, : types.widths[number]]
        _fill(data[name], fields, graph.forms)
        if (names := types.feature_names[number]) is not None:
            data[name].feature_names = list(names)
    for number, edge_type in enumerate(types.edge_types):
        chosen = np.flatnonzero(types.of_edge == number)
        first = np.array([[types.starts[types.number_of(end)]] for end in edge_type[::2]])
        fields = _held(graph, shown_type(edge_type), _edge_fields(graph, chosen))
        fields |= {"edge_index": graph.edge_index[:, chosen] - first}
        if "edge_attr" in fields:
            fields["edge_attr"] = fields["edge_attr"][:, : types.edge_widths[number]]
            if not types.edge_widths[number]:
                del fields["edge_attr"]
        _fill(data[edge_type], fields, graph.forms)
    return data


def hetero_part(graph: Graph, nodes: np.ndarray, edges: np.ndarray) -> HeteroData:
    """A part of a graph with types: some nodes, ascending, and edges among them, renumbered within their types.

    `nodes` of each type are their numbers in the type in the whole graph.
    """
    types = graph.types
    assert types is not None
    columns = graph.columns()
    of_nodes = {
        name: columns[name][nodes] for name in ("x", "y", "split") if columns[name] is not None
    }
    names = ("edge_weight", "edge_attr", "edge_truth")
    of_edges = {name: columns[name][edges] for name in names if columns[name] is not None}
    part = Graph(
        **of_nodes,
        **of_edges,
        edge_index=np.searchsorted(nodes, graph.edge_index[:, edges]),
        forms=graph.forms,
        node_inputs={name: array[nodes] for name, array in graph.node_inputs.items()},
        edge_inputs={name: array[edges] for name, array in graph.edge_inputs.items()},
        left_out=graph.left_out,
        types=replace(types, of_node=types.of_node[nodes], of_edge=types.of_edge[edges]),
    )
    data = hetero_from_graph(part)
    for number, name in enumerate(types.node_types):
        own = nodes[types.of_node[nodes] == number]
        data[name].nodes = torch.from_numpy(own - types.starts[number])
    return data


def of_one_order(graphs: Sequence[Any]) -> list[Any]:
    """The graphs; each `HeteroData` among them has its types in the order of the first. None is changed.

    Raises GraphError where one lacks a type: a layer makes something of an edge type without edges,
    and nothing of one that is missing.
    """
    held = [data for data in graphs if isinstance(data, HeteroData)]
    for number, data in enumerate(graphs):
        if isinstance(data, HeteroData):
            _require_types(data, held[0], number)
    return [
        _ordered(data, held[0])
        if isinstance(data, HeteroData) and data.metadata() != held[0].metadata()
        else data
        for data in graphs
    ]


def _require_types(data: HeteroData, first: HeteroData, number: int) -> None:
    for what, own, others, empty in (
        ("node", data.node_types, first.node_types, "x of shape [0, features]"),
        ("edge", data.edge_types, first.edge_types, "edge_index of shape [2, 0]"),
    ):
        if set(own) != set(others):
            name = next(iter(set(own) ^ set(others)))
            shown = name if isinstance(name, str) else shown_type(name)
            has, lacks = (number, 0) if name in own else (0, number)
            raise GraphError(
                f"graph {lacks} lacks the {what} type {shown}, which graph {has} has: give every graph "
                f"all types, with {empty} where there is none"
            )


def _ordered(data: HeteroData, first: HeteroData) -> HeteroData:
    """The same graph with its types in the order of another."""
    found = HeteroData()
    for name in (*first.node_types, *first.edge_types):
        found[name].update(dict(data[name].items()))
    found._global_store.update(dict(data._global_store.items()))
    return found


# -- the parts of a graph ------------------------------------------------------------------------


def _require_one(data: HeteroData) -> None:
    if isinstance(data, Batch) or any("batch" in store for store in data.node_stores):
        raise GraphError(
            "the HeteroData is a batch of graphs: register_graphs takes them as targets of a model of "
            "graphs"
        )
    if not data.node_types:
        raise GraphError("the HeteroData has no node type, expected at least one with x")


def _require_edges(edges: Parts) -> None:
    for name, fields in edges.items():
        if "edge_index" not in fields:
            raise GraphError(
                f"{name} has no edge_index [2, E]; found {', '.join(fields) or 'nothing'}"
            )
        array = fields["edge_index"][0]
        if array.size == 0:
            fields["edge_index"] = np.zeros((2, 0), np.int64), "int64"
        elif array.ndim != 2 or len(array) != 2 or array.dtype.kind not in "iu":
            raise GraphError(
                f"edge_index of {name} is {array.dtype} {list(array.shape)}, expected integers [2, E]"
            )


def _with_x(store: Any, name: str, fields: Fields) -> Fields:
    """The fields of a node type, with ones for x where it has none."""
    if "x" not in fields:
        count = store.get("num_nodes")
        if not isinstance(count, int):
            rows = [len(array) for array, _ in fields.values() if array.ndim]
            if not rows:
                raise GraphError(f"node type {name} has neither x nor num_nodes")
            count = rows[0]
        return {**fields, "x": (column_of_ones(count), ONES)}
    if fields["x"][0].ndim == 0:
        raise GraphError(f"x of {name} is a single number, expected [num_nodes, features]")
    return fields


def _types(
    data: HeteroData, counts: Rows, edges: Parts, lengths: Rows
) -> tuple[GraphTypes, np.ndarray]:
    """The types without widths, and the edges [2, E] by the positions of nodes in all."""
    types = GraphTypes(
        node_types=tuple(data.node_types),
        edge_types=tuple(data.edge_types),
        of_node=np.repeat(np.arange(len(counts)), list(counts.values())),
        of_edge=np.repeat(np.arange(len(lengths)), list(lengths.values())),
        widths=(0,) * len(counts),
        edge_widths=(0,) * len(lengths),
        feature_names=(None,) * len(counts),
    )
    moved = [np.zeros((2, 0), np.int64)]
    for edge_type, (name, fields) in zip(data.edge_types, edges.items()):
        ends = fields["edge_index"][0].astype(np.int64)
        for row, end in zip(ends, edge_type[::2]):
            _require_ends(row, name, end, counts[end])
        first = [[types.starts[types.number_of(end)]] for end in edge_type[::2]]
        moved.append(ends + np.array(first))
    return types, np.concatenate(moved, axis=1)


def _require_ends(row: np.ndarray, name: str, node_type: str, count: int) -> None:
    bad = np.flatnonzero((row < 0) | (row >= count))
    if len(bad):
        raise GraphError(
            f"edge {bad[0]} of {name} has the {node_type} {row[bad[0]]} at an end, but nodes of that "
            f"type are 0 to {count - 1} ({len(bad)} such edges)"
        )


def _with_widths(
    types: GraphTypes, widths: Mapping[str, tuple[int, ...]], data: HeteroData
) -> GraphTypes:
    names = []
    for name, width in zip(types.node_types, widths["x"]):
        given = data[name].get("feature_names")
        if given is not None and len(given) != width:
            raise GraphError(f"{len(given)} feature names of {name}, but its x has {width} columns")
        names.append(None if given is None else tuple(map(str, given)))
    return GraphTypes(
        node_types=types.node_types,
        edge_types=types.edge_types,
        of_node=types.of_node,
        of_edge=types.of_edge,
        widths=widths["x"],
        edge_widths=widths.get("edge_attr", types.edge_widths),
        feature_names=tuple(names),
    )


def _padded(
    name: str, parts: Parts, rows: Rows
) -> tuple[np.ndarray, str | None, tuple[int, ...]] | None:
    """A field of all types as one array, its form if it is not the usual, and the width of each type.

    None where no type has it. A type without it has width 0.
    """
    held = {part: fields[name] for part, fields in parts.items() if name in fields}
    if not held:
        return None
    kind, ndim = _common(name, held)
    _require_rows(name, held, rows)
    if name == "edge_weight":
        _require_weights(held, rows)
    tables = {part: _table(array) for part, (array, _) in held.items()}
    widths = tuple(tables[part].shape[1] if part in tables else 0 for part in parts)
    whole = np.zeros((sum(rows.values()), max(widths)), _held_type(kind))
    for part, own in _slices(rows):
        if part in tables:
            whole[own, : tables[part].shape[1]] = tables[part]
    usual = kind == "float32" and ndim == (1 if name == "edge_weight" else 2)
    form = None if usual else f"{kind} {[] if ndim == 1 else [max(widths)]}"
    return (whole[:, 0] if ndim == 1 and name == "edge_weight" else whole), form, widths


def _common(name: str, held: Fields) -> tuple[str, int]:
    """The type and the number of dimensions of a field, which all types share; raises GraphError."""
    found = {part: (kind, array.ndim) for part, (array, kind) in held.items() if kind != ONES}
    if len(set(found.values())) > 1:
        each = ", ".join(f"{part} {held[part][1]} {list(held[part][0].shape)}" for part in found)
        raise GraphError(
            f"{name} differs between types: {each}; give all one dtype and as many dimensions"
        )
    if not found:
        return "float32", 2
    ((kind, ndim),) = set(found.values())
    if ndim not in (1, 2):
        part = next(iter(found))
        raise GraphError(
            f"{name} of {part} has shape {list(held[part][0].shape)}, expected one or two dimensions"
        )
    return kind, ndim


def _require_rows(name: str, held: Fields, rows: Rows) -> None:
    for part, (array, _) in held.items():
        if len(array) != rows[part]:
            raise GraphError(f"{name} of {part} has {len(array)} rows, expected {rows[part]}")


def _require_weights(held: Fields, rows: Rows) -> None:
    """Refuse weights of some edges only: a model would be given others than the data has."""
    if without := [part for part, count in rows.items() if count and part not in held]:
        raise GraphError(
            f"edges {', '.join(held)} have edge_weight, {', '.join(without)} have none; give all edge "
            "types weights, such as ones, or name it edge_attr"
        )


def _table(array: np.ndarray) -> np.ndarray:
    return array[:, None] if array.ndim == 1 else array


def _held_type(kind: str) -> np.dtype:
    return np.dtype("float32" if kind == "bfloat16" else kind)


def _slices(rows: Rows) -> Iterable[tuple[str, slice]]:
    """The rows of each type among those of all."""
    ends = np.cumsum(list(rows.values()), dtype=int).tolist()
    return [(part, slice(end - count, end)) for (part, count), end in zip(rows.items(), ends)]


def _labels(nodes: Parts, counts: Rows, left_out: dict[str, str]) -> dict[str, np.ndarray]:
    """y and masks of all nodes; y that is no classes goes to `left_out`."""
    found: dict[str, np.ndarray] = {}
    for (name, own), fields in zip(_slices(counts), nodes.values()):
        given = {field: array for field, (array, _) in fields.items()}
        left_out |= {
            f"{name}.{field}": what for field, what in judge_y(given, counts[name]).items()
        }
        for field, empty in [("y", UNKNOWN_CLASS), *((mask, 0) for mask in sorted(MASKS))]:
            if field not in given:
                continue
            _require_rows(field, {name: (given[field], "")}, counts)
            column = given[field].reshape(counts[name], -1)[:, :1].ravel()
            found.setdefault(field, np.full(sum(counts.values()), empty, np.int64))[own] = column
    return found


def _truth(edges: Parts, lengths: Rows) -> dict[str, np.ndarray]:
    """The ground truth of all edges, where some type has one; PyG calls it edge_mask."""
    truth = np.zeros(sum(lengths.values()))
    for (name, own), fields in zip(_slices(lengths), edges.values()):
        if "edge_mask" in fields:
            _require_rows("edge_mask", {name: fields["edge_mask"]}, lengths)
            truth[own] = fields["edge_mask"][0].reshape(-1) > 0.5
    return {"edge_gt": truth} if any("edge_mask" in fields for fields in edges.values()) else {}


def _inputs(parts: Parts, rows: Rows) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Further fields that types have in one form, as arrays; of the others what was found.

    A type without the field has zeros, and is noted as `LACKING` it.
    """
    found: dict[str, np.ndarray] = {}
    left_out: dict[str, str] = {}
    names = [name for fields in parts.values() for name in fields if name not in KNOWN]
    for name in dict.fromkeys(names):
        held = {part: fields[name] for part, fields in parts.items() if name in fields}
        forms = {(kind, array.shape[1:], array.ndim) for array, kind in held.values()}
        sized = all(array.ndim and len(array) == rows[part] for part, (array, _) in held.items())
        flaws = [defect(*field) for field in held.values()]
        if len(forms) == 1 and sized and not any(flaws):
            like = next(iter(held.values()))[0]
            found[name] = np.concatenate(
                [
                    held[part][0] if part in held else np.zeros((size, *like.shape[1:]), like.dtype)
                    for part, size in rows.items()
                ]
            )
            left_out |= {f"{part}.{name}": LACKING for part in rows if part not in held}
            continue
        for (part, (array, kind)), flaw in zip(held.items(), flaws):
            left_out[f"{part}.{name}"] = f"{kind} {list(array.shape)}{flaw or ''}"
    return found, left_out


def _described(data: HeteroData, nodes: Parts, edges: Parts) -> dict[str, str]:
    """The fields that are no numbers, and those of the whole graph."""
    found: dict[str, str] = {}
    for name, fields in nodes.items():
        found |= {f"{name}.{key}": what for key, what in unusable(data[name], fields).items()}
    for edge_type, (name, fields) in zip(data.edge_types, edges.items()):
        found |= {f"{name}.{key}": what for key, what in unusable(data[edge_type], fields).items()}
    return found | unusable(data._global_store, {})


# -- and back ------------------------------------------------------------------------------------


def _held(graph: Graph, part: str, fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fields that a type has."""
    lacking = {name for name in fields if graph.left_out.get(f"{part}.{name}") == LACKING}
    return {name: array for name, array in fields.items() if name not in lacking}


def _node_fields(graph: Graph, own: slice) -> dict[str, np.ndarray]:
    """The fields of the nodes of one type."""
    fields = {"x": graph.x[own]}
    if graph.y is not None and (graph.y[own] != UNKNOWN_CLASS).any():
        fields["y"] = graph.y[own]
    if graph.split is not None and (graph.split[own] != "").any():
        fields |= {f"{name}_mask": graph.split[own] == name for name in SPLITS}
    return fields | {name: array[own] for name, array in graph.node_inputs.items()}


def _edge_fields(graph: Graph, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of the edges of one type, without their ends."""
    arrays = {
        "edge_weight": graph.edge_weight,
        "edge_attr": graph.edge_attr,
        "edge_mask": graph.edge_truth,
        **graph.edge_inputs,
    }
    return {name: array[chosen] for name, array in arrays.items() if array is not None}


def _fill(store: Any, fields: Mapping[str, np.ndarray], forms: Mapping[str, str]) -> None:
    """Put fields into one of the stores of a `HeteroData`, in the form that a model is given."""
    for name, array in fields.items():
        tensor = torch.from_numpy(np.array(array))
        kind, _, shape = forms.get(name, "").partition(" ")
        tensor = tensor.to(torch.bfloat16) if kind == "bfloat16" else tensor
        store[name] = tensor[:, 0] if shape == "[]" and tensor.ndim == 2 else tensor
