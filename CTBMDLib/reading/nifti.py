"""NIfTI-1 and NIfTI-2 files as CT volumes.

Read here because SimpleITK, tried, silently reads a .nii.gz cut to 70 % and one
with a flipped byte; vtkNIFTIImageReader 9.6, tried with the same, sets an error
code but leaves an image of full size with wrong values, without a sentence to show.
Format: the NIfTI-1 header definition (nifti1.h, J. Neuroimaging Informatics
Technology Initiative, 2004) and NIfTI-2 (2011). NIfTI coordinates are RAS already.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CTBMDError, shown
from ..progress import Progress
from ..volume import Acquisition, CTVolume
from .hounsfield import compact
from .streams import (
    MAX_RATIO,
    check_shape,
    check_size,
    checked_matrix,
    cut,
    read_array,
    read_bytes,
    stem,
    zipped,
)

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4",
          1024: "i8", 1280: "u8"}  # fmt: skip
_COLOUR = (128, 2304)
_COMPLEX = (32, 1792, 2048)
MAX_SCALE = 0.02
"""Share by which two voxel sizes of one header may differ: what makers round to, and below what
changes a bone density by more than its interval."""
_UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}


def read_nifti(path: Path, progress: Progress | None = None) -> CTVolume:
    """Read a NIfTI file.

    Parameters
    ----------
    path : Path
        .nii, .nii.gz, or one of a .hdr/.img pair.
    progress : Progress, optional
        Asked between parts of the file.

    Returns
    -------
    CTVolume
        sform where its code is set, qform otherwise; nothing is known of the
        acquisition.

    Raises
    ------
    CTBMDError, Cancelled
    """
    header_path, data_path = _pair(path)
    with _stream(header_path) as stream:
        header = _parse(read_bytes(stream, 540, header_path, exact=False), path)
    shape, dtype = header["shape"], header["dtype"]
    available = data_path.stat().st_size * (MAX_RATIO if zipped(data_path) else 1)
    nbytes = shape[0] * shape[1] * shape[2] * dtype.itemsize
    check_size(nbytes + header["offset"], available, path)
    with _stream(data_path) as stream:
        read_bytes(stream, header["offset"], path)
        values = read_array(stream, shape[::-1], dtype, path, progress or Progress())
    findings: tuple[str, ...] = ()
    if header["disagreement_mm"] > 1:
        findings = (
            f"'{path.name}' gives two places for the scan (sform and qform, up to {header['disagreement_mm']:.0f} mm apart); the sform was used.",
        )
    findings += header["scaled"]
    hu = compact(values, header["slope"], header["intercept"])
    return CTVolume(hu, header["matrix"], Acquisition(), name=stem(path), reading_findings=findings)


def _pair(path: Path) -> tuple[Path, Path]:
    low = path.name.lower()
    if low.endswith((".nii", ".nii.gz")):
        return path, path
    header = path.with_name(stem(path) + ".hdr")
    for data in (path.with_name(stem(path) + ".img"), path.with_name(stem(path) + ".img.gz")):
        if header.exists() and data.exists():
            return header, data
    raise CTBMDError(
        f"'{path.name}' is one half of a .hdr/.img pair and the other is missing.", "no-such-file"
    )


def _stream(path: Path) -> Any:
    return gzip.open(path, "rb") if zipped(path) else path.open("rb", buffering=0)


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    for order in "<>":
        if raw[:4] == np.array(348, order + "i4").tobytes() and len(raw) >= 348:
            if raw[344:347] not in (b"n+1", b"ni1"):
                raise CTBMDError(
                    f"'{path.name}' is an ANALYZE file, which does not say left from right; convert it to NIfTI.",
                    "analyze-file",
                )
            return _fields(_nifti1(raw, order), order, path)
        if raw[:4] == np.array(540, order + "i4").tobytes() and len(raw) >= 540:
            return _fields(_nifti2(raw, order), order, path)
    raise CTBMDError(
        f"'{path.name}' is not a NIfTI file, or its start is damaged; export it again.",
        "damaged-file",
    )


def _at(raw: bytes, offset: int, kind: str, count: int = 1) -> Any:
    values = np.frombuffer(raw, kind, count, offset)
    return values if count > 1 else values[0]


def _nifti1(raw: bytes, o: str) -> dict[str, Any]:
    return {
        "dim": _at(raw, 40, o + "i2", 8),
        "datatype": _at(raw, 70, o + "i2"),
        "pixdim": _at(raw, 76, o + "f4", 8),
        "offset": _at(raw, 108, o + "f4"),
        "slope": _at(raw, 112, o + "f4"),
        "intercept": _at(raw, 116, o + "f4"),
        "units": raw[123],
        "qform": _at(raw, 252, o + "i2"),
        "sform": _at(raw, 254, o + "i2"),
        "quatern": _at(raw, 256, o + "f4", 6),
        "srow": _at(raw, 280, o + "f4", 12),
        "single": raw[344:347] == b"n+1",
    }


def _nifti2(raw: bytes, o: str) -> dict[str, Any]:
    return {
        "dim": _at(raw, 16, o + "i8", 8),
        "datatype": _at(raw, 12, o + "i2"),
        "pixdim": _at(raw, 104, o + "f8", 8),
        "offset": _at(raw, 168, o + "i8"),
        "slope": _at(raw, 176, o + "f8"),
        "intercept": _at(raw, 184, o + "f8"),
        "units": _at(raw, 500, o + "i4"),
        "qform": _at(raw, 344, o + "i4"),
        "sform": _at(raw, 348, o + "i4"),
        "quatern": _at(raw, 352, o + "f8", 6),
        "srow": _at(raw, 400, o + "f8", 12),
        "single": raw[4:7] == b"n+2",
    }


def _fields(h: dict[str, Any], order: str, path: Path) -> dict[str, Any]:
    axes = int(h["dim"][0])
    if not 1 <= axes <= 7:
        raise cut(path)
    shape = check_shape(h["dim"][1 : axes + 1], path)
    kind = int(h["datatype"])
    if kind in _COLOUR:
        raise CTBMDError(
            f"'{path.name}' is a colour image, not CT values; export the original CT.",
            "colour-images",
        )
    if kind in _COMPLEX or kind not in _TYPES:
        raise CTBMDError(
            f"'{path.name}' holds numbers of a kind CT does not have (NIfTI type {kind}); export it as 16-bit integers.",
            "number-type",
        )
    offset = float(h["offset"])
    if not (np.isfinite(offset) and 0 <= offset < 1 << 31):
        raise cut(path)
    slope, intercept = float(h["slope"]), float(h["intercept"])
    if slope == 0 or not np.isfinite(slope):
        slope, intercept = 1.0, 0.0  # 'no scaling' by the standard
    return {
        "shape": shape,
        "dtype": np.dtype(order + _TYPES[kind]),
        "offset": max(int(offset), 352) if h["single"] else int(offset),
        "slope": slope,
        "intercept": intercept if np.isfinite(intercept) else 0.0,
        "matrix": _matrix(h, path),
        "disagreement_mm": _disagreement(h, shape),
        "scaled": _scaled(h, path),
    }


def _matrix(h: dict[str, Any], path: Path) -> np.ndarray:
    matrix = np.eye(4)
    with np.errstate(all="ignore"):
        if h["sform"] > 0:
            matrix[:3] = np.asarray(h["srow"], float).reshape(3, 4)
        elif h["qform"] > 0:
            matrix[:3] = _from_quaternion(h)
        else:
            raise CTBMDError(
                f"'{path.name}' does not say how it lies in the patient (no qform or sform); export it with its orientation.",
                "no-position",
            )
        matrix[:3] *= _UNITS_MM.get(int(h["units"]) & 7, 1.0)
    return checked_matrix(matrix, path)


def _disagreement(h: dict[str, Any], shape: tuple[int, int, int]) -> float:
    """Largest distance of a corner placed by sform and by qform, mm; 0 where only one is set."""
    if not (h["sform"] > 0 and h["qform"] > 0):
        return 0.0
    with np.errstate(all="ignore"):
        difference = np.asarray(h["srow"], float).reshape(3, 4) - _from_quaternion(h)
        difference *= _UNITS_MM.get(int(h["units"]) & 7, 1.0)
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape], [1])).reshape(4, -1)
        distance = np.linalg.norm(difference @ corners, axis=0).max()
    return float(distance) if np.isfinite(distance) else 0.0


def _scaled(h: dict[str, Any], path: Path) -> tuple[str, ...]:
    """A sentence where the sform gives another voxel size than was measured (pixdim).

    So a registration leaves a scan that was stretched to fit another one.
    """
    sizes = np.abs(np.asarray(h["pixdim"][1:4], float))
    if not (h["sform"] > 0 and np.isfinite(sizes).all() and sizes.min() > 0):
        return ()
    with np.errstate(all="ignore"):
        used = np.linalg.norm(np.asarray(h["srow"], float).reshape(3, 4)[:, :3], axis=0)
        if np.abs(used / sizes - 1).max() <= MAX_SCALE:
            return ()
    factor = _UNITS_MM.get(int(h["units"]) & 7, 1.0)
    stored, taken = (" x ".join(f"{factor * x:.3g}" for x in each) for each in (sizes, used))
    return (
        f"'{shown(path.name)}' gives two voxel sizes ({stored} mm as stored, {taken} mm by its sform, "
        "which was used); if a transform has scaled the scan, bone density is off.",
    )


def _from_quaternion(h: dict[str, Any]) -> np.ndarray:
    b, c, d, x, y, z = (float(v) for v in h["quatern"])
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    spacing = np.abs(np.asarray(h["pixdim"][1:4], float))
    spacing[2] *= -1.0 if h["pixdim"][0] < 0 else 1.0
    return np.column_stack([rotation * spacing, (x, y, z)])
