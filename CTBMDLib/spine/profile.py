"""Profiles along the straightened spine and the chain of discs through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .column import bone_map
from .straightened import AHEAD, LATERAL, Straight

HEIGHTS = np.arange(20, 53)
"""Disc-to-disc distances that are tried, mm (T9 of a small person to L5 of a tall one)."""
TILTS = (-0.3, -0.15, 0.0, 0.15, 0.3)
"""Disc tilts in the sagittal plane that are tried, mm along the spine per mm forward."""


@dataclass(frozen=True)
class Profiles:
    """Curves along the column, one value a millimetre, shape (n,) each.

    Attributes
    ----------
    tilt : ndarray
        The tilt of a disc where a plane looks most like one, mm per mm forward.
    pedicle : ndarray, shape (2, n)
        Bone beside the front of the canal, left and right, 0 to 1.
    body : ndarray
        Bone within the outline of a body, 0 to 1.
    wings : ndarray, shape (2, n)
        Bone beside the body, left and right, where only the sacrum has it, 0 to 1;
        NaN where the CT does not reach.
    seen : ndarray of bool
        Planes whose body lies inside the CT.
    """

    tilt: np.ndarray
    pedicle: np.ndarray
    body: np.ndarray
    wings: np.ndarray
    seen: np.ndarray


def make_profiles(straight: Straight, tissue_hu: float) -> Profiles:
    """Measure the straightened spine.

    Parameters
    ----------
    straight : Straight
    tissue_hu : float
        HU of muscle in this CT.
    """
    hu = straight.hu
    seen_voxel = np.isfinite(hu)
    core = (np.abs(AHEAD) <= 10.1)[:, None] & (np.abs(LATERAL) <= 12.1)[None, :]
    seen = seen_voxel[:, core].mean(axis=1) > 0.95
    filled = np.where(seen_voxel, hu, tissue_hu)
    bone = bone_map(filled, tissue_hu)

    body_mask = (np.abs(AHEAD) <= 13.0)[:, None] & (np.abs(LATERAL) <= 18.1)[None, :]
    body = bone[:, body_mask].mean(axis=1)

    # Pedicles join the front of the canal's sides; the foramina below them are
    # open. Each side's strongest place counts, for a turned or curved spine.
    offset = AHEAD[None, :] + straight.canal_mm[:, None]  # mm in front of the canal's centre
    band = (offset >= -4.0) & (offset <= 8.0)
    weight = band / np.maximum(band.sum(axis=1, keepdims=True), 1)
    across = np.einsum("tar,ta->tr", bone, weight)
    ahead = ((AHEAD >= -12.6) & (AHEAD <= 7.6))[:, None]
    pedicle, wings = [], []
    for sign in (-1, 1):
        at = (sign * LATERAL >= 8.9) & (sign * LATERAL <= 21.1)
        pedicle.append(across[:, at].max(axis=1))
        at = ahead & ((sign * LATERAL >= 29.9) & (sign * LATERAL <= 45.1))[None, :]
        covered = seen_voxel[:, at].mean(axis=1)
        wings.append(np.where(covered > 0.6, bone[:, at].mean(axis=1), np.nan))
    smooth = ndimage.gaussian_filter1d
    return Profiles(_disc_tilt(filled), np.array(pedicle), smooth(body, 1.0), np.array(wings), seen)


def _disc_tilt(hu):
    """Tilt of the dark band between two bright endplates, in each plane."""
    n = len(hu)
    clipped = np.clip(hu, -100.0, 450.0)
    ahead = np.abs(AHEAD) <= 10.1
    side = np.abs(LATERAL) <= 12.1
    middle = clipped[:, ahead][:, :, side].mean(axis=2)  # (n, a)
    best = np.full(n, -np.inf, np.float32)
    tilt = np.zeros(n, np.float32)
    t = np.arange(n)
    for slope in TILTS:
        moved = np.stack(
            [np.interp(t + slope * a, t, middle[:, i]) for i, a in enumerate(AHEAD[ahead])]
        ).mean(axis=0)
        level = ndimage.gaussian_filter1d(moved, 14.0)
        high = moved - level
        spread = np.sqrt(ndimage.gaussian_filter1d(high**2, 25.0)) + 8.0
        high = high / spread
        for width in (5, 7, 10, 13):
            value = _band(high, width) - 0.3 * abs(slope)
            better = value > best
            best[better] = value[better]
            tilt[better] = slope
    return tilt


def _band(high, width):
    """Mean of two rims minus the mean of the band of `width` mm between them."""
    half = width / 2.0
    x = np.arange(-12, 13)
    inside = np.clip(half + 0.5 - np.abs(x), 0, 1)
    rim = np.clip(3.0 - np.abs(np.abs(x) - half - 2.5), 0, 1) * (np.abs(x) > half)
    kernel = rim / (2 * (rim * (x > 0)).sum()) - inside / inside.sum()
    # Both rims must be there: one bright side alone is the edge of a fracture
    # or of the field of view.
    left = np.where(x < 0, rim, 0) / (rim * (x < 0)).sum()
    right = np.where(x > 0, rim, 0) / (rim * (x > 0)).sum()
    centre = ndimage.correlate1d(high, inside / inside.sum(), mode="nearest")
    both = np.minimum(
        ndimage.correlate1d(high, left, mode="nearest"),
        ndimage.correlate1d(high, right, mode="nearest"),
    )
    return 0.5 * ndimage.correlate1d(high, kernel, mode="nearest") + 0.5 * (both - centre)


def find_chain(disc, body, seen):
    """The most likely discs from head to feet.

    Every vertebra between two discs earns their likeness and that of the body
    between them, and pays for a height unlike its neighbour's. The first and
    last disc may lie just outside the CT, where the body is whole.

    Parameters
    ----------
    disc, body : ndarray, shape (n,)
        Log-odds that a disc's or a body's middle lies in the plane.
    seen : ndarray of bool, shape (n,)
        Planes whose body lies inside the CT.

    Returns
    -------
    discs : ndarray of int, shape (m,)
        Plane of each disc's middle; empty where no chain of two vertebrae stands out.
    scores : ndarray, shape (m - 1,)
        What each vertebra earned, at most 1.9; above 0 speaks for it.
    """
    n = len(seen)
    reward = np.full((n, len(HEIGHTS)), -np.inf)
    disc = np.clip(disc / 3.0, -1.2, 1.0)
    body = ndimage.maximum_filter1d(np.clip(body / 3.0, -1.2, 1.0), 5)
    total_seen = np.concatenate([[0], np.cumsum(seen)])
    for column, height in enumerate(HEIGHTS):
        if height >= n:
            break
        b = np.arange(height, n)
        a = b - height
        value = 0.5 * (disc[a] + disc[b]) + 0.9 * body[(a + b) // 2]
        value -= ((height - 36.0) / 14.0) ** 4 * 0.15
        low, high = a + int(round(0.2 * height)), b - int(round(0.2 * height))
        whole = total_seen[high] - total_seen[low] > 0.97 * (high - low)
        reward[b, column] = np.where(whole, value, -np.inf)

    growth = HEIGHTS[:, None] - HEIGHTS[None, :]  # this minus the one above
    change = -0.5 * ((growth - 1.0) / 4.0) ** 2
    change = np.maximum(change, -3.0)
    total = np.full((n, len(HEIGHTS)), -np.inf)
    came = np.full((n, len(HEIGHTS)), -1)
    # A vertebra ends at least HEIGHTS[0] planes below the one above it, so that
    # many planes do not depend on each other and are worked on together.
    for start in range(HEIGHTS[0], n, HEIGHTS[0]):
        rows = np.arange(start, min(start + HEIGHTS[0], n))
        above = rows[:, None] - HEIGHTS
        before = np.where((above >= 0)[..., None], total[above], -np.inf) + change
        best = before.argmax(axis=2)
        gain = np.take_along_axis(before, best[..., None], axis=2)[..., 0]
        joined = (gain > 0) & np.isfinite(reward[rows])
        came[rows] = np.where(joined, best, -1)
        total[rows] = reward[rows] + np.where(joined, gain, 0.0)
    if not np.isfinite(total).any() or total.max() <= 0:
        return np.zeros(0, int), np.zeros(0)
    b, column = np.unravel_index(int(total.argmax()), total.shape)
    discs, scores = [b], []
    while column >= 0:
        scores.append(reward[b, column])
        previous = came[b, column]
        b = b - HEIGHTS[column]
        discs.append(b)
        column = previous
    return np.array(discs[::-1]), np.array(scores[::-1])
