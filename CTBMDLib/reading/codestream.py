"""What a compressed image says of its own size, compared before a decoder takes memory by it.

A decoder written in C allocates what the codestream's head asks for, and ends the
whole program where there is no such memory. A damaged head asks for gigabytes.
Markers: SIZ of JPEG 2000 (ISO/IEC 15444-1, A.5.1), SOF of JPEG and JPEG-LS (ISO/IEC 10918-1,
B.2.2; 14495-1, C.2.2).
"""

from __future__ import annotations

import struct

_SOC_SIZ = b"\xff\x4f\xff\x51"
_SOI = b"\xff\xd8\xff"
_SOF = frozenset(
    (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7)
)
_MAX_SEGMENTS = 64


def fits(pixels: bytes, rows: int, columns: int) -> bool:
    """Whether every image that states its size, states this one.

    Parameters
    ----------
    pixels : bytes
        Encapsulated pixel data, of any compression.
    rows, columns : int
        As the DICOM header gives them.
    """
    at = pixels.find(_SOC_SIZ)
    while at >= 0:
        if not _jpeg2000_fits(pixels[at + 4 : at + 42], rows, columns):
            return False
        at = pixels.find(_SOC_SIZ, at + 4)
    at = pixels.find(_SOI)
    while at >= 0:
        size = _jpeg_size(pixels, at + 2)
        if size is not None and size != (rows, columns):
            return False
        at = pixels.find(_SOI, at + 3)
    return True


def _jpeg2000_fits(siz: bytes, rows: int, columns: int) -> bool:
    if len(siz) < 38:
        return False
    _, _, x, y, x0, y0, tile_x, tile_y, tile_x0, tile_y0, parts = struct.unpack(">HHIIIIIIIIH", siz)
    if (x - x0, y - y0) != (columns, rows) or max(x, y) > 1 << 16 or parts != 1:
        return False
    # Tiles begin at or before the image and the first of them reaches into it.
    return bool(
        tile_x0 <= x0 < tile_x0 + tile_x and tile_y0 <= y0 < tile_y0 + tile_y and tile_x and tile_y
    )


def _jpeg_size(pixels: bytes, at: int) -> tuple[int, int] | None:
    """Rows and columns of the frame header that follows; None where there is none."""
    for _ in range(_MAX_SEGMENTS):
        head = pixels[at : at + 9]
        if len(head) < 9 or head[0] != 0xFF:
            return None
        if head[1] in _SOF:
            return int.from_bytes(head[5:7], "big"), int.from_bytes(head[7:9], "big")
        at += 2 + int.from_bytes(head[2:4], "big")
    return None
