"""Finding the lumbar vertebrae in whatever CT is loaded.

The way there (`spine_trace`): a 3 mm copy (`spine_grid`), the chain of places that
look like body, canal and arch (`spine_column`), the spine laid straight
(`spine_straight`), discs and bodies seen along it by a small network
(`spine_evidence`) and chained (`spine_profile`); then the midline of each vertebra
(`spine_midline`). Names come from two witnesses (`spine_witnesses`), rules for ribs
and sacrum and a second small network, weighed in `spine_numbering`.
Both networks were trained on virtual volumes. No step copies the volume.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import Cancelled
from ..levels import MEASURED, LevelSelection, LevelSlice
from ..volume import CTVolume
from .column import bone_map
from .midline import midline
from .numbering import number_spine
from .straightened import AHEAD, LATERAL, sample_planes
from .trace import follow_further, trace_spine
from .transitional import transitional_notes
from .witnesses import witnesses

REPORTED = ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")
"""Vertebrae `find_levels` names; what lies beyond is not needed."""

MIN_WIDTH_MM = 24.0
"""Lumbar bodies are wider than this, those of the neck narrower."""

MIN_DEPTH_MM, MAX_DEPTH_MM = 22.0, 48.0
"""Depth of a body from wall to wall, walls included; what is not within is not believed."""

DEEPER_MM = 2.0
"""A body is at most so much deeper than the others of the same spine in the median."""

ALONG = np.arange(-32.0, 40.1, 1.0)
"""Positions before the line where the walls of a body are looked for, mm."""


def find_levels(volume: CTVolume, *, progress=None, should_cancel=None) -> LevelSelection:
    """Find the vertebral bodies from T11 to S1 that lie whole in a CT.

    Parameters
    ----------
    volume : CTVolume
        Any storage direction, spacing and field of view.
    progress : callable (fraction, text), optional
    should_cancel : callable () -> bool, optional

    Returns
    -------
    LevelSelection
        Empty where no lumbar vertebra is seen. Every level has its centre,
        confidence, axis and height; `numbering` says what the names rest on
        and `notes` what a person should check. Only L1-L4 are included.

    Raises
    ------
    Cancelled
        Where `should_cancel()` answered True.
    """

    def step(fraction, text):
        if should_cancel is not None and should_cancel():
            raise Cancelled
        if progress is not None:
            progress(fraction, text)

    uid = volume.acquisition.series_uid
    nothing = LevelSelection(series_uid=uid, notes=("No lumbar vertebra was found in this CT.",))

    traced = trace_spine(volume, step, should_cancel)
    if traced is None:
        return nothing
    step(0.85, "Naming the vertebrae")
    numbering = _names(traced)
    if numbering.decided_by not in ("sacrum", "both"):
        further = follow_further(volume, traced)
        if further is not None:
            traced = further
            numbering = _names(traced)
    straight, profiles, tissue = traced.straight, traced.profiles, traced.tissue_hu
    discs, scores = traced.discs, traced.scores
    if not numbering.any_lumbar:
        return nothing
    if len(scores) < 2:
        return nothing  # one body alone, with nothing beside it, may be anything

    middles = midline(straight, discs, tissue)
    fronts = _fronts(volume, straight, discs, middles, tissue)
    levels, widths = [], []
    for position, (top, bottom) in enumerate(zip(discs, discs[1:], strict=False)):
        name = numbering.name(position)
        if name not in REPORTED:
            continue
        place = middles[position], fronts[position]
        found = _measure(straight, profiles, top, bottom, traced.level_hu, traced.gain, *place)
        fit = 1.0 / (1.0 + np.exp(-4.0 * (scores[position] - 0.3)))
        levels.append(
            LevelSlice(
                level=name,
                ras=tuple(found["centre"]),
                confidence=float(np.clip(numbering.probability * fit, 0.0, 0.99)),
                source="found",
                included=name in MEASURED,
                axis=tuple(float(x) for x in found["axis"]),
                height_mm=float(found["height"]),
            )
        )
        widths.append(found["width"])
    if not widths or np.median(widths) < MIN_WIDTH_MM:
        return nothing
    if not any(item.level.startswith("L") for item in levels):
        return nothing
    notes = (*numbering.notes, *transitional_notes(straight, discs, numbering, tissue))
    step(1.0, "Levels found")
    return LevelSelection(tuple(levels), uid, numbering.decided_by, notes)


def _names(traced):
    """Names by what both witnesses see."""
    seen = witnesses(
        traced.straight, traced.profiles, traced.reduced, traced.discs, traced.tissue_hu
    )
    return number_spine(*seen)


def _measure(straight, profiles, top, bottom, level, gain, right, ahead):
    """Centre, axis, height and width of the body between two discs.

    Its middle lies `right` and `ahead` mm off the line; the latter None where it is not known.
    Bone is told from `level` and `gain` as it was for the trace: where it is hardly denser than
    muscle, the usual map would show a body without width.
    """
    middle = 0.5 * (top + bottom)
    planes = slice(int(middle) - 4, int(middle) + 5)
    hu = np.nanmean(np.where(np.isfinite(straight.hu[planes]), straight.hu[planes], -100), axis=0)
    bone = bone_map(hu, level, gain)
    canal = float(straight.canal_mm[int(middle)])
    # Only what lies in front of the canal: pedicles and arch are no part of the body.
    half = canal - 8.0 + 1.0
    beside = np.abs(LATERAL - right)
    weight = np.where((np.abs(AHEAD) <= half)[:, None] & (beside <= 27.0), bone, 0.0)
    total = weight.sum()
    front = width = 0.0
    if total > 1e-3:
        front = float(np.clip((weight * AHEAD[:, None]).sum() / total, -4, 4))
        across = weight.sum(axis=0)
        filled = LATERAL[across > 0.25 * np.percentile(across, 90)]
        width = float(np.ptp(filled)) + 3.0 if len(filled) else 0.0
    centre = straight.point(middle, right, front if ahead is None else ahead)
    tilt = 0.5 * (profiles.tilt[top] + profiles.tilt[bottom])
    at = int(middle)
    axis = straight.up[at] + tilt * straight.front[at]
    axis /= np.linalg.norm(axis)
    upper, lower = _endplate(profiles.body, top, 1), _endplate(profiles.body, bottom, -1)
    return {
        "centre": centre + 0.0,
        "axis": axis,
        "height": max(10.0, float(lower - upper)),
        "width": width,
    }


def _fronts(volume, straight, discs, middles, tissue):
    """How far before the line the middle of each body lies, mm; None where its walls are not clear."""
    places = 0.5 * (discs[1:] + discs[:-1])
    walls = [
        _walls(volume, straight, int(at), right, tissue)
        for at, right in zip(places, middles, strict=True)
    ]
    depths = [ahead - back for back, ahead in filter(None, walls)]
    # A vessel full of contrast that lies against one body is no part of it.
    usual = float(np.median(depths)) + DEEPER_MM if depths else MAX_DEPTH_MM
    return [pair and pair[0] + min(pair[1] - pair[0], usual) / 2 for pair in walls]


def _walls(volume, straight, middle, right, tissue):
    """Back and front wall of a body in its midline, mm before the line; None where not clear.

    From the body's inside to either side, where bone falls to half of what it is inside.
    """
    planes = np.clip(middle + np.arange(-6, 7, 3), 0, len(straight) - 1)
    frame = straight.centre[planes], straight.front[planes], straight.right[planes]
    hu = sample_planes(volume, *frame, ALONG, right + np.arange(-7.5, 7.6, 2.5))
    if not np.isfinite(hu).mean() > 0.9:
        return None
    profile = bone_map(np.nan_to_num(hu, nan=tissue), tissue).mean(axis=(0, 2))
    profile = ndimage.uniform_filter1d(profile, 3)
    inside = (ALONG >= -8.0) & (ALONG <= 8.0)
    dark = profile < 0.5 * np.median(profile[inside])
    behind, before = ALONG[dark & (ALONG < -8.0)], ALONG[dark & (ALONG > 8.0)]
    if not len(behind) or not len(before):
        return None
    back, ahead = float(behind[-1]), float(before[0])
    return (back, ahead) if MIN_DEPTH_MM <= ahead - back <= MAX_DEPTH_MM else None


def _endplate(body, disc, way, reach=11):
    """Plane of the steepest rise of bone from a disc's middle into the body."""
    index = np.clip(disc + way * np.arange(reach + 1), 0, len(body) - 1)
    return float(disc + way * (int(np.argmax(np.diff(body[index]))) + 0.5))
