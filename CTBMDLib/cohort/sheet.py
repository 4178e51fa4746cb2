"""A contact sheet: the middle image of each level side by side, as one small PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import numpy as np

from ..model.images import LevelImages

LOW_HU, HIGH_HU = -200.0, 600.0
"""Window of the sheet: wide enough for fat and for dense bone."""
GAP = 2
"""White pixels between two levels."""


def contact_sheet(images: Mapping[str, LevelImages]) -> bytes:
    """The levels in their order, from left to right; b'' where there is none.

    Row 0 is anterior and the patient's right is on the left, as in the images of
    the network. A level is told by its place: the page names them.
    """
    tiles = [item.hu[len(item.hu) // 2] for item in images.values() if len(item.hu)]
    if not tiles:
        return b""
    high = max(len(tile) for tile in tiles)
    parts: list[np.ndarray] = []
    for tile in tiles:
        grey = np.clip((tile - LOW_HU) / (HIGH_HU - LOW_HU), 0.0, 1.0)
        padded = np.zeros((high, tile.shape[1]), np.uint8)
        padded[: len(tile)] = np.round(255 * np.nan_to_num(grey))
        parts += [padded, np.full((high, GAP), 255, np.uint8)]
    return png(np.concatenate(parts[:-1], axis=1))


def png(grey: np.ndarray) -> bytes:
    """A grey image, shape (rows, columns), uint8, as a PNG file."""
    rows, columns = grey.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), grey], axis=1)  # filter 0 in each row

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    body = zlib.compress(np.ascontiguousarray(lines).tobytes(), 6)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
