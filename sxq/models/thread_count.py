"""How many threads torch's operations take.

A small operation gains nothing from a second thread, and if another process keeps a core busy, it waits
for it: the operations of a graph of 34 nodes were measured to take thirty times as long then.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

LARGE = 2**20  # numbers of an operation from which threads share it
CHANNELS = 64  # that a message is assumed to have


@contextmanager
def one_thread() -> Iterator[None]:
    """Within, operations of this thread run on no other thread; torch has this setting per thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def threads_for(features: float, edges: float = 0) -> AbstractContextManager[None]:
    """Within, operations on a small graph run on one thread: so many features of all nodes together, and edges."""
    return one_thread() if max(features, CHANNELS * edges) < LARGE else nullcontext()
