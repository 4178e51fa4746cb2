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
    ribs, ala = _evidence(rib_evidence(straight, quiet, tissue), profiles, discs)
    numbering = number_vertebrae(ribs, ala)
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
    discs, scores = find_chain(profiles)
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


def _evidence(along, profiles, discs):
    """Rib evidence and sacral bone for every vertebra and the two places below the last disc."""
    last = int(np.clip(np.median(np.diff(discs)[-3:]), 28, 42))
    edges = [*discs, discs[-1] + last, discs[-1] + 2 * last]
    n = len(profiles.ala)
    ribs, wings = [], []
    for top, bottom in zip(edges, edges[1:], strict=False):
        height = bottom - top
        at = slice(max(0, int(top - 0.1 * height)), max(1, int(top + 0.6 * height)))
        part = along[:, at]
        if part.shape[1] == 0:
            ribs.append([np.nan, np.nan])
        else:
            ribs.append([np.nan if np.isnan(p).all() else np.nanmax(p) for p in part])
        part = profiles.ala[min(n, int(top + 0.1 * height)) : int(top + 0.55 * height)]
        enough = len(part) and np.isfinite(part).mean() > 0.6
        wings.append(np.nanpercentile(part, 50) if enough else np.nan)
    return np.array(ribs).T, np.array(wings)


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
