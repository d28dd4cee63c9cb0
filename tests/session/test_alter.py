"""ALTER GRAPH: a new version that is the graph made anew from the whole tables; old answers stay what they were."""

import datetime

import pytest

import sxq
from sxq.errors import Error, GraphError, InvalidValue, StoreError, TransactionOpen, UnknownName
from tests import toys

TABLES = """
CREATE TABLE people AS SELECT 'p' || i AS id, (i * 7 % 5) AS age, [i % 3, i % 2] AS x, i % 2 AS label,
    'city' || i % 3 AS city, CASE WHEN i % 4 = 0 THEN 'test' ELSE 'train' END AS split FROM range(14) t(i);
CREATE TABLE calls AS SELECT 'p' || i % 12 AS src, 'p' || (i * 5 + 1) % 12 AS dst, (1 + i % 3)::DOUBLE AS weight,
    i::DOUBLE AS amount, DATE '2026-01-01' + i::INTEGER AS day FROM range(30) t(i);
"""
MORE = """
CREATE TABLE late_people AS SELECT 'q' || i AS id, i AS age, [1, 0] AS x, 1 AS label, 'city9' AS city, NULL AS split
    FROM range(3) t(i);
CREATE TABLE late_calls AS SELECT 'q' || i AS src, 'p' || i AS dst, 2.0 AS weight, 7.5 AS amount,
    DATE '2026-03-01' AS day FROM range(3) t(i);
"""


@pytest.fixture
def con():
    with sxq.connect() as con:
        con.execute(TABLES + MORE)
        con.execute("CREATE GRAPH g FROM NODES (FROM people) EDGES (FROM calls)")
        yield con


def graph(con, name="g"):
    return con.session.registry.graphs[name]


def content(con, name="g"):
    """The rows of the tables, without the number of the graph."""
    held = con.session.registry.graphs.id_of(name)
    nodes = "SELECT position, node, label, split, x, attributes FROM nodes WHERE graph_id = ? ORDER BY ALL"
    edges = "SELECT edge, src, dst, weight, attr FROM edges WHERE graph_id = ? ORDER BY ALL"
    return [con.execute(sql, [held]).rows for sql in (nodes, edges)]


def test_a_new_version_is_the_graph_of_all_rows(con):
    row = (
        con.execute("ALTER GRAPH g ADD NODES (FROM late_people), ADD EDGES (FROM late_calls)")
        .df()
        .iloc[0]
    )
    assert (row.version, row.nodes_added, row.edges_added, row.nodes, row.edges) == (
        2,
        3,
        3,
        17,
        33,
    )
    con.execute(
        "CREATE GRAPH whole FROM NODES (FROM people UNION ALL FROM late_people)"
        " EDGES (FROM calls UNION ALL FROM late_calls)"
    )
    assert graph(con).content_hash == graph(con, "whole").content_hash
    assert dict(con.execute("DESCRIBE GRAPH g").rows)["version"] == "2"
    assert content(con) == content(con, "whole")
    assert graph(con).edge_attributes == graph(con, "whole").edge_attributes


def test_columns_are_matched_by_name_in_any_order(con):
    con.execute(
        "ALTER GRAPH g ADD NODES (SELECT id, CITY, x, split, label, age FROM late_people),"
        " ADD EDGES (SELECT src, dst, day, amount, weight FROM late_calls)"
    )
    con.execute(
        "CREATE GRAPH whole FROM NODES (FROM people UNION ALL FROM late_people)"
        " EDGES (FROM calls UNION ALL FROM late_calls)"
    )
    assert graph(con).content_hash == graph(con, "whole").content_hash


def test_removed_edges_are_gone_and_the_others_keep_their_order(con):
    con.execute(
        "ALTER GRAPH g REMOVE EDGES (SELECT src, dst FROM calls WHERE day < DATE '2026-01-04')"
    )
    gone = {
        (u, v)
        for u, v in con.execute(
            "FROM (SELECT src, dst FROM calls WHERE day < DATE '2026-01-04')"
        ).rows
    }
    left = [
        row
        for row in con.execute("SELECT src, dst, weight FROM calls ORDER BY day").rows
        if row[:2] not in gone
    ]
    held = graph(con)
    names = [
        (held.key(u), held.key(v), w) for (u, v), w in zip(held.edge_index.T, held.edge_weight)
    ]
    assert names == left


