"""The walls and endplates of one vertebral body, found in the CT around a chosen point.

The body is looked for as a shape, not voxel by voxel: an outline across (round in
front, flatter at the back) and a curved surface for either endplate, laid where bone
inside stands out most from what lies outside. A few places without an edge (pedicles, a
vessel with contrast agent, an osteophyte) then count little.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..levels import LevelSlice
from ..volume import CTVolume
from .endplates import columns_inside, fit_plates, refine_plates
from .fitting import INNER_MM, OUTER_MM, climb, steps, uneven
from .shape import BodyShape, template

HALF_U_MM, HALF_V_MM, HALF_W_MM = 44, 40, 34
"""How far around the point is looked: to the sides, front and back, up and down."""
WITHIN = (0.2, 0.45, 0.7)
"""Shares of the way from the middle to the wall where the inside is looked at."""
UNEVEN_WEIGHT = 0.8
HALF_WIDTHS_MM, HALF_DEPTHS_MM = (13.0, 33.0), (9.5, 23.0)
"""Of lumbar and lower thoracic bodies; own choice, wider than people differ."""
USUAL_RATIO, RATIO_SD = 0.73, 0.09
"""Depth against width (Masharawi 2008: 0.66-0.75)."""
REACH_MM = (9.0, 3.0)
"""How far beside the point the body's middle is looked for, and again once it is found."""
MIN_HEIGHT_MM, MAX_HEIGHT_MM = 9.0, 42.0
MIN_CLEAR = 0.16
"""Mean step at the walls, of `FULL_EDGE_HU`, below which no body is believed."""


def find_body(volume: CTVolume, level_slice: LevelSlice) -> BodyShape | None:
    """The body that a chosen point lies in; None where its walls cannot be told.

    Parameters
    ----------
    volume : CTVolume
    level_slice : LevelSlice
        Its point may lie several mm off the middle; its axis only helps.
    """
    up = np.array(level_slice.axis if level_slice.axis is not None else (0.0, 0.0, 1.0), float)
    centre = np.asarray(level_slice.ras, float)
    body = None
    for reach in REACH_MM:  # once more along the axis that the endplates show
        frame = _Frame(centre, _axes(up))
        hu = frame.sample(volume)
        if hu is None:
            return body
        found = _fit(hu, level_slice.height_mm, reach)
        if found is None:
            return body
        body = frame.body(*found)
        centre, up = body.centre, body.up
    return body


def _axes(up: np.ndarray) -> np.ndarray:
    """Rows right, front and up of a body standing along `up`, shape (3, 3)."""
    up = up / max(float(np.linalg.norm(up)), 1e-9)
    ahead = np.array([0.0, 1.0, 0.0]) if abs(up[1]) < 0.9 else np.array([0.0, 0.0, -1.0])
    front = ahead - (ahead @ up) * up
    front /= np.linalg.norm(front)
    return np.stack([np.cross(front, up), front, up])


@dataclass(frozen=True)
class _Frame:
    """Where it is looked: a point and the rows right, front, up."""

    centre: np.ndarray
    axes: np.ndarray

    def sample(self, volume: CTVolume) -> np.ndarray | None:
        """HU around the point, 1 mm apart, shape (w, v, u); None where too little is in view."""
        u, v, w = (np.arange(-n, n + 1, dtype=float) for n in (HALF_U_MM, HALF_V_MM, HALF_W_MM))
        matrix, offset = volume.kji_of_ras
        start = (matrix @ self.centre + offset)[:, None, None, None]
        right, front, up = ((matrix @ row)[:, None, None, None] for row in self.axes)
        at = start + right * u + front * v[:, None] + up * w[:, None, None]
        hu = volume.sample_kji(at.reshape(3, -1).astype(np.float32)).reshape(at.shape[1:])
        near = hu[HALF_W_MM - 8 : HALF_W_MM + 9, HALF_V_MM - 10 : HALF_V_MM + 11]
        if np.isfinite(near[:, :, HALF_U_MM - 14 : HALF_U_MM + 15]).mean() < 0.9:
            return None
        return hu

    def body(self, across: np.ndarray, plates: np.ndarray, clear: float) -> BodyShape:
        """The shape in RAS, its axis upright on the mean of its endplates."""
        u0, v0, half_width, half_depth = across
        top, bottom = plates.copy()
        middle = 0.5 * (top[0] + bottom[0])
        slope_u = 0.5 * (top[1] + bottom[1]) / half_width
        slope_v = 0.5 * (top[2] + bottom[2]) / half_depth
        up = self.axes[2] - slope_u * self.axes[0] - slope_v * self.axes[1]
        right, front, up = _axes(up)
        centre = self.centre + np.array([u0, v0, middle]) @ self.axes
        for plate in (top, bottom):
            plate[0] -= middle
            plate[1] -= slope_u * half_width
            plate[2] -= slope_v * half_depth
        size = float(half_width), float(half_depth)
        return BodyShape(centre, right, front, up, *size, top, bottom, float(clear))


