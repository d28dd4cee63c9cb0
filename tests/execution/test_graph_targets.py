"""Whole graphs as targets: the field, the verifier against plain forward passes, and the engine from end to end."""

import os
import re
from collections import Counter

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, global_mean_pool

import sxq
from sxq.errors import (
    DataError,
    GraphError,
    InvalidValue,
    ModelError,
    ModelNotLocal,
    NodeNotFound,
    UnknownName,
)
from sxq.graph import Graph, whole
from sxq.graph.collection_readers import graphs_from_tables
from sxq.graph.whole import onion_layers
from sxq.inference import CandidateBatch
from sxq.inference.choose import open_backend
from sxq.inference.disjoint import Pooled
from sxq.inference.edge_gradients import EdgeGradients
from sxq.inference.kernels.pool import Pool
from sxq.inference.layered.backend import Layered
from sxq.inference.registration import register
from sxq.models.edge_mask import log_probabilities
from sxq.models.refine import Instances
from sxq.pictures import colours, words
from sxq.pictures.page import content
from sxq.pictures.scene import scene
from sxq.scoring.question import Question
from tests.driving import SEARCHES, drive
from tests.graphs import random_graph
from tests.pooled_models import Pools, Weighted, some_graphs

needs_data = pytest.mark.skipif(not os.environ.get("SXQ_DATA"), reason="SXQ_DATA names no folder")


def plain(module, graph, keep, nodes=None):
    """Logits of a graph with the edges `keep`, on all or some of its nodes: one forward pass, written out."""
    nodes = np.arange(graph.num_nodes) if nodes is None else nodes
    number = {v: i for i, v in enumerate(nodes.tolist())}
    edges = [
        (number[u], number[v]) for (u, v), kept in zip(graph.edge_index.T.tolist(), keep) if kept
    ]
    extra = () if graph.edge_weight is None else (torch.tensor(graph.edge_weight[keep]),)
    with torch.no_grad():
        return module.eval()(
            torch.tensor(graph.x[nodes]),
            torch.tensor(edges, dtype=torch.long).reshape(-1, 2).T,
            torch.zeros(len(nodes), dtype=torch.long),
            *extra,
        )[0].numpy()


# the field


@pytest.mark.parametrize("seed", range(5))
def test_onion_layers_are_those_of_networkx(seed):
    graph = random_graph(np.random.default_rng(seed), 20, 30)
    picture = nx.Graph([(u, v) for u, v in graph.edge_index.T.tolist() if u != v])
    picture.add_nodes_from(range(20))
    assert dict(
        enumerate(onion_layers(20, graph.edge_index[:, graph.edge_index[0] != graph.edge_index[1]]))
    ) == nx.onion_layers(picture)


@pytest.mark.parametrize("directed", [False, True])
def test_the_field_of_a_graph_holds_all_of_it(directed):
    graph = random_graph(np.random.default_rng(3), 14, 18)
    field = whole(graph, directed)
    assert (field.nodes[field.edge_index] == graph.edge_index).all() and not field.rooted
    real = [
        tuple(e) if directed else frozenset(e) for e in graph.edge_index.T.tolist() if e[0] != e[1]
    ]
    named = [tuple(e) if directed else frozenset(e) for e in field.nodes[field.ends].T.tolist()]
    assert len(named) == len(set(named)) and set(named) == set(real)
    assert (
        field.edges_of(np.ones(field.num_units, bool)).tolist()
        == np.flatnonzero(graph.edge_index[0] != graph.edge_index[1]).tolist()
    )
    least = [
        min([h for h, end in zip(field.unit_hop, field.ends.T) if v in end], default=field.hops)
        for v in range(field.num_nodes)
    ]
    assert field.node_hop.tolist() == least == sorted(least)
    assert (np.diff(field.unit_hop) >= 0).all() and set(field.unit_hop) == set(
        range(1, field.hops + 1)
    )
    layer = onion_layers(graph.num_nodes, field.nodes[field.ends])[field.nodes[field.ends]].min(
        axis=0
    )
    assert (np.diff(layer) <= 0).all()  # the innermost first


