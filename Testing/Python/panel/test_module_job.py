"""Long work beside the event loop: threads under Slicer's rules, cancel, errors."""

import ctypes
import gc
import sys
import threading
import time
import types

import gui_helpers as gui
import pytest

gui.start()
sys.path.insert(0, str(gui.ROOT / "CTBMD"))

from CTBMDPanel import job as jobs  # noqa: E402

from CTBMDLib.errors import Cancelled, CTBMDError  # noqa: E402


class Timer:
    """A QTimer of an `EventLoop`."""

    def __init__(self, loop):
        self.loop, self.slot, self.deleted = loop, None, False
        loop.made.append(self)

    def connect(self, signal, slot):
        assert signal == "timeout()"
        self.slot = slot

    def start(self, msec):
        assert msec == 0
        self.loop.timers.append(self)

    def stop(self):
        self.loop.timers.remove(self)

    def deleteLater(self):
        self.deleted = True


class EventLoop:
    """Stands for Slicer's: runs zero timers, and keeps the interpreter's lock while it idles."""

    def __init__(self, monkeypatch):
        self.timers, self.made = [], []
        timer = types.SimpleNamespace(QTimer=lambda: Timer(self))
        monkeypatch.setattr(jobs, "qt", timer)
        library = ctypes.PyDLL(None)  # PyDLL calls without releasing the lock
        self._idle = getattr(library, "usleep", None)

    def run(self, finished, seconds=300.0):
        end = time.monotonic() + seconds
        while not finished():
            assert time.monotonic() < end, "the work did not end"
            if self._idle is not None:
                self._idle(5000)
            for timer in list(self.timers):
                timer.slot()


class Outcome:
    def __init__(self, work):
        self.calls, self.progress, self.threads = [], [], set()

        def told(kind):
            def tell(*arguments):
                self.threads.add(threading.current_thread())
                self.calls.append((kind, *arguments))

            return tell

        self.job = jobs.Job(
            work,
            told("done"),
            told("failed"),
            told("cancelled"),
            lambda *news: self.progress.append(news),
        )

    def finished(self):
        return bool(self.calls)


@pytest.fixture
def loop(monkeypatch):
    return EventLoop(monkeypatch)


def busy(progress, should_cancel):
    """Python code all the way, so that it stands still wherever it gets no turn."""
    total = 0
    for step in range(20):
        progress(step / 20, f"step {step}")
        total += sum(range(20_000))
    return total


def test_python_code_gets_its_turn_though_the_event_loop_keeps_the_lock(loop):
    outcome = Outcome(busy)
    outcome.job.start()
    loop.run(outcome.finished)
    assert outcome.calls == [("done", 20 * sum(range(20_000)))]
    assert outcome.threads == {threading.main_thread()}
    assert outcome.progress and outcome.progress[-1][0] <= 1.0


def test_cancel_stops_the_work_and_says_so(loop):
    def endless(progress, should_cancel):
        while not should_cancel():
            time.sleep(0.001)
        raise Cancelled

    outcome = Outcome(endless)
    outcome.job.start()
    loop.timers[0].slot()
    outcome.job.cancel()
    loop.run(outcome.finished)
    assert outcome.calls == [("cancelled",)]


def test_work_that_ends_before_it_sees_the_cancel_changes_nothing(loop):
    outcome = Outcome(lambda progress, should_cancel: 1)
    outcome.job.cancel()
    outcome.job.start()
    loop.run(outcome.finished)
    assert outcome.calls == [("cancelled",)]


@pytest.mark.parametrize(
    "error, sentence, unexpected",
    [(CTBMDError("Do this."), "Do this.", False), (KeyError("x"), "KeyError: 'x'", True)],
)
def test_errors_come_as_a_sentence(loop, caplog, error, sentence, unexpected):
    def fails(progress, should_cancel):
        raise error

    outcome = Outcome(fails)
    outcome.job.start()
    loop.run(outcome.finished)
    assert outcome.calls == [("failed", sentence, unexpected)]
    assert ("Traceback" in caplog.text) == unexpected


def test_cycles_are_not_collected_in_the_thread(loop):
    """Qt and VTK objects that only cycles hold must die in the main thread."""
    died = []

    class Widget:
        def __del__(self):
            died.append(threading.current_thread())

    def makes_garbage(progress, should_cancel):
        for _ in range(100):
            widget = Widget()
            widget.me = widget
            [[] for _ in range(2000)]

    outcome = Outcome(makes_garbage)
    assert gc.isenabled()
    outcome.job.start()
    loop.run(outcome.finished)
    assert gc.isenabled()
    gc.collect()
    assert len(died) == 100 and set(died) == {threading.main_thread()}


def test_abandoned_work_is_never_heard_of_again(loop):
    def endless(progress, should_cancel):
        while not should_cancel():
            time.sleep(0.001)

    outcome = Outcome(endless)
    before = threading.active_count()
    outcome.job.start()
    outcome.job.abandon()
    assert threading.active_count() == before and gc.isenabled()
    for timer in list(loop.timers):
        timer.slot()
    assert outcome.calls == []
    # Slicer keeps what has a timer, and all that it holds, until the timer goes.
    assert loop.timers == [] and [timer.deleted for timer in loop.made] == [True]
