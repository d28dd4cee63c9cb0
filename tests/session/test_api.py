"""The Python API, as design section 8 promises it: what goes in, what comes out, and what is left untouched."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

import sxq
from sxq import connection
from sxq.generators import GENERATORS
from sxq.generators.protocol import Candidates
from tests import graphs, oracles, toys

ALL = "OPTIMIZE fdl+, fdl-, conc"
TARGET = 3  # acct-17, by position


@pytest.fixture
def con():
    with sxq.connect() as con:
        con.register_graph("payments", toys.payments_data())
        con.register_model("votes", toys.Votes(), "payments")
        yield con


@pytest.fixture
def path(toy):
    """A database file in the working directory, with the toy graphs and models of `toys.fill`."""
    return "toys.duckdb"


def explain(con, target=TARGET, model="votes", **values):
    return con.execute(f"EXPLAIN NODE ? USING MODEL {model} {ALL}", [target])


def answer(result):
    """Everything an answer says, comparable; edges by key."""
    return [
        (
            e.target,
            e.rank,
            e.edges,
            e.size,
            e.factual,
            e.counterfactual,
            e.dominance,
            dict(e.scores),
        )
        for e in result
    ]


def random_data(seed=0, **options):
    graph = graphs.random_graph(np.random.default_rng(seed), **options)
    columns = {
        name: torch.tensor(value)
        for name, value in graph.columns().items()
        if isinstance(value, np.ndarray)
    }
    return Data(**columns), graph


# -- results ---------------------------------------------------------------------------------------------------------


def test_an_explanation_has_positions_keys_and_measures(con):
    first, second = explain(con)
    assert (first.target, first.rank, first.size, first.dominance) == (TARGET, 1, 1, 4)
    assert (
        first.edge_index.tolist() == [[1], [3]]
        and first.nodes.tolist() == [1, 3]
        and first.edges == ((1, 3),)
    )
    assert second.edge_index.tolist() == [[0, 1], [3, 3]] and second.nodes.tolist() == [0, 1, 3]
    p = [
        1 / (1 + np.exp(-odds)) for odds in (2.5, -0.5, -1.5, 3.5)
    ]  # full; without acct-3; without both; both alone
    assert first.raw == pytest.approx({"fdl+": p[0] - p[1], "fdl-": 0, "conc": 2 / 3}, abs=1e-6)
    assert second.raw == pytest.approx(
        {"fdl+": p[0] - p[2], "fdl-": p[0] - p[3], "conc": 1 / 3}, abs=1e-6
    )
    assert second.scores == pytest.approx(
        {"fdl+": p[0] - p[2], "fdl-": 1 - p[3] + p[0], "conc": 0.5}, abs=6e-5
    )
    assert first.factual and first.counterfactual and not first.tie
    assert repr(first) == (
        "Explanation(target=3, rank=1, size=1, fdl+=0.5466, fdl-=0, conc=0.6667, "
        "factual+counterfactual)"
    )


def test_a_result_reads_like_a_cursor_and_like_a_list(con):
    result = explain(con)
    assert len(result) == 2 and [e.rank for e in result] == [1, 2] and result[1].rank == 2
    assert result.columns[:4] == ["target", "rank", "recommended", "size"]
    assert result.columns[-3:] == ["fdl_plus", "fdl_minus", "conc"]
    first = result.fetchone()
    assert first[:4] == (3, 1, False, 1) and result.fetchall()[0][:4] == (3, 2, True, 2)
    assert result.fetchone() is None and result.fetchall() == []
    frame = result.df()
    assert list(frame.columns) == result.columns and frame["fdl_plus"].tolist() == [
        e.raw["fdl+"] for e in result
    ]
    assert repr(result).endswith(
        "1 node: 2 explanations cover 100.0% (epsilon 0.1) of the 5 explanatory candidates; "
        "7 were verified. Look first at rank 2."
    )


def test_a_result_sums_over_its_targets(con):
    result = con.execute(f"EXPLAIN NODES 3, 4, 5 USING MODEL votes {ALL} TOP 1")
    reports = result.targets
    assert [r.target for r in reports] == [3, 4, 5] and [r.status for r in reports] == [
        "done",
        "done",
        "empty",
    ]
    assert result.candidates == sum(r.candidates for r in reports) == 8
    assert (
        result.coverage
        == sum(r.dominance for r in reports) / sum(r.explanatory for r in reports)
        == 4 / 6
    )
    assert (
        result.epsilon_achieved
        == max(r.epsilon_achieved for r in reports if r.epsilon_achieved is not None)
        > 0.1
    )
    assert result.complete and result.query_id == 1
    assert (
        reports[0].p_empty == pytest.approx(1 / (1 + np.exp(0.5)))
        and not reports[0].self_sufficient
    )
    assert reports[2].coverage is None and "no candidate" in reports[2].note


def test_a_result_outlives_its_connection():
    with sxq.connect() as con:
        con.register_graph("g", toys.payments_data())
        con.register_model("m", toys.Votes(), "g")
        result = con.execute(f"EXPLAIN NODE 3 USING MODEL m {ALL}")
        table = con.sql("SELECT 1 AS one")
    assert len(result.df()) == 2 and result[0].to_networkx().number_of_edges() == 1
    assert table.df()["one"].tolist() == [1]


def test_an_explanation_becomes_a_graph_of_networkx_and_of_pyg(con):
    second = explain(con)[1]
    drawn = second.to_networkx()
    assert sorted(drawn.edges) == [(0, 3), (1, 3)] and drawn.nodes[3] == {
        "target": True,
        "label": 0,
    }
    assert drawn.graph["fdl+"] == second.raw["fdl+"]
    data = second.to_data()
    assert (
        data.edge_index.tolist() == [[0, 1], [2, 2]]
        and data.nodes.tolist() == [0, 1, 3]
        and data.target == 2
    )
    assert data.x.tolist() == [[1, 0], [3, 0], [0, 0.5]] and data.y.tolist() == [0, 0, 0]


def test_sql_is_the_same_call(con):
    explain(con)
    table = con.sql("SELECT target, size FROM explanations ORDER BY rank")
    assert (
        list(table) == [(3, 1), (3, 2)] and table.columns == ["target", "size"] and len(table) == 2
    )
    assert table.df()["size"].dtype == np.int64
    assert con.execute("SELECT 1; SELECT 2").fetchone() == (2,)
    assert len(con.execute("")) == 0 and con.execute("-- nothing").columns == []


def test_parameters_may_be_of_numpy_and_torch(con):
    expected = answer(explain(con))
    text = f"EXPLAIN NODE ? USING MODEL votes {ALL} TOP ? EPSILON ?"
    for values in (
        [np.int64(3), np.int32(10), np.float32(0.5)],
        [torch.tensor(3), torch.tensor(10), torch.tensor(0.5)],
        (3, 10.0, 0.5),
    ):
        assert [e.edges for e in con.execute(text, values)] == [row[2] for row in expected]
    for nodes in (
        [3, 4],
        np.array([3, 4]),
        torch.tensor([3, 4]),
        (np.int64(3), torch.tensor(4)),
        range(3, 5),
    ):
        assert [
            r.target
            for r in con.execute(f"EXPLAIN NODES ? USING MODEL votes {ALL}", [nodes]).targets
        ] == [3, 4]
    named = con.execute(
        f"EXPLAIN NODES (SELECT $first::BIGINT) USING MODEL votes {ALL} TOP $k",
        {"first": np.int64(3), "k": 1},
    )
    assert len(named) == 1
    assert con.sql("SELECT ? + ?", [np.int64(1), torch.tensor(2)]).fetchone() == (3,)


def test_into_has_the_columns_of_df(con):
    result = con.execute("EXPLAIN NODES 3, 4 USING MODEL votes OPTIMIZE lift, conc INTO answers")
    stored, frame = con.sql("SELECT * FROM answers").df(), result.df()
    assert list(stored.columns) == list(frame.columns) and len(stored) == len(frame) == 3
    assert stored.astype(object).equals(frame.astype(object))


# -- graphs ----------------------------------------------------------------------------------------------------------


def test_a_registered_graph_is_a_copy(con):
    data = toys.payments_data()
    con.register_graph("mine", data)
    con.register_model("m", toys.Votes(), "mine")
    before = answer(explain(con, model="m"))
    data.x.zero_()
    data.edge_index.zero_()
    assert answer(explain(con, model="m")) == before


def test_registering_does_not_change_the_data(con):
    data = toys.payments_data()
    twin = copy.deepcopy(data)
    con.register_graph("mine", data)
    assert data.keys() == twin.keys() and all(
        torch.equal(data[key], twin[key]) for key in twin.keys()
    )
    data.x += 1  # and the engine kept no lock on its memory


def test_the_same_graph_again_is_a_no_op_and_another_is_refused(con):
    con.register_graph("payments", toys.payments_data())
    other = toys.payments_data()
    other.x[0, 0] = 2
    with pytest.raises(sxq.NameTaken, match="'payments' exists with other content.*replace"):
        con.register_graph("payments", other)
    assert len(explain(con)) == 2
    con.register_graph("payments", other, replace=True)
    with pytest.raises(sxq.ModelError, match="'votes' was dropped or replaced"):
        explain(con)
    con.register_model("votes", toys.Votes(), "payments", replace=True)
    assert explain(con).targets[0].probability == pytest.approx(1 / (1 + np.exp(-3.5)))


def test_replacing_keeps_old_answers_auditable(con):
    first = explain(con)
    other = toys.payments_data()
    other.x[1, 0] = 0.25
    con.register_graph("payments", other, replace=True)
    con.register_model("votes", toys.Votes(), "payments", replace=True)
    second = explain(con)
    assert [e.edges for e in first] != [e.edges for e in second]
    con.register_graph("payments", toys.payments_data(), replace=True)
    con.register_model("votes", toys.Votes(), "payments", replace=True)
    assert {row[-1] for row in con.execute("AUDIT QUERY 1")} == {"ok"}


@pytest.mark.slow
def test_replacing_a_stored_model_keeps_its_answers_auditable(path):
    with sxq.connect(path) as con:
        con.execute(f"EXPLAIN NODE 'acct-17' USING MODEL votes {ALL}")
        con.execute(
            "CREATE OR REPLACE GRAPH payments FROM NODES (SELECT * FROM accounts) "
            "EDGES (SELECT payee, payer FROM transfers)"
        )
        con.execute("TRAIN OR REPLACE MODEL votes ON GRAPH payments (EPOCHS = 2, LAYERS = 1)")
        con.execute(f"EXPLAIN NODE 'acct-3' USING MODEL votes {ALL}")
        audit = con.execute("AUDIT")
        assert {row[0] for row in audit} == {1, 2} and {row[-1] for row in audit} == {"ok"}
    with sxq.connect(path) as con:
        assert list(con.execute("AUDIT")) == list(audit)


# -- models ----------------------------------------------------------------------------------------------------------


class Cached(nn.Module):
    """Two cached layers, dropout between, a buffer, and a mode that is not the engine's."""

    def __init__(self):
        super().__init__()
        self.first, self.second = GCNConv(5, 6, cached=True), GCNConv(6, 3, cached=True)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x, edge_index):
        x = torch.dropout(self.first(x, edge_index).relu(), 0.5, self.training)
        return self.second(x, edge_index)


