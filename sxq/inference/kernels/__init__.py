"""The kernels: one file per family of convolutions, one line each in this registry.

A kernel answers for one layer of a model: `run(x, site)` takes the rows its messages come from and gives the
table of the rows that receive. What a layer cannot do exactly it refuses in its constructor, with the reason.
"""

from torch_geometric import nn as pyg
from torch_geometric.nn import MessagePassing

from sxq.inference.kernels.base import Kernel
from sxq.inference.kernels.gat import GAT, GATv2
from sxq.inference.kernels.gcn import GCN
from sxq.inference.kernels.gin import GIN, GINE
from sxq.inference.kernels.graph import LE, Graph
from sxq.inference.kernels.powers import APPNP, SG, TAG
from sxq.inference.kernels.sage import SAGE
from sxq.inference.kernels.transformer import Transformer
from sxq.inference.tracing.rowwise import Untraceable

KERNELS: dict[type[MessagePassing], type[Kernel]] = {
    pyg.GCNConv: GCN,
    pyg.SAGEConv: SAGE,
    pyg.GINConv: GIN,
    pyg.GINEConv: GINE,
    pyg.GATConv: GAT,
    pyg.GATv2Conv: GATv2,
    pyg.GraphConv: Graph,
    pyg.LEConv: LE,
    pyg.SGConv: SG,
    pyg.TAGConv: TAG,
    pyg.APPNP: APPNP,
    pyg.TransformerConv: Transformer,
}


def kernel_of(layer: MessagePassing, given: tuple[str, ...]) -> Kernel:
    """The kernel of a layer that is called with the edge values `given`. Raises Untraceable."""
    if type(layer) not in KERNELS:  # a subclass may do anything
        raise Untraceable(f"no layered form of {type(layer).__name__} is known")
    return KERNELS[type(layer)](layer, given)
