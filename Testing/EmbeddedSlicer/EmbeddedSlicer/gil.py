"""Python threads as they run in Slicer: only while the main thread lets them.

Slicer's main thread keeps the interpreter lock while Qt's event loop idles. A
worker thread gets on only when Python code that runs on the main thread (a
slot) gives the lock away, as `thread.join(0.04)` or `time.sleep` do. PySide6
gives it away in the event loop, so a module that counts on that would work
here and hang there. Inside `as_in_slicer()` threads that are started wait, at
each function call, until the main thread is in a slot.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager


class _Gate:
    """Open while the main thread is in a slot, or always where nobody asked for Slicer's way."""

    def __init__(self):
        self.open = threading.Event()
        self.active = False
        self.depth = 0

    def enter(self):
        self.depth += 1
        self.open.set()

    def leave(self):
        self.depth -= 1
        if self.depth == 0 and self.active:
            self.open.clear()


_gate = _Gate()


@contextmanager
def as_in_slicer():
    """Hold threads started from here on as Slicer does."""
    _gate.active = True
    _gate.open.clear()
    threading.setprofile(_wait)
    try:
        yield
    finally:
        threading.setprofile(None)
        _gate.active = False
        _gate.open.set()


@contextmanager
def slot():
    """Around every slot that Qt calls."""
    if not _gate.active:
        yield
        return
    _gate.enter()
    try:
        yield
    finally:
        _gate.leave()


def _wait(_frame, _event, _argument):
    if threading.current_thread() is not threading.main_thread():
        _gate.open.wait()