def state(module):
    return {
        name: (tensor.clone(), tensor._version, tensor.requires_grad, tensor.grad, id(tensor))
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]
    }


def test_a_model_is_left_exactly_as_it_was():
    torch.manual_seed(0)
    data, graph = random_data()
    module = Cached()
    module(data.x, data.edge_index)  # fills the caches
    module.train()
    module.first.bias.requires_grad_(False)
    calls = []
    hook = module.second.register_forward_hook(lambda *_: calls.append(1))
    cache, before, modes = (
        module.first._cached_edge_index,
        state(module),
        [m.training for m in module.modules()],
    )
    keys = {name: set(vars(part)) for name, part in module.named_modules()}
    with sxq.connect() as con:
        con.register_graph("g", data)
        con.register_model("m", module, "g")
        con.execute(
            "EXPLAIN NODES 0, 1, 2 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 60 CANDIDATES"
        )
        con.execute("AUDIT")
    after = state(module)
    for name, (value, *rest) in before.items():
        assert torch.equal(after[name][0], value) and after[name][1:] == tuple(rest)
    assert [
        m.training for m in module.modules()
    ] == modes and module.first._cached_edge_index is cache
    assert {name: set(vars(part)) for name, part in module.named_modules()} == keys
    assert module.first.cached and module.first._edge_mask is None and module.first.explain is None
    assert list(module.second._forward_hooks) == [hook.id] and torch.is_grad_enabled()


