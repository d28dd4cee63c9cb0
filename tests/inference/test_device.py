"""The layered backend on a GPU that is only pretended: nothing of a batch is elsewhere, and nothing waits for the device.

Torch's fake tensors have shapes and devices, but no data. An operation on two devices is an error there, and so is
everything that asks the device for a number: `.item()`, a condition, a shape that depends on values. A copy back to
the CPU is made an error here.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv

from sxq.graph import extract
from sxq.inference import CandidateBatch
from sxq.inference.layered import backend as backends
from sxq.inference.layered.backend import Layered
from sxq.inference.registration import register
from sxq.inference.tiles import tile
from sxq.models import device
from tests.graphs import random_graph

GPU = torch.device("cuda", 0)
LAYERS = {
    "gcn": lambda i, o: GCNConv(i, o),
    "gat": lambda i, o: GATConv(i, o, heads=2, concat=False),
    "sage": lambda i, o: SAGEConv(i, o),
    "gin": lambda i, o: GINConv(torch.nn.Linear(i, o)),
}


class NoWaiting(TorchDispatchMode):
    """Refuses copies from the device to the CPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.device.type == "cpu":
            there = [a for a in args if isinstance(a, torch.Tensor) and a.device.type == "cuda"]
            assert not there, f"{func} waits for the device"
        return found


class Unguarded(TorchFunctionMode):
    """Indexing and copies by operations that fakes know; those of Python want the device to be there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return INSTEAD.get(func, func)(*args, **(kwargs or {}))


def _contiguous(x: torch.Tensor) -> torch.Tensor:
    """x.contiguous()"""
    return torch.ops.aten.clone.default(x, memory_format=torch.contiguous_format)


def _part(x: torch.Tensor, index) -> torch.Tensor:
    """x[index]"""
    x, chosen = _sliced(x, index)
    return torch.ops.aten.index.Tensor(x, chosen) if chosen else x


def _put(x: torch.Tensor, index, value) -> None:
    """x[index] = value"""
    x, chosen = _sliced(x, index)
    value = value if isinstance(value, torch.Tensor) else x.new_full((), value)
    if chosen:
        torch.ops.aten.index_put_(x, chosen, value)
    else:
        torch.ops.aten.copy_.default(x, value)


def _sliced(x: torch.Tensor, index) -> tuple[torch.Tensor, list]:
    """x by the slices and numbers of an index, and the tensors by which it is then indexed."""
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in [one for one in index if not isinstance(one, torch.Tensor)]:
        place = next(i for i, one in enumerate(index) if one is Ellipsis)
        used = sum(one is not None for one in index) - 1
        index = (*index[:place], *[slice(None)] * (x.ndim - used), *index[place + 1 :])
    chosen = {}
    dim = 0
    for one in index:
        if one is None:
            x = x.unsqueeze(dim)
        elif isinstance(one, torch.Tensor):
            chosen[dim] = one
        elif isinstance(one, slice):
            x = torch.ops.aten.slice.Tensor(x, dim, one.start, one.stop, one.step or 1)
        else:
            x = x.select(dim, one)
            continue
        dim += 1
    return x, [chosen.get(i) for i in range(max(chosen) + 1)] if chosen else []


INSTEAD = {
    torch.Tensor.__getitem__: _part,
    torch.Tensor.__setitem__: _put,
    torch.Tensor.contiguous: _contiguous,
}


class Stack(torch.nn.Module):
    def __init__(self, make):
        super().__init__()
        self.first = make(3, 5)
        self.second = make(5, 4)

    def forward(self, x, edge_index):
        return self.second(self.first(x, edge_index).relu(), edge_index)


@pytest.fixture
def pretended(monkeypatch):
    """Runs a model's layered backend on a pretended GPU: `pretended(kind)` gives the outputs of some batches.

    `instead`: an attribute of an object, and what takes its place once the model is registered.
    """

    def run(kind: str, together: bool = False, instead=None) -> list[torch.Tensor]:
        torch.manual_seed(0)
        graph = random_graph(np.random.default_rng(0), nodes=20, edges=40, features=3)
        model = register(Stack(LAYERS[kind]), graph)
        assert model.backend == "layered"
        fake = FakeTensorMode()
        moved = lambda array, to: fake.from_tensor(_tensor(array)).to(to)
        monkeypatch.setattr(device, "to_device", moved)
        if instead:
            monkeypatch.setattr(*instead)
        module = copy.deepcopy(model.module).requires_grad_(False)
        with fake, NoWaiting(), Unguarded():
            there = replace(model, module=_moved(module, fake), device=GPU)
            backend = Layered(there)
            rng = np.random.default_rng(1)
            batches = []
            for target in (0, 1, 2)[: 3 if together else 1]:
                field = extract(graph, target, model.hops, model.halo)
                bits = rng.random((7, field.num_units)) < 0.5
                batches.append(CandidateBatch(backend.load(graph, field), bits))
            return backend.infer(batches)

    return run


def _moved(module: torch.nn.Module, fake: FakeTensorMode) -> torch.nn.Module:
    """The module with parameters and buffers on the pretended GPU."""
    for part in module.modules():
        for own in (part._parameters, part._buffers):
            for name, value in own.items():
                own[name] = None if value is None else fake.from_tensor(value).to(GPU)
    return module


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


@pytest.mark.slow
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_batch_is_on_the_device_and_waits_for_nothing(pretended, kind, together):
    for output in pretended(kind, together):
        assert output.device == GPU
        assert output.shape == (2, 7, 4)


def test_a_number_that_is_asked_for_is_found(pretended):
    asks = lambda value, rows, step: value.sum().item()
    with pytest.raises(Exception, match="_local_scalar_dense"):
        pretended("gcn", instead=(backends, "_check", asks))


def test_a_tensor_of_another_device_is_found(pretended):
    made = tile.masks
    elsewhere = lambda *given: torch.zeros(made(*given).shape)
    with pytest.raises(Exception, match="at least two devices"):
        pretended("gcn", instead=(tile, "masks", elsewhere))


def test_a_copy_to_the_cpu_is_found(pretended):
    copies = lambda value, rows, step: value.cpu()
    with pytest.raises(AssertionError, match="waits for the device"):
        pretended("gcn", instead=(backends, "_check", copies))
