"""Executors for `con.execute(..., executor=...)`: clusters of Dask and Ray, beside those of `concurrent.futures`.

    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        con.execute(text, executor=sxq.executors.dask(client))

The extras `sxq[dask]` and `sxq[ray]` install them. Nothing here imports them before it is called.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from sxq.errors import InvalidValue


def dask(client: Any) -> Executor:
    """The workers of a `dask.distributed.Client`; each task goes to one of them once."""
    if not callable(getattr(client, "get_executor", None)):
        raise InvalidValue(f"dask({client!r:.80}): expected a dask.distributed.Client")
    return client.get_executor(pure=False)


def ray(**options: Any) -> Executor:
    """The workers of a Ray cluster, which is the one that `ray.init` joined, or else a local one.

    options  of each task, as of `ray.remote`, such as num_cpus=1

    Raises InvalidValue where Ray is not installed.
    """
    try:
        import ray as library
    except ImportError as error:
        raise InvalidValue(f"Ray is not installed ({error}); pip install 'sxq[ray]'") from None
    if not library.is_initialized():
        library.init(include_dashboard=False, log_to_driver=False)
    return _Ray(library, options)


class _Ray(Executor):
    """Tasks of Ray as futures."""

    def __init__(self, library: Any, options: dict[str, Any]):
        self._library = library
        self._options = options

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future:
        remote = self._library.remote(fn)
        task = remote.options(**self._options) if self._options else remote
        return task.remote(*args, **kwargs).future()
