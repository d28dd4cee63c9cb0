"""Runs tiles side by side on the cores of a CPU.

Operations of a few microseconds gain nothing from a team of threads. If another process keeps a
core busy, they wait for it thousands of times: then two threads were measured to be a hundred times
slower than one. So every operation runs on one thread, and each thread has tiles of its own.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

from sxq.models.thread_count import one_thread

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> list[R]:
    """work(item) of every item, in order; on a GPU one by one, because its own queue keeps it busy."""
    if device.type != "cpu":
        return [work(item) for item in items]
    if len(items) == 1 or torch.get_num_threads() == 1:
        with one_thread():
            return [work(item) for item in items]
    return list(_pool(torch.get_num_threads(), os.getpid()).map(work, items))


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """The threads of one process: a forked process does not have the threads of its parent."""
    return ThreadPoolExecutor(
        threads, "sxq-inference", initializer=torch.set_num_threads, initargs=(1,)
    )
