"""Models of named architectures: built, loaded, trained; and PyG's data as graphs. Imports torch.

The verbs: `train(graph, options)` learns a model; `build(spec)` and `load_weights(module, file)` restore one;
`load_dataset(name)` and `graph_from_data(data)` give a `Graph`, their plurals a `GraphSet`.
"""

from sxq.models.architectures import ArchitectureSpec, build, spec_from_options
from sxq.models.datasets import graph_from_data, graphs_from_data, load_dataset, load_graphs
from sxq.models.training import Trained, accuracies, train
from sxq.models.weights import content_hash, load_weights, to_bytes
from sxq.planning.options import ARCHITECTURES, OPTIONS

__all__ = [
    "ARCHITECTURES",
    "OPTIONS",
    "ArchitectureSpec",
    "Trained",
    "accuracies",
    "build",
    "content_hash",
    "graph_from_data",
    "graphs_from_data",
    "load_dataset",
    "load_graphs",
    "load_weights",
    "spec_from_options",
    "to_bytes",
    "train",
]