@pytest.mark.parametrize("seed", range(4))
def test_parts_and_the_largest_part_are_those_of_networkx(seed):
    rng = np.random.default_rng(seed)
    field = whole(random_graph(rng, 16, 14))
    bits = rng.random((30, field.num_units)) < rng.random((30, 1))
    parts, owner = field.split(bits)
    largest = field.component(bits)
    for row, chosen in enumerate(bits):
        picture = nx.Graph(field.ends[:, chosen].T.tolist())
        expected = sorted(
            picture.subgraph(c).number_of_edges() for c in nx.connected_components(picture)
        )
        assert sorted(parts[owner == row].sum(axis=1)) == expected
        assert largest[row].sum() == max(expected, default=0)
        assert (parts[owner == row].sum(axis=0) == chosen).all() and not (
            largest[row] & ~chosen
        ).any()


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("seed", range(3))
def test_generators_propose_connected_subgraphs(name, seed):
    field = whole(random_graph(np.random.default_rng(seed), 12, 12), directed=seed == 1)
    found, distinct = drive(name, field, 150, seed)
    for bits in found:
        assert bits.any() and nx.is_connected(nx.Graph(field.ends[:, bits].T.tolist()))
    assert distinct > field.num_units


def test_all_connected_subgraphs_of_a_graph_are_found():
    field = whole(random_graph(np.random.default_rng(1), 7, 5))
    found, distinct = drive("exhaustive", field)
    every = (np.arange(1, 2**field.num_units)[:, None] >> np.arange(field.num_units) & 1).astype(
        bool
    )
    connected = sum(nx.is_connected(nx.Graph(field.ends[:, bits].T.tolist())) for bits in every)
    assert len(found) == distinct == connected


def test_peeling_makes_a_candidate_of_every_part_when_a_graph_falls_apart():
    """A ring is one onion layer: without an edge it is a path, and without another the path is in two."""
    ring = np.arange(6)
    found, _ = drive("onion", whole(Graph([ring, np.roll(ring, 1)], np.ones((6, 1)))))
    parts = [bits for bits in found if 0 < bits.sum() < 4]
    assert any(not (a & b).any() and (a | b).sum() == 4 for a in parts for b in parts)


# inference


@pytest.mark.parametrize("kind", ["gcn", "gat", "gin"])
@pytest.mark.parametrize("weighted", [False, True])
def test_cut_graphs_get_what_plain_forward_passes_give(kind, weighted):
    graphs = some_graphs(weighted=weighted)
    if weighted and kind != "gcn":
        return
    module = Weighted(kind) if weighted else Pools(kind)
    model = register(module, graphs)
    backend, rng = Pooled(model), np.random.default_rng(0)
    cuts = []
    for graph in graphs:
        field = whole(graph)
        bits = rng.random((5, field.num_units)) < rng.random((5, 1))
        bits[0] = False
        cuts.append(CandidateBatch(backend.load(graph, field), bits))
    for graph, cut, (kept, removed) in zip(graphs, cuts, backend.infer(cuts)):
        field, loops = whole(graph), graph.edge_index[0] == graph.edge_index[1]
        for row, bits in enumerate(cut.bits):
            inside = np.zeros(graph.num_edges, bool)
            inside[field.edges_of(bits)] = True
            nodes = (
                np.unique(graph.edge_index[:, inside]) if bits.any() else np.arange(graph.num_nodes)
            )
            with_loops = inside | (loops & np.isin(graph.edge_index[0], nodes))
            assert np.allclose(kept[row], plain(module, graph, with_loops, nodes), atol=1e-5)
            assert np.allclose(removed[row], plain(module, graph, ~inside), atol=1e-5)


