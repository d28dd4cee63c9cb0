"""The next version of a graph against the same graph made anew: after any changes, the same content."""

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from sxq.errors import GraphError
from sxq.graph.collection import GraphSet
from sxq.graph.csr import Graph
from sxq.graph.next_collection import with_graphs, without_graphs
from sxq.graph.next_version import changed, meant
from sxq.graph.readers import TableReading, from_tables
from sxq.graph.typed_readers import from_typed_tables, with_reverse_types

PAYS, SENDS = ("account", "pays", "shop"), ("account", "sends", "account")
NODE_NAMES = {"account": ["id", "age", "risk", "city", "label"], "shop": ["id", "size"]}
EDGE_NAMES = {
    PAYS: ["u", "v", "weight", "amount", "tip"],
    SENDS: ["u", "v", "weight", "day", "amount"],
}


class Tables:
    """The rows that a graph with types was made from, and those of its next versions."""

    def __init__(self, rng, once=False):
        self.rng = rng
        self.once = once  # no two edges join the same nodes, in either direction
        self.made = 0
        self.nodes = {kind: [self.node(kind) for _ in range(5)] for kind in NODE_NAMES}
        self.edges = {kind: [] for kind in EDGE_NAMES}
        for kind in EDGE_NAMES:
            for _ in range(6):
                self.edges[kind].append(self.edge(kind))

    def node(self, kind):
        self.made += 1
        key = f"n{self.made}"
        age, risk = self.rng.integers(0, 9, 2).tolist()
        return (key, age, risk, f"c{age}", age % 2) if kind == "account" else (key, risk)

    def edge(self, kind):
        known = {frozenset(row[:2]) for row in self.edges[kind]} if self.once else set()
        for _ in range(50):
            ends = [
                self.nodes[end][self.rng.integers(len(self.nodes[end]))][0] for end in kind[::2]
            ]
            if frozenset(ends) not in known:
                break
        else:
            reject()
        a, b = self.rng.integers(1, 4, 2).tolist()
        return (*ends, 1.0, a, b) if kind == PAYS else (*ends, 2.0, f"day {a}", b)

    def graph(self, undirected=False, scale=False):
        graph = from_typed_tables(
            [(kind, (NODE_NAMES[kind], rows)) for kind, rows in self.nodes.items()],
            [(kind, (EDGE_NAMES[kind], rows)) for kind, rows in self.edges.items()],
            TableReading(encode=scale, scale=scale),
        )
        return with_reverse_types(graph) if undirected else graph

    def change(self, what, kind, count):
        """Change the rows, and return those of the statement."""
        rows = (self.nodes if isinstance(kind, str) else self.edges)[kind]
        if what == "ADD NODES":
            new = [self.node(kind) for _ in range(count)]
            rows += new
            return NODE_NAMES[kind], new
        if what == "ADD EDGES":
            for _ in range(count):
                rows.append(self.edge(kind))
            return EDGE_NAMES[kind], rows[len(rows) - count :]
        some = self.rng.permutation(len(rows))[: min(count, len(rows) - 1)].tolist()
        if what == "REMOVE NODES":
            gone = [rows[i][0] for i in some]
            self.nodes[kind] = [row for row in rows if row[0] not in gone]
            for own, edges in self.edges.items():
                sides = [side for side, end in enumerate(own[::2]) if end == kind]
                self.edges[own] = [e for e in edges if not {e[side] for side in sides} & {*gone}]
            return ["id"], [(key,) for key in gone]
        gone = [rows[i][:2] for i in some]
        self.edges[kind] = [row for row in rows if row[:2] not in gone]
        return ["u", "v"], gone


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["ADD NODES", "REMOVE NODES", "ADD EDGES", "REMOVE EDGES"]),
        st.integers(0, 1),
        st.integers(0, 3),
    ),
    max_size=6,
)


def applied(tables, graph, changes, undirected=False):
    for what, number, count in changes:
        kind = list(NODE_NAMES if what.endswith("NODES") else EDGE_NAMES)[number]
        table = tables.change(what, kind, count)
        graph = changed(graph, what, table, meant(graph, what, kind), pairs=undirected)
    return graph


@given(seed=st.integers(0, 2**32), changes=CHANGES)
def test_a_graph_with_types_is_the_one_made_anew(seed, changes):
    tables = Tables(np.random.default_rng(seed))
    graph = applied(tables, tables.graph(), changes)
    if all(map(len, tables.edges.values())):  # made anew, a type without edges has no columns
        assert graph.content_hash == tables.graph().content_hash


def multiset(graph):
    held = [graph.edge_weight, *graph.edge_attr.T]
    names = [[graph.name(node) for node in row] for row in graph.edge_index.tolist()]
    kinds = [graph.types.edge_types[kind] for kind in graph.types.of_edge]
    return sorted(map(repr, zip(*names, kinds, *(column.tolist() for column in held))))


