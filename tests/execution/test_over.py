"""OVER NODES and OVER FEATURES: values of plain forward passes on the graph that was really changed, and all candidates."""

import copy
import json
import re
from itertools import combinations

import duckdb
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.explain import Explainer

import sxq
import sxq.pyg
from sxq.errors import DataError, InvalidValue, NodeNotFound
from sxq.graph import extract, over_features, over_nodes, whole
from sxq.inference.choose import open_backend
from sxq.inference.edge_gradients import EdgeGradients
from sxq.inference.registration import register
from sxq.scoring.question import Question
from tests.graphs import make, random_graph
from tests.pooled_models import Pools

EVERY = "OPTIMIZE fdl+, fdl-, conc TOP 6 BUDGET 120 CANDIDATES"
KINDS = ("gcn", "sage", "gat", "gin")


def some_graph(undirected=True, nodes=14):
    return random_graph(np.random.default_rng(3), nodes, 18, undirected)


def as_data(graph):
    return Data(x=torch.tensor(graph.x), edge_index=torch.tensor(graph.edge_index))


def p_of(module, x, edges, whole=False, target=None):
    """Class probabilities of one forward pass."""
    batch = [torch.zeros(len(x), dtype=torch.long)] if whole else []
    with torch.no_grad():
        out = copy.deepcopy(module).eval()(torch.tensor(x), torch.tensor(edges), *batch).double()
    return out.softmax(1)[0 if whole else target].numpy()


def near_nodes(graph, target, hops):
    """The nodes whose messages can reach the target, by walking backwards."""
    near = {target}
    for _ in range(hops):
        near |= {u for u, v in graph.edge_index.T.tolist() if v in near}
    return sorted(near)


def cut_nodes(graph, own, target=None):
    """(x, edges) of G_s and of G \\ G_s, for nodes `own` of a target, or of a graph."""
    there = set(own) | ({target} if target is not None else set())
    kept, left = [], []
    for u, v in graph.edge_index.T.tolist():
        if u == v or {u, v} <= there:
            kept.append((u, v))
        if u == v or not {u, v} & set(own):
            left.append((u, v))
    x = graph.x
    if target is None:
        nodes = sorted(own)
        number = {node: i for i, node in enumerate(nodes)}
        kept = [(number[u], number[v]) for u, v in kept if {u, v} <= there]
        x = x[nodes]
    sides = (x, kept), (graph.x, left)
    return [(side, np.array(edges, np.int64).reshape(-1, 2).T) for side, edges in sides]


def cut_features(graph, own, near, baseline, varying):
    """The same for columns of x, changed on all nodes that are near."""
    sides = []
    for removed in (set(varying) - set(own), own):
        x = graph.x.copy()
        for column in removed:
            mean = np.float32(graph.x[near, column].astype(np.float64).mean())
            x[near, column] = mean if baseline == "mean" else 0
        sides.append((x, graph.edge_index))
    return sides


def assert_exact(e, module, graph, sides, full, whole=False):
    kept, removed = (p_of(module, x, edges, whole, e_target(e, whole)) for x, edges in sides)
    c = int(full.argmax())
    assert abs(e.raw["fdl+"] - (full[c] - removed[c])) < 1e-5
    assert abs(e.raw["fdl-"] - (full[c] - kept[c])) < 1e-5
    margin = min(np.diff(np.sort(p)[-2:])[0] for p in (kept, removed))
    if margin > 1e-4:
        assert (e.factual, e.counterfactual) == (kept.argmax() == c, removed.argmax() != c)


def e_target(e, whole):
    return None if whole else e.target


def opened(con, graph, module):
    con.register_graph("g", as_data(graph))
    con.register_model("m", module, "g")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inference", ["auto", "disjoint"])
def test_nodes_of_a_node(kind, inference):
    graph = some_graph(undirected=kind in ("gcn", "gat"))
    module = make(kind, layers=2)
    with sxq.connect() as con:
        opened(con, graph, module)
        con.execute(f"SET sxq_inference = '{inference}'")
        found = con.execute(
            f"EXPLAIN NODES 0, 2, 4 USING MODEL m OVER NODES {EVERY} BY search, onion"
        )
        assert len(found) > 2
        for e in found:
            full = p_of(module, graph.x, graph.edge_index, target=e.target)
            assert e.size == len(e.units) == len(set(e.units))
            assert set(e.nodes.tolist()) == {e.target, *e.units}
            assert_exact(e, module, graph, cut_nodes(graph, e.units, e.target), full)
        assert con.execute("AUDIT").findings == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("baseline", ["zero", "mean"])
