"""Heterogeneous graphs in SQL, in the store and in statements: OF TYPE, typed results, AUDIT."""

import datetime
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.nn import HeteroConv, SAGEConv
from torch_geometric.transforms import ToUndirected

import sxq
from sxq.graph import Graph, TypedKey, extract, shown_type
from sxq.language import parse, write
from sxq.language.statements import Units
from sxq.models import graph_from_data, hetero_from_graph
from sxq.pictures.scene import scene
from sxq.shell.completion import suggest
from sxq.storage import Store
from tests.graph.test_typed_graphs import fields_of
from tests.typed_graphs import heteros, random_hetero

TABLES = """
    CREATE TABLE accounts AS SELECT * FROM (VALUES (10, 0.5, 1.0, 'good', 'Oslo'), (11, 1.5, 2.0, 'bad', 'Rome'),
        (12, 2.5, 3.0, NULL, 'Bern')) t(id, balance, age, label, city);
    CREATE TABLE merchants AS SELECT * FROM (VALUES (11, 7.0), (20, 8.0)) t(id, size);
    CREATE TABLE purchases AS SELECT * FROM (VALUES (10, 11, 3.0), (12, 20, 4.0), (12, 20, 5.0)) t(payer, shop, amount);
    CREATE TABLE transfers AS SELECT * FROM (VALUES (10, 11), (11, 10), (12, 10)) t(payer, payee)"""
CREATE = """
    CREATE GRAPH bank FROM NODES account (SELECT * FROM accounts), NODES merchant (SELECT * FROM merchants),
        EDGES account -pays-> merchant (SELECT * FROM purchases),
        EDGES account -sends-> account (SELECT * FROM transfers)"""
ASK = "OPTIMIZE fdl+, fdl-, conc BUDGET 60 CANDIDATES"


def by_hand() -> HeteroData:
    data = HeteroData()
    data["account"].x = torch.tensor([[0.5, 1], [1.5, 2], [2.5, 3]])
    data["account"].y = torch.tensor([1, 0, -1])  # text is numbered in sorted order
    data["merchant"].x = torch.tensor([[7.0], [8.0]])
    data["account", "pays", "merchant"].edge_index = torch.tensor([[0, 2, 2], [0, 1, 1]])
    data["account", "pays", "merchant"].edge_attr = torch.tensor([[3.0], [4.0], [5.0]])
    data["account", "sends", "account"].edge_index = torch.tensor([[0, 1, 2], [1, 0, 0]])
    return data


class Typed(nn.Module):
    """Two layers of convolutions by type, with logits for accounts."""

    def __init__(self, types):
        super().__init__()
        torch.manual_seed(0)
        sizes = [{"account": 2, "merchant": 1}, {"account": 4, "merchant": 4}]
        self.layers = nn.ModuleList(
            HeteroConv({t: SAGEConv((size[t[0]], size[t[2]]), out) for t in types}, aggr="sum")
            for size, out in zip(sizes, (4, 2))
        )

    def forward(self, x_dict, edge_index_dict):
        x_dict = {name: x.tanh() for name, x in self.layers[0](x_dict, edge_index_dict).items()}
        return self.layers[1](x_dict, edge_index_dict)["account"]


@pytest.fixture
def bank():
    with sxq.connect() as con:
        con.execute(TABLES)
        con.execute(f"{CREATE} (UNDIRECTED = true)")
        types = con.session.registry.graphs["bank"].types.edge_types
        con.register_model("net", Typed(types).eval(), "bank")
        yield con


def graph_of(con, name="bank") -> Graph:
    return con.session.registry.graphs[name]


# -- in the store and from tables ----------------------------------------------------------------


@pytest.fixture(scope="module")
def store():
    with Store(":memory:") as opened:
        yield opened


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(heteros)
def test_a_graph_is_read_back_as_it_was_stored(store, data):
    graph = graph_from_data(data)
    number = store.save_graph("g", graph.content_hash, graph.columns(), True, replace=True)
    back = Graph(**store.load_graph(number))
    assert back.content_hash == graph.content_hash and back.types.widths == graph.types.widths
    found = fields_of(hetero_from_graph(back))
    for place, value in fields_of(data).items():
        assert value.dtype == found[place].dtype and torch.equal(value, found[place])