def test_a_cached_model_is_explained_as_if_it_were_not_cached():
    torch.manual_seed(1)
    data, graph = random_data(1)
    module = Cached().eval()
    module(data.x, data.edge_index)
    result = sxq.explain(module, data, 0, budget=40)
    assert len(result)
    plain = copy.deepcopy(module)
    plain.first.cached = plain.second.cached = False
    plain.first._cached_edge_index = plain.second._cached_edge_index = None
    for e in result:
        plus, minus, factual, counterfactual, margin = oracles.measure(
            plain, graph, 0, e.edge_index
        )
        assert (e.raw["fdl+"], e.raw["fdl-"]) == pytest.approx((plus, minus), abs=1e-5)
        assert (e.factual, e.counterfactual) == (factual, counterfactual) or margin < 1e-5


def test_outputs_of_every_kind_give_the_same_answer(con):
    expected = answer(explain(con))
    one_column = toys.Votes(output=lambda logits: logits[:, 1:] - logits[:, :1])
    kinds = {
        "log_probs": toys.Votes(output=lambda logits: logits.log_softmax(1)),
        "probs": toys.Votes(output=lambda logits: logits.softmax(1)),
        "logits": one_column,
    }
    for output, module in kinds.items():
        con.register_model(output, module, "payments", output=output)
        assert answer(explain(con, model=output)) == expected, output


