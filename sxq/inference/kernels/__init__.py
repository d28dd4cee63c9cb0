"""The kernels: one file per family of convolutions, and one line per layer in the registry below.

A kernel computes one layer of a model: `run(x, context)` takes the rows that send messages and
returns the table of the rows that receive. Its constructor refuses, with the reason, every option
of the layer that it cannot compute exactly.

The files in reading order:

    base         `Kernel`, `LayerContext`, and the weighted sums that most kernels are made of
    norm         the symmetric normalisation of GCN, shared by the layers that use it
    gcn          GCNConv
    sage         SAGEConv
    gin          GINConv, GINEConv
    graph        GraphConv, LEConv
    powers       SGConv, TAGConv, APPNP, ChebConv: several applications of one adjacency matrix
    arma         ARMAConv
    gat          GATConv, GATv2Conv
    transformer  TransformerConv
    relations    RGCNConv, FastRGCNConv: layers that are given the type of each edge
    typed_attention  HGTConv, HANConv: layers of all node types at once
    pool         the poolings of graph classifiers

    messages     message passing that the user wrote

The verb: `kernel_of(layer, given)`.
"""

from torch import nn
from torch_geometric import nn as pyg
from torch_geometric.nn import MessagePassing

from sxq.inference.kernels.arma import ARMAKernel
from sxq.inference.kernels.base import Kernel
from sxq.inference.kernels.gat import GATKernel, GATv2Kernel
from sxq.inference.kernels.gcn import GCNKernel
from sxq.inference.kernels.gin import GINEKernel, GINKernel
from sxq.inference.kernels.graph import GraphConvKernel, LEKernel
from sxq.inference.kernels.powers import APPNPKernel, ChebKernel, SGKernel, TAGKernel
from sxq.inference.kernels.relations import RGCNKernel
from sxq.inference.kernels.sage import SAGEKernel
from sxq.inference.kernels.transformer import TransformerKernel
from sxq.inference.tracing.rowwise import Untraceable

KERNELS: dict[type[MessagePassing], type[Kernel]] = {
    pyg.GCNConv: GCNKernel,
    pyg.SAGEConv: SAGEKernel,
    pyg.GINConv: GINKernel,
    pyg.GINEConv: GINEKernel,
    pyg.GATConv: GATKernel,
    pyg.GATv2Conv: GATv2Kernel,
    pyg.GraphConv: GraphConvKernel,
    pyg.LEConv: LEKernel,
    pyg.SGConv: SGKernel,
    pyg.TAGConv: TAGKernel,
    pyg.APPNP: APPNPKernel,
    pyg.ChebConv: ChebKernel,
    pyg.ARMAConv: ARMAKernel,
    pyg.TransformerConv: TransformerKernel,
    pyg.RGCNConv: RGCNKernel,
    pyg.FastRGCNConv: RGCNKernel,
}


def has_kernel(layer: nn.Module) -> bool:
    """Whether a layer is one of the registry; a subclass of one may compute anything."""
    return type(layer) in KERNELS


def kernel_of(layer: MessagePassing, given: tuple[str, ...]) -> Kernel:
    """The kernel of a layer that is called with the edge values `given`. Raises Untraceable."""
    if type(layer) not in KERNELS:  # a subclass may compute anything
        raise Untraceable(f"no layered form of {type(layer).__name__} is known")
    return KERNELS[type(layer)](layer, given)
