"""The pixels of a DICOM series as one array of Hounsfield units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRBigEndian
from scipy import ndimage

from .errors import Cancelled, CTBMDError
from .headers import get, number
from .hounsfield import compact
from .volume import AIR_HU

_INT16 = np.iinfo(np.int16)


def read_pixels(frames, progress=None, should_cancel=None) -> np.ndarray:
    """Hounsfield units of sorted frames.

    Each file is opened once; beside the result only one file's pixels are in
    memory. The result is int16 where every slope and intercept is a whole
    number and the values fit, float32 otherwise.

    Parameters
    ----------
    frames : sequence of series.Frame
        All of the same matrix size.

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
            f"The series ({shape[2]} x {shape[1]} x {shape[0]} voxels) does not fit into the memory of this computer; read a shorter series."
        ) from None
    done = 0
    for path, places in _by_file(frames).items():
        if should_cancel and should_cancel():
            raise Cancelled
        for k, stored, padding in _decode(path, frames, places):
            if should_cancel and should_cancel():
                raise Cancelled
            if volume.dtype == np.int16:
                plane = _exact(stored, frames[k])
                if plane.min() < _INT16.min or plane.max() > _INT16.max:
                    volume = volume.astype(np.float32)
            else:
                plane = stored.astype(np.float32)
                plane *= frames[k].slope
                plane += frames[k].intercept
            volume[k] = plane
            if padding is not None:
                _fill_padding(volume[k], stored == padding, frames[k], padding)
            done += 1
            if progress and (done % 8 == 0 or done == len(frames)):
                progress(done / len(frames), f"Reading slice {done} of {len(frames)}")
    return volume if volume.dtype == np.int16 else compact(volume)


def _by_file(frames) -> dict[Path, list[int]]:
    files: dict[Path, list[int]] = {}
    for k, frame in enumerate(frames):
        files.setdefault(frame.path, []).append(k)
    return files


def _exact(stored, frame) -> np.ndarray:
    slope, intercept = int(frame.slope), int(frame.intercept)
    if slope == 1 and intercept == 0:
        return stored
    plane = stored.astype(np.int64 if stored.dtype.itemsize > 2 else np.int32)
    if slope != 1:
        plane *= slope
    plane += intercept
    return plane


def _fill_padding(plane, mask, frame, padding) -> None:
    """Set what lies outside the reconstruction to air.

    Some scanners name a padding value that also occurs as a true value inside
    the body (0 HU, say); then only what hangs together with the border is
    padding.
    """
    if not mask.any():
        return
    if frame.slope * padding + frame.intercept > -900:
        parts, count = ndimage.label(mask)
        border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        mask = np.isin(parts, border[border > 0])
    plane[mask] = AIR_HU


def _decode(path, frames, places):
    """Yield (k, stored values (J, I), padding value or None) for the frames of one file."""
    try:
        data = pydicom.dcmread(path, force=True)
    except Exception:
        raise _cut(path) from None
    if not any(name in data for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise CTBMDError(
            f"The file '{path.name}' has no pixel data; export the images, not only their headers."
        )
    rows, columns = frames[places[0]].rows, frames[places[0]].columns
    count = int(number(get(data, "NumberOfFrames")) or 1)
    syntax = getattr(getattr(data, "file_meta", None), "TransferSyntaxUID", None)
    compressed = bool(syntax is not None and syntax.is_compressed and syntax.is_encapsulated)
    bits = int(number(get(data, "BitsAllocated")) or 0)
    if not compressed and "PixelData" in data and bits in (8, 16, 32):
        # Straight from the file's bytes: pixel_array would copy them once more.
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        sign = "i" if number(get(data, "PixelRepresentation")) == 1 else "u"
        dtype = np.dtype(f"{order}{sign}{bits // 8}")
        if len(data.PixelData or b"") < rows * columns * count * dtype.itemsize:
            raise _cut(path)
        pixels = np.frombuffer(data.PixelData, dtype, rows * columns * count)
        pixels = pixels.reshape(count, rows, columns)
    else:
        pixels = _decoded(data, path, syntax)
    wanted = [frames[k].index or 0 for k in places]
    if pixels.shape[1:] != (rows, columns) or max(wanted) >= len(pixels):
        raise _cut(path)
    stored_bits = int(number(get(data, "BitsStored")) or bits)
    padding = _padding(data, pixels.dtype, stored_bits)
    for k, index in zip(places, wanted, strict=True):
        yield k, _meaningful_bits(pixels[index], stored_bits), padding


def _decoded(data, path, syntax) -> np.ndarray:
    """Frames through pydicom's decoders, shape (N, J, I)."""
    try:
        pixels = data.pixel_array
    except Exception as error:
        if isinstance(error, NotImplementedError) or "missing" in str(error):
            raise CTBMDError(_missing_decoder(syntax)) from None
        raise _cut(path) from None
    return pixels.reshape((-1, *pixels.shape[-2:]))


def _meaningful_bits(values, stored) -> np.ndarray:
    """Drop what old scanners kept in the unused high bits (overlays)."""
    spare = values.dtype.itemsize * 8 - stored
    if values.dtype.kind not in "iu" or spare <= 0:
        return values
    if values.dtype.kind == "u":
        return values & values.dtype.type((1 << stored) - 1)
    return (values << spare) >> spare


def _padding(data, dtype, stored) -> int | None:
    value = number(get(data, "PixelPaddingValue"))
    if value is None or dtype.kind not in "iu":
        return None
    # The tag may be written as signed or unsigned whatever the pixels are.
    value = int(value) & ((1 << stored) - 1)
    if dtype.kind == "i" and value >= 1 << (stored - 1):
        value -= 1 << stored
    return value


def _cut(path) -> CTBMDError:
    return CTBMDError(
        f"The file '{path.name}' is cut off or damaged; copy it again from where it came."
    )


def _missing_decoder(syntax) -> str:
    name = getattr(syntax, "name", None) or "an unknown way"
    return (
        f"The images are compressed ({name}) and the decoder for that is not installed; "
        "install the Python package 'python-gdcm' or export the series uncompressed."
    )
