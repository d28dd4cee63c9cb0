"""Models: a user's module as the engine runs it, the named architectures, and PyG's data as graphs.

The verbs: `train(graph, options)` learns a model; `build(spec)` and `load_weights(module, file)`
restore one; `graph_from_data(data)` returns a `Graph`, `graphs_from_data(dataset)` a `GraphSet`.
This room imports torch.

The files in reading order:

    borrow          `borrow(module, ...)`: the engine's own copy of a user's module, a `Model`
    model           a `Model`: a copy, how it is called, and what its output means
    module_copy     copies a module, without masks and caches
    fingerprint     whether a module was trained further
    forward         plain forward passes over a graph or a collection
    blame           errors of the user's code, as a ModelError that says what was done
    thread_count    how many threads torch's operations take
    device          moves arrays to the device of a model
    calling         `way_to_call(module, graph)`: what forward takes of what a graph has
    signature       what forward asks for
    graph_inputs    what a graph has for a forward
    call            a `Call`: which input goes to which argument, and in which form
    wrappers        modules of ours around the user's, such as one that makes a `Call`
    links           models of links: how they are called, and the pairs they are registered with
    part_masks      PyG's edge masks on layers that are called with the edges of one type
    typed_call      modules of heterogeneous graphs: dictionaries by type, or a HeteroData
    typed_links     models of the links of one edge type
    output_meaning  whether outputs are logits, log-probabilities or probabilities
    odds            the log-odds of the answer to a question, differentiable
    edge_mask       the model under an edge mask, differentiable
    architectures   the named architectures and their specs
    typed_architectures  those for heterogeneous graphs
    link_scorers    those for links: an encoder, and a decoder of both ends
    spline          the convolution of SplineCNN
    asap            the clusters of ASAP, pooled layer by layer
    weights         safetensors in and out; the content hash of a model
    foreign_names   weights of PyG's own models under the names used here
    imported_weights  state dicts of torch.save as safetensors
    training        `train(graph, options)`
    link_training   `train_links(graph, options)`: edges held out against pairs without one
    pyg_fields      the fields of PyG's data as arrays
    hetero_data     a `HeteroData` as one graph with types, and back
    training_notes  what a user should know about a training
    pyg_data        PyG's data as graphs
    refine/         ReFine: attributors that are pre-trained class by class
"""

from sxq.models.architectures import LINK, ArchitectureSpec, build, spec_from_options, task_of
from sxq.models.borrow import choose_device
from sxq.models.forward import scores
from sxq.models.hetero_data import hetero_from_graph, hetero_part
from sxq.models.imported_weights import import_weights
from sxq.models.link_training import train_links
from sxq.models.pyg_data import graph_from_data, graphs_from_data, plain_arrays, split_by_graph
from sxq.models.training import Trained, accuracies, confusion, train
from sxq.models.training_notes import by_class
from sxq.models.weights import content_hash, load_weights, restore, to_bytes
from sxq.planning.options import ARCHITECTURES, OPTIONS

__all__ = [
    "ARCHITECTURES",
    "LINK",
    "OPTIONS",
    "ArchitectureSpec",
    "Trained",
    "accuracies",
    "build",
    "by_class",
    "choose_device",
    "confusion",
    "content_hash",
    "graph_from_data",
    "graphs_from_data",
    "hetero_from_graph",
    "hetero_part",
    "import_weights",
    "load_weights",
    "plain_arrays",
    "restore",
    "scores",
    "spec_from_options",
    "task_of",
    "split_by_graph",
    "to_bytes",
    "train",
    "train_links",
]
