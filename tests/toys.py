"""Toy graphs with hand-set weights: what a skyline must be can be worked out on paper.

The model is a one- or two-layer GIN whose matrices are the identity: a node's logits are its own votes and those
that reach it, `(I + A)^layers x`. Every node has two votes, `pro` for class 0 and `con` for class 1, so the
probability of class 0 is sigmoid(pro - con). The scores of candidates are equal or well apart.

    payments   directed, text keys      acct-3 (pro 3), acct-1 (pro 1), acct-9 (con 1) -> acct-17 (con 0.5);
                                        acct-17 -> acct-20; acct-40 has no edge
    club       undirected, keys 0..7    0-1, 0-2, 1-3, 1-4, 2-5, 3-4, and 6-7 apart

On `payments` the model is sure of class 0 for acct-17: pro 4, con 1.5, p = sigmoid(2.5) = 0.924; without any edge it
would say class 1, p = sigmoid(-0.5) = 0.378. acct-3 alone keeps the prediction (3 - 0.5) and without it the
prediction falls (1 - 1.5): a perfect answer. With acct-1 too, what remains is even surer of the contrary (-1.5).
On `club` the model is as good as undecided about member 0 (0.1 for class 0) and takes both sides of its friends.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.explain import ExplainerAlgorithm, Explanation

import sxq
from sxq import models as learning
from sxq.models import ArchitectureSpec

PAYMENTS = """
CREATE TABLE accounts (id VARCHAR, pro FLOAT, con FLOAT, label INTEGER, city VARCHAR);
INSERT INTO accounts VALUES ('acct-1', 1, 0, 0, 'Oslo'), ('acct-3', 3, 0, 0, 'Oslo'), ('acct-9', 0, 1, 1, 'Turin'),
    ('acct-17', 0, 0.5, 0, 'Turin'), ('acct-20', 1, 0, 1, 'Turin'), ('acct-40', 2, 0, 0, 'Oslo');
CREATE TABLE transfers (payer VARCHAR, payee VARCHAR);
INSERT INTO transfers VALUES ('acct-1', 'acct-17'), ('acct-3', 'acct-17'), ('acct-9', 'acct-17'),
    ('acct-17', 'acct-20');
CREATE GRAPH payments FROM NODES (SELECT * FROM accounts) EDGES (SELECT * FROM transfers);
"""

CLUB = """
CREATE TABLE members (id INTEGER, pro FLOAT, con FLOAT);
INSERT INTO members VALUES (0, 0, 0.25), (1, 0, 0.5), (2, 0, 0.25), (3, 1.75, 0), (4, 1.75, 0), (5, 2, 0),
    (6, 1, 0), (7, 0, 3);
CREATE TABLE friends (a INTEGER, b INTEGER);
INSERT INTO friends VALUES (0, 1), (0, 2), (1, 3), (1, 4), (2, 5), (3, 4), (6, 7);
CREATE GRAPH club FROM NODES (SELECT * FROM members) EDGES (SELECT * FROM friends) (UNDIRECTED = true);
"""

MODELS = """
CREATE MODEL votes ON GRAPH payments FROM FILE 'votes.safetensors'
    (ARCHITECTURE = gin, LAYERS = 1, HIDDEN = 2, CLASSES = 2);
CREATE MODEL gossip ON GRAPH club FROM FILE 'gossip.safetensors'
    (ARCHITECTURE = gin, LAYERS = 2, HIDDEN = 2, CLASSES = 2);
"""


class Agree(nn.Module):
    """Scores links: the product of what the votes of both ends and their neighbours, `(I + A) x`, say."""

    def encode(self, x, edge_index):
        votes = x.clone().index_add_(0, edge_index[1], x[edge_index[0]])
        return votes[:, 0] - votes[:, 1]

    def decode(self, z, edge_label_index):
        u, v = edge_label_index
        return z[u] * z[v]


class Votes(nn.Module):
    """The same model written out: [N, 2] votes to [N, 2] logits, `(I + A)^layers x`; `scale` is its only weight."""

    def __init__(self, layers=1, output=lambda logits: logits):
        super().__init__()
        self.layers, self.output = layers, output
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x, edge_index):
        for _ in range(self.layers):
            x = x.index_add(0, edge_index[1], x[edge_index[0]])
        return self.output(x * self.scale)


def write_files(folder: Path) -> None:
    """votes and gossip, one and two layers of identities, and heed, a GAT; graph files, right and wrong."""
    for name, layers in (("votes", 1), ("gossip", 2)):
        module = learning.build(ArchitectureSpec("gin", 2, 2, layers=layers, hidden=2))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.eye(2) if parameter.ndim == 2 else torch.zeros(2))
        (folder / f"{name}.safetensors").write_bytes(learning.to_bytes(module))
    (folder / "heed.safetensors").write_bytes(learning.to_bytes(_heed()))
    edges, x = np.array([[0, 1, 2], [1, 2, 9]]), np.ones((3, 2))
    np.savez(
        folder / "chain.npz",
        edge_index=edges[:, :2],
        x=x * [[1, 0], [0, 2], [3, 0]],
        y=[0, 1, 0],
        train_mask=[True, False, True],
        test_mask=[False, True, False],
    )
    np.savez(folder / "edge_out_of_range.npz", edge_index=edges, x=x)
    np.savez(folder / "nan.npz", edge_index=edges[:, :2], x=x * [[1], [np.nan], [1]])
    np.savez(folder / "no_features.npz", edge_index=edges[:, :2])


def _heed() -> nn.Module:
    """A GAT of one layer that heeds a neighbour by its votes for class 0; the values are the votes."""
    module = learning.build(ArchitectureSpec("gat", 2, 2, layers=1, hidden=2))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.eye(2) if parameter.ndim == 2 else torch.zeros(2))
            if name.endswith("att_src"):
                parameter[..., 0] = 1
    return module


class Loudest(ExplainerAlgorithm):
    """An explainer of PyG's kind: the mask of an edge is its tail's votes for class 0."""

    def forward(self, model, x, edge_index, *, target, index=None, **arguments):
        return Explanation(edge_mask=x[edge_index[0], 0])

    def supports(self):
        return True


def fill(con: sxq.Connection) -> sxq.Connection:
    """Both graphs and both models; the weights lie in the working directory, see `write_files`."""
    con.execute(PAYMENTS + CLUB + MODELS)
    return con


def payments_data() -> Data:
    """`payments` by position: 0 acct-1, 1 acct-3, 2 acct-9, 3 acct-17, 4 acct-20, 5 acct-40."""
    x = torch.tensor([[1, 0], [3, 0], [0, 1], [0, 0.5], [1, 0], [2, 0]])
    return Data(
        x=x,
        edge_index=torch.tensor([[0, 1, 2, 3], [3, 3, 3, 4]]),
        y=torch.tensor([0, 0, 1, 0, 1, 0]),
    )