@pytest.mark.parametrize("inference", ["auto", "disjoint"])
def test_features_of_a_node(kind, baseline, inference):
    graph = some_graph(undirected=kind != "gin")
    module = make(kind, layers=2)
    with sxq.connect() as con:
        opened(con, graph, module)
        con.execute(f"SET sxq_inference = '{inference}'; SET sxq_baseline = '{baseline}'")
        text = f"EXPLAIN NODES 1, 4 USING MODEL m OVER FEATURES {EVERY} BY search, exhaustive"
        assert inference == "disjoint" or "backend layered" in str(con.execute(f"PLAN {text}"))
        found = con.execute(text)
        assert len(found) > 2
        for e in found:
            full = p_of(module, graph.x, graph.edge_index, target=e.target)
            near = near_nodes(graph, e.target, 2)
            sides = cut_features(graph, e.features.tolist(), near, baseline, range(5))
            assert_exact(e, module, graph, sides, full)
            assert np.allclose(e.values, graph.x[e.target, e.features])
        assert con.execute("AUDIT").findings == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gcn", "gat", "gin"])
@pytest.mark.parametrize("inference", ["auto", "disjoint"])
@pytest.mark.parametrize("over", ["NODES", "FEATURES"])
def test_units_of_a_graph(kind, inference, over):
    graphs = [random_graph(np.random.default_rng(seed), 9, 9) for seed in range(2)]
    module = Pools(kind)
    with sxq.connect() as con:
        con.register_graphs("gs", [as_data(graph) for graph in graphs])
        con.register_model("m", module, graphs="gs")
        con.execute(f"SET sxq_inference = '{inference}'")
        found = con.execute(f"EXPLAIN GRAPHS 0, 1 USING MODEL m OVER {over} {EVERY}")
        assert {e.target for e in found} == {0, 1}
        for e in found:
            graph = graphs[e.target]
            full = p_of(module, graph.x, graph.edge_index, whole=True)
            if over == "NODES":
                sides = cut_nodes(graph, e.units)
            else:
                every = range(graph.num_nodes)
                sides = cut_features(graph, e.features.tolist(), every, "zero", range(5))
            assert_exact(e, module, graph, sides, full, whole=True)
        assert con.execute("AUDIT").findings == 0


@pytest.mark.parametrize("anywhere", [False, True])
def test_exhaustive_verifies_exactly_the_connected_sets_of_nodes(anywhere):
    """The slow twin: every set of nodes, and those that edges join to the target."""
    graph = random_graph(np.random.default_rng(7), 9, 7)
    module = make("gcn", layers=2)
    with sxq.connect() as con:
        opened(con, graph, module)
        con.execute("SET sxq_keep_candidates = true")
        words = "ANYWHERE" if anywhere else ""
        con.execute(
            f"EXPLAIN NODE 1 USING MODEL m OVER NODES OPTIMIZE fdl+, conc BY exhaustive {words}"
        )
        others = [node for node in near_nodes(graph, 1, 2) if node != 1]
        pairs = set(map(tuple, graph.edge_index.T.tolist()))
        joined = [
            own
            for size in range(1, len(others) + 1)
            for own in combinations(others, size)
            if anywhere or connected({1, *own}, pairs, near_nodes(graph, 1, 1))
        ]
        ((count, best),) = con.execute(
            "SELECT count(*), max(scores['fdl+']) FROM candidates"
        ).fetchall()
        assert count == len(joined)
        full = p_of(module, graph.x, graph.edge_index, target=1)
        c = int(full.argmax())
        falls = [
            full[c] - p_of(module, *cut_nodes(graph, own, 1)[1], target=1)[c] for own in joined
        ]
        assert abs(max(0.01, *falls) - best) < 2e-4  # scores are 0.01 at least


