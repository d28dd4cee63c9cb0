"""PyG's data as graphs: one `Data` or `HeteroData`, or several in a list, a Batch, a data set or a DataLoader.

Every field is kept as a model would be given it: its type, and whether it has one number or several
for a node or an edge. numpy arrays, lists of numbers, pandas tables and sparse matrices count as
tensors. Fields that sxq does not know become further inputs of models, by name. What cannot be
given to a model is remembered (`Graph.left_out`), so that a model that takes it is refused.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler
from torch_geometric.data import Batch, Data, HeteroData

from sxq.errors import DataError, Error, GraphError
from sxq.graph import Graph, GraphSet
from sxq.graph.csr import edge_ends
from sxq.graph.disk import ArrayColumns, column_bytes
from sxq.graph.readers import UNKNOWN_CLASS, from_arrays
from sxq.models.hetero_data import of_one_order, typed_graph
from sxq.models.pyg_fields import (
    GIVEN,
    KNOWN,
    column_of_ones,
    defect,
    described,
    judge_y,
    read_array,
    read_fields,
    read_label,
    unusable,
)


def graph_from_data(data: Any) -> Graph:
    """A copy of a PyG graph; `data` is not changed, and keys are positions.

    Without x, the features are one column of ones; `feature_names`, a list of text, names its
    columns. y is used if it is one class for each node (integers, or floats with integral values);
    of masks [n, splits] the first split is used. A `HeteroData` is read by `typed_graph`. Raises
    DataError for what is not one graph, GraphError for fields that are no graph.
    """
    data = _single(data)
    if isinstance(data, HeteroData):
        return typed_graph(data)
    fields = read_fields(data)
    if "edge_index" not in fields:
        raise GraphError(
            f"the data has no edge_index [2, E]; found {', '.join(data.keys()) or 'nothing'}"
        )
    num_nodes = _num_nodes(data, fields)
    if "x" not in fields:
        fields["x"] = column_of_ones(num_nodes), "float32"
    forms = _forms(fields)
    arrays = {name: array for name, (array, _) in fields.items() if name in KNOWN}
    left_out = judge_y(arrays, len(arrays["x"])) | unusable(data, fields)
    truth = arrays.pop("edge_mask", None)
    if truth is not None and truth.size == arrays["edge_index"].shape[-1]:
        arrays["edge_gt"] = truth.reshape(-1) > 0.5  # PyG's name for the truth of a generated graph
    graph = from_arrays(_as_floats(arrays, forms))
    inputs, others = _levels(fields, graph)
    of_whole, inputs["node_inputs"] = _with_whole(fields, others, inputs["node_inputs"], num_nodes)
    return Graph(
        **{
            **graph.columns(),
            **{name: arrays[name] for name in forms},
            **inputs,
            "forms": forms | of_whole,
            "left_out": left_out
            | {name: what for name, what in others.items() if name not in of_whole},
            "feature_names": data.get("feature_names"),
        }
    )


def plain_arrays(data: Any, most: int | None) -> ArrayColumns | None:
    """The arrays of a `Data` as they are, without a copy, where nothing about them has to be found out.

    That is x [n, d] of float32, integral edge_index, and perhaps y of integers and edge_weight or edge_attr of float32.
    None for anything else, and for data of less than `most` bytes.
    """
    if not isinstance(data, Data) or not {"x", "edge_index"} <= set(data.keys()) <= set(_PLAIN):
        return None
    given: dict[str, Any] = {name: data[name] for name in data.keys()}
    for name, tensor in given.items():
        kinds, ndim = _PLAIN[name]
        if not isinstance(tensor, Tensor) or tensor.dtype not in kinds or tensor.ndim != ndim:
            return None
        if tensor.is_nested or tensor.layout is not torch.strided:
            return None
        if tensor.device.type != "cpu" or tensor.is_conj():
            return None
    if "y" in given and (len(given["y"]) != len(given["x"]) or bool((given["y"] < 0).any())):
        return None
    columns = ArrayColumns({name: tensor.detach().numpy() for name, tensor in given.items()})
    return columns if most is None or column_bytes(columns.columns()) > most else None


NUMBERS = (
    "face",
    "root",
    "roots",
)  # fields that number nodes, besides those with "index" in their names
_PLAIN = {  # a field -> its types, and the number of its dimensions
    "x": ((torch.float32,), 2),
    "edge_index": ((torch.int64, torch.int32), 2),
    "y": ((torch.int64,), 1),
    "edge_weight": ((torch.float32,), 1),
    "edge_attr": ((torch.float32,), 2),
}


def graphs_from_data(dataset: Any) -> GraphSet:
    """A copy of several PyG graphs, each with its class `y` if it has one.

    dataset  a sequence of `Data` or of `HeteroData`, a data set, a Batch, a DataLoader, or one `Data`

    Raises DataError or GraphError, whose message names the graph that is wrong.
    """
    graphs = []
    classes = []
    for number, data in enumerate(of_one_order(members(dataset))):
        try:
            graphs.append(graph_from_data(data))
        except (DataError, GraphError) as error:
            raise type(error)(f"graph {number}: {error}") from None
        classes.append(_class_of(data))
    if not any(graph.y is not None and graph.num_nodes > 1 for graph in graphs):
        graphs = list(map(_without_node_classes, graphs))
    return GraphSet.join(graphs, y=classes if any(label >= 0 for label in classes) else None)


def _without_node_classes(graph: Graph) -> Graph:
    """The graph without y: of a single node, the class of the graph looks like one of nodes."""
    return graph if graph.y is None else Graph(**{**graph.columns(), "y": None})


def members(dataset: Any) -> list[Any]:
    """The single graphs in a container of graphs, in its order; raises DataError."""
    if isinstance(dataset, Data):
        return _parts(dataset)
    if isinstance(dataset, DataLoader):
        return _of_loader(dataset)
    if isinstance(dataset, HeteroData):
        return dataset.to_data_list() if isinstance(dataset, Batch) else [dataset]
    if isinstance(dataset, str | Mapping) or not isinstance(dataset, Iterable | Sequence):
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise DataError(
                f"expected graphs (a list of torch_geometric.data.Data or HeteroData, a Batch, a data "
                f"set or a DataLoader), found {type(dataset).__name__}"
            )
    if isinstance(dataset, str | Mapping):
        raise DataError(f"expected graphs, found {type(dataset).__name__}")
    try:
        found = list(dataset) if isinstance(dataset, Iterable) else _by_number(dataset)
    except Error:
        raise
    except Exception as error:  # a data set is the user's code
        raise DataError(
            f"reading {type(dataset).__name__} failed: {type(error).__name__}: {error}"
        ) from error
    return [
        part
        for data in found
        for part in (_parts_of_batch(data) if isinstance(data, Batch) else [data])
    ]


def _parts_of_batch(data: Any) -> list[Any]:
    return data.to_data_list() if isinstance(data, HeteroData) else _parts(data)


def _by_number(dataset: Any) -> list[Any]:
    return [dataset[number] for number in range(len(dataset))]


def _of_loader(loader: DataLoader) -> list[Any]:
    """The graphs of a DataLoader, in the order of its data set if it yields all of them."""
    if not hasattr(loader.dataset, "__getitem__") or hasattr(loader, "node_sampler"):
        raise DataError(
            f"{type(loader).__name__} gives sampled parts of one graph; register the graph itself"
        )
    if isinstance(loader.sampler, SequentialSampler | RandomSampler) and not isinstance(
        loader.dataset, range
    ):
        return members(loader.dataset)
    if type(loader).__name__ != "DataLoader" and isinstance(loader.dataset, range):
        raise DataError(
            f"{type(loader).__name__} gives sampled parts of one graph; register the graph itself"
        )
    return members(list(loader))


def _parts(data: Data) -> list[Data]:
    """The graphs of a Batch, or of a `Data` whose `batch` numbers several; else the data itself."""
    if isinstance(data, Batch) and hasattr(data, "_slice_dict"):
        return data.to_data_list()
    if _num_graphs(data) < 2:
        return [data]
    return split_by_graph(data, data.batch)


def split_by_graph(data: Data, owner: Any) -> list[Data]:
    """The parts of a `Data` by the number of each node's graph, `owner` [n]; raises GraphError."""
    if data.get("edge_index") is None:
        raise GraphError("the data has batch and no edge_index [2, E], which tells a graph's edges")
    owner = _owners(owner)
    ends = _ends(data, len(owner))
    of_edge = owner[ends[0]]
    if (of_edge != owner[ends[1]]).any():
        raise GraphError("batch: an edge joins nodes of two graphs")
    count = int(owner.max()) + 1 if len(owner) else 0
    fields = {
        name: _tensor(data[name])
        for name in data.keys()
        if name not in ("edge_index", "batch", "ptr", "num_nodes")
    }
    parts = []
    for number in range(count):
        nodes = owner == number
        edges = of_edge == number
        renumber = nodes.cumsum(0) - 1
        part = Data(edge_index=renumber[ends[:, edges]], num_nodes=int(nodes.sum()))
        for name, value in fields.items():
            part[name] = _rows_of_part(name, value, nodes, edges, torch.arange(count) == number)
        parts.append(part)
    return parts


