"""Files written whole or not at all: the only place that writes what a user keeps."""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from .errors import CTBMDError

PRIVATE = 0o600
"""Rights of a file that its user alone may read."""

_BLOCK = 1 << 16
_LONGEST_NAME = 255  # bytes, of every file system in use


def write_bytes(
    path: str | os.PathLike[str], content: bytes, overwrite: bool = False, *, private: bool = False
) -> Path:
    """Write a file whole or not at all.

    Raises
    ------
    CTBMDError
        See `write_with`.
    """
    return write_with(path, lambda file: file.write(content), overwrite, private=private)


def write_text(
    path: str | os.PathLike[str],
    text: str,
    overwrite: bool = False,
    encoding: str = "utf-8",
    *,
    private: bool = False,
) -> Path:
    r"""Write a text file whole or not at all; line ends stay as they are.

    A character that the encoding lacks is written as its escape: the byte FC of
    a file name that is not UTF-8 becomes `\udcfc`, so that no name costs the
    file and two names stay two.

    Raises
    ------
    CTBMDError
        See `write_with`.
    """
    content = text.encode(encoding, "backslashreplace")
    return write_bytes(path, content, overwrite, private=private)


def write_with(
    path: str | os.PathLike[str],
    write: Callable[[IO[bytes]], Any],
    overwrite: bool = False,
    *,
    private: bool = False,
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
    private : bool
        Whether only the user may read it.

    Returns
    -------
    Path

    Raises
    ------
    CTBMDError
        Where `path` is a folder, exists and may not be replaced, or cannot be written.
    """
    path = Path(path)
    _check_free(path, overwrite)
    part = _part(path)
    try:
        with _opened(part, private) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, ValueError) as error:
        _drop(part)
        if isinstance(error, ValueError) and "\0" not in str(path):
            raise  # of `write`, a CTBMDError included
        raise not_written(path, error) from None
    except BaseException:
        _drop(part)
        raise
    return path


def write_folder(folder: str | os.PathLike[str], contents: Mapping[str, bytes]) -> None:
    """Replace a folder of the named files in one step.

    The new folder is filled beside the old one and renamed. A kill between the two
    renamings is undone by `restore_folder`. A folder that holds other things as well, or
    cannot be renamed, stays, and its files are written one after the other.

    Parameters
    ----------
    folder : path-like
        Made where it is not there.
    contents : mapping of str to bytes

    Raises
    ------
    CTBMDError
        Where it cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        restore_folder(folder)
        if _is_whole(folder, contents) and _swapped(folder, contents):
            return
        folder.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:
        raise not_written(folder, error) from None
    for name, content in contents.items():
        write_bytes(folder / name, content, overwrite=True)


def restore_folder(folder: str | os.PathLike[str]) -> None:
    """Put back the old folder where `write_folder` was killed between its two renamings."""
    folder = Path(os.path.realpath(folder))
    with suppress(OSError, ValueError):
        if not folder.exists():
            _old(folder).rename(folder)


def _is_whole(folder: Path, contents: Mapping[str, bytes]) -> bool:
    """Whether nothing but the named files lies in a folder, and nobody works in it."""
    if not folder.exists():
        return True
    here = Path(os.path.realpath(os.curdir))
    return folder not in (here, *here.parents) and {x.name for x in folder.iterdir()} <= {*contents}


def _swapped(folder: Path, contents: Mapping[str, bytes]) -> bool:
    """Whether the folder could be filled beside its place and put there."""

    def fill(part: Path) -> None:
        for name, content in contents.items():
            write_bytes(part / name, content)

    try:
        put_folder(folder, fill)
    except CTBMDError:  # writing in place says why, or succeeds
        return False
    return True


def put_folder(folder: str | os.PathLike[str], fill: Callable[[Path], Any]) -> None:
    """Let `fill` fill a folder beside its place, then put it there in one step.

    Whatever lies in its place goes; the caller has seen to it that it may. A kill between
    the two renamings is undone by `restore_folder`.

    Parameters
    ----------
    folder : path-like
    fill : callable(Path)
        Gets the empty folder that it fills; a CTBMDError of its own passes on.

    Raises
    ------
    CTBMDError
        Where it cannot be written; what lay there is as it was.
    """
    folder = Path(os.path.realpath(folder))
    part, old = _part(folder), _old(folder)
    try:
        restore_folder(folder)
        _sweep(part)
        part.mkdir()
        fill(part)
        if not folder.exists():
            part.rename(folder)
            return
        _drop(old)
        folder.rename(old)
        try:
            part.rename(folder)
        except OSError:
            old.rename(folder)
            raise
        _drop(old)
    except OSError as error:
        raise not_written(folder, error) from None
    finally:
        _drop(part)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def check_apart(
    written: Sequence[str | os.PathLike[str] | None],
    read: Sequence[str | os.PathLike[str] | None] = (),
) -> None:
    """Refuse to write a file over another one of the same command, whatever may be replaced.

    Parameters
    ----------
    written : sequence of path or None
        The files that will be written; None where one is not asked for.
    read : sequence of path or None
        The files that the work is done from.

    Raises
    ------
    CTBMDError
    """
    known = {_place(path) for path in read if path}
    for path in written:
        if not path:
            continue
        if _place(path) in known:
            raise CTBMDError(
                f"'{Path(path)}' would be written over another file of the same command; name another.",
                "same-file",
            )
        known.add(_place(path))


def _place(path: str | os.PathLike[str]) -> str:
    """Where a file lies, links and the letters' case (where it does not count) left aside."""
    try:
        return os.path.normcase(os.path.realpath(path))
    except (OSError, ValueError):  # not a name of a file; who opens it says why
        return os.fspath(path)


def check_writable(path: str | os.PathLike[str], overwrite: bool = False, room: int = 0) -> None:
    """Find out, before long work, whether a file can be written; nothing stays behind.

    Parameters
    ----------
    path : path-like
    overwrite : bool
        Whether a file of that name may be replaced.
    room : int
        Bytes that must fit on the disk beside what is there.

    Raises
    ------
    CTBMDError
        As `write_with` would.
    """
    path = Path(path)
    _check_free(path, overwrite)
    part = _part(path)
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # a name too long shows itself here
        raise not_written(path, error) from None
    try:
        with _opened(part, private=True) as file:
            for _ in range(0, room, _BLOCK):
                file.write(bytes(_BLOCK))
    except (OSError, ValueError) as error:
        raise not_written(path, error) from None
    finally:
        _drop(part)


def why(error: Exception) -> str:
    """What the operating system says of a file, in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def cannot_be_read(path: str | os.PathLike[str], error: Exception, what: str = "") -> str:
    """The sentence for a file or folder that the system does not give; `what` is 'The table' or so."""
    name = f"{what} '{os.fspath(path)}'".lstrip()
    return f"{name} cannot be read ({why(error)}); check the path and its rights."


def not_written(path: Path, error: Exception) -> CTBMDError:
    """The sentence for a file that could not be written, with what to do."""
    number = getattr(error, "errno", None)
    todo = {
        errno.ENAMETOOLONG: "choose a shorter name",
        errno.ENOSPC: "make room on the disk or choose another folder",
        errno.EDQUOT: "make room on the disk or choose another folder",
        errno.EFBIG: "choose a folder where larger files are allowed",
        errno.EACCES: "check the rights or choose another folder",
        errno.EPERM: "check the rights or choose another folder",
    }.get(number or 0, "choose another folder")
    return CTBMDError(
        f"'{path}' could not be written ({why(error)}); {todo}.", "output-not-written"
    )


def _check_free(path: Path, overwrite: bool) -> None:
    # os.path answers False where Path raises: for a name too long, and for one with NUL.
    if os.path.isdir(path):  # noqa: PTH112
        raise CTBMDError(f"'{path}' is a folder; name a file.", "output-is-folder")
    if os.path.exists(path) and not overwrite:  # noqa: PTH110
        raise CTBMDError(
            f"'{path}' exists already; choose another name or allow overwriting (--overwrite).",
            "output-exists",
        )


def _part(path: Path) -> Path:
    """The file that is filled first; its name is shortened where it would be too long."""
    name, end = path.name, f".{os.getpid()}.part"
    if len(os.fsencode(name)) + len(end) >= _LONGEST_NAME:
        name = f"{zlib.crc32(os.fsencode(name)):08x}"
    return path.parent / f".{name}{end}"


def _sweep(part: Path) -> None:
    """Remove what killed processes left of the same file, this one's number included."""
    before = part.name.removesuffix(f"{os.getpid()}.part")
    try:
        names = os.listdir(part.parent)  # noqa: PTH208  a glob takes [ in a name for its own
    except (OSError, ValueError):
        return  # opening says why
    for name in names:
        number = name.removeprefix(before).removesuffix(".part")
        if name == f"{before}{number}.part" and number.isdecimal() and not _runs(int(number[:18])):
            _drop(part.with_name(name))


def _runs(process: int) -> bool:
    if os.name == "nt":  # where signal 0 would end the process
        return process != os.getpid()
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # of another user
    return True


def _opened(part: Path, private: bool) -> IO[bytes]:
    _sweep(part)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(part, flags, PRIVATE if private else 0o666), "wb")


def _drop(part: Path) -> None:
    with suppress(OSError, ValueError):  # it was never made, and what failed is said already
        if part.is_dir() and not part.is_symlink():  # of `write_folder`
            _remove(part)
        part.unlink(missing_ok=True)
