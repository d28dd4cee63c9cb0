"""EXPLAIN CLASS on heterogeneous graphs: patterns by relation and node type, and what is stored of them."""

import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HeteroConv, SAGEConv
from torch_geometric.transforms import ToUndirected

import sxq
from sxq.pictures.page import content
from sxq.session.stored_result import stored_result
from tests.oracles_scoring import every_typed_pattern, same_typed, typed_graph_of

ASK = (
    "EXPLAIN CLASS 0 USING MODEL m OPTIMIZE fdl+, fdl-, conc BY onion, growing TOP 6"
    " BUDGET 60 CANDIDATES TARGETS 4"
)


class ByType(nn.Module):
    """Two layers of convolutions by type, with logits for accounts."""

    def __init__(self, edge_types):
        super().__init__()
        self.conv = HeteroConv({kind: SAGEConv((2, 2), 4) for kind in edge_types}, aggr="sum")
        self.more = HeteroConv({kind: SAGEConv((4, 4), 2) for kind in edge_types}, aggr="sum")
        torch.manual_seed(1)
        for own in self.parameters():
            nn.init.normal_(own)

    def forward(self, x_dict, edge_index_dict):
        x_dict = {kind: x.relu() for kind, x in self.conv(x_dict, edge_index_dict).items()}
        return self.more(x_dict, edge_index_dict)["account"]


def bank(mirrored=True):
    """Accounts that pay shops, get refunds and know each other; those of `refers` and of a pair have directions."""
    generator = torch.Generator().manual_seed(3)
    data = HeteroData()
    data["account"].x = torch.randn(16, 2, generator=generator)
    data["shop"].x = torch.randn(5, 2, generator=generator)

    def ends(heads, count):
        return torch.stack(
            [
                torch.randint(0, 16, (count,), generator=generator),
                torch.randint(0, heads, (count,), generator=generator),
            ]
        )

    data["account", "pays", "shop"].edge_index = ends(5, 16)
    data["account", "refunds", "shop"].edge_index = ends(5, 16)
    data["account", "refers", "account"].edge_index = ends(16, 10)
    if not mirrored:
        data["shop", "serves", "account"].edge_index = ends(16, 16).remainder(
            torch.tensor([[5], [16]])
        )
        data["shop", "warns", "account"].edge_index = ends(16, 16).remainder(
            torch.tensor([[5], [16]])
        )
    else:
        data = ToUndirected(merge=False)(data)  # refers gets a mirror of its own
        knows = ends(16, 8)
        data["account", "knows", "account"].edge_index = torch.cat([knows, knows.flip(0)], 1)
    return data


@pytest.fixture(
    scope="module",
    params=[True, pytest.param(False, marks=pytest.mark.slow)],
    ids=["undirected", "directed"],
)
def file(request, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("patterns") / "bank.duckdb")
    data = bank(request.param)
    with sxq.connect(path) as con:
        con.execute("SET sxq_keep_candidates = true; SET sxq_pattern_size = 3")
        con.register_graph("bank", data)
        con.register_model("m", ByType(data.edge_types).eval(), "bank", output="logits")
        return path, data, con.execute(ASK)


class Held:
    """An explanation as the twin takes it, from what SQL says of its edges."""

    def __init__(self, target, fidelity, rows, directed):
        self.target, self.fidelity = target, fidelity
        nodes, edges = {}, {}
        for src, dst, kind in rows:
            source, rest = kind.split(" -", 1)
            relation, head = rest.split("-> ")
            ends = [(source, src), (head, dst)]
            if not directed and relation.startswith("rev_"):
                ends, kind = ends[::-1], f"{head} -{relation[4:]}-> {source}"
            both = relation == "knows"
            u, v = (nodes.setdefault(end, len(nodes)) for end in ends)
            if u != v:
                edges[(min(u, v), max(u, v)) if both else (u, v), (kind, not both)] = None
        self.labels = tuple(kind for kind, _ in nodes)
        self.edges = tuple(ends for ends, _ in edges)
        self.relations = tuple(kind for _, kind in edges)


def twins(con, directed):
    rows = con.sql(
        """SELECT target, (raw['fdl+'] + 1 - abs(raw['fdl-'])) / 2, list((src::BIGINT, dst::BIGINT, edge_type))
           FROM explanations JOIN explanation_edges USING (explanation_id) GROUP BY explanation_id, target, raw"""
    ).rows
    return [Held(*row, directed) for row in rows]