def connected(nodes, pairs, first, target=1):
    """Whether the nodes are joined to the target by edges that have an end in its first hop, or at it."""
    reached, waiting = {target}, [target]
    while waiting:
        near = waiting.pop()
        for other in nodes - reached:
            if ((near, other) in pairs or (other, near) in pairs) and {near, other} & set(first):
                reached.add(other)
                waiting.append(other)
    return reached == nodes


def test_exhaustive_verifies_every_set_of_features():
    graph = some_graph()
    module = make("sage", layers=2)
    with sxq.connect() as con:
        opened(con, graph, module)
        con.execute("SET sxq_keep_candidates = true")
        con.execute("EXPLAIN NODE 1 USING MODEL m OVER FEATURES OPTIMIZE fdl+, conc BY exhaustive")
        ((count, best),) = con.execute(
            "SELECT count(*), max(scores['fdl+']) FROM candidates"
        ).fetchall()
        assert count == 2**5 - 1
        full = p_of(module, graph.x, graph.edge_index, target=1)
        c = int(full.argmax())
        near = near_nodes(graph, 1, 2)
        falls = []
        for size in range(1, 6):
            for own in combinations(range(5), size):
                _, (x, edges) = cut_features(graph, own, near, "zero", range(5))
                falls.append(full[c] - p_of(module, x, edges, target=1)[c])
        assert abs(max(0.01, *falls) - best) < 2e-4  # scores are 0.01 at least


@pytest.mark.slow
@pytest.mark.parametrize("over", ["NODES", "FEATURES"])
@pytest.mark.parametrize("flag", ["COUNTERFACTUAL", "FACTUAL"])
def test_smallest_is_as_small_as_exhaustive_finds(over, flag):
    with sxq.connect() as con:
        opened(con, some_graph(), make("gcn", layers=2))
        asked = f"EXPLAIN NODES 1, 4 USING MODEL m OVER {over} OPTIMIZE fdl+, conc"
        smallest = con.execute(f"{asked} SMALLEST {flag}")
        every = con.execute(f"{asked} BY exhaustive WHERE {flag} BUDGET 20000 CANDIDATES")
        for one, all_ in zip(smallest.targets, every.targets):
            sizes = [e.size for e in all_.explanations]
            assert [e.size for e in one.explanations] == ([min(sizes)] if sizes else [])
            assert one.proved in (True, None)


@pytest.mark.parametrize("undirected", [True, False])
def test_connected_parts_and_frontiers_of_nodes(undirected):
    """The fast ways against the definition, on random sets of nodes."""
    rng = np.random.default_rng(0)
    graph = some_graph(undirected, 20)
    for base in (extract(graph, 0, 2, 1), whole(graph)):
        field = over_nodes(base)
        bits = rng.random((40, field.num_units)) < rng.random((40, 1))
        bits = field.component(bits)
        ends = [tuple(sorted(end)) for end in base.ends.T.tolist()]
        for own, open_ in zip(bits, field.frontiers(bits)):
            nodes = set(field.unit_nodes[own].tolist()) | ({0} if field.rooted else set())
            touching = {v for edge in ends for v in edge if nodes & set(edge)} - nodes
            if not nodes:
                touching = set(range(graph.num_nodes))
            assert set(field.unit_nodes[open_].tolist()) == touching
        assert (field.component(bits) == bits).all()


def test_units_of_features_are_the_columns_that_vary():
    graph = some_graph()
    x = graph.x.copy()
    x[:, 2] = 7
    data = Data(x=torch.tensor(x), edge_index=torch.tensor(graph.edge_index))
    with sxq.connect() as con:
        con.register_graph("g", data)
        con.register_model("m", make("gcn", layers=2), "g")
        found = con.execute(f"EXPLAIN NODE 1 USING MODEL m OVER FEATURES {EVERY}")
        assert found.targets[0].field_size == 4
        assert all(2 not in e.features for e in found)


class Blind(nn.Module):
    """A model that looks at degrees only."""

    def forward(self, x, edge_index):
        degree = torch.zeros(len(x)).index_add_(0, edge_index[1], torch.ones(edge_index.shape[1]))
        return torch.stack([degree, 3 - degree], dim=1)