@pytest.mark.parametrize("kind", ["gcn", "gat", "gin"])
@pytest.mark.parametrize("directed", [False, True])
def test_models_of_graphs_run_layer_by_layer_as_on_cut_graphs(kind, directed):
    graphs, rng = some_graphs(undirected=not directed), np.random.default_rng(0)
    model = register(Pools(kind), graphs)
    assert (model.backend, model.reason) == ("layered", "")
    layered, plain = open_backend("layered", model), open_backend("disjoint", model)
    assert isinstance(layered, Layered) and isinstance(plain, Pooled)
    fields = [whole(graph, directed) for graph in graphs]
    bits = [rng.random((9, field.num_units)) < rng.random((9, 1)) for field in fields]
    for own in bits:
        own[0] = False
    found, expected = (
        backend.infer(
            [
                CandidateBatch(backend.load(graph, field), own)
                for graph, field, own in zip(graphs, fields, bits)
            ]
        )
        for backend in (layered, plain)
    )
    for one, other in zip(found, expected):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_model_of_graphs_that_cannot_be_traced_runs_on_copies():
    class Rescales(Pools):
        def forward(self, x, edge_index, batch):
            return self.last(
                global_mean_pool(self.first(x, edge_index) * (1.0 + 0.0 * batch[:, None]), batch)
            )

    with sxq.connect() as con:
        con.register_graphs("some", some_graphs())
        con.register_model("fast", Pools(), graphs="some")
        con.register_model("slow", Rescales(), graphs="some")
        question = con.explain(graph=1).optimize("fdl+", "conc").budget(100)
        assert "backend layered;" in str(question.using("fast").plan())
        plan = str(question.using("slow").plan())
        assert "backend disjoint (" in plan and "outside a message-passing layer or pooling" in plan
        backend = {row[0]: row[1] for row in con.sql("DESCRIBE MODEL slow").rows}
        assert backend["backend"] == "disjoint" and backend["reason"]
        answer = question.using("fast").run()
        con.sql("SET sxq_inference = 'disjoint'")
        assert "backend disjoint (as set)" in str(question.using("fast").plan())
        assert [e.edges for e in question.using("fast").run()] == [e.edges for e in answer]


def test_the_check_of_a_model_of_graphs_finds_a_pooling_that_is_wrong(monkeypatch):
    right = Pool.run
    monkeypatch.setattr(Pool, "run", lambda self, rows, tile: right(self, rows, tile) * 1.01)
    model = register(Pools(), some_graphs())
    assert model.backend == "disjoint" and re.search(r"graph \d differs by", model.reason)


def test_first_order_slopes_of_a_graph_are_those_of_its_log_odds():
    graphs = some_graphs()
    model, field = register(Pools("gin"), graphs), whole(graphs.member(0))
    slopes = EdgeGradients(model, graphs.member(0), field, Question(column=1))
    bits = np.random.default_rng(0).random((3, field.num_units)) < 0.7
    instances = Instances([(graphs.member(0), field)])
    batch = instances.batch(np.array([0]), torch.device("cpu"))
    for row, found in zip(bits, slopes(bits, True)):
        mask = torch.tensor(row, dtype=torch.float, requires_grad=True)
        p = log_probabilities(model, batch, batch.spread(mask)).exp()[0, 1]
        (slope,) = torch.autograd.grad(p.log() - (1 - p).log(), mask)
        assert np.allclose(found, slope.numpy(), rtol=1e-3, atol=1e-3)


def test_a_model_that_looks_at_the_other_graphs_is_refused():
    class Batchwise(Pools):
        def forward(self, x, edge_index, batch):
            out = super().forward(x, edge_index, batch)
            return out - out.mean(dim=0)

    with pytest.raises(ModelNotLocal, match="alone gets another output"):
        register(Batchwise(), some_graphs())


def test_a_model_without_batch_is_refused():
    with pytest.raises(ModelError, match="no argument `batch`"):
        register(GCNConv(5, 3), some_graphs())


# the engine


@pytest.fixture
def con():
    with sxq.connect() as con:
        con.register_graphs("some", some_graphs(weighted=True))
        con.register_model("pools", Weighted(), graphs="some")
        yield con


