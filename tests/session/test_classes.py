"""EXPLAIN CLASS: its targets, its patterns against a slow twin, what is stored, AUDIT and stopping."""

import json
import shutil

import networkx as nx
import numpy as np
import pytest

import sxq
from sxq.pictures.page import content
from sxq.scoring import patterns
from tests.oracles_scoring import every_pattern, graph_of, same

ALL = "EXPLAIN CLASS 0 USING MODEL gossip OPTIMIZE fdl+, fdl-, conc"


class Held:
    """An explanation as the twin takes it: its nodes by key, its edges once."""

    def __init__(self, e, labels, directed):
        self.target = e.target
        nodes = list(dict.fromkeys(node for edge in e.edges for node in edge))
        self.labels = tuple(labels[node] for node in nodes)
        ends = [(nodes.index(u), nodes.index(v)) for u, v in e.edges]
        self.edges = tuple(dict.fromkeys(ends if directed else map(tuple, map(sorted, ends))))
        self.fidelity = (e.raw["fdl+"] + 1 - abs(e.raw["fdl-"])) / 2


def twin(result, labels, directed):
    """The skyline [(support, fidelity, size, graph)] of all patterns, each compared with each."""
    members = [Held(e, labels, directed) for e in result]
    targets = {member.target for member in members}
    found = [
        (len(held) / len(targets), float(np.mean(list(held.values()))), graph.size(), graph)
        for graph, held in every_pattern(members, directed, 6)
        if len(held) >= min(2, len(targets))
    ]
    return [
        one
        for one in found
        if not any(
            all(a >= b - 1e-12 for a, b in zip(other[:3], one[:3]))
            and any(a > b + 1e-12 for a, b in zip(other[:3], one[:3]))
            for other in found
        )
    ]


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("statement", "column", "directed"),
    [
        (ALL, "prediction", False),
        (f"{ALL} LABELS none", "none", False),
        (f"{ALL} EDGES DIRECTED", "prediction", True),
        ("EXPLAIN CLASS 0 USING MODEL votes OPTIMIZE fdl+, fdl-, conc LABELS none", "none", True),
    ],
)
def test_patterns_are_those_of_the_twin(con, statement, column, directed):
    result = con.query(statement)
    nodes = {node for e in result for edge in e.edges for node in edge}
    labels = dict.fromkeys(nodes, "")
    if column == "prediction":
        every = con.query("EXPLAIN NODES 0, 1, 2, 3, 4, 5, 6, 7 USING MODEL gossip OPTIMIZE conc")
        labels = {report.target: str(report.prediction) for report in every.targets}
    best = twin(result, labels, directed)
    values = {(support, round(fidelity, 6), size) for support, fidelity, size, _ in best}
    assert {(p.support, round(p.fidelity, 6), p.size) for p in result.patterns} == values
    assert sum(p.alike for p in result.patterns) == len(best) and result.patterns
    for pattern in result.patterns:
        graph = graph_of(pattern.labels, pattern.edges, directed)
        assert any(same(graph, other) for *_, other in best)
        assert nx.is_isomorphic(pattern.to_networkx(), graph)
        assert pattern.to_networkx().nodes[0]["label"] == pattern.labels[0]


def test_matches_name_nodes_of_their_explanations(con):
    result = con.query(ALL)
    members = {(e.target, e.rank): e for e in result}
    for pattern in result.patterns:
        assert {m.target for m in pattern.matches} and len(
            {m.target for m in pattern.matches}
        ) == pattern.held_by
        for match in pattern.matches:
            edges = members[match.target, match.rank].edges
            assert all((match.nodes[u], match.nodes[v]) in edges for u, v in pattern.edges)


@pytest.mark.slow
def test_targets_are_those_predicted_as_the_class_at_most_so_many_by_seed(con):
    con.execute("SET sxq_pattern_size = 1; SET sxq_budget = 4")
    everything = con.query("EXPLAIN NODES 0, 1, 2, 3, 4, 5, 6, 7 USING MODEL gossip OPTIMIZE conc")
    of_class = {report.target for report in everything.targets if report.prediction == 0}
    assert {report.target for report in con.query(ALL).targets} == of_class
    few = [
        {report.target for report in con.query(f"{ALL} TARGETS 2 SEED {seed}").targets}
        for seed in range(6)
    ]
    assert all(len(own) == 2 and own < of_class for own in few)
    assert few[0] == {report.target for report in con.query(f"{ALL} TARGETS 2 SEED 0").targets}
    assert len(set(map(frozenset, few))) > 1
    con.execute("SET sxq_class_targets = 3")
    assert len(con.query(ALL).targets) == 3