CONTRADICTIONS = [
    ("FEATURES", "ANYWHERE", "any set of features is a candidate"),
    ("FEATURES", "DIVERSIFY", "features have none"),
    ("FEATURES", "EDGES DIRECTED", "only edges have directions"),
    ("NODES", "EDGES DIRECTED", "only edges have directions"),
    ("NODES", "INCLUDE 0->1", "INCLUDE names edges"),
    ("FEATURES", "EXCLUDE 0->1", "EXCLUDE names edges"),
    ("FEATURES", "BY onion", "choose of search, growing, exhaustive, moexp, random"),
    ("NODES", "BY gnnexplainer", "choose of search, onion, growing, exhaustive, moexp, random"),
    ("NODES", "BY onion ANYWHERE", "candidates are connected"),
    ("NODES", "WHERE density > 0.5", "'density'"),
]


@pytest.mark.parametrize(("over", "clause", "words"), CONTRADICTIONS)
def test_contradictions_are_errors(over, clause, words):
    with sxq.connect() as con:
        opened(con, some_graph(), make("gcn", layers=2))
        with pytest.raises(InvalidValue, match=words):
            con.execute(f"EXPLAIN NODE 1 USING MODEL m OVER {over} OPTIMIZE fdl+, conc {clause}")


def test_further_contradictions_are_errors():
    with sxq.connect() as con:
        opened(con, some_graph(), make("gcn", layers=2))
        con.register_model("blind", Blind(), "g")
        with pytest.raises(InvalidValue, match="ignores x"):
            con.execute("EXPLAIN NODE 1 USING MODEL blind OVER FEATURES OPTIMIZE fdl+, conc")
        with pytest.raises(InvalidValue, match="patterns are made of edges"):
            con.execute("EXPLAIN CLASS 0 USING MODEL m OVER NODES OPTIMIZE fdl+, conc")
        con.execute("SET sxq_answer = 'divsx'")
        with pytest.raises(InvalidValue, match="RESET sxq_answer"):
            con.execute("EXPLAIN NODE 1 USING MODEL m OVER FEATURES OPTIMIZE fdl+, conc")
        with pytest.raises(InvalidValue, match="'edges', 'nodes' or 'features'"):
            con.explain(node=1).over("paths")


@pytest.mark.slow
@pytest.mark.parametrize("over", ["NODES", "FEATURES"])
def test_other_clauses_work(over):
    """WHERE, JOINTLY, FOR CLASS, AGAINST, reported measures and shapley take the units as they are."""
    with sxq.connect() as con:
        opened(con, some_graph(), make("gcn", layers=2))
        con.execute("SET sxq_report = 'robust, minimal, stability'; SET sxq_robust_budget = 20")
        asked = f"EXPLAIN NODES 1, 4 USING MODEL m OVER {over} OPTIMIZE fdl+, conc"
        for clause in ("WHERE size <= 3", "JOINTLY", "FOR CLASS 1", "AGAINST 1"):
            found = con.execute(f"{asked} {clause} TOP 2 BUDGET 60 CANDIDATES BY moexp, search")
            assert all(e.worth is not None for e in found)
        assert con.execute(f"{asked}, shapley BUDGET 20 CANDIDATES")
        assert con.execute("AUDIT").findings == 0
        if over == "NODES":
            assert len(con.execute(f"{asked} DIVERSIFY TOP 3 BUDGET 60 CANDIDATES"))


def test_a_field_too_large_to_search_is_searched_in_part():
    graph = random_graph(np.random.default_rng(1), 60, 80, features=40)
    with sxq.connect() as con:
        opened(con, graph, make("gcn", layers=2, inputs=40))
        field = extract(graph, 0, 2, 1)
        nodes = over_nodes(field)
        few = nodes.narrowed(np.arange(5))
        assert (few.num_units, few.all_units) == (5, nodes.num_units)
        outside = ~np.isin(few.edge_index, [0, *few.unit_nodes]).any(axis=0)
        assert (few.unit[outside] < 0).all()  # the other nodes stay in G \ G_s
        features = over_features(field, graph, "zero").narrowed(np.arange(3))
        assert (features.num_units, features.all_units) == (3, 40)