@pytest.mark.sweep(1)
@pytest.mark.parametrize("directed", ["", "EDGES DIRECTED"])
def test_explanations_are_what_the_model_says(con, directed):
    result = con.execute(
        f"EXPLAIN GRAPHS 0, 2, 3 USING MODEL pools OPTIMIZE fdl+, fdl-, conc, lift {directed}"
        " BUDGET 300 CANDIDATES"
    )
    assert [report.target for report in result.targets] == [0, 2, 3] and len(result) >= 3
    for e in result:
        graph, module = some_graphs(weighted=True).member(e.target), Weighted()
        inside = np.isin(np.arange(graph.num_edges), e.edge_numbers)
        loops = graph.edge_index[0] == graph.edge_index[1]
        p = [
            torch.tensor(logits).double().softmax(0).numpy()
            for logits in (
                plain(module, graph, np.ones_like(inside)),
                plain(module, graph, ~inside),
                plain(
                    module, graph, inside | (loops & np.isin(graph.edge_index[0], e.nodes)), e.nodes
                ),
                plain(module, graph, loops),
            )
        ]
        c = p[0].argmax()
        assert e.raw["fdl+"] == pytest.approx(p[0][c] - p[1][c], abs=1e-5)
        assert e.raw["fdl-"] == pytest.approx(p[0][c] - p[2][c], abs=1e-5)
        assert e.raw["lift"] == pytest.approx(p[2][c] - p[3][c], abs=1e-5)
        assert e.kind == "graph" and set(e.nodes) == set(e.edge_index.ravel())
        assert nx.is_weakly_connected(e.to_networkx())
        data = e.to_data()
        assert (
            data.nodes[data.edge_index].numpy() == e.edge_index
        ).all() and data.edge_weight.shape == (len(e.edges),)
    assert {verdict for *_, verdict in con.execute("AUDIT").rows} == {"ok"}


def test_a_graph_is_drawn_without_a_target_node(con, tmp_path):
    result = (
        con.explain(graphs=[0, 2]).using("pools").optimize("fdl+", "conc").top(3).budget(200).run()
    )
    for report in result.targets:
        drawn = scene(report.explanations, nodes=4)
        keys = drawn.keys()
        for number, e in enumerate(report.explanations):
            assert {keys[i] for i in drawn.inside(number)} == {
                key for edge in e.edges for key in edge
            }
            assert set(map(int, re.findall(r"(\d+) · class", e.draw()))) == set(e.nodes)
        assert not drawn.rooted and len(keys) <= max(
            4, len({*np.concatenate([e.nodes for e in report.explanations])})
        )
        assert words.meaning(report, result.kind).startswith(
            f"The model puts graph {report.target} in class"
        )
    page = content(result)
    assert page["kind"] == "graph" and not page["targets"][0]["scene"]["rooted"]
    assert {
        name for node in page["targets"][0]["scene"]["nodes"] for name, _ in node["facts"]
    }.isdisjoint({"hop"})
    assert "in the whole graph" in page["targets"][0]["proof"][0][1]
    assert colours.TARGET not in result[0]._repr_html_()
    figure = result.plot()
    assert figure.get_suptitle().startswith("graph 0: class") and result[0].plot().axes
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "target" not in labels
    result.to_html(str(tmp_path / "page.html"))
    result.export(str(tmp_path / "all.graphml"))
    whole_picture = nx.read_graphml(tmp_path / "all.graphml")
    assert set(whole_picture.nodes) == {
        f"{e.target}/{key}" for e in result for edge in e.edges for key in edge
    }


def test_edges_recur_within_a_graph(con):
    con.execute(
        "EXPLAIN GRAPHS 0, 2 USING MODEL pools OPTIMIZE fdl+, conc TOP 4 BUDGET 200 CANDIDATES"
    )
    counts = con.sql(
        "SELECT target, src, dst, count(*) FROM explanation_edges JOIN explanations USING (explanation_id) "
        "GROUP BY ALL"
    ).rows
    found = con.sql("SELECT graph, src, dst, explanations, targets FROM recurring_edges").rows
    assert sorted(found) == sorted((*row, 1) for row in counts)
    labels = {
        (graph, node): label
        for graph, node, label in con.sql("SELECT graph, node, label FROM nodes").rows
    }
    prediction = {report.target: report.prediction for report in con.last_result.targets}
    mixed = Counter(
        (prediction[e.target], labels[e.target, node])
        for e in con.last_result
        for node in e.nodes.tolist()
    )
    assert {
        row[:2]: row[2] for row in con.sql("SELECT prediction, label, nodes FROM label_mix").rows
    } == mixed