@pytest.mark.slow
def test_everything_is_there_after_reopening(tmp_path):
    path = tmp_path / "typed.duckdb"
    with sxq.connect(path) as con:
        con.execute(TABLES)
        made = con.execute(CREATE)
        before = graph_of(con)
        assert ("nodes merchant", "2, 1 feature") in made.rows
        assert ("edges account -pays-> merchant", "3, 1 feature") in made.rows
    with sxq.connect(path) as con:
        after = graph_of(con)
        assert after.content_hash == before.content_hash
        assert after.types.feature_names == (("balance", "age"), ("size",))
        assert after.attributes["city"] == ["Oslo", "Rome", "Bern", None, None]
        assert after.name(3) == ("merchant", 11) and after.key(0) == 10
        kinds = con.execute("SHOW GRAPHS").rows[0][-1]
        assert kinds == "directed, 2 node types"
        rows = con.sql("SELECT node_type, node, x FROM nodes ORDER BY position").rows
        assert rows[3] == ("merchant", 11, [7.0, 0.0])
        assert con.sql("SELECT DISTINCT edge_type FROM edges ORDER BY 1").rows == [
            ("account -pays-> merchant",),
            ("account -sends-> account",),
        ]
        assert con.sql("SELECT node_type, name FROM features ORDER BY ALL").rows == [
            ("account", "age"),
            ("account", "balance"),
            ("merchant", "size"),
        ]
        con.execute("DROP GRAPH bank")
        for table in ("nodes", "edges", "features", "node_types", "edge_types"):
            assert con.sql(f"SELECT count(*) FROM sxq.{table}").rows == [(0,)]


@pytest.mark.slow
def test_tables_make_the_graph_that_data_make():
    with sxq.connect() as con:
        con.execute(TABLES)
        con.execute(CREATE)
        made = graph_of(con)
        con.register_graph("hand", by_hand())
        hand = graph_of(con, "hand")
        plain = {**made.columns(), "keys": None, "attributes": {}}
        assert Graph(**plain).content_hash == hand.content_hash


@pytest.mark.slow
def test_undirected_adds_types_as_pyg_does(bank):
    made = graph_of(bank)
    wanted = graph_from_data(ToUndirected()(by_hand()))
    assert made.undirected and made.types.edge_types == wanted.types.edge_types
    assert made.types.edge_widths == wanted.types.edge_widths

    def rows(graph):
        return sorted(zip(*graph.edge_index.tolist(), graph.types.of_edge, graph.edge_attr[:, 0]))

    assert rows(made) == rows(wanted)


@pytest.mark.parametrize(
    "change, said",
    [
        (("-pays-> merchant", "-pays-> shop"), "ends of type shop; node types are account, merch"),
        (("NODES merchant", "NODES account"), "NODES account is given twice"),
        (
            ("SELECT * FROM merchants", "SELECT 11"),
            "EDGES account -pays-> merchant: row 2 of EDGES",
        ),
        (("FROM merchants", "FROM merchants WHERE id > 50"), "NODES merchant: NODES gave no rows"),
        (
            ("* FROM merchants", "id::VARCHAR FROM merchants"),
            "of account an integer, of merchant te",
        ),
        (
            ("* FROM transfers", "*, 1 AS weight FROM transfers"),
            "-sends-> account have a weight, acc",
        ),
        (
            ("* FROM transfers", "payer FROM transfers"),
            "account -sends-> account: EDGES has 1 colu",
        ),
    ],
)
def test_tables_that_make_no_graph_are_refused(change, said):
    with sxq.connect() as con:
        con.execute(TABLES)
        with pytest.raises(sxq.GraphError, match=said):
            con.execute(CREATE.replace(*change))


MIXED = """
CREATE TABLE people AS SELECT * FROM (VALUES (1, 'old', 3.0, 'good'), (2, NULL, 500.0, 'bad'),
    (3, 'new', 4.0, 'good'), (4, 'new', NULL, 'good')) t(id, kind, amount, label);
CREATE TABLE shops AS SELECT * FROM (VALUES (1, DATE '2024-01-01'), (2, DATE '2024-03-01')) t(id, since);
CREATE TABLE visits AS SELECT * FROM (VALUES (1, 1), (2, 2), (9, 1), (3, 8), (NULL, 1), (4, 2)) t(a, b);
"""
MIXED_GRAPH = (
    "CREATE GRAPH mixed FROM NODES person (FROM people), NODES shop (FROM shops),"
    " EDGES person -visits-> shop (FROM visits)"
)