@pytest.mark.slow
def test_audit_finds_what_was_changed(tmp_path):
    path = str(tmp_path / "file.duckdb")
    changes = {
        "NODES": "UPDATE explanation_nodes SET node = 12::VARIANT WHERE explanation_id = 1",
        "FEATURES": "UPDATE explanation_features SET value = value + 1 WHERE explanation_id = 1",
    }
    graph = some_graph()
    for over, change in changes.items():
        with sxq.connect(path) as con:
            opened(con, graph, make("gcn", layers=2))
            con.execute(f"EXPLAIN NODE 1 USING MODEL m OVER {over} {EVERY}")
        with duckdb.connect(path) as file:
            file.execute(f"USE sxq; {change}")
        with sxq.connect(path) as con:
            opened(con, graph, make("gcn", layers=2))
            assert con.execute("AUDIT").findings > 0
        (tmp_path / "file.duckdb").unlink()


@pytest.mark.parametrize(
    ("node_mask", "shape"), [("object", (14, 1)), ("common_attributes", (1, 5))]
)
def test_pyg_explainer_has_a_mask_of_nodes_or_features(node_mask, shape):
    graph = some_graph()
    explainer = Explainer(
        make("gcn", layers=2),
        sxq.pyg.SkylineExplainer(budget=100, soft=True),
        explanation_type="model",
        node_mask_type=node_mask,
        model_config={
            "mode": "multiclass_classification",
            "task_level": "node",
            "return_type": "raw",
        },
    )
    data = as_data(graph)
    found = explainer(data.x, data.edge_index, index=1)
    member = next(e for e in found.skyline if e.recommended)
    assert tuple(found.node_mask.shape) == shape and "edge_mask" not in found
    places = member.features if node_mask == "common_attributes" else member.units
    assert set(found.node_mask.flatten().nonzero().flatten().tolist()) == set(map(int, places))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "over", [over_nodes, lambda base: over_features(base, some_graph(), "mean")]
)
def test_estimates_are_the_same_layer_by_layer_and_on_copies(kind, over):
    graph = some_graph()
    model = register(make(kind, layers=2), graph)
    field = over(extract(graph, 1, model.hops, model.halo + 1))
    bits = np.random.default_rng(0).random((6, field.num_units)) < 0.6
    question = Question(column=0)
    fast = EdgeGradients(model, graph, field, question, open_backend("layered", model))
    slow = EdgeGradients(model, graph, field, question)
    assert fast.by_layers
    for context in (True, False):
        assert np.allclose(fast(bits, context), slow(bits, context), atol=1e-4)
    assert fast.by_layers and not slow.unavailable


@pytest.mark.slow
def test_names_of_features_come_with_data_files_and_collections(tmp_path):
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    data = Data(x=torch.eye(3), edge_index=edges, feature_names=["age", "pay", "posts"])
    sxq.save_npz(data, tmp_path / "one.npz")
    sxq.save_npz([data, data], tmp_path / "two.npz")
    path = str(tmp_path / "file.duckdb")
    with sxq.connect(path) as con:
        con.register_graph("one", data)
        con.execute(f"CREATE GRAPH again FROM FILE '{tmp_path}/one.npz'")
        con.execute(f"CREATE GRAPHS two FROM FILE '{tmp_path}/two.npz'")
        con.register_graphs("more", [data, data, data])
    with sxq.connect(path) as con:  # read from the file
        con.register_model("m", make("gcn", layers=1, inputs=3), "again")
        con.register_model("p", Pools("gcn", inputs=3), graphs="two")
        for asked in (
            "NODE 1 USING MODEL m",
            "GRAPH 0 USING MODEL p",
            "NODE 1 USING MODEL m ON GRAPH one",
        ):
            found = con.execute(f"EXPLAIN {asked} OVER FEATURES OPTIMIZE fdl+, conc BY exhaustive")
            assert {unit for e in found for unit in e.units} <= {"age", "pay", "posts"}
        assert con.execute("SELECT count(*) FROM features").fetchone() == (12,)


@pytest.mark.slow
def test_pictures_show_nodes_and_features(tmp_path):
    graph = some_graph()
    with sxq.connect() as con:
        opened(con, graph, make("gcn", layers=2))
        for over in ("nodes", "features"):
            found = (
                con.explain(node=1).using("m").optimize("fdl+", "conc").over(over).budget(60).run()
            )
            page = found.to_html(str(tmp_path / "page.html"))
            assert f'"over":"{over}"' in page and f"{over} that could matter" in page
            e = found.recommended[0]
            unit = str(e.reasons[0].unit)
            assert unit in e.draw() and unit in e._repr_html_() and unit in found._repr_html_()
            found.plot(str(tmp_path / "all.png"))
            e.plot(str(tmp_path / "one.png"))
            found.export(str(tmp_path / "found.json"))
            member = json.loads((tmp_path / "found.json").read_text())["targets"][0][
                "explanations"
            ][0]
            assert len(member[over]) == found[0].size
            assert f"over {over}" in found.summary()
        with pytest.raises(DataError, match="no edges to write"):
            found.export(str(tmp_path / "found.graphml"))


