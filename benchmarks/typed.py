"""How many candidates of a heterogeneous graph are verified per CPU second, against one forward pass at a time?

A generated bank: 20,000 accounts, 2,000 merchants and 100,000 payments, each with its mirror. CPU time from candidates'
bits to scores, in the batches that onion peeling and edge growing really ask for, replayed warm on loaded fields; the
naive verifier runs three forward passes on the whole graph for each candidate. Beside it: the disjoint backend.
Registration is timed, too.

    OMP_NUM_THREADS=1 python benchmarks/typed.py [--quick] [--only HGT] [--json]
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import (
    GATConv,
    GraphConv,
    HeteroConv,
    HGTConv,
    RGCNConv,
    SAGEConv,
    to_hetero,
)
from torch_geometric.transforms import ToUndirected
from verifier import MEMORY, NAMES, Asked, record

from sxq.execution.verifier import Request, Verifier
from sxq.inference.choose import open_backend
from sxq.inference.registration import register
from sxq.models.hetero_data import typed_graph
from sxq.models.model import Model
from sxq.scoring.measures import MEASURES, MeasureBatch, evaluate
from sxq.scoring.question import Question

ACCOUNTS, MERCHANTS, PAYMENTS = 20_000, 2_000, 100_000
WIDTHS = {"account": 16, "merchant": 8}
HIDDEN = 16
ROUNDS = 3  # replays; the median counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few targets and a small budget")
    parser.add_argument("--only", metavar="NAME", help="models whose name has this in it")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    data = bank()
    graph = typed_graph(data)
    heads = graph.edge_index[1][graph.edge_index[1] < ACCOUNTS]
    rng = np.random.default_rng(0)
    targets = rng.choice(np.unique(heads), 2 if options.quick else 8, replace=False).tolist()
    rows = {}
    for name, make in MODELS.items():
        if options.only and options.only not in name:
            continue
        rows[name] = compare(name, make, data, graph, targets, 300 if options.quick else 2000)
    if options.json:
        print(json.dumps(rows))


def bank(seed: int = 0) -> HeteroData:
    """Accounts pay merchants, of which a few are large."""
    generator = torch.Generator().manual_seed(seed)
    data = HeteroData()
    data["account"].x = torch.randn(ACCOUNTS, WIDTHS["account"], generator=generator)
    data["merchant"].x = torch.randn(MERCHANTS, WIDTHS["merchant"], generator=generator)
    payers = torch.randint(0, ACCOUNTS, (PAYMENTS,), generator=generator)
    share = torch.rand(PAYMENTS, generator=generator) ** 1.5
    data["account", "pays", "merchant"].edge_index = torch.stack(
        [payers, (share * MERCHANTS).long()]
    )
    return ToUndirected()(data)


class Sage(nn.Module):
    """For `to_hetero`."""

    def __init__(self) -> None:
        super().__init__()
        self.a = SAGEConv((-1, -1), HIDDEN)
        self.b = SAGEConv((-1, -1), 2)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.b(self.a(x, edge_index).relu(), edge_index)


class ByType(nn.Module):
    """Two `HeteroConv` and a linear map."""

    def __init__(self, edge_types: list, make: Callable) -> None:
        super().__init__()
        self.a = HeteroConv({name: make() for name in edge_types})
        self.b = HeteroConv({name: make() for name in edge_types})
        self.out = nn.Linear(HIDDEN, 2)

    def forward(self, x_dict: dict, edge_index_dict: dict) -> Tensor:
        x = {name: own.relu() for name, own in self.a(x_dict, edge_index_dict).items()}
        return self.out(self.b(x, edge_index_dict)["account"])


class Transformer(nn.Module):
    """Two `HGTConv` behind a linear map for each type."""

    def __init__(self, data: HeteroData) -> None:
        super().__init__()
        self.maps = nn.ModuleDict({name: nn.Linear(w, HIDDEN) for name, w in WIDTHS.items()})
        self.a = HGTConv(HIDDEN, HIDDEN, data.metadata(), heads=2)
        self.b = HGTConv(HIDDEN, HIDDEN, data.metadata(), heads=2)
        self.out = nn.Linear(HIDDEN, 2)

    def forward(self, x_dict: dict, edge_index_dict: dict) -> Tensor:
        x = {name: self.maps[name](own).relu() for name, own in x_dict.items()}
        x = self.b(self.a(x, edge_index_dict), edge_index_dict)
        return self.out(x["account"])


class Relational(nn.Module):
    """Two `RGCNConv` on one table, whose rows are padded to the widest type."""

    def __init__(self) -> None:
        super().__init__()
        self.a = RGCNConv(max(WIDTHS.values()), HIDDEN, 2)
        self.b = RGCNConv(HIDDEN, 2, 2)

    def forward(self, x: Tensor, edge_index: Tensor, edge_type: Tensor) -> Tensor:
        return self.b(self.a(x, edge_index, edge_type).relu(), edge_index, edge_type)


def _attention() -> nn.Module:
    return GATConv((-1, -1), HIDDEN, add_self_loops=False)


def _graph_conv() -> nn.Module:
    return GraphConv((-1, -1), HIDDEN)


MODELS: dict[str, Callable[[HeteroData], nn.Module]] = {
    "to_hetero SAGE": lambda data: to_hetero(Sage(), data.metadata()),
    "HeteroConv GraphConv": lambda data: ByType(data.edge_types, _graph_conv),
    "HeteroConv GAT": lambda data: ByType(data.edge_types, _attention),
    "HGT": Transformer,
    "RGCN": lambda data: Relational(),
}


def compare(name: str, make: Callable, data: HeteroData, graph, targets: list, budget: int) -> dict:
    """What a candidate costs in every way, printed and returned."""
    torch.manual_seed(0)
    module = make(data).eval()
    call = called_with(module, data, graph)
    started = time.process_time()
    model = register(module, graph, output="logits", node_type="account")
    registering = time.process_time() - started
    rounds = record(graph, model, targets, budget)
    own = seconds(graph, model, rounds)
    slow = seconds(
        graph,
        replace(model, backend="disjoint"),
        [[Asked(a.field, a.bits[:4]) for a in one] for one in rounds[:: -(-len(rounds) // 5)]],
    )
    naive = naively(call, graph, [one[0] for one in rounds[:: -(-len(rounds) // 4)]])
    edges = int(np.median([len(asked.field.edges) for one in rounds for asked in one]))
    print(
        f"{name:<21} {model.backend}: {1 / own:>8,.0f}/s, {naive / own:>7,.0f} times the naive verifier "
        f"({1 / naive:,.1f}/s), {slow / own:>5.1f} times disjoint ({1 / slow:,.0f}/s); "
        f"fields of {edges:,} edges; registered in {registering:.1f} s {model.reason}"
    )
    return {
        "backend": model.backend,
        "ratio": naive / own,
        "ratio_disjoint": slow / own,
        "registering": registering,
    }


def called_with(module: nn.Module, data: HeteroData, graph) -> Callable[[np.ndarray], Tensor]:
    """The module on the graph with some of its edges [E] bool, as a user would write it."""
    if not isinstance(module, Relational):
        with torch.no_grad():  # gives lazy layers their sizes
            module(data.x_dict, data.edge_index_dict)
        kinds = list(data.edge_types)

        def by_type(keep: np.ndarray) -> Tensor:
            chosen = {
                kind: own[:, torch.from_numpy(keep[graph.types.of_edge == number])]
                for number, (kind, own) in enumerate(zip(kinds, data.edge_index_dict.values()))
            }
            found = module(data.x_dict, chosen)
            return found["account"] if isinstance(found, dict) else found

        return by_type
    x, ends, types = map(torch.tensor, (graph.x, graph.edge_index, graph.types.of_edge))

    def of_one_table(keep: np.ndarray) -> Tensor:
        chosen = torch.from_numpy(keep)
        return module(x, ends[:, chosen], types[chosen])

    return of_one_table


@torch.inference_mode()
def naively(call: Callable[[np.ndarray], Tensor], graph, asked: list[Asked]) -> float:
    """CPU seconds of a candidate that takes three forward passes on the whole graph."""
    everything = np.ones(graph.num_edges, bool)
    call(everything).softmax(1)
    started = time.process_time()
    for one in asked:
        inside = np.isin(np.arange(graph.num_edges), one.field.edges_of(one.bits[0]))
        for keep in (everything, inside, ~inside):
            call(keep).softmax(1)
    return (time.process_time() - started) / len(asked)


def seconds(graph, model: Model, rounds: list[list[Asked]]) -> float:
    """CPU seconds of a candidate, from bits to scores, warm: the median of some replays."""
    backend = open_backend(model.backend, model)
    fields = {id(asked.field): asked.field for one in rounds for asked in one}
    loaded = {key: backend.load(graph, field) for key, field in fields.items()}
    verifier = Verifier(model, backend, MEMORY)
    measures = [MEASURES[name] for name in NAMES]
    found = []
    for _ in range(ROUNDS + 1):
        started = time.process_time()
        for one in rounds:
            requests = [
                Request(
                    loaded[id(asked.field)],
                    asked.bits,
                    Question(column=int(model.full[asked.field.target].argmax())),
                )
                for asked in one
            ]
            for asked, verdict in zip(one, verifier.verify(requests)):
                given = MeasureBatch(
                    asked.field, asked.bits, 1.0, 0.0, verdict.p_kept, verdict.p_removed
                )
                evaluate(measures, given)
        found.append(time.process_time() - started)
    return float(np.median(found[1:])) / sum(len(a.bits) for one in rounds for a in one)


if __name__ == "__main__":
    main()
