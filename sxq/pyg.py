"""sxq and PyG: explanations as `torch_geometric.data.Data`, and sxq where PyG expects an explainer."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric import explain as pyg
from torch_geometric.data import Data, HeteroData

from sxq.connection import Connection
from sxq.errors import InvalidValue, ModelError
from sxq.session import engine
from sxq.values.explanation import Explanation
from sxq.values.result import Result

# PyG's names of a model's outputs, and sxq's.
OUTPUTS = {"raw": "logits", "log_probs": "log_probs", "probs": "probs"}


def to_data(explanation: Explanation) -> Data | HeteroData:
    """The subgraph as a `Data` with its nodes renumbered 0 .. n-1.

    edge_index [2, m] has the new numbers, `nodes` [n] the positions in the whole graph. x [n, d], y [n],
    edge_weight [m] and edge_attr [m, D] are there where the graph has them; parallel edges each have their own row.
    `target` is the new number of the explained node, or the key of the explained graph. Of a heterogeneous graph it is a
    `HeteroData`, where numbers, `nodes` and `target` are within the type `target_type`, which a graph target has not.
    Of a link, `target` is the numbers of both ends, and `target_type` its edge type.
    """
    if explanation.graph.types is not None:
        return _typed_data(explanation)
    nodes = torch.from_numpy(explanation.nodes.copy())
    renumber = {position: number for number, position in enumerate(explanation.nodes.tolist())}
    graph = explanation.graph
    edges = explanation.edge_numbers
    local = [[renumber[position] for position in row] for row in explanation.edge_index.tolist()]
    roots = [renumber[graph.position(key)] for key in explanation.roots]
    target = roots if explanation.kind == "link" else roots[0] if roots else explanation.target
    data = Data(
        edge_index=torch.tensor(local, dtype=torch.long).reshape(2, -1), nodes=nodes, target=target
    )
    data.x = torch.from_numpy(graph.features(explanation.nodes))
    if graph.y is not None:
        data.y = torch.from_numpy(graph.y[explanation.nodes])
    if graph.edge_weight is not None:
        data.edge_weight = torch.from_numpy(graph.edge_weight[edges])
    if graph.edge_attr is not None:
        data.edge_attr = torch.from_numpy(graph.edge_attr[edges])
    return data


def _typed_data(explanation: Explanation) -> HeteroData:
    """The subgraph of a heterogeneous graph."""
    graph = explanation.graph
    data = engine.models().hetero_part(graph, explanation.nodes, explanation.edge_numbers)
    if explanation.kind == "graph":
        data.target = explanation.target
        return data
    if explanation.kind == "link":
        data.target_type = explanation.target.edge_type
        data.target = [_within(data, explanation, key)[1] for key in explanation.roots]
        return data
    data.target_type, data.target = _within(data, explanation, explanation.target)
    return data


def _within(data: HeteroData, explanation: Explanation, key: Any) -> tuple[str, int]:
    """The type of a node by its key, and its number within the type in `data`."""
    graph = explanation.graph
    types = graph.types
    assert types is not None, "the graph is heterogeneous"
    place = graph.position(key)
    name = types.node_types[types.of_node[place]]
    own = place - types.starts[types.number_of(name)]
    return name, int(np.searchsorted(data[name].nodes.numpy(), own))


class SkylineExplanation(pyg.Explanation):
    """PyG's `Explanation` with `skyline`, a list of `sxq.Explanation`, and `result`, the `Result`."""

    def __repr__(self) -> str:
        shown = copy.copy(self)
        if "result" in shown:
            del shown.result  # a table: too much for one line among tensors' shapes
        return super(SkylineExplanation, shown).__repr__()


class SkylineHeteroExplanation(pyg.HeteroExplanation):
    """PyG's `HeteroExplanation` with `skyline` and `result`, as of `SkylineExplanation`."""

    def __repr__(self) -> str:
        shown = copy.copy(self)
        for name in ("result", "skyline"):
            if name in shown._global_store:
                del shown._global_store[name]
        return super(SkylineHeteroExplanation, shown).__repr__()


