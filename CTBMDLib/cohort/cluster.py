"""A batch on several processes or machines, by Dask; `batch` without it runs in one process.

Only the path of a case goes to a worker, and only its small result comes back.
A worker takes one case at a time. Where a worker dies, the cases it had are run
again, each alone with all the memory; one that dies again is a failure of its own.
Dask is never needed: it is the extra `ctbmd[cohort]`.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import queue
import re
import signal
import sys
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from .. import __version__
from ..bmd.reference import ReferenceTable
from ..errors import CTBMDError
from ..model.bundle import ModelBundle, default_bundle_folder
from ..progress import Progress
from .batch import Job, Task, examine, in_this_process
from .outcome import Outcome

BYTES_PER_WORKER = 3 << 30
"""Memory that a worker is counted with where nobody says: own choice, six times the 0.5 GB of a
CT of 1,000 slices of 512 x 512 pixels."""
MIN_CASES = 8
"""Cases below which starting processes costs more than it saves."""
AHEAD = 2
"""Cases that a worker is given at once, one of them to wait, so that it never idles."""
ANSWER_SECONDS = 15.0
"""How long a scheduler is waited for."""
_POLL = 0.25  # seconds between two looks at the keyboard and at the scheduler
_OF_DASK = "65536"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical", "DASK_LOGGING__BOKEH": "critical"}
_SETTINGS = {
    # A case whose worker died comes back to us at once: we run it again, alone.
    "distributed.scheduler.allowed-failures": 0,
    # A worker holds no results, so there is nothing to spill, and to pause would only stop it.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # Nothing of what Dask sets for its workers. One thread for each library: a sum of NumPy's over
    # another number of threads differs in its last bits from what this process answers.
    # MALLOC_TRIM_THRESHOLD_: see `keep_freed_memory`.
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.comm.timeouts.connect": "10s",
    "distributed.comm.timeouts.tcp": "60s",
    "distributed.admin.tick.limit": "1h",
}


@dataclass(frozen=True)
class Remote:
    """A `Job` without its model: what is sent with every case.

    Attributes
    ----------
    folder : str
        Where the bundle lies, for all workers.
    sha256 : str
        Of its weights, so that no worker takes another.
    version : str
        Of CTBMD.
    reference, device, with_identity, dxa, secret, correct_values
        As in `Job`.
    """

    folder: str
    sha256: str
    version: str
    reference: ReferenceTable | None
    device: str
    with_identity: bool
    dxa: str | None
    secret: bytes
    correct_values: bool = False

    @classmethod
    def of(cls, job: Job) -> Remote:
        """What a worker needs to know of a job."""
        return cls(
            str(Path(job.bundle.folder or default_bundle_folder()).absolute()),
            job.bundle.card["weights_sha256"],
            __version__,
            job.reference,
            job.device,
            job.with_identity,
            job.dxa,
            job.secret,
            job.correct_values,
        )

    def job(self) -> Job:
        """The job, its model read on this machine.

        Raises
        ------
        CTBMDError
            Where the machine has no such model, or another CTBMD.
        """
        if self.version != __version__:
            raise CTBMDError(
                f"A worker has CTBMD {__version__}, this is {self.version}; install the same everywhere.",
                "worker-differs",
            )
        bundle = _bundle(self.folder)
        if bundle.card["weights_sha256"] != self.sha256:
            raise CTBMDError(
                f"A worker has another model in '{self.folder}'; copy the same there.",
                "worker-differs",
            )
        return Job(
            bundle,
            self.reference,
            self.device,
            self.with_identity,
            self.dxa,
            self.secret,
            self.correct_values,
        )


@lru_cache(maxsize=2)
def _bundle(folder: str) -> ModelBundle:
    return ModelBundle.load(folder)


def run_remote(task: Task, remote: Remote) -> dict[str, Any]:
    """One case on a worker; its outcome as plain values.

    What goes wrong on the worker for another reason than the case is told as such.
    """
    keep_freed_memory()
    try:
        return packed(examine(task, remote.job(), Progress()))
    except CTBMDError as error:
        return packed(Outcome(None, " ".join(str(error).split()), error.code))


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Let a worker keep the memory that it has freed, as a process without Dask does.

    `dask worker` starts its processes with MALLOC_TRIM_THRESHOLD_=65536. Where that is set
    glibc no longer learns from what is freed: every array above 128 KB is a mapping of its own,
    whose pages the system clears anew: 1.7 million page faults and 2.6 of 3.9 CPU-seconds for
    the sample. The two values are those that glibc arrives at by itself (mallopt(3):
    an array of 32 MB or more is given back at once, so that large CTs are).

    Returns
    -------
    bool
        Whether it was done: not where a person chose another value, and not without glibc.
    """
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") != _OF_DASK or not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        done = [mallopt(_M_MMAP_THRESHOLD, 32 << 20), mallopt(_M_TRIM_THRESHOLD, 64 << 20)]
    except (OSError, AttributeError):
        return False
    return done == [1, 1]


