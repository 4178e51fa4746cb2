"""Centre, axis, height and width of each vertebral body of a traced spine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..volume import CTVolume
from .bone import bone_map
from .midline import midline
from .settings import SETTINGS, SpineSettings
from .straightened import AHEAD, LATERAL, StraightenedSpine, sample_planes
from .traced import Traced


@dataclass(frozen=True)
class Body:
    """One vertebral body.

    Attributes
    ----------
    centre : ndarray, shape (3,)
        RAS mm.
    axis : ndarray, shape (3,)
        Unit vector from feet to head.
    height_mm, width_mm : float
    """

    centre: np.ndarray
    axis: np.ndarray
    height_mm: float
    width_mm: float


def measure_bodies(traced: Traced, positions: Sequence[int]) -> list[Body]:
    """The bodies at some positions of a traced chain, counted from its head."""
    middles = midline(traced.straight, traced.discs, traced.tissue_hu, traced.settings.midline)
    fronts = _fronts(traced, middles)
    discs = traced.discs
    return [_measure(traced, discs[n], discs[n + 1], middles[n], fronts[n]) for n in positions]


def _measure(traced: Traced, top: int, bottom: int, right: float, ahead: float | None) -> Body:
    """The body between two discs.

    Its middle lies `right` and `ahead` mm off the line; the latter None where it is not known.
    Bone is told as it was for the trace: where it is hardly denser than muscle, the usual map
    would show a body without width.
    """
    given = traced.settings.body
    straight, profiles = traced.straight, traced.profiles
    middle = 0.5 * (top + bottom)
    at = int(middle)
    hu = straight.hu[at - given.half_planes : at + given.half_planes + 1]
    hu = np.nanmean(np.where(np.isfinite(hu), hu, given.unseen_hu), axis=0)
    bone = bone_map(hu, traced.level_hu, traced.kind.gain, traced.settings.bone)
    # Only what lies in front of the canal: pedicles and arch are no part of the body.
    half = float(straight.canal_mm[at]) - given.canal_front_mm + given.beyond_mm
    within = (np.abs(AHEAD) <= half)[:, None] & (np.abs(LATERAL - right) <= given.side_mm)
    weight = np.where(within, bone, 0.0)
    total = weight.sum()
    front = width = 0.0
    if total > 1e-3:
        most = given.max_front_mm
        front = float(np.clip((weight * AHEAD[:, None]).sum() / total, -most, most))
        across = weight.sum(axis=0)
        least = given.wide_share * np.percentile(across, given.wide_percent)
        filled = LATERAL[across > least]
        width = float(np.ptp(filled)) + given.width_extra_mm if len(filled) else 0.0
    centre = straight.point(middle, right, front if ahead is None else ahead)
    tilt = 0.5 * (profiles.tilt[top] + profiles.tilt[bottom])
    axis = straight.up[at] + tilt * straight.front[at]
    axis /= np.linalg.norm(axis)
    upper = _endplate(profiles.body, top, 1, given.endplate_reach_mm)
    lower = _endplate(profiles.body, bottom, -1, given.endplate_reach_mm)
    height = max(given.min_height_mm, float(lower - upper))
    return Body(centre + 0.0, axis, height, width)  # + 0.0: no negative zero


def _fronts(traced: Traced, middles: np.ndarray) -> list[float | None]:
    """How far before the line the middle of each body lies, mm; None where its walls are unclear.

    Where its walls cannot be its own, it is taken to lie as the others do.
    """
    given = traced.settings.body
    places = 0.5 * (traced.discs[1:] + traced.discs[:-1])
    walls = [
        body_walls(
            traced.ct.volume, traced.straight, int(at), right, traced.tissue_hu, traced.settings
        )
        for at, right in zip(places, middles, strict=True)
    ]
    depths = [ahead - back for back, ahead in filter(None, walls)]
    most = float(np.median(depths)) + given.deeper_mm if depths else given.max_depth_mm
    fronts = [pair and pair[0] + min(pair[1] - pair[0], most) / 2 for pair in walls]
    believed = [at for at in fronts if at is not None and abs(at) <= given.max_ahead_mm]
    usual = float(np.median(believed)) if believed else None
    return [at if at is None or at in believed else usual for at in fronts]


def body_walls(
    volume: CTVolume,
    straight: StraightenedSpine,
    middle: int,
    right: float,
    tissue_hu: float,
    settings: SpineSettings = SETTINGS,
) -> tuple[float, float] | None:
    """Back and front wall of a body in its midline, mm before the line; None where not clear.

    From the body's inside to either side, where bone falls to half of what it is inside.

    Parameters
    ----------
    volume : CTVolume
    straight : StraightenedSpine
    middle : int
        Plane of the body's middle.
    right : float
        Its midline, mm to the patient's right of the line.
    tissue_hu : float
        HU of muscle in this CT.
    settings : SpineSettings
    """
    given = settings.body
    reach, step = given.walls_half_planes, given.walls_plane_step
    planes = np.clip(middle + np.arange(-reach, reach + 1, step), 0, len(straight) - 1)
    low, high = given.walls_ahead_mm
    along = np.arange(low, high + 0.1, 1.0)
    side, side_step = given.walls_side_mm, given.walls_side_step_mm
    aside = right + np.arange(-side, side + 0.1, side_step)
    centre, front, rightward = (
        v[planes] for v in (straight.centre, straight.front, straight.right)
    )
    hu = sample_planes(volume, centre, front, rightward, along, aside)
    if not np.isfinite(hu).mean() > given.min_seen:
        return None
    filled = np.nan_to_num(hu, nan=tissue_hu)
    profile = bone_map(filled, tissue_hu, settings=settings.bone).mean(axis=(0, 2))
    profile = ndimage.uniform_filter1d(profile, given.walls_smooth)
    inside = np.abs(along) <= given.inside_mm
    dark = profile < given.wall_share * np.median(profile[inside])
    behind = along[dark & (along < -given.inside_mm)]
    before = along[dark & (along > given.inside_mm)]
    if not len(behind) or not len(before):
        return None
    back, ahead = float(behind[-1]), float(before[0])
    believed = given.min_depth_mm <= ahead - back <= given.max_depth_mm
    return (back, ahead) if believed else None


def _endplate(body: np.ndarray, disc: int, way: int, reach: int) -> float:
    """Plane of the steepest rise of bone from a disc's middle into the body."""
    index = np.clip(disc + way * np.arange(reach + 1), 0, len(body) - 1)
    return float(disc + way * (int(np.argmax(np.diff(body[index]))) + 0.5))
