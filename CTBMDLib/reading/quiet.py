"""Silence for decoders written in C, which tell the terminal what Python raises anyway.

Their text comes from below Python, so that it is caught where the process's
standard error leads, not at `sys.stderr`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

_STDERR = 2
_lock = threading.Lock()
_inside = 0
_saved: int | None = None


@contextlib.contextmanager
def no_stderr() -> Iterator[None]:
    """Nothing of what is written to standard error inside is seen.

    Several threads may be inside at once: the first to come turns standard error
    away, the last to go turns it back. Where there is no standard error, as in a
    program without a console, nothing is done.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _saved  # noqa: PLW0603  the process has one standard error
    with _lock:
        _inside += 1
        if _inside > 1:
            return
        _flush()  # what was written before belongs to the terminal
        try:
            saved = os.dup(_STDERR)
        except OSError:
            return
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
        except OSError:
            os.close(saved)
            return
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
        _saved = saved


def _leave() -> None:
    global _inside, _saved  # noqa: PLW0603
    with _lock:
        _inside -= 1
        if _inside or _saved is None:
            return
        _flush()
        os.dup2(_saved, _STDERR)
        os.close(_saved)
        _saved = None


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
