"""A batch's bad days, on purpose: a worker killed, the scheduler killed, the disk full, two runs into one output.

Each runs `ctbmd batch` over the same few studies as a shell would, does its worst on
the way, runs the same command again, and holds the results against those of an
undisturbed batch, every value to the last digit.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from CTBMDLib.cohort.batch import partial_file
from CTBMDLib.cohort.journal import journal_of

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 3600.0
"""No step takes longer, on a machine that is busy with other things too."""
FIT = 4
"""Cases, about, that the small disk has room for."""


@dataclass(frozen=True)
class Place:
    """Where the faults are tried.

    Attributes
    ----------
    folder : Path
        For all that is written.
    source : Path
        The list of the studies.
    wanted : dict of str to dict
        By the case, the result of an undisturbed batch.
    model : str or None
    """

    folder: Path
    source: Path
    wanted: dict[str, dict]
    model: str | None

    def command(self, output: Path, *more: object) -> list[str]:
        """`ctbmd batch` over the studies."""
        named = ["--model", self.model] if self.model else []
        words = [sys.executable, "-m", "CTBMDLib", "batch", self.source, "--output", output]
        return [str(x) for x in (*words, *named, *more)]


class Run:
    """A command that runs beside this process, with all that it starts."""

    def __init__(self, command: list[str], log: Path, **more) -> None:
        self.log = log
        environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
        environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), environ.get("PYTHONPATH", "")])
        with log.open("wb") as out, log.with_suffix(".err").open("wb") as err:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=out, stderr=err,
                start_new_session=True, **more,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def complaint(self) -> list[str]:
        """What it said on the other stream, but for its progress."""
        text = self.log.with_suffix(".err").read_text(encoding="utf-8", errors="replace")
        return [x for x in text.splitlines() if x.strip() and "cases done" not in x]

    def until(self, done: Callable[[], bool]) -> bool:
        """Wait; False where it ended before."""
        end = time.monotonic() + LIMIT_S
        while not done():
            if self.process.poll() is not None:
                return False
            if time.monotonic() > end:
                self.kill()
                raise TimeoutError(f"no progress in {self.log}")
            time.sleep(0.1)
        return True

    def end(self, limit: float = LIMIT_S) -> int:
        """Its exit code; it is killed where it does not end."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    def kill(self) -> None:
        """Kill it and what it started."""
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def finished(output: Path) -> int:
    """Cases that are finished in an output's journal."""
    try:
        return journal_of(output).read_bytes().count(b'"sum"')
    except OSError:
        return 0


def workers_of(process: int) -> list[int]:
    """The processes below one that work on cases."""
    import psutil

    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(process).children(recursive=True):
            with suppress(psutil.Error):
                words = " ".join(child.cmdline())
                if "spawn_main" in words and "resource_tracker" not in words:
                    found.append(child.pid)
    return found


def kill_a_worker(process: int) -> bool:
    """Kill -9 one of the processes that work on cases; whether there was one."""
    for worker in workers_of(process)[:1]:
        with suppress(OSError):
            os.kill(worker, signal.SIGKILL)
            return True
    return False


