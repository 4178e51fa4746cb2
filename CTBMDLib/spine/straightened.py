"""The straightened spine (curved planar reformation): one plane per millimetre along the column."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..volume import CTVolume
from .bone import bone_map
from .column import Column, fill_hollow
from .settings import SETTINGS, LineSettings, RecentreSettings, SpineSettings

LATERAL = np.arange(-45.0, 45.1, 3.0)
"""Sampled positions to the patient's right of the body's centre, mm. The networks' weights
rest on these and on `AHEAD`."""
AHEAD = np.arange(-45.0, 22.6, 2.5)
"""Sampled positions in front of the body's centre, mm."""
FURTHER = np.arange(-45.0, 37.6, 2.5)
"""`AHEAD`, and on to walls that lie before the line: what is between two of them is filled."""
NEAR = LATERAL[np.abs(LATERAL) <= 25.0]
"""Those of `LATERAL` that cross the bodies."""


def between(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Which values lie within limits, these included."""
    inside: np.ndarray = (values >= limits[0]) & (values <= limits[1])
    return inside


@dataclass(frozen=True)
class StraightenedSpine:
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

    def __len__(self) -> int:
        return len(self.centre)

    def point(self, t: float | np.ndarray, right: float = 0.0, front: float = 0.0) -> np.ndarray:
        """RAS mm of a position `t` planes down the column."""
        n = np.arange(len(self))
        at = [
            np.stack([np.interp(t, n, v[:, i]) for i in range(3)], axis=-1)
            for v in (self.centre, self.right, self.front)
        ]
        point: np.ndarray = at[0] + right * at[1] + front * at[2]
        return point


class Frame(NamedTuple):
    """A centre line every millimetre with a frame that turns with the spine.

    `centre`, `up`, `right`, `front`: ndarray, shape (n, 3); `canal_mm`: ndarray, shape (n,).
    """

    centre: np.ndarray
    up: np.ndarray
    right: np.ndarray
    front: np.ndarray
    canal_mm: np.ndarray


def frame_along(column: Column, settings: LineSettings = SETTINGS.line) -> Frame:
    """Centre line every millimetre with a frame that turns with the spine."""
    body = column.body
    step = settings.node_mm
    if len(body) > 1:
        step = float(np.median(np.linalg.norm(np.diff(body, axis=0), axis=1)))
    sigma = settings.line_sigma_mm / step
    smooth = _smooth(body, sigma)
    offset = _smooth(column.canal - body, settings.offset_sigmas * sigma)
    lower = _tangent_end(smooth, -1, step, settings.end_mm)
    upper = _tangent_end(smooth, 0, step, settings.end_mm)
    back = offset[-1] - (offset[-1] @ lower) * lower
    back = back / max(np.linalg.norm(back), 1e-6)
    piece = settings.sacral_step_mm
    angle = np.deg2rad(settings.sacral_bend_deg_mm) * np.arange(
        piece / 2, settings.below_mm + 1, piece
    )
    steps = piece * (-np.cos(angle)[:, None] * lower + np.sin(angle)[:, None] * back)
    tail = smooth[-1] + np.cumsum(steps, axis=0)
    line = np.vstack([smooth[0] + upper * settings.above_mm, smooth, tail])
    offset = np.vstack([offset[0], offset, np.repeat(offset[-1:], len(tail), axis=0)])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    t = np.arange(0.0, length[-1], 1.0)
    centre = np.column_stack([np.interp(t, length, line[:, i]) for i in range(3)])
    centre = _smooth(centre, settings.centre_sigma_mm)
    offset = np.column_stack([np.interp(t, length, offset[:, i]) for i in range(3)])
    up = -_smooth(np.gradient(centre, axis=0), settings.up_sigma_mm)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    back = offset - np.sum(offset * up, axis=1, keepdims=True) * up
    canal_mm = np.linalg.norm(back, axis=1)
    front = -back / np.maximum(canal_mm[:, None], 1e-6)
    right = np.cross(front, up)
    return Frame(centre, up, right, front, canal_mm)


def sample_planes(
    source: CTVolume,
    centre: np.ndarray,
    front: np.ndarray,
    right: np.ndarray,
    ahead: np.ndarray,
    aside: np.ndarray,
) -> np.ndarray:
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
    hu: np.ndarray = source.sample_kji(points.reshape(3, -1)).reshape(points.shape[1:])
    return hu


def straighten(
    source: CTVolume,
    column: Column,
    noise_hu: float = 0.0,
    settings: LineSettings = SETTINGS.line,
) -> StraightenedSpine:
    """Sample the CT on planes across the column.

    Parameters
    ----------
    source : CTVolume
    column : Column
    noise_hu : float
        Noise of the CT averaged to 3 mm; planes of a noisy CT are smoothed.
    settings : LineSettings
    """
    frame = frame_along(column, settings)
    hu = sample_planes(source, frame.centre, frame.front, frame.right, AHEAD, LATERAL)
    if noise_hu >= settings.noisy_hu:
        outside = ~np.isfinite(hu)
        hu[outside] = 0.0
        very = noise_hu >= settings.very_noisy_hu
        sigma = settings.very_noisy_sigma if very else settings.noisy_sigma
        hu = ndimage.gaussian_filter(hu, sigma)
        hu[outside] = np.nan
    return StraightenedSpine(hu, *frame)


def recentre(
    reduced: CTVolume,
    column: Column,
    tissue_hu: float,
    settings: SpineSettings = SETTINGS,
    *,
    hollow: bool = False,
) -> Column:
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
        HU that soft tissue is taken for.
    settings : SpineSettings
    hollow : bool
        Whether hollow bodies are filled first: a front wall or an aorta with a dark body behind
        it looks like the back of a body with the canal behind it.
    """
    given = settings.recentre
    centre, _, right, front, _ = (v[:: given.plane_mm] for v in frame_along(column, settings.line))
    hu = sample_planes(reduced, centre, front, right, FURTHER if hollow else AHEAD, NEAR)
    bone = bone_map(np.where(np.isfinite(hu), hu, tissue_hu), tissue_hu, settings=settings.bone)
    if hollow:
        bone = _filled(bone, settings)[:, : len(AHEAD)]
    wall, depth = _back_wall(bone, given)
    side = _middle_aside(bone, AHEAD[None, :] - wall[:, None], given)
    first = round(settings.line.above_mm / given.plane_mm)
    last = len(bone) - round(settings.line.below_mm / given.plane_mm)
    trim = slice(first, max(first + 3, last))
    both = np.column_stack([wall + depth / 2, side])
    move = _smooth(both[trim], given.move_sigma_mm / given.plane_mm)
    body = centre[trim] + move[:, :1] * front[trim] + move[:, 1:] * right[trim]
    canal = body - (depth / 2 + given.canal_behind_wall_mm) * front[trim]
    return Column(body, canal, np.ones(len(body)))


def _filled(bone: np.ndarray, settings: SpineSettings) -> np.ndarray:
    """The planes of `recentre` with the inside of hollow bodies as bright as their walls."""
    given = settings.recentre
    sigma = given.hollow_sigma_mm / given.plane_mm
    mean = ndimage.gaussian_filter1d(bone, sigma, axis=0, mode="nearest")
    return fill_hollow(mean, replace(settings.column, hollow=given.hollow, hole=given.hole))


def _back_wall(bone: np.ndarray, given: RecentreSettings) -> tuple[np.ndarray, float]:
    """Back wall of the bodies in each plane, mm before the line, and their usual depth."""
    middle = bone[:, :, np.abs(NEAR) <= given.middle_mm].mean(axis=2)
    sigma = given.wall_sigma_mm / given.plane_mm
    middle = ndimage.gaussian_filter1d(middle, sigma, axis=0, mode="nearest")
    ahead = _mean_beside(middle, 1, given.beside_samples)
    behind = _mean_beside(middle, -given.beside_samples, -1)
    score = ahead - given.behind_weight * behind
    score[:, ~between(AHEAD, given.wall_mm)] = given.no_wall
    wall: np.ndarray = AHEAD[_smooth_path(score, given.step_cost)]
    gap = AHEAD[None, :] - wall[:, None]  # mm in front of the back wall
    deep = (gap >= given.depth_mm[0]) & (gap <= given.depth_mm[1])
    edge = np.where(deep, behind - ahead, -np.inf).argmax(axis=1)
    depths = gap[deep.any(axis=1), edge[deep.any(axis=1)]]
    if not len(depths):
        return wall, given.unknown_depth_mm
    return wall, float(np.clip(np.percentile(depths, 50), *given.usual_depth_mm))


def _middle_aside(bone: np.ndarray, gap: np.ndarray, given: RecentreSettings) -> np.ndarray:
    """How far to the right the middle of the body's back lies in each plane, mm."""
    sample = AHEAD[1] - AHEAD[0]
    back = ((gap > sample / 2) & (gap < given.back_mm)).astype(np.float32)
    rows = np.einsum("tar,ta->tr", bone, back)
    sigma = given.side_sigma_mm / given.plane_mm
    rows = ndimage.gaussian_filter1d(rows, sigma, axis=0, mode="nearest")
    weight = rows.sum(axis=1)
    middle = rows @ NEAR / np.maximum(weight, given.min_bone)
    side: np.ndarray = np.where(weight > given.min_bone, middle, 0.0)
    return side.clip(-given.max_aside_mm, given.max_aside_mm)


def _mean_beside(values: np.ndarray, first: int, last: int) -> np.ndarray:
    """Mean of values[:, a + first .. a + last] for every a."""
    n = values.shape[1]
    columns = np.arange(n)
    mean: np.ndarray = np.mean(
        [values[:, np.clip(columns + s, 0, n - 1)] for s in range(first, last + 1)], axis=0
    )
    return mean


def _smooth_path(score: np.ndarray, step_cost: float) -> np.ndarray:
    """Column of the best path through the rows, one step aside a row at most."""
    total = score.copy()
    came = np.zeros(score.shape, int)
    for t in range(1, len(score)):
        padded = np.pad(total[t - 1], 1, constant_values=-np.inf)
        three = np.stack([padded[:-2] - step_cost, padded[1:-1], padded[2:] - step_cost])
        best = three.argmax(axis=0)
        total[t] += three.max(axis=0)
        came[t] = best - 1
    path = np.empty(len(score), int)
    path[-1] = int(total[-1].argmax())
    for t in range(len(score) - 1, 0, -1):
        path[t - 1] = path[t] + came[t, path[t]]
    return path


def _smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values smoothed along the first axis."""
    # Reflecting about the end point keeps the direction of the ends.
    n = len(values)
    pad = min(n - 1, int(4 * sigma) + 1)
    if pad < 1:
        return values.copy()
    head = 2 * values[0] - values[pad:0:-1]
    tail = 2 * values[-1] - values[-2 : -pad - 2 : -1]
    long = np.vstack([head, values, tail])
    smooth: np.ndarray = ndimage.gaussian_filter1d(long, sigma, axis=0)
    return smooth[pad : pad + n]


def _tangent_end(points: np.ndarray, end: int, step: float, length_mm: float) -> np.ndarray:
    """Unit vector to the head at the first (0) or last (-1) point, shape (3,)."""
    count = min(len(points) - 1, max(1, int(round(length_mm / step))))
    if count < 1:
        return np.array([0.0, 0.0, 1.0])
    way: np.ndarray = points[0] - points[count] if end == 0 else points[-1 - count] - points[-1]
    way /= max(np.linalg.norm(way), 1e-6)
    return way
