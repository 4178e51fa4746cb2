"""Finding the lumbar vertebrae in whatever CT is loaded.

The way there: a 3 mm copy (`spine_grid`), the chain of places that look like
body, canal and arch (`spine_column`), the spine laid straight
(`spine_straight`), discs and bodies seen along it by a small network
(`spine_evidence`) and chained (`spine_profile`), the midline of each vertebra
(`spine_midline`). Names come from two witnesses, rules for ribs and sacrum
(`spine_ribs`) and a second small network, weighed in `spine_numbering`.
Both networks were trained on virtual volumes. No step copies the volume.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .errors import Cancelled
from .levels import MEASURED, LevelSelection, LevelSlice
from .spine_column import Column, bone_map, refine_column, tissue_level, trace_column
from .spine_evidence import see_discs, see_sides
from .spine_grid import central_box, make_grid, noise_level, quieter, reduce_ct
from .spine_midline import midline
from .spine_numbering import agree, number_vertebrae
from .spine_profile import find_chain, make_profiles
from .spine_ribs import rib_evidence
from .spine_straight import AHEAD, LATERAL, recentre, sample_planes, straighten
from .spine_transitional import transitional_notes
from .volume import CTVolume

REPORTED = ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")
"""Vertebrae `find_levels` names; what lies beyond is not needed."""

MIN_WIDTH_MM = 24.0
"""Lumbar bodies are wider than this, those of the neck narrower."""


SMALLEST_MM = 24.0
"""A CT that is narrower holds no vertebra with what tells it from others."""

EVERY, MIN_NODES = 2, 3
"""The first trace has a node every 12 mm; three of them are 36 mm of spine."""

FIRM, FIRMER, FAINT = (1.0, 0.22), (1.8, 0.22), (4.0, 0.10)
"""Steepness of the bone map and what a plane must score. The last is for bone that is hardly
denser than muscle."""

TRIES = (FIRM, FAINT, FIRMER, FIRM, FIRMER, FAINT)
"""Each try to find a column. Columns without a clear chain of discs (a hip, an arm, an aorta
full of contrast) are left out of the next ones."""

NARROW = 3
"""So many tries look where a spine is expected, which is quick; then everywhere."""

FAINT_HU = 40.0
"""Soft tissue as the faint map takes it, HU."""

CLEAR = 2.5
"""Worth of a chain of discs beyond which no other column is tried."""

SHARPNESS = 0.6
"""Factor on what the side network says: neighbours and both sides are not independent."""

RIB_DROP_MM = 28
"""A rib comes down about as far before it is told from a transverse process."""

LONG_MM, KEPT_MM = 600.0, 380.0
"""A trace longer than a trunk is cut to so much above its last disc, and followed again."""

MIN_DEPTH_MM, MAX_DEPTH_MM = 22.0, 48.0
"""Depth of a body from wall to wall, walls included; what is not within is not believed."""

DEEPER_MM = 2.0
"""A body is at most so much deeper than the others of the same spine in the median."""

ALONG = np.arange(-32.0, 40.1, 1.0)
"""Positions before the line where the walls of a body are looked for, mm."""

MIN_STEP_MM = 26.0
"""Median distance of lumbar discs at least; those of the neck are 15 to 20 mm apart."""

MIN_PEDICLE, PLAIN = 0.12, 1.35
"""Bone where pedicles are, without which only discs as plain as this, of 1.9, make a spine."""

DOUBTFUL = 0.45
"""Score below which a vertebra at either end of the chain is not kept."""


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

    step(0.0, "Reducing the CT")
    reduced = reduce_ct(volume, should_cancel=should_cancel)
    if np.ptp(reduced.ras_bounds, axis=1).min() < SMALLEST_MM:
        return nothing
    grid = make_grid(reduced, central_box(reduced))
    tissue, noise = tissue_level(reduced), noise_level(grid)
    quiet = quieter(reduced, noise)
    if quiet is not reduced:
        grid = make_grid(quiet, central_box(quiet))
    step(0.4, "Looking for the spine")
    best, seen = None, []
    for number, (gain, base) in enumerate(TRIES):
        if number == NARROW:
            grid = make_grid(quiet)
        level = FAINT_HU if (gain, base) == FAINT else tissue
        bone = bone_map(grid.hu, level, gain)
        column = trace_column(grid, bone, base, avoid=seen, every=EVERY)
        if column is None or len(column.body) < MIN_NODES:
            continue
        step(0.6, "Looking for the discs")
        refined = refine_column(quiet, column, level, gain, base, seen)
        candidate = _discs(volume, quiet, refined, level, tissue, noise)
        part = _lower_part(refined, candidate)
        if part is not None:
            refined = refine_column(quiet, part, level, gain, base, seen)
            candidate = _discs(volume, quiet, refined, level, tissue, noise)
        if best is None or candidate["worth"] > best["worth"]:
            best = candidate
        if best["worth"] > CLEAR:
            break
        seen.append(refined)
    if best is None or best["worth"] <= 0:
        return nothing
    straight, profiles = best["straight"], best["profiles"]
    discs, scores = best["discs"], best["scores"]
    step(0.85, "Naming the vertebrae")
    if np.median(np.diff(discs)) < MIN_STEP_MM or (
        _pedicles(profiles, discs) < MIN_PEDICLE and np.median(scores) < PLAIN
    ):
        return nothing
    by_network, ribs = _by_network(straight, profiles, quiet, discs, tissue)
    by_rules, bars = _by_rules(straight, profiles, quiet, discs, tissue)
    numbering = agree(by_rules, by_network)
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
        found = _measure(straight, profiles, top, bottom, tissue, *place)
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
    # A rib on one side is noted only where both witnesses see it so.
    both = np.where(ribs * bars > 0, np.sign(ribs) * np.minimum(np.abs(ribs), np.abs(bars)), 0.0)
    notes = (*numbering.notes, *transitional_notes(straight, discs, numbering, tissue, both))
    step(1.0, "Levels found")
    return LevelSelection(tuple(levels), uid, numbering.decided_by, notes)


def _lower_part(column, candidate):
    """What of a long trace holds the lumbar spine; None where it is all worth keeping.

    In a whole body the trace goes on from the sacrum between the legs, and one
    direction for all of it is that of no part.
    """
    if np.ptp(column.body[:, 2]) < LONG_MM or not len(candidate["discs"]):
        return None
    last = candidate["straight"].centre[candidate["discs"][-1], 2]
    keep = (column.body[:, 2] > last - 10.0) & (column.body[:, 2] < last + KEPT_MM)
    if np.count_nonzero(keep) < 5:
        return None
    return Column(column.body[keep], column.canal[keep], column.score[keep])


def _discs(volume, reduced, column, level, tissue, noise):
    """Lay a column straight and find its discs."""
    straight = straighten(volume, recentre(reduced, column, level), noise)
    profiles = make_profiles(straight, tissue)
    discs, scores = find_chain(*see_discs(straight, tissue), profiles.seen)
    while len(scores) and scores[-1] < DOUBTFUL:
        discs, scores = discs[:-1], scores[:-1]
    while len(scores) and scores[0] < DOUBTFUL:
        discs, scores = discs[1:], scores[1:]
    worth = float(np.sum(scores)) if len(scores) else 0.0
    return {
        "straight": straight,
        "profiles": profiles,
        "discs": discs,
        "scores": scores,
        "worth": worth,
    }


def _places(discs):
    """Upper and lower disc of every vertebra and of two places below the last disc."""
    last = int(np.clip(np.median(np.diff(discs)[-3:]), 28, 42))
    edges = [*discs, discs[-1] + last, discs[-1] + 2 * last]
    return list(zip(edges, edges[1:], strict=False))


def _by_rules(straight, profiles, reduced, discs, tissue):
    """Names by rules, and their rib evidence: bone followed to the side, bone where the sacrum has it."""
    along = rib_evidence(straight, reduced, tissue)
    ala = np.fmin(*profiles.wings)
    n = len(ala)
    ribs, wings = [], []
    for top, bottom in _places(discs):
        height = bottom - top
        part = along[:, max(0, int(top - 0.1 * height)) : max(1, int(top + 0.6 * height))]
        rib = np.array([np.nan if np.isnan(p).all() else np.nanmax(p) for p in part])
        ribs.append(_only_where_seen(rib, profiles, top, bottom))
        part = ala[min(n, int(top + 0.1 * height)) : int(top + 0.55 * height)]
        enough = len(part) and np.isfinite(part).mean() > 0.6
        wings.append(np.nanmedian(part) if enough else np.nan)
    # The broad transverse process of L5 shows a little; the sacrum much more.
    wings = np.array(wings)
    threshold = float(np.clip(0.5 * np.max(np.nan_to_num(wings)), 0.045, 0.12))
    wings = np.clip(3.0 * (wings - threshold) / threshold, -2.5, 5.0)
    ribs = np.array(ribs).T
    return number_vertebrae(ribs, wings, bars=True), ribs


def _only_where_seen(rib, profiles, top, bottom):
    """Ribs run down: that there is none counts only where the CT goes on below the vertebra."""
    below = min(len(profiles.seen) - 1, int(0.5 * (top + bottom)) + RIB_DROP_MM)
    return rib if profiles.seen[below] else np.where(rib < 0, np.nan, rib)


def _by_network(straight, profiles, reduced, discs, tissue):
    """Names by what a small network sees on either side of each vertebra; its rib evidence."""
    logits, cover = see_sides(straight, reduced, tissue)
    ribs, wings = [], []
    for top, bottom in _places(discs):
        height = bottom - top
        at = slice(max(0, int(top + 0.2 * height)), max(1, int(bottom - 0.2 * height)))
        seen = np.full((2, 2), np.nan)
        for side in range(2):
            if len(cover[side, at]) and cover[side, at].mean() > 0.6:
                rib, none, wing = logits[side, at].mean(axis=0)
                seen[side] = rib - np.logaddexp(none, wing), wing - np.logaddexp(none, rib)
        seen = np.clip(SHARPNESS * seen, -3.0, 3.0)
        ribs.append(_only_where_seen(seen[:, 0], profiles, top, bottom))
        # The line may leave the sacrum sideways: the better side counts a little more.
        low, high = np.sort(seen[:, 1])
        wings.append(low if np.isnan(high) else 0.4 * low + 0.6 * high)
    ribs = np.array(ribs).T
    return number_vertebrae(ribs, wings), ribs


def _pedicles(profiles, discs):
    """Bone where pedicles are, 0 to 1: the weaker side of the middle one of all vertebrae."""
    found = []
    for top, bottom in zip(discs, discs[1:], strict=False):
        height = bottom - top
        part = profiles.pedicle[:, int(top + 0.15 * height) : int(top + 0.5 * height) + 1]
        found.append(part.mean(axis=1).min())
    return float(np.median(found))


def _measure(straight, profiles, top, bottom, tissue, right, ahead):
    """Centre, axis, height and width of the body between two discs.

    Its middle lies `right` and `ahead` mm off the line; the latter None where it is not known.
    """
    middle = 0.5 * (top + bottom)
    planes = slice(int(middle) - 4, int(middle) + 5)
    hu = np.nanmean(np.where(np.isfinite(straight.hu[planes]), straight.hu[planes], -100), axis=0)
    bone = bone_map(hu, tissue)
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