def test_more_columns_choose_among_parallel_edges(con):
    con.execute(
        "INSERT INTO calls VALUES ('p1', 'p2', 1.0, 100.0, DATE '2026-02-01'), ('p1', 'p2', 1.0, 200.0, NULL)"
    )
    con.execute("CREATE OR REPLACE GRAPH g FROM NODES (FROM people) EDGES (FROM calls)")
    edges = graph(con).num_edges
    con.execute("ALTER GRAPH g REMOVE EDGES (SELECT 'p1' AS a, 'p2' AS b, 200.0 AS amount)")
    assert graph(con).num_edges == edges - 1
    assert 200.0 not in graph(con).edge_attr[:, 0] and 100.0 in graph(con).edge_attr[:, 0]
    with pytest.raises(
        GraphError, match=r"1 row of REMOVE EDGES is no edge of the graph with these values"
    ):
        con.execute("ALTER GRAPH g REMOVE EDGES (SELECT 'p1' AS a, 'p2' AS b, 201.0 AS amount)")


def test_undirected_graphs_stay_pairs():
    with sxq.connect() as con:
        con.execute("CREATE GRAPH karate FROM DATASET 'KarateClub'")
        before = graph(con, "karate").content_hash
        con.execute(
            "ALTER GRAPH karate ADD EDGES (SELECT 4 AS u, 30 AS v UNION ALL SELECT 30, 4 UNION ALL SELECT 9, 9)"
        )
        held = graph(con, "karate")
        assert held.undirected and held.num_edges == 156 + 3
        con.execute("ALTER GRAPH karate REMOVE EDGES (VALUES (30, 4), (9, 9))")
        assert graph(con, "karate").content_hash == before
        assert con.execute("SHOW GRAPHS").rows and con.sql("SELECT count(*) FROM graphs").rows == [
            (1,)
        ]
        con.execute(
            "ALTER GRAPH karate ADD NODES (SELECT 34 AS id, ? AS x, 2 AS label, 'train' AS split)",
            [[1.0] + [0.0] * 33],
        )
        con.execute("ALTER GRAPH karate ADD EDGES (SELECT 34, 0)")
        assert graph(con, "karate").undirected and graph(con, "karate").num_edges == 158


def directed(con, *edges):
    con.execute(
        "CREATE OR REPLACE GRAPH d FROM NODES (SELECT i AS id, i AS f FROM range(6) t(i))"
        f" EDGES (SELECT * FROM (VALUES {', '.join(map(str, edges))}) t(u, v))"
    )


def test_what_is_left_of_a_directed_graph_makes_no_pairs():
    with sxq.connect() as con:
        directed(con, (0, 1), (1, 2), (4, 4))
        every = "REMOVE EDGES (VALUES (0, 1), (1, 2))"
        con.execute(f"ALTER GRAPH d {every}, ADD EDGES (SELECT 0, 3)")
        assert graph(con, "d").edge_index.T.tolist() == [[4, 4], [0, 3]]
        directed(con, (0, 1), (1, 2), (4, 4))
        said = con.execute(f"ALTER GRAPH d {every}").df().iloc[0]
        assert said.undirected and "units are pairs of edges" in said.notes
        said = con.execute("ALTER GRAPH d ADD EDGES (SELECT 0, 3)").df().iloc[0]
        assert said.edges_added == 1 and "units are directed edges" in said.notes
        directed(con, (0, 1))
        con.execute("ALTER GRAPH d ADD EDGES (SELECT 1, 0), ADD EDGES (SELECT 2, 3)")
        assert graph(con, "d").edge_index.T.tolist() == [[0, 1], [1, 0], [2, 3]]
        directed(con, (0, 1), (1, 2), (2, 1))
        con.execute("ALTER GRAPH d REMOVE EDGES (SELECT 0, 1), REMOVE EDGES (SELECT 1, 2)")
        assert graph(con, "d").edge_index.T.tolist() == [[2, 1]]


