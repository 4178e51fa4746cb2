"""The spine laid straight: one plane per millimetre along the column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .column import Column, bone_map

LATERAL = np.arange(-45.0, 45.1, 3.0)
"""Sampled positions to the patient's right of the body's centre, mm."""
AHEAD = np.arange(-45.0, 22.6, 2.5)
"""Sampled positions in front of the body's centre, mm."""
NEAR = LATERAL[np.abs(LATERAL) <= 25.0]
"""Those of `LATERAL` that cross the bodies."""
ROUGH_MM = 4
"""Distance of the planes from which the line through the bodies is corrected."""
BELOW_MM, ABOVE_MM = 70.0, 12.0
"""How far the line is carried on past both ends of the trace."""


@dataclass(frozen=True)
class Straight:
    """Planes across the column, every millimetre from head to feet.

    Attributes
    ----------
    hu : ndarray, shape (n, len(AHEAD), len(LATERAL)), float32
        NaN outside the CT.
    centre, up, right, front : ndarray, shape (n, 3)
        RAS mm of each plane's origin and its unit vectors.
    canal_mm : ndarray, shape (n,)
        Distance from the body's centre back to the canal's.
    """

    hu: np.ndarray
    centre: np.ndarray
    up: np.ndarray
    right: np.ndarray
    front: np.ndarray
    canal_mm: np.ndarray

    def __len__(self):
        return len(self.centre)

    def point(self, t, right=0.0, front=0.0) -> np.ndarray:
        """RAS mm of a position `t` planes down the column."""
        n = np.arange(len(self))
        at = [
            np.stack([np.interp(t, n, v[:, i]) for i in range(3)], axis=-1)
            for v in (self.centre, self.right, self.front)
        ]
        return at[0] + right * at[1] + front * at[2]


def frame_along(column: Column):
    """Centre line every millimetre with a frame that turns with the spine.

    Returns
    -------
    centre, up, right, front : ndarray, shape (n, 3)
    canal_mm : ndarray, shape (n,)
    """
    body = column.body
    step = float(np.median(np.linalg.norm(np.diff(body, axis=0), axis=1))) if len(body) > 1 else 6.0
    sigma = 10.0 / step
    smooth = _smooth(body, sigma)
    offset = _smooth(column.canal - body, 3 * sigma)
    lower = _tangent_end(smooth, -1, step)
    upper = _tangent_end(smooth, 0, step)
    # Past the last body the sacrum bends backwards, 10 to 20 degrees a segment.
    back = offset[-1] - (offset[-1] @ lower) * lower
    back = back / max(np.linalg.norm(back), 1e-6)
    angle = np.deg2rad(0.35) * np.arange(5.0, BELOW_MM + 1, 10.0)
    steps = 10.0 * (-np.cos(angle)[:, None] * lower + np.sin(angle)[:, None] * back)
    tail = smooth[-1] + np.cumsum(steps, axis=0)
    line = np.vstack([smooth[0] + upper * ABOVE_MM, smooth, tail])
    offset = np.vstack([offset[0], offset, np.repeat(offset[-1:], len(tail), axis=0)])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    t = np.arange(0.0, length[-1], 1.0)
    centre = np.column_stack([np.interp(t, length, line[:, i]) for i in range(3)])
    centre = _smooth(centre, 6.0)
    offset = np.column_stack([np.interp(t, length, offset[:, i]) for i in range(3)])
    up = -_smooth(np.gradient(centre, axis=0), 8.0)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    back = offset - np.sum(offset * up, axis=1, keepdims=True) * up
    canal_mm = np.linalg.norm(back, axis=1)
    front = -back / np.maximum(canal_mm[:, None], 1e-6)
    right = np.cross(front, up)
    return centre, up, right, front, canal_mm


def sample_planes(source, centre, front, right, ahead, aside) -> np.ndarray:
    """HU on planes, each with its own centre and directions.

    Parameters
    ----------
    source : CTVolume
    centre, front, right : ndarray, shape (n, 3)
        RAS mm of each plane's origin and its unit vectors.
    ahead, aside : ndarray, shape (a,) and (r,)
        Positions along `front` and `right`, mm.

    Returns
    -------
    ndarray, shape (n, a, r), float32
        NaN outside the CT.
    """
    # The indices are laid out without making every point's RAS first.
    matrix, offset = source.kji_of_ras
    start, rows, columns = (
        (v @ matrix.T).T.astype(np.float32)[:, :, None, None] for v in (centre, front, right)
    )
    start = start + offset.astype(np.float32)[:, None, None, None]
    rows = start + ahead.astype(np.float32)[:, None] * rows
    points = rows + aside.astype(np.float32) * columns
    return source.sample_kji(points.reshape(3, -1)).reshape(points.shape[1:])