@given(seed=st.integers(0, 2**32), changes=CHANGES)
def test_an_undirected_one_too(seed, changes):
    """No two edges join the same nodes: made anew, u -> v and v -> u with equal values are one pair."""
    tables = Tables(np.random.default_rng(seed), once=True)
    graph = applied(tables, tables.graph(undirected=True), changes, True)
    assert graph.undirected
    if all(map(len, tables.edges.values())):
        anew = tables.graph(undirected=True)
        assert multiset(graph) == multiset(anew)
        assert (graph.x == anew.x).all() and graph.keys == anew.keys


@given(seed=st.integers(0, 2**32), changes=CHANGES)
def test_forth_and_back_is_the_same_graph(seed, changes):
    tables = Tables(np.random.default_rng(seed))
    graph = tables.graph(undirected=bool(seed % 2), scale=bool(seed % 3))
    after = graph
    back = []
    for what, number, count in changes:
        if what.startswith("REMOVE") or not count:
            continue
        kind = list(NODE_NAMES if what == "ADD NODES" else EDGE_NAMES)[number]
        before = [list(rows) for rows in tables.edges.values()]
        names, rows = tables.change(what, kind, count)
        if what == "ADD NODES":
            back.append(("REMOVE NODES", kind, ["id"], [(row[0],) for row in rows]))
        else:
            known = {row[:2] for row in before[number]} | {row[1::-1] for row in before[number]}
            if known & {row[:2] for row in rows}:
                return  # REMOVE EDGES would take those that were there, too
            back.append(("REMOVE EDGES", kind, ["u", "v"], [row[:2] for row in rows]))
        after = changed(after, what, (names, rows), kind)
    for what, kind, names, rows in reversed(back):
        after = changed(after, what, (names, rows), kind)
    assert after.content_hash == graph.content_hash


@given(seed=st.integers(0, 2**32), changes=CHANGES)
def test_a_graph_without_types_is_the_one_made_anew(seed, changes):
    tables = Tables(np.random.default_rng(seed))
    tables.edges[PAYS] = []

    def anew():
        own = tables.nodes["account"], tables.edges[SENDS]
        return from_tables((NODE_NAMES["account"], own[0]), (EDGE_NAMES[SENDS], own[1]))

    graph = anew()
    for what, _, count in changes:
        kind = "account" if what.endswith("NODES") else SENDS
        graph = changed(graph, what, tables.change(what, kind, count), pairs=False)
    if tables.edges[SENDS]:
        assert graph.content_hash == anew().content_hash


def test_positions_that_are_keys_stay_positions():
    graph = Graph([[0, 1, 2], [1, 2, 3]], np.eye(4))
    fewer = changed(graph, "REMOVE NODES", (["id"], [(3,), (2,), (3,)]))
    assert fewer.num_nodes == 2 and fewer.edge_index.tolist() == [[0], [1]]
    with pytest.raises(
        GraphError, match="1 row of REMOVE NODES has a key that is not 2 to 3, such as 1"
    ):
        changed(graph, "REMOVE NODES", (["id"], [(1,), (3,)]))
    with pytest.raises(GraphError, match="no node of the graph, such as 9 in row 1, NULL in row 2"):
        changed(graph, "REMOVE NODES", (["id"], [(9,), (None,)]))
    with pytest.raises(GraphError, match="names every node, of which one must stay"):
        changed(graph, "REMOVE NODES", (["id"], [(i,) for i in range(4)]))
    with pytest.raises(GraphError, match=r"2 columns \(id, age\), expected one"):
        changed(graph, "REMOVE NODES", (["id", "age"], [(3, 4)]))


@given(
    seed=st.integers(0, 2**32),
    changes=st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=6),
)
def test_a_collection_is_the_one_made_anew(seed, changes):
    rng = np.random.default_rng(seed)

    def drawn():
        count = int(rng.integers(1, 5))
        edges = rng.integers(0, count, (2, int(rng.integers(1, 6))))
        return Graph(
            edges, rng.normal(size=(count, 2)), edge_attr=rng.normal(size=(edges.shape[1], 1))
        )

    members = {f"g{number}": drawn() for number in range(3)}
    graphs = GraphSet.join(list(members.values()), y=[1, 2, 3], keys=list(members))
    for number, (adds, count) in enumerate(changes):
        if adds:
            new = {f"n{number} {place}": drawn() for place in range(count)}
            graphs = with_graphs(graphs, GraphSet.join(list(new.values())), list(new))
            members |= new
        else:
            gone = rng.permutation(list(members))[: min(count, len(members) - 1)].tolist()
            graphs = without_graphs(graphs, gone)
            members = {key: graph for key, graph in members.items() if key not in gone}
    y = [int(key[1]) + 1 if key[0] == "g" else -1 for key in members]
    anew = GraphSet.join(list(members.values()), y=y, keys=list(members))
    assert graphs.content_hash == anew.content_hash