def test_an_undirected_graph_stays_so_though_all_edges_go_first():
    with sxq.connect() as con:
        directed(con, (0, 1), (1, 0))
        con.execute("ALTER GRAPH d REMOVE EDGES (SELECT 0, 1), ADD EDGES (SELECT 2, 3)")
        assert graph(con, "d").edge_index.T.tolist() == [[2, 3], [3, 2]]


def test_an_encoding_applies_to_new_rows(con):
    con.execute(
        "CREATE GRAPH e FROM NODES (SELECT id, city, age, DATE '2026-01-01' + age::INTEGER AS born,"
        " CASE label WHEN 0 THEN 'no' ELSE 'yes' END AS label FROM people)"
        " EDGES (SELECT src, dst FROM calls) (ENCODE = auto, SCALE = standard)"
    )
    new = (
        "SELECT 'z' AS id, 'city1' AS city, NULL AS age, DATE '2026-01-03' AS born, 'yes' AS label"
    )
    con.execute(f"ALTER GRAPH e ADD NODES ({new})")
    held = graph(con, "e")
    assert held.y[-1] == 1 and held.attributes["label_name"][-1] == "yes"
    one = [position for position in range(14) if held.attributes["city"][position] == "city1"][0]
    cities = [i for i, name in enumerate(held.feature_names) if "city" in name]
    assert (held.x[-1, cities] == held.x[one, cities]).all()
    with pytest.raises(GraphError, match="'perhaps'"):
        con.execute(f"ALTER GRAPH e ADD NODES ({new.replace('yes', 'perhaps').replace('z', 'y')})")


def test_a_label_that_no_model_predicts_is_told(con):
    con.execute(
        "CREATE OR REPLACE GRAPH g FROM NODES (SELECT * EXCLUDE x FROM people) EDGES (FROM calls)"
    )
    con.execute("TRAIN MODEL m ON GRAPH g (ARCHITECTURE = gcn, LAYERS = 1, EPOCHS = 1)")
    late = "SELECT * EXCLUDE x REPLACE ({} AS label) FROM late_people LIMIT 1"
    row = con.execute(f"ALTER GRAPH g ADD NODES ({late.format(7)})").df().iloc[0]
    assert "label 7 of 1 node: model m predicts only the classes 0 to 1" in row.notes
    con.execute(
        "CREATE OR REPLACE GRAPH h FROM NODES (SELECT * EXCLUDE x FROM people) EDGES (FROM calls)"
    )
    con.execute("TRAIN MODEL n ON GRAPH h (ARCHITECTURE = gcn, LAYERS = 1, EPOCHS = 1)")
    assert con.execute(f"ALTER GRAPH h ADD NODES ({late.format(1)})").df().iloc[0].notes == ""


SCALED = """CREATE GRAPH e FROM NODES (SELECT DISTINCT src FROM calls UNION SELECT dst FROM calls)
    EDGES (SELECT src, dst, 1000.0 * amount AS amount, amount > 2 AS large, [amount, 7.0] AS list, day FROM calls)
    (ENCODE = auto, SCALE = standard)"""
NEW_EDGE = "SELECT 'p1', 'p1', 12345.678 AS amount, true AS large, [1, 2] AS list, DATE '2026-02-02' AS day"


