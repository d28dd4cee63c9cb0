"""Models with large logits: masked classes, offsets that all classes share, models that are very sure.

What is stored must be what a plain forward pass in double says of the graph with the edges really removed, or the
target's note must say how exact it is. The same must be found about the model as about the plain one inside.
"""

import copy
import re

import numpy as np
import pytest
import torch
from torch import nn

import sxq
from sxq.errors import ModelOutputError
from sxq.graph import Graph, extract
from sxq.inference import CandidateBatch
from sxq.inference.agreement import agree, uncertainty
from sxq.inference.disjoint import Disjoint
from sxq.inference.registration import register
from sxq.models.borrow import borrow
from tests.graphs import make, random_graph
from tests.toys import Votes

MASKS = {"-1e5": -1e5, "-1e9": -1e9, "min": torch.finfo(torch.float32).min, "-inf": -torch.inf}
OFFSETS = {"1e3": 1e3, "1e5": 1e5}
EXACT = [f"{how} {mask}" for how in ("added", "filled") for mask in MASKS]
CASES = [*EXACT, *(f"offset {offset}" for offset in OFFSETS), "scaled"]
QUERY = "EXPLAIN NODES ? USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 150 CANDIDATES TOP 8"
LINE = Graph([[0, 1], [1, 2]], np.eye(3)), "logits", torch.device("cpu")


class Masked(nn.Module):
    """One more class, which is ruled out: its logit is replaced by a large negative number, or that is added."""

    def __init__(self, net, value, filled):
        super().__init__()
        self.net, self.value, self.filled = net, value, filled

    def forward(self, x, edge_index):
        logits = self.net(x, edge_index)
        ruled_out = logits[:, :1] * 0 if self.filled else logits[:, :1] * 0.5
        return torch.cat([logits, ruled_out + self.value], dim=1)


class Shifted(nn.Module):
    """Every logit times a factor, plus an offset."""

    def __init__(self, net, factor=1.0, offset=0.0):
        super().__init__()
        self.net, self.factor, self.offset = net, factor, offset

    def forward(self, x, edge_index):
        logits = self.net(x, edge_index) if hasattr(self.net, "layers") else self.net(x)
        return logits * self.factor + self.offset


def wrap(net, case):
    how, _, value = case.partition(" ")
    if how == "offset":
        return Shifted(net, offset=OFFSETS[value])
    return (
        Shifted(net, factor=100.0)
        if how == "scaled"
        else Masked(net, MASKS[value], how == "filled")
    )


def plain(module, graph, keep):
    """Class probabilities [N, C] of a plain forward pass in double."""
    with torch.no_grad():
        x = torch.from_numpy(graph.x.copy()).double()
        logits = (
            copy.deepcopy(module).double().eval()(x, torch.from_numpy(graph.edge_index[:, keep]))
        )
    return logits.softmax(dim=1).numpy()


def off(module, graph, explanation):
    """The largest error of a stored fidelity, with the class that the model predicts by the plain forward."""
    position = graph.position(explanation.target)
    chosen = np.zeros(graph.num_edges, bool)
    chosen[explanation.edge_numbers] = True
    loops = graph.edge_index[0] == graph.edge_index[1]
    full, kept, removed = (
        plain(module, graph, keep)[position] for keep in (chosen | True, chosen | loops, ~chosen)
    )
    c = full.argmax()
    return max(
        abs(explanation.raw["fdl+"] - full[c] + removed[c]),
        abs(explanation.raw["fdl-"] - full[c] + kept[c]),
    )


def precision(report):
    """What the note of a target says its values are exact to."""
    said = re.search(r"exact to about (\S+) only", report.note)
    return float(said[1]) if said else 1e-5


@pytest.fixture(params=["auto", "disjoint"])
def con(request):
    with sxq.connect() as con:
        con.execute(f"SET sxq_inference = '{request.param}'")
        yield con


@pytest.mark.slow
@pytest.mark.sweep(6)
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_what_is_stored_is_what_a_plain_forward_in_double_says(con, case, layers):
    graph = random_graph(np.random.default_rng(layers), nodes=60, edges=80)
    module = wrap(make("gcn", seed=3, scale=1.0, layers=layers), case)
    con.register_graph("g", graph)
    con.register_model("m", module, "g")
    result = con.execute(QUERY, [[0, 7, 24]])
    assert len(list(result)) > 5
    for report in result.targets:
        assert precision(report) < 0.05 and (precision(report) == 1e-5 or "offset" in case)
        assert max(off(module, graph, e) for e in report.explanations) < precision(report)
    audited = con.execute("AUDIT")
    assert len(audited) == len(list(result))
    verdicts = {row[-1] for row in audited.rows}
    assert (
        verdicts == {"ok"}
        or "offset" in case
        and all(verdict.startswith("ok") for verdict in verdicts)
    )