def test_patterns_are_those_of_the_twin(file):
    path, data, result = file
    with sxq.connect(path) as con:
        directed = not con.sql("SELECT undirected FROM graphs").rows[0][0]
        members = twins(con, directed)
    targets = len({member.target for member in members})
    known = every_typed_pattern(members, 3)
    assert result.patterns
    for pattern in result.patterns:
        assert pattern.labels == pattern.node_types
        kinds = zip(pattern.edge_types, pattern.arrows)
        graph = typed_graph_of(pattern.labels, pattern.edges, list(kinds))
        (held,) = [held for other, _, held in known if same_typed(other, graph)]
        assert (pattern.held_by, pattern.targets) == (len(held), targets)
        assert pattern.fidelity == pytest.approx(float(np.mean(list(held.values()))))
        assert same_typed_by_type(pattern.to_networkx(), graph)
    best = {
        (len(held), round(float(np.mean(list(held.values()))), 6), size)
        for _, size, held in known
        if len(held) >= 2
    }
    beaten = {a for a in best for b in best if a != b and all(x <= y for x, y in zip(a, b))}
    found = {(p.held_by, round(p.fidelity, 6), p.size) for p in result.patterns}
    assert found == best - beaten


def same_typed_by_type(one, other):
    """Whether the networkx graph of a pattern is the twin's, whose edges have a `relation`."""
    for *_, facts in one.edges(data=True):
        facts["relation"] = facts["edge_type"]
    return same_typed(one, other)


def test_what_is_stored_is_read_again_and_audited(file):
    path, _, result = file
    with sxq.connect(path) as con:
        con.register_model("m", ByType(file[1].edge_types).eval(), "bank", output="logits")
        again = stored_result(con.session, result.query_id)
        for one, other in zip(result.patterns, again.patterns, strict=True):
            assert one.node_types == other.node_types
            own = [sorted(zip(p.edges, p.edge_types, p.arrows, p.relations)) for p in (one, other)]
            assert own[0] == own[1]
        assert {row[-1] for row in con.execute("AUDIT").fetchall()} == {"ok"}
        kinds = con.sql(
            """SELECT DISTINCT c.edge_type = k.edge_type AND c.node_type IS NULL
               FROM candidates c LEFT JOIN edge_types k USING (edge_type) WHERE edited_src IS NOT NULL"""
        ).rows
        assert kinds == [(True,)]
        joined = con.sql(
            """SELECT count(*), count(e.edge) FROM (
                   SELECT DISTINCT edited_src, edited_dst, edge_type FROM candidates WHERE edited_src IS NOT NULL) c
               LEFT JOIN edges e ON (edited_src, edited_dst, c.edge_type) = (src, dst, e.edge_type)"""
        ).rows[0]
        assert joined[0] == joined[1] > 0


CHANGES = {
    "UPDATE sxq.pattern_edges SET edge_type = k.other FROM (SELECT a.edge_type, b.edge_type AS other"
    " FROM sxq.edge_types a JOIN sxq.edge_types b USING (src_type, dst_type)"
    " WHERE a.edge_type <> b.edge_type) k WHERE pattern_edges.edge_type = k.edge_type": "is not among",
    "UPDATE sxq.pattern_edges SET edge_type = 'x'": "has edge_type 'x', which the graph",
    "UPDATE sxq.pattern_nodes SET node_type = NULL": "has node_type None",
}


@pytest.mark.parametrize("file", [True], indirect=True)
def test_audit_notices_changed_types(file, tmp_path):
    path, _, _ = file
    copy = str(tmp_path / "changed.duckdb")
    shutil.copy(path, copy)
    with sxq.connect(copy) as con:  # nothing is measured, so it needs no model
        for change, said in CHANGES.items():
            con.execute(change)
            assert said in str(con.execute("AUDIT STRUCTURE").fetchall())


def test_pictures_reports_and_exports_carry_the_types(file, tmp_path):
    _, _, result = file
    shown = content(result)["patterns"]
    pattern = result.patterns[0]
    assert {text for text in shown[0]["relations"] if text}
    assert pattern.edge_types[0] in pattern.sentence()
    assert f" -{pattern.relations[0]}-" in pattern.row[-1]
    assert pattern.relations[0] in pattern._repr_html_()
    colours = {node["label"]: node["colour"] for node in shown[0]["nodes"]}
    assert len(set(colours.values())) == len(set(pattern.node_types))
    result.export(str(tmp_path / "found.json"))
    exported = json.loads((tmp_path / "found.json").read_text())["patterns"]
    assert [tuple(p["edge_types"]) for p in exported] == [p.edge_types for p in result.patterns]


def test_candidates_over_nodes_have_the_type_of_the_node():
    data = bank()
    with sxq.connect() as con:
        con.execute("SET sxq_keep_candidates = true")
        con.register_graph("bank", data)
        con.register_model("m", ByType(data.edge_types).eval(), "bank", output="logits")
        con.execute(
            "EXPLAIN NODE 3 USING MODEL m OVER NODES OPTIMIZE fdl+, conc BY onion BUDGET 40 CANDIDATES"
        )
        rows = con.sql(
            "SELECT DISTINCT node_type, edge_type FROM candidates WHERE edited_src IS NOT NULL"
        ).rows
        assert {kind for kind, _ in rows} == {"account", "shop"} and {e for _, e in rows} == {None}
