"""AUDIT is an integrity check: whatever is changed, lost or doubled in the tables of an answer is a finding."""

import pytest

import sxq
from sxq.execution.target import memory_bound
from tests import toys

SCRIPT = """
    CREATE GRAPH g FROM NODES (SELECT range AS id, sin(range) AS a, cos(range * 2) AS b, range % 2 AS label FROM range(9))
      EDGES (SELECT range AS u, (range * 2 + 1) % 9 AS v FROM range(9)) (UNDIRECTED = true);
    TRAIN MODEL m ON GRAPH g (LAYERS = 2, HIDDEN = 4, EPOCHS = 20, LR = 0.1);
    SET sxq_keep_candidates = true;
    EXPLAIN NODES 1, 2 USING MODEL m OPTIMIZE fdl+, fdl-, conc TOP 3 BUDGET 60 CANDIDATES;
    EXPLAIN NODES 1, 2, 3 USING MODEL m OPTIMIZE fdl+, conc TOP 4 BUDGET 30 CANDIDATES JOINTLY"""
ONE = "WHERE query_id = 1 AND target = 1::VARIANT"
FIRST = f"{ONE} AND rank = 1"
EDGE = "WHERE rowid = (SELECT min(rowid) FROM sxq.explanation_edges)"
# What another program may do -> what AUDIT says. The first need no model, so AUDIT STRUCTURE says it, too.
STRUCTURE = {
    f"DELETE FROM sxq.targets {ONE}": "the target is not among the targets of the query",
    f"UPDATE sxq.targets SET target = 7::VARIANT {ONE}": "the target is not among the targets",
    f"UPDATE sxq.targets SET target = 2::VARIANT {ONE}": "the target is there 2 times",
    f"UPDATE sxq.targets SET target = 'one'::VARIANT {ONE}": "no node 'one'",
    f"UPDATE sxq.targets SET status = 'fine' {ONE}": "status is 'fine', expected one of pending",
    f"UPDATE sxq.targets SET status = 'pending' {ONE}": "status is 'pending', but there are",
    f"UPDATE sxq.targets SET field_size = field_size + 1 {ONE}": "but the field has",
    f"UPDATE sxq.targets SET field_size = NULL {ONE}": "field_size are NULL",
    f"UPDATE sxq.targets SET hops = 1 {ONE}": "but the field has",
    f"UPDATE sxq.targets SET coverage = 0.5 {ONE}": "coverage is 0.5, but dominance / explanatory",
    f"UPDATE sxq.targets SET coverage = 7 {ONE}": "coverage is 7.0, expected 0 to 1",
    f"UPDATE sxq.targets SET dominance = 1 + explanatory {ONE}": "but explanatory is",
    f"UPDATE sxq.targets SET explanatory = candidates + 1 {ONE}": "but candidates is",
    f"UPDATE sxq.targets SET front = 1 {ONE}": "explanations, but front is 1",
    f"UPDATE sxq.targets SET candidates = candidates + 1 {ONE}": "candidates are",
    f"UPDATE sxq.targets SET hypervolume = 0.1 {ONE}": "hypervolume is 0.1, but its explanations",
    f"UPDATE sxq.targets SET p_empty = 'nan' {ONE}": "p_empty is nan, expected 0 to 1",
    f"UPDATE sxq.targets SET epsilon_achieved = 9 - 9 * ceil(epsilon_achieved) {ONE}": "",
    f"DELETE FROM sxq.explanations {FIRST}": "are 2, expected 1 to 1",
    f"UPDATE sxq.explanations SET rank = 5 {FIRST}": "are 2, 5, expected 1 to 2",
    f"UPDATE sxq.explanations SET rank = 9 {FIRST.replace('query_id = 1', 'query_id = 2')}": "expected 1 to",
    f"UPDATE sxq.explanations SET target = 5::VARIANT {FIRST}": "the target is not among the targets",
    f"UPDATE sxq.explanations SET target = 2::VARIANT {FIRST}": "the ranks of target",
    f"UPDATE sxq.explanations SET query_id = 77 {FIRST}": "the query is not in queries",
    f"UPDATE sxq.explanations SET size = size + 1 {FIRST}": "column size differs by 1",
    f"UPDATE sxq.explanations SET num_nodes = 0 {FIRST}": "column num_nodes differs by",
    f"UPDATE sxq.explanations SET conc = 'nan' {FIRST}": "column conc differs by inf",
    f"UPDATE sxq.explanations SET fdl_plus = NULL {FIRST}": "column fdl_plus differs by inf",
    f"UPDATE sxq.explanations SET dominance = dominance + 1 {FIRST}": "found",
    f"UPDATE sxq.explanations SET dominance = 0 {FIRST}": "dominance is 0, expected 1 to",
    f"UPDATE sxq.explanations SET factual = false, counterfactual = false {FIRST}": "neither factual nor",
    f"UPDATE sxq.explanations SET scores = map_concat(scores, MAP {{'fdl-': 0.5::DOUBLE}}) {FIRST}": "has score",
    f"UPDATE sxq.explanations SET scores = MAP {{}} {FIRST}": "conc is missing",
    f"UPDATE sxq.explanations SET raw = map_concat(raw, MAP {{'conc': 0.01::DOUBLE}}) {FIRST}": "raw['conc'] differs",
    f"UPDATE sxq.explanations SET raw = map_concat(raw, MAP {{'conc': 'nan'::DOUBLE}}) {FIRST}": "raw['conc'] is nan",
    f"DELETE FROM sxq.explanation_edges {EDGE}": "is there without its reverse",
    "DELETE FROM sxq.explanation_edges WHERE explanation_id = 1": "the explanation has no edges",
    f"UPDATE sxq.explanation_edges SET src = 99::VARIANT {EDGE}": "edge 99 ->",
    f"UPDATE sxq.explanation_edges SET src = src::BIGINT::DOUBLE::VARIANT {EDGE}": "is not in the graph",
    f"UPDATE sxq.explanation_edges SET explanation_id = 2 {EDGE}": "without its reverse",
    f"UPDATE sxq.explanation_edges SET explanation_id = 77 {EDGE}": "explanation 77, which is not in explanations",
    "INSERT INTO sxq.explanation_edges FROM sxq.explanation_edges WHERE explanation_id = 1": "is listed 2 times",
    f"UPDATE sxq.explanation_edges SET unit = 77 {EDGE}": "units, but size is",
    f"UPDATE sxq.explanation_edges SET edge = NULL {EDGE}": "no unit or no number",
    f"UPDATE sxq.explanation_edges SET edge = edge + 1 {EDGE}": "which is another edge",
    f"UPDATE sxq.explanation_edges SET needed = NULL {EDGE}": "the worth of some of its edges is missing",
    f"UPDATE sxq.explanation_edges SET worth_kept = 'nan' {EDGE}": "the worth of some of its edges is missing",
    f"UPDATE sxq.explanation_edges SET worth_removed = 7 {EDGE}": "edges of one unit have different worths",
    "DELETE FROM sxq.queries WHERE query_id = 1": "targets of a query that is not in queries",
    "DELETE FROM sxq.targets WHERE query_id = 1": "the query has no targets",
    "DELETE FROM sxq.graphs": "graph_id 1 is not in graphs",
    "DELETE FROM sxq.models": "model_id 1 is not in models",
    "UPDATE sxq.queries SET graph_id = 9 WHERE query_id = 1": "graph_id 9 is not in graphs",
    "UPDATE sxq.queries SET k = 1 WHERE query_id = 1": "but TOP 1",
    "UPDATE sxq.queries SET status = 'fine' WHERE query_id = 1": "status is fine, expected running, done",
    "UPDATE sxq.targets SET complete = false WHERE query_id = 1": "complete is true, but not of every target",
    "UPDATE sxq.queries SET epsilon = 'nan' WHERE query_id = 1": "epsilon is nan, expected",
    "UPDATE sxq.queries SET settings = '{}' WHERE query_id = 1": "column settings.edges_directed: found nothing",
    "UPDATE sxq.queries SET settings = 'null' WHERE query_id = 1": "column settings: found 'null'",
    "DELETE FROM sxq.nodes WHERE position = 8": "rows: found 8, expected 9",
    "DELETE FROM sxq.edges WHERE edge = 0": "rows: found 1",
    "UPDATE sxq.nodes SET x = [0.5, 0.5] WHERE position = 8": "nodes and edges with hash",
    "UPDATE sxq.nodes SET label = 0 WHERE position = 1": "nodes and edges with hash",
    "UPDATE sxq.edges SET src_position = 0 WHERE edge = 3": "nodes and edges with hash",
    "UPDATE sxq.edges SET src = 0::VARIANT WHERE src = 3::VARIANT": "another src or dst than the key of the node",
    "UPDATE sxq.graphs SET content_hash = 'x'": "expected hash 'x'",
    "UPDATE sxq.graphs SET undirected = NOT undirected": "column undirected, num_classes: found False",
    "UPDATE sxq.graphs SET num_classes = 7": "expected True, 2 as in nodes and edges",
    "UPDATE sxq.models SET graph_id = 5": "model 1 (m): graph_id 5 is not in graphs",
    "INSERT INTO sxq.models (model_id, name, graph_id, content_hash, spec)"
    " SELECT 9, name, graph_id, 'x', spec FROM sxq.models": "2 models have the name m",
    "DELETE FROM sxq.candidates WHERE query_id = 1 AND candidate = 3": "candidates are",
    "UPDATE sxq.candidates SET explanatory = NOT explanatory WHERE query_id = 1 AND candidate = 3": "explanatory is",
    "UPDATE sxq.candidates SET scores = NULL WHERE query_id = 1 AND candidate = 3": "candidate 3 has a parent",
    "UPDATE sxq.candidates SET size = 0 WHERE query_id = 1 AND candidate = 3": "candidate 3 has a parent",
    "UPDATE sxq.candidates SET parent = 3 WHERE query_id = 1 AND candidate = 3": "candidate 3 has a parent",
    "UPDATE sxq.candidates SET generator = NULL WHERE query_id = 1 AND candidate = 3": "candidate 3 has a parent",
    "UPDATE sxq.candidates SET factual = NULL WHERE query_id = 1 AND candidate = 3": "candidate 3 has a parent",
}  # fmt: skip
MEASURED = {
    "UPDATE sxq.explanation_edges SET worth_kept = worth_kept + 0.1": "worth of edge",
    "UPDATE sxq.explanation_edges SET worth_removed = worth_removed - 0.1": "worth of edge",
    "UPDATE sxq.explanation_edges SET needed = NOT needed": "needed of edge",
    f"UPDATE sxq.targets SET prediction = 1 - prediction {ONE}": "prediction is",
    f"UPDATE sxq.targets SET probability = probability / 2 {ONE}": "probability differs by",
    f"UPDATE sxq.targets SET p_empty = p_empty / 2 {ONE}": "p_empty differs by",
    f"UPDATE sxq.targets SET self_sufficient = NOT self_sufficient {ONE}": "self_sufficient is",
    f"UPDATE sxq.explanations SET raw = map_concat(raw, MAP {{'fdl+': 0.777::DOUBLE}}) {FIRST}": "raw values differ",
    f"UPDATE sxq.explanations SET raw = map_concat(raw, MAP {{'lift': 0.777::DOUBLE}}) {FIRST}": "raw values differ",
    f"UPDATE sxq.explanations SET factual = NOT factual, counterfactual = true {FIRST}": "found factual",
    f"UPDATE sxq.explanations SET tie = true {FIRST}": "no tie",
    "UPDATE sxq.models SET weights = weights[:-2] || '\\x01'::BLOB": "column spec: found spec and weights",
    "UPDATE sxq.models SET spec = json_merge_patch(spec, '{\"hops\": 1}')": "column spec: found spec and weights",
}  # fmt: skip


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    path = tmp_path_factory.mktemp("honest") / "honest.duckdb"
    with sxq.connect(str(path)) as con:
        con.execute(SCRIPT)
    return path.read_bytes()