def test_one_column_of_probabilities_means_two_classes(con):
    con.register_model(
        "risk",
        toys.Votes(output=lambda logits: logits.softmax(1)[:, :1]),
        "payments",
        output="probs",
    )
    result = explain(con, model="risk")
    assert result.targets[0].prediction == 1 and [e.edges for e in result] == [
        row[2] for row in answer(explain(con))
    ]


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_statements_that_need_gradients_within_a_context_without(context):
    with context(), sxq.connect() as con:
        con.execute(
            """CREATE GRAPH karate FROM DATASET 'KarateClub';
            TRAIN MODEL gcn ON GRAPH karate (ARCHITECTURE = gcn, HIDDEN = 4, EPOCHS = 2);
            PRETRAIN REFINE r FOR MODEL gcn ON GRAPH karate (NODES = 3, EPOCHS = 1)"""
        )
        for generator in ("cf2", "gnnexplainer", "refine (pretrained = r)"):
            con.execute(
                f"EXPLAIN NODE 19 USING MODEL gcn OPTIMIZE fdl+, conc BY {generator}"
                " BUDGET 20 CANDIDATES"
            )
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("how", [lambda scale: scale.data, lambda scale: scale.detach().numpy()])
def test_a_change_of_weights_that_torch_does_not_count_is_noticed(con, how):
    module = toys.Votes()
    con.register_model("changed", module, "payments")
    scale = how(module.scale)
    scale *= 0.5
    with pytest.raises(sxq.ModelChanged, match="'changed' have changed"):
        explain(con, model="changed")


def test_a_model_that_was_trained_further_is_noticed(con):
    module = toys.Votes()
    con.register_model("trained", module, "payments")
    explain(con, model="trained")
    with torch.no_grad():
        module.scale.mul_(0.5)
    with pytest.raises(sxq.ModelChanged, match="'trained' have changed.*replace=True"):
        explain(con, model="trained")
    with pytest.raises(sxq.ModelChanged):
        con.execute("AUDIT QUERY 1")
    with pytest.raises(sxq.NameTaken, match="model 'trained' exists with other content"):
        con.register_model("trained", module, "payments")
    con.register_model("trained", module, "payments", replace=True)
    assert explain(con, model="trained").targets[0].probability == pytest.approx(
        1 / (1 + np.exp(-1.25))
    )


def test_several_models_on_several_graphs(con):
    data, _ = random_data(2)
    con.register_graph("random", data)
    con.register_model("gcn", graphs.make("gcn"), "random")
    con.register_model("two", toys.Votes(layers=2), "payments")
    assert len(explain(con)) == 2
    assert (
        con.execute(f"EXPLAIN NODE 0 USING MODEL gcn {ALL} BUDGET 20 CANDIDATES").candidates == 20
    )
    assert explain(con, 4, "two").targets[0].field_size == 4
    assert list(con.sql("SELECT model_id, graph_id FROM queries ORDER BY query_id")) == [
        (1, 1),
        (2, 2),
        (3, 1),
    ]
    shown = [row[:2] for row in con.execute("SHOW MODELS")]
    assert shown == [("gcn", "random"), ("two", "payments"), ("votes", "payments")]


def test_the_graph_may_be_left_out_where_there_is_one(con):
    con.register_model("again", toys.Votes())
    assert len(explain(con, model="again")) == 2
    con.register_graph("other", random_data()[0])
    with pytest.raises(
        sxq.InvalidValue, match="graph= is needed: known graphs are other, payments"
    ):
        con.register_model("third", toys.Votes())


def test_a_model_is_transferred_to_another_graph(con):
    data, graph = random_data(3, features=2)
    con.register_graph("elsewhere", data)
    result = con.execute(
        f"EXPLAIN NODE 0 USING MODEL votes ON GRAPH elsewhere {ALL} BUDGET 30 CANDIDATES"
    )
    assert len(result)
    for e in result:
        plus, minus, *_ = oracles.measure(toys.Votes(), graph, 0, e.edge_index)
        assert (e.raw["fdl+"], e.raw["fdl-"]) == pytest.approx((plus, minus), abs=1e-5)
    assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, options", [("gcn_weighted", {"weighted": True}), ("gat_attr", {"attributed": True})]
)
def test_models_of_edge_weights_and_attributes(kind, options):
    data, graph = random_data(4, **options)
    module = graphs.make(kind)
    result = sxq.explain(module, data, [0, 1], budget=25)
    assert len(result)
    for e in result:
        plus, minus, *_ = oracles.measure(module, graph, e.target, e.edge_index)
        assert (e.raw["fdl+"], e.raw["fdl-"]) == pytest.approx((plus, minus), abs=1e-5)


