"""Work on several threads at once, with results in order and a bound on what waits."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["in_order", "worker_count"]

#: More workers would hold more memory and wait for the one thread that collects.
MAX_WORKERS = 8

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def worker_count() -> int:
    """Return how many threads compute at once: one a core that this process may use, 8 at most.

    Examples
    --------
    >>> 1 <= worker_count() <= 8
    True
    """
    allowed = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    return min(cores, MAX_WORKERS)


def in_order(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int | None = None
) -> Generator[_Result, None, None]:
    """Apply a function to items on several threads; results come in the order of the items.

    An item is taken only when there is room for it: besides the result that the caller holds,
    one item for each worker is at work or waits. When the generator ends, is closed or fails,
    its threads have ended too.

    Parameters
    ----------
    function : callable
        Safe to call from several threads; worth it when it leaves Python's lock alone.
    items : iterable
        Read in the caller's thread.
    workers : int, optional
        Threads, by default `worker_count`.

    Yields
    ------
    object
        What the function returned.

    Raises
    ------
    Exception
        What the function raised, as soon as it did: results before it are not waited for.
    ValueError
        If there is to be no worker.

    Examples
    --------
    >>> list(in_order(abs, [3, -1, -2], workers=2))
    [3, 1, 2]
    """
    count = worker_count() if workers is None else workers
    if count < 1:
        raise ValueError(f"workers must be 1 or more, got {count}.")
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="histo")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > count:
                yield _first(waiting)
        while waiting:
            yield _first(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _first(waiting: deque[Future[_Result]]) -> _Result:
    """Wait for the first result, or for the first failure of any."""
    while True:
        for future in waiting:
            if future.done():
                future.result()
        if waiting[0].done():
            return waiting.popleft().result()
        wait([future for future in waiting if not future.done()], return_when=FIRST_COMPLETED)
