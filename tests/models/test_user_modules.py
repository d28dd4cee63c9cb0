"""Any module of a user gives an answer that equals its own forward, or an error of sxq; never a third thing.

Each kind below is registered and explained. What is stored is compared with plain forwards of the user's own
module on the whole graph. Afterwards the module and the data are as they were.
"""

import copy
import threading
import warnings
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint
from torch_geometric.data import Data
from torch_geometric.nn import GCN, GATConv, GCNConv, Linear, RGCNConv, SAGEConv
from torch_geometric.utils import to_dense_adj

import sxq

NODES = 16
RNG = torch.Generator().manual_seed(0)
ONE_WAY = torch.randint(0, NODES, (2, 14), generator=RNG)
EDGE_INDEX = torch.cat([ONE_WAY, ONE_WAY.flip(0)], 1)
X = torch.randn(NODES, 4, generator=RNG)


def data():
    return Data(x=X.clone(), edge_index=EDGE_INDEX.clone())


class Net(nn.Module):
    """Two layers of GCN; the kinds below change one thing each."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = GCNConv(4, 4), GCNConv(4, 3)

    def forward(self, x, edge_index):
        return 3 * self.b(self.a(x, edge_index).relu(), edge_index)


KINDS = {}


def kind(make):
    KINDS[make.__name__] = make
    return make


def ending(name, end):
    """A kind whose forward ends with a function of the logits and x."""

    class Ended(Net):
        def forward(self, x, edge_index):
            return end(super().forward(x, edge_index), x)

    KINDS[name] = Ended


def changed(name, change):
    """A kind made by a function of the plain module."""
    KINDS[name] = lambda: change(Net().eval())


Pair = namedtuple("Pair", "logits rest")


@dataclass
class Answer:
    logits: torch.Tensor


def at_random(z, x):
    return z if torch.rand(()) > 0.3 else 1 / 0


def dense(z, x):
    return z + 0 * to_dense_adj(EDGE_INDEX, max_num_nodes=NODES)[0, : len(z), :3]


class Mute(Exception):
    """Its text is lost."""

    def __str__(self):
        raise ValueError("no text")


def mute(z, x):
    raise Mute


def fails(*_, **__):
    raise ValueError("no parameters")


for name, end in {
    "tuple": lambda z, x: (z, x),
    "list": lambda z, x: [z],
    "dict": lambda z, x: {"logits": z},
    "named tuple": lambda z, x: Pair(z, x),
    "dataclass": lambda z, x: Answer(z),
    "None": lambda z, x: None,
    "numpy output": lambda z, x: z.detach().numpy(),
    "x itself": lambda z, x: x,
    "a number": lambda z, x: 3.0,
    "one dimension": lambda z, x: z[:, 0],
    "three dimensions": lambda z, x: z[None],
    "no columns": lambda z, x: z[:, :0],
    "no rows": lambda z, x: z[:0],
    "one row": lambda z, x: z[:1],
    "mean": lambda z, x: z.mean(0, keepdim=True),
    "transposed": lambda z, x: z.T,
    "squeezed": lambda z, x: z.squeeze(),
    "integers": lambda z, x: z.long(),
    "booleans": lambda z, x: z > 0,
    "classes": lambda z, x: z.argmax(1),
    "complex output": lambda z, x: z.to(torch.complex64),
    "sparse output": lambda z, x: z.to_sparse(),
    "NaN": lambda z, x: z * float("nan"),
    "infinite": lambda z, x: z / 0,
    "one NaN": lambda z, x: z.index_fill(0, torch.tensor([1]), float("nan")),
    "masked class": lambda z, x: z.index_fill(1, torch.tensor([2]), -1e9),
    "impossible class": lambda z, x: z.index_fill(1, torch.tensor([2]), float("-inf")),
    "large": lambda z, x: z * 1e4,
    "offset": lambda z, x: z + 1e4,
    "constant": lambda z, x: torch.zeros_like(z),
    "softmax": lambda z, x: z.softmax(1),
    "log softmax": lambda z, x: z.log_softmax(1),
    "sigmoid": lambda z, x: z.sigmoid(),
    "one column": lambda z, x: z[:, :1],
    "half output": lambda z, x: z.half(),
    "double output": lambda z, x: z.double(),
    "prints": lambda z, x: (print("hello"), z)[1],
    "warns": lambda z, x: (warnings.warn("hello", stacklevel=2), z)[1],
    "numpy inside": lambda z, x: z * float(np.float64(2.0)),
    "no_grad inside": lambda z, x: torch.no_grad()(lambda: z * 2)(),
    "dropout left on": lambda z, x: F.dropout(z, 0.5, training=True),
    "raises now and then": at_random,
    "raises without a text": mute,
    "normalised over nodes": lambda z, x: (z - z.mean(0)) / z.std(0),
    "dense adjacency": dense,
    "needs CUDA": lambda z, x: z.to("cuda:7"),
    "needs gradients": lambda z, x: z + 0 * torch.autograd.grad(z.sum(), x)[0][:, :3],
}.items():
    ending(name, end)

changed("plain", lambda net: net)
changed("scripted", torch.jit.script)
changed("traced", lambda net: torch.jit.trace(net, (X, EDGE_INDEX), check_trace=False))
changed("compiled", lambda net: torch.compile(net, backend="eager"))
changed("DataParallel", nn.DataParallel)
changed("meta", lambda net: net.to("meta"))
changed("half", lambda net: net.half())
changed("bfloat16", lambda net: net.bfloat16())
changed("double", lambda net: net.double())
changed("complex", lambda net: net.to(torch.complex64))
changed("training mode", lambda net: net.train())
changed("frozen", lambda net: net.requires_grad_(False))
changed("partly in training mode", lambda net: (net.a.train(), net)[1])


@kind
def lazy():
    return GCN(-1, 4, 2, 3)


@kind
def spare_lazy_head():
    class Spare(Net):
        def __init__(self):
            super().__init__()
            self.head = nn.LazyLinear(2)
            self.other = SAGEConv((-1, -1), 3)

    return Spare()


@kind
def used_lazy():
    net = nn.Sequential(Linear(-1, 3))
    net(X)

    class Used(Net):
        def __init__(self):
            super().__init__()
            self.last = net

        def forward(self, x, edge_index):
            return self.last(x) + super().forward(x, edge_index)

    return Used()


@kind
class CountsCalls(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, edge_index):
        self.calls += 1
        return super().forward(x, edge_index)


@kind
class Drifts(CountsCalls):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index) + self.calls


@kind
class ChangesX(Net):
    def forward(self, x, edge_index):
        x *= 2
        return super().forward(x, edge_index)


@kind
class ChangesEdges(Net):
    def forward(self, x, edge_index):
        edge_index[0] = edge_index[0]
        return super().forward(x, edge_index)


@kind
class AddsHooks(Net):
    def forward(self, x, edge_index):
        self.a.register_forward_hook(lambda module, inputs, output: output)
        return super().forward(x, edge_index)


@kind
class Checkpointed(Net):
    def forward(self, x, edge_index):
        x = checkpoint(self.a, x, edge_index, use_reentrant=False)
        return self.b(x, edge_index)


@kind
class SparseInside(Net):
    def forward(self, x, edge_index):
        ones = torch.ones(edge_index.shape[1])
        adjacency = torch.sparse_coo_tensor(edge_index.flip(0), ones, (len(x), len(x)))
        return torch.sparse.mm(adjacency, self.b.lin(self.a.lin(x)))


@kind
class Parameterless(nn.Module):
    def forward(self, x, edge_index):
        return 3 * x.index_add(0, edge_index[1], x[edge_index[0]])


@kind
class Shared(Net):
    def __init__(self):
        super().__init__()
        self.a = GCNConv(4, 4)
        self.b = self.a


@kind
class SpectralNorm(Net):
    def __init__(self):
        super().__init__()
        parametrizations.spectral_norm(self.a.lin)


@kind
class WeightNorm(Net):
    def __init__(self):
        super().__init__()
        parametrizations.weight_norm(self.b.lin)


@kind
class KeepsTensors(Net):
    def forward(self, x, edge_index):
        self.kept = self.a(x, edge_index)
        return self.b(self.kept, edge_index)


@kind
class NotCopied(Net):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


@kind
class HoldsALock(Net):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


@kind
class InThread(Net):
    state = threading.local()

    def forward(self, x, edge_index):
        InThread.state.seen = len(x)
        return super().forward(x, edge_index)


@kind
class OwnCall(Net):
    def __call__(self, x, edge_index):
        return 2 * super().__call__(x, edge_index)


@kind
class KeywordOnly(Net):
    def forward(self, *, x, edge_index):
        return super().forward(x, edge_index)


@kind
class PositionalOnly(Net):
    def forward(self, x, edge_index, /, scale=2.0):
        return scale * super().forward(x, edge_index)


@kind
class Starred(Net):
    def forward(self, *inputs):
        return super().forward(*inputs)


@kind
class OnlyX(Net):
    def forward(self, x):
        return x


@kind
class Needy(Net):
    def forward(self, x, edge_index, missing):
        return super().forward(x, edge_index)


@kind
class Attention(Net):
    def __init__(self):
        super().__init__()
        self.b = GATConv(4, 3)


@kind
class Cached(Net):
    def __init__(self):
        super().__init__()
        self.a, self.b = GCNConv(4, 4, cached=True), GCNConv(4, 3, cached=True)


@kind
class TwoDevices(Net):
    def __init__(self):
        super().__init__()
        self.b.to("meta")


@kind
class Ragged(Net):
    def forward(self, x, edge_index):
        return torch.nested.nested_tensor(list(super().forward(x, edge_index)))


def sample():
    """Every kind, in a random order, a new seed for each kind."""
    names = sorted(KINDS)
    return [names[i] for i in np.random.default_rng(0).permutation(len(names))]


def fingerprint(module):
    """What must not change: values, modes, hooks and attributes of a module."""
    parts = [
        (name, part.training, len(part._forward_hooks), sorted(vars(part)))
        for name, part in module.named_modules()
    ]
    tensors = [*module.named_parameters(), *module.named_buffers()]
    values = [
        (name, t.requires_grad, None if nn.parameter.is_lazy(t) or t.is_meta else t.tolist())
        for name, t in tensors
    ]
    return str(parts), str(values)


def own_probabilities(module):
    """p [N, C] by the user's own forward, in eval mode, on a copy of the data."""
    own = copy.deepcopy(module).eval()
    given = data()
    with torch.no_grad():
        out = (
            own(x=given.x, edge_index=given.edge_index)
            if isinstance(module, KeywordOnly)
            else own(given.x, given.edge_index)
        )
    out = out.double()
    shares = (out >= 0).all() and torch.allclose(out.sum(1), torch.ones(NODES).double(), atol=1e-3)
    return out if shares else out.softmax(1)