# -- reopening -------------------------------------------------------------------------------------------------------


def test_named_architectures_survive_reopening(path):
    text = f"EXPLAIN NODE 'acct-17' USING MODEL votes {ALL}"
    with sxq.connect(path) as con:
        before = con.execute(text)
    with sxq.connect(path) as con:
        assert answer(con.execute(text)) == answer(before)
        assert [row[:2] for row in con.execute("AUDIT")] == [(1, "acct-17")] * 2 + [
            (2, "acct-17")
        ] * 2
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        assert con.execute("DESCRIBE MODEL votes").fetchone() == ("model", "votes")


def test_a_detached_model_says_what_to_do_and_keeps_its_answers(tmp_path):
    path, module = str(tmp_path / "d.duckdb"), toys.Votes()
    with sxq.connect(path) as con:
        con.register_graph("payments", toys.payments_data())
        con.register_model("votes", module, "payments")
        before = answer(explain(con))
    with sxq.connect(path) as con:
        assert con.execute("SHOW MODELS").rows[0][-1].startswith("detached")
        for text in (f"EXPLAIN NODE 3 USING MODEL votes {ALL}", "AUDIT"):
            with pytest.raises(sxq.ModelDetached, match=r"con.register_model\('votes', module\)"):
                con.execute(text)
        assert con.sql("SELECT count(*) FROM explanations").fetchone() == (2,)
        con.register_model("votes", module)
        assert answer(explain(con)) == before and {row[-1] for row in con.execute("AUDIT")} == {
            "ok"
        }
        assert con.sql("SELECT count(*) FROM models").fetchone() == (1,)


@pytest.mark.slow
def test_read_only_explains_and_audits_without_storing(path):
    with sxq.connect(path) as con:
        con.register_graph("mine", toys.payments_data())
        con.register_model("own", toys.Votes(), "mine")
        before = explain(con, model="own")
    with sxq.connect(path, read_only=True) as con:
        con.register_graph("mine", toys.payments_data())
        con.register_model("own", toys.Votes(), "mine")
        con.register_model("own", toys.Votes(), "mine")
        result = explain(con, model="own")
        assert answer(result) == answer(before) and result.query_id is None
        assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
        con.register_model("new", toys.Votes(layers=2), "mine")
        assert len(explain(con, model="new"))
        with pytest.raises(sxq.NameTaken, match="model 'own' exists with other content"):
            con.register_model("own", toys.Votes(layers=2), "mine")
        with pytest.raises(sxq.NameTaken, match="graph 'mine' exists with other content"):
            con.register_graph("mine", random_data()[0])
    with sxq.connect(path) as con:
        assert con.sql("SELECT count(*) FROM queries").fetchone() == (1,)
        assert con.sql("SELECT count(*) FROM models WHERE name = 'new'").fetchone() == (0,)


# -- AUDIT -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize(
    "tamper, verdict",
    [
        (
            "UPDATE sxq.explanations SET raw = map_concat(raw, MAP {'fdl+': 0.5::DOUBLE}) WHERE rank = 1",
            "raw values differ by 0.047",
        ),
        (
            "UPDATE sxq.explanations SET factual = false WHERE rank = 1",
            "found factual = True, counterfactual = True",
        ),
        (
            "UPDATE sxq.explanation_edges SET src = 2 WHERE explanation_id = 1",
            "raw values differ by 0.74",
        ),
        (
            "UPDATE sxq.explanation_edges SET src = 5 WHERE explanation_id = 1",
            "edge 5 -> 3 is not in the graph",
        ),
        ("DELETE FROM sxq.explanation_edges WHERE explanation_id = 1", "raw values differ"),
        (
            "UPDATE sxq.explanation_edges SET src = 99 WHERE explanation_id = 1",
            "edge 99 -> 3 is not in the graph",
        ),
        (
            "UPDATE sxq.explanations SET fdl_minus = 0.5 WHERE rank = 1",
            "column fdl_minus differs by",
        ),
        ("UPDATE sxq.explanations SET conc = 'nan' WHERE rank = 1", "column conc differs by inf"),
        ("UPDATE sxq.explanations SET size = size + 1 WHERE rank = 1", "column size differs by 1"),
        ("UPDATE sxq.explanations SET num_nodes = 0 WHERE rank = 1", "column num_nodes differs by"),
    ],
)
def test_audit_notices(con, tamper, verdict):
    explain(con)
    assert {row[-1] for row in con.execute("AUDIT")} == {"ok"}
    con.execute(tamper)
    first, second = con.execute("AUDIT")
    assert verdict in first[-1] and second[-1] == "ok"


# -- measures --------------------------------------------------------------------------------------------------------