def test_edges_of_types_are_scaled_and_keep_their_texts():
    with sxq.connect() as con:
        con.execute(MIXED)
        visits = "(SELECT *, a * 1000.0 AS paid, 'v' || b AS note FROM visits)"
        options = "ENCODE = auto, SCALE = standard, DANGLING = drop, UNDIRECTED = true"
        friends = "EDGES person -knows-> person (SELECT 1 AS a, 2 AS b, DATE '2024-05-05' AS day)"
        made = MIXED_GRAPH.replace("(FROM visits)", visits)
        said = dict(con.execute(f"{made}, {friends} ({options})").rows)
        assert "mean 0" in said["edge column person -visits-> shop.paid"]
        found = con.sql(
            "SELECT edge_type, src, dst, paid, note, day FROM mixed.edges ORDER BY ALL"
        ).rows
        assert (1, 1, 1000.0, "v1", None) in {row[1:] for row in found if "rev" not in row[0]}
        assert (2, 4, 4000.0, "v2", None) in {row[1:] for row in found if "rev" in row[0]}
        assert [row[5] for row in found if "knows" in row[0]] == [datetime.date(2024, 5, 5)] * 2
        scaled = con.session.registry.graphs.of_kind("graph", "mixed").edge_attr
        assert abs(scaled[:3].mean()) < 1e-6 and abs(scaled[:3].std() - 1) < 1e-6


@pytest.mark.slow
def test_tables_of_types_are_encoded_type_by_type(tmp_path):
    path = str(tmp_path / "mixed.duckdb")
    with sxq.connect(path) as con:
        con.execute(MIXED)
        said = dict(
            con.execute(
                f"{MIXED_GRAPH} (ENCODE = auto, SCALE = standard, DANGLING = drop)"
            ).fetchall()
        )
        assert said["dangling edges"] == "3 of 6 person -visits-> shop dropped"
        assert said["names of classes"] == "bad, good"
        assert {"column person.kind", "column person.amount", "column shop.since"} <= set(said)
        con.execute(
            "CREATE GRAPH again FROM NODES person (SELECT 7 AS id, 'old' AS kind, 3.0 AS amount, 'bad' AS label),"
            " NODES shop (SELECT 7 AS id, DATE '2024-01-31' AS since), EDGES person -visits-> shop"
            " (SELECT 7 AS a, 7 AS b) (ENCODE = mixed)"
        )
    with sxq.connect(path) as con:
        mixed, again = (con.session.registry.graphs.of_kind("graph", n) for n in ("mixed", "again"))
        types = mixed.types
        assert types.feature_names[0] == tuple(
            name for name in types.feature_names[0] if not name.startswith("person")
        )
        assert again.types.widths == types.widths
        assert again.x[0].tolist() == pytest.approx(mixed.x[mixed.position(1, "person")].tolist())
        assert again.y[0] == 0  # bad, as in the first graph
        assert mixed.feature_text(int(types.first_feature[1]), float(mixed.x[4, 0])) == "2024-01-01"


def test_names_of_classes_of_two_types_do_not_fit_one_encoding():
    with sxq.connect() as con:
        con.execute(MIXED)
        both = MIXED_GRAPH.replace("(FROM shops)", "(SELECT id, 'x' || id AS label FROM shops)")
        with pytest.raises(sxq.GraphError, match="labels of nodes person and shop are text"):
            con.execute(f"{both} (ENCODE = auto, DANGLING = drop)")


# -- statements ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_targets_are_named_by_key_and_type(bank):
    result = bank.execute(f"EXPLAIN NODES 10, 11 OF TYPE account USING MODEL net {ASK}")
    assert result.columns[:2] == ["target", "node_type"]
    assert {row[:2] for row in result.rows} <= {(10, "account"), (11, "account")}
    assert result.targets[1].target == TypedKey("account", 11)
    same = bank.execute(f"EXPLAIN NODES 10, 11 USING MODEL net {ASK}")  # its model is of accounts
    assert same.rows == result.rows
    built = bank.explain(query="SELECT id FROM accounts WHERE id < 12", node_type="account")
    query = built.using("net").optimize("fdl+", "fdl-", "conc").budget(60)
    assert "OF TYPE account" in str(query) and query.run().rows == result.rows
    stored = bank.sql("SELECT query_id, target, node_type FROM targets ORDER BY ALL").rows
    assert stored[:2] == [(1, 10, "account"), (1, 11, "account")]
    types = bank.sql("SELECT DISTINCT edge_type FROM explanation_edges").rows
    assert ("merchant -rev_pays-> account",) in types
    findings = bank.execute("AUDIT")
    assert findings.findings == 0 and findings.explanations == len(result) * 3


