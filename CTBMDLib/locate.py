"""Finding the lumbar vertebrae in whatever CT is loaded.

The way there: a copy reduced to about 3 mm (`spine_grid`), the chain of places
that look like body, canal and arch (`spine_column`), the spine laid straight
(`spine_straight`), the chain of discs and pedicles along it (`spine_profile`),
ribs (`spine_ribs`) and sacrum for the names (`spine_numbering`).
No step is learned, and none copies the volume.
"""

from __future__ import annotations

import numpy as np

from .errors import Cancelled
from .levels import MEASURED, LevelSelection, LevelSlice
from .spine_column import bone_map, refine_column, tissue_level, trace_column
from .spine_evidence import see_discs, see_sides
from .spine_grid import central_box, make_grid, noise_level, quieter, reduce_ct
from .spine_numbering import number_vertebrae
from .spine_profile import find_chain, make_profiles
from .spine_ribs import rib_evidence
from .spine_straight import AHEAD, LATERAL, recentre, straighten
from .volume import CTVolume

REPORTED = ("T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1")
"""Vertebrae `find_levels` names; what lies beyond is not needed."""

MIN_WIDTH_MM = 32.0
"""Lumbar bodies are wider than this, those of the neck narrower."""


SMALLEST_MM = 24.0
"""A CT that is narrower holds no vertebra with what tells it from others."""

EVERY, MIN_NODES = 2, 3
"""The first trace has a node every 12 mm; three of them are 36 mm of spine."""

GAINS = (1.0, 1.8, 1.0, 1.0)
"""Steepness of the bone map in each try to find a column; a column without any disc
(a hip, a limb, an aorta full of contrast) is left out of the next one."""

CLEAR = 2.5
"""Worth of a chain of discs beyond which no other column is tried."""

SHARPNESS = 0.6
"""Factor on what the side network says: neighbours and both sides are not independent."""

NETWORK_SHARE = 0.6
"""Weight of the side network against the rules for ribs and sacrum."""

MIN_STEP_MM = 26.0
"""Median distance of lumbar discs at least; those of the neck are 15 to 20 mm apart."""

MIN_PEDICLE = 0.3
"""Bone where pedicles are, without which a row of discs is no spine."""

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
    for number, gain in enumerate(GAINS):
        if number == 1:
            # First where a spine is expected, which is quick; then everywhere.
            grid = make_grid(quiet)
        column = trace_column(grid, bone_map(grid.hu, tissue, gain), avoid=seen, every=EVERY)
        if column is None or len(column.body) < MIN_NODES:
            continue
        step(0.6, "Looking for the discs")
        candidate = _discs(volume, quiet, column, tissue, noise, gain)
        if best is None or candidate["worth"] > best["worth"]:
            best = candidate
        if best["worth"] > CLEAR:
            break
        if candidate["worth"] <= 0:
            seen.append(column)
    if best is None or best["worth"] <= 0:
        return nothing
    straight, profiles = best["straight"], best["profiles"]
    discs, scores = best["discs"], best["scores"]
    step(0.85, "Naming the vertebrae")
    if np.median(np.diff(discs)) < MIN_STEP_MM or _pedicles(profiles, discs) < MIN_PEDICLE:
        return nothing
    numbering = number_vertebrae(*_evidence(straight, profiles, quiet, discs, tissue))
    if not numbering.any_lumbar:
        return nothing
    if numbering.decided_by == "neither" and len(scores) < 2:
        return nothing  # one body alone, with nothing beside it, may be anything

    levels, widths = [], []
    for position, (top, bottom) in enumerate(zip(discs, discs[1:], strict=False)):
        name = numbering.name(position)
        if name not in REPORTED:
            continue
        found = _measure(straight, profiles, top, bottom, tissue)
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
    step(1.0, "Levels found")
    return LevelSelection(tuple(levels), uid, numbering.decided_by, numbering.notes)


def _discs(volume, reduced, column, tissue, noise, gain=1.0):
    """Refine a column, lay it straight and find its discs."""
    column = refine_column(reduced, column, tissue, gain)
    straight = straighten(volume, recentre(reduced, column, tissue), noise)
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