@pytest.fixture
def con(honest, tmp_path):
    path = tmp_path / "changed.duckdb"
    path.write_bytes(honest)
    with sxq.connect(str(path)) as con:
        yield con


def wrong(con, statement):
    """The verdicts that are not ok."""
    return [verdict for *_, verdict in con.execute(statement) if verdict != "ok"]


@pytest.mark.slow
def test_nothing_is_wrong_in_what_sxq_wrote(con):
    for statement in ("AUDIT", "AUDIT STRUCTURE", "AUDIT QUERY 2", "audit structure query 2"):
        assert wrong(con, statement) == [], statement
    rows = con.execute("AUDIT").rows
    assert len(rows) == con.execute("SELECT count(*) FROM explanations").fetchone()[0]
    assert all(row[4] < 1e-5 for row in rows)


def test_it_ends_in_a_line_of_totals(con):
    found = con.execute("AUDIT QUERY 1")
    number = len(found)
    line = f"1 query, 2 targets, {number} explanations: all exact, 0 findings."
    assert found.summary() == line == str(found).splitlines()[-1] and found.findings == 0
    con.execute(f"UPDATE sxq.explanations SET size = 99 {FIRST}")
    found = con.execute("AUDIT STRUCTURE QUERY 1")
    assert found.summary() == (
        f"1 query, 2 targets, {number} explanations: {number - 1} whole, 1 finding; structure only:"
        " nothing was measured again."
    )


