"""Which vertebrae carry ribs: bone that runs from the spine far out to the side."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..volume import CTVolume
from .column import bone_map
from .straightened import Straight, sample_planes

STEP_MM = 3.0
OUT = np.arange(27.0, 82.0, STEP_MM)
"""Distances to the side of the body's centre, mm: rib heads to where a 12th rib ends."""
BEHIND = np.arange(-69.0, 4.0, STEP_MM)
"""Positions in front of the body's centre, mm (ribs lie behind it)."""
LOW_COST = 1.3
"""Steps without bone that a rib may have (partial volume, cartilage at its neck)."""


LONG_MM, SHORT_MM = 56.0, 48.0
"""Reach that divides ribs from transverse processes; the second in a narrow field of view."""


def rib_evidence(straight: Straight, reduced: CTVolume, tissue_hu: float):
    """Whether an unbroken bar of bone reaches out from each plane as a rib does, on each side.

    A transverse process ends 40 to 55 mm from the midline; a rib goes on, down
    and back. Every place to the side is followed inwards along the path with
    the least gap, upwards at most, so that each rib counts for the one
    vertebra it comes from.

    Returns
    -------
    evidence : ndarray, shape (2, n)
        For the patient's left and right: -3 (bone ends near the spine) to 3
        (it goes on beyond 65 mm); within -1.5 to 1.5 where the CT ends
        before 66 mm; NaN where it does not reach 54 mm.
    """
    n = len(straight)
    planes = np.arange(0, n, STEP_MM).astype(int)
    centre, front, right = (v[planes] for v in (straight.centre, straight.front, straight.right))
    hu = np.stack(
        [sample_planes(reduced, centre, front, right, BEHIND, way * OUT) for way in (-1, 1)]
    )
    covered = np.isfinite(hu)
    bone = bone_map(np.where(covered, hu, tissue_hu), tissue_hu)
    # Ribs are at most 12 mm thick; a kidney full of contrast is not.
    bone = bone - ndimage.grey_opening(bone, size=(1, 6, 6, 6))
    found = _follow(bone, straight.canal_mm[planes])
    covered = covered[:, :, (BEHIND > -60.0) & (BEHIND < -10.0)]
    near = covered[..., OUT <= 54.1].mean(axis=(2, 3)) > 0.8
    far = covered[..., (OUT > 54.1) & (OUT < 67.0)].mean(axis=(2, 3)) > 0.8
    wide = np.clip((found - LONG_MM) / 5.0, -3.0, 3.0)
    narrow = np.clip((found - SHORT_MM) / 3.0, -1.5, 1.5)
    values = np.where(far, wide, np.where(near, narrow, np.nan))
    return values[:, np.minimum(np.arange(n) // int(STEP_MM), len(planes) - 1)]


def _follow(bone, canal_mm):
    """Largest distance reached at low cost from each plane of either side, shape (2, planes)."""
    _, planes, _, out = bone.shape
    gap = np.clip(1.0 - bone / 0.3, 0.0, 1.0)
    at = BEHIND[None, :] + canal_mm[:, None]  # mm in front of the canal's centre
    cost = np.where((at > -16.0) & (at < 16.0), gap[..., 0], np.float32(np.inf))
    start = np.broadcast_to(np.arange(planes)[:, None], cost.shape).copy()
    best = np.zeros((2, planes))
    moves = [(t, a) for t in (-2, -1, 0) for a in (-2, -1, 0, 1)]
    moves += [(1, a) for a in (-1, 0)]
    for column in range(1, out):
        new_cost = np.full_like(cost, np.inf)
        new_start = start.copy()
        for t, a in moves:
            # Going out, a rib comes down by t planes (t < 0: from above) and back by a.
            value = _moved(cost, t, -a, np.inf) + np.float32(0.05 * (abs(t + 1) + abs(a)))
            better = value < new_cost
            np.copyto(new_start, _moved(start, t, -a, 0), where=better)
            np.copyto(new_cost, value, where=better)
        cost = new_cost + gap[..., column]
        start = new_start
        good = (bone[..., column] > 0.25) & (cost < LOW_COST + 0.05 * column)
        for side in range(2):
            best[side, start[side][good[side]]] = OUT[column]
    return best


def _moved(array, t, a, fill):
    """out[., p, b] = array[., p + t, b + a]."""
    out = np.full_like(array, fill)
    p, b = array.shape[-2:]
    out[..., max(0, -t) : p - max(0, t), max(0, -a) : b - max(0, a)] = array[
        ..., max(0, t) : p - max(0, -t), max(0, a) : b - max(0, -a)
    ]
    return out