class SkylineExplainer(pyg.ExplainerAlgorithm):
    """sxq as an algorithm of `torch_geometric.explain.Explainer`, for nodes and graphs, and for every mode.

        Explainer(model, SkylineExplainer(), explanation_type="model", edge_mask_type="object", model_config=...)

    With explanation_type "phenomenon", `target=` holds the class to explain, which need not be the predicted one. A
    binary model of several columns is one of several labels: the most probable one is explained. Of a regression it is
    the first number.

    The edge mask is one member of the skyline, 1 for its edges (or their worth, if `soft`) and 0 elsewhere. With
    node_mask_type="object" and no edge mask, nodes are explained (OVER NODES), and the node mask [N, 1] is 1 for those of
    the member; with "common_attributes", features (OVER FEATURES), and the node mask is [1, d].
    `explanation.skyline` has all members, a list of `sxq.Explanation` (a list, because PyG slices tensors by edges), and
    `explanation.result` is the `Result`.

    optimize  measures, by name
    by        the generators as in BY, such as "onion, growing"; "" is the engine's choice
    k, epsilon, budget, seed   TOP, EPSILON, BUDGET and SEED of the query
    choose    the mask is the member with the best score of this measure; by default the recommended one
    soft      the mask is 1/2 to 1 for the member's edges, by their worth
    node_type of a heterogeneous model, whose nodes are explained, where its output does not tell

    A heterogeneous model is given dictionaries by type, as by PyG, and its nodes are explained by edges: the answer is a
    `HeteroExplanation` with an edge mask for each edge type.

    Further arguments, such as edge_type, need a row for each node or each edge, or one for the graph. Of a batch, `index`
    is the graph; without it all are explained, and the mask has a member of each.

    Raises InvalidValue for an index of several targets and for arguments that cannot be passed on, ModelError where
    no subgraph explains the target.
    """

    def __init__(
        self,
        optimize: Sequence[str] = ("fdl+", "fdl-", "conc"),
        by: str = "",
        k: int = 10,
        epsilon: float = 0.1,
        budget: int | None = None,
        *,
        seed: int = 0,
        choose: str | None = None,
        soft: bool = False,
        node_type: str | None = None,
    ):
        super().__init__()
        self.node_type = node_type
        if choose is not None and choose not in optimize:
            raise InvalidValue(
                f"choose = {choose!r}; expected one of the measures optimised: {', '.join(optimize)}"
            )
        self.optimize = tuple(optimize)
        self.by = by
        self.k = k
        self.epsilon = epsilon
        self.budget = budget
        self.seed = seed
        self.choose = choose
        self.soft = soft

    def supports(self) -> bool:
        """Whether the task is about nodes or graphs, with one mask that OVER knows; numbers have no class to choose."""
        config = self.explainer_config
        model = self.model_config
        return (
            (config.explanation_type.value == "model" or model.mode.value != "regression")
            and _over(config) is not None
            and model.task_level.value in ("node", "graph")
        )

    def forward(
        self,
        model: torch.nn.Module,
        x: Any,
        edge_index: Any,
        *,
        target: Tensor,
        index: int | Tensor | None = None,
        **given: Any,
    ) -> SkylineExplanation | SkylineHeteroExplanation:
        """The skyline of node `index`, or of the graph, as a PyG `Explanation`."""
        if isinstance(x, Mapping):
            return self._of_types(model, x, edge_index, index, {"target": target} | given)
        skyline, edges, nodes = self._explain(
            model, x, edge_index, index, {"target": target} | given
        )
        if not len(skyline):
            raise ModelError(f"nothing explains the target: {skyline.targets[0].note}")
        over = _over(self.explainer_config)
        if over != "edges":
            return self._by_units(skyline, x, nodes)
        mask = torch.zeros(edge_index.shape[1], device=x.device)
        for place, report in enumerate(skyline.targets):
            members = [member for member in skyline if member.target == report.target]
            if members:
                chosen = max(members, key=self._worth)
                own = torch.from_numpy(chosen.edge_numbers.copy()).to(x.device)
                mask[edges[place][own]] = self._values(chosen).to(x.device)
        return _whole(SkylineExplanation(edge_mask=mask), skyline)

    def _of_types(
        self, model, x: Mapping, edge_index: Mapping, index, given: dict[str, Any]
    ) -> SkylineHeteroExplanation:
        """The skyline of a node of a heterogeneous graph."""
        if self.model_config.task_level.value != "node" or _over(self.explainer_config) != "edges":
            raise InvalidValue(
                "of a heterogeneous model sxq explains nodes by edges here: say task_level='node' and "
                "edge_mask_type='object' without node_mask_type; con.execute explains graphs, and OVER "
                "NODES or FEATURES"
            )
        target = given.pop("target")
        data = _typed(x, edge_index, given)
        task = _task(self.model_config.mode.value, target, len(torch.as_tensor(target)))
        output = None if task == "regression" else OUTPUTS[self.model_config.return_type.value]
        quoted = (self.node_type or "").replace('"', '""')
        of_type = f' OF TYPE "{quoted}"' if quoted else ""
        with Connection() as con:
            con.register_graph("data", data)
            con.register_model(
                "model", model, "data", output=output, task=task, node_type=self.node_type
            )
            chosen = self._chosen(target, None, index)
            skyline = con.query(self._query(f"NODE {_one(index)}{of_type}", chosen, ""))
        if not len(skyline):
            raise ModelError(f"nothing explains the target: {skyline.targets[0].note}")
        best = max(skyline, key=self._worth)
        of_edge = best.graph.types.of_edge
        mask = torch.zeros(len(of_edge))
        mask[torch.from_numpy(best.edge_numbers.copy())] = self._values(best)
        found = SkylineHeteroExplanation()
        for number, (kind, ends) in enumerate(edge_index.items()):
            found[kind].edge_mask = mask[torch.from_numpy(of_edge == number)].to(ends.device)
        found.skyline = list(skyline)
        found.result = skyline
        return found

    def _query(self, asked: str, chosen: str, units: str) -> str:
        """The statement for a target."""
        by = f" BY {self.by}" if self.by else ""
        budget = f" BUDGET {self.budget} CANDIDATES" if self.budget else ""
        return (
            f"EXPLAIN {asked} USING MODEL model{chosen}{units} OPTIMIZE {', '.join(self.optimize)}{by}"
            f" TOP {self.k} EPSILON {self.epsilon}{budget} SEED {self.seed}"
        )

    def _by_units(self, skyline: Result, x: Tensor, nodes: list[Tensor]) -> SkylineExplanation:
        """The explanation whose mask is of nodes [N, 1], or of features [1, d]."""
        features = skyline.over == "features"
        mask = torch.zeros(1, x.shape[1]) if features else torch.zeros(x.shape[0], 1)
        for place, report in enumerate(skyline.targets):
            members = [member for member in skyline if member.target == report.target]
            if members:
                chosen = max(members, key=self._worth)
                values = self._values(chosen)
                if features:
                    own = torch.from_numpy(chosen.features)
                    mask[0, own] = torch.maximum(mask[0, own], values)
                else:
                    graph = chosen.graph
                    mask[nodes[place][[graph.position(key) for key in chosen.units]], 0] = values
        return _whole(SkylineExplanation(node_mask=mask.to(x.device)), skyline)

    def _explain(
        self, model, x: Tensor, edge_index: Tensor, index, given: dict[str, Any]
    ) -> tuple[Result, list[Tensor], list[Tensor]]:
        """The result, and the numbers of the edges and of the nodes of each graph that is explained."""
        whole = self.model_config.task_level.value == "graph"
        data = Data(x=x, edge_index=edge_index)
        owner = given.pop("batch", None)
        target = given.pop("target")
        count = int(owner.max()) + 1 if whole and owner is not None and len(owner) else 1
        for name, value in given.items():
            data[name] = _passed_on(name, value, data, count)
        edges = [torch.arange(edge_index.shape[1], device=edge_index.device)]
        nodes = [torch.arange(x.shape[0])]
        graphs = [data]
        numbers = _which(index, owner) if whole else []
        if numbers:
            parts = engine.models().split_by_graph(data, owner)
            graphs = [parts[number] for number in numbers]
            nodes = [nodes[0][owner.cpu() == number] for number in numbers]
            edges = [edges[0][owner[edge_index[0]] == number] for number in numbers]
        mode = self.model_config.mode.value
        rows = x.shape[0] if not whole else 1 if owner is None else int(owner.max()) + 1
        task = _task(mode, target, rows)
        output = None if task == "regression" else OUTPUTS[self.model_config.return_type.value]
        chosen = self._chosen(target, numbers if whole else None, index)
        with Connection() as con:
            if whole:
                con.register_graphs("data", graphs)
                con.register_model("model", model, graphs="data", output=output, task=task)
            else:
                con.register_graph("data", data)
                con.register_model("model", model, "data", output=output, task=task)
            several = f"GRAPHS {', '.join(map(str, range(len(graphs))))}"
            asked = (several if len(graphs) > 1 else "GRAPH 0") if whole else f"NODE {_one(index)}"
            over = _over(self.explainer_config)
            units = "" if over == "edges" else f" OVER {over}"
            return con.query(self._query(asked, chosen, units)), edges, nodes

    def _chosen(self, target: Tensor, numbers: list[int] | None, index) -> str:
        """The clause FOR CLASS of a phenomenon; `numbers` are the graphs that are explained."""
        if self.explainer_config.explanation_type.value == "model":
            return ""
        classes = torch.as_tensor(target)
        if classes.ndim > 1 and classes.shape[-1] == 1:
            classes = classes.squeeze(-1)
        if classes.ndim > 1:
            raise InvalidValue(
                f"target has shape {list(target.shape)}; expected one class for each node or graph"
            )
        rows = [_one(index)] if numbers is None else numbers or [0]
        named = {int(classes.reshape(-1)[row if classes.numel() > 1 else 0]) for row in rows}
        if len(named) > 1:
            raise InvalidValue(
                f"target names the classes {', '.join(map(str, sorted(named)))}; explain graphs of one class "
                f"at a time, by index="
            )
        return f" FOR CLASS {named.pop()}"

    def _worth(self, member: Explanation) -> float:
        return member.scores[self.choose] if self.choose else float(member.recommended)

    def _values(self, member: Explanation) -> Tensor:
        """The mask of a member's edges, nodes or features: 1, or between 1/2 and 1 by their worth."""
        share = np.ones(len(member.edges if member.over == "edges" else member.units))
        if self.soft and member.worth is not None:
            share = 0.5 + 0.5 * member.worth.share
        return torch.tensor(share, dtype=torch.float32)