@pytest.mark.slow
@pytest.mark.parametrize("clause", ["EDGES DIRECTED", "OVER NODES", "INCLUDE 12->10 ANYWHERE"])
def test_audit_measures_every_kind_of_units(bank, clause):
    result = bank.execute(f"EXPLAIN NODES 10, 12 USING MODEL net {ASK} {clause} INTO answers")
    assert len(result) and bank.execute("AUDIT").findings == 0
    assert bank.sql("SELECT count(*) FROM answers WHERE node_type = 'account'").rows == [
        (len(result),)
    ]


@pytest.mark.slow
def test_audit_finds_another_type(bank):
    bank.execute(f"EXPLAIN NODE 12 USING MODEL net {ASK}")
    bank.sql(
        "UPDATE sxq.explanation_edges SET edge_type = 'account -sends-> account'"
        " WHERE edge_type = 'account -pays-> merchant'"
    )
    found = bank.execute("AUDIT")
    assert found.findings and "is not in the graph" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement, error, said",
    [
        (
            "EXPLAIN NODE 20 OF TYPE merchant",
            sxq.InvalidValue,
            "is a merchant, but model 'net' has",
        ),
        ("EXPLAIN NODE 20", sxq.NodeNotFound, "no node 20 of type account"),
        ("EXPLAIN NODE 10 OF TYPE shop", sxq.UnknownName, "no node type named 'shop'; known: acc"),
    ],
)
def test_targets_that_are_none(bank, statement, error, said):
    with pytest.raises(error, match=said):
        bank.execute(f"{statement} USING MODEL net {ASK}")


@pytest.mark.slow
def test_predict_says_the_type(bank):
    said = bank.execute("PREDICT NODES 10, 12 OF TYPE account USING MODEL net INTO said")
    assert said.columns[:3] == ["node", "node_type", "prediction"]
    assert [row[:2] for row in said.rows] == [(10, "account"), (12, "account")]
    assert len(bank.execute("PREDICT USING MODEL net")) == 3
    assert bank.sql("SELECT DISTINCT node_type FROM said").rows == [("account",)]


@pytest.mark.slow
def test_of_type_without_types():
    with sxq.connect() as con:
        edges = torch.tensor([[0, 1], [1, 2]])
        y = torch.tensor([0, 1, 0])
        con.register_graph("g", Data(x=torch.eye(3), edge_index=edges, y=y, train_mask=y > -1))
        con.execute("TRAIN MODEL m ON GRAPH g (EPOCHS = 1)")
        with pytest.raises(sxq.InvalidValue, match="OF TYPE a, but the nodes of 'g' have no types"):
            con.execute("EXPLAIN NODE 1 OF TYPE a USING MODEL m OPTIMIZE fdl+")


def test_parallel_edges_of_two_types_are_two_units():
    data = random_hetero(3, attributes=False)
    data["account", "pays", "merchant"].edge_index = torch.tensor([[0], [0]])
    data["account", "refunds", "merchant"].edge_index = torch.tensor([[0], [0]])
    for name in ("pays", "refunds"):
        data["merchant", f"rev_{name}", "account"].edge_index = torch.tensor([[0], [0]])
    graph = graph_from_data(data)
    field = extract(graph, 0, 1, 0)
    to_merchant = field.ends[:, (graph.types.of_node[field.nodes[field.ends]] == 1).any(axis=0)]
    assert to_merchant.shape[1] == 2 and np.unique(to_merchant, axis=1).shape[1] == 1


