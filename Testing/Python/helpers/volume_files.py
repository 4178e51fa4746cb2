"""NIfTI and NRRD files written byte by byte for tests, so that their right answer is known."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

NIFTI_TYPES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "u2": 512, "i8": 1024}

# Anisotropic, rotated and flipped: any mix-up of axes or signs shows.
MATRIX = np.array(
    [
        [-0.8, 0.0, 0.0, 30.0],
        [0.0, 1.2 * np.cos(0.3), -2.5 * np.sin(0.3), -12.0],
        [0.0, 1.2 * np.sin(0.3), 2.5 * np.cos(0.3), 105.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def nifti_bytes(
    hu,
    matrix=MATRIX,
    *,
    kind="i2",
    order="<",
    sform=1,
    qform=0,
    units=2,
    slope=0.0,
    intercept=0.0,
    dim=None,
    datatype=None,
    version=1,
) -> bytes:
    """A single-file NIfTI of hu [k, j, i]; the qform is that of `matrix` too."""
    dim = dim or (3, *hu.shape[::-1], 1, 1, 1, 1)
    datatype = NIFTI_TYPES[kind] if datatype is None else datatype
    qfac, spacing, quaternion = quaternion_of(matrix)
    pixdim = (qfac, *spacing, 1.0, 1.0, 1.0, 1.0)
    quatern = (*quaternion, *matrix[:3, 3])
    bits = np.dtype(kind).itemsize * 8
    if version == 1:
        raw = bytearray(352)
        struct.pack_into(order + "i", raw, 0, 348)
        struct.pack_into(order + "8h", raw, 40, *dim)
        struct.pack_into(order + "2h", raw, 70, datatype, bits)
        struct.pack_into(order + "8f", raw, 76, *pixdim)
        struct.pack_into(order + "3f", raw, 108, 352.0, slope, intercept)
        raw[123] = units
        struct.pack_into(order + "2h", raw, 252, qform, sform)
        struct.pack_into(order + "6f", raw, 256, *quatern)
        struct.pack_into(order + "12f", raw, 280, *matrix[:3].ravel())
        raw[344:348] = b"n+1\0"
    else:
        raw = bytearray(544)
        struct.pack_into(order + "i", raw, 0, 540)
        raw[4:12] = b"n+2\0\r\n\x1a\n"
        struct.pack_into(order + "2h", raw, 12, datatype, bits)
        struct.pack_into(order + "8q", raw, 16, *dim)
        struct.pack_into(order + "8d", raw, 104, *pixdim)
        struct.pack_into(order + "q", raw, 168, 544)
        struct.pack_into(order + "2d", raw, 176, slope, intercept)
        struct.pack_into(order + "2i", raw, 344, qform, sform)
        struct.pack_into(order + "6d", raw, 352, *quatern)
        struct.pack_into(order + "12d", raw, 400, *matrix[:3].ravel())
        struct.pack_into(order + "i", raw, 500, units)
    return bytes(raw) + hu.astype(order + kind).tobytes()


def quaternion_of(matrix):
    """(qfac, spacing, (b, c, d)) of an IJK-to-RAS matrix, by scipy's rotation."""
    from scipy.spatial.transform import Rotation

    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    rotation = matrix[:3, :3] / spacing
    qfac = 1.0
    if np.linalg.det(rotation) < 0:
        qfac, rotation = -1.0, rotation * [1, 1, -1]
    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    sign = -1.0 if w < 0 else 1.0
    return qfac, spacing, (sign * x, sign * y, sign * z)


def nrrd_header(hu, matrix=MATRIX, *, space="left-posterior-superior", kind="short", **fields):
    """Header text of hu [k, j, i]; None takes a field out."""
    signs = {"right": (1, 1, 1), "left-a": (-1, 1, 1), "left-p": (-1, -1, 1)}
    sign = next((v for k, v in signs.items() if space and space.startswith(k)), (1, 1, 1))
    local = np.asarray(sign)[:, None] * matrix[:3]

    def vector(column):
        return "(" + ",".join(repr(float(x)) for x in local[:, column]) + ")"

    lines = {
        "type": kind,
        "dimension": "3",
        "space": space,
        "sizes": " ".join(str(n) for n in hu.shape[::-1]),
        "space directions": " ".join(vector(c) for c in range(3)),
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": vector(3),
    }
    lines |= {name.replace("_", " "): value for name, value in fields.items()}
    text = "".join(f"{name}: {value}\n" for name, value in lines.items() if value is not None)
    return f"NRRD0005\n# written by a test\n{text}"


def write(path, *parts: bytes, zipped=False) -> Path:
    path = Path(path)
    content = b"".join(parts)
    path.write_bytes(gzip.compress(content, 1) if zipped else content)
    return path