def _rows_of_part(name: str, value: Any, nodes: Tensor, edges: Tensor, graphs: Tensor) -> Any:
    """A field of one graph of several: of its nodes [n], its edges [e] or itself [count], all bool."""
    order = [nodes, edges, graphs]
    if "edge" in name:  # there may be as many edges as nodes
        order = [edges, nodes, graphs]
    kept = next((keep for keep in order if _has_rows(value, len(keep))), None)
    return value if kept is None else value[kept.to(value.device)]


def _tensor(value: Any) -> Any:
    """A field as a tensor that can be cut into rows; what is no numbers stays as it is."""
    if isinstance(value, Tensor) and value.layout is torch.strided:
        return value
    found = read_array(value)
    return value if found is None else torch.from_numpy(np.array(found[0]))


def _has_rows(value: Any, count: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and len(value) == count


def _owners(batch: Any) -> Tensor:
    """The number [n] of each node's graph; raises GraphError for what is no such numbers."""
    found = read_array(batch)
    if found is None:
        raise GraphError(f"batch is {described(batch)}, expected the number of each node's graph")
    values = np.asarray(found[0])
    if values.ndim != 1:
        raise GraphError(
            f"batch has shape {list(values.shape)}, expected [n], a number for each node"
        )
    bad = np.flatnonzero((values < 0) | (values != np.floor(values)) | (values >= len(values)))
    if len(bad):
        raise GraphError(
            f"batch is {values[bad[0]]} for node {bad[0]}, expected the number of its graph, from 0"
        )
    return torch.from_numpy(values.astype(np.int64))


def _ends(data: Data, num_nodes: int) -> Tensor:
    """The ends [2, e] of the edges of a `Data` with this many numbers in batch; raises GraphError."""
    found = read_array(data.get("x")) if data.get("x") is not None else None
    if found is not None and found[0].ndim and len(found[0]) != num_nodes:
        raise GraphError(
            f"batch has {num_nodes} values, expected one for each of {len(found[0])} nodes"
        )
    edges = read_array(data.edge_index)
    if edges is None:
        raise GraphError(f"edge_index is {described(data.edge_index)}, expected integers [2, E]")
    return torch.from_numpy(edge_ends(edges[0], num_nodes))


def _num_graphs(data: Data) -> int:
    """The number of graphs in a Batch, or by the `batch` of a `Data`; 1 without."""
    if isinstance(data, Batch) and hasattr(data, "_num_graphs"):
        return int(data.num_graphs)
    batch = data.get("batch")
    owner = torch.empty(0) if batch is None else _owners(batch)
    return int(owner.max()) + 1 if len(owner) else 1


def _single(data: Any) -> Data | HeteroData:
    """One `Data` or `HeteroData`, also as the only one of a container; raises DataError, GraphError."""
    if not isinstance(data, Data) and not isinstance(data, str | Mapping | HeteroData):
        if hasattr(data, "__len__") and hasattr(data, "__getitem__") and len(data) == 1:
            data = data[0]
        elif hasattr(data, "__len__") and hasattr(data, "__getitem__") and len(data):
            if isinstance(data[0], Data | HeteroData):
                raise DataError(
                    f"expected one torch_geometric.data.Data, found {type(data).__name__} of "
                    f"{len(data)} graphs; register_graphs takes them as targets of a model of "
                    f"graphs; as one graph give one of them, such as data[0]"
                )
    if isinstance(data, HeteroData):
        return data
    if not isinstance(data, Data):
        raise DataError(
            f"expected a torch_geometric.data.Data or HeteroData, found {type(data).__name__}"
        )
    if isinstance(data, Batch) and hasattr(data, "_slice_dict") and _num_graphs(data) == 1:
        return data.to_data_list()[0]
    if (count := _num_graphs(data)) > 1:
        raise GraphError(
            f"the data is a batch of {count} graphs, and may mean two things: {count} targets of a "
            f"model of graphs, which register_graphs takes (sxq.explain without node=), or one "
            f"graph with the nodes of all: Data(x=batch.x, edge_index=batch.edge_index, ...) without "
            f"`batch` and `ptr`"
        )
    return data


def _num_nodes(data: Data, fields: Mapping[str, tuple[np.ndarray, str]]) -> int:
    if isinstance(count := data._store.get("num_nodes"), int):
        return count
    with warnings.catch_warnings():
        # PyG says that it infers the number, and torch that arrays may be read-only
        warnings.simplefilter("ignore")
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(array))
            for name, (array, _) in fields.items()
            if array.ndim
        }
        return Data(**tensors).num_nodes or 0


