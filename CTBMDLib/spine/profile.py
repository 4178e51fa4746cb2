"""Profiles along the straightened spine and the chain of discs through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .bone import bone_map
from .settings import SETTINGS, ChainSettings, SpineSettings, TiltSettings
from .straightened import AHEAD, LATERAL, StraightenedSpine, between


@dataclass(frozen=True)
class Profiles:
    """Bone of the straightened spine, and curves along it: one value a millimetre, shape (n,).

    Attributes
    ----------
    bone : ndarray, shape (n, len(AHEAD), len(LATERAL)), float32
        `bone_map` of the straightened spine, 0 to 1; 0 outside the CT.
    tilt : ndarray
        The tilt of a disc where a plane looks most like one, mm per mm forward.
    pedicle : ndarray, shape (2, n)
        Bone beside the front of the canal, left and right, 0 to 1.
    body : ndarray
        Bone within the outline of a body, 0 to 1.
    ala : ndarray, shape (2, n)
        Bone beside the body, left and right, where only the sacrum has it, 0 to 1;
        NaN where the CT does not reach.
    seen : ndarray of bool
        Planes whose body lies inside the CT.
    """

    bone: np.ndarray
    tilt: np.ndarray
    pedicle: np.ndarray
    body: np.ndarray
    ala: np.ndarray
    seen: np.ndarray


def make_profiles(
    straight: StraightenedSpine, tissue_hu: float, settings: SpineSettings = SETTINGS
) -> Profiles:
    """Measure the straightened spine.

    Parameters
    ----------
    straight : StraightenedSpine
    tissue_hu : float
        HU of muscle in this CT.
    settings : SpineSettings
    """
    given = settings.profile
    hu = straight.hu
    seen_voxel = np.isfinite(hu)
    core = _within(given.core_ahead_mm, given.core_side_mm)
    seen = seen_voxel[:, core].mean(axis=1) > given.min_core_seen
    filled = np.where(seen_voxel, hu, tissue_hu)
    bone = bone_map(filled, tissue_hu, settings=settings.bone)
    body = bone[:, _within(given.body_ahead_mm, given.body_side_mm)].mean(axis=1)

    # Pedicles join the front of the canal's sides; the foramina below them are
    # open. Each side's strongest place counts, for a turned or curved spine.
    offset = AHEAD[None, :] + straight.canal_mm[:, None]  # mm in front of the canal's centre
    band = between(offset, given.pedicle_ahead_mm)
    weight = band / np.maximum(band.sum(axis=1, keepdims=True), 1)
    across = np.einsum("tar,ta->tr", bone, weight)
    ahead = between(AHEAD, given.ala_ahead_mm)[:, None]
    pedicle, ala = [], []
    for sign in (-1, 1):
        pedicle.append(across[:, between(sign * LATERAL, given.pedicle_side_mm)].max(axis=1))
        at = ahead & between(sign * LATERAL, given.ala_side_mm)[None, :]
        covered = seen_voxel[:, at].mean(axis=1) > given.min_ala_seen
        ala.append(np.where(covered, bone[:, at].mean(axis=1), np.nan))
    tilt = _disc_tilt(filled, settings)
    body = ndimage.gaussian_filter1d(body, given.body_sigma_mm)
    return Profiles(bone, tilt, np.array(pedicle), body, np.array(ala), seen)


def _within(ahead_mm: float, side_mm: float) -> np.ndarray:
    """Samples of a plane so near to its middle."""
    within: np.ndarray = (np.abs(AHEAD) <= ahead_mm)[:, None] & (np.abs(LATERAL) <= side_mm)
    return within


def _disc_tilt(hu: np.ndarray, settings: SpineSettings) -> np.ndarray:
    """Tilt of the dark band between two bright endplates, in each plane."""
    given: TiltSettings = settings.tilt
    n = len(hu)
    clipped = np.clip(hu, *given.hu_range)
    ahead = np.abs(AHEAD) <= settings.profile.core_ahead_mm
    side = np.abs(LATERAL) <= settings.profile.core_side_mm
    middle = clipped[:, ahead][:, :, side].mean(axis=2)  # (n, a)
    best = np.full(n, -np.inf, np.float32)
    tilt = np.zeros(n, np.float32)
    t = np.arange(n)
    for slope in given.tilts:
        moved = np.stack(
            [np.interp(t + slope * a, t, middle[:, i]) for i, a in enumerate(AHEAD[ahead])]
        ).mean(axis=0)
        level = ndimage.gaussian_filter1d(moved, given.level_sigma_mm)
        high = moved - level
        spread = np.sqrt(ndimage.gaussian_filter1d(high**2, given.spread_sigma_mm))
        high = high / (spread + given.min_spread_hu)
        for width in given.widths_mm:
            value = _band(high, width) - given.tilt_cost * abs(slope)
            better = value > best
            best[better] = value[better]
            tilt[better] = slope
    return tilt


def _band(high: np.ndarray, width: int) -> np.ndarray:
    """Mean of two rims minus the mean of the band of `width` mm between them."""
    # Rims of 3 mm whose edges are shared between neighbouring planes.
    half = width / 2.0
    x = np.arange(-12, 13)
    inside = np.clip(half + 0.5 - np.abs(x), 0, 1)
    rim = np.clip(3.0 - np.abs(np.abs(x) - half - 2.5), 0, 1) * (np.abs(x) > half)
    kernel = rim / (2 * (rim * (x > 0)).sum()) - inside / inside.sum()
    # Both rims must be there: one bright side alone is the edge of a fracture
    # or of the field of view.
    left = np.where(x < 0, rim, 0) / (rim * (x < 0)).sum()
    right = np.where(x > 0, rim, 0) / (rim * (x > 0)).sum()

    def along(weights: np.ndarray) -> np.ndarray:
        out: np.ndarray = ndimage.correlate1d(high, weights, mode="nearest")
        return out

    centre = along(inside / inside.sum())
    both = np.minimum(along(left), along(right))
    likeness: np.ndarray = 0.5 * along(kernel) + 0.5 * (both - centre)
    return likeness


def find_chain(
    disc: np.ndarray,
    body: np.ndarray,
    seen: np.ndarray,
    settings: ChainSettings = SETTINGS.chain,
) -> tuple[np.ndarray, np.ndarray]:
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
    settings : ChainSettings

    Returns
    -------
    discs : ndarray of int, shape (m,)
        Plane of each disc's middle; empty where no chain of two vertebrae stands out.
    scores : ndarray, shape (m - 1,)
        What each vertebra earned, at most 1.9; above 0 speaks for it.
    """
    n = len(seen)
    heights = np.arange(settings.min_height_mm, settings.max_height_mm + 1)
    reward = _rewards(disc, body, seen, heights, settings)
    growth = heights[:, None] - heights[None, :]  # this minus the one above
    change = (
        -settings.growth_cost * ((growth - settings.growth_mm) / settings.growth_spread_mm) ** 2
    )
    change = np.maximum(change, -settings.max_growth_cost)
    total = np.full((n, len(heights)), -np.inf)
    came = np.full((n, len(heights)), -1)
    # A vertebra ends at least the smallest height below the one above it, so that
    # many planes do not depend on each other and are worked on together.
    for start in range(heights[0], n, heights[0]):
        rows = np.arange(start, min(start + heights[0], n))
        above = rows[:, None] - heights
        before = np.where((above >= 0)[..., None], total[above], -np.inf) + change
        best = before.argmax(axis=2)
        gain = np.take_along_axis(before, best[..., None], axis=2)[..., 0]
        joined = (gain > 0) & np.isfinite(reward[rows])
        came[rows] = np.where(joined, best, -1)
        total[rows] = reward[rows] + np.where(joined, gain, 0.0)
    if not np.isfinite(total).any() or total.max() <= 0:
        return np.zeros(0, int), np.zeros(0)
    b, column = (int(i) for i in np.unravel_index(int(total.argmax()), total.shape))
    discs, scores = [b], []
    while column >= 0:
        scores.append(reward[b, column])
        previous = int(came[b, column])
        b = b - int(heights[column])
        discs.append(b)
        column = previous
    return np.array(discs[::-1]), np.array(scores[::-1])


def _rewards(
    disc: np.ndarray,
    body: np.ndarray,
    seen: np.ndarray,
    heights: np.ndarray,
    given: ChainSettings,
) -> np.ndarray:
    """What a vertebra of each height earns that ends with a disc in each plane, (n, heights)."""
    n = len(seen)
    reward = np.full((n, len(heights)), -np.inf)
    disc = np.clip(disc / given.log_odds, *given.likeness)
    body = np.clip(body / given.log_odds, *given.likeness)
    body = ndimage.maximum_filter1d(body, given.body_reach)
    total_seen = np.concatenate([[0], np.cumsum(seen)])
    for column, height in enumerate(heights):
        if height >= n:
            break
        b = np.arange(height, n)
        a = b - height
        value = given.disc_weight * (disc[a] + disc[b]) + given.body_weight * body[(a + b) // 2]
        unusual = (height - given.usual_height_mm) / given.height_spread_mm
        value -= unusual**4 * given.height_cost
        margin = int(round(given.margin * height))
        low, high = a + margin, b - margin
        whole = total_seen[high] - total_seen[low] > given.min_seen * (high - low)
        reward[b, column] = np.where(whole, value, -np.inf)
    return reward
