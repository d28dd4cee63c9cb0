"""Every task, FOR CLASS and AGAINST: what is stored equals plain forwards of the user's module on changed graphs."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.explain import Explainer, ModelConfig
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv, global_mean_pool

import sxq
from sxq.errors import InvalidValue, ModelError
from sxq.pyg import SkylineExplainer
from sxq.scoring.question import ask

NODES = 14
RNG = torch.Generator().manual_seed(3)
ONE_WAY = torch.randint(0, NODES, (2, 16), generator=RNG)
EDGE_INDEX = torch.cat([ONE_WAY, ONE_WAY.flip(0)], 1)
DATA = Data(x=torch.randn(NODES, 4, generator=RNG), edge_index=EDGE_INDEX)
LAYERS = {
    "gcn": GCNConv,
    "sage": SAGEConv,
    "gat": GATConv,
    "gin": lambda a, b: GINConv(nn.Linear(a, b)),
}


class Net(nn.Module):
    """Two layers of one kind; with `pools` a classifier of graphs."""

    def __init__(self, kind, columns, pools=False):
        super().__init__()
        torch.manual_seed(7)
        self.a, self.b = LAYERS[kind](4, 6), LAYERS[kind](6, columns)
        self.pools = pools

    def forward(self, x, edge_index):
        return 2 * self.b(self.a(x, edge_index).relu(), edge_index)


class Pooled(Net):
    def forward(self, x, edge_index, batch):
        return 2 * global_mean_pool(super().forward(x, edge_index), batch)


# task, columns, clauses: (FOR CLASS, AGAINST)
CASES = [
    ("multiclass", 3, (None, None)),
    ("multiclass", 3, (0, None)),
    ("multiclass", 3, (1, None)),
    ("multiclass", 3, (None, 2)),
    ("multiclass", 3, (0, 1)),
    ("multiclass", 3, (1, 0)),
    ("binary", 1, (1, None)),
    ("binary", 1, (0, 1)),
    ("multilabel", 3, (None, None)),
    ("multilabel", 3, (0, None)),
    ("multilabel", 3, (1, 2)),
    ("regression", 2, (None, None)),
    ("regression", 2, (1, None)),
]


def oracle(task, full, out, spread, c, d):
    """(value shown, p, whether the answer is that on G, margin) of outputs [C], by the definitions."""
    if task == "regression":
        away = abs(out[c] - full[c]) / spread[c]
        return out[c], out[c] / spread[c], away <= 0.25, abs(away - 0.25)

    def probabilities(z):
        if task == "multilabel":
            return z.sigmoid()
        return torch.cat([1 - z.sigmoid(), z.sigmoid()]) if len(z) == 1 else z.softmax(0)

    def share(p):
        return p[c] if d is None else p[c] / (p[c] + p[d])

    def says(p):
        if d is not None:
            return bool(p[c] > p[d])
        return bool(p[c] > 0.5) if task == "multilabel" else int(p.argmax()) == c

    p, on_graph = probabilities(out), probabilities(full)
    top = p.sort().values
    margin = abs(2 * share(p) - 1) if d is not None or task == "multilabel" else top[-1] - top[-2]
    own = share(p) if says(on_graph) else 1 - share(p)
    return float(share(p)), float(own), says(p) == says(on_graph), float(margin)


def in_question(task, full, c, d):
    """The class in question where no clause names it."""
    if c is not None or task == "regression":
        return c or 0
    scores = [float("-inf") if i == d else float(z) for i, z in enumerate(full)]
    return int(full[0] > 0) if len(full) == 1 else int(np.argmax(scores))


def forward(model, keep, induced=False):
    """The output on the edges `keep`; of a graph with no other nodes than those at edges, if `induced`."""
    edge_index, x = EDGE_INDEX[:, keep], DATA.x
    if not isinstance(model, Pooled):
        return model(x, edge_index).detach().double()
    if induced:
        nodes = edge_index[:, edge_index[0] != edge_index[1]].unique()  # a loop keeps no node
        edge_index = edge_index[:, torch.isin(edge_index, nodes).all(0)]
        x, edge_index = x[nodes], torch.searchsorted(nodes, edge_index)
    batch = torch.zeros(len(x), dtype=torch.long)
    return model(x, edge_index, batch).detach().double() if len(x) else torch.zeros(1, 3)


def ends(model, edges, target):
    """Outputs [C] on G, without edges, on G_s and on G without it."""
    chosen = set(edges)
    loops = (EDGE_INDEX[0] == EDGE_INDEX[1]).numpy()
    inside = np.array([pair in chosen for pair in map(tuple, EDGE_INDEX.T.tolist())]) & ~loops
    keeps = np.ones(len(inside), bool), loops, inside | loops, ~inside
    row = 0 if isinstance(model, Pooled) else target
    return [forward(model, keep, induced=i == 2)[row] for i, keep in enumerate(keeps)]


def check(model, task, found, clauses, spread):
    for report in found.targets:
        full, empty, *_ = ends(model, (), report.target)
        c, d = in_question(task, full, *clauses), clauses[1]
        assert (report.asked, report.against, report.task) == (c, d, task)
        shown, p_full, *_ = oracle(task, full, full, spread, c, d)
        assert report.probability == pytest.approx(float(shown), abs=1e-5)
        shown, p_empty, alone, margin = oracle(task, full, empty, spread, c, d)
        assert report.p_empty == pytest.approx(float(shown), abs=1e-5)
        assert report.self_sufficient == alone or margin < 1e-4
        assert report.explanations
        for e in report.explanations:
            kept, removed = (
                oracle(task, full, out, spread, c, d) for out in ends(model, e.edges, e.target)[2:]
            )
            fall = float(p_full - removed[1])
            assert e.raw["fdl+"] == pytest.approx(
                abs(fall) if task == "regression" else fall, abs=1e-5
            )
            assert e.raw["fdl-"] == pytest.approx(float(p_full - kept[1]), abs=1e-5)
            assert e.raw["lift"] == pytest.approx(float(kept[1] - p_empty), abs=1e-5)
            assert e.factual == kept[2] or kept[3] < 1e-4
            assert e.counterfactual != removed[2] or removed[3] < 1e-4


def asked(query, clauses):
    c, d = clauses
    query = query if c is None else query.for_class(c)
    return query if d is None else query.against(d)


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("kind", LAYERS)
def test_stored_values_of_nodes_are_those_of_plain_forwards(kind):
    with sxq.connect() as con:
        con.register_graph("g", DATA)
        models = {}
        for task, columns in {case[:2] for case in CASES}:
            model = models[task] = Net(kind, columns).eval()
            output = None if task == "regression" else "logits"
            con.register_model(task, model, "g", output, task=task)
        spread = models["regression"](DATA.x, EDGE_INDEX).double().std(0, correction=0).tolist()
        for task, _, clauses in CASES:
            query = (
                con.explain(nodes=[0, 5] if kind == "gcn" else [5])
                .using(task)
                .optimize("fdl+", "fdl-", "conc", "lift")
            )
            found = asked(query, clauses).budget(40).top(3).run()
            check(models[task], task, found, clauses, spread)
        audit = con.execute("AUDIT")
        assert audit.findings == 0 and audit.explanations > 20


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("kind", ["gcn", "gin"])
def test_stored_values_of_graphs_are_those_of_plain_forwards(kind):
    with sxq.connect() as con:
        con.register_graphs("gs", [DATA])
        for number, (task, columns, clauses) in enumerate(CASES):
            model = Pooled(kind, columns).eval()
            output = None if task == "regression" else "logits"
            con.register_model(f"m{number}", model, graphs="gs", output=output, task=task)
            query = con.explain(graph=0).using(f"m{number}")
            query = query.optimize("fdl+", "fdl-", "conc", "lift")
            found = asked(query, clauses).budget(60).top(4).run()
            # A single graph has no spread but the size of its own number.
            size = forward(model, np.ones(EDGE_INDEX.shape[1], bool)).abs()[0].tolist()
            check(model, task, found, clauses, size)
        wrong = [row[-1] for row in con.execute("AUDIT").rows if not row[-1].startswith("ok")]
        # The whole graph, which may be a member, falls apart.
        assert set(wrong) <= {"its edges are not connected"}


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize("by", ["gnnexplainer", "cf2", "onion", "growing", "sa", "random"])
def test_generators_follow_every_question(by):
    """The masks of learned ones are about the question; what they propose is verified like everything else."""
    for task, columns, clauses in (CASES[5], CASES[9], CASES[12]):
        found = sxq.explain(
            Net("gcn", columns).eval(),
            DATA,
            node=0,
            by={by: {"epochs": 3} if by in ("gnnexplainer", "cf2") else {}},
            output=None if task == "regression" else "logits",
            task=task,
            for_class=clauses[0],
            against=clauses[1],
            budget=50,
        )
        assert found.targets[0].candidates > 3 and len(found)


@pytest.fixture(scope="module")
def every_task():
    with sxq.connect() as con:
        con.register_graph("g", DATA)
        columns = {"multiclass": 3, "multilabel": 3, "regression": 2, "binary": 1}
        for task, number in columns.items():
            output = None if task == "regression" else "logits"
            con.register_model(task, Net("gcn", number).eval(), "g", output, task=task)
        yield con


@pytest.mark.parametrize(
    ("model", "clauses", "words"),
    [
        ("multiclass", "FOR CLASS 9", "FOR CLASS 9, but model 'multiclass' has classes 0 to 2"),
        ("multiclass", "AGAINST 3", "AGAINST 3, but model 'multiclass' has classes 0 to 2"),
        ("multiclass", "FOR CLASS 1 AGAINST 1", "names one class twice: name two"),
        ("multiclass", "FOR CLASS 0.5", "whole number"),
        ("regression", "AGAINST 1", "is a regression"),
        ("regression", "FOR CLASS 2", "has numbers? 0 to 1"),
        ("multilabel", "FOR CLASS 3", "has labels? 0 to 2"),
        ("binary", "FOR CLASS 2", "has classes 0 to 1"),
    ],
)
def test_contradictions_say_what_would_be_right(every_task, model, clauses, words):
    with pytest.raises(InvalidValue, match=words):
        every_task.execute(f"EXPLAIN NODE 0 USING MODEL {model} OPTIMIZE fdl+, conc {clauses}")


def test_tasks_that_contradict_the_columns_name_the_other_readings():
    for task, columns, words in (
        ("multiclass", 1, "binary.*regression"),
        ("binary", 3, "multiclass.*multilabel"),
        ("classes", 3, "expected one of multiclass"),
    ):
        with pytest.raises(ModelError, match=words):
            sxq.explain(Net("gcn", columns).eval(), DATA, node=0, task=task, budget=5)
    with pytest.raises(ModelError, match="has no output="):
        sxq.explain(Net("gcn", 1).eval(), DATA, node=0, task="regression", output="probs")


def test_columns_tables_plan_and_words():
    with sxq.connect() as con:
        con.register_graph("g", DATA)
        con.register_model("m", Net("gcn", 3).eval(), "g")
        plain = con.query("EXPLAIN NODE 0 USING MODEL m OPTIMIZE fdl+, conc BUDGET 20 CANDIDATES")
        assert "class" not in plain.columns and "why" not in plain.summary()
        said = plain.targets[0].prediction
        other = (said + 1) % 3
        found = con.query(
            f"EXPLAIN NODE 0 USING MODEL m FOR CLASS {said} AGAINST {other} OPTIMIZE fdl+, conc"
            " BUDGET 20 CANDIDATES INTO answers"
        )
        assert f"model m for class {said}, against class {other};" in found.plan
        assert f"1 node, why class {said} rather than {other}:" in found.summary()
        assert con.execute("SELECT DISTINCT class, against FROM answers").rows == [(said, other)]
        stored = con.execute("SELECT prediction, class, against FROM targets ORDER BY query_id")
        assert stored.rows == [(said, said, None), (said, said, other)]
        not_said = con.explain(node=0).using("m").for_class(other).optimize("fdl+", "conc")
        assert str(not_said).startswith(f"EXPLAIN NODE 0 USING MODEL m FOR CLASS {other} OPTIMIZE")
        assert f"why not class {other}" in not_said.budget(20).run().summary()
        itself = con.explain(node=0).using("m").against(said).optimize("fdl+", "conc").budget(20)
        assert f"the model already predicts {said}" in itself.run().targets[0].note
        con.register_model("r", Net("gcn", 1).eval(), "g", task="regression")
        number = con.explain(node=0).using("r").optimize("fdl+", "conc").budget(20).run()
        y = Net("gcn", 1).eval()(DATA.x, EDGE_INDEX)[0].item()
        assert f"why {y:.4g}" in number.summary() and "The model gives node 0 the number" in (
            number.to_html()
        )
        facts = dict(con.execute("DESCRIBE MODEL r").rows)
        assert facts["task"] == "regression" and facts["output"] == "numbers" and facts["spread"]


def test_audit_finds_a_changed_question():
    with sxq.connect() as con:
        con.register_graph("g", DATA)
        con.register_model("m", Net("gcn", 3).eval(), "g")
        con.explain(node=0).using("m").for_class(1).optimize("fdl+", "conc").budget(30).run()
        assert con.execute("AUDIT").findings == 0
        for change in ("class = 2", "against = 0", "probability = probability + 0.01"):
            con.execute(f"UPDATE sxq.targets SET {change}")
            assert con.execute("AUDIT").findings
            con.execute("UPDATE sxq.targets SET class = 1, against = NULL")


def test_tolerance_decides_what_a_number_keeps():
    with sxq.connect() as con:
        con.register_graph("g", DATA)
        con.register_model("r", Net("gcn", 1).eval(), "g", task="regression")
        shares = []
        for tolerance in (0.001, 100):
            con.execute(f"SET sxq_tolerance = {tolerance}")
            found = con.explain(node=0).using("r").optimize("fdl-", "conc").budget(30).run()
            shares.append({(e.factual, e.counterfactual) for e in found})
        assert shares[1] == {(True, False)} and (False, True) in shares[0]
        assert con.execute("AUDIT").findings == 0


@pytest.mark.slow
def test_pyg_modes_and_targets():
    model, x = Net("gcn", 3).eval(), DATA.x

    def run(mode, kind, net, **given):
        explainer = Explainer(
            net,
            SkylineExplainer(budget=30),
            explanation_type=kind,
            edge_mask_type="object",
            model_config=ModelConfig(mode, "node", "raw"),
        )
        return explainer(x, EDGE_INDEX, index=2, **given).result.targets[0]

    target = (model(x, EDGE_INDEX).argmax(1) + 1) % 3
    report = run("multiclass_classification", "phenomenon", model, target=target)
    assert report.asked == int(target[2]) and not report.says
    assert run("multiclass_classification", "model", model).says
    assert run("regression", "model", Net("gcn", 1).eval()).task == "regression"
    assert run("binary_classification", "model", model).task == "multilabel"


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_question_is_turned_only_once(task):
    """p is the probability of the answer on G: 1 minus that of c where the model does not say c."""
    rng = np.random.default_rng(0)
    for values in rng.dirichlet(np.ones(4), 200):
        for c, d in ((None, None), (1, None), (1, 2), (None, 3)):
            question = ask(values, task, column=c, against=d)
            row = values[None]
            assert question.kept(row)[0]
            if d is not None or task == "multilabel":
                assert question.p(row)[0] >= 0.5
            own, shown = question.p(row)[0], question.of_class(row)[0]
            assert own == (shown if question.says else 1 - shown)


def test_a_number_turns_into_a_share_and_back():
    for falls in (True, False):
        question = ask(np.array([1.5]), "regression")
        p = np.linspace(-2, 5, 30)
        turned = type(question)(**{**vars(question), "falls": falls})
        share = turned.as_share(p)
        assert ((0 < share) & (share < 1)).all()
        assert turned.from_share(share) == pytest.approx(p, abs=1e-6)