def test_a_graph_of_a_batch_gets_the_answer_it_gets_alone(con):
    clauses = "USING MODEL pools OPTIMIZE fdl+, conc BUDGET 150 CANDIDATES"
    together = con.execute(f"EXPLAIN GRAPHS (SELECT graph FROM graph_members) {clauses}")
    for number, report in enumerate(together.targets):
        alone = con.execute(f"EXPLAIN GRAPH {number} {clauses}")
        assert [e.edges for e in alone] == [e.edges for e in report.explanations]


def test_audit_notices_a_wrong_value(con):
    con.execute("EXPLAIN GRAPH 1 USING MODEL pools OPTIMIZE fdl+, conc TOP 1 BUDGET 100 CANDIDATES")
    con.execute("UPDATE explanations SET raw = MAP {'fdl+': raw['fdl+'] + 0.01}")
    assert con.execute("AUDIT").rows[0][-1].startswith("raw values differ by 0.01")


def test_a_graph_without_edges_has_an_empty_answer():
    with sxq.connect() as con:
        con.register_graphs(
            "g",
            [
                Data(x=torch.ones(2, 5), edge_index=torch.zeros(2, 0, dtype=torch.long)),
                Data(x=torch.ones(2, 5), edge_index=torch.tensor([[0], [1]])),
            ],
        )
        con.register_model("m", Pools(), graphs="g")
        result = con.execute("EXPLAIN GRAPHS 0, 1 USING MODEL m OPTIMIZE fdl+, conc")
        assert result.targets[0].status == "empty" and "the graph has no edges" in str(result)


def test_no_answer_holds_two_parts_of_a_graph_that_falls_apart():
    """The whole of such a graph is no candidate, although "factual" fits nothing as well as it."""
    path = torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]])
    torch.manual_seed(0)
    graph = Data(x=torch.randn(5, 5), edge_index=path)
    with sxq.connect() as con:
        con.register_graphs("g", [graph])
        con.register_model("m", Pools(), graphs="g")
        con.execute("SET sxq_keep_candidates = true")
        result = con.execute(
            "EXPLAIN GRAPH 0 USING MODEL m OPTIMIZE fdl-, conc TOP 9 BY exhaustive, search"
        )
        sizes = con.execute("SELECT DISTINCT size FROM candidates ORDER BY 1").fetchall()
        assert len(result) and sizes == [(1,), (2,)] and con.execute("AUDIT").findings == 0


def test_nodes_and_graphs_are_not_confused(con):
    for statement, error, message in (
        ("EXPLAIN NODE 0 USING MODEL pools OPTIMIZE conc", InvalidValue, "say EXPLAIN GRAPH"),
        ("EXPLAIN GRAPH 9 USING MODEL pools OPTIMIZE conc", NodeNotFound, "no graph 9: .* 0 to 3"),
        (
            "EXPLAIN GRAPHS (SELECT 1, 2) USING MODEL pools OPTIMIZE conc",
            DataError,
            "GRAPHS returned 2 columns",
        ),
        (
            "EXPLAIN GRAPHS (SELECT 1 LIMIT 0) USING MODEL pools OPTIMIZE conc",
            DataError,
            "GRAPHS returned no rows",
        ),
        ("TRAIN MODEL m ON GRAPH some", InvalidValue, "collection: say GRAPHS some"),
        ("DROP GRAPH some", InvalidValue, "say GRAPHS some"),
        ("DESCRIBE GRAPHS none", UnknownName, "none"),
        ("CREATE GRAPHS g FROM DATASET 'BA-3motif' (SEED = x)", InvalidValue, "SEED = 'x'"),
        (
            "CREATE GRAPH g FROM DATASET 'KarateClub' (SEED = 1)",
            InvalidValue,
            "is not for data set 'KarateClub'",
        ),
        ("CREATE GRAPH g FROM DATASET 'BA-3motif'", DataError, "CREATE GRAPHS reads"),
        ("TRAIN MODEL m ON GRAPHS some", DataError, "no labels"),
    ):
        with pytest.raises(error, match=message):
            con.execute(statement)


