"""Records a forward pass as a graph of operations; checks that they treat every row by itself.

The files in reading order:

    rowwise    the operations and modules that treat every row by itself; `Untraceable`
    by_type    modules of heterogeneous graphs in the form in which they are recorded
    pair_forward   models of links likewise
    fx_graph   `trace_graph(module, ...)` records a forward pass with `torch.fx`
"""
