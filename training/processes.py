"""The only place that starts processes: how many, how they begin and how they end.

The rules. As many processes as there are cores that this one may use, never more
than there is work, and none at all for one job or one worker: the work is done here
then. Processes are spawned, not forked, because the threads of torch, BLAS and numba
do not survive a fork, and so that each starts from a clean memory on every system. Ctrl-C goes
to the parent alone, which drops what has not begun and ends the workers; one whose parent
is gone, however it went, ends at once, so that no two runs ever write one result. Files are
written whole or not at all (`CTBMDLib.safefile`), so that what is done stays.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers_for(jobs: int, wanted: int | None = None) -> int:
    """Processes for a number of jobs; `wanted` of them, or one a core where that is None."""
    return max(min(wanted or cores(), jobs), 1)


def results(
    function: Callable, jobs: Iterable[tuple], workers: int | None = None, *, ordered: bool = True
) -> Iterator[Any]:
    """Answers of `function(*job)` for every job, as they come.

    Parameters
    ----------
    function : callable
        Of a module's top, so that a worker can import it.
    jobs : iterable of tuple
        The arguments of each call; they are pickled.
    workers : int, optional
        Processes; one a core if None. With one, everything runs in this process.
    ordered : bool
        Whether the answers come in the order of the jobs, or each as soon as it is there.

    Yields
    ------
    object
        What the function answers.

    Raises
    ------
    Exception
        What a call raised; the other jobs are dropped then.
    """
    jobs = list(jobs)
    workers = workers_for(len(jobs), workers)
    if workers == 1:
        for job in jobs:
            yield function(*job)
        return
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)
    try:
        running = [pool.submit(function, *job) for job in jobs]
        for future in running if ordered else as_completed(running):
            yield future.result()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """In a worker: Ctrl-C is the parent's to answer, and without a parent there is no work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed can end nobody; its workers would go on to their job's end."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
