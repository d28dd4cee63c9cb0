"""Are stored values exact for random models on random graphs? EXPLAIN, then AUDIT, on random triples.

A triple is a model, a graph and a target. Graphs are directed or not, with weights, attributes, parallel
edges and loops at random. The table has, for each kind of model, the largest difference between a stored
value and a plain forward pass over the whole graph, and the number of findings.

    python benchmarks/audit_random.py --triples 1000 --seed 0
"""

import argparse
import itertools
import time
from collections import Counter, defaultdict

import numpy as np
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import (
    GATConv,
    GCNConv,
    GINConv,
    GraphConv,
    JumpingKnowledge,
    SAGEConv,
    TransformerConv,
    global_add_pool,
    global_mean_pool,
)

import sxq

FEATURES = 4
ATTRIBUTES = 2
CLASSES = 3
TARGETS = 5  # of each graph and model
KINDS = ("gcn", "gat", "sage", "gin", "graphconv", "transformer", "jumping", "graphs")
ALL = "OPTIMIZE fdl+, fdl-, conc TOP 5 BUDGET 40 CANDIDATES"


class Stack(nn.Module):
    """Layers of one kind, with relu between; `pool` makes it a classifier of graphs."""

    def __init__(self, kind: str, depth: int, width: int, attributed: bool):
        super().__init__()
        self.kind = kind
        sizes = [
            FEATURES,
            *[width] * (depth - 1),
            width if kind in ("jumping", "graphs") else CLASSES,
        ]
        self.layers = nn.ModuleList(
            layer(kind, inputs, outputs, attributed) for inputs, outputs in zip(sizes, sizes[1:])
        )
        self.jump = JumpingKnowledge("cat") if kind == "jumping" else None
        self.last = nn.Linear(width * (depth if kind == "jumping" else 1), CLASSES)

    def embed(self, x, edge_index, *edges, **named):
        """The outputs of all layers."""
        outputs = []
        for number, conv in enumerate(self.layers):
            x = conv(x, edge_index, *edges, **named)
            x = x.relu() if number < len(self.layers) - 1 else x
            outputs.append(x)
        return outputs


class Plain(Stack):
    """x and edge_index to logits."""

    def forward(self, x, edge_index):
        outputs = self.embed(x, edge_index)
        return self.last(self.jump(outputs)) if self.jump else outputs[-1]


class Weighted(Stack):
    """With edge weights."""

    def forward(self, x, edge_index, edge_weight=None):
        return self.embed(x, edge_index, edge_weight)[-1]


class Attributed(Stack):
    """With edge attributes."""

    def forward(self, x, edge_index, edge_attr=None):
        return self.embed(x, edge_index, edge_attr=edge_attr)[-1]


class Pooling(Stack):
    """A classifier of graphs."""

    def forward(self, x, edge_index, batch):
        pool = global_add_pool if len(self.layers) % 2 else global_mean_pool
        return self.last(pool(self.embed(x, edge_index)[-1].relu(), batch))


def layer(kind: str, inputs: int, outputs: int, attributed: bool) -> nn.Module:
    """One layer of a kind."""
    width = {"edge_dim": ATTRIBUTES} if attributed else {}
    match kind:
        case "gat":
            return GATConv(inputs, outputs, heads=2, concat=False, **width)
        case "transformer":
            return TransformerConv(inputs, outputs, heads=2, concat=False, **width)
        case "gin":
            inner = nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))
            return GINConv(inner)
        case "sage" | "jumping":
            return SAGEConv(inputs, outputs)
        case "graphconv":
            return GraphConv(inputs, outputs, aggr="add")
    return GCNConv(inputs, outputs)


