"""Which vertebrae carry ribs: bone that runs from the spine far out to the side."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..volume import CTVolume
from .bone import bone_map
from .settings import SETTINGS, RibSettings, SpineSettings
from .straightened import StraightenedSpine, between, sample_planes

STEP_MM = 3.0
OUT = np.arange(27.0, 82.0, STEP_MM)
"""Distances to the side of the body's centre, mm: rib heads to where a 12th rib ends. The side
network's weights rest on these and on `BEHIND`."""
BEHIND = np.arange(-69.0, 4.0, STEP_MM)
"""Positions in front of the body's centre, mm (ribs lie behind it)."""


def rib_evidence(
    straight: StraightenedSpine,
    reduced: CTVolume,
    tissue_hu: float,
    settings: SpineSettings = SETTINGS,
) -> tuple[np.ndarray, np.ndarray]:
    """Whether an unbroken bar of bone reaches out from each plane as a rib does, on each side.

    A transverse process ends 40 to 55 mm from the midline; a rib goes on, down
    and back. Every place to the side is followed inwards along the path with
    the least gap, upwards at most, so that each rib counts for the one
    vertebra it comes from.

    Parameters
    ----------
    straight : StraightenedSpine
    reduced : CTVolume
        Where what lies further to the side is sampled.
    tissue_hu : float
        HU of muscle in this CT.
    settings : SpineSettings

    Returns
    -------
    evidence : ndarray, shape (2, n)
        For the patient's left and right: -3 (bone ends near the spine) to 3
        (it goes on beyond 65 mm); within -1.5 to 1.5 where the CT ends
        before 66 mm; NaN where it does not reach 54 mm.
    far : ndarray of bool, shape (2, n)
        Where it reaches 66 mm.
    """
    given = settings.ribs
    n = len(straight)
    planes = np.arange(0, n, STEP_MM).astype(int)
    centre, front, right = (v[planes] for v in (straight.centre, straight.front, straight.right))
    hu = np.stack(
        [sample_planes(reduced, centre, front, right, BEHIND, way * OUT) for way in (-1, 1)]
    )
    covered = np.isfinite(hu)
    bone = bone_map(np.where(covered, hu, tissue_hu), tissue_hu, settings=settings.bone)
    thick = (1, given.opening, given.opening, given.opening)
    bone = bone - ndimage.grey_opening(bone, size=thick)
    found = _follow(bone, straight.canal_mm[planes], given)
    covered = covered[:, :, between(BEHIND, given.covered_mm)]
    near = covered[..., between(OUT, given.near_mm)].mean(axis=(2, 3)) > given.min_covered
    far = covered[..., between(OUT, given.far_mm)].mean(axis=(2, 3)) > given.min_covered
    most, most_short = given.max_evidence, given.max_short_evidence
    wide = np.clip((found - given.long_mm) / given.long_step_mm, -most, most)
    narrow = np.clip((found - given.short_mm) / given.short_step_mm, -most_short, most_short)
    values: np.ndarray = np.where(far, wide, np.where(near, narrow, np.nan))
    plane = np.minimum(np.arange(n) // int(STEP_MM), len(planes) - 1)
    return values[:, plane], far[:, plane]


def _follow(bone: np.ndarray, canal_mm: np.ndarray, given: RibSettings) -> np.ndarray:
    """Largest distance reached at low cost from each plane of either side, shape (2, planes)."""
    _, planes, _, out = bone.shape
    gap = np.clip(1.0 - bone / given.full_bone, 0.0, 1.0)
    at = BEHIND[None, :] + canal_mm[:, None]  # mm in front of the canal's centre
    starts = (at > -given.start_mm) & (at < given.start_mm)
    cost = np.where(starts, gap[..., 0], np.float32(np.inf))
    start = np.broadcast_to(np.arange(planes)[:, None], cost.shape).copy()
    best = np.zeros((2, planes))
    # Going out, a rib comes down by t planes (t < 0: from above) and back by a.
    moves = [(t, a) for t in (-2, -1, 0) for a in (-2, -1, 0, 1)]
    moves += [(1, a) for a in (-1, 0)]
    for column in range(1, out):
        new_cost = np.full_like(cost, np.inf)
        new_start = start.copy()
        for t, a in moves:
            price = np.float32(given.bend_cost * (abs(t + 1) + abs(a)))
            value = _moved(cost, t, -a, np.inf) + price
            better = value < new_cost
            np.copyto(new_start, _moved(start, t, -a, 0), where=better)
            np.copyto(new_cost, value, where=better)
        cost = new_cost + gap[..., column]
        start = new_start
        limit = given.max_gap_cost + given.gap_cost_step * column
        good = (bone[..., column] > given.min_bone) & (cost < limit)
        for side in range(2):
            best[side, start[side][good[side]]] = OUT[column]
    return best


def _moved(array: np.ndarray, t: int, a: int, fill: float) -> np.ndarray:
    """out[., p, b] = array[., p + t, b + a]."""
    out = np.full_like(array, fill)
    p, b = array.shape[-2:]
    out[..., max(0, -t) : p - max(0, t), max(0, -a) : b - max(0, a)] = array[
        ..., max(0, t) : p - max(0, -t), max(0, a) : b - max(0, -a)
    ]
    return out