def _typed(x: Mapping, edge_index: Mapping, given: Mapping[str, Any]) -> HeteroData:
    """The data of dictionaries by type; raises InvalidValue for other arguments."""
    data = HeteroData()
    for name, by_type in {"x": x, "edge_index": edge_index, **given}.items():
        if not isinstance(by_type, Mapping):
            raise InvalidValue(
                f"{name} is a {type(by_type).__name__}, and cannot be passed on: sxq cuts the graph, and "
                f"passes dictionaries by type; fix {name} in a module that wraps the model"
            )
        for kind, value in by_type.items():
            data[kind][name.removesuffix("_dict")] = value
    return data


def _over(config: Any) -> str | None:
    """The units that PyG's types of masks ask for; None where there are none such."""
    types = config.node_mask_type, config.edge_mask_type
    node, edge = (None if one is None else one.value for one in types)
    if node is None and edge is not None:
        return "edges"
    if edge is not None:
        return None
    return {"object": "nodes", "common_attributes": "features"}.get(str(node))


def _whole(found: SkylineExplanation, skyline: Result) -> SkylineExplanation:
    found.skyline = list(skyline)
    found.result = skyline
    return found


def _task(mode: str, target: Tensor, rows: int) -> str | None:
    """sxq's task for a mode of PyG, where several columns of a binary model are labels; PyG joins their rows."""
    if mode == "regression":
        return "regression"
    columns = target.numel() // max(rows, 1) if torch.is_tensor(target) else 1
    return "multilabel" if mode == "binary_classification" and columns > 1 else None


