"""ZIP archives, the form in which picture archives hand out a study."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import CTBMDError
from ..progress import Progress
from .streams import MAX_RATIO, cut

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


@contextmanager
def unpacked(path: Path, progress: Progress) -> Iterator[Path]:
    """A temporary folder with the files of a ZIP archive, gone again afterwards.

    Raises
    ------
    CTBMDError
        For an archive that is damaged, locked by a password, or does not fit
        on the disk.
    Cancelled
    """
    with tempfile.TemporaryDirectory(prefix="ctbmd-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                _extract(archive, path, Path(folder), progress)
        except RuntimeError:  # zipfile has no error of its own for a password
            raise CTBMDError(
                f"'{path.name}' is locked by a password; unpack it and give the folder.",
                "archive-password",
            ) from None
        except _BROKEN as error:
            if isinstance(error, CTBMDError):
                raise
            raise cut(path) from None
        yield Path(folder)


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