# How an answer may be chosen, searched and stored -> its script.
ASKED = "USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 4 BUDGET 60 CANDIDATES"
SOUND = {
    "diversify": f"EXPLAIN NODES 19, 8 {ASKED} DIVERSIFY ALPHA 0.5",
    "swap": f"SET sxq_answer = 'swap'; EXPLAIN NODES 19, 8 {ASKED}",
    "divsx": f"SET sxq_answer = 'divsx'; EXPLAIN NODES 19, 8 {ASKED} DIVERSIFY ALPHA 0.5",
    "optimum": f"SET sxq_answer = 'optimum'; EXPLAIN NODES 19, 8 {ASKED}",
    "where": "EXPLAIN NODES 19, 8 USING MODEL gcn OPTIMIZE fdl+, conc WHERE factual AND size <= 6 TOP 4"
    " BUDGET 60 CANDIDATES",
    "where none": "EXPLAIN NODES 19, 8 USING MODEL gcn OPTIMIZE fdl+, conc WHERE counterfactual AND size < 2 TOP 4"
    " BUDGET 60 CANDIDATES",
    "thinned": "SET sxq_front_limit = 3; SET sxq_keep_candidates = true; EXPLAIN NODES 19, 5"
    " USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 4 EPSILON 0.1 BUDGET 400 CANDIDATES",
    "jointly": f"EXPLAIN NODES 19, 8 {ASKED} JOINTLY",
    "kept": f"SET sxq_keep_candidates = true; EXPLAIN NODES 19, 8 {ASKED} INTO answer",
    "directed": "SET sxq_keep_candidates = true; EXPLAIN NODES 19, 8 USING MODEL gcn OPTIMIZE fdl+, conc TOP 4"
    " EDGES DIRECTED BUDGET 60 CANDIDATES",
    "one score": "EXPLAIN NODES 19, 8 USING MODEL gcn OPTIMIZE size TOP 4 EPSILON 0 BUDGET 60 CANDIDATES",
    "other measures": "SET sxq_report = 'rfdl+, stability'; EXPLAIN NODES 19, 8 USING MODEL gcn"
    " OPTIMIZE shapley, lift TOP 4 BUDGET 20 CANDIDATES",
    "resolution": f"SET sxq_resolution = 0.1; EXPLAIN NODES 19, 8 {ASKED}",
    "in part": f"SET sxq_keep_candidates = true; EXPLAIN NODES 0, 33 {ASKED}",
    "stopped": f"EXPLAIN NODES 19, 8, 33 {ASKED} WITHIN 0.001 SECONDS",
    "graphs": f"EXPLAIN GRAPHS 0, 3 {ASKED.replace('gcn', 'kinds')}",
    "graphs jointly": f"EXPLAIN GRAPHS 0, 3 {ASKED.replace('gcn', 'kinds')} JOINTLY",
    "graphs diversified": f"EXPLAIN GRAPHS 0, 3 {ASKED.replace('gcn', 'kinds')} DIVERSIFY ALPHA 0.3",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("sound") / "sound.duckdb")
    with sxq.connect(path) as con:
        con.execute("""
            CREATE GRAPH karate FROM DATASET 'KarateClub';
            TRAIN MODEL gcn ON GRAPH karate (LAYERS = 2, HIDDEN = 8, EPOCHS = 30);
            CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 12, SEED = 0);
            TRAIN MODEL kinds ON GRAPHS motifs (ARCHITECTURE = leconv, LAYERS = 2, HIDDEN = 8, POOLING = mean, EPOCHS = 5)
            """)
        yield con


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_wrong_whatever_the_answer(sound, name, monkeypatch):
    if name == "in part":
        monkeypatch.setattr(memory_bound, "searched_units", lambda units, memory: min(units, 12))
    defaults = dict(sound.session.settings)
    try:
        answer = sound.execute(SOUND[name])
    finally:
        for setting in defaults:
            if sound.session.settings[setting] != defaults[setting]:
                sound.execute(f"RESET {setting}")
    said = {"in part": "units were searched", "thinned": "front thinned"}.get(name, "")
    assert said in answer.targets[0].note
    for statement in ("AUDIT QUERY", "AUDIT STRUCTURE QUERY"):
        assert wrong(sound, f"{statement} {answer.query_id}") == []