@pytest.mark.slow
def test_a_query_that_was_cut_short_is_resumed(bank):
    bank.execute(f"EXPLAIN NODES 10, 11, 12 USING MODEL net {ASK}")
    found = "explanation_id IN (SELECT explanation_id FROM sxq.explanations WHERE target <> 10)"
    bank.sql(f"DELETE FROM sxq.explanation_edges WHERE {found}")
    bank.sql("DELETE FROM sxq.explanations WHERE target <> 10")
    bank.sql("UPDATE sxq.targets SET status = 'interrupted' WHERE target <> 10")
    result = bank.execute("RESUME QUERY 1")
    assert [report.target for report in result.targets] == [("account", 11), ("account", 12)]
    assert bank.execute("AUDIT").findings == 0


@pytest.mark.slow
def test_include_and_exclude_name_the_edges_of_all_types():
    data = by_hand()
    data["account", "refunds", "merchant"].edge_index = torch.tensor([[2], [1]])
    data["account", "refunds", "merchant"].edge_attr = torch.tensor([[1.0]])
    data = ToUndirected()(data)
    graph = graph_from_data(data)
    with sxq.connect() as con:
        con.register_graph("g", Graph(**{**graph.columns(), "keys": ["a", "b", "c", "x", "y"]}))
        con.register_model("net", Typed(graph.types.edge_types).eval(), "g")
        ask = f"EXPLAIN NODE 'c' USING MODEL net {ASK}"
        without = con.execute(f"{ask} EXCLUDE 'c'->'y'")
        assert all((("account", "c"), ("merchant", "y")) not in e.edges for e in without)
        kept = con.execute(f"{ask} INCLUDE 'c'->'y'")
        for e in kept:
            number = sum(edge == (("account", "c"), ("merchant", "y")) for edge in e.edges)
            assert number == 3 and e.size >= 2  # two payments are one unit, the refund is another
        assert con.execute("AUDIT").findings == 0


# -- what is drawn and handed on -----------------------------------------------------------------


@pytest.mark.slow
def test_pictures_colour_types_and_name_relations(bank, tmp_path):
    result = bank.execute(f"EXPLAIN NODE 12 USING MODEL net {ASK}")
    drawn = scene(result.explanations)
    assert [name for name, _ in drawn.legend()] == ["account", "merchant"]
    fills = dict(zip(drawn.names(), drawn.fills()))
    assert fills["account 10"] == fills["account 12"] != fills["merchant 20"]
    said = {name for relations in drawn.relations for name in relations}
    assert said and said <= {"pays", "sends"}
    page = result.to_html()
    assert '"legend":[["account",' in page and '["type","merchant"]' in page
    assert "<title>sends</title>" in result._repr_html_()
    result.plot(str(tmp_path / "r.png"), target=12)
    net = result[0].to_networkx()
    types = {facts["edge_type"] for _, _, facts in net.edges(data=True)}
    assert types <= set(map(shown_type, graph_of(bank).types.edge_types))
    result.export(str(tmp_path / "r.json"))
    first = json.loads((tmp_path / "r.json").read_text())["targets"][0]
    assert first["target"] == {"key": 12, "node_type": "account"}
    result.export(str(tmp_path / "r.graphml"))


@pytest.mark.slow
def test_an_explanation_is_hetero_data(bank):
    graph = graph_of(bank)
    for e in bank.execute(f"EXPLAIN NODE 12 USING MODEL net {ASK}"):
        part = e.to_data()
        assert part.target_type == "account" and part["account"].nodes[part.target] == 2
        edges = []
        for kind in part.edge_types:
            ends = [part[end].nodes[row] for end, row in zip(kind[::2], part[kind].edge_index)]
            keys = [
                [TypedKey(end, graph.key(graph.types.starts[graph.types.number_of(end)] + int(n)))
                 for n in row]
                for end, row in zip(kind[::2], ends)
            ]  # fmt: skip
            edges += zip(*keys)
        assert sorted(edges) == sorted(e.edges)


@pytest.mark.slow
def test_one_call():
    data = ToUndirected()(by_hand())
    model = Typed(data.edge_types).eval()
    found = sxq.explain(model, data, 2, node_type="account", budget=50)
    assert len(found) and found.targets[0].target == ("account", 2)


@pytest.mark.slow
def test_names_of_types_are_completed(bank):
    with sxq.connect() as con:
        assert not con.vocabulary().node_types
    words = suggest("EXPLAIN NODE 1 OF TYPE ", bank.vocabulary())[1]
    assert words[:2] == ["account", "merchant"]


