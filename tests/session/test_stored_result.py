"""Stored answers read back as values: the same pages come out of them as out of the fresh answer."""

import pytest

import sxq
from sxq.pictures.page import content
from sxq.session.stored_result import stored_result
from tests.typed_link_models import TwoSteps
from tests.typed_models import bank, model

ASKED = {
    "edges": "EXPLAIN NODES 19, 28 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 3 BUDGET 200 CANDIDATES",
    "class": "EXPLAIN NODE 9 USING MODEL gcn FOR CLASS 1 OPTIMIZE fdl+, conc TOP 2 BUDGET 100 CANDIDATES",
    "against": "EXPLAIN NODE 9 USING MODEL gcn FOR CLASS 1 AGAINST 2 OPTIMIZE fdl+, conc TOP 2 BUDGET 99 CANDIDATES",
    "nodes": "EXPLAIN NODE 19 USING MODEL gcn OVER NODES OPTIMIZE fdl+, conc TOP 3 BUDGET 99 CANDIDATES",
    "features": "EXPLAIN NODE 19 USING MODEL gcn OVER FEATURES OPTIMIZE fdl+, conc TOP 3 BUDGET 99 CANDIDATES",
    "patterns": "EXPLAIN CLASS 2 USING MODEL gcn OPTIMIZE fdl+, fdl-, conc TOP 2 BUDGET 99 CANDIDATES TARGETS 3",
    "links": "EXPLAIN LINKS 4 TO 9, 0 TO 1 USING MODEL friends OPTIMIZE fdl+, conc TOP 2 BUDGET 9 CANDIDATES WITHOUT ITSELF",
    "link_nodes": "EXPLAIN LINK 4 TO 9 USING MODEL friends OVER NODES OPTIMIZE fdl+, conc TOP 2 BUDGET 99 CANDIDATES",
    "typed": "EXPLAIN NODES 3, 4 OF TYPE account USING MODEL risk OPTIMIZE fdl+, conc TOP 2 BUDGET 99 CANDIDATES",
    "typed_links": "EXPLAIN LINK 2 TO 3 USING MODEL paid OPTIMIZE fdl+, conc TOP 2 BUDGET 99 CANDIDATES",
    "graphs": "EXPLAIN GRAPHS 3, 5 USING MODEL kinds OPTIMIZE fdl+, conc TOP 3 BUDGET 99 CANDIDATES",
}


@pytest.fixture(scope="module")
def asked():
    with sxq.connect() as con:
        con.execute(
            "CREATE GRAPH karate FROM DATASET 'KarateClub';"
            "TRAIN MODEL gcn ON GRAPH karate (LAYERS = 2, EPOCHS = 50);"
            "CREATE GRAPHS motifs FROM DATASET 'BA-3motif' (GRAPHS = 9, SEED = 0);"
            "TRAIN MODEL kinds ON GRAPHS motifs (ARCHITECTURE = gin, LAYERS = 2, POOLING = mean, EPOCHS = 3);"
            "TRAIN MODEL friends ON GRAPH karate (TASK = link, LAYERS = 2, EPOCHS = 3);"
            "SET sxq_keep_candidates = true"
        )
        data = bank(3)
        con.register_graph("bank", data)
        con.register_model("paid", TwoSteps(data), "bank", output="logits", edge_type="pays")
        con.register_model(
            "risk", model("sage", data), "bank", output="logits", node_type="account"
        )
        yield con, {name: con.query(text) for name, text in ASKED.items()}


@pytest.mark.parametrize("name", ASKED)
def test_a_stored_answer_makes_the_page_of_the_fresh_one(asked, name):
    con, fresh = asked
    shown = content(fresh[name])
    again = content(stored_result(con.session, fresh[name].query_id))
    for lost in ("notes", "summary"):  # notes of patterns are not stored
        if name == "patterns":
            del shown[lost], again[lost]
    shown["sql"] = again["sql"] = []
    for own, other in zip(shown["targets"], again["targets"]):
        assert sorted(zip(*own.pop("examined").values())) == sorted(
            zip(*other.pop("examined").values())
        )
        assert own == other
    assert shown == again


def test_one_target_of_a_stored_answer(asked):
    con, fresh = asked
    one = stored_result(con.session, fresh["edges"].query_id, 1)
    assert [report.target for report in one.targets] == [28]
    assert [e.edges for e in one] == [e.edges for e in fresh["edges"] if e.target == 28]
    with pytest.raises(sxq.InvalidValue, match="no target 2; it has 2"):
        stored_result(con.session, fresh["edges"].query_id, 2)
    with pytest.raises(sxq.InvalidValue, match="no query 99"):
        stored_result(con.session, 99)