@pytest.mark.slow
@pytest.mark.sweep(8)
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("kind", ["gcn", "sage"])
@pytest.mark.parametrize("case", CASES)
def test_depth_halo_and_backend_are_those_of_the_plain_model(case, kind, layers):
    graph = random_graph(np.random.default_rng(1), nodes=60, edges=80)
    net = make(kind, seed=3, scale=1.0, layers=layers)
    model = register(wrap(net, case), graph)
    assert (model.hops, model.halo, model.backend) == (layers, int(kind == "gcn"), "layered"), (
        model.reason
    )


@pytest.mark.slow
@pytest.mark.sweep(4)
@pytest.mark.parametrize("case", CASES)
def test_a_wrong_field_is_told_from_a_right_one(case):
    """A field of one hop less is not what the full graph says, wherever it is not so for the plain model."""
    graph = random_graph(np.random.default_rng(1), nodes=60, edges=80)
    net = make("gcn", seed=3, scale=1.0, layers=2)
    told, told_plainly = _told(wrap(net, case), graph), _told(net, graph)
    assert np.sum(told_plainly) >= 9
    assert told == told_plainly or case == "offset 1e5" and np.sum(told) >= 7


def _told(module, graph):
    """For some targets, whether a field that is too small is told from the right one."""
    model = register(module, graph)
    backend = Disjoint(model)
    told = []
    for target in range(0, 50, 5):
        right, wrong = (
            backend.infer(
                [CandidateBatch(backend.load(graph, field), np.zeros((1, field.num_units), bool))]
            )[0][1]
            for field in (extract(graph, target, 2, 1), extract(graph, target, 1, 0))
        )
        assert agree(model, right, model.full[[target]])
        told.append(not agree(model, wrong, model.full[[target]]))
    return told


def test_a_saturated_softmax_hides_nothing():
    model = borrow(Shifted(nn.Identity(), 1.0), *LINE)
    sure = torch.tensor([[300.0, 0.0, -50.0]])
    assert agree(model, sure, sure + 1) and agree(model, sure, sure * (1 + 1e-6))
    assert not agree(model, sure, sure + torch.tensor([[0.0, 0.1, 0.0]]))


def test_minus_infinity_differs_from_a_number_unless_no_probability_is_left():
    model = borrow(Shifted(nn.Identity(), 1.0), *LINE)
    rows = [torch.tensor([[1.0, 0.0, value]]) for value in (-torch.inf, -200.0, -30.0)]
    assert agree(model, rows[0], rows[0]) and agree(model, rows[0], rows[1])
    assert not agree(model, rows[0], rows[2]) and not agree(model, rows[2], rows[0])


def test_one_column_is_compared_by_its_log_odds():
    model = borrow(Shifted(nn.Linear(3, 1), 1.0), *LINE)
    assert agree(model, torch.tensor([[40.0]]), torch.tensor([[40.0001]]))
    assert not agree(model, torch.tensor([[40.0]]), torch.tensor([[41.0]]))


@pytest.mark.parametrize("p", [0.5, 0.9, 1 - 1e-9, 1e-12])
@pytest.mark.parametrize("rounding", [1e-6, 0.05, 30.0])
def test_the_uncertainty_is_the_largest_that_such_log_odds_make(p, rounding):
    odds = np.log(p / (1 - p))
    worst = max(abs(1 / (1 + np.exp(-odds - shift)) - p) for shift in (-rounding, rounding))
    assert uncertainty(np.array(p), rounding) == pytest.approx(worst, rel=1e-3, abs=1e-14)


def test_a_class_that_can_never_be_is_refused_only_where_nothing_else_can():
    """All classes at minus infinity are no prediction."""
    with pytest.raises(ModelOutputError, match="NaN or infinite"):
        borrow(Shifted(nn.Identity(), 1.0, -torch.inf), *LINE)


def test_a_margin_that_float32_cannot_tell_is_a_tie():
    """Near 1e5 two logits that differ by less than 0.01 are as good as equal."""
    graph = Graph([[0, 1, 1, 2], [1, 0, 2, 1]], [[0.0, 0.005], [0.0, 0.01], [0.0, 0.0]])
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("plain", Votes(), "g")
        con.register_model("m", Shifted(Votes(), 1.0, 1e5), "g")
        for name, tie in (("plain", False), ("m", True)):
            result = con.execute(f"EXPLAIN NODE 0 USING MODEL {name} OPTIMIZE fdl+, conc")
            assert {e.tie for e in result} == {tie}, name
            assert ("exact to about" in result.targets[0].note) == tie