def test_new_edges_are_scaled_as_those_that_are_there(con):
    con.execute(SCALED)
    first = graph(con, "e")
    assert abs(first.edge_attr[:, 0].mean()) < 1e-5 and abs(first.edge_attr[:, 0].std() - 1) < 1e-5
    assert set(first.edge_attr[:, 1].tolist()) <= {0.0, 1.0}  # a boolean stays as it is
    assert (first.edge_attr[:, 3] == 0).all()  # a constant
    con.execute(f"ALTER GRAPH e ADD EDGES ({NEW_EDGE})")
    amounts = con.sql("SELECT 1000.0 * amount FROM calls").df().to_numpy(float)
    scaled = (12345.678 - amounts.mean()) / amounts.std()
    assert graph(con, "e").edge_attr[-1, 0] == pytest.approx(scaled, abs=1e-5)
    newest = "SELECT amount, large, list, day FROM e.edges ORDER BY edge DESC LIMIT 1"
    assert con.sql(newest).rows == [(12345.678, 1.0, [1.0, 2.0], datetime.date(2026, 2, 2))]
    con.execute("ALTER GRAPH e REMOVE EDGES (SELECT 'p1', 'p1', 12345.678 AS amount)")
    assert graph(con, "e").content_hash == first.content_hash
    with pytest.raises(GraphError, match="column 'amount' is text at 'p1' -> 'p1' in row 1"):
        con.execute(f"ALTER GRAPH e ADD EDGES ({NEW_EDGE.replace('12345.678', repr('x'))})")


def test_edges_of_another_graph_are_scaled_alike(con):
    con.execute(SCALED)
    again = SCALED.replace("GRAPH e", "GRAPH f").replace("auto, SCALE = standard", "e")
    con.execute(again.replace("day FROM calls)", "day FROM calls LIMIT 3)"))
    assert (graph(con, "f").edge_attr == graph(con, "e").edge_attr[:3]).all()
    without = again.replace("GRAPH f", "GRAPH h").replace("1000.0 * amount AS amount,", "")
    with pytest.raises(GraphError, match="no numeric column 'amount', which the encoding needs"):
        con.execute(without)


WRONG = {
    "ADD NODES (SELECT * REPLACE ('p1' AS id) FROM late_people LIMIT 1)": "1 row of .* already, such as 'p1'",
    "ADD NODES (SELECT * FROM late_people UNION ALL FROM late_people)": "3 rows .* a repeated key, such as 'q",
    "ADD NODES (SELECT id, age, x, label, split FROM late_people)": "no column 'city'",
    "ADD NODES (SELECT id, x, label, city, split FROM late_people)": "no column 'age'",
    "ADD NODES (SELECT * EXCLUDE (label) FROM late_people)": "no column 'label'.*NULL AS label",
    "ADD NODES (SELECT *, 1 AS height FROM late_people)": "a column 'height', .* its columns: age, x, city",
    "ADD NODES (SELECT * REPLACE ('old' AS age) FROM late_people)": "column 'age' is text at key 'q0'",
    "ADD NODES (SELECT * REPLACE ([1, 2, 3] AS x) FROM late_people)": "'x' has 3 values at key 'q0', 2 in the graph",
    "ADD NODES (SELECT * REPLACE (NULL AS age) FROM late_people)": "column 'age' is NULL at key 'q0'",
    "ADD NODES (SELECT * REPLACE (5 AS city) FROM late_people)": "another kind of 'city'",
    "ADD NODES (SELECT * REPLACE ('no' AS label) FROM late_people)": "label 'no' is text",
    "ADD NODES (SELECT * REPLACE (NULL AS id) FROM late_people)": "3 rows of ADD NODES have a NULL key, such as row 1",
    "ADD NODES (SELECT * REPLACE (7 AS id) FROM late_people LIMIT 1)": "key",
    "ADD EDGES (SELECT src FROM late_calls)": "ADD EDGES has 1 column",
    "ADD EDGES (FROM late_calls)": "3 rows of ADD EDGES have an end .*'q0' in row 1.*ADD NODES first",
    "ADD EDGES (SELECT 'p1', 'p2')": "no column 'weight', which the graph has$",
    "ADD EDGES (SELECT 'p1', 'p2', 1 AS weight)": "no column 'amount', which the graph has$",
    "REMOVE EDGES (SELECT 'p1', 'zz')": "no node of the graph, such as 'zz' in row 1: leave it out",
    "ADD EDGES (SELECT *, 3 AS more FROM calls)": "'more', .* its columns: weight, amount, day",
    "ADD EDGES (SELECT * REPLACE ('x' AS amount) FROM calls)": "column 'amount' is text at 'p",
    "ADD EDGES (SELECT * REPLACE (NULL AS src) FROM calls)": "30 rows of ADD EDGES .* NULL in row 1",
    "REMOVE EDGES (SELECT 'p1', 'p1')": "1 row of REMOVE EDGES is no edge .*'p1' -> 'p1' in row 1",
    "REMOVE EDGES (SELECT 'p1', 'p0', 3 AS colour)": "a column 'colour'",
    "ADD NODES (DELETE FROM people)": "one SELECT",
}


