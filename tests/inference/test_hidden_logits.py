"""Outputs that hide their logits: saturated probabilities, and offsets that cancel inside the model.

The context found must be that of the plain model, and stored values must be those of a forward pass in double, to the
precision that the note names.
"""

import numpy as np
import pytest
import torch
from torch import nn

import sxq
from sxq.inference.registration import register
from tests.graphs import make, random_graph
from tests.inference.hidden import off, precision

QUERY = "EXPLAIN NODES 0, 7, 24 USING MODEL m OPTIMIZE fdl+, fdl-, conc BUDGET 100 CANDIDATES TOP 5"


class Ends(nn.Module):
    """A GCN with something done to its logits."""

    def __init__(self, after, classes=3, layers=2):
        super().__init__()
        self.net = make("gcn", seed=3, scale=1.0, layers=layers, classes=classes)
        self.after = after

    def forward(self, x, edge_index):
        return self.after(self.net(x, edge_index))


def both(logits):
    p = (logits * 1e3).sigmoid()
    return torch.cat([1 - p, p], dim=1)


CASES = {
    "softmax": ("probs", lambda: Ends(lambda z: (z * 100).softmax(1))),
    "softmax, deep": ("probs", lambda: Ends(lambda z: (z * 100).softmax(1), layers=3)),
    "sigmoid": ("probs", lambda: Ends(lambda z: (z * 1e3).sigmoid(), classes=1)),
    "two columns of a sigmoid": ("probs", lambda: Ends(both, classes=1)),
    "log of a sigmoid": (
        "log_probs",
        lambda: Ends(lambda z: nn.functional.logsigmoid(z * 1e3), classes=1),
    ),
    "offset, log_softmax": ("log_probs", lambda: Ends(lambda z: (z + 1e5).log_softmax(1))),
    "offset, softmax": ("probs", lambda: Ends(lambda z: (z + 1e5).softmax(1))),
    "offset and back": ("logits", lambda: Ends(lambda z: (z + 1e5) - 1e5)),
}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("name", CASES)
def test_context_and_values_are_those_of_the_plain_model(name):
    output, build = CASES[name]
    module = build()
    graph = random_graph(np.random.default_rng(1), nodes=60, edges=80)
    with sxq.connect() as con:
        con.register_graph("g", graph)
        con.register_model("m", module, "g", output=output)
        facts = dict(con.execute("DESCRIBE MODEL m").rows)
        layers = len(module.net.layers)
        assert (facts["hops"], facts["halo"]) == (str(layers), "1")
        result = con.execute(QUERY)
        for report in result.targets:
            assert precision(report) < 0.1
            for e in report.explanations:
                assert off(module, output, graph, e) < precision(report)
        assert all(row[-1].startswith("ok") for row in con.execute("AUDIT"))
    if "offset" in name:
        assert any(precision(report) > 1e-5 for report in result.targets)


def test_a_model_that_is_always_certain_gets_the_widest_context():
    """Nothing can be read from it: probabilities of 0 and 1 are all there is."""

    def certain(logits):
        return nn.functional.one_hot(logits.argmax(1), 3).to(logits.dtype)

    graph = random_graph(np.random.default_rng(1), nodes=60, edges=80)
    model = register(Ends(certain), graph, output="probs")
    assert model.halo == 3 and "to be safe" in model.depth
