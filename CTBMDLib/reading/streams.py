"""What reading a NIfTI and an NRRD file have in common: bytes in, a checked volume out."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CTBMDError
from ..progress import Progress
from ..volume import check_geometry

MAX_RATIO = 1200
"""No deflate stream grows by more (its limit is 1032); a header that asks for more is false."""

_CHUNK = 8 << 20
_BROKEN = (OSError, EOFError, zlib.error, ValueError)


def stem(path: Path) -> str:
    """File name without .nii, .nii.gz, .nrrd and the like."""
    name = path.name
    return path.with_suffix("").stem if name.lower().endswith(".gz") else path.stem


def cut(path: Path | str) -> CTBMDError:
    """The error for a file that ends too early or does not unpack; a text is the name to show."""
    name = path if isinstance(path, str) else path.name
    return CTBMDError(
        f"The file '{name}' is cut off or damaged; copy it again from where it came.",
        "damaged-file",
    )


def zipped(path: Path) -> bool:
    """Whether a file starts as a gzip stream."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def read_bytes(stream: Any, count: int, path: Path, exact: bool = True) -> bytes:
    """`count` bytes from a stream; fewer only where `exact` is False.

    Raises
    ------
    CTBMDError
    """
    parts, left = [], count
    try:
        while left:
            part = stream.read(min(left, _CHUNK))
            if not part:
                break
            parts.append(part)
            left -= len(part)
    except _BROKEN:
        raise cut(path) from None
    if exact and left:
        raise cut(path)
    return b"".join(parts)


def read_array(
    stream: Any,
    shape_kji: tuple[int, ...],
    dtype: np.dtype[Any],
    path: Path,
    progress: Progress,
) -> np.ndarray:
    """An array straight from a stream, in the machine's byte order.

    Parameters
    ----------
    stream : binary stream with `readinto`
    shape_kji : tuple of 3 int
    dtype : numpy.dtype
        With the byte order of the file.
    path : Path
        The file, for messages.
    progress : Progress
        Asked between parts of the file.

    Returns
    -------
    ndarray, shape (K, J, I)

    Raises
    ------
    CTBMDError, Cancelled
    """
    try:
        values = np.empty(shape_kji, dtype)
    except (MemoryError, ValueError):
        raise CTBMDError(
            f"'{path.name}' does not fit into the memory of this computer.", "no-memory"
        ) from None
    raw: Any = values.reshape(-1).view(np.uint8)
    view = memoryview(raw)
    done = 0
    while done < len(view):
        progress.check()
        try:
            got = stream.readinto(view[done : done + _CHUNK])
        except _BROKEN:
            got = 0
        if not got:
            raise cut(path)
        done += got
    try:
        # A packed stream compares its checksum at its end only, and a damaged one
        # may hold more than the array; what follows the array is no matter.
        while isinstance(stream, gzip.GzipFile | bz2.BZ2File) and stream.read(_CHUNK):
            progress.check()
    except _BROKEN:
        raise cut(path) from None
    if not values.dtype.isnative:
        values = values.byteswap(inplace=True).view(values.dtype.newbyteorder())
    return values


def checked_matrix(matrix: np.ndarray, path: Path) -> np.ndarray:
    """An IJK-to-RAS matrix with plausible spacing and axes at right angles.

    Looked at before the voxels are read.

    Raises
    ------
    CTBMDError
    """
    check_geometry(matrix, path.name)
    return matrix


def check_shape(sizes: Iterable[Any], path: Path) -> tuple[int, int, int]:
    """Three sizes along i, j, k that make a volume.

    Raises
    ------
    CTBMDError
        For 2-D and 4-D content and fewer than 3 slices.
    """
    axes = [int(n) for n in sizes]
    if min(axes) < 1:
        raise cut(path)
    volumes = 1
    for n in axes[3:]:
        volumes *= n
    if volumes > 1:
        raise CTBMDError(
            f"'{path.name}' is a series of {volumes} volumes (4-D); export one of them as a 3-D file.",
            "several-volumes",
        )
    i, j, k = (axes + [1, 1, 1])[:3]
    shape = i, j, k
    if min(shape) == 1:
        raise CTBMDError(
            f"'{path.name}' is a single 2-D image; a CT volume is needed.", "single-image"
        )
    if min(shape) < 3:
        raise CTBMDError(
            f"'{path.name}' has only {min(shape)} slices; at least 3 are needed.", "too-few-slices"
        )
    return shape


def check_size(nbytes: int, available: int, path: Path) -> None:
    """Refuse a header that promises more than the file can hold, before memory is taken."""
    if nbytes > available:
        raise cut(path)
