"""The layered backend: a traced model, run layer by layer over all candidates at once.

The files in reading order:

    kinds      what a recorded value is: rows of nodes, of edges, ...
    edge_calls  operations between nodes and edges
    link_reader  operations on the pairs of links
    reader     finds the kind of every recorded value, and refuses what is not known as safe
    steps      `steps_of(module, arguments)` turns a module into a list of steps, or refuses it
    schedule   `pack(batches, ...)` cuts and merges batches into jobs, one per tile
    backend    `Layered`: loads fields and runs every step of every job
    gradient   `mask_gradient`: the same steps under an edge mask, differentiated; `share_gradient`: by features
"""