class MadeDifferentiable(Net):
    def forward(self, x, edge_index):
        return self.a(x, edge_index).clone().requires_grad_()


class ReturnsAParameter(Net):
    def forward(self, x, edge_index):
        return nn.Parameter(self.a(x, edge_index).detach())


@pytest.mark.parametrize("kind", [MadeDifferentiable, ReturnsAParameter])
def test_an_output_that_the_module_made_differentiable_is_explained(kind):
    module = kind().eval()
    found = sxq.explain(module, data(), node=[0, 1], k=2, budget=12)
    p = own_probabilities(module)
    for target in found.targets:
        assert target.probability == pytest.approx(p[target.target].max().item(), abs=1e-5)


def test_there_are_sixty_kinds():
    assert len(KINDS) >= 60


@pytest.mark.slow
@pytest.mark.sweep(16)
@pytest.mark.parametrize("name", sample())
def test_a_module_is_explained_as_it_is_or_refused(name, capsys):
    torch.manual_seed(sorted(KINDS).index(name))
    module = KINDS[name]()
    before = fingerprint(module)
    given = data()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = sxq.explain(module, given, node=[0, 1], k=2, budget=12)
        except sxq.Error as error:
            assert str(error) and len(str(error)) < 2000
        else:
            p = own_probabilities(module)
            for target in found.targets:
                assert target.probability == pytest.approx(p[target.target].max().item(), abs=1e-5)
    assert fingerprint(module) == before
    assert (given.x == X).all() and (given.edge_index == EDGE_INDEX).all() and len(given) == 2