@pytest.mark.parametrize("change", WRONG, ids=range(len(WRONG)))
def test_wrong_rows_are_named_and_nothing_changes(con, change):
    before = graph(con).content_hash
    with pytest.raises(Error, match=WRONG[change]):
        con.execute(f"ALTER GRAPH g {change}")
    assert graph(con).content_hash == before
    assert con.sql("SELECT count(*) FROM graphs").rows == [(1,)]


def test_all_changes_of_a_statement_are_made_or_none(con):
    before = graph(con).content_hash
    with pytest.raises(GraphError, match="no node of the graph"):
        con.execute(
            "ALTER GRAPH g ADD NODES (FROM late_people),"
            " ADD EDGES (SELECT * REPLACE ('zz' AS src) FROM late_calls)"
        )
    assert graph(con).content_hash == before


def test_what_cannot_be_altered_is_refused_by_name(con, tmp_path):
    con.execute("CREATE GRAPHS many FROM DATASET 'BA-3motif' (GRAPHS = 3)")
    with pytest.raises(InvalidValue, match="'many' is a collection"):
        con.execute("ALTER GRAPH many ADD NODES (SELECT 3, 4)")
    with pytest.raises(UnknownName, match="'none'"):
        con.execute("ALTER GRAPH none ADD NODES (SELECT 3, 4)")
    con.execute("BEGIN")
    with pytest.raises(TransactionOpen, match="ALTER GRAPH stores"):
        con.execute("ALTER GRAPH g ADD NODES (FROM late_people)")
    con.execute("ROLLBACK")
    path = str(tmp_path / "g.duckdb")
    with sxq.connect(path) as other:
        other.execute("CREATE GRAPH karate FROM DATASET 'KarateClub'")
    with sxq.connect(path, read_only=True) as other, pytest.raises(StoreError, match="read-only"):
        other.execute("ALTER GRAPH karate REMOVE EDGES (SELECT 0, 1)")


def test_no_rows_make_no_version(con):
    row = (
        con.execute(
            "ALTER GRAPH g ADD NODES (FROM late_people LIMIT 0), REMOVE EDGES (FROM calls LIMIT 0)"
        )
        .df()
        .iloc[0]
    )
    assert row.version == 1 and "nothing changed" in row.notes


EXPLAIN = "EXPLAIN NODES 3, 30 USING MODEL {} OPTIMIZE fdl+, fdl-, conc TOP 3 BUDGET 60 CANDIDATES"