# -- keys that nodes of several types have -------------------------------------------------------


def numbered() -> HeteroData:
    """Accounts and merchants 0 to 3. Edge 1->0 joins accounts, 2->0 two pairs of types, 3->1 none."""
    data = HeteroData()
    generator = torch.Generator().manual_seed(2)
    data["account"].x = torch.randn(4, 2, generator=generator)
    data["account"].y = torch.tensor([0, 1, 0, 1])
    data["merchant"].x = torch.randn(4, 1, generator=generator)
    data["account", "sends", "account"].edge_index = torch.tensor([[1, 2, 3, 0], [0, 0, 2, 1]])
    data["merchant", "refunds", "account"].edge_index = torch.tensor([[2, 3, 0], [0, 0, 2]])
    data["account", "pays", "merchant"].edge_index = torch.tensor([[3], [3]])
    return data


@pytest.fixture
def alike():
    with sxq.connect() as con:
        data = numbered()
        con.register_graph("g", data)
        con.register_model("net", Typed(data.edge_types).eval(), "g", node_type="account")
        yield con


ALIKE = f"EXPLAIN NODE 0 OF TYPE account USING MODEL net {ASK}"


@pytest.mark.slow
def test_an_edge_is_between_the_types_that_the_graph_joins(alike):
    edge = ("account", 1), ("account", 0)
    kept = alike.execute(f"{ALIKE} INCLUDE 1->0")
    assert len(kept) and all(edge in e.edges for e in kept)
    assert all(edge not in e.edges for e in alike.execute(f"{ALIKE} EXCLUDE (SELECT 1, 0)"))
    assert alike.execute("AUDIT").findings == 0


@pytest.mark.slow
def test_an_edge_of_several_types_says_them(alike):
    said = (
        "INCLUDE 2->0 is an edge of several types; write 2 OF TYPE account -> 0 OF TYPE account or "
        "2 OF TYPE merchant -> 0 OF TYPE account"
    )
    with pytest.raises(sxq.InvalidValue, match=said):
        alike.execute(f"{ALIKE} INCLUDE 2->0")
    edge = ("merchant", 2), ("account", 0)
    kept = alike.execute(f"{ALIKE} INCLUDE 2 OF TYPE merchant -> ? OF TYPE account", [0])
    assert len(kept) and all(edge in e.edges for e in kept)
    built = alike.explain(node=("account", 0)).using("net").optimize("fdl+", "fdl-", "conc")
    assert built.budget(60).include(edge).run().rows == kept.rows
    with pytest.raises(sxq.InvalidValue, match="INCLUDE 3->1, but the graph has no such edge: nei"):
        alike.execute(f"{ALIKE} INCLUDE 3->1")
    assert alike.execute("AUDIT").findings == 0


@pytest.mark.slow
def test_nodes_are_named_with_their_types(alike):
    with pytest.raises(sxq.NodeNotFound, match=r"OF TYPE account, in Python \('account', 2\)"):
        alike.execute(f"{ALIKE} OVER NODES INCLUDE NODES 2")
    some = "OVER NODES EXCLUDE NODES 1, 2 OF TYPE account, 3 OF TYPE merchant"
    result = alike.execute(f"{ALIKE} {some} ANYWHERE")
    nodes = {node for e in result for edge in e.edges for node in edge}
    assert nodes == {("account", 0), ("merchant", 2)}
    for nodes_of in ("NODES ? OF TYPE merchant", "NODES (SELECT 2) OF TYPE merchant"):
        values = [[2]] if "?" in nodes_of else None
        kept = alike.execute(f"{ALIKE} OVER NODES INCLUDE {nodes_of}", values)
        assert len(kept) and all(("merchant", 2) in sum(e.edges, ()) for e in kept)
    assert alike.execute("AUDIT").findings == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "clause",
    [
        "INCLUDE 2 OF TYPE merchant -> 0 OF TYPE account",
        "OVER NODES INCLUDE NODES 2 OF TYPE merchant EXCLUDE NODES 1 OF TYPE account",
    ],
)
def test_types_of_restrictions_are_resumed(alike, clause):
    first = alike.execute(f"{ALIKE} {clause}")
    alike.sql("DELETE FROM sxq.explanation_edges")
    alike.sql("DELETE FROM sxq.explanation_nodes")
    alike.sql("DELETE FROM sxq.explanations")
    alike.sql("UPDATE sxq.targets SET status = 'interrupted'")
    assert alike.execute("RESUME QUERY 1").rows == first.rows
    assert alike.execute("AUDIT").findings == 0


