"""ALTER GRAPHS and REFRESH of collections: the collection and the answers of one that was made anew."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import sxq
from sxq.errors import Error, InvalidValue, StoreError
from tests import typed_models

TABLES = """
CREATE TABLE molecules AS SELECT 'm' || i AS id, i % 2 AS label, CASE WHEN i % 3 = 0 THEN 'test' ELSE 'train' END AS split
    FROM range(9) t(i);
CREATE TABLE atoms AS SELECT 'm' || i AS molecule, 'a' || j AS atom, ((i * j) % 4)::FLOAT AS charge, j % 2 AS ring,
    'C' || j % 3 AS element FROM range(9) t(i), range(5) s(j) WHERE j < 4 + i % 2;
CREATE TABLE bonds AS SELECT 'm' || i AS molecule, 'a' || j AS a, 'a' || (j + 1) % (4 + i % 2) AS b, 1.0 AS weight,
    (1 + (i + j) % 3)::FLOAT AS strength FROM range(9) t(i), range(5) s(j) WHERE j < 3 + i % 3 AND j < 4 + i % 2;
"""
NAMES = ("molecules", "atoms", "bonds")
KEYS = ("id", "molecule", "molecule")
CREATE = "CREATE GRAPHS {} FROM GRAPHS (FROM {}) NODES (FROM {}) EDGES (FROM {}) {}"
UNDIRECTED = "(UNDIRECTED = true)"


def rows(where):
    return [f"(FROM {name} WHERE {key} {where})" for name, key in zip(NAMES, KEYS)]


def add(where):
    graphs, nodes, edges = rows(where)
    return f"ADD GRAPHS {graphs} NODES {nodes} EDGES {edges}"


@pytest.fixture
def con():
    with sxq.connect() as con:
        con.execute(TABLES)
        yield con


def collection(con, name="mols"):
    return con.session.registry.graphs[name]


@pytest.mark.parametrize("options", ["", UNDIRECTED])
def test_a_new_version_is_the_collection_of_all_rows(con, options):
    con.execute(
        CREATE.format("mols", *rows("< 'm5'"), options)
        + ";"
        + CREATE.format("whole", *NAMES, options)
    )
    before = collection(con).content_hash
    row = con.execute("ALTER GRAPHS mols " + add(">= 'm5'")).df().iloc[0]
    assert (row.version, row.graphs_added, row.graphs_removed, row.num_graphs) == (2, 4, 0, 9)
    assert row.undirected == bool(options)
    assert collection(con).content_hash == collection(con, "whole").content_hash
    for view in ("nodes", "edges"):
        sql = f"FROM {{}}.{view} ORDER BY ALL"
        assert con.sql(sql.format("mols")).rows == con.sql(sql.format("whole")).rows
    row = (
        con.execute("ALTER GRAPHS mols REMOVE GRAPHS (SELECT id FROM molecules WHERE id >= 'm5')")
        .df()
        .iloc[0]
    )
    assert row.graphs_removed == 4 and collection(con).content_hash == before


def test_columns_of_nodes_are_matched_by_name(con):
    con.execute(
        CREATE.format("mols", *rows("< 'm5'"), "") + ";" + CREATE.format("whole", *NAMES, "")
    )
    graphs, _, edges = rows(">= 'm5'")
    nodes = "(SELECT molecule, atom, element, ring, charge FROM atoms WHERE molecule >= 'm5')"
    con.execute(f"ALTER GRAPHS mols ADD GRAPHS {graphs} NODES {nodes} EDGES {edges}")
    assert collection(con).content_hash == collection(con, "whole").content_hash


def test_those_that_stay_keep_their_keys(con):
    con.execute(CREATE.format("mols", *NAMES, ""))
    kept = {
        key: collection(con).member(collection(con).position(key)).content_hash
        for key in ("m0", "m4", "m8")
    }
    con.execute("ALTER GRAPHS mols REMOVE GRAPHS (VALUES ('m1'), ('m5'), ('m1'))")
    con.execute("ALTER GRAPHS mols " + add("= 'm5'"))
    assert collection(con).keys == ["m0", "m2", "m3", "m4", "m6", "m7", "m8", "m5"]
    for key, content in kept.items():
        assert collection(con).member(collection(con).position(key)).content_hash == content


NEW = "(SELECT 'n' AS id, 1 AS label, 'train' AS split)"
ATOM = "(SELECT 'n' AS m, 'a' AS atom, 1.0 AS charge, 0 AS ring, 'C' AS element)"
BOND = "(SELECT 'n' AS m, 'a' AS a, 'a' AS b, 1.0 AS weight, 2.0 AS strength)"


def new(graphs=NEW, nodes=ATOM, edges=BOND):
    return f"ADD GRAPHS {graphs} NODES {nodes} EDGES {edges}"


OLD = (text.replace("'n'", "'m1'") for text in (NEW, ATOM, BOND))
WITHOUT = {
    "ring": "(SELECT 'n' AS m, 'a' AS atom, 1 AS charge, 'C' AS element)",
    "weight": "(SELECT 'n' AS m, 'a' AS a, 'a' AS b, 2 AS strength)",
    "strength": "(SELECT 'n' AS m, 'a' AS a, 'a' AS b, 1 AS weight)",
}
WRONG = {
    new(*OLD): "1 row of ADD GRAPHS has the key of a graph .* already, such as 'm1'",
    new("(SELECT 'n' AS id, 'train' AS split)"): "no column 'label', .*NULL AS label",
    new(
        nodes=WITHOUT["ring"]
    ): "ADD GRAPHS, graph 'n': NODES has no column 'ring', which the graph has",
    new(nodes=ATOM.replace("1.0 AS", "'x' AS")): "graph 'n': column 'charge' is text at key 'a'",
    new(nodes=ATOM.replace("'C'", "5")): "another kind of 'element'",
    new(edges=BOND.replace("'a' AS b", "'z' AS b")): (
        "graph 'n': 1 row of EDGES has an end that is no node of the graph, such as 'z' in row 1"
    ),
    new(edges=WITHOUT["weight"]): "no column 'weight'",
    new(edges=WITHOUT["strength"]): "0 numbers .* expected 1",
    new(
        nodes=f"(FROM {ATOM} WHERE false)", edges=f"(FROM {BOND} WHERE false)"
    ): "graph 'n': NODES gave no rows",
    new(nodes="(SELECT 'z' AS m, 'a' AS atom)"): "row 1 of NODES is of graph 'z'",
    new(f"(FROM {NEW} WHERE false)"): "gave no rows",
    "REMOVE GRAPHS (SELECT 'zz')": "1 row of REMOVE GRAPHS has a key of no graph of the collection, such as 'zz' in row 1",
    "REMOVE GRAPHS (SELECT id FROM molecules)": "REMOVE GRAPHS names every graph",
    "REMOVE GRAPHS (FROM molecules)": r"REMOVE GRAPHS has 3 columns \(id, label, split\), expected one",
}


@pytest.mark.parametrize("change", WRONG, ids=range(len(WRONG)))
def test_wrong_rows_are_named_and_nothing_changes(con, change):
    con.execute(CREATE.format("mols", *NAMES, ""))
    before = collection(con).content_hash
    with pytest.raises(Error, match=WRONG[change]):
        con.execute(f"ALTER GRAPHS mols {change}")
    assert collection(con).content_hash == before


def test_what_is_no_collection_is_refused(con, tmp_path):
    con.execute("CREATE GRAPH karate FROM DATASET 'KarateClub'")
    with pytest.raises(InvalidValue, match="'karate' is a single graph: say GRAPH karate"):
        con.execute("ALTER GRAPHS karate REMOVE GRAPHS (SELECT 1)")
    path = str(tmp_path / "g.duckdb")
    with sxq.connect(path) as other:
        other.execute(TABLES + CREATE.format("mols", *NAMES, ""))
    with sxq.connect(path, read_only=True) as other, pytest.raises(StoreError, match="read-only"):
        other.execute("ALTER GRAPHS mols REMOVE GRAPHS (SELECT 'm1')")


# -- of Data -------------------------------------------------------------------------------------


def data(seed, nodes=5):
    generator = torch.Generator().manual_seed(seed)
    ring = torch.arange(nodes)
    ends = torch.stack([ring, (ring + 1) % nodes])
    return Data(
        x=torch.randn(nodes, 3, generator=generator),
        edge_index=torch.cat([ends, ends.flip(0)], dim=1),
        y=torch.tensor([seed % 2]),
    )


def test_graphs_of_data_are_added_and_removed():
    with sxq.connect() as con:
        con.register_graphs("rings", [data(seed) for seed in range(6)])
        before = collection(con, "rings").content_hash
        row = con.alter_graphs("rings", [data(6), data(7, 4)]).df().iloc[0]
        assert (row.graphs_added, row.num_graphs, row.version) == (2, 8, 2)
        con.register_graphs("anew", [*(data(seed) for seed in range(7)), data(7, 4)])
        assert collection(con, "rings").content_hash == collection(con, "anew").content_hash
        con.alter_graphs("rings", remove=[7, 6])
        assert collection(con, "rings").content_hash == before
        con.alter_graphs("rings", remove=[2])
        assert [collection(con, "rings").key(n) for n in range(5)] == [0, 1, 3, 4, 5]
        con.alter_graphs("rings", [data(20), data(21)])
        assert collection(con, "rings").keys == [0, 1, 3, 4, 5, 6, 7]
        con.alter_graphs("rings", [data(3, 7)], keys=[3], remove=[3])
        assert (
            collection(con, "rings").member(6).num_nodes == 7
            and collection(con, "rings").key(6) == 3
        )
        with pytest.raises(Error, match="the graphs differ in x"):
            con.alter_graphs(
                "rings", [Data(x=torch.ones(2, 4), edge_index=torch.tensor([[0], [1]]))]
            )
        with pytest.raises(Error, match="has 1 keys for 2 graphs"):
            con.alter_graphs("rings", [data(1), data(2)], keys=[99])
        with pytest.raises(InvalidValue, match="keys= are those of the graphs of add="):
            con.alter_graphs("rings", keys=[99])


def test_collections_with_types_change_in_python():
    graphs = typed_models.banks(6)
    with sxq.connect() as con:
        con.register_graphs("banks", graphs[:4])
        before = collection(con, "banks").content_hash
        con.alter_graphs("banks", graphs[4:])
        con.register_graphs("anew", graphs)
        assert collection(con, "banks").content_hash == collection(con, "anew").content_hash
        con.alter_graphs("banks", remove=[4, 5])
        assert collection(con, "banks").content_hash == before
        with pytest.raises(
            Error, match=r"has node types \(.*\): ADD GRAPHS from queries .* con.alter_graphs"
        ):
            con.execute(
                "ALTER GRAPHS banks ADD GRAPHS (SELECT 9) NODES (SELECT 9, 1) EDGES (SELECT 9, 1, 1)"
            )


# -- REFRESH -------------------------------------------------------------------------------------

ASK = "USING MODEL net OPTIMIZE fdl+, fdl-, conc TOP 4 BUDGET 200 CANDIDATES"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("mols") / "mols.duckdb")
    with sxq.connect(path) as con:
        con.execute(TABLES + CREATE.format("mols", *NAMES, UNDIRECTED))
        con.execute(
            "TRAIN MODEL net ON GRAPHS mols (ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 8, EPOCHS = 30, POOLING = sum)"
        )
        con.execute(f"EXPLAIN GRAPHS 'm0', 'm2', 'm5', 'm7' {ASK}")
    return path


@pytest.fixture
def stored(made, tmp_path):
    path = tmp_path / "mols.duckdb"
    path.write_bytes(open(made, "rb").read())
    with sxq.connect(str(path)) as con:
        yield con


def did(con, query_id):
    return dict(
        con.sql(
            f"SELECT target::VARCHAR, refreshed FROM freshness WHERE query_id = {query_id}"
        ).rows
    )


def answer(con, query_id, target):
    """The explanations of a graph with their edges; numbers are those of all edges of the collection."""
    where = f"query_id = {query_id} AND target = '{target}'"
    members = (
        f"SELECT * EXCLUDE (explanation_id, query_id) FROM explanations WHERE {where} ORDER BY rank"
    )
    edges = (
        "SELECT rank, src, dst, edge, unit, worth_kept, needed FROM explanation_edges x JOIN explanations USING"
        f" (explanation_id) WHERE {where} ORDER BY x.rowid"
    )
    return con.sql(members).rows, con.sql(edges).rows


def all_ok(con):
    return {row[-1] for row in con.execute("AUDIT")} == {"ok"}


def changed_bond(con, molecule, also=""):
    """The molecule without one of its bonds, or with another one, under the same key."""
    graphs, nodes, edges = rows(f"= '{molecule}'")
    edges = f"(FROM {edges} {also})" if also else f"(FROM {edges} WHERE a <> 'a2')"
    con.execute(
        f"ALTER GRAPHS mols REMOVE GRAPHS (SELECT '{molecule}'), ADD GRAPHS {graphs} NODES {nodes} EDGES {edges}"
    )


def test_unchanged_graphs_are_carried_and_gone_ones_named(stored):
    con = stored
    con.execute("ALTER GRAPHS mols REMOVE GRAPHS (VALUES ('m1'), ('m5'))")
    row = con.execute("REFRESH").df().iloc[0]
    assert (row.carried, row.gone, row.left, row.targets) == (3, 1, 0, 4) and not row.note
    assert did(con, 2) == {"m0": "carried", "m2": "carried", "m5": "gone", "m7": "carried"}
    con.execute(f"EXPLAIN GRAPHS 'm0', 'm2', 'm7' {ASK}")
    for target in ("m0", "m2", "m7"):
        assert answer(con, 2, target) == answer(con, 3, target)
    ((note,),) = con.sql("SELECT note FROM targets WHERE query_id = 2 AND target = 'm5'").rows
    assert note == "the graph is not in version 2 of collection 'mols'"
    assert all_ok(con) and con.execute("REFRESH").rows == []


@pytest.mark.slow
def test_changed_graphs_are_measured_or_searched_again(stored):
    con = stored
    con.execute(f"EXPLAIN GRAPHS 'm0', 'm2', 'm5', 'm7' {ASK} EPSILON 100")
    changed_bond(con, "m2")
    changed_bond(con, "m7", "UNION ALL SELECT 'm7', 'a0', 'a2', 1.0, 0.01")
    con.execute("REFRESH")
    for query in (3, 4):
        done = did(con, query)
        assert done["m0"] == done["m5"] == "carried"
        assert {done["m2"], done["m7"]} <= {"measured", "searched"}
    assert "measured" in {*did(con, 3).values(), *did(con, 4).values()}
    con.execute(f"EXPLAIN GRAPHS 'm0', 'm2', 'm5', 'm7' {ASK}")
    for target, what in did(con, 3).items():
        if what == "searched":
            assert answer(con, 3, target) == answer(con, 5, target)
    assert all_ok(con)


@pytest.mark.slow
def test_a_collection_that_is_made_anew_is_a_version_too(stored):
    con = stored
    module = con.session.registry.models.get("net").model.module
    con.register_model("mine", module, output="logits")
    con.execute(f"EXPLAIN GRAPHS 'm0', 'm2', 'm5' {ASK.replace('net', 'mine')}")
    con.execute(
        CREATE.format("mols", *rows("<> 'm5'"), UNDIRECTED).replace("CREATE", "CREATE OR REPLACE")
    )
    con.register_model("mine", module, graph="mols", output="logits", replace=True)
    con.execute("REFRESH QUERY 2")
    assert did(con, 3) == {"m0": "carried", "m2": "carried", "m5": "gone"}
    assert {row[-1] for row in con.execute("AUDIT QUERY 3")} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("over", ["NODES", "FEATURES"])
def test_other_units_are_carried_or_searched(stored, over):
    con = stored
    con.execute(f"EXPLAIN GRAPHS 'm0', 'm2' {ASK} OVER {over}")
    changed_bond(con, "m2")
    con.execute("REFRESH QUERY 2")
    assert did(con, 3) == {"m0": "carried", "m2": "searched"}
    assert all_ok(con)


@pytest.mark.slow
def test_sampled_measures_of_a_graph_with_another_number_are_measured(stored):
    con = stored
    con.execute(f"EXPLAIN GRAPHS 'm0', 'm7' {ASK.replace('fdl-', 'shapley')}")
    con.execute("ALTER GRAPHS mols REMOVE GRAPHS (VALUES ('m1'))")
    con.execute("REFRESH QUERY 2")
    assert did(con, 3)["m0"] == "carried" and did(con, 3)["m7"] != "carried"
    assert all_ok(con)


@pytest.mark.slow
def test_graphs_with_types_are_refreshed(tmp_path):
    graphs = typed_models.banks(6)
    model = typed_models.of_graphs(graphs)
    with sxq.connect(str(tmp_path / "banks.duckdb")) as con:
        con.register_graphs("banks", graphs)
        con.register_model("net", model, graph="banks", output="logits")
        con.execute(f"EXPLAIN GRAPHS 0, 2, 4 {ASK}")
        row = con.alter_graphs("banks", graphs[5:], keys=[2], remove=[2, 4]).df().iloc[0]
        assert row.models == "net", row.notes
        con.execute("REFRESH")
        done = did(con, 2)
        assert (
            done["0"] == "carried" and done["4"] == "gone" and done["2"] in ("measured", "searched")
        )
        assert all_ok(con)


# -- what differs --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_the_difference_is_that_of_each_graph(seed):
    from sxq.graph.difference import GONE, difference
    from sxq.graph.graphs_difference import graphs_difference
    from sxq.models import graphs_from_data

    rng = np.random.default_rng(seed)
    first = [data(int(number), 3 + int(number) % 3) for number in rng.integers(0, 9, 6)]
    second = [data(int(number), 3 + int(number) % 3) for number in rng.integers(0, 9, 6)]
    mixed = [a if stays else b for a, b, stays in zip(first, second, rng.random(6) < 0.6)]
    earlier = graphs_from_data(first)
    keys = rng.permutation(6)[:4].tolist()
    later = graphs_from_data([mixed[key] for key in keys])
    later = type(later)(later.union, later.node_ptr, later.edge_ptr, y=later.y, keys=keys)
    found = graphs_difference(earlier, later)
    for key in range(6):
        if key not in keys:
            assert found.nodes[key] == GONE
            assert (found.edges[slice(*earlier.edge_ptr[key : key + 2])] == GONE).all()
            continue
        number = keys.index(key)
        assert found.nodes[key] == number
        one, two = earlier.member(key), later.member(number)
        assert found.touched[number] == (
            one.x.shape != two.x.shape
            or (one.x != two.x).any()
            or (one.edge_index != two.edge_index).any()
        )
        own = difference(one, two).edges
        numbers = found.edges[slice(*earlier.edge_ptr[key : key + 2])]
        assert (np.where(own == GONE, GONE, own + later.edge_ptr[number]) == numbers).all()


def two(value=1.0, reverse=True):
    ends = [[0, 1], [1, 0]] if reverse else [[0], [1]]
    return Data(x=torch.full((2, 1), value), edge_index=torch.tensor(ends), y=torch.tensor([0]))


KEYS_OF_PYTHON = {
    "remove=1": r"remove= is a list of keys, found 1: say remove=\[1\]",
    "remove='01'": r"remove= is a list of keys, found '01': say remove=\['01'\]",
    "remove=torch.tensor(1)": "remove= is a list of keys, found 1",
    "remove=[[1]]": r"remove= holds \[1\], which is no key of a graph",
    "add=[two()], keys=[{}]": "keys= holds {}, which is no key of a graph",
    "add=[], keys=[7]": "a collection needs one graph or more, found none",
}


def test_keys_of_python_are_any_sequence():
    with sxq.connect() as con:
        con.register_graphs("g", [two(float(i)) for i in range(6)])
        first = collection(con, "g").content_hash
        for given, message in KEYS_OF_PYTHON.items():
            with pytest.raises(Error, match=message):
                eval(f"con.alter_graphs('g', {given})")
        assert con.alter_graphs("g", add=[], remove=iter(())).df().iloc[0].version == 1
        con.alter_graphs("g", remove=torch.tensor([5]))
        con.alter_graphs("g", remove=(key for key in (4,)))
        con.alter_graphs("g", add=[two(4.0), two(5.0)], keys=np.array([4, 5]))
        assert collection(con, "g").content_hash == first


def test_queries_without_rows_add_nothing(con):
    con.execute(CREATE.format("mols", *NAMES, ""))
    row = con.execute("ALTER GRAPHS mols " + add("= 'none'")).df().iloc[0]
    assert (row.version, row.graphs_added) == (1, 0) and "nothing changed" in row.notes


def test_a_collection_that_is_no_longer_undirected_says_so():
    with sxq.connect() as con:
        con.register_graphs("g", [two(), two(2.0)])
        row = con.alter_graphs("g", add=[two(reverse=False)]).df().iloc[0]
        assert not row.undirected and "units are directed edges, and were pairs" in row.notes


def test_what_is_left_of_a_directed_collection_makes_no_pairs():
    with sxq.connect() as con:
        con.register_graphs("g", [two(), two(reverse=False)])
        change = "REMOVE GRAPHS (SELECT 1), ADD GRAPHS (SELECT 2 AS id, 0 AS label)"
        tables = "NODES (SELECT 2, i, [1.0] AS x FROM range(2) t(i)) EDGES (SELECT 2, 0, 1)"
        con.execute(f"ALTER GRAPHS g {change} {tables}")
        assert collection(con, "g").num_edges == 3