def _evidence(straight, profiles, reduced, discs, tissue):
    """Evidence for ribs (2, m) and sacral wings (m,) of every vertebra and two places below.

    Two witnesses are weighed together: a small network, and rules that follow
    bone from the spine to the side and look for the sacrum's.
    """
    logits, cover = see_sides(straight, reduced, tissue)
    along = rib_evidence(straight, reduced, tissue)
    last = int(np.clip(np.median(np.diff(discs)[-3:]), 28, 42))
    edges = [*discs, discs[-1] + last, discs[-1] + 2 * last]
    n = len(straight)
    ribs, wings, bars = [], [], []
    for top, bottom in zip(edges, edges[1:], strict=False):
        height = bottom - top
        at = slice(max(0, int(top + 0.2 * height)), max(1, int(bottom - 0.2 * height)))
        seen = np.full((2, 2), np.nan)
        for side in range(2):
            if len(cover[side, at]) and cover[side, at].mean() > 0.6:
                rib, none, wing = logits[side, at].mean(axis=0)
                seen[side] = rib - np.logaddexp(none, wing), wing - np.logaddexp(none, rib)
        seen = np.clip(SHARPNESS * seen, -3.0, 3.0)
        part = along[:, max(0, int(top - 0.1 * height)) : max(1, int(top + 0.6 * height))]
        bar = [np.nan if np.isnan(p).all() else np.nanmax(p) for p in part]
        ribs.append([_weighed(a, b) for a, b in zip(seen[:, 0], bar, strict=True)])
        wings.append(np.nan if np.isnan(seen[:, 1]).all() else np.nanmean(seen[:, 1]))
        part = profiles.wings[:, min(n, int(top + 0.1 * height)) : int(top + 0.55 * height)]
        sides = [np.nanmedian(p) if np.isfinite(p).mean() > 0.6 else np.nan for p in part]
        bars.append(np.nan if np.isnan(sides).all() else np.nanmin(sides))
    # The broad transverse process of L5 shows a little; the sacrum much more.
    bars = np.array(bars)
    threshold = float(np.clip(0.5 * np.max(np.nan_to_num(bars)), 0.045, 0.12))
    bars = np.clip(3.0 * (bars - threshold) / threshold, -2.5, 3.0)
    wings = [_weighed(a, b) for a, b in zip(wings, bars, strict=True)]
    return np.array(ribs).T, np.array(wings)


def _pedicles(profiles, discs):
    """Bone where pedicles are, 0 to 1: the weaker side of the middle one of all vertebrae."""
    found = []
    for top, bottom in zip(discs, discs[1:], strict=False):
        height = bottom - top
        part = profiles.pedicle[:, int(top + 0.15 * height) : int(top + 0.5 * height) + 1]
        found.append(part.mean(axis=1).min())
    return float(np.median(found))


def _weighed(network, rule):
    """Weighted mean of two witnesses; the one that is known where the other is not."""
    if np.isnan(network) or np.isnan(rule):
        return rule if np.isnan(network) else network
    return NETWORK_SHARE * network + (1.0 - NETWORK_SHARE) * rule


def _measure(straight, profiles, top, bottom, tissue):
    """Centre, axis, height and width of the body between two discs."""
    middle = 0.5 * (top + bottom)
    planes = slice(int(middle) - 4, int(middle) + 5)
    hu = np.nanmean(np.where(np.isfinite(straight.hu[planes]), straight.hu[planes], -100), axis=0)
    bone = bone_map(hu, tissue)
    canal = float(straight.canal_mm[int(middle)])
    # Only what lies in front of the canal: pedicles and arch are no part of the body.
    half = canal - 8.0 + 1.0
    allowed = (np.abs(AHEAD) <= half)[:, None] & (np.abs(LATERAL) <= 27.0)
    weight = np.where(allowed, bone, 0.0)
    total = weight.sum()
    right = front = 0.0
    width = 0.0
    if total > 1e-3:
        right = float((weight * LATERAL[None, :]).sum() / total)
        front = float((weight * AHEAD[:, None]).sum() / total)
        across = weight.sum(axis=0)
        filled = LATERAL[across > 0.25 * np.percentile(across, 90)]
        width = float(np.ptp(filled)) + 3.0 if len(filled) else 0.0
    right, front = float(np.clip(right, -6, 6)), float(np.clip(front, -4, 4))
    centre = straight.point(middle, right, front)
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


def _endplate(body, disc, way, reach=11):
    """Plane of the steepest rise of bone from a disc's middle into the body."""
    index = np.clip(disc + way * np.arange(reach + 1), 0, len(body) - 1)
    return float(disc + way * (int(np.argmax(np.diff(body[index]))) + 0.5))