@pytest.mark.slow
def test_a_target_is_a_pair(alike):
    wanted = alike.execute(ALIKE).rows
    ask = f"EXPLAIN NODE ? USING MODEL net {ASK}"
    for pair in (("account", 0), TypedKey("account", 0)):
        assert alike.execute(ask, [pair]).rows == wanted
        built = alike.explain(node=pair).using("net").optimize("fdl+", "fdl-", "conc").budget(60)
        assert "NODE 0 OF TYPE account" in str(built) and built.run().rows == wanted
        assert alike.explain(nodes=[pair]).using("net").optimize("fdl+").run().targets
    with pytest.raises(sxq.GraphError, match="no node type 'shop'"):
        alike.execute(ask, [("shop", 0)])


@pytest.mark.parametrize(
    "clause",
    [
        "EXCLUDE 5 OF TYPE merchant->0 OF TYPE account, 1->2",
        'INCLUDE NODES 5, 7 OF TYPE account, 2 OF TYPE "a b", 9',
        "INCLUDE NODES 5, 7 OF TYPE account EXCLUDE NODES (SELECT 1) OF TYPE account",
    ],
)
def test_types_of_keys_are_written_as_they_are_read(clause):
    statement = parse(f"EXPLAIN NODE 1 OF TYPE account USING MODEL m OPTIMIZE fdl+ {clause}")
    assert replace(parse(write(statement)), text=statement.text) == statement


def test_of_type_is_that_of_all_keys_before_it():
    text = "EXPLAIN NODE 1 USING MODEL m OPTIMIZE conc INCLUDE NODES 5, 7 OF TYPE a, 2 OF TYPE b, 9"
    assert parse(text).include == Units("nodes", (("a", 5), ("a", 7), ("b", 2), 9))


@pytest.mark.slow
def test_a_sub_query_of_edges_says_their_types_row_by_row(bank):
    ask = f"EXPLAIN NODE 12 USING MODEL net {ASK}"
    rows = "SELECT src, dst, edge_type FROM edges WHERE edge_type = 'account -pays-> merchant' AND src = 12"
    free = bank.execute(ask)
    result = bank.execute(f"{ask} EXCLUDE ({rows})")
    paid = bank.execute(rows).fetchall()
    assert paid
    gone = {(TypedKey("account", source), TypedKey("merchant", head)) for source, head, _ in paid}
    assert any(set(e.edges) & gone for e in free)
    assert not any(set(e.edges) & gone for e in result)
    with pytest.raises(
        sxq.DataError, match="returned the edge type 'what'; those of the graph are"
    ):
        bank.execute(f"{ask} EXCLUDE (SELECT src, dst, 'what' FROM edges)")
    with pytest.raises(sxq.DataError, match="expected two"):
        bank.execute(f"{ask} EXCLUDE (SELECT 1, 2, 'x', 4)")


@pytest.mark.slow
def test_targets_with_and_without_their_type_can_be_resumed(bank):
    result = (
        bank.explain(nodes=[("account", 12), 10])
        .using("net")
        .optimize("fdl+", "conc")
        .budget(20)
        .run()
    )
    assert {target.target for target in result.targets} == {
        TypedKey("account", 12),
        TypedKey("account", 10),
    }
    again = bank.execute(f"RESUME QUERY {result.query_id}")
    assert "nothing to resume" in again.notes()[0] and again.rows == result.rows


def test_a_graph_whose_edge_types_have_no_edges_is_registered():
    data = by_hand()
    for name in data.edge_types:
        data[name].edge_index = torch.zeros(2, 0, dtype=torch.long)
        data[name].pop("edge_attr", None)
    with sxq.connect() as con:
        con.register_graph("bank", data)
        con.register_model("m", Typed(data.edge_types).eval(), "bank", output="logits")
        result = con.execute(f"EXPLAIN NODE 1 OF TYPE account USING MODEL m {ASK}")
        assert result.targets[0].note.startswith("no candidate")