@pytest.mark.slow
def test_nothing_is_wrong_after_an_interrupt_nor_read_only(tmp_path):
    path = str(tmp_path / "interrupted.duckdb")
    with sxq.connect(path) as con:
        con.execute(SCRIPT.split("EXPLAIN")[0])
        con.report = lambda _: con.interrupt()
        con.execute(
            "EXPLAIN NODES 1, 2, 3 USING MODEL m OPTIMIZE fdl+, conc BY random BUDGET 100000 CANDIDATES"
        )
    with sxq.connect(path, read_only=True) as con:
        for statement in ("AUDIT", "AUDIT STRUCTURE"):
            found = con.execute(statement)
            assert [row[-1] for row in found.rows if row[-1] != "ok"] == [] and found.findings == 0


@pytest.mark.slow
@pytest.mark.sweep(10)
@pytest.mark.parametrize("change", STRUCTURE)
def test_structure_notices(con, change):
    con.execute(change)
    found = wrong(con, "AUDIT STRUCTURE")
    assert any(STRUCTURE[change] in verdict for verdict in found), found


@pytest.mark.slow
@pytest.mark.sweep(4)
@pytest.mark.parametrize("change", MEASURED)
def test_measuring_notices(con, change):
    con.execute(change)
    found = wrong(con, "AUDIT")
    assert any(MEASURED[change] in verdict for verdict in found), found


