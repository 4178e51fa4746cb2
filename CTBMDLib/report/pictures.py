"""The two pictures of the CT in a report: the spine from the side, and the images of a level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..levels import LevelSlice
from ..model.images import LevelImages
from .case import ReportCase
from .drawing import Canvas, Colour

WINDOW_HU = (-250.0, 550.0)
OUTSIDE = 40.0
"""Grey of what the scan does not show, so that it is not taken for air."""
SIDE_SIZE = (480, 720)
"""Pixels of the sagittal picture, twice what a page shows."""
IMAGE_SIDE = 128
GAP = 4
SLAB_MM = 6.0
COUNTED: Colour = (86, 180, 233)
LEFT_OUT: Colour = (230, 159, 0)
"""Sky blue and orange: told apart, and from greys, with every kind of colour vision."""


def grey(hu: np.ndarray) -> np.ndarray:
    """HU in the report's window, 0 to 255; what is not known is `OUTSIDE`."""
    low, high = WINDOW_HU
    shades = 255.0 * np.clip((np.asarray(hu, float) - low) / (high - low), 0, 1)
    return np.where(np.isfinite(hu), shades, OUTSIDE)


def level_png(images: LevelImages) -> bytes:
    """The images of a level beside each other, upper one first; front is up, the right is left."""
    from scipy import ndimage

    count, rows, _columns = images.hu.shape
    canvas = Canvas(count * IMAGE_SIDE + (count - 1) * GAP, IMAGE_SIDE)
    for index, hu in enumerate(images.hu):
        shown = ndimage.zoom(hu.astype(float), IMAGE_SIDE / rows, order=1)
        canvas.paste(grey(shown)[:IMAGE_SIDE, :IMAGE_SIDE], index * (IMAGE_SIDE + GAP), 0)
    return canvas.png()


def as_read(case: ReportCase) -> list[LevelSlice]:
    """The levels, those that were read where their images lie."""
    read = {row.level: case.images(row.level) for row in case.result.levels}
    levels = []
    for item in case.selection:
        if item.level in read:
            levels.append(replace(item, ras=read[item.level].middle_ras))
        else:
            levels.append(item)
    return levels


def sagittal_png(case: ReportCase) -> bytes:
    """The spine from the side along its own midline, with the planes that were read and their names."""
    view = SideView(as_read(case), [row.level for row in case.result.levels])
    canvas = Canvas(*SIDE_SIZE)
    canvas.paste(grey(view.hu(case)), 0, 0)
    for row in case.result.levels:
        colour = COUNTED if row.included else LEFT_OUT
        images = case.images(row.level)
        for s_mm, centre in zip(images.s_mm, images.centre_ra_mm, strict=True):
            ends = [view.place(centre[1] + side, s_mm) for side in (18.0, -18.0)]
            canvas.line(ends, colour, 2.0, None if row.included else (8.0, 6.0))
        x, y = view.place(images.centre_ra_mm[:, 1].mean() + 24.0, images.s_mm.mean())
        words = row.level if row.included else f"{row.level} (out)"
        canvas.text(x, y, words, 26, colour, across=1.0, halo=(0, 0, 0), bold=True)
    _marks(canvas, view)
    return canvas.png()


class SideView:
    """Which place of the patient each pixel of the sagittal picture shows.

    Each row is cut at the spine's own R, so that a spine that leans or bends to a
    side stays in the picture.

    Parameters
    ----------
    selection : iterable of LevelSlice
    measured : list of str
        The levels that are to be in the middle of it.
    """

    def __init__(self, selection: Iterable[LevelSlice], measured: list[str]) -> None:
        known: list[LevelSlice] = sorted(selection, key=lambda item: item.ras[2])
        self._points = np.array([item.ras for item in known])
        ras = np.array([item.ras for item in known if item.level in measured])
        tall = max(float(np.ptp(ras[:, 2])) + 110.0, 210.0)
        self.mm = tall / SIDE_SIZE[1]
        self.top = float(ras[:, 2].max() + ras[:, 2].min()) / 2 + tall / 2
        # More of the belly than of the back, which is where the levels' names stand.
        self.front = float(ras[:, 1].mean()) + 0.52 * SIDE_SIZE[0] * self.mm

    def place(self, a_mm: float, s_mm: float) -> tuple[float, float]:
        """Column and row of A and S in mm; the front is left."""
        return (self.front - a_mm) / self.mm, (self.top - s_mm) / self.mm

    def hu(self, case: ReportCase) -> np.ndarray:
        """HU of the picture, NaN outside the scan; mean over `SLAB_MM` from right to left."""
        columns, rows = SIDE_SIZE
        a = self.front - (np.arange(columns) + 0.5) * self.mm
        s = self.top - (np.arange(rows) + 0.5) * self.mm
        middle = np.interp(s, self._points[:, 2], self._points[:, 0])
        layers = []
        for away in (-SLAB_MM / 2, 0.0, SLAB_MM / 2):
            ras = np.empty((rows, columns, 3))
            ras[..., 0] = (middle + away)[:, None]
            ras[..., 1], ras[..., 2] = a, s[:, None]
            layers.append(case.volume.sample(ras))
        known = np.isfinite(layers)
        count = known.sum(axis=0)
        total = np.where(known, layers, 0.0).sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _marks(canvas: Canvas, view: SideView) -> None:
    """Which side is which, and how long 5 cm are."""
    middle = canvas.height / 2
    for x, across, words in ((10, 0.0, "A"), (canvas.width - 10, 1.0, "P")):
        canvas.text(x, middle, words, 26, (255, 255, 255), across=across, halo=(0, 0, 0))
    length, y = 50.0 / view.mm, canvas.height - 20.0
    right = canvas.width - 16.0
    canvas.line([(right - length, y), (right, y)], (255, 255, 255), 4.0)
    canvas.text(right, y - 22, "5 cm", 22, (255, 255, 255), across=1.0, halo=(0, 0, 0))
