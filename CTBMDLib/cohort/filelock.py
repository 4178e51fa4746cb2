"""One writer at a time for a file that several programs add to, on this computer or over the network.

The lock is the operating system's, on a file beside the one that is written. The
system lets go of it when its process ends, however it ends, so that a lock left
by a crash is nobody's: who comes next takes it over at once, with no guess at the
age of a file or at a process number that another program may have by now.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import CTBMDError
from ..safefile import not_written

PATIENCE_S = 10.0
"""How long to wait for another writer; adding to a table takes well under a second."""
POLL_S = 0.05

_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
"""What the systems answer where somebody else has the lock."""


@contextmanager
def locked(path: str | os.PathLike[str], patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Be the only one to write `path` while this is open.

    Parameters
    ----------
    path : path-like
        The file that is written; it need not exist.
    patience_s : float
        Seconds to wait for another writer.

    Raises
    ------
    CTBMDError
        Where another writer does not end in time, or nothing can be locked there.
    """
    path = Path(path)
    beside = lock_file(path)
    end = time.monotonic() + patience_s
    while True:
        handle = _taken(path, beside)
        if handle is not None:
            break
        if time.monotonic() >= end:
            raise CTBMDError(
                f"'{path}' is being written by another program; try again when that has ended.",
                "table-locked",
            )
        time.sleep(POLL_S)
    try:
        yield
    finally:
        _let_go(handle, beside)


def lock_file(path: Path) -> Path:
    """The file beside `path` whose lock is taken."""
    return path.with_name(f".{path.name}.lock")


def _taken(path: Path, beside: Path) -> int | None:
    """A handle that has the lock, or None where another has it."""
    try:
        handle = os.open(beside, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError as error:
        # On Windows a file that is just being removed answers so, too.
        if os.name == "nt" and beside.exists():
            return None
        raise not_written(path, error) from None
    except (OSError, ValueError) as error:
        raise not_written(path, error) from None
    try:
        system_lock(handle)
        # Whoever had it may have removed the file between opening and locking it: then
        # this lock is on a file that nobody else will ever find. Windows removes no open file.
        if os.name == "nt" or _same_file(handle, beside):
            return handle
    except OSError as error:
        os.close(handle)
        if error.errno in _TAKEN:
            return None
        raise CTBMDError(
            f"Nothing can be locked in the folder of '{path}' ({error.strerror}); keep the table on a "
            "disk of this computer.",
            "table-no-lock",
        ) from None
    os.close(handle)
    return None


def _same_file(handle: int, beside: Path) -> bool:
    try:
        there = beside.stat()
    except OSError:
        return False
    mine = os.fstat(handle)
    return (mine.st_ino, mine.st_dev) == (there.st_ino, there.st_dev)


def _let_go(handle: int, beside: Path) -> None:
    if os.name == "nt":  # which does not remove a file that is open; another may open it meanwhile
        os.close(handle)
        with suppress(OSError):
            beside.unlink()
        return
    with suppress(OSError):
        beside.unlink()
    os.close(handle)


def system_lock(handle: int) -> None:
    """Lock an open file for this process, or raise OSError at once where another has it."""
    if os.name == "nt":
        import importlib

        windows: Any = importlib.import_module("msvcrt")
        os.lseek(handle, 0, os.SEEK_SET)
        windows.locking(handle, windows.LK_NBLCK, 1)
        return
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