@pytest.mark.slow
def test_collections_live_in_the_database(tmp_path):
    path = str(tmp_path / "a.duckdb")
    with sxq.connect(path) as con:
        con.execute("CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 30, SEED = 2)")
        con.execute(
            "TRAIN MODEL m ON GRAPHS motifs (ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 16, EPOCHS = 5)"
        )
        first = con.execute(
            "EXPLAIN GRAPHS (SELECT graph FROM graph_members WHERE label = 1 LIMIT 2) USING MODEL m"
            " OPTIMIZE fdl+, fdl-, conc BUDGET 300 CANDIDATES"
        )
        assert con.execute("SHOW GRAPHS").rows[0][-1] == "30 graphs, undirected"
    with sxq.connect(path) as con:
        assert {verdict for *_, verdict in con.execute("AUDIT").rows} == {"ok"}
        again = con.execute(
            f"EXPLAIN GRAPHS {', '.join(str(r.target) for r in first.targets)} USING MODEL m"
            " OPTIMIZE fdl+, fdl-, conc BUDGET 300 CANDIDATES"
        )
        assert [e.edges for e in again] == [e.edges for e in first]
        hits = con.execute(
            "SELECT count(*) FROM explanation_edges e JOIN explanations x USING (explanation_id) "
            "JOIN edges t ON t.graph = x.target AND t.src = e.src AND t.dst = e.dst"
        ).rows
        assert hits[0][0] == sum(
            len(e.edges) for e in [*first, *again]
        )  # the ground truth joins by keys
        con.execute("DROP MODEL m; DROP GRAPHS motifs")
        assert con.execute("SHOW GRAPHS").rows == []


def test_a_collection_from_tables():
    with sxq.connect() as con:
        con.execute("""
            CREATE TABLE molecules AS SELECT * FROM (VALUES ('m1', 0, 'train'), ('m2', 1, 'test')) t(id, label, split);
            CREATE TABLE atoms AS SELECT * FROM (VALUES ('m1', 'a', 1.0), ('m1', 'b', 2.0), ('m2', 'a', 3.0))
                t(molecule, atom, charge);
            CREATE TABLE bonds AS SELECT * FROM (VALUES ('m1', 'a', 'b', 0.5)) t(molecule, a, b, weight);
            CREATE GRAPHS g FROM GRAPHS (SELECT * FROM molecules) NODES (SELECT * FROM atoms)
                EDGES (SELECT * FROM bonds WHERE molecule <> 'm2')""")
    graphs = graphs_from_tables(
        (["id", "label", "split"], [("m1", 0, "train"), ("m2", None, None)]),
        (["g", "n", "x"], [("m1", "a", 1.0), ("m2", "a", 3.0), ("m1", "b", 2.0)]),
        (["g", "a", "b"], [("m1", "b", "a")]),
    )
    assert (
        graphs.y.tolist() == [0, -1]
        and graphs.split.tolist() == ["train", ""]
        and graphs.key(1) == "m2"
    )
    assert graphs.member(0).keys == ["a", "b"] and graphs.member(0).edge_index.tolist() == [
        [1],
        [0],
    ]
    with pytest.raises(GraphError, match="graph 'm1': row 1 of EDGES: no node 'c'"):
        graphs_from_tables(
            (["id"], [("m1",)]), (["g", "n"], [("m1", "a")]), (["g", "a", "b"], [("m1", "c", "a")])
        )
    with pytest.raises(GraphError, match="row 1 of NODES is of graph 'm9'"):
        graphs_from_tables((["id"], [("m1",)]), (["g", "n"], [("m9", "a")]), (["g", "a", "b"], []))