def _fit(
    hu: np.ndarray, height: float | None, reach: float
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Outline (u0, v0, half width, half depth), endplates (2, 4) and clearness in a frame."""
    seen = np.isfinite(hu)
    hu = _filled(hu, seen)
    planes = seen[:, HALF_V_MM - 8 : HALF_V_MM + 9, HALF_U_MM - 8 : HALF_U_MM + 9].mean(axis=(1, 2))
    planes = planes > 0.5
    half = 6.0
    middle = 0.0
    across = None
    plates = None
    for turn in range(2):
        image = _slab(hu, seen, middle, half)
        across, side = _fit_outline(image, across, reach)
        columns = columns_inside(hu, across)
        plates, ends = fit_plates(columns, planes, height, plates if turn else None)
        refine_plates(columns, plates)
        tall = plates[0, 0] - plates[1, 0]
        middle, half = 0.5 * (plates[0, 0] + plates[1, 0]), max(3.0, 0.28 * tall)
    assert across is not None and plates is not None
    if not MIN_HEIGHT_MM <= tall <= MAX_HEIGHT_MM or min(side, ends) < MIN_CLEAR:
        return None
    return across, plates, min(side, ends)


def _filled(hu: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What the CT does not show, as the nearest plane shows it: an end of view is no edge."""
    if seen.all():
        return np.asarray(hu, np.float32)
    planes = np.arange(len(hu))[:, None, None]
    nearest = np.where(seen, planes, -len(hu))
    below = np.maximum.accumulate(nearest, axis=0)
    above = np.minimum.accumulate(np.where(seen, planes, 2 * len(hu))[::-1], axis=0)[::-1]
    pick = np.where(planes - below <= above - planes, below, above)
    filled = np.take_along_axis(hu, np.clip(pick, 0, len(hu) - 1), axis=0)
    return np.asarray(np.nan_to_num(filled, nan=0.0), np.float32)


def _slab(hu: np.ndarray, seen: np.ndarray, middle: float, half: float) -> np.ndarray:
    """Mean over the planes about the body's middle, shape (v, u)."""
    low = int(np.clip(round(HALF_W_MM + middle - half), 0, len(hu) - 1))
    high = int(np.clip(round(HALF_W_MM + middle + half) + 1, low + 1, len(hu)))
    count = seen[low:high].sum(axis=0)
    return np.asarray(hu[low:high].sum(axis=0) / np.maximum(count, 1), np.float32)


def _fit_outline(
    image: np.ndarray, start: np.ndarray | None, reach: float
) -> tuple[np.ndarray, float]:
    """The best outline in a slab's mean, and how clear it is."""
    if start is None:
        half = np.arange(15.0, 31.0, 3.0)
        shapes = np.stack(
            np.meshgrid(
                np.arange(-reach, reach + 0.1, reach / 3),
                np.arange(-reach, reach + 0.1, reach / 3),
                half,
                np.array([0.64, 0.73, 0.84]),
                indexing="ij",
            ),
            axis=-1,
        ).reshape(-1, 4)
        shapes[:, 3] *= shapes[:, 2]
        scores = _outline_score(image, shapes)
        starts = shapes[np.argsort(scores)[-3:]]
    else:
        starts = start[None]
    low = np.array([-reach, -reach, HALF_WIDTHS_MM[0], HALF_DEPTHS_MM[0]])
    high = np.array([reach, reach, HALF_WIDTHS_MM[1], HALF_DEPTHS_MM[1]])
    return max(
        (climb(lambda x: _outline_score(image, x), s, 2.0, low, high) for s in starts),
        key=lambda pair: pair[1],
    )


def _outline_score(image: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Mean step around outlines (u0, v0, half width, half depth), shape (n, 4) -> (n,)."""
    angle, radius = template()
    cos, sin = np.cos(angle), np.sin(angle)
    u0, v0, a, b = (column[:, None] for column in shapes.T)
    x, y = a * radius * cos, b * radius * sin
    # Outward direction of an ellipse with these half axes.
    nx, ny = cos / a, sin / b
    norm = np.hypot(nx, ny)
    nx, ny = nx / norm, ny / norm
    offsets = np.array(INNER_MM + OUTER_MM)[:, None, None]
    values = _bilinear(image, v0 + y + offsets * ny + HALF_V_MM, u0 + x + offsets * nx + HALF_U_MM)
    step = steps(values[: len(INNER_MM)].mean(axis=0), values[len(INNER_MM) :].mean(axis=0))
    ratio = (b / a - USUAL_RATIO) / RATIO_SD
    inside = np.array(WITHIN)[:, None, None]
    within = _bilinear(image, v0 + inside * y + HALF_V_MM, u0 + inside * x + HALF_U_MM)
    strange = uneven(np.moveaxis(within, 1, 0).reshape(len(shapes), -1))
    score = (step * _wall_weights()).sum(axis=1) - UNEVEN_WEIGHT * strange
    return np.asarray(score - 0.01 * np.minimum(ratio**2, 9.0)[:, 0])


@lru_cache(maxsize=1)
def _wall_weights() -> np.ndarray:
    """What each angle counts: the canal's front more, the roots of the pedicles nothing."""
    angle, _ = template()
    behind = np.abs(np.angle(np.exp(1j * (angle + np.pi / 2))))
    weight = np.where(behind < np.radians(35), 2.0, np.where(behind < np.radians(65), 0.3, 1.0))
    return np.asarray(weight / weight.sum())


def _bilinear(image: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    row = np.clip(row, 0, image.shape[0] - 1.001)
    column = np.clip(column, 0, image.shape[1] - 1.001)
    j, i = row.astype(np.intp), column.astype(np.intp)
    y, x = (row - j).astype(np.float32), (column - i).astype(np.float32)
    flat, width = image.reshape(-1), image.shape[1]
    at = j * width + i
    upper = flat[at] * (1 - x) + flat[at + 1] * x
    lower = flat[at + width] * (1 - x) + flat[at + width + 1] * x
    return np.asarray(upper * (1 - y) + lower * y)
