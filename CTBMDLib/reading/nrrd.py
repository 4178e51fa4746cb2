"""NRRD files (.nrrd, .nhdr) as CT volumes.

Read here and not through VTK: vtkNrrdReader takes the space directions as they
stand, whether the file's space is LPS or RAS, and reports a cut-off file on the
console only. Format: Kindlmann, 'Definition of NRRD File Format' (teem).
"""

from __future__ import annotations

import bz2
import gzip
import re
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import CTBMDError
from ..progress import Progress
from ..volume import Acquisition, CTVolume
from .headers import text
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
)

_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long",
           "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}  # fmt: skip
_TO_RAS = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_ENCODINGS = {"raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
_COLOUR_KINDS = ("rgb-color", "rgba-color", "hsv-color", "xyz-color", "3-color", "4-color")
_MAX_HEADER = 1 << 20
_Fields: TypeAlias = dict[str, str]
_Vector: TypeAlias = tuple[float, ...]


def read_nrrd(path: Path, progress: Progress) -> CTVolume:
    """Read an NRRD file.

    Parameters
    ----------
    path : Path
        Attached (.nrrd) or detached (.nhdr with its data file beside it).
    progress : Progress
        Asked between parts of the file.

    Returns
    -------
    CTVolume

    Raises
    ------
    CTBMDError, Cancelled
    """
    fields, start = _header(path)
    shape, matrix = _layout(fields, path)
    dtype = _dtype(fields, path)
    encoding = _ENCODINGS.get(fields.get("encoding", "").lower())
    if encoding is None:
        raise CTBMDError(
            f"'{path.name}' is stored as '{fields.get('encoding', 'unknown')}'; save it as raw or gzip NRRD.",
            "unknown-encoding",
        )
    data_path, start = _data_file(fields, path, start)
    nbytes = shape[0] * shape[1] * shape[2] * dtype.itemsize
    size = data_path.stat().st_size
    # bzip2 packs runs far tighter than deflate; what it unpacks to is only known by unpacking.
    ratio = {"raw": 1, "gzip": MAX_RATIO, "bzip2": 50_000}[encoding]
    check_size(nbytes, size * ratio, path)
    skip_lines, skip_bytes = _whole(fields, "line skip", path), _whole(fields, "byte skip", path)
    with data_path.open("rb") as stream:
        stream.seek(start)
        for _ in range(skip_lines):
            if not stream.readline(_MAX_HEADER):
                raise cut(path)
        if encoding == "raw":
            stream.seek(size - nbytes if skip_bytes == -1 else stream.tell() + skip_bytes)
            values = read_array(stream, shape[::-1], dtype, path, progress)
        else:
            unpack: Any = gzip.open if encoding == "gzip" else bz2.open
            with unpack(stream) as unpacked:
                read_bytes(unpacked, max(skip_bytes, 0), path)
                values = read_array(unpacked, shape[::-1], dtype, path, progress)
    return CTVolume(compact(values), matrix, Acquisition(), name=stem(path))


def segment_names(path: Path) -> dict[int, str]:
    """{label value: segment name} of a Slicer segmentation (.seg.nrrd); empty for other files."""
    fields, _ = _header(path)
    names = {}
    for key, value in fields.items():
        match = re.fullmatch(r"segment(\d+)_labelvalue:=", key)
        name = match and fields.get(f"segment{match[1]}_name:=")
        if name and value.strip().isdigit():
            names[int(value)] = name
    return names


def _header(path: Path) -> tuple[_Fields, int]:
    """Fields by lower-case name, and where attached data begins."""
    fields: _Fields = {}
    with path.open("rb") as stream:
        if not re.fullmatch(rb"NRRD000\d\s*", stream.readline(80)):
            raise CTBMDError(
                f"'{path.name}' is not an NRRD file, or its start is damaged; export it again.",
                "damaged-file",
            )
        while True:
            raw = stream.readline(_MAX_HEADER)
            if not raw.strip():
                break
            if stream.tell() > _MAX_HEADER:
                raise cut(path)
            line = raw.decode("utf-8", "replace").strip()
            name, separator, value = line.partition(":")
            if line.startswith("#") or not separator:
                continue
            if value.startswith("="):
                name, value = f"{name}:=", value[1:]
            fields[name.strip().lower()] = value.strip()
        return fields, stream.tell()


def _layout(fields: _Fields, path: Path) -> tuple[tuple[int, int, int], np.ndarray]:
    """Sizes along i, j, k and IJK-to-RAS."""
    modality = fields.get("modality:=", "")
    if modality.upper() not in ("", "CT"):
        raise CTBMDError(
            f"'{path.name}' says that it is {modality}, not CT; choose a CT.", "not-ct"
        )
    try:
        dimension = int(fields["dimension"])
        sizes = [int(item) for item in fields["sizes"].split()]
    except (KeyError, ValueError):
        raise cut(path) from None
    if dimension != len(sizes) or not sizes:
        raise cut(path)
    kinds = fields.get("kinds", "").lower().split()
    if any(kind in _COLOUR_KINDS for kind in kinds):
        raise CTBMDError(
            f"'{path.name}' is a colour image, not CT values; export the original CT.",
            "colour-images",
        )
    vectors = _vectors(fields.get("space directions", ""))
    lists = 0 if vectors is None else sum(v is None for v in vectors)
    if vectors is not None and len(vectors) == dimension > 3 and lists == dimension - 3:
        # A list axis (time, components) has 'none' for a direction.
        listed = [n for n, v in zip(sizes, vectors, strict=True) if v is None]
        sizes = [n for n, v in zip(sizes, vectors, strict=True) if v is not None] + listed
        vectors = [v for v in vectors if v is not None]
    shape = check_shape(sizes, path)
    signs = _TO_RAS.get(fields.get("space", "").lower())
    origin = _vectors(fields.get("space origin", ""))
    if (
        signs is None
        or not vectors
        or len(vectors) != 3
        or any(v is None for v in vectors)
        or not origin
        or origin[0] is None
    ):
        raise CTBMDError(
            f"'{path.name}' does not say how it lies in the patient (space, directions and origin); export it with its orientation.",
            "no-position",
        )
    units = set(re.findall(r'"([^"]*)"', fields.get("space units", ""))) - {"", "mm"}
    if units:
        raise CTBMDError(
            f"'{path.name}' is measured in {', '.join(sorted(units))}, not in mm; export it in mm.",
            "not-in-mm",
        )
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(vectors).T
    matrix[:3, 3] = origin[0]
    matrix[:3] *= np.array(signs)[:, None]
    return shape, checked_matrix(matrix, path)


def _vectors(value: str) -> list[_Vector | None] | None:
    """'(1,0,0) none' as [(1.0, 0.0, 0.0), None]; None where it is not such a list."""
    result: list[_Vector | None] = []
    for item in re.findall(r"\([^)]*\)|\S+", value):
        if item.lower() == "none":
            result.append(None)
            continue
        try:
            vector = tuple(float(x) for x in item.strip("()").split(","))
        except ValueError:
            return None
        if len(vector) != 3:
            return None
        result.append(vector)
    return result


def _dtype(fields: _Fields, path: Path) -> np.dtype[Any]:
    name = (text(fields.get("type")) or "").lower()
    code = next((code for code, names in _TYPES.items() if name in names), None)
    if code is None:
        raise CTBMDError(
            f"'{path.name}' holds numbers of a kind CT does not have ({name or 'no type given'}); export it as 16-bit integers.",
            "number-type",
        )
    endian = fields.get("endian", "").lower()
    if code[1] != "1" and endian not in ("little", "big"):
        raise cut(path)
    return np.dtype((">" if endian == "big" else "<") + code)


def _data_file(fields: _Fields, path: Path, start: int) -> tuple[Path, int]:
    name = fields.get("data file") or fields.get("datafile")
    if name is None:
        return path, start
    if name.upper().startswith("LIST") or "%" in name:
        raise CTBMDError(
            f"'{path.name}' spreads its data over several files; save it as one .nrrd file.",
            "several-data-files",
        )
    data = path.parent / name
    try:
        exists = data.is_file()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise CTBMDError(
            f"The data file '{name}' of '{path.name}' is missing; keep both files in one folder.",
            "no-such-file",
        )
    return data, 0


def _whole(fields: _Fields, name: str, path: Path) -> int:
    value = fields.get(name) or fields.get(name.replace(" ", "")) or "0"
    try:
        number = int(value)
    except ValueError:
        raise cut(path) from None
    if number < (-1 if name == "byte skip" else 0) or number > 1 << 31:
        raise cut(path)
    return number
