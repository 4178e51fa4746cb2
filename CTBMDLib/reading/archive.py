"""ZIP archives, the form in which picture archives hand out a study."""

from __future__ import annotations

import errno
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import CTBMDError
from ..progress import Progress
from ..safefile import cannot_be_read, why
from .streams import MAX_RATIO, cut
from .temporary import temporary_folder

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_THE_ARCHIVE = (*_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE)


@contextmanager
def unpacked(path: Path, progress: Progress) -> Iterator[Path]:
    """A temporary folder with the files of a ZIP archive, gone again afterwards.

    Raises
    ------
    CTBMDError
        For an archive that is damaged, cannot be read, is locked by a password,
        or does not fit on the disk.
    Cancelled
    """
    try:
        folder = temporary_folder()
    except OSError as error:
        raise _no_room(path, error) from None
    with folder as where:
        try:
            with _opened(path) as archive:
                _extract(archive, path, where, progress)
        except RuntimeError:  # zipfile has no error of its own for a password
            raise CTBMDError(
                f"'{path.name}' is locked by a password; unpack it and give the folder.",
                "archive-password",
            ) from None
        except _BROKEN as error:
            if isinstance(error, CTBMDError):
                raise
            if isinstance(error, OSError) and error.errno in _NOT_THE_ARCHIVE:
                raise _no_room(path, error) from None
            raise cut(path) from None
        yield where


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except OSError as error:
        if error.errno is None:
            raise
        raise CTBMDError(cannot_be_read(path, error), "unreadable-file") from None


def _no_room(path: Path, error: OSError) -> CTBMDError:
    text = (
        f"'{path.name}' cannot be unpacked into the folder for temporary files ({why(error)}); "
        "unpack it elsewhere and give the folder."
    )
    if error.errno in _FULL:
        return CTBMDError(text, "disk-full")
    return CTBMDError(text, "not-unpacked")


def _extract(archive: zipfile.ZipFile, path: Path, folder: Path, progress: Progress) -> None:
    members = [item for item in archive.infolist() if not item.is_dir()]
    # What an archive says of its sizes is checked before anything is written.
    size = sum(item.file_size for item in members)
    if size > MAX_RATIO * path.stat().st_size:
        raise cut(path)
    if size > shutil.disk_usage(folder).free:
        raise CTBMDError(
            f"'{path.name}' does not fit on the disk for temporary files; unpack it elsewhere and give the folder.",
            "disk-full",
        )
    for count, item in enumerate(members):
        progress.check()
        if count % 16 == 0:
            progress.step(count / len(members), f"Unpacking {len(members)} files")
        archive.extract(item, folder)  # leaves out '..' and drive letters by itself