@pytest.mark.slow
def test_models_follow_and_old_answers_stay(tmp_path):
    path = str(tmp_path / "g.duckdb")
    with sxq.connect(path) as con:
        con.execute(
            "CREATE GRAPH karate FROM DATASET 'KarateClub'; TRAIN MODEL gcn ON GRAPH karate (LAYERS = 2, EPOCHS = 20)"
        )
        mine = con.session.registry.models.get("gcn").model.module
        con.register_model("mine", mine, graph="karate", output="logits")
        before = con.execute(EXPLAIN.format("gcn")).df()
        con.execute(EXPLAIN.format("mine"))
        row = con.execute("ALTER GRAPH karate REMOVE EDGES (SELECT 3, 0)").df().iloc[0]
        assert row.models == "gcn, mine" and row.version == 2
        after = con.execute(EXPLAIN.format("gcn"))
        con.execute(EXPLAIN.format("mine"))
        assert con.sql(
            "SELECT DISTINCT query_id, graph_version FROM explanations ORDER BY ALL"
        ).rows == [(1, 1), (2, 1), (3, 2), (4, 2)]
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        found = {
            (u, v)
            for u, v in con.sql(
                "SELECT src, dst FROM explanation_edges JOIN explanations USING (explanation_id) WHERE query_id > 2"
            ).rows
        }
        assert not {(3, 0), (0, 3)} & found
        con.execute(
            "CREATE GRAPH copy FROM DATASET 'KarateClub'; ALTER GRAPH copy REMOVE EDGES (SELECT 3, 0)"
        )
        same = con.execute(EXPLAIN.format("gcn ON GRAPH copy"))
        assert same.df().equals(after.df()) and not same.df().equals(before)
    with sxq.connect(path) as con:
        again = con.execute(EXPLAIN.format("gcn"))
        assert again.df().equals(after.df())
        with pytest.raises(Error, match="register_model"):
            con.execute(EXPLAIN.format("mine"))
        con.register_model("mine", mine, output="logits")
        con.execute(EXPLAIN.format("mine"))
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def test_a_model_that_saw_little_of_a_small_graph_sees_more_of_a_larger_one():
    with sxq.connect() as con:
        con.execute(
            "CREATE TABLE n AS SELECT i AS id, (i % 3)::FLOAT AS f, i % 2 AS label FROM range(6) t(i)"
        )
        con.execute("CREATE GRAPH path FROM NODES (FROM n) EDGES (SELECT 0, 1)")
        con.execute(
            "TRAIN MODEL gcn ON GRAPH path (LAYERS = 3, EPOCHS = 5, SPLIT = [1.0, 0.0, 0.0])"
        )
        assert con.session.registry.models.get("gcn").model.hops == 1
        con.execute("ALTER GRAPH path ADD EDGES (SELECT i, i + 1 FROM range(1, 5) t(i))")
        assert con.session.registry.models.get("gcn").model.hops == 3


def test_in_python(con):
    row = (
        con.alter_graph("g")
        .add_nodes("SELECT * FROM late_people WHERE id <> ?", ["q2"])
        .add_edges("SELECT * FROM late_calls WHERE src <> $src", {"src": "q2"})
        .remove_edges("SELECT src, dst FROM calls LIMIT 1")
        .run()
    )
    assert row.df().iloc[0].nodes_added == 2
    assert str(con.alter_graph("g").add_nodes("FROM t")) == "ALTER GRAPH g ADD NODES (FROM t)"
    with pytest.raises(InvalidValue, match="no change"):
        con.alter_graph("g").run()


def test_a_model_that_is_registered_again_is_as_deep_as_before_its_graph_lost_edges(tmp_path):
    path = str(tmp_path / "g.duckdb")
    with sxq.connect(path) as con:
        con.execute(TABLES)
        con.execute("CREATE GRAPH g FROM NODES (FROM people) EDGES (FROM calls)")
        con.register_model("votes", toys.Votes(layers=2), "g")
        con.execute("ALTER GRAPH g REMOVE EDGES (SELECT src, dst FROM calls)")
        con.execute("EXPLAIN NODES 'p1', 'p2' USING MODEL votes OPTIMIZE fdl+, conc")
    with sxq.connect(path) as con:
        con.register_model("votes", toys.Votes(layers=2), "g")
        assert con.execute("AUDIT").findings == 0
        con.execute("EXPLAIN NODE 'p1' USING MODEL votes OPTIMIZE fdl+, conc")
        assert con.sql("SELECT DISTINCT status, hops FROM targets").rows == [("empty", 2)]


def test_versions_in_memory_share_the_arrays_that_did_not_change():
    with sxq.connect() as con:
        con.execute("CREATE GRAPH club FROM DATASET 'KarateClub'")
        before = con.session.registry.graphs["club"]
        con.execute("ALTER GRAPH club REMOVE EDGES (SELECT 0, 1)")
        after = con.session.registry.graphs["club"]
        assert after.x is before.x and after.y is before.y
        assert after.num_edges == before.num_edges - 2
        con.execute("ALTER GRAPH club ADD EDGES (SELECT 0, 1)")
        again = con.session.registry.graphs["club"]
        assert again.x is before.x and again.edge_index is not after.edge_index
