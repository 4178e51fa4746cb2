"""The pixels of a DICOM series as one array of Hounsfield units."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from scipy import ndimage

from ..errors import CTBMDError
from ..progress import Progress
from ..volume import AIR_HU
from .codestream import fits
from .files import shown_name
from .headers import Frame, Stored, packed, pixel_facts
from .hounsfield import compact
from .quiet import no_stderr
from .streams import cut

_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_INT16 = np.iinfo(np.int16)


def read_pixels(frames: Sequence[Frame], progress: Progress) -> np.ndarray:
    """Hounsfield units of sorted frames.

    Each file is opened once; beside the result only one file's pixels are in
    memory. The result is int16 where every slope and intercept is a whole
    number and the values fit, float32 otherwise.

    Parameters
    ----------
    frames : sequence of headers.Frame
        All of the same matrix size.
    progress : Progress

    Returns
    -------
    ndarray, shape (K, J, I), int16 or float32

    Raises
    ------
    CTBMDError
        For pixels that are missing, cut off, or compressed in a way for which
        no decoder is installed.
    Cancelled
    """
    whole = all(f.slope == round(f.slope) and f.intercept == round(f.intercept) for f in frames)
    shape = (len(frames), frames[0].rows, frames[0].columns)
    try:
        volume = np.empty(shape, np.int16 if whole else np.float32)
    except (MemoryError, ValueError):
        raise CTBMDError(
            f"The series ({shape[2]} x {shape[1]} x {shape[0]} voxels) does not fit into the memory of this computer; read a shorter series.",
            "no-memory",
        ) from None
    done = 0
    for path, places in _by_file(frames).items():
        for k, values, padding in _planes(path, frames, places):
            progress.check()
            mask = None if padding is None else values == padding
            outside = padding is not None and _below_air(padding, frames[k])
            stored = values
            if mask is not None and outside and not mask.all():
                # -32768 as padding must not push the whole volume out of int16.
                stored = np.where(mask, values[~mask].min(), values)
            if volume.dtype == np.int16 and not _exact(stored, frames[k], volume[k]):
                volume = volume.astype(np.float32)
            if volume.dtype == np.float32:
                with np.errstate(over="ignore", invalid="ignore"):  # refused in `compact`
                    np.multiply(
                        stored, np.float32(frames[k].slope), out=volume[k], casting="unsafe"
                    )
                    volume[k] += np.float32(frames[k].intercept)
            if mask is not None and mask.any():
                _fill_padding(volume[k], mask, outside)
            done += 1
            if done % 8 == 0 or done == len(frames):
                progress.step(done / len(frames), f"Reading slice {done} of {len(frames)}")
    return volume if volume.dtype == np.int16 else compact(volume)


def _by_file(frames: Sequence[Frame]) -> dict[Path, list[int]]:
    files: dict[Path, list[int]] = {}
    for k, frame in enumerate(frames):
        files.setdefault(frame.path, []).append(k)
    return files


def _exact(stored: np.ndarray, frame: Frame, plane: np.ndarray) -> bool:
    """Put HU into an int16 plane; False, and nothing done, where they do not fit."""
    if stored.dtype.kind not in "iu":
        return False  # whether they are whole numbers is seen in `compact`
    slope, intercept = int(frame.slope), int(frame.intercept)
    ends = sorted(slope * int(x) + intercept for x in (stored.min(), stored.max()))
    if ends[0] < _INT16.min or ends[1] > _INT16.max:
        return False
    if stored.dtype.itemsize == 2:
        # Arithmetic modulo 2^16 is right wherever the result fits, which was just seen.
        plane[...] = stored.astype(stored.dtype.newbyteorder("="), copy=False).view(np.int16)
        plane *= np.array(slope).astype(np.int16)
        plane += np.array(intercept).astype(np.int16)
    else:
        plane[...] = stored.astype(np.int64) * slope + intercept
    return True


def _below_air(padding: int, frame: Frame) -> bool:
    """Whether a padding value lies where no tissue does."""
    return frame.slope * padding + frame.intercept <= -900


def _fill_padding(plane: np.ndarray, mask: np.ndarray, below_air: bool) -> None:
    """Set what lies outside the reconstruction to air.

    Some scanners name a padding value that also occurs as a true value inside
    the body (0 HU, say); then only what hangs together with the border is
    padding.
    """
    if not below_air:
        parts, _ = ndimage.label(mask)
        border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        mask = np.isin(parts, border[border > 0])
    plane[mask] = AIR_HU


def _planes(
    path: Path, frames: Sequence[Frame], places: Sequence[int]
) -> Iterator[tuple[int, np.ndarray, int | None]]:
    """Yield (k, stored values (J, I), padding value or None) for the frames of one file."""
    first = frames[places[0]]
    name = shown_name(path, (frame.path for frame in frames))
    shape = first.rows, first.columns
    start = None if first.stored is None else _plain_start(path, first.stored, name)
    if first.stored is not None and start:
        dtype, bits = np.dtype(first.stored.dtype), first.stored.bits
        padding = _padding(first.stored.padding, dtype, bits)
        with path.open("rb") as stream:
            for k in places:
                values = np.empty(shape, dtype)
                stream.seek(start + (frames[k].index or 0) * values.nbytes)
                raw: Any = values.view(np.uint8).reshape(-1)
                if stream.readinto(raw) < values.nbytes:
                    raise cut(name)
                yield k, _meaningful_bits(values, bits), padding
        return
    try:
        data = pydicom.dcmread(path, force=True)
    except Exception:
        raise cut(name) from None
    if not any(name in data for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        if _PIXEL_DATA in path.read_bytes():  # begun, but cut off before its end
            raise cut(name)
        raise CTBMDError(
            f"The file '{name}' has no pixel data; export the images, not only their headers.",
            "no-pixel-data",
        )
    if packed(data) and not fits(data.PixelData, *shape):
        raise cut(name)
    pixels = _decoded(data, name)
    wanted = [frames[k].index or 0 for k in places]
    if pixels.shape[1:] != shape or max(wanted) >= len(pixels):
        raise cut(name)
    bits_stored, padding_value, _ = pixel_facts(data)
    bits = int(bits_stored or 8 * pixels.dtype.itemsize)
    padding = _padding(padding_value, pixels.dtype, bits)
    for k, index in zip(places, wanted, strict=True):
        yield k, _meaningful_bits(pixels[index], bits), padding


def _plain_start(path: Path, stored: Stored, name: str) -> int | None:
    """Where uncompressed pixel values begin, None where they have to be read in another way."""
    try:
        with path.open("rb") as stream:
            stream.seek(stored.offset)
            head = stream.read(12)
    except OSError:
        raise cut(name) from None
    if head[:4] != struct.pack(stored.dtype[0] + "HH", 0x7FE0, 0x0010):
        return None
    explicit = head[4:6] in (b"OW", b"OB")
    length = head[8:12] if explicit else head[4:8]
    if length == b"\xff" * 4:
        return None  # compressed, whatever the header says
    return stored.offset + (12 if explicit else 8)


def _decoded(data: Any, name: str) -> np.ndarray:
    """Frames through pydicom's decoders, shape (N, J, I)."""
    try:
        with no_stderr():
            pixels = np.asarray(data.pixel_array)
    except Exception as error:
        if isinstance(error, NotImplementedError) or "missing" in str(error):
            raise _missing_decoder(data) from None
        raise cut(name) from None
    return pixels.reshape((-1, *pixels.shape[-2:]))


def _meaningful_bits(values: np.ndarray, stored: int) -> np.ndarray:
    """Drop what old scanners kept in the unused high bits (overlays)."""
    spare = values.dtype.itemsize * 8 - stored
    if values.dtype.kind not in "iu" or spare <= 0:
        return values
    if values.dtype.kind == "u":
        return np.asarray(values & values.dtype.type((1 << stored) - 1))
    return np.asarray((values << spare) >> spare)


def _padding(value: float | None, dtype: np.dtype[Any], stored: int) -> int | None:
    if value is None or dtype.kind not in "iu":
        return None
    # The tag may be written as signed or unsigned whatever the pixels are.
    padding = int(value) & ((1 << stored) - 1)
    if dtype.kind == "i" and padding >= 1 << (stored - 1):
        padding -= 1 << stored
    return padding


def _missing_decoder(data: pydicom.Dataset) -> CTBMDError:
    name = pixel_facts(data)[2] or "an unknown way"
    return CTBMDError(
        f"The images are compressed ({name}) and the decoder for that is not installed; "
        "install the Python package 'python-gdcm' or export the series uncompressed.",
        "no-decoder",
    )
