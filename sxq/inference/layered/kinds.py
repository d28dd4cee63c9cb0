"""What a recorded value is: rows of nodes, edges, graphs or links, a plain value, or a part of the graph."""

from torch import fx

# One row per node, edge, graph or link, or a plain value that no row depends on.
NODES = "nodes"
EDGES = "edges"
GRAPHS = "graphs"
LINKS = "links"
ENDS = "ends"  # of links: [2, n, C], the rows of both ends
PLAIN = "plain"
# What only layers, poolings and sums over edges may read: edge_index, its two rows, the graph of each
# node, and the pair of edge_index and edge values that functions such as add_self_loops return.
INDEX = "index"
TAILS = "tails"
HEADS = "heads"
BATCH = "batch"
INDEX_AND_VALUES = "index and values"
# What only picks may read: the pairs of links [2, n], and one end of them [n].
BOTH = "pairs"
ONE_END = "one end of the pairs"
OF_LINKS = frozenset([BOTH, ONE_END])
OF_GRAPH = frozenset([INDEX, TAILS, HEADS, BATCH, INDEX_AND_VALUES]) | OF_LINKS
SAID = {
    INDEX: "edge_index",
    TAILS: "edge_index[0]",
    HEADS: "edge_index[1]",
    BATCH: "batch",
    INDEX_AND_VALUES: "edge_index",
    NODES: "nodes",
    EDGES: "edges",
    GRAPHS: "graphs",
    LINKS: "links",
    ENDS: "both ends of links",
    BOTH: BOTH,
    ONE_END: ONE_END,
    PLAIN: "a plain value",
}


def node_kind(node: fx.Node) -> str:
    return node.meta["kind"]