def _passed_on(name: str, value: Any, data: Data, graphs: int) -> Any:
    """An argument of the model that is cut along with the graph, or that each of some graphs has once.

    Raises InvalidValue for others.
    """
    rows = {data.num_nodes, data.edge_index.shape[1], graphs}
    if value is None or isinstance(value, Tensor) and value.ndim and len(value) in rows:
        return value
    if isinstance(value, Tensor) and not value.ndim and graphs == 1:
        return value
    found = f"{list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    raise InvalidValue(
        f"{name} is {found}, and cannot be passed on: sxq cuts the graph, and passes tensors with a row "
        f"for each of {data.num_nodes} nodes or {data.edge_index.shape[1]} edges, or a row for each of "
        f"{graphs} graphs; fix {name} in a module that wraps the model"
    )


def _which(index: int | Tensor | None, owner: Tensor | None) -> list[int]:
    """The graphs of a batch to explain, all without `index`; none if there is no batch. Raises InvalidValue."""
    count = 1 if owner is None or not len(owner) else int(owner.max()) + 1
    number = _one(index, 0)
    if number >= count:
        raise InvalidValue(f"index = {number}; the batch holds graphs 0 to {count - 1}")
    if count == 1:
        return []
    return list(range(count)) if index is None else [number]


def _one(index: int | Tensor | None, default: int | None = None) -> int:
    """The number of the one target; `default` where none is given."""
    if index is None and default is not None:
        return default
    numbers = torch.as_tensor(-1 if index is None else index).reshape(-1).tolist()
    if len(numbers) != 1 or numbers[0] < 0:
        raise InvalidValue(f"index = {index}; expected the number of one target")
    return int(numbers[0])