@pytest.mark.slow
@pytest.mark.parametrize("change", STRUCTURE)
def test_the_whole_audit_notices_too(con, change):
    con.execute(change)
    assert wrong(con, "AUDIT")


def test_explain_refuses_a_graph_or_a_model_that_was_changed(honest, tmp_path):
    for change, column in (
        ("UPDATE sxq.edges SET src_position = 0 WHERE edge = 3", "content_hash"),
        ("UPDATE sxq.nodes SET x = [0.5, 0.5] WHERE position = 8", "content_hash"),
        ("UPDATE sxq.models SET weights = weights[:-2] || '\\x01'::BLOB", "spec"),
    ):
        path = tmp_path / "changed.duckdb"
        path.write_bytes(honest)
        with sxq.connect(str(path)) as con:
            con.execute(change)
            with pytest.raises(sxq.StoreError, match=f"row with .*_id 1.*, column {column}: found"):
                con.execute("EXPLAIN NODE 1 USING MODEL m OPTIMIZE fdl+, conc BUDGET 9 CANDIDATES")
            con.execute("DROP MODEL m; DROP GRAPH g")


@pytest.mark.slow
def test_structure_needs_no_model(tmp_path):
    path = str(tmp_path / "detached.duckdb")
    with sxq.connect(path) as con:
        con.register_graph("payments", toys.payments_data())
        con.register_model("votes", toys.Votes(), "payments")
        con.execute("EXPLAIN NODE 3 USING MODEL votes OPTIMIZE fdl+, conc")
    with sxq.connect(path) as con:
        with pytest.raises(sxq.ModelDetached) as raised:
            con.execute("AUDIT")
        assert "AUDIT STRUCTURE" in raised.value.__notes__[0]
        assert wrong(con, "AUDIT STRUCTURE") == [] and len(con.execute("AUDIT STRUCTURE"))
