"""One writer at a time: a hidden lock file beside an output, held while it is made."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import CTBMDError


class InUse:
    """Holds an output for this process until `release`.

    The lock is the system's own on an open file, so that a process which is
    killed leaves none behind. Where the file system knows no locks, nothing is held.

    Parameters
    ----------
    output : Path

    Raises
    ------
    CTBMDError
        Where another process holds it.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(f".{output.name}.lock")
        self._file: int | None = None
        for _ in range(20):
            if self._taken(output):
                return
        raise _busy(output)

    def _taken(self, output: Path) -> bool:
        """Whether the lock is held, or there can be none; False where the file was just removed."""
        try:
            import fcntl
        except ImportError:  # Windows
            return True
        try:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return True  # writing the journal says why
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise _busy(output) from None
        except OSError:
            os.close(file)
            return True
        with suppress(OSError):
            if os.fstat(file).st_ino == self.path.stat().st_ino:
                self._file = file
                return True
        os.close(file)
        return False

    def release(self) -> None:
        """Let others write."""
        if self._file is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None


def _busy(output: Path) -> CTBMDError:
    return CTBMDError(
        f"'{output}' is being made by another run of CTBMD; wait until it has ended, or name another "
        "output.",
        "output-in-use",
    )
