"""Graphs as compressed in-edge lists, and the receptive fields cut out of them. Imports only numpy.

The verbs: `extract(graph, target, hops, halo, directed)` returns the `Field` of a node, and
`whole(graph, directed)` that of a whole graph; `readers` makes graphs from files and tables.

The files in reading order:

    types                `GraphTypes`: node and edge types of a heterogeneous graph
    encoding             `Encoding`: columns of a table as features, also of another table alike
    csr                  `Graph`: arrays by node and edge, and the in-edges of every node
    disk                 a graph in a folder of memory-mapped arrays
    keys                 the user's names of nodes and graphs
    key_texts            keys whose values Python cannot hold, as text of an SQL type
    typed_keys           the names of nodes of a heterogeneous graph
    npz_files            arrays from files that strangers may have written
    named_columns        keys and attributes in a file
    typed_npz            types of nodes and edges in a file
    edge_texts           columns of edges that are no numbers, with their SQL type
    readers              graphs from files and tables
    next_version         the next version of a graph: nodes and edges added or removed
    next_nodes           nodes that are added or removed
    next_edges           edges that are added or removed
    next_typed           those of one type of a heterogeneous graph
    next_columns         columns of a table as the graph holds them
    shared_arrays        arrays that two versions hold once
    difference           what differs between two versions of a graph
    typed_readers        heterogeneous graphs from tables
    table_problems       everything that is wrong in the tables of a graph
    collection           `GraphSet`: many graphs under one name
    collection_readers   collections from files and tables
    next_collection      the next version of a collection: graphs added or removed
    graphs_difference    what differs between two versions of a collection
    saved_npz            graphs and collections into files
    generated            generated graphs with a known ground truth
    distinct             distinct rows of whole numbers
    field                `Field`: the units that can be removed for one target, and the halo
    link_field           `LinkField`: the target is a pair of nodes
    whole                `WholeGraph`: a whole graph as the field of one target
    node_field           `NodeField`: the units are nodes
    feature_field        `FeatureField`: the units are columns of x
    restricted_nodes     what generators see where candidates must hold some nodes
    restricted           fields whose candidates hold some units, lack others, or lie anywhere
    bits                 the codings of candidates: bool rows, packed bytes, words, keys, hashes
    node_labels          what nodes are told apart by in patterns
    embedding            the place of subgraphs in the space of their features
    node2vec             vectors of nodes by their neighbourhoods, without features
"""

from sxq.graph.collection import GraphSet
from sxq.graph.csr import Graph
from sxq.graph.embedding import embed, embed_by_nodes
from sxq.graph.feature_field import FeatureField, over_features, varying_features
from sxq.graph.field import EdgeKind, Field, extract, induced_edges
from sxq.graph.link_field import (
    LinkField,
    LinkKey,
    TypedLinkKey,
    between,
    extract_link,
    link_ends,
    link_name,
    link_position,
    typed_link,
)
from sxq.graph.node2vec import node2vec
from sxq.graph.node_field import NodeField, over_nodes
from sxq.graph.node_labels import default_label, known_labels, node_labels
from sxq.graph.restricted import (
    AnywhereField,
    JoinedField,
    Restriction,
    kept_out,
    restrict,
    unjoined,
)
from sxq.graph.typed_keys import TypedKey
from sxq.graph.types import EdgeType, GraphTypes, shown_type
from sxq.graph.whole import WholeGraph, whole

__all__ = [
    "AnywhereField",
    "EdgeKind",
    "FeatureField",
    "EdgeType",
    "Field",
    "Graph",
    "GraphSet",
    "GraphTypes",
    "JoinedField",
    "LinkField",
    "LinkKey",
    "NodeField",
    "Restriction",
    "TypedKey",
    "TypedLinkKey",
    "WholeGraph",
    "between",
    "default_label",
    "embed",
    "embed_by_nodes",
    "extract",
    "extract_link",
    "induced_edges",
    "known_labels",
    "kept_out",
    "link_ends",
    "link_name",
    "link_position",
    "typed_link",
    "node2vec",
    "node_labels",
    "over_features",
    "over_nodes",
    "restrict",
    "shown_type",
    "unjoined",
    "varying_features",
    "whole",
]