def clause(word, over, units):
    return f"{word} {over.upper()} {', '.join(map(repr, units))}" if units else ""


def admitted_nodes(graph, target, include, exclude, anywhere=False):
    """All sets of nodes that hold the first and none of the second, and are joined to the target."""
    near = [node for node in near_nodes(graph, target, 2) if node != target]
    pairs = set(map(tuple, graph.edge_index.T.tolist()))
    first = near_nodes(graph, target, 1)
    return [
        own
        for size in range(1, len(near) + 1)
        for own in combinations(near, size)
        if {*include} <= {*own} and not {*exclude} & {*own}
        if anywhere or connected({target, *own}, pairs, first, target)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("inference", ["auto", "disjoint"])
@pytest.mark.parametrize("anywhere", ["", "ANYWHERE"])
def test_nodes_that_are_included_and_excluded(inference, anywhere):
    """The slow twin: every set of nodes, measured by plain forwards."""
    graph = random_graph(np.random.default_rng(7), 9, 7)
    module = make("gcn", layers=2)
    near = [node for node in near_nodes(graph, 1, 2) if node != 1]
    full = p_of(module, graph.x, graph.edge_index, target=1)
    c = int(full.argmax())
    seen = 0
    with sxq.connect() as con:
        opened(con, graph, module)
        con.execute(f"SET sxq_inference = '{inference}'")
        asked = ((near[-1:], []), ([], near[:1]), ([], near[1:3]), (near[:1], near[-1:]))
        for include, exclude in (*asked, (near[1:3], [])):
            expected = admitted_nodes(graph, 1, include, exclude, bool(anywhere))
            text = (
                "EXPLAIN NODE 1 USING MODEL m OVER NODES OPTIMIZE fdl+, fdl-, conc BY exhaustive "
                f"{clause('INCLUDE', 'nodes', include)} {clause('EXCLUDE', 'nodes', exclude)}"
            )
            if include and not expected:
                with pytest.raises(InvalidValue, match="INCLUDE NODES"):
                    con.execute(f"{text} {anywhere}")
                continue
            found = con.execute(f"{text} {anywhere}")
            assert found.candidates == len(expected)
            measured = [cut_nodes(graph, own, 1) for own in expected]
            flags = [
                p_of(module, *kept, target=1).argmax() == c
                or p_of(module, *left, target=1).argmax() != c
                for kept, left in measured
            ]
            assert found.explanatory == sum(flags)
            for e in found:
                assert tuple(sorted(e.units)) in expected
                assert_exact(e, module, graph, cut_nodes(graph, e.units, 1), full)
                assert abs(e.raw["conc"] - (1 - e.size / len(near))) < 1e-6
            seen += len(found)
        assert seen and con.execute("AUDIT").findings == 0


@pytest.mark.slow
@pytest.mark.parametrize("inference", ["auto", "disjoint"])
@pytest.mark.parametrize("baseline", ["zero", "mean"])
@pytest.mark.parametrize("kind", ["gcn", "gat", "gin"])
def test_features_that_are_included_and_excluded(kind, inference, baseline):
    """An excluded feature is context: at its baseline in G_s, as it is in the rest."""
    graph = some_graph()
    module = make(kind, layers=2)
    full = p_of(module, graph.x, graph.edge_index, target=4)
    with sxq.connect() as con:
        opened(con, graph, module)
        con.execute(f"SET sxq_inference = '{inference}'; SET sxq_baseline = '{baseline}'")
        text = f"EXPLAIN NODE 4 USING MODEL m OVER FEATURES {EVERY} INCLUDE FEATURES 3 EXCLUDE FEATURES 'x[0]'"
        found = con.execute(f"{text} BY exhaustive, search")
        assert found.candidates == 2**3
        for e in found:
            own = e.features.tolist()
            assert 3 in own and 0 not in own
            sides = cut_features(graph, own, near_nodes(graph, 4, 2), baseline, range(5))
            assert_exact(e, module, graph, sides, full)
        assert len(found) and con.execute("AUDIT").findings == 0


@pytest.mark.slow
@pytest.mark.parametrize("over", ["nodes", "features"])
@pytest.mark.parametrize("by", ["search", "growing", "random", "moexp", "exhaustive", "onion"])
def test_every_generator_keeps_to_what_is_restricted(over, by):
    if over == "features" and by == "onion":
        return
    graph = some_graph()
    include, exclude = ([8], [5, 9]) if over == "nodes" else ([2], [1])
    with sxq.connect() as con:
        opened(con, graph, make("gcn", layers=2))
        given = f"{clause('INCLUDE', over, include)} {clause('EXCLUDE', over, exclude)}"
        text = f"EXPLAIN NODE 0 USING MODEL m OVER {over} OPTIMIZE fdl+, fdl-, conc BY {by} {given}"
        found = con.execute(f"{text} BUDGET 3000 CANDIDATES")
        assert len(found)
        for e in found:
            own = set(e.units if over == "nodes" else e.features.tolist())
            assert own >= set(include) and not own & set(exclude)
        assert con.execute("AUDIT").findings == 0
        least = con.execute(text.partition(" BY ")[0] + f" SMALLEST COUNTERFACTUAL {given}")
        every = con.execute(text.replace(f"BY {by}", "BY exhaustive WHERE counterfactual"))
        sizes = [e.size for e in every]
        assert [e.size for e in least] == ([min(sizes)] if sizes else [])


@pytest.mark.slow
def test_graphs_restrict_their_own_nodes_and_features():
    graphs = [random_graph(np.random.default_rng(seed), 9, 9) for seed in range(2)]
    module = Pools("gcn")
    with sxq.connect() as con:
        con.register_graphs("gs", [as_data(graph) for graph in graphs])
        con.register_model("m", module, graphs="gs")
        for inference in ("auto", "disjoint"):
            con.execute(f"SET sxq_inference = '{inference}'")
            for given in ("INCLUDE NODES 2 EXCLUDE NODES 4, 100", "EXCLUDE NODES 0, 1"):
                found = con.execute(f"EXPLAIN GRAPHS 0, 1 USING MODEL m OVER NODES {EVERY} {given}")
                assert {e.target for e in found} == {0, 1}
                for e in found:
                    graph = graphs[e.target]
                    full = p_of(module, graph.x, graph.edge_index, whole=True)
                    assert (2 in e.units and 4 not in e.units) or given.startswith("EXCLUDE")
                    assert given.startswith("INCLUDE") or not {0, 1} & set(e.units)
                    assert_exact(e, module, graph, cut_nodes(graph, e.units), full, whole=True)
        found = con.execute(
            f"EXPLAIN GRAPHS 0, 1 USING MODEL m OVER FEATURES {EVERY} EXCLUDE FEATURES 1"
        )
        for e in found:
            graph = graphs[e.target]
            full = p_of(module, graph.x, graph.edge_index, whole=True)
            sides = cut_features(graph, e.features.tolist(), range(9), "zero", range(5))
            assert_exact(e, module, graph, sides, full, whole=True)
        with pytest.raises(InvalidValue, match="INCLUDE NODES 100, but graph 0 has no such node"):
            con.execute(f"EXPLAIN GRAPH 0 USING MODEL m OVER NODES {EVERY} INCLUDE NODES 100")
        assert con.execute("AUDIT").findings == 0


@pytest.mark.slow
def test_audit_knows_what_is_included_and_excluded():
    with sxq.connect() as con:
        opened(con, some_graph(), make("gcn", layers=2))
        for number, (over, own) in enumerate((("nodes", 8), ("features", 2)), 1):
            text = f"EXPLAIN NODE 0 USING MODEL m OVER {over} {EVERY} INCLUDE {over} {own}"
            assert len(con.execute(text))
            assert con.execute(f"AUDIT QUERY {number}").findings == 0
            for change, words in (
                (f'"exclude": [{own}]', "EXCLUDE names it"),
                (f'"exclude": null, "include": [{own + 1}, {own - 1}]', "INCLUDE names it"),
                ('"include": "all"', "settings.include"),
            ):
                con.execute(
                    "UPDATE sxq.queries SET settings = json_merge_patch(settings, "
                    f"'{{{change}}}') WHERE query_id = {number}"
                )
                assert words in str(con.execute(f"AUDIT STRUCTURE QUERY {number}")), words


def test_units_of_clauses_come_from_a_relation_or_from_values():
    with sxq.connect() as con:
        opened(con, some_graph(), make("gcn", layers=2))
        asked = f"EXPLAIN NODE ? USING MODEL m OVER NODES {EVERY}"
        listed = con.execute(f"{asked} INCLUDE NODES 8, 4 EXCLUDE NODES 5", [0])
        bound = con.execute(f"{asked} INCLUDE NODES ?, 4 EXCLUDE NODES ?", [0, 8, [5]])
        query = con.execute(f"{asked} INCLUDE NODES ? EXCLUDE NODES (SELECT ?)", [0, [8, 4], 5])
        built = con.explain(node=0).using("m").over("nodes").optimize("fdl+", "fdl-", "conc").top(6)
        built = built.budget(120).include(8, 4, units="nodes")
        built = built.exclude(query="SELECT 5", units="nodes")
        assert listed.rows == bound.rows == query.rows == built.run().rows and len(listed)
        assert con.execute(str(built)).rows == listed.rows
        with pytest.raises(InvalidValue, match="units='arcs'"):
            built.include(1, units="arcs")


@pytest.mark.slow
@pytest.mark.parametrize(
    "clauses,error,words",
    [
        ("OVER NODES INCLUDE 0->8", InvalidValue, "INCLUDE names edges, but the units are nodes"),
        ("INCLUDE NODES 8", InvalidValue, "INCLUDE names nodes, but the units are edges"),
        ("OVER NODES EXCLUDE FEATURES 1", InvalidValue, "say EXCLUDE NODES key, ..., or OVER FEAT"),
        ("OVER NODES INCLUDE NODES 99", NodeNotFound, "99"),
        ("OVER NODES INCLUDE NODES 13", InvalidValue, "outside of the 2-hop field of node 0"),
        ("OVER NODES EXCLUDE NODES 0", InvalidValue, "it is the target"),
        ("OVER NODES INCLUDE NODES 8 EXCLUDE NODES 8", InvalidValue, "8 is in INCLUDE and in EXC"),
        ("OVER NODES INCLUDE NODES (SELECT 1, 2)", DataError, "expected one, the nodes"),
        ("OVER NODES INCLUDE NODES (SELECT 1 WHERE false)", DataError, "no rows"),
        ("OVER FEATURES INCLUDE FEATURES 5", InvalidValue, "5 features, numbered from 0"),
        ("OVER FEATURES INCLUDE FEATURES 'age'", InvalidValue, "no such feature: it has 5"),
        ("OVER FEATURES EXCLUDE FEATURES 'x[1]' INCLUDE FEATURES 1", InvalidValue, "'x[1]' is in"),
    ],
)
def test_what_cannot_be_restricted_is_an_error(clauses, error, words):
    with sxq.connect() as con:
        opened(con, some_graph(), make("gcn", layers=2))
        with pytest.raises(error, match=re.escape(words)):
            con.execute(f"EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc {clauses}")


def test_features_that_do_not_fit_the_memory_are_context():
    """They are not in G_s, as edges that are left out are not, and AUDIT finds the same."""
    graph = random_graph(np.random.default_rng(3), 14, 18, features=120)
    module = make("gcn", layers=2, inputs=120)
    with sxq.connect() as con:
        opened(con, graph, module)
        con.execute("SET sxq_batch_memory = '1 MB'")
        found = con.execute(f"EXPLAIN NODE 4 USING MODEL m OVER FEATURES {EVERY}")
        assert "of 120 units were searched" in found.targets[0].note
        full = p_of(module, graph.x, graph.edge_index, target=4)
        for e in found:
            own = e.features.tolist()
            sides = cut_features(graph, own, near_nodes(graph, 4, 2), "zero", range(120))
            assert_exact(e, module, graph, sides, full)
        assert len(found) and con.execute("AUDIT").findings == 0