def _forms(fields: Mapping[str, tuple[np.ndarray, str]]) -> dict[str, str]:
    """The forms of x, edge_weight and edge_attr where they are not float32 of the usual shape."""
    forms = {}
    for name, usual in zip(GIVEN, (2, 1, 2)):
        if name in fields:
            array, kind = fields[name]
            if kind != "float32" or array.ndim != usual:
                forms[name] = f"{kind} {list(array.shape[1:])}"
    return forms


def _as_floats(arrays: dict[str, np.ndarray], forms: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The arrays as `from_arrays` checks them."""
    return {
        name: array.astype(np.float64) if name in forms else array for name, array in arrays.items()
    }


def _levels(
    fields: Mapping[str, tuple[np.ndarray, str]], graph: Graph
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, str]]:
    """Further fields with a row for each node or each edge, and the others as descriptions."""
    inputs: dict[str, dict[str, np.ndarray]] = {"node_inputs": {}, "edge_inputs": {}}
    others = {}
    for name, (array, kind) in fields.items():
        if name in KNOWN:
            continue
        of_edges = array.ndim > 0 and len(array) == graph.num_edges
        of_nodes = array.ndim > 0 and len(array) == graph.num_nodes
        flaw = defect(array, kind)
        if flaw is not None or not (of_edges or of_nodes):
            others[name] = f"{kind} {list(array.shape)}{flaw or ''}"
        elif of_edges and ("edge" in name or not of_nodes):
            inputs["edge_inputs"][name] = array
        else:
            inputs["node_inputs"][name] = array
    return inputs, others


def _with_whole(
    fields: Mapping[str, tuple[np.ndarray, str]],
    others: Mapping[str, str],
    inputs: Mapping[str, np.ndarray],
    num_nodes: int,
) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Forms of the fields that the graph has once, and inputs of nodes with these, a copy for each node.

    That are fields of one row or one number, as PyG puts the graphs of a batch together; but no numbers of nodes, which
    PyG knows by their names.
    """
    forms = {}
    held = dict(inputs)
    for name in others:
        array, kind = fields[name]
        once = array.ndim == 0 or len(array) == 1
        if not once or defect(array, kind) is not None or "index" in name or name in NUMBERS:
            continue
        forms[name] = f"{kind} {list(array.shape)}"
        held[name] = np.repeat(array.reshape(1, *array.shape[1:]), num_nodes, axis=0)
    return forms, held


def _class_of(data: Any) -> int:
    """The class of a graph if its `y` is one whole number, otherwise UNKNOWN_CLASS."""
    y = data._global_store.get("y") if isinstance(data, HeteroData) else data.get("y")
    found = read_label(y)
    if found is None or found[0].size != 1:
        return UNKNOWN_CLASS
    value = float(found[0].reshape(()))
    if not np.isfinite(value) or value != int(value):
        return UNKNOWN_CLASS
    return max(int(value), UNKNOWN_CLASS)
