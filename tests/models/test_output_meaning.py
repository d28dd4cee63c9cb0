"""What outputs mean is inferred only where nothing else is possible; a doubt names both readings."""

from math import log

import pytest
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv

import sxq

NODES = 40


class Ending(nn.Module):
    """A GCN of some classes with a function at its end."""

    def __init__(self, classes, end):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = GCNConv(6, 8), GCNConv(8, classes)
        self.end = end

    def forward(self, x, edge_index):
        return self.end(self.b(self.a(x, edge_index).relu(), edge_index))


def data(y=None):
    generator = torch.Generator().manual_seed(0)
    ends = torch.randint(0, NODES, (2, 120), generator=generator)
    x = torch.randn(NODES, 6, generator=generator)
    return Data(x=x, edge_index=torch.cat([ends, ends.flip(0)], 1), y=y)


CLASSES = torch.arange(NODES) % 2
SIGMOID = 1, lambda z: (z - 1).sigmoid()
SOFTMAX = 3, lambda z: (3 * z).softmax(1)
LOG = 3, lambda z: (3 * z).log_softmax(1)
LABELS = 5, torch.sigmoid
PER_CENT = 3, lambda z: 100 * z.softmax(1)
BITS = 3, lambda z: z.log_softmax(1) / log(2)
DECADES = 3, lambda z: z.log_softmax(1) / log(10)
NUMBERS = 1, lambda z: 100 + 10 * z
BINARY = 1, lambda z: 20 * (z + 0.3)
BELOW = 1, lambda z: z - 9


def described(model, output=None, y=None):
    with sxq.connect() as con:
        con.register_graph("g", data(y))
        con.register_model("m", model, "g", output)
        found = (
            con.explain(nodes=[0, 1, 2, 3])
            .using("m")
            .optimize("fdl+", "fdl-", "conc")
            .budget(20)
            .run()
        )
        facts = dict(con.execute("DESCRIBE MODEL m").rows)
        return facts, [(t.prediction, t.probability) for t in found.targets]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "y", "meant"),
    [(SOFTMAX, None, "probs"), (LOG, None, "log_probs"), (BINARY, CLASSES, "logits")],
)
def test_the_meaning_is_inferred_and_shown(ending, y, meant):
    model = Ending(*ending).eval()
    facts, found = described(model, y=y)
    out = model(data().x, data().edge_index).detach()
    p = {"probs": out, "log_probs": out.exp()}.get(
        meant, torch.cat([-out, out], 1).div(2).softmax(1)
    )
    assert facts["output"] == meant and facts["output is"]
    for row, (prediction, probability) in zip(p, found):
        assert prediction == int(row.argmax())
        assert probability == pytest.approx(row.max().item(), abs=1e-5)


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    ("ending", "y", "readings"),
    [
        (SIGMOID, None, "probs.*logits"),
        (SIGMOID, CLASSES, "probs.*logits"),
        (LABELS, None, "multilabel.*logits"),
        (PER_CENT, None, "100 times numbers.*probabilities.*logits"),
        (BITS, CLASSES, "base 2.*probabilities.*logits"),
        (DECADES, None, "base 10.*probabilities.*logits"),
        (NUMBERS, None, "logits.*regression"),
        (BINARY, None, "logits.*regression"),
        (BINARY, torch.arange(NODES) % 3, "classes 0 to 2"),
        (BELOW, CLASSES, "logits.*log_probs"),
        ((3, lambda z: z), torch.rand(NODES), "regression.*multilabel.*multiclass"),
        ((5, lambda z: 9 * z), torch.randint(0, 2, (NODES, 5)), "multilabel.*multiclass"),
    ],
)
def test_a_doubt_names_both_readings(ending, y, readings):
    model = Ending(*ending).eval()
    with pytest.raises(sxq.ModelOutputError, match=readings):
        described(model, y=y)
    facts, _ = described(model, "logits", y=y)  # the argument decides
    assert facts["output"] == "logits"


def test_the_argument_decides_for_one_column():
    _, found = described(Ending(*SIGMOID).eval(), "probs")
    p = Ending(*SIGMOID).eval()(data().x, data().edge_index).detach()[:4, 0]
    assert [c for c, _ in found] == [0, 0, 0, 0]
    assert [value for _, value in found] == pytest.approx((1 - p).tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("ending", "output"),
    [
        (LABELS, "probs"),
        (NUMBERS, "probs"),
        (NUMBERS, "log_probs"),
        (LOG, "probs"),
        (SOFTMAX, "log_probs"),
    ],
)
def test_values_that_contradict_the_argument_are_refused(ending, output):
    with pytest.raises(sxq.ModelOutputError, match=f"output = '{output}'"):
        described(Ending(*ending).eval(), output)


def test_probabilities_said_to_be_logits_are_doubted():
    with pytest.warns(sxq.InputWarning, match="sums to one"):
        described(Ending(*SOFTMAX).eval(), "logits")