@pytest.mark.slow
@pytest.mark.parametrize("by", ["cf2", "gnnexplainer", "graphmask", "attention", "sa"])
def test_generators_that_call_the_model_blame_it_by_name(by):
    class Relations(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = RGCNConv(4, 3, 2)

        def forward(self, x, edge_index, edge_type):
            return self.a(x, edge_index, edge_type)

    typed = Data(x=X, edge_index=EDGE_INDEX, edge_type=(torch.arange(14) % 2).repeat(2))
    try:
        sxq.explain(Relations().eval(), typed, node=0, budget=12, by=[by], output="logits")
    except sxq.ModelError as error:
        assert by in str(error)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("lazy", "run one forward"),
        ("meta", "load the weights|load_state_dict"),
        ("half", "one type"),
        ("double", "one type"),
        ("NotCopied", "works on a copy"),
        ("dict", "one tensor"),
        ("Needy", "missing"),
        ("integers", "real numbers"),
        ("sigmoid", "multilabel.*logits"),
        ("OnlyX", r"forward\(x, edge_index\)"),
    ],
)
def test_a_refusal_says_the_remedy(name, remedy):
    with pytest.raises(sxq.ModelError, match=remedy):
        sxq.explain(KINDS[name](), data(), node=0, budget=12)


@pytest.mark.parametrize("name", ["named_parameters", "named_buffers", "buffers", "__getattr__"])
def test_a_module_whose_parameters_cannot_be_read_is_refused(name):
    module = type("Failing", (Net,), {name: fails})()
    with pytest.raises(sxq.ModelError, match="no parameters"):
        sxq.explain(module, data(), node=0, k=2, budget=12)
