"""Files written whole or not at all: the only place that writes what a user keeps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from .errors import CTBMDError


def write_bytes(path: str | os.PathLike[str], content: bytes, overwrite: bool = False) -> Path:
    """Write a file whole or not at all.

    Raises
    ------
    CTBMDError
        See `write_with`.
    """
    return write_with(path, lambda file: file.write(content), overwrite)


def write_text(
    path: str | os.PathLike[str], text: str, overwrite: bool = False, encoding: str = "utf-8"
) -> Path:
    """Write a text file whole or not at all; line ends stay as they are.

    Raises
    ------
    CTBMDError
        See `write_with`.
    """
    return write_bytes(path, text.encode(encoding), overwrite)


def write_with(
    path: str | os.PathLike[str], write: Callable[[IO[bytes]], Any], overwrite: bool = False
) -> Path:
    """Let `write` fill a file beside `path`, then put it in its place in one step.

    What is on the disk when the power fails is the old file or the new one.

    Parameters
    ----------
    path : path-like
    write : callable(file)
        Gets a file opened for binary writing; what it raises passes on, but for
        an OSError.
    overwrite : bool
        Whether a file of that name may be replaced.

    Returns
    -------
    Path

    Raises
    ------
    CTBMDError
        Where `path` is a folder, exists and may not be replaced, or cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise CTBMDError(f"'{path}' is a folder; name a file.", "output-is-folder")
    if path.exists() and not overwrite:
        raise CTBMDError(
            f"'{path}' exists already; choose another name or allow overwriting (--overwrite).",
            "output-exists",
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        why = error.strerror or str(error)
        raise CTBMDError(
            f"'{path}' could not be written ({why}); choose another folder.", "output-not-written"
        ) from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path
