"""Library work beside the event loop, with progress and cancel.

The library computes on NumPy arrays and touches neither Qt nor MRML, so it may
run in a thread of its own; everything else stays in the main thread, which
looks in on the thread by a timer.
"""

import gc
import logging
import threading
import time
import traceback

import qt

from CTBMDLib.errors import Cancelled, CTBMDError

LOOK_IN_S = 0.02
"""How long each look waits. Slicer's main thread holds the interpreter while Qt
waits for events, so this wait is when the other thread's Python code runs."""


class Job:
    """One call of the library.

    Parameters
    ----------
    work : callable
        `work(progress, should_cancel)`; its return value goes to `onDone`.
    onDone : callable
        Called with the result in the main thread.
    onFailed : callable
        Called with (sentence, unexpected) in the main thread.
    onCancelled : callable
        Called in the main thread.
    onProgress : callable
        Called with (fraction, text) in the main thread.
    """

    def __init__(self, work, onDone, onFailed, onCancelled, onProgress):
        self._work = work
        self._onDone, self._onFailed = onDone, onFailed
        self._onCancelled, self._onProgress = onCancelled, onProgress
        self._cancel = threading.Event()
        self._news = None
        self._outcome = None
        self._traceback = None
        self._collecting = False
        self._thread = threading.Thread(target=self._run, name="CTBMD", daemon=True)
        self._timer = None

    def start(self):
        """Begin the work in its thread and look in on it."""
        # Python's cycle collector runs in whichever thread triggers it, and it may
        # find Qt or VTK objects, which must not be destroyed outside the main thread.
        self._collecting = gc.isenabled()
        gc.disable()
        self._thread.start()
        # One timer for the whole work: Slicer's QTimer.singleShot keeps each of its timers, with
        # what it calls, until the application ends.
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._lookIn)
        self._timer.start(0)

    def cancel(self):
        """Ask the work to stop; onCancelled follows when it has."""
        self._cancel.set()

    @property
    def cancelling(self):
        """Whether the work was asked to stop."""
        return self._cancel.is_set()

    def abandon(self, seconds=5.0):
        """Stop and forget: no callback follows. For closing the scene or the module."""
        self._cancel.set()
        self._onDone = self._onFailed = self._onCancelled = self._onProgress = None
        self._thread.join(seconds)
        self._collect()

    def _run(self):
        try:
            result = self._work(self._progress, self._cancel.is_set)
            self._outcome = ("cancelled", None) if self._cancel.is_set() else ("done", result)
        except Cancelled:
            self._outcome = ("cancelled", None)
        except CTBMDError as error:
            self._outcome = ("failed", (str(error), False))
        except Exception as error:  # logged in the main thread: Slicer's log is a Qt object
            self._traceback = traceback.format_exc()
            self._outcome = ("failed", (f"{type(error).__name__}: {error}", True))

    def _collect(self):
        if self._collecting and not self._thread.is_alive():
            self._collecting = False
            gc.enable()

    def _progress(self, fraction, text=""):
        self._news = (float(fraction), str(text))

    def _lookIn(self):
        self._thread.join(LOOK_IN_S if self._outcome is None else None)
        news, self._news = self._news, None
        if news is not None and self._onProgress is not None:
            self._onProgress(*news)
        if self._thread.is_alive():
            return
        self._timer.stop()
        self._timer.deleteLater()
        self._collect()
        if self._traceback:
            logging.error("CTBMD stopped on an unexpected error\n%s", self._traceback)
        kind, value = self._outcome
        self._work = None
        if kind == "done" and self._onDone is not None:
            self._onDone(value)
        elif kind == "failed" and self._onFailed is not None:
            self._onFailed(*value)
        elif kind == "cancelled" and self._onCancelled is not None:
            self._onCancelled()


def waitFor(finished, seconds):
    """Let the application work until `finished()` is true; False when time is up."""
    import slicer

    end = time.monotonic() + seconds
    while not finished():
        if time.monotonic() > end:
            return False
        slicer.app.processEvents()
    return True