def test_a_measure_of_ones_own(con):
    seen = []

    def reach(batch):
        """share of the field's units that are kept"""
        seen.append(
            (
                batch.bits.shape,
                batch.p_full,
                batch.p_kept.shape,
                batch.p_removed.shape,
                batch.field.num_units,
            )
        )
        return batch.sizes / batch.bits.shape[1]

    con.register_measure("reach", reach, larger_is_better=True)
    result = con.execute(
        "EXPLAIN NODE 3 USING MODEL votes OPTIMIZE Reach, fdl- WHERE reach < 1 INTO wide"
    )
    assert [(e.size, e.raw["reach"], e.scores["reach"]) for e in result] == [
        (2, pytest.approx(2 / 3), 0.6667),
        (1, pytest.approx(1 / 3), 0.3333),
    ]
    assert result.columns[9] == "reach" and con.sql("SELECT max(reach) FROM wide").fetchone()[
        0
    ] == pytest.approx(2 / 3)
    assert con.sql("SELECT raw['reach'] FROM explanations WHERE rank = 2").fetchone()[
        0
    ] == pytest.approx(1 / 3)
    assert all(
        shape[1] == units == 3 and kept == removed == shape[:1]
        for shape, _, kept, removed, units in seen
    )
    shown = {row[0]: row for row in con.execute("SHOW MEASURES")}
    assert shown["reach"][1:4] == ("reach", "larger", "share of the field's units that are kept")


def test_smaller_is_better_and_a_score_of_ones_own(con):
    con.register_measure("spread", lambda batch: batch.sizes / 3, larger_is_better=False)
    assert [
        e.size
        for e in con.execute(
            "EXPLAIN NODE 3 USING MODEL votes OPTIMIZE spread WHERE counterfactual"
        )
    ] == [1]
    con.register_measure(
        "count", lambda batch: batch.sizes, larger_is_better=True, score=lambda raw: raw / 4
    )
    result = con.execute('EXPLAIN NODE 3 USING MODEL votes OPTIMIZE "count"')
    assert [(e.raw["count"], e.scores["count"]) for e in result] == [(3, 0.75)]


def test_a_measure_that_gives_nan_leaves_candidates_out_and_says_so(con):
    con.register_measure(
        "odd", lambda batch: np.where(batch.sizes == 1, np.nan, 0.5), larger_is_better=True
    )
    result = con.execute("EXPLAIN NODE 3 USING MODEL votes OPTIMIZE odd, fdl+")
    assert [e.size for e in result] == [2] and result.targets[0].explanatory == 3
    assert "2 candidates were left out: a measure gave NaN" in result.targets[0].note
    assert con.sql("SELECT note FROM targets").fetchone()[0] == result.targets[0].note


@pytest.mark.parametrize(
    "name, fn, error, said",
    [
        ("fdl+", lambda batch: batch.sizes, sxq.Error, "fdl"),
        ("conc", lambda batch: batch.sizes, sxq.NameTaken, "built in"),
        ("far", lambda batch: batch.sizes * 7.0, sxq.InvalidValue, "outside \\[0, 1\\]"),
        ("short", lambda batch: [0.5], sxq.InvalidValue, "one value per candidate"),
    ],
)
def test_a_measure_that_is_wrong(con, name, fn, error, said):
    with pytest.raises(error, match=said):
        con.register_measure(name, fn, larger_is_better=True)
        con.execute(f"EXPLAIN NODE 3 USING MODEL votes OPTIMIZE {name}")
    assert len(explain(con)) == 2


# -- one call --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_explain_in_one_call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, module = toys.payments_data(), toys.Votes()
    result = sxq.explain(module, data, 3)
    assert [e.edges for e in result] == [((1, 3),), ((0, 3), (1, 3))] and list(
        tmp_path.iterdir()
    ) == []
    assert [
        e.rank for e in sxq.explain(module, data, node=3, k=np.int64(1), epsilon=torch.tensor(0.0))
    ] == [1]
    assert [r.target for r in sxq.explain(module, data, [3, 4]).targets] == [3, 4]
    assert [r.target for r in sxq.explain(module, data, torch.tensor([3, 4])).targets] == [3, 4]
    assert sxq.explain(module, data, np.int64(3)).targets[0].target == 3
    one = sxq.explain(
        module,
        data,
        3,
        optimize=["conc"],
        by=["random"],
        budget=2,
        seed=4,
        within=60,
        directed=True,
    )
    assert one.candidates <= 2 and "random" in one.plan and "seed 4" in one.plan
    with pytest.raises(sxq.NodeNotFound, match="0 to 5"):
        sxq.explain(module, data, 6)
    with pytest.raises(sxq.InvalidValue, match="TOP 0"):
        sxq.explain(module, data, 3, k=0)


# -- the search ------------------------------------------------------------------------------------------------------