def test_an_empty_list_is_not_everything(con):
    with pytest.raises(sxq.DataError, match="list of FROM is empty"):
        con.explain(class_=0, nodes=[]).using("gossip").optimize("conc").run()


def test_the_builder_writes_what_the_parser_reads(con):
    start = con.explain(class_=0).using("gossip").optimize("fdl+", "conc").targets(2)
    assert str(start) == "EXPLAIN CLASS 0 USING MODEL gossip OPTIMIZE fdl+, conc TARGETS 2"
    pooled = con.explain(class_=0, nodes=[5]).using("gossip").optimize("conc").labels("none")
    assert (
        str(pooled) == "EXPLAIN CLASS 0 FROM NODES 5 USING MODEL gossip OPTIMIZE conc LABELS none"
    )
    select = con.explain(class_=0, query="SELECT id FROM members WHERE id > ?", parameters=[3])
    found = select.using("gossip").optimize("conc").run()
    assert {report.target for report in found.targets} == {4, 5}
    for query in (start, pooled):
        assert [e.edges for e in con.query(str(query))] == [e.edges for e in query.run()]
    with pytest.raises(sxq.InvalidValue, match="class_=0 with node="):
        con.explain(class_=0, node=3)
    with pytest.raises(sxq.InvalidValue, match="one of"):
        con.explain(class_=0, nodes=[3], query="SELECT 3")


@pytest.mark.slow
def test_collections_have_patterns_of_their_graphs(con):
    con.execute(
        """CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 12, SEED = 1);
           TRAIN MODEL gin ON GRAPHS motifs (ARCHITECTURE = gin, LAYERS = 2, EPOCHS = 2)"""
    )
    counts = con.session.registry.models.get("gin").predictions()
    of_class = int(np.bincount(counts).argmax())
    con.execute("SET sxq_pattern_size = 2")
    result = con.query(
        f"EXPLAIN CLASS {of_class} FROM GRAPHS (SELECT graph FROM graph_members) USING MODEL gin "
        "OPTIMIZE fdl-, conc BUDGET 60 CANDIDATES TOP 2 TARGETS 3 LABELS none"
    )
    assert result.patterns and result.kind == "graph" and result.patterns[0].size <= 2
    assert all(row[-1].startswith("ok") for row in con.execute("AUDIT"))


CHANGED = {
    "UPDATE sxq.patterns SET support = 0.9 WHERE pattern = 1": "support is 0.9, found 1",
    "UPDATE sxq.patterns SET held_by = 2 WHERE pattern = 1": "held_by is 2, found 6",
    "UPDATE sxq.patterns SET fidelity = 0.1 WHERE pattern = 1": "fidelity is 0.1, found",
    "UPDATE sxq.patterns SET class = 1": "class is 1, but targets are predicted as 0",
    "UPDATE sxq.patterns SET size = 9 WHERE pattern = 2": "size is 9, but it has 1 edges",
    "UPDATE sxq.pattern_edges SET dst = 0 WHERE pattern = 2": "its edges join other nodes",
    "UPDATE sxq.pattern_nodes SET label = '1' WHERE pattern = 1": "has label '0', the pattern '1'",
    "UPDATE sxq.pattern_matches SET node = 7::VARIANT WHERE pattern_node = 0": "is not among the",
    "UPDATE sxq.pattern_matches SET node = 3::VARIANT": "it names a node twice",
    "DELETE FROM sxq.pattern_matches WHERE explanation_id = 1 AND pattern_node = 0": "does not name",
    "DELETE FROM sxq.pattern_matches WHERE explanation_id <= 20": "found",
    "DELETE FROM sxq.patterns WHERE pattern = 1": "pattern 1, which is not in patterns",
    "UPDATE sxq.pattern_matches SET explanation_id = 999 WHERE explanation_id = 1": "explanation 999",
}


@pytest.fixture(scope="module")
def honest(toys_made, tmp_path_factory):
    path = tmp_path_factory.mktemp("honest") / "honest.duckdb"
    shutil.copyfile(toys_made / "toys.duckdb", path)
    with sxq.connect(str(path)) as con:
        con.execute(ALL)
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("change", CHANGED)
def test_audit_notices_changed_patterns(honest, change, tmp_path):
    path = tmp_path / "changed.duckdb"
    path.write_bytes(honest)
    with sxq.connect(str(path)) as con:
        con.execute(change)
        wrong = [row[-1] for row in con.execute("AUDIT") if row[-1] != "ok"]
        assert any(CHANGED[change] in verdict for verdict in wrong), wrong


