"""One case in a process of its own, which may neither hang nor fill the memory nor take the others down."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from CTBMDLib.errors import CTBMDError

SECONDS = 10.0
"""Processor time that a case may take: how busy the machine is does not count."""
PATIENCE = 300.0
"""Seconds by the clock after which a case that does not compute either is ended."""
MEMORY = 2 << 30
"""Bytes beyond what the process has when the case begins."""

SAME, OTHER, REFUSED = "same value", "another value", "one sentence"
UNEXPECTED, CRASH, NO_SENTENCE = "unexpected", "crash", "no good sentence"
LONG, HANG = "over 10 s of processor time", "no end"
FINE = (SAME, OTHER, REFUSED)


@dataclass(frozen=True)
class Outcome:
    """How a case ended.

    Attributes
    ----------
    kind : str
        One of the words above; those of `FINE` are as they should be.
    detail : str
        The error's code, or the end of the traceback.
    seconds : float
        Processor time.
    """

    kind: str
    detail: str
    seconds: float = 0.0


def bounded(work: Callable[[], Any], right: Any) -> Outcome:
    """Run `work` in a child process, 10 s of processor time and 2 GB at most, and judge its answer.

    Parameters
    ----------
    work : callable
    right : object
        What it should give.
    """
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _in_child(work, right, writing)
    os.close(writing)
    parts = []
    kind = CRASH
    while True:
        left = began + PATIENCE - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            kind = HANG
            os.kill(child, signal.SIGKILL)
            break
        part = os.read(reading, 1 << 16)
        if not part:
            break
        parts.append(part)
    os.close(reading)
    _, status, usage = os.wait4(child, 0)
    seconds = usage.ru_utime + usage.ru_stime
    if kind == CRASH and parts:
        kind, detail = pickle.loads(b"".join(parts))
        return Outcome(kind, detail, seconds)
    if kind == CRASH and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        kind = LONG
    return Outcome(kind, f"status {status}", seconds)


def _in_child(work: Callable[[], Any], right: Any, writing: int) -> None:
    # A fork of a process in which torch has computed waits for threads that it lacks.
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which ends the process
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        answer = _answer(work, right)
        os.write(writing, pickle.dumps(answer))
    finally:
        os._exit(0)  # no clean-up of the parent's in its child


def _answer(work: Callable[[], Any], right: Any) -> tuple[str, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the library is quiet whatever it reads
            value = work()
    except CTBMDError as error:
        text = str(error)
        good = text.endswith(".") and "\n" not in text and 15 < len(text) < 900
        return (REFUSED, error.code) if good else (NO_SENTENCE, text[:300])
    except BaseException as error:  # whatever comes is told
        return UNEXPECTED, "".join(traceback.format_exception(error)[-3:])
    return (SAME if value == right else OTHER), ""
