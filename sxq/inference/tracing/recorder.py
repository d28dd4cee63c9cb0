"""The recorder of a forward pass: `torch.fx` with values beside the operations, and lines of the code.

Every recorded value carries what the operation makes of an `Example`. So a forward may ask for
shapes, types and devices, make tensors of zeros, and test whether something is a tensor. What the
values themselves are stays unknown: a path through the code must not depend on them.
"""

import inspect
import linecache
import operator
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import get_ident
from types import CodeType, FrameType, TracebackType
from typing import Any

import torch
import torch_geometric
from torch import Tensor, fx, nn
from torch_geometric import nn as pyg
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from torch_geometric.utils import (
    add_remaining_self_loops,
    add_self_loops,
    degree,
    remove_self_loops,
    scatter,
    softmax,
)

from sxq.inference.tracing.by_type import OF_ALL_TYPES, in_parts
from sxq.inference.tracing.example import Example
from sxq.inference.tracing.rowwise import MODULES, Untraceable

# Calls that are recorded as they are.
WHOLE = (
    *(scatter, softmax, degree, gcn_norm),
    *(add_self_loops, add_remaining_self_loops, remove_self_loops),
)
FACTS = {"shape", "dtype", "device", "ndim", "layout", "is_cuda", "is_sparse", "is_quantized"}
FACTORIES = ("zeros", "ones", "full", "empty", "arange", "eye", "rand", "randn")
PICKS = ("index_select", "select")
BY_DICTIONARY = ("x_dict", "edge_index_dict")  # arguments of layers of all types
UNKNOWN = object()  # the value of an operation that the example does not give
OURS = tuple(
    os.path.dirname(os.path.abspath(path)) + os.sep
    for path in (torch.__file__, torch_geometric.__file__, Path(__file__).parents[1])
)


class Recorder(fx.Tracer):
    """Does not look inside of modules that the engine knows, nor of layers that have a kernel."""

    def __init__(self, known: Callable[[nn.Module], bool], example: Example | None):
        super().__init__(autowrap_functions=WHOLE if example else (scatter,))
        self.known = known
        self.example = example
        self.layers: list[str] = []  # names of the layers that are being read
        self.inside = 0  # above 0 while an operation is run on the example

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        leaf = (pyg.BatchNorm, pyg.LayerNorm, pyg.Aggregation, *MODULES)
        if isinstance(module, MessagePassing):
            return self.example is None or self.known(module)
        return isinstance(module, leaf) or super().is_leaf_module(module, name)

    def call_module(self, module, forward, args, kwargs):
        if self.inside:
            return module.forward(*args, **kwargs)
        if type(module) in OF_ALL_TYPES:
            return self._by_types(module, args, kwargs)
        if not isinstance(module, MessagePassing):
            return super().call_module(module, forward, args, kwargs)
        self.layers.append(type(module).__name__)
        try:
            return super().call_module(module, forward, args, kwargs)
        except Untraceable as why:
            raise Untraceable(in_layer(str(why), self.layers[-1])) from why
        finally:
            self.layers.pop()

    def _by_types(self, layer: Any, args: tuple, kwargs: dict) -> dict:
        """A layer that takes and returns dictionaries, recorded in parts."""
        name = self.path_of_module(layer)
        given = inspect.signature(layer.forward).bind(*args, **kwargs).arguments
        if more := [key for key in given if key not in BY_DICTIONARY and given[key]]:
            raise Untraceable(f"{type(layer).__name__} is given {', '.join(more)}")
        record = lambda *parts: self.create_proxy("call_module", name, parts, {})
        return in_parts(layer, record, *(given[key] for key in BY_DICTIONARY))

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return Recorded(node, self) if self.example else fx.Proxy(node, self)

    def create_arg(self, value: Any) -> Any:
        # A recorded value says that it is a tensor, so it must be recognised first.
        return value.node if type(value) is Recorded else super().create_arg(value)

    def create_proxy(self, kind, target, args, kwargs, *more, **named):
        found = super().create_proxy(kind, target, args, kwargs, *more, **named)
        found.node.meta["line"] = line_of(sys._getframe(1))
        found.node.meta["layer"] = self.layers[-1] if self.layers else ""
        if self.example:
            found.node.meta["example"] = self._value(found.node)
        return found

    def create_node(self, kind, target, *more, **named):
        node = super().create_node(kind, target, *more, **named)
        if kind == "get_attr":
            with self._inside():
                value = self.root
                for part in target.split("."):
                    value = getattr(value, part)
            node.meta["example"] = value
            node.meta["line"] = line_of(sys._getframe(1))
        return node

    def getattr(self, attr, attr_val, parameter_proxy_cache):
        if self.inside:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Within, nothing is recorded."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def to_bool(self, value: fx.Proxy) -> bool:
        raise Untraceable("`if`, `while`, `and` or `assert` looks at values that the graph decides")

    def iter(self, value: fx.Proxy) -> Iterator:
        raise Untraceable("it loops over the rows of a tensor")

    def _value(self, node: fx.Node) -> Any:
        """What the operation of a node makes of the example."""
        if node.op == "get_attr":
            return node.meta["example"]
        if node.op == "placeholder":
            return self.example.inputs.get(node.target, UNKNOWN) if self.example else UNKNOWN
        inputs = [source.meta.get("example", UNKNOWN) for source in node.all_input_nodes]
        if any(value is UNKNOWN for value in inputs):
            return UNKNOWN
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: n.meta["example"])
        try:
            with self._inside(), torch.no_grad():
                if node.op == "call_module":
                    return self.root.get_submodule(node.target).forward(*args, **kwargs)
                if node.op == "call_method":
                    return getattr(args[0], node.target)(*args[1:], **kwargs)
                return node.target(*args, **kwargs)
        except Exception:  # a user's layer may refuse the example; its shape is then unknown
            return UNKNOWN