def test_a_stop_keeps_the_patterns_of_finished_targets(con):
    reports = []

    def stop(news):
        reports.append(news)
        if "patterns of 2" in str(news):
            con.interrupt()

    con.report = stop
    result = con.query(ALL)
    assert {p.size for p in result.patterns} <= {1, 2} and result.patterns
    assert any("those of more than 2 edges are missing" in note for note in result.notes())
    assert con.sql("SELECT count(*) FROM patterns").rows[0][0] == len(result.patterns)


def test_ctrl_c_between_levels_keeps_what_was_found(con, monkeypatch):
    levels = patterns.levels

    def cut(*arguments):
        for number, mined in enumerate(levels(*arguments)):
            if number == 2:
                raise KeyboardInterrupt
            yield mined

    monkeypatch.setattr(patterns, "levels", cut)
    with pytest.raises(KeyboardInterrupt):
        con.execute(ALL)
    assert {p.size for p in con.last_result.patterns} <= {1, 2} and con.last_result.patterns
    assert con.sql("SELECT status FROM queries").rows == [("done",)]
    assert con.sql("SELECT count(*) FROM patterns").rows[0][0] == len(con.last_result.patterns)


@pytest.mark.slow
def test_reports_and_exports_show_patterns(con, tmp_path):
    result = con.query(ALL)
    shown = content(result)["patterns"]
    assert [p["number"] for p in shown] == [p.number for p in result.patterns]
    assert all(len({(n["x"], n["y"]) for n in p["nodes"]}) == len(p["nodes"]) for p in shown)
    assert "holds pattern 1" in result.to_html() and "<svg" in result.patterns[0]._repr_html_()
    assert result.patterns[0].sentence() in result.summary()
    assert "holds pattern 1" in result._repr_html_()
    result.export(str(tmp_path / "found.json"))
    exported = json.loads((tmp_path / "found.json").read_text())["patterns"]
    assert [p["held_by"] for p in exported] == [p.held_by for p in result.patterns]


def test_saliency_of_refine_stands_beside_a_pattern(con):
    con.execute(ALL)
    con.execute("PRETRAIN REFINE r FOR MODEL gossip ON GRAPH club (EPOCHS = 1)")
    rows = con.sql("FROM pattern_saliency ORDER BY pattern").rows
    assert [row[1] for row in rows] == [
        row[0] for row in con.sql("SELECT pattern FROM patterns ORDER BY 1").rows
    ]
    own = """SELECT avg(saliency) FROM saliency JOIN edges USING (edge)
             WHERE class = 0 AND edges.graph_id = 2 AND target IN (
                 SELECT e.target FROM pattern_matches JOIN explanations e USING (explanation_id)
                 WHERE pattern = 2)
             AND (target, src, dst) IN (
                 SELECT (e.target, u.node, v.node) FROM explanations e
                 JOIN pattern_matches u USING (explanation_id) JOIN pattern_matches v USING (explanation_id)
                 WHERE u.pattern = 2 AND v.pattern = 2 AND u.node <> v.node)"""
    inside = next(row[4] for row in rows if row[1] == 2)
    assert inside == pytest.approx(con.sql(own).rows[0][0])


@pytest.mark.parametrize(
    ("edges", "shape"),
    [
        ([(0, 1)], "edge"),
        ([(0, 1), (1, 2), (2, 3)], "path"),
        ([(0, 1), (0, 2), (0, 3)], "star"),
        ([(0, 1), (0, 2), (0, 3), (3, 4)], "tree"),
        ([(0, 1), (1, 2), (2, 0)], "triangle"),
        ([(0, 1), (1, 2), (2, 3), (3, 0)], "cycle of 4 nodes"),
        ([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3)], "clique of 4 nodes"),
        ([(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (1, 4)], "house"),
        ([(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)], "subgraph"),
    ],
)
def test_shapes_have_their_names(edges, shape):
    nodes = 1 + max(map(max, edges))
    pattern = sxq.ClassPattern(
        number=1,
        of_class=0,
        labels=("",) * nodes,
        labelled_by="none",
        edges=tuple(edges),
        directed=False,
        held_by=1,
        targets=1,
        fidelity=0.5,
    )
    assert pattern.shape == shape