def random_graph(rng: np.random.Generator, kind: str, attributed: bool) -> Data:
    """Random edges; at random pairs in both directions, parallels, loops, weights, attributes."""
    nodes = int(rng.integers(6, 20 if kind == "graphs" else 60))
    ends = rng.integers(0, nodes, (2, int(rng.integers(nodes, 2 * nodes))))
    loops = rng.random() < 0.5
    ends = ends if loops else ends[:, ends[0] != ends[1]]
    if rng.random() < 0.3:  # parallel edges
        ends = np.concatenate([ends, ends[:, : int(rng.integers(1, 4))]], axis=1)
    weight = rng.random(ends.shape[1]).astype(np.float32) + 0.1
    attr = rng.normal(size=(ends.shape[1], ATTRIBUTES)).astype(np.float32)
    if rng.random() < 0.6:  # undirected
        ends = np.concatenate([ends, ends[::-1]], axis=1)
        weight = np.tile(weight, 2)
        attr = np.tile(attr, (2, 1))
    data = Data(
        x=torch.from_numpy(rng.normal(size=(nodes, FEATURES)).astype(np.float32)),
        edge_index=torch.from_numpy(np.ascontiguousarray(ends)),
    )
    if kind in ("gcn", "graphconv") and rng.random() < 0.5:
        data.edge_weight = torch.from_numpy(weight)
    if attributed:
        data.edge_attr = torch.from_numpy(attr)
    return data


def random_model(rng: np.random.Generator, kind: str, data: Data, attributed: bool) -> nn.Module:
    """A model of a kind that takes what the graph has, with random weights."""
    torch.manual_seed(int(rng.integers(2**31)))
    shape = kind, int(rng.integers(1, 4)), int(rng.integers(2, 17)), attributed
    if kind == "graphs":
        return Pooling(*shape).eval()
    if "edge_weight" in data:
        return Weighted(*shape).eval()
    return (Attributed if attributed else Plain)(*shape).eval()


def audited(rng: np.random.Generator, kind: str) -> tuple[int, float, list[str]]:
    """The triples of one random graph and model: their number, largest difference and findings."""
    attributed = kind in ("gat", "transformer") and rng.random() < 0.5
    data = random_graph(rng, kind, attributed)
    with sxq.connect() as con:
        if kind == "graphs":
            con.register_graphs("g", [data, *(random_graph(rng, kind, False) for _ in range(4))])
            con.register_model("m", random_model(rng, kind, data, False), graphs="g")
            con.execute(f"EXPLAIN GRAPHS 0, 1, 2, 3, 4 USING MODEL m {ALL}")
        else:
            con.register_graph("g", data)
            con.register_model("m", random_model(rng, kind, data, attributed), "g")
            targets = rng.choice(data.num_nodes, TARGETS, replace=False).tolist()
            con.execute(f"EXPLAIN NODES ? USING MODEL m {ALL}", [targets])
        found = con.execute("AUDIT")
    worst = max((row[4] for row in found if row[4] is not None), default=0.0)
    return found.targets, worst, [row[-1] for row in found if not row[-1].startswith("ok")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="stop after so long")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(given.seed)
    triples: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    worst: dict[str, float] = defaultdict(float)
    findings: dict[str, list[str]] = defaultdict(list)
    start = time.perf_counter()
    for kind in itertools.cycle(KINDS):
        late = time.perf_counter() - start > 60 * given.minutes
        if late or triples.total() >= given.triples:
            break
        try:
            number, difference, wrong = audited(rng, kind)
        except sxq.Error as error:
            refused[kind] += 1
            print(f"{kind} refused: {type(error).__name__}: {error}"[:300])
            continue
        triples[kind] += number
        worst[kind] = max(worst[kind], difference)
        findings[kind] += wrong
    print(f"{'model':12} triples  largest difference  findings  refused")
    for kind in KINDS:
        print(
            f"{kind:12} {triples[kind]:7} {worst[kind]:19.1e} {len(findings[kind]):9}"
            f" {refused[kind]:8}"
        )
    for kind, wrong in findings.items():
        for words in wrong[:5]:
            print(f"{kind}: {words}")
    total = sum(map(len, findings.values()))
    print(f"{triples.total()} triples in {time.perf_counter() - start:.0f} s, {total} findings")


if __name__ == "__main__":
    main()