def packed(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain values, small enough to be sent."""
    return {
        "result": outcome.result.to_dict() if outcome.result else None,
        "facts": outcome.facts.to_dict(),
        "reason": outcome.reason,
        "code": outcome.code,
        "key": outcome.key,
        "sheet": outcome.sheet,
    }


def unpacked(data: dict[str, Any]) -> Outcome:
    """What `packed` made."""
    from ..bmd.result import BMDResult
    from .outcome import Facts

    result = BMDResult.from_dict(data["result"]) if data["result"] else None
    facts = Facts.from_dict(data["facts"])
    return Outcome(result, data["reason"], data["code"], facts, data["key"], data["sheet"])


def dask_is_there() -> bool:
    """Whether Dask's distributed scheduler can be used."""
    return importlib.util.find_spec("distributed") is not None


def workers_for(cases: int, asked: int | None, memory_limit: int | None) -> int:
    """How many processes to use: what was asked for, else what the machine has room for.

    Parameters
    ----------
    cases : int
    asked : int or None
    memory_limit : int or None
        Bytes for each.
    """
    if asked is not None:
        return asked
    if not dask_is_there() or cases < MIN_CASES:
        return 1
    room = memory_of_machine() // (memory_limit or BYTES_PER_WORKER)
    return max(1, min(cores_of_machine(), room))


def cores_of_machine() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_of_machine() -> int:
    """Bytes that Dask may count on: of the machine or of its container."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


class Workers:
    """Where a batch runs, decided when it is known how many cases there are to do.

    Parameters
    ----------
    asked : int or None
        Processes of this computer; see `workers_for`.
    scheduler : str or None
    memory_limit : int or None
        See `Cluster`.
    told : callable(Cluster) or None
        Told of the cluster when it has started.
    """

    def __init__(
        self,
        asked: int | None = None,
        scheduler: str | None = None,
        memory_limit: int | None = None,
        told: Callable[[Cluster], None] | None = None,
    ) -> None:
        self.asked, self.scheduler, self.memory_limit = asked, scheduler, memory_limit
        self._told = told

    def outcomes(
        self, tasks: Sequence[Task], job: Job, progress: Progress
    ) -> Generator[tuple[Task, Outcome], None, None]:
        """See `batch.Pool`."""
        count = 0 if self.scheduler else workers_for(len(tasks), self.asked, self.memory_limit)
        if not tasks or count == 1:
            yield from in_this_process(tasks, job, progress)
            return
        with Cluster(count, self.scheduler, self.memory_limit) as cluster:
            if self._told:
                self._told(cluster)
            yield from cluster.outcomes(tasks, job, progress)


class Cluster:
    """Processes of this machine, or the user's own Dask cluster by its address.

    Parameters
    ----------
    workers : int
        Processes here, where there is no `scheduler`.
    scheduler : str or None
        Such as 'tcp://10.0.0.5:8786'. Its workers must see the files under the same paths.
    memory_limit : int or None
        Bytes for each process here; an equal share of the machine's where None.

    Raises
    ------
    CTBMDError
        Where Dask is not installed or the scheduler does not answer.
    """

    def __init__(
        self, workers: int, scheduler: str | None = None, memory_limit: int | None = None
    ) -> None:
        if not dask_is_there():
            raise CTBMDError(
                "Dask is not installed, without which a batch runs in one process; "
                "install it by: pip install distributed.",
                "no-dask",
            )
        self.workers, self.scheduler, self.memory_limit = workers, scheduler, memory_limit
        self._kept_environ = {name: os.environ.get(name) for name in _QUIET}
        os.environ.update(_QUIET)  # of the workers too, which inherit it
        import dask

        # Its own settings first: imported later, they would go with ours when this is closed.
        importlib.import_module("distributed")
        self._config: Any = dask.config.set(_SETTINGS)
        self._client: Any = None
        self._local: Any = None
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            self._start(workers, memory_limit or memory_of_machine() // max(1, workers))
        except BaseException:
            self.close()
            raise

    def _start(self, workers: int, limit: int) -> None:
        import logging

        distributed: Any = importlib.import_module("distributed")
        # Its loggers have levels of their own: what one of them tells, this module says in a sentence.
        for name in [x for x in logging.root.manager.loggerDict if x.startswith("distributed")]:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            if not self.scheduler:
                with _keyboard_held():
                    self._local = distributed.LocalCluster(
                        n_workers=workers,
                        threads_per_worker=1,
                        processes=True,
                        memory_limit=limit,
                        dashboard_address="127.0.0.1:0",
                        silence_logs=logging.CRITICAL,
                    )
            self._client = distributed.Client(
                self.scheduler or self._local, timeout=ANSWER_SECONDS, set_as_default=False
            )
        except (OSError, ValueError, TimeoutError, RuntimeError) as error:
            where = self.scheduler or "on this computer"
            raise CTBMDError(
                f"No Dask scheduler answers at {where} ({' '.join(str(error).split())[:200]}); check "
                "the address, and that it runs the same version of Dask.",
                "no-scheduler",
            ) from None

    @property
    def threads(self) -> int:
        """Cases that can run at once; 0 while no worker is there."""
        try:
            return sum(self._client.nthreads().values())
        except (OSError, RuntimeError, TimeoutError):
            raise self._lost() from None

    @property
    def processes(self) -> list[int]:
        """The workers' process numbers, each on its own machine."""
        return sorted(self._client.run(os.getpid).values())

    @property
    def dashboard(self) -> str | None:
        """Address of Dask's own page of what runs; None where Bokeh is not installed."""
        known = importlib.util.find_spec("bokeh") is not None
        return str(self._client.dashboard_link) if known or self.scheduler else None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def outcomes(
        self, tasks: Sequence[Task], job: Job, progress: Progress
    ) -> Generator[tuple[Task, Outcome], None, None]:
        """See `batch.Pool`."""
        remote = Remote.of(job)
        died: list[Task] = []
        ended = 0
        for task, outcome in self._all(tasks, remote, progress):
            if outcome is None:
                died.append(task)
                continue
            ended += 1
            progress.step(ended / len(tasks), task.case.title)
            yield task, outcome
        if died and self._local:
            self._restart_with_all_memory()
        for task in died:
            alone = next(self._all([task], remote, progress))[1]
            ended += 1
            progress.step(ended / len(tasks), task.case.title)
            yield task, alone or Outcome(None, _died(self._limit_words()), "worker-died")

    def _all(
        self, tasks: Sequence[Task], remote: Remote, progress: Progress
    ) -> Iterator[tuple[Task, Outcome | None]]:
        """Each task with what it came to; None where its worker died."""
        waiting = deque(tasks)
        running: dict[str, tuple[Any, Task]] = {}
        try:
            while waiting or running:
                progress.check()
                while waiting and len(running) < AHEAD * max(1, self.threads):
                    task = waiting.popleft()
                    future = self._submit(task, remote)
                    running[future.key] = (future, task)
                    future.add_done_callback(lambda x: self._done.put(x.key))
                key = self._next()
                if key not in running:
                    continue
                future, task = running.pop(key)
                if future.status == "pending":
                    # Done, and gone with its worker before it was fetched: Dask runs it again.
                    running[key] = (future, task)
                    future.add_done_callback(lambda x: self._done.put(x.key))
                    continue
                yield task, self._answer(future)
                future.release()
        finally:
            for future, _ in running.values():
                with suppress(Exception):
                    future.cancel()

    def _submit(self, task: Task, remote: Remote) -> Any:
        # The name of a task is shown on Dask's page: it must not tell who the case is of.
        key = f"ctbmd-{task.number + 1}-{uuid.uuid4().hex[:12]}"
        try:
            return self._client.submit(run_remote, task, remote, key=key, pure=False)
        except (OSError, RuntimeError, ValueError):
            raise self._lost() from None

    def _next(self) -> str | None:
        """The key of a task that ended; None after a moment without one."""
        try:
            return str(self._done.get(timeout=_POLL))
        except queue.Empty:
            if self._client.status not in ("running", "newly-created"):
                raise self._lost() from None
            return None

    def _answer(self, future: Any) -> Outcome | None:
        from distributed import KilledWorker

        if future.status == "finished":
            try:
                return unpacked(future.result(timeout="60s"))
            except (KilledWorker, TimeoutError):  # its worker died meanwhile, with the answer
                return None
        if future.status != "error":  # cancelled or lost: the scheduler is gone
            raise self._lost()
        error = future.exception(timeout="60s")
        if isinstance(error, KilledWorker):
            return None
        text = f"unexpected {type(error).__name__} on a worker: {error}; please report it."
        return Outcome(None, " ".join(text.split()), "worker-error")

    def _lost(self) -> CTBMDError:
        return CTBMDError(
            f"The Dask scheduler {self.scheduler or 'of this run'} no longer answers; what is "
            "finished is kept, and the same command goes on.",
            "scheduler-lost",
        )

    def _restart_with_all_memory(self) -> None:
        self._stop()
        self.memory_limit = memory_of_machine()
        self._start(1, self.memory_limit)

    def _limit_words(self) -> str:
        if self.scheduler or not self.memory_limit:
            return ""
        return f", although it had {self.memory_limit / 2**30:.1f} GB"

    def _stop(self) -> None:
        for part in (self._client, self._local):
            if part is not None:
                with suppress(Exception):
                    part.close(timeout=3)
        self._client = self._local = None

    def close(self) -> None:
        """End the processes; a user's own cluster goes on."""
        self._stop()
        self._config.__exit__(None, None, None)
        for name, value in self._kept_environ.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _keyboard_held() -> Iterator[None]:
    """Hold Ctrl-C back, for good in the threads and processes that are started meanwhile.

    A terminal sends it to all of them; only the main thread shall answer, and end the others.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Started later, it would let Ctrl-C through again in the thread that starts it.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _died(more: str) -> str:
    return (
        f"The process that worked on it ended twice without a word, the second time alone{more}; most "
        "likely the scan needs more memory than there is, or a file of it crashes a decoder."
    )


def bytes_of(text: str) -> int:
    """A size such as '4GB' or '500 MiB' in bytes.

    Raises
    ------
    CTBMDError
    """
    units = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?)(i?)b?\s*", text.lower())
    try:
        assert match
        power = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}[match[2]]
        size = float(match[1]) * (1024**power if match[3] else units[match[2]])
    except (AssertionError, ValueError):
        size = 0
    if size < 2**28:
        raise CTBMDError(
            f"'{text}' is no memory limit for a CT; write it as 4GB or 3000MB.", "memory-limit"
        )
    return int(size)
