"""A graph on disk: one folder of memory-mapped arrays behind the interface of `Graph`.

The verbs: `write(folder, columns)` makes the folder, whatever its size, in blocks, and
`open_graph(folder)` maps it. Nothing in a folder changes once it is written, except that outputs
of models are added to it.

The files in reading order:

    manifest     what a folder holds, and whether its files are still those that were written
    stored_list  a list of Python values as arrays, read one at a time
    disk_keys    keys that are looked up by binary search
    half_rows    features in float16, where nothing is lost by it
    mapped       `DiskGraph`: a graph whose arrays are files
    write_graph  arrays into a folder, in blocks of bounded size
    sample       a part of a large graph, held in memory
"""

from sxq.graph.disk.manifest import OUTPUTS, folder_bytes
from sxq.graph.disk.mapped import DiskGraph, open_graph
from sxq.graph.disk.sample import around, induced, thinned
from sxq.graph.disk.write_graph import ArrayColumns, column_bytes, write

__all__ = [
    "ArrayColumns",
    "DiskGraph",
    "OUTPUTS",
    "around",
    "column_bytes",
    "folder_bytes",
    "induced",
    "open_graph",
    "thinned",
    "write",
]
