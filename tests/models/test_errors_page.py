"""The table of errors in docs/models.md: each message is one that a registration gives."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, SAGEConv, global_add_pool
from torch_geometric.utils import to_undirected

import sxq
from tests.typed_link_models import Scores
from tests.typed_models import bank, model

PAGE = (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^|]*)` \|", PAGE.partition("## Errors, and what to do")[2], flags=re.M)
GENERATOR = torch.Generator().manual_seed(0)
# Along edges numbers rise, so that no path leads back.
EDGES = torch.unique(torch.randint(0, 20, (2, 60), generator=GENERATOR).sort(0)[0], dim=1)
DATA = Data(x=torch.randn(20, 4, generator=GENERATOR), edge_index=EDGES)


def does(function, *names):
    """A module whose forward is a function of two layers and of its arguments."""
    text = ", ".join(names)
    scope = {"function": function}
    exec(f"def forward(self, {text}): return function(self, {text})", scope)
    torch.manual_seed(0)
    made = type("Does", (nn.Module,), {"forward": scope["forward"]})()
    made.a, made.b = SAGEConv(4, 4), GCNConv(4, 2)
    made.norm, made.lazy = nn.BatchNorm1d(4, track_running_stats=False), None
    return made.eval()


def plain(change=lambda self, x: x, edges=lambda e: e, after=lambda out: out):
    """A model of nodes with something wrong."""

    def function(self, x, edge_index):
        edge_index = edges(edge_index)
        return after(self.a(change(self, x), edge_index))

    return does(function, "x", "edge_index")


def registered(module, data=DATA, **given):
    with sxq.connect() as con:
        con.register_graph("g", data)
        con.register_model("m", module, "g", **{"output": "logits"} | given)
        return con


def pooled(change):
    def function(self, x, edge_index, batch):
        return change(global_add_pool(self.a(x, edge_index), batch))

    graphs = [Data(x=DATA.x[: 8 + i], edge_index=EDGES[:, (EDGES < 8).all(0)]) for i in range(4)]
    with sxq.connect() as con:
        con.register_graphs("gs", graphs)
        con.register_model("m", does(function, "x", "edge_index", "batch"), graphs="gs")


def scores(change):
    def function(self, x, edge_index, edge_label_index):
        u, v = self.a(x, edge_index)[edge_label_index]
        return change((u * v).sum(-1))

    return does(function, "x", "edge_index", "edge_label_index")


def needs_edges(edge_index):
    assert edge_index.shape[1] > 9
    return edge_index


def lazy():
    module = plain()
    module.a = SAGEConv((-1, -1), 4)
    return module


def by_type(function, *more):
    return does(function, "x_dict", "edge_index_dict", *more)


def timed():
    data = bank()
    data["account"].time = torch.arange(14.0)
    registered(does(lambda self, x, *_: x, "x", "edge_index", "edge_type", "time"), data)


def of_types_alike():
    data = bank(merchants=4)
    registered(by_type(lambda self, x, e: x["device"][:, :2]), data)


def not_of_that_type():
    data = bank()
    con = sxq.connect()
    con.register_graph("g", data)
    con.register_model("m", model("sage", data), "g", output="logits", node_type="account")
    con.execute("EXPLAIN NODE 2 OF TYPE merchant USING MODEL m OPTIMIZE fdl+, conc")


def other_links():
    data = bank()
    con = sxq.connect()
    con.register_graph("g", data)
    con.register_model("m", Scores(data), "g", output="logits", edge_type="pays")
    con.execute("EXPLAIN LINK 2 TO 3 OF TYPE knows USING MODEL m OPTIMIZE fdl+, conc")


def single_directions():
    data = Data(x=DATA.x, edge_index=to_undirected(EDGES, num_nodes=20))
    with sxq.connect() as con:
        con.register_graph("g", data)
        con.register_model(
            "m", plain(edges=lambda e: to_undirected(e, num_nodes=20)), "g", layers=1
        )
        con.execute("EXPLAIN NODE 9 USING MODEL m OPTIMIZE fdl+, conc EDGES DIRECTED")


def slow():
    with pytest.warns(sxq.SpeedWarning) as noted:
        registered(plain(lambda self, x: x if x.max() > -99 else -x))
    raise sxq.ModelError(str(noted[0].message))


def weighs():
    return plain(lambda self, x: x * torch.ones(20, 1))


CASES = (
    lambda: registered(plain(after=lambda out: (out, out))),
    lambda: registered(plain(), inputs={"weight": "x"}),
    slow,
    lambda: registered(does(lambda self, x, e, a: x, "x", "edge_index", "edge_attr")),
    lambda: registered(plain(), kind="link"),
    lambda: registered(scores(lambda found: found.softmax(0))),
    lambda: registered(Scores(bank()), bank()),
    other_links,
    lambda: registered(lazy()),
    lambda: registered(does(lambda self, x, e: x["shop"], "x", "edge_index"), bank()),
    lambda: registered(by_type(lambda self, x, e: x["account"])),
    lambda: registered(by_type(lambda self, x, a: x, "adj_t_dict"), bank()),
    lambda: registered(by_type(lambda self, x, e: x), bank()),
    of_types_alike,
    not_of_that_type,
    lambda: registered(model("han", bank()), bank(), node_type="account"),
    lambda: registered(plain(lambda self, x: self.norm(x))),
    lambda: registered(plain(lambda self, x: x - x.mean(0))),
    lambda: registered(plain(lambda self, x: F.dropout(x))),
    lambda: registered(plain(edges=lambda e: e.flip(0))),
    lambda: registered(plain(edges=lambda e: to_undirected(e, num_nodes=20))),
    single_directions,
    lambda: registered(plain(edges=lambda e: EDGES[:, (EDGES < 9).all(0)])),
    lambda: registered(plain(edges=needs_edges)),
    lambda: registered(weighs()),
    lambda: registered(plain(after=lambda out: out[:, 0])),
    lambda: pooled(lambda found: found.softmax(0)),
    lambda: registered(plain(after=torch.sigmoid), output=None),
    timed,
)

pytestmark = pytest.mark.slow  # each case is a registration


@pytest.fixture(scope="module")
def messages():
    found = []
    for case in CASES:
        try:
            case()
        except sxq.Error as error:
            found.append(str(error))
        else:
            found.append("no error")
    return found


def test_each_case_is_refused(messages):
    assert "no error" not in messages, messages.index("no error")


@pytest.mark.parametrize("row", ROWS)
def test_a_message_of_the_table_is_real(row, messages):
    said = ".*".join(map(re.escape, row.split("...")))
    assert any(re.search(said, message, re.S) for message in messages), "\n".join(messages)
