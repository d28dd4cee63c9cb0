"""The operations that may stand between message-passing layers: those that treat rows by themselves.

Anything that could let one row see another is refused with a reason, because the layered backend
puts the rows of many candidates one after the other. The lists below name the operations that are
known to be safe; all others are `Untraceable`.
"""

from torch import fx, nn
from torch_geometric import nn as pyg


class Untraceable(Exception):
    """The reason why a model cannot run layer by layer; the message is shown in the plan."""


POINTWISE = frozenset(
    """
    add iadd sub isub mul imul truediv itruediv div neg pow abs exp log log1p expm1 sqrt rsqrt reciprocal
    square sign clamp clip where maximum minimum relu relu_ relu6 elu elu_ selu celu gelu silu mish
    leaky_relu leaky_relu_ prelu rrelu tanh sigmoid logsigmoid hardtanh hardsigmoid hardswish softplus
    softsign tanhshrink threshold erf sin cos nan_to_num float double to type_as contiguous clone detach
    zeros_like ones_like masked_fill isinf isnan isfinite long int half lerp floor ceil round matmul mm addmm
    embedding and_ or_ invert eq ne lt le gt ge logical_and logical_or logical_not linear layer_norm batch_norm
    dropout dropout_ feature_dropout alpha_dropout identity
    pairwise_distance""".split()
)
ALONG = frozenset(
    """
    softmax log_softmax softmin sum mean prod norm normalize amax amin max min argmax argmin logsumexp std
    var cat concat stack squeeze unsqueeze chunk split unbind select narrow cumsum topk sort glu
    flatten linalg_norm linalg_vector_norm cosine_similarity""".split()
)
SHAPE = frozenset(["view", "reshape"])
REPEATS = {"repeat": 1, "expand": -1}  # and the first number that leaves the rows as they are
TUPLES = frozenset("max min chunk split unbind topk sort".split())  # several results, given a dim
DEFAULT_DIM = {
    "cat": 0,
    "concat": 0,
    "stack": 0,
    "chunk": 0,
    "split": 0,
    "unbind": 0,
    "normalize": 1,
    "cosine_similarity": 1,
    "glu": -1,
    "topk": -1,
    "sort": -1,
    "flatten": 0,
}
DIM_POSITION = {
    "split": 2,
    "chunk": 2,
    "normalize": 2,
    "topk": 2,
    "norm": 2,
    "linalg_norm": 2,
    "linalg_vector_norm": 2,
    "cosine_similarity": 2,
}
MODULES = (
    nn.Linear,
    nn.Embedding,
    nn.GRUCell,
    nn.RNNCell,
    nn.Identity,
    nn.Dropout,
    nn.AlphaDropout,
    nn.LayerNorm,
    nn.Bilinear,
    nn.PReLU,
    pyg.Linear,
    pyg.MessageNorm,
    nn.CosineSimilarity,
    nn.PairwiseDistance,
)
ACTIVATIONS = frozenset(
    name
    for name in vars(nn.modules.activation)
    if name[0].isupper() and name != "MultiheadAttention"
)


def check_module(module: nn.Module) -> None:
    """Raise Untraceable unless this leaf module treats every row by itself."""
    name = type(module).__name__
    if isinstance(module, (nn.BatchNorm1d, pyg.BatchNorm)):
        batch_norm = getattr(module, "module", module)
        if not batch_norm.track_running_stats:
            raise Untraceable(f"{name} without running statistics mixes the rows of a batch")
    elif isinstance(module, pyg.LayerNorm):
        if module.mode != "node":
            raise Untraceable("LayerNorm with mode='graph' mixes all nodes")
    elif isinstance(module, nn.Embedding) and module.max_norm is not None:
        raise Untraceable("Embedding with max_norm changes its weights when it is called")
    elif isinstance(module, (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.CosineSimilarity)):
        _check_dim(name, module.dim)
    elif type(module) not in MODULES and not (
        name in ACTIVATIONS and type(module).__module__.startswith("torch.nn")
    ):
        raise Untraceable(f"no layered form of {name} is known")