def _kind_of(recorded: "Recorded") -> type:
    value = recorded.node.meta.get("example", UNKNOWN)
    if isinstance(value, Tensor) and _calls_isinstance(sys._getframe(1)):
        return Tensor
    return type(recorded)


def _calls_isinstance(frame: FrameType) -> bool:
    """Whether the code of a frame is at a call of isinstance.

    Torch's own C code asks, too, and would then read a recorded value as the memory of a tensor.
    """
    code = frame.f_code
    line, _, column, _ = next(islice(code.co_positions(), frame.f_lasti // 2, None))
    if line is None or column is None:
        return False
    text = linecache.getline(code.co_filename, line).encode()
    return text[column:].startswith(b"isinstance(")


class Recorded(fx.Proxy):
    """A value of the forward pass. What depends on its shape or type alone is answered at once."""

    node: fx.Node
    __class__ = property(_kind_of)

    def __getattr__(self, name: str) -> Any:
        value = self.node.meta.get("example", UNKNOWN)
        if name in FACTS and isinstance(value, Tensor):
            return getattr(value, name)
        if name.endswith("_") and not name.startswith("_") and hasattr(Tensor, name):
            return _InPlace(self, name)
        return fx.Proxy.__getattr__(self, name)

    def _ask(self, name: str, *args: Any) -> Any:
        """What a question to the shape answers."""
        value = self.node.meta.get("example", UNKNOWN)
        if isinstance(value, Tensor):
            return getattr(value, name)(*args)
        return self.tracer.create_proxy("call_method", name, (self, *args), {})

    def size(self, *dim: Any, **named: Any) -> Any:
        return self._ask("size", *dim, *named.values())

    def dim(self) -> Any:
        return self._ask("dim")

    def numel(self) -> Any:
        return self._ask("numel")

    def is_floating_point(self) -> Any:
        return self._ask("is_floating_point")

    def get_device(self) -> Any:
        return self._ask("get_device")

    def __len__(self) -> int:
        value = self.node.meta.get("example", UNKNOWN)
        if isinstance(value, Tensor | tuple | list):
            return len(value)
        raise Untraceable("len() of a value whose shape is not known")

    def __iter__(self) -> Any:
        value = self.node.meta.get("example", UNKNOWN)
        extents = self.tracer.example.extents
        if isinstance(value, tuple | list) or (
            isinstance(value, Tensor) and value.ndim and len(value) not in extents
        ):
            return iter([self[number] for number in range(len(value))])
        return fx.Proxy.__iter__(self)

    def __int__(self) -> int:
        value = self.node.meta.get("example", UNKNOWN)
        largest = self.node.target in ("max", "amax", torch.max, torch.amax)
        if largest and isinstance(value, Tensor) and value.dtype is torch.long and not value.ndim:
            return int(value)  # the largest number of a node or graph: an extent less one
        raise Untraceable("it makes a number of a value that the graph decides")

    def item(self) -> int:
        return int(self)

    def __index__(self) -> int:
        return int(self)

    def __float__(self) -> float:
        raise Untraceable("it makes a number of a value that the graph decides")

    def __getitem__(self, index: Any) -> Any:
        value = self.node.meta.get("example", UNKNOWN)
        if isinstance(value, tuple | list) and isinstance(index, int) and value[index] is None:
            return None
        if isinstance(value, Tensor) and isinstance(index, slice) and value.ndim:
            if index in (slice(None, len(value)), slice(0, len(value))):
                return self  # all rows
        return self.tracer.create_proxy("call_function", operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        own = self.node.meta.get("example", UNKNOWN)
        mask = index.node.meta.get("example", UNKNOWN) if type(index) is Recorded else None
        picks = isinstance(mask, Tensor) and mask.dtype is torch.bool
        same = picks and isinstance(own, Tensor) and own.shape == index.node.meta["example"].shape
        if same and isinstance(value, int | float):
            # x[x == inf] = 0 overwrites x: from then on it is the result.
            self.node = self.masked_fill(index, value).node
            return
        raise Untraceable("it assigns to a part of a tensor, as in x[index] = value")


class _InPlace:
    """A method that overwrites a value: from then on the value is its result."""

    def __init__(self, value: Recorded, name: str):
        self.value = value
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Recorded:
        value = self.value
        found = value.tracer.create_proxy("call_method", self.name, (value, *args), kwargs)
        value.node = found.node
        return value


@contextmanager
def recorded_picks(recorder: Recorder) -> Iterator[None]:
    """Within, `torch.index_select` and `torch.select` are recorded as the methods that they are.

    PyG puts functions of its own in their place, which look at their arguments.
    """
    originals = {name: getattr(torch, name) for name in PICKS}
    own_thread = get_ident()

    def recording(name: str, original: Callable) -> Callable:
        def pick(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip(("input", "dim", "index"), args)) | kwargs
            of_proxies = any(isinstance(value, fx.Proxy) for value in given.values())
            if not of_proxies or recorder.inside or get_ident() != own_thread or len(given) != 3:
                return original(*args, **kwargs)
            ordered = (given["input"], given["dim"], given["index"])
            return recorder.create_proxy("call_method", name, ordered, {})

        return pick

    for name, original in originals.items():
        setattr(torch, name, recording(name, original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(torch, name, original)


@contextmanager
def recorded_factories(recorder: Recorder) -> Iterator[None]:
    """Within, `torch.zeros` and the like are recorded where a size is an extent of the example."""
    originals = {name: getattr(torch, name) for name in FACTORIES}
    own_thread = get_ident()

    def recording(original: Callable) -> Callable:
        def make(*args: Any, **kwargs: Any) -> Any:
            size = args[0] if args else kwargs.get("size", ())
            sizes = size if isinstance(size, tuple | list) else args
            extents = recorder.example.extents if recorder.example else {}
            elsewhere = recorder.inside or get_ident() != own_thread
            if elsewhere or not any(_counts(one, extents) for one in sizes):
                return original(*args, **kwargs)
            return recorder.create_proxy("call_function", original, args, kwargs)

        make.__name__ = original.__name__
        return make

    for name, original in originals.items():
        setattr(torch, name, recording(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(torch, name, original)


def _counts(size: Any, extents: Mapping[int, Any]) -> bool:
    return isinstance(size, int) and size in extents


def in_layer(reason: str, layer: str) -> str:
    """A reason with the name of the layer in which it stands, unless it tells that."""
    return f"{layer}: {reason}" if layer and layer not in reason else reason


def line_of(frame: FrameType | None) -> str:
    """Where in the user's code an operation stands: the innermost line that is not of a library."""
    while frame is not None and frame.f_code is not BEGINS:
        if _users(frame.f_code.co_filename):
            return _line(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return ""


def line_of_error(trace: TracebackType | None) -> str:
    """The same for an exception."""
    found = ""
    recording = False
    while trace is not None:
        code = trace.tb_frame.f_code
        recording = recording or code is BEGINS
        if recording and _users(code.co_filename):
            found = _line(code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _users(path: str) -> bool:
    """Whether a file is the user's, not of a library nor generated by one."""
    generated = os.path.basename(path).startswith("torch_geometric.")
    return not generated and not path.startswith((*OURS, "<"))


def _line(path: str, number: int) -> str:
    return f"line {number} of {os.path.basename(path)}"


def begin(recorder: Recorder, module: nn.Module, unused: Mapping[str, Any]) -> fx.Graph:
    """Record a forward pass; the frames below are the user's."""
    return recorder.trace(module, concrete_args=dict(unused))


BEGINS: CodeType = begin.__code__