SEARCHES = ["", "BY onion", "BY growing", "BY random", "BY onion, random (size = 4)"]


@pytest.fixture(scope="module")
def field():
    """A graph and a model large enough that budgets, batches and turns matter."""
    with sxq.connect() as con:
        data, graph = random_data(5, nodes=40, edges=70)
        con.register_graph("g", data)
        con.register_model("m", graphs.make("gcn"), "g")
        yield con, graph


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("by", SEARCHES)
def test_the_same_query_and_seed_give_the_same_answer(field, by):
    con, _ = field
    text = f"EXPLAIN NODES ? USING MODEL m {ALL} {by} BUDGET 70 CANDIDATES SEED 3"
    nodes = [0, 5, 11]
    together = con.execute(text, [nodes])
    assert answer(together) == answer(con.execute(text, [nodes]))
    con.execute("SET sxq_batch_memory = '1 MB'")
    assert answer(con.execute(text, [nodes])) == answer(together)
    con.execute("RESET sxq_batch_memory")
    apart = [answer(con.execute(text, [[node]])) for node in nodes]
    assert sum(apart, []) == answer(together)
    assert answer(con.execute(text, [nodes[::-1]])) == apart[2] + apart[1] + apart[0]


def test_seeds_matter_to_random_searches_only(field):
    con, _ = field

    def run(by, seed):
        return answer(
            con.execute(
                f"EXPLAIN NODE 0 USING MODEL m {ALL} BY {by} BUDGET 60 CANDIDATES SEED {seed}"
            )
        )

    assert run("random", 1) != run("random", 2)
    assert run("onion", 1) == run("onion", 2)


@pytest.mark.slow
@pytest.mark.sweep(10)
@pytest.mark.parametrize("by", SEARCHES)
@pytest.mark.parametrize("budget", [1, 2, 7, 64, 65])
def test_a_budget_is_kept_to_the_candidate(field, by, budget):
    con, _ = field
    result = con.execute(f"EXPLAIN NODES 0, 5 USING MODEL m {ALL} {by} BUDGET {budget} CANDIDATES")
    assert all(r.candidates <= budget for r in result.targets)
    assert all(r.complete or r.candidates == budget for r in result.targets)


@pytest.mark.slow
@pytest.mark.sweep(3)
@pytest.mark.parametrize(
    "by", ["BY onion", "BY growing", "BY random", "BY exhaustive", "BY onion, growing", ""]
)
def test_complete_means_that_more_budget_would_find_nothing_more(con, by):
    query = f"EXPLAIN NODE 3 USING MODEL votes {ALL} {by} BUDGET %d CANDIDATES"
    enough = con.execute(query % 5000)
    assert enough.complete
    for budget in range(1, enough.candidates):
        try:
            fewer = con.execute(query % budget)
        except sxq.Error:
            assert by == "BY exhaustive"
        else:
            assert not fewer.complete and fewer.candidates <= budget


@pytest.mark.parametrize("by", SEARCHES)
def test_answers_are_connected_measured_and_not_dominated(field, by):
    con, graph = field
    result = con.execute(f"EXPLAIN NODE 5 USING MODEL m {ALL} {by} BUDGET 80 CANDIDATES")
    module = graphs.make("gcn")
    assert len(result) > 1
    for e in result:
        reached = {5}
        while grown := {w for edge in e.edges for w in edge if set(edge) & reached} - reached:
            reached |= grown
        assert reached == set(e.nodes.tolist())
        plus, minus, *_ = oracles.measure(module, graph, 5, e.edge_index)
        assert (e.raw["fdl+"], e.raw["fdl-"]) == pytest.approx((plus, minus), abs=1e-5)
    vectors = np.array([list(e.scores.values()) for e in result])
    assert not any((a >= b).all() and (a > b).any() for a in vectors for b in vectors)


def test_within_stops_the_statement(field):
    con, _ = field
    con.execute("SET sxq_budget = 1000000000")
    result = con.execute(
        f"EXPLAIN NODES 0, 1, 2, 3 USING MODEL m {ALL} BY random WITHIN 0.2 SECONDS"
    )
    con.execute("RESET sxq_budget")
    assert not result.complete and result.candidates > 0
    assert all("stopped after 0.2 seconds" in r.note for r in result.targets)
    assert {
        row[0] for row in con.sql(f"SELECT status FROM targets WHERE query_id = {result.query_id}")
    } == {"stopped"}


def test_within_is_kept_by_a_search_that_only_repeats_itself(con, monkeypatch):
    """One candidate, proposed for ever: nothing is left to verify, and still the clock is looked at."""

    def endless(field, context):
        while True:
            yield Candidates.of(np.ones((1, field.num_units), bool))

    monkeypatch.setitem(GENERATORS, "random", replace(GENERATORS["random"], function=endless))
    result = con.execute(
        f"EXPLAIN NODE 4 USING MODEL votes {ALL} BY random "
        "BUDGET 1000000000 CANDIDATES WITHIN 0.2 SECONDS"
    )
    assert result.candidates == 1 and not result.complete and len(result) == 1