def check_operation(name: str, node: fx.Node) -> None:
    """Raise Untraceable unless this function or method call treats every row by itself."""
    if "dropout" in name and is_active(node):
        raise Untraceable("dropout that is active in evaluation gives another answer at every call")
    if name.removesuffix("_") in ("matmul", "mm", "addmm") and not _maps_rows(node):
        raise Untraceable(f"{name} is not of rows and a matrix of parameters")
    if name in POINTWISE or node.op == "call_method" and name.removesuffix("_") in POINTWISE:
        return
    if name in SHAPE:
        sizes = node.args[1:] if not isinstance(node.args[1], (tuple, list)) else node.args[1]
        if sizes[0] != -1 and not (isinstance(sizes[0], fx.Node) and sizes[0].meta.get("size")):
            raise Untraceable(
                f"{name}{tuple(map(str, sizes))} may mix nodes: its first size is not -1"
            )
    elif name in REPEATS:
        numbers = node.args[1] if isinstance(node.args[1], (tuple, list)) else node.args[1:]
        ndim = _ndim(node, name)
        shorter = ndim is not None and len(numbers) > ndim
        if numbers[0] != REPEATS[name] or shorter:
            raise Untraceable(f"{name}{tuple(map(str, numbers))} may mix nodes")
    elif name == "einsum":
        _check_einsum(node)
    elif name in ALONG:
        dim = node.kwargs.get("dim", node.kwargs.get("start_dim"))
        position = DIM_POSITION.get(name, 1)
        if dim is None:
            dim = node.args[position] if len(node.args) > position else DEFAULT_DIM.get(name)
        for one in dim if isinstance(dim, (tuple, list)) else [dim]:
            _check_dim(name, one, _ndim(node, name))
    else:
        raise Untraceable(f"no layered form of the operation {name} is known")


def _check_einsum(node: fx.Node) -> None:
    """Refuse every sum but over columns, such as "nd,nd->n"."""
    equation = node.args[0]
    if not isinstance(equation, str) or "..." in equation or "->" not in equation:
        raise Untraceable(f"einsum {equation!r} may mix nodes")
    inputs, output = equation.replace(" ", "").split("->")
    row = output[:1]
    given = node.args[1] if isinstance(node.args[1], (tuple, list)) else node.args[1:]
    tables = [n.meta.get("kind") != "plain" for n in given]
    for letters, table in zip(inputs.split(","), tables):
        if not row or (letters[:1] == row) is not table or row in letters[1:]:
            raise Untraceable(f"einsum {equation!r} may mix nodes")


def is_active(dropout: fx.Node) -> bool:
    """Whether a call of a dropout function drops anything: (x, p=0.5, training=True, ...)."""
    return bool(dropout.kwargs.get("training", len(dropout.args) < 3 or dropout.args[2]))


def _maps_rows(node: fx.Node) -> bool:
    """Whether a product is rows times a matrix that depends on no candidate."""
    if len(node.args) < 2 or not isinstance(node.args[-1], fx.Node):
        return False
    *_, rows, matrix = node.args
    return isinstance(rows, fx.Node) and matrix.meta.get("kind") == "plain"


def _ndim(node: fx.Node, name: str) -> int | None:
    """The number of axes among which an operation names one, where it is known."""
    first = node.args[0] if node.args else node.kwargs.get("input")
    first = first[0] if isinstance(first, (tuple, list)) and first else first
    example = first.meta.get("example") if isinstance(first, fx.Node) else None
    ndim = getattr(example, "ndim", None)
    return ndim + 1 if isinstance(ndim, int) and name in ("unsqueeze", "stack") else ndim


def _check_dim(name: str, dim, ndim: int | None = None) -> None:
    """Refuse every dimension that may be that of the nodes; on a matrix -2 is."""
    if isinstance(dim, int) and isinstance(ndim, int) and -ndim <= dim < ndim and dim % ndim:
        return
    if not isinstance(dim, int) or isinstance(ndim, int) or (dim < 1 and dim != -1):
        raise Untraceable(f"{name} over dim={dim} may mix nodes")
