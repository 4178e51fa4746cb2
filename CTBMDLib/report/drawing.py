"""A small drawing surface: lines, bands, discs and words on an array, written as PNG.

Drawn with NumPy, so that a report can be made in the shell and in Slicer alike, without
matplotlib and without a screen. The letters are VTK's, which needs no window for them.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Colour = tuple[int, int, int]
Point = tuple[float, float]

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)


class Canvas:
    """A picture in colours.

    Parameters
    ----------
    width, height : int
        Pixels.
    background : tuple of 3 int

    Attributes
    ----------
    rgb : ndarray, shape (height, width, 3), float32
        0 to 255; row 0 is above.
    """

    def __init__(self, width: int, height: int, background: Colour = WHITE) -> None:
        self.rgb = np.empty((height, width, 3), np.float32)
        self.rgb[:] = background

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.rgb.shape[1]

    @property
    def height(self) -> int:
        """Rows."""
        return self.rgb.shape[0]

    def paste(self, grey: np.ndarray, left: int, top: int) -> None:
        """Put a grey picture, shape (rows, columns), 0 to 255, at a place inside the canvas."""
        rows, columns = grey.shape
        self.rgb[top : top + rows, left : left + columns] = grey[:, :, None]

    def line(
        self,
        points: Sequence[Point],
        colour: Colour,
        width: float = 1.0,
        dash: tuple[float, float] | None = None,
    ) -> None:
        """A line through points (x, y); `dash` is the length drawn and the length left out."""
        for (x0, y0), (x1, y1) in zip(points[:-1], points[1:], strict=True):
            start, end = np.array([x0, y0]), np.array([x1, y1])
            length = float(np.hypot(*(end - start)))
            if not dash or length == 0:
                self._segment(start, end, colour, width)
                continue
            along = (end - start) / length
            for at in np.arange(0.0, length, sum(dash)):
                to = min(at + dash[0], length)
                self._segment(start + at * along, start + to * along, colour, width)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A filled disc."""
        here = np.array([x, y])
        self._segment(here, here, colour, 2 * radius)

    def band(
        self, x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: Colour
    ) -> None:
        """The area between two lines over ascending `x`; `low` and `high` are rows (y)."""
        columns = np.arange(int(np.ceil(x[0])), int(np.floor(x[-1])) + 1)
        rows = np.arange(self.height)[:, None]
        first, last = np.interp(columns, x, high), np.interp(columns, x, low)
        inside = (rows >= first) & (rows <= last)
        part = self.rgb[:, columns]
        part[inside] = colour
        self.rgb[:, columns] = part

    def text(  # noqa: PLR0913  a place, a size and how it lies to it are all told
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        colour: Colour = BLACK,
        *,
        across: float = 0.0,
        halo: Colour | None = None,
        bold: bool = False,
    ) -> None:
        """Words whose middle lies at row `y`.

        Parameters
        ----------
        x, y : float
        words : str
        size : float
            Height of the letters in pixels.
        colour : tuple of 3 int
        across : float
            0 begins at `x`, 0.5 has its middle there, 1 ends there.
        halo : tuple of 3 int, optional
            A rim that keeps the words readable over a picture.
        bold : bool
        """
        mask = letters(words, size, bold)
        rows, columns = mask.shape
        top, left = round(y - rows / 2), round(x - across * columns)
        if halo is not None:
            rim = _widened(mask)
            self._blend(rim, left - 2, top - 2, halo)
        self._blend(mask, left, top, colour)

    def png(self) -> bytes:
        """The picture as a PNG file."""
        pixels = np.clip(np.rint(self.rgb), 0, 255).astype(np.uint8)
        return png_bytes(pixels)

    def _segment(self, start: np.ndarray, end: np.ndarray, colour: Colour, width: float) -> None:
        """A straight line with round ends and soft edges."""
        reach = width / 2 + 1
        low = np.floor(np.minimum(start, end) - reach).astype(int)
        high = np.ceil(np.maximum(start, end) + reach).astype(int) + 1
        left, top = max(low[0], 0), max(low[1], 0)
        right, bottom = min(high[0], self.width), min(high[1], self.height)
        if left >= right or top >= bottom:
            return
        y, x = np.mgrid[top:bottom, left:right].astype(float)
        along = end - start
        square = float(along @ along)
        at = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / square if square else 0 * x
        at = np.clip(at, 0, 1)
        away = np.hypot(x - start[0] - at * along[0], y - start[1] - at * along[1])
        self._blend(np.clip(width / 2 + 0.5 - away, 0, 1), left, top, colour)

    def _blend(self, mask: np.ndarray, left: int, top: int, colour: Colour) -> None:
        """Lay a colour over a place, `mask` 0 to 1; what lies outside is cut off."""
        rows, columns = mask.shape
        above, beside = max(-top, 0), max(-left, 0)
        mask = mask[above : self.height - top, beside : self.width - left]
        if not mask.size:
            return
        top, left = top + above, left + beside
        part = self.rgb[top : top + mask.shape[0], left : left + mask.shape[1]]
        part += mask[:, :, None] * (np.array(colour, np.float32) - part)


def _widened(mask: np.ndarray) -> np.ndarray:
    """A mask two pixels wider on every side."""
    wide = np.zeros((mask.shape[0] + 4, mask.shape[1] + 4), mask.dtype)
    for row in range(5):
        for column in range(5):
            if abs(row - 2) + abs(column - 2) < 4:
                part = wide[row : row + mask.shape[0], column : column + mask.shape[1]]
                np.maximum(part, mask, out=part)
    return wide


def letters(words: str, size: float, bold: bool = False) -> np.ndarray:
    """Words as a mask, shape (rows, columns), 0 to 1; of equal height for equal size."""
    # Heavy imports that only a report needs.
    from vtkmodules import vtkRenderingFreeType  # noqa: F401  brings the letters
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkRenderingCore import vtkTextProperty, vtkTextRenderer

    style = vtkTextProperty()
    style.SetFontFamilyToArial()
    style.SetFontSize(max(round(size), 1))
    style.SetBold(bold)
    image, used = vtkImageData(), [0, 0]
    # A space at either side: VTK draws nothing for an empty text, and cuts no letter this way.
    vtkTextRenderer.GetInstance().RenderString(style, f" {words} ", image, used, 72)
    columns, rows, _one = image.GetDimensions()
    to_numpy: Any = vtk_to_numpy  # it has no types
    scalars = image.GetPointData().GetScalars()
    alpha: np.ndarray = to_numpy(scalars).reshape(rows, columns, 4)[..., 3]
    mask = alpha[: used[1] + 1, : used[0] + 1][::-1].astype(np.float32) / 255.0
    # Without what is empty at the sides, which differs with the letter that stands there.
    filled = np.flatnonzero(mask.any(axis=0))
    return mask[:, filled[0] : filled[-1] + 1] if filled.size else mask[:, :1]


def png_bytes(pixels: np.ndarray) -> bytes:
    """A PNG file of colours, shape (rows, columns, 3), uint8."""
    rows, columns, _three = pixels.shape

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    lines = np.zeros((rows, 1 + 3 * columns), np.uint8)  # each line begins with its filter, none
    lines[:, 1:] = pixels.reshape(rows, -1)
    body = zlib.compress(lines.tobytes(), 9)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def data_url(png: bytes) -> str:
    """A PNG as it stands in a page that is one file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
