"""Profiles along the straightened spine and the chain of discs through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .spine_column import bone_map
from .spine_straight import AHEAD, LATERAL, Straight

HEIGHTS = np.arange(20, 53)
"""Disc-to-disc distances that are tried, mm (T9 of a small person to L5 of a tall one)."""
TILTS = (-0.3, -0.15, 0.0, 0.15, 0.3)
"""Disc tilts in the sagittal plane that are tried, mm along the spine per mm forward."""


@dataclass(frozen=True)
class Profiles:
    """Curves along the column, one value a millimetre, shape (n,) each.

    Attributes
    ----------
    disc : ndarray
        How much a plane looks like a disc between two endplates, about -1 to 3.
    tilt : ndarray
        The disc's tilt where it looks most like one, mm per mm forward.
    pedicle : ndarray
        Bone beside the front of the canal, 0 to 1.
    body : ndarray
        Bone within the outline of a body, 0 to 1.
    ala : ndarray
        Bone on both sides of the body where only the sacrum has it, 0 to 1;
        NaN where the CT does not reach.
    seen : ndarray of bool
        Planes whose body lies inside the CT.
    """

    disc: np.ndarray
    tilt: np.ndarray
    pedicle: np.ndarray
    body: np.ndarray
    ala: np.ndarray
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

    disc, tilt = _disc_likeness(filled)
    disc = np.where(seen, disc, -1.0)

    body_mask = (np.abs(AHEAD) <= 13.0)[:, None] & (np.abs(LATERAL) <= 18.1)[None, :]
    body = bone[:, body_mask].mean(axis=1)

    # Pedicles join the front of the canal's sides; the foramina below them are
    # open. Each side's strongest place counts, for a turned or curved spine.
    offset = AHEAD[None, :] + straight.canal_mm[:, None]  # mm in front of the canal's centre
    band = (offset >= -4.0) & (offset <= 8.0)
    weight = band / np.maximum(band.sum(axis=1, keepdims=True), 1)
    across = np.einsum("tar,ta->tr", bone, weight)
    sides = []
    for sign in (-1, 1):
        at = (sign * LATERAL >= 8.9) & (sign * LATERAL <= 21.1)
        sides.append(ndimage.uniform_filter1d(across[:, at], 3, axis=1).max(axis=1))
    pedicle = 0.5 * (sides[0] + sides[1])
    # In units of the strongest pedicles, so that bone poor in mineral counts as well.
    strongest = float(np.percentile(pedicle[seen], 90)) if seen.any() else 1.0
    pedicle = np.clip(pedicle / max(strongest, 0.25), 0.0, 1.0)

    ahead = ((AHEAD >= -12.6) & (AHEAD <= 7.6))[:, None]
    wings = []
    for sign in (-1, 1):
        at = ahead & ((sign * LATERAL >= 29.9) & (sign * LATERAL <= 45.1))[None, :]
        covered = seen_voxel[:, at].mean(axis=1)
        wings.append(np.where(covered > 0.6, bone[:, at].mean(axis=1), np.nan))
    ala = np.minimum(wings[0], wings[1])
    one = np.where(np.isnan(wings[0]), wings[1], wings[0])
    ala = np.where(np.isnan(ala), one, ala)
    smooth = ndimage.gaussian_filter1d
    return Profiles(disc, tilt, smooth(pedicle, 1.5), smooth(body, 1.0), ala, seen)


def _disc_likeness(hu):
    """Dark band between two bright endplates, in units of the local contrast."""
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
    return best, tilt


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


def find_chain(profiles: Profiles):
    """The most likely discs from head to feet.

    Every vertebra between two discs earns their likeness, its pedicles where
    pedicles belong (upper half), and pays for a height unlike its neighbour's.

    Returns
    -------
    discs : ndarray of int, shape (m,)
        Plane of each disc's middle; empty where no chain of two vertebrae stands out.
    scores : ndarray, shape (m - 1,)
        What each vertebra earned; above 0 speaks for it.
    """
    n = len(profiles.disc)
    reward = np.full((n, len(HEIGHTS)), -np.inf)
    total_pedicle = np.concatenate([[0], np.cumsum(profiles.pedicle)])
    total_body = np.concatenate([[0], np.cumsum(profiles.body)])
    count_seen = np.concatenate([[0], np.cumsum(profiles.seen)])

    def mean(total, low, high):
        low, high = np.rint(low).astype(int), np.rint(high).astype(int)
        low, high = np.clip(low, 0, n), np.clip(high, 0, n)
        return (total[high] - total[low]) / np.maximum(high - low, 1)

    for column, height in enumerate(HEIGHTS):
        if height >= n:
            break
        b = np.arange(height, n)
        a = b - height
        pedicles = mean(total_pedicle, a + 0.12 * height, a + 0.48 * height) - mean(
            total_pedicle, a + 0.65 * height, a + 1.0 * height
        )
        solid = mean(total_body, a + 0.2 * height, a + 0.8 * height)
        value = 0.5 * (np.clip(profiles.disc[a], -1, 2) + np.clip(profiles.disc[b], -1, 2))
        value += 2.0 * np.clip(pedicles, -0.1, 0.5) - 0.8
        value -= 10.0 * np.clip(0.12 - solid, 0, None)
        value -= ((height - 36.0) / 14.0) ** 4 * 0.15
        value = np.where(mean(count_seen, a, b) > 0.97, value, -np.inf)
        reward[b, column] = value

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