def straighten(source, column: Column, noise_hu: float = 0.0) -> Straight:
    """Sample the CT on planes across the column.

    Parameters
    ----------
    source : CTVolume
    column : Column
    noise_hu : float
        Noise of the CT averaged to 3 mm; planes of a noisy CT are smoothed.
    """
    centre, up, right, front, canal_mm = frame_along(column)
    hu = sample_planes(source, centre, front, right, AHEAD, LATERAL)
    if noise_hu >= 8.0:
        outside = ~np.isfinite(hu)
        hu[outside] = 0.0
        sigma = (0.8, 0.5, 0.5) if noise_hu < 20.0 else (1.2, 0.8, 0.8)
        hu = ndimage.gaussian_filter(hu, sigma)
        hu[outside] = np.nan
    return Straight(hu, centre, up, right, front, canal_mm)


def recentre(reduced, column: Column, tissue_hu: float) -> Column:
    """Move the line to the middle of the bodies, found from their back wall.

    The canal behind the body is dark whatever the patient was given, whereas
    in front an aorta full of contrast looks like bone. So the back wall is
    followed along the spine, and half of the usual depth put in front of it;
    sideways, only the back of the body is weighed.

    Parameters
    ----------
    reduced : CTVolume
        As `reduce_ct` makes it; what is sought here is smoothed over 8 mm and more.
    column : Column
    tissue_hu : float
    """
    frame = [v[::ROUGH_MM] for v in frame_along(column)]
    centre, _, right, front, _ = frame
    hu = sample_planes(reduced, centre, front, right, AHEAD, NEAR)
    bone = bone_map(np.where(np.isfinite(hu), hu, tissue_hu), tissue_hu)
    middle = bone[:, :, np.abs(NEAR) <= 7.6].mean(axis=2)
    middle = ndimage.gaussian_filter1d(middle, 8.0 / ROUGH_MM, axis=0, mode="nearest")
    ahead4 = _mean_beside(middle, 1, 4)  # 0 to 8 mm in front
    behind4 = _mean_beside(middle, -4, -1)
    wall_score = ahead4 - 1.5 * behind4
    wall_score[:, (AHEAD < -30.0) | (AHEAD > -4.0)] = -5.0
    wall = AHEAD[_smooth_path(wall_score)]
    gap = AHEAD[None, :] - wall[:, None]  # mm in front of the back wall
    deep = (gap >= 22.0) & (gap <= 42.0)
    edge = np.where(deep, behind4 - ahead4, -np.inf).argmax(axis=1)
    depth = gap[deep.any(axis=1), edge[deep.any(axis=1)]]
    depth = float(np.clip(np.percentile(depth, 50), 28.0, 38.0)) if len(depth) else 30.0
    shift = wall + depth / 2

    step = AHEAD[1] - AHEAD[0]
    back = ((gap > step / 2) & (gap < 14.0)).astype(np.float32)
    rows = np.einsum("tar,ta->tr", bone, back)
    rows = ndimage.gaussian_filter1d(rows, 6.0 / ROUGH_MM, axis=0, mode="nearest")
    weight = rows.sum(axis=1)
    side = np.where(weight > 0.5, rows @ NEAR / np.maximum(weight, 0.5), 0.0).clip(-10, 10)
    first = round(ABOVE_MM / ROUGH_MM)
    trim = slice(first, max(first + 3, len(bone) - round(BELOW_MM / ROUGH_MM)))
    move = _smooth(np.column_stack([shift, side])[trim], 12.0 / ROUGH_MM)
    body = centre[trim] + move[:, :1] * front[trim] + move[:, 1:] * right[trim]
    canal = body - (depth / 2 + 8.0) * front[trim]
    return Column(body, canal, np.ones(len(body)))


def _mean_beside(values, first, last):
    """Mean of values[:, a + first .. a + last] for every a."""
    n = values.shape[1]
    columns = np.arange(n)
    return np.mean(
        [values[:, np.clip(columns + s, 0, n - 1)] for s in range(first, last + 1)], axis=0
    )


def _smooth_path(score):
    """Column of the best path through the rows, one step aside a row at most."""
    total = score.copy()
    came = np.zeros(score.shape, int)
    for t in range(1, len(score)):
        padded = np.pad(total[t - 1], 1, constant_values=-np.inf)
        three = np.stack([padded[:-2] - 0.05, padded[1:-1], padded[2:] - 0.05])
        best = three.argmax(axis=0)
        total[t] += three.max(axis=0)
        came[t] = best - 1
    path = np.empty(len(score), int)
    path[-1] = int(total[-1].argmax())
    for t in range(len(score) - 1, 0, -1):
        path[t - 1] = path[t] + came[t, path[t]]
    return path


def _smooth(values, sigma):
    # Reflecting about the end point keeps the direction of the ends.
    n = len(values)
    pad = min(n - 1, int(4 * sigma) + 1)
    if pad < 1:
        return values.copy()
    head = 2 * values[0] - values[pad:0:-1]
    tail = 2 * values[-1] - values[-2 : -pad - 2 : -1]
    long = np.vstack([head, values, tail])
    return ndimage.gaussian_filter1d(long, sigma, axis=0)[pad : pad + n]


def _tangent_end(points, end, step):
    count = min(len(points) - 1, max(1, int(round(24 / step))))
    if count < 1:
        return np.array([0.0, 0.0, 1.0])
    way = points[0] - points[count] if end == 0 else points[-1 - count] - points[-1]
    return way / max(np.linalg.norm(way), 1e-6)
