"""The convolution of SplineCNN (Fey et al. 2018) with open B-splines of degree 1, in plain torch.

    x'_i = mean over j of x_j W(e_ij)  +  x_i root  +  bias
    W(e) = sum over corners of basis(e) W_corner

The pseudo-coordinates e_ij, in [0, 1]^D, are the edge attributes. `kernel_size` control points
stand in a row along every dimension, so an edge lies between 2^D of them (its corners), and the
tensor product of hat functions weighs their matrices. Parameters have the names and shapes of PyG's
`SplineConv`, which needs a compiled extension; the outputs are equal.

Cost: 2^D products with a matrix [inputs, outputs] for each edge, sorted by control point, so that
no edge has a matrix of its own in memory.
"""

from itertools import product

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.inits import uniform


class SplineConvolution(MessagePassing):
    """x [n, inputs], edge_index [2, E], edge_attr [E, dim] in [0, 1] to [n, outputs]."""

    def __init__(self, inputs: int, outputs: int, dim: int, kernel_size: int):
        super().__init__(aggr="mean")
        self.dim = dim
        self.kernel_size = kernel_size
        self.weight = nn.Parameter(torch.empty(kernel_size**dim, inputs, outputs))
        self.lin = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))
        uniform(inputs * len(self.weight), self.weight)
        uniform(inputs, self.lin.weight)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        return self.propagate(edge_index, x=x, edge_attr=edge_attr) + self.lin(x) + self.bias

    def message(self, x_j: Tensor) -> Tensor:
        """The features themselves, so that an edge mask multiplies them before they are mapped."""
        return x_j

    def aggregate(self, inputs: Tensor, index: Tensor, edge_attr: Tensor, dim_size: int) -> Tensor:
        point, basis = corners(edge_attr, self.kernel_size)
        order = point.flatten().argsort(stable=True)
        sizes = torch.bincount(point.flatten(), minlength=len(self.weight)).tolist()
        total = inputs.new_zeros(dim_size, self.weight.shape[2])
        for matrix, pairs in zip(self.weight, order.split(sizes)):
            edge = pairs // point.shape[1]
            sent = inputs[edge] * basis.flatten()[pairs, None]
            total = total.index_add(0, index[edge], sent @ matrix)
        return total / torch.bincount(index, minlength=dim_size).clamp(min=1)[:, None]


def corners(coordinates: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
    """The control points around each edge [E, 2^D], and their weights, which sum to one."""
    dim = coordinates.shape[1]
    place = coordinates * (kernel_size - 1)
    low = place.floor()
    beyond = place - low
    strides = kernel_size ** torch.arange(dim, device=coordinates.device)
    points = []
    weights = []
    for side in product((0, 1), repeat=dim):  # 1: the upper neighbour in that dimension
        upper = torch.tensor(side, device=coordinates.device)
        # At coordinate 1 there is no upper neighbour; its weight is 0.
        points.append((((low.long() + upper) % kernel_size) * strides).sum(dim=1))
        weights.append(torch.where(upper == 1, beyond, 1 - beyond).prod(dim=1))
    return torch.stack(points, dim=1), torch.stack(weights, dim=1)
