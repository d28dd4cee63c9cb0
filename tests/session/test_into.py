"""Tables of INTO hold keys in their own SQL type, as the views of the graph do."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import sxq
from tests import graphs, toys
from tests.link_models import DotGCN

ASK = "USING MODEL m OPTIMIZE fdl+, conc TOP 2 BUDGET 50 CANDIDATES"
KEYS = {
    "VARCHAR": "'acct-' || i",
    "BIGINT": "(i * 7)::INTEGER",
    "HUGEINT": "i::HUGEINT * 10000000000000000000",
    "DECIMAL(3,2)": "(i + i / 100)::DECIMAL(10, 2)",
    "UUID": "('00000000-0000-0000-0000-00000000000' || i)::UUID",
    "DATE": "DATE '2024-01-01' + i::INTEGER",
    "BIT": "('10' || bin(i + 8))::BIT",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KEYS)
def test_keys_have_the_type_that_the_views_have(kind):
    with sxq.connect() as con:
        con.execute(
            f"""CREATE TABLE a AS SELECT {KEYS[kind]} AS id, i % 2 AS label FROM range(8) t(i);
                CREATE TABLE e AS SELECT a.id AS src, b.id AS dst FROM a POSITIONAL JOIN (FROM a OFFSET 1) b
                WHERE b.id IS NOT NULL;
                CREATE GRAPH g FROM NODES (FROM a) EDGES (FROM e) (UNDIRECTED = true);
                TRAIN MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 1, HIDDEN = 4, EPOCHS = 1);
                EXPLAIN NODES (SELECT id FROM a) {ASK} INTO answers;
                PREDICT USING MODEL m INTO said"""
        )
        types = con.sql(
            "SELECT typeof(t.target), typeof(s.node), typeof(v.node) FROM answers t, said s, g.nodes v LIMIT 1"
        ).rows
        assert types == [(kind,) * 3]
        own = con.sql("SELECT target, rank FROM g.explanations ORDER BY ALL").rows
        assert con.sql("SELECT target, rank FROM answers ORDER BY ALL").rows == own != []
        joined = con.sql(
            "SELECT count(*) FROM a JOIN said ON id = node JOIN answers ON id = target"
        )
        assert joined.rows == [(len(own),)]


def test_positions_and_links(tmp_path):
    graph = graphs.random_graph(np.random.default_rng(4), 14, 20)
    with sxq.connect() as con:
        edges = torch.tensor(graph.edge_index)
        con.register_graph("g", Data(x=torch.tensor(graph.x), edge_index=edges))
        con.register_model("m", DotGCN())
        con.execute(f"EXPLAIN LINK 5 TO 9 {ASK} INTO answers")
        con.execute("PREDICT LINKS (SELECT 5, 9) USING MODEL m INTO said")
        kinds = con.sql("SELECT DISTINCT typeof(target) FROM answers").rows
        assert kinds == [("STRUCT(u BIGINT, v BIGINT)",)]
        assert con.sql("SELECT target.u + target.v, src, dst FROM answers, said LIMIT 1").rows == [
            (14, 5, 9)
        ]
        assert con.execute(f"EXPLAIN LINKS (SELECT src, dst FROM said) {ASK}").targets


def test_graphs_of_a_collection():
    with sxq.connect() as con:
        con.execute(
            """CREATE GRAPHS g FROM GRAPHS (SELECT 'g' || i AS id, i % 2 AS label FROM range(6) t(i))
                   NODES (SELECT 'g' || i AS graph, a, 1.0 AS x FROM range(6) t(i), range(4) u(a))
                   EDGES (SELECT 'g' || i AS graph, a, (a + 1) % 4 AS b FROM range(6) t(i), range(4) u(a));
               TRAIN MODEL m ON GRAPHS g (ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 4, EPOCHS = 1)"""
        )
        con.execute(
            f"EXPLAIN GRAPHS 'g1', 'g2' {ASK} INTO answers; PREDICT USING MODEL m INTO said"
        )
        found = con.sql("SELECT DISTINCT typeof(target), typeof(graph) FROM answers, said").rows
        assert found == [("VARCHAR", "VARCHAR")]


def test_a_prediction_is_typed_for_arrow():
    pa = pytest.importorskip("pyarrow")
    with sxq.connect() as con:
        con.register_graph("g", toys.payments_data())
        con.register_model("m", toys.Votes(), "g")
        made = con.execute("PREDICT USING MODEL m").arrow()
        assert made.schema.types[:3] == [pa.int64(), pa.int32(), pa.float64()]