@pytest.mark.slow
def test_a_model_learns_the_motifs():
    with sxq.connect() as con:
        con.execute("CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 150)")
        table = con.execute(
            "TRAIN MODEL m ON GRAPHS motifs (ARCHITECTURE = leconv, LAYERS = 2, HIDDEN = 32, "
            "EPOCHS = 40, LR = 0.005, BATCH = 32)"
        )
        found = dict(zip(table.columns, table.rows[0]))
        assert found["train_accuracy"] > 0.8 and found["test_accuracy"] > 0.6
        same = con.execute(
            "TRAIN MODEL again ON GRAPHS motifs (ARCHITECTURE = leconv, LAYERS = 2, HIDDEN = 32, "
            "EPOCHS = 40, LR = 0.005, BATCH = 32)"
        )
        assert same.rows[0][4:] == table.rows[0][4:]


@pytest.mark.slow
@needs_data
def test_the_published_collections_and_the_model_of_ba3motif():
    folder = os.environ["SXQ_DATA"]
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPHS ba FROM FILE ?; CREATE GRAPHS mutag FROM FILE ?",
            [f"{folder}/ba3motif_800.npz", f"{folder}/mutagenicity.npz"],
        )
        table = con.execute(
            "CREATE MODEL m ON GRAPHS ba FROM FILE ? (ARCHITECTURE = leconv, LAYERS = 2, HIDDEN = 64)",
            [f"{folder}/models/trained_here_ba3_leconv.safetensors"],
        )
        assert dict(zip(table.columns, table.rows[0]))["test_accuracy"] == 0.9975
        assert con.execute("SHOW GRAPHS").rows == [
            ("ba", 17558, 23681, 4, "800 graphs, directed"),
            ("mutag", 131488, 266894, 14, "4337 graphs, undirected"),
        ]
        assert con.execute("SELECT count(*) FROM edges WHERE truth AND graph = 0").rows == [(10,)]
        with pytest.raises(ModelError, match="the file suggests ARCHITECTURE = leconv"):
            con.execute(
                "CREATE MODEL x ON GRAPHS ba FROM FILE ? (ARCHITECTURE = gin)",
                [f"{folder}/models/trained_here_ba3_leconv.safetensors"],
            )


class LastOfEquals(torch.nn.Module):
    """Reads one node of each graph: of equals the first, but in a batch of several graphs the last."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = GCNConv(3, 8)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x, edge_index, batch):
        rows = self.conv(x, edge_index).relu()
        graphs = int(batch.max()) + 1
        chosen = []
        for graph in range(graphs):
            own = (batch == graph).nonzero().view(-1)
            best = own[x[own, 0] == x[own, 0].max()]
            chosen.append(best[0] if graphs == 1 else best[-1])
        return self.head(rows[torch.stack(chosen)])


def test_a_graph_that_a_batch_changes_by_a_tie_is_explained_alone():
    rng = np.random.default_rng(0)
    graphs = [random_graph(np.random.default_rng(seed), 7, 6, features=3) for seed in range(12)]
    drawn = np.random.default_rng(
        0
    )  # as at registration, which compares some graphs, and cuts others
    compared = [*drawn.choice(12, 4, replace=False), *drawn.choice(12, 6, replace=False)]
    odd = next(number for number in range(12) if number not in compared)
    x = graphs[odd].x.copy()
    x[[1, 5], 0] = 9  # two equals
    x[5, 1:] = rng.normal(size=2) * 4
    data = [
        Data(torch.tensor(x if number == odd else graph.x), torch.tensor(graph.edge_index))
        for number, graph in enumerate(graphs)
    ]
    module = LastOfEquals()
    with sxq.connect() as con:
        con.register_graphs("gs", data)
        con.register_model("m", module, graphs="gs")
        found = con.execute(
            f"EXPLAIN GRAPHS {odd}, {compared[0]} USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 60 CANDIDATES"
        )
        assert [report.status for report in found.targets] == ["done", "done"], found.targets[
            0
        ].note
        assert ["by itself" in report.note for report in found.targets] == [True, False]
        with torch.no_grad():
            out = module.eval()(data[odd].x, data[odd].edge_index, torch.zeros(7, dtype=torch.long))
        p = out.softmax(1)[0]
        assert found.targets[0].prediction == int(p.argmax())
        assert abs(found.targets[0].probability - float(p.max())) < 1e-5
        assert len(found) and con.execute("AUDIT").findings == 0
