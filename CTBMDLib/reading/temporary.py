"""Temporary folders with a patient's images, gone whatever ends the program."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = "ctbmd-"
_LOCK = ".ctbmd-lock"
_DAY = 86400.0


def temporary_folder() -> TemporaryFolder:
    """Make a folder that its user alone may enter; `with` removes it at the end.

    Raises
    ------
    OSError
        Where no folder can be made.
    """
    clear_left_behind()
    return TemporaryFolder()


class TemporaryFolder:
    """A folder that goes at the end of `with`, at SIGTERM, or else at the next start.

    While it is used, a file in it is locked. The system lets go of the lock when
    the process ends in whatever way, so that the next one can tell what was left
    behind from what is in use; a process number would not do where containers
    share a folder for temporary files.
    """

    def __init__(self) -> None:
        # Named so that nobody clears it before it is locked.
        new = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
        self._lock: int | None = None
        self.path = new.with_name(new.name[1:])
        try:
            if fcntl is not None:
                self._lock = os.open(new / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(self.path)
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            self._unlock()
            raise

    def __enter__(self) -> Path:
        self._signals = _ended_by_signals()
        self._signals.__enter__()
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()
        self._signals.__exit__(None, None, None)

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (log-out, a job's limit) run what follows `with` before the end.

    Only where they would end the program at once: 3D Slicer's own handlers and
    other threads are left alone.
    """

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    changed = []
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, leave)
                changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def clear_left_behind() -> None:
    """Remove the folders of processes that were killed; never raises."""
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if folder.is_dir() and not folder.is_symlink() and _left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _left(folder: Path) -> bool:
    try:
        if fcntl is None:
            return time.time() - folder.stat().st_mtime > _DAY
        if folder.stat().st_uid != os.getuid():
            return False
        number = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        return False  # of another version or program
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(number)
    return True
