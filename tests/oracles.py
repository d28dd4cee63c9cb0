"""Slow twins: obviously right, one candidate at a time, on the full graph."""

import copy
from itertools import product

import numpy as np
import torch


def plain_probabilities(module, graph, keep=None):
    """Class probabilities [N, C] of a plain forward pass on the graph's edges `keep` [E] bool."""
    keep = np.ones(graph.num_edges, bool) if keep is None else keep
    extra = {}
    if graph.edge_weight is not None:
        extra["edge_weight"] = torch.tensor(graph.edge_weight[keep])
    if graph.edge_attr is not None:
        extra["edge_attr"] = torch.tensor(graph.edge_attr[keep])
    module = copy.deepcopy(module).eval()
    with torch.no_grad():
        out = module(
            torch.tensor(graph.x), torch.tensor(graph.edge_index[:, keep]), **extra
        ).double()
    return (
        out.softmax(1) if out.shape[1] > 1 else torch.cat([1 - out.sigmoid(), out.sigmoid()], 1)
    ).numpy()


def measure(module, graph, target, edges):
    """(fdl+, fdl-, factual, counterfactual, margin) of the subgraph with edge positions `edges` [2, m]."""
    chosen = set(zip(*np.asarray(edges).tolist()))
    inside = np.array([(u, v) in chosen for u, v in graph.edge_index.T.tolist()], bool).reshape(-1)
    loops = graph.edge_index[0] == graph.edge_index[1]
    full, kept, removed = (
        plain_probabilities(module, graph, keep)[target] for keep in (None, inside | loops, ~inside)
    )
    c = int(full.argmax())
    margin = min(np.diff(np.sort(p)[-2:])[0] for p in (kept, removed))
    return (
        full[c] - removed[c],
        full[c] - kept[c],
        kept.argmax() == c,
        removed.argmax() != c,
        margin,
    )


def hops_by_definition(graph, target):
    """Hop of every node: the least number of edges on a path to the target, by brute relaxation."""
    hop = {target: 0}
    while True:
        more = {u: hop[v] + 1 for u, v in graph.edge_index.T.tolist() if v in hop and u not in hop}
        if not more:
            return hop
        hop.update(
            {
                u: min(hop[v] + 1 for a, v in graph.edge_index.T.tolist() if a == u and v in hop)
                for u in more
            }
        )


def units_by_definition(graph, target, hops, directed):
    """{unit: hop} by the definition: hop of an edge = 1 + hop of its head, a pair: 1 + the smaller of its ends."""
    node_hop, far = hops_by_definition(graph, target), 10**6
    units = {}
    for u, v in graph.edge_index.T.tolist():
        if u != v:
            unit = (u, v) if directed else tuple(sorted((u, v)))
            ends = (
                [node_hop.get(v, far)] if directed else [node_hop.get(u, far), node_hop.get(v, far)]
            )
            units[unit] = min(units.get(unit, far), 1 + min(ends))
    return {unit: hop for unit, hop in units.items() if hop <= hops}


def connected_subsets(ends, num_units):
    """All non-empty sets of units that are connected and contain node 0, as bool rows."""
    rows = []
    for bits in product([False, True], repeat=num_units):
        nodes, left = {0}, [i for i in range(num_units) if bits[i]]
        while near := [i for i in left if ends[0][i] in nodes or ends[1][i] in nodes]:
            nodes |= {int(end[i]) for end in ends for i in near}
            left = [i for i in left if i not in near]
        if any(bits) and not left:
            rows.append(bits)
    return np.array(rows, bool)
