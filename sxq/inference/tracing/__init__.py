"""Records a forward pass as a graph of operations; checks that they treat every row by itself.

The files in reading order:

    rowwise    the operations and modules that treat every row by itself; `Untraceable`
    as_called  modules that sxq calls in another way, with the arguments of the engine
    example    `examples_of(model)`: small inputs that tell shapes; `Extent`: a size of the graph
    recorder   `Recorder`: torch.fx with the values of an example, and lines of the user's code
    propagation  message passing of a user's layer as plain operations
    by_name    modules that are called in their own way, in the form in which they are recorded
    by_type    modules of heterogeneous graphs in the form in which they are recorded
    pair_forward   models of links likewise
    fx_graph   `trace_graph(module, ...)` records a forward pass with `torch.fx`
"""