def compare(place: Place, output: Path) -> list[str]:
    """What differs from the undisturbed batch, the case's own failures included."""
    try:
        results = json.loads(output.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{output.name} cannot be read: {error}"]
    found = {x["rows"][0]["case"]: x for x in results}
    wrong = [] if len(found) == len(results) else ["a case is there twice"]
    wrong += [f"{x} is missing" for x in sorted(set(place.wanted) - set(found))]
    wrong += [f"{x} should have failed" for x in sorted(set(found) - set(place.wanted))]
    wrong += [x for x in sorted(set(found) & set(place.wanted)) if found[x] != place.wanted[x]]
    left = [x.name for x in output.parent.iterdir() if x.name.startswith(f".{output.name}")]
    return [*wrong, *(f"{x} was left" for x in left)]


def one_sentence(run: Run, code: int, words: str) -> list[str]:
    """What is wrong with how a command ended that had to end with code 2 and one sentence."""
    said = run.complaint
    if code != 2 or len(said) != 1 or words not in said[0]:
        return [f"exit {code} instead of 2, or not one sentence with '{words}': {said[-3:]}"]
    return []


def worker_killed(place: Place) -> tuple[list[str], str]:
    """Two processes of this computer, one of them killed when it has a case."""
    output = place.folder / "worker.json"
    run = Run(place.command(output, "--workers", 2), place.folder / "worker.log")
    run.until(lambda: finished(output) >= 2)
    killed = kill_a_worker(run.process.pid)
    code = run.end()
    wrong = [] if code == 0 and killed else [f"exit {code}, killed {killed}: {run.complaint[-2:]}"]
    return [*wrong, *compare(place, output)], "one of two processes killed with kill -9"


def scheduler_killed(place: Place) -> tuple[list[str], str]:
    """The user's own cluster: `dask scheduler` and two `dask worker`; one of each is killed."""
    output, log = place.folder / "scheduler.json", place.folder / "scheduler.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = place.command(output, "--scheduler", f"tcp://127.0.0.1:{port}")
    with _cluster(place.folder, port) as (scheduler, workers):
        run = Run(command, log)
        run.until(lambda: finished(output) >= 1)
        killed = kill_a_worker(workers[0].process.pid)
        run.until(lambda: finished(output) >= 3)
        scheduler.kill()
        began = time.monotonic()
        code = run.end(180)
        seconds = time.monotonic() - began
    kept = finished(output)
    wrong = one_sentence(run, code, "no longer answers")
    wrong += [] if kept >= 3 and killed else [f"{kept} cases were kept, worker killed: {killed}"]
    wrong += [] if partial_file(output).exists() else ["there is no table of what is finished"]
    with _cluster(place.folder, port):
        again = Run(command, log.with_name("scheduler-again.log"))
        code = again.end()
    wrong += [] if code == 0 else [f"the second run ended with {code}: {again.complaint[-2:]}"]
    note = f"a worker and the scheduler killed; ended {seconds:.0f} s after it, {kept} cases kept"
    return [*wrong, *compare(place, output)], note


@contextmanager
def _cluster(folder: Path, port: int):
    """A scheduler and two workers, each a process of its own, started as a user does."""
    dask = str(Path(sys.executable).with_name("dask"))
    address = f"tcp://127.0.0.1:{port}"
    os.environ["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "0"
    scheduler = Run(
        [dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        folder / "dask-scheduler.log",
    )
    started = [scheduler]
    try:
        for number in (1, 2):
            (folder / f"dask{number}").mkdir(exist_ok=True)
            words = [
                dask,
                "worker",
                address,
                "--nworkers",
                "1",
                "--nthreads",
                "1",
                "--no-dashboard",
            ]
            words += ["--memory-limit", "3GB", "--death-timeout", "60"]
            words += ["--local-directory", str(folder / f"dask{number}")]
            started.append(Run(words, folder / f"dask-worker{number}.log"))
        started[1].until(lambda: all(workers_of(x.process.pid) for x in started[1:]))
        yield scheduler, started[1:]
    finally:
        os.environ.pop("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES")
        for run in reversed(started):
            run.kill()


def disk_full(place: Place) -> tuple[list[str], str]:
    """The output on a disk that is too small, then with room."""
    disk = place.folder / "small disk"
    disk.mkdir(exist_ok=True)
    output, log = disk / "full.json", place.folder / "full.log"
    command = place.command(output, "--workers", 2)
    # A finished case takes about twice its result in the journal.
    case = sum(len(json.dumps(x)) for x in place.wanted.values()) // max(1, len(place.wanted))
    with _small_disk(disk, 2 * FIT * case) as (how, enlarge, limits):
        run = Run(command, log, **limits)
        code = run.end()
        kept = finished(output)
        wrong = one_sentence(run, code, "could not be kept")
        wrong += [] if kept else ["no case was kept"]
        partial = partial_file(output)
        if partial.exists():
            told = json.loads(partial.read_text(encoding="utf-8"))
            there = {x["rows"][0]["case"]: x for x in told.get("results", [told])}
            wrong += [x for x in there if there[x] != place.wanted.get(x)]
        enlarge()
        again = Run(command, log.with_name("full-again.log"))
        code = again.end()
        wrong += [] if code == 0 else [f"the second run ended with {code}: {again.complaint[-2:]}"]
        taken = f"interrupted run: {kept} case"
        wrong += [] if taken in again.said else [f"it did not go on with {kept} cases"]
        wrong += compare(place, output)
    return wrong, f"disk full ({how}) after {kept} cases"


@contextmanager
def _small_disk(disk: Path, size: int):
    """A disk in memory where this user may mount one, else a limit on the size of a file."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "ctbmd-trial", str(disk)]
    try:
        mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:

        def limit() -> None:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        yield "a limit on each file's size", lambda: None, {"preexec_fn": limit}
        return
    try:
        words = ["mount", "-o", "remount,size=256m", str(disk)]
        yield "tmpfs", lambda: subprocess.run(words, check=True), {}
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def two_runs(place: Place) -> tuple[list[str], str]:
    """The same command twice at once."""
    output = place.folder / "two.json"
    first = Run(place.command(output, "--workers", 2), place.folder / "two-first.log")
    first.until(lambda: finished(output) >= 1)
    second = Run(place.command(output, "--workers", 2), place.folder / "two-second.log")
    wrong = one_sentence(second, second.end(), "is being made by another run")
    code = first.end()
    wrong += [] if code == 0 else [f"the first run ended with {code}: {first.complaint[-2:]}"]
    return [*wrong, *compare(place, output)], "a second run was refused, the first one ended"


FAULTS: dict[str, Callable[[Place], tuple[list[str], str]]] = {
    "worker killed": worker_killed,
    "scheduler killed": scheduler_killed,
    "disk full": disk_full,
    "two runs into one output": two_runs,
}