def test_the_generator_that_found_an_answer_is_named(field):
    con, _ = field
    found = {
        e.generator
        for e in con.execute(f"EXPLAIN NODE 0 USING MODEL m {ALL} BUDGET 200 CANDIDATES")
    }
    assert found <= {"field", "search"} and "search" in found


def test_profile_runs_and_stores(con):
    profile = con.execute(f"PROFILE EXPLAIN NODE 3 USING MODEL votes {ALL}")
    text = str(profile)
    for part in (
        "7 candidates in",
        "5 explanatory, front 2",
        "2 explanations, coverage 100.0%",
        "1 targets",
    ):
        assert part in text
    assert con.sql("SELECT count(*) FROM explanations").fetchone() == (2,)
    assert len(con.last_result) == 2 and profile.columns == ["plan"]


def test_the_profile_shows_apart_what_the_model_ran_for_estimates(field):
    con, _ = field
    text = str(con.execute(f"PROFILE EXPLAIN NODE 0 USING MODEL m {ALL} BUDGET 200 CANDIDATES"))
    spent = con.last_result.profile
    assert (
        0 < spent["Estimate"]
        and 0 < spent["Generate"]
        and f", estimates {spent['Estimate']:.3f} s]" in text
    )
    con.execute(f"PROFILE EXPLAIN NODE 0 USING MODEL m {ALL} BY random BUDGET 20 CANDIDATES")
    assert "Estimate" not in con.last_result.profile


def test_a_query_is_stored_with_where_it_came_from(con):
    con.execute("SET sxq_budget = 77")
    explain(con)
    ((text, settings, versions, complete),) = con.sql(
        "SELECT text, settings, versions, complete FROM queries"
    )
    assert text.startswith("EXPLAIN NODE ?") and json.loads(settings)["sxq_budget"] == 77
    assert json.loads(versions)["torch"] == torch.__version__ and complete
    (row,) = con.execute("SHOW QUERIES")
    assert row[0] == 1 and row[2:6] == ("votes", "payments", 1, 2)


def test_progress_is_reported_and_may_be_left_out(field):
    con, _ = field
    news = []
    con.report = news.append
    try:
        con.execute(
            f"EXPLAIN NODES 0, 1, 2, 3, 4 USING MODEL m {ALL} BY random "
            "BUDGET 1000000000 CANDIDATES WITHIN 0.3 SECONDS"
        )
    finally:
        con.report = None
    assert news and all(n.total == 5 and n.targets <= 5 for n in news)
    assert [n.candidates for n in news] == sorted(n.candidates for n in news)


def test_every_public_name_is_there():
    assert sorted(sxq.__all__) == sxq.__all__ and all(hasattr(sxq, name) for name in sxq.__all__)
    errors = [
        getattr(sxq, name)
        for name in sxq.__all__
        if isinstance(getattr(sxq, name), type)
        and issubclass(getattr(sxq, name), Exception)
        and not issubclass(getattr(sxq, name), Warning)
    ]
    assert len(errors) == 21 and all(issubclass(error, sxq.Error) for error in errors)


def test_query_is_execute_for_a_script_that_ends_with_an_explain(con):
    explain = f"EXPLAIN NODE 4 USING MODEL votes {ALL} TOP 2"
    result = con.query(f"SET sxq_budget = ?; {explain}", [50])
    assert type(result) is sxq.Result and result.summary() == con.execute(explain).summary()


@pytest.mark.parametrize(
    "script, found",
    [
        ("EXPLAIN NODE 4 USING MODEL votes OPTIMIZE conc; SELECT 1", "found Sql"),
        ("PROFILE EXPLAIN NODE 4 USING MODEL votes OPTIMIZE conc", "found ProfileExplain"),
        ("", "found nothing"),
    ],
)
def test_query_refuses_other_scripts_before_anything_runs(con, script, found):
    with pytest.raises(sxq.QueryError, match=f"ends with an EXPLAIN, {found}"):
        con.query(script)
    assert con.sql("SELECT count(*) FROM queries").fetchone() == (0,)


def test_a_query_that_is_interrupted_before_its_explain_says_so(con, monkeypatch):
    monkeypatch.setattr(connection, "show", lambda *_: con.interrupt() and sxq.Table([], []))
    with pytest.raises(sxq.QueryError, match="interrupted before its EXPLAIN began"):
        con.query(f"SHOW MODELS; EXPLAIN NODE 4 USING MODEL votes {ALL}")
