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

_open = threading.Event()
_depth = 0
_active = False


@contextmanager
def as_in_slicer():
    """Hold threads started from here on as Slicer does."""
    global _active
    _active = True
    _open.clear()
    threading.setprofile(_wait)
    try:
        yield
    finally:
        threading.setprofile(None)
        _active = False
        _open.set()


@contextmanager
def slot():
    """Around every slot that Qt calls."""
    global _depth
    if not _active:
        yield
        return
    _depth += 1
    _open.set()
    try:
        yield
    finally:
        _depth -= 1
        if _depth == 0 and _active:
            _open.clear()


def _wait(_frame, _event, _argument):
    if threading.current_thread() is not threading.main_thread():
        _open.wait()
