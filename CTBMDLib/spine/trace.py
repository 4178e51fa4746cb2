"""The spine in a CT: tries for a column of bodies until one shows a clear chain of discs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..volume import CTVolume
from .column import Column, bone_map, refine_column, tissue_level, trace_column
from .evidence import see_discs
from .grid import central_box, make_grid, noise_level, quieter, reduce_ct
from .profile import Profiles, find_chain, make_profiles
from .straightened import Straight, recentre, straighten

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

LONG_MM, KEPT_MM = 600.0, 380.0
"""A trace longer than a trunk is cut to so much above its last disc, and followed again."""

LOST_MM = 40.0
"""A trace without a disc so far below its last or above its first one may have left the spine."""

MIN_STEP_MM = 26.0
"""Median distance of lumbar discs at least; those of the neck are 15 to 20 mm apart."""

MIN_PEDICLE, PLAIN = 0.12, 1.35
"""Bone where pedicles are, without which only discs as plain as this, of 1.9, make a spine."""

DOUBTFUL = 0.45
"""Score below which a vertebra at either end of the chain is not kept."""


@dataclass(frozen=True)
class Traced:
    """A spine with its discs.

    Attributes
    ----------
    reduced : CTVolume
        The CT in coarse voxels, smoothed where it is noisy.
    tissue_hu : float
        HU of muscle.
    straight : Straight
    profiles : Profiles
    discs : ndarray of int, shape (m,)
        Plane of each disc's middle, from head to feet.
    scores : ndarray, shape (m - 1,)
        How much each vertebra looks like one, see `spine_profile.find_chain`.
    column : Column
        What was laid straight.
    level_hu, gain, base, noise_hu : float
        How bone was told, see `TRIES`, and the CT's noise.
    """

    reduced: CTVolume
    tissue_hu: float
    straight: Straight
    profiles: Profiles
    discs: np.ndarray
    scores: np.ndarray
    column: Column
    level_hu: float
    gain: float
    base: float
    noise_hu: float

    @property
    def worth(self) -> float:
        """Of the whole chain."""
        return float(np.sum(self.scores)) if len(self.scores) else 0.0


def trace_spine(volume: CTVolume, step=None, should_cancel=None) -> Traced | None:
    """The best chain of lumbar-sized vertebrae; None where nothing looks like one.

    Parameters
    ----------
    volume : CTVolume
    step : callable (fraction, text), optional
        Called as the search goes on; may raise to end it.
    should_cancel : callable () -> bool, optional
    """
    step = step or (lambda fraction, text: None)
    step(0.0, "Reducing the CT")
    reduced = reduce_ct(volume, should_cancel=should_cancel)
    if np.ptp(reduced.ras_bounds, axis=1).min() < SMALLEST_MM:
        return None
    grid = make_grid(reduced, central_box(reduced))
    tissue, noise = tissue_level(reduced), noise_level(grid)
    quiet = quieter(reduced, noise)
    if quiet is not reduced:
        grid = make_grid(quiet, central_box(quiet))
    step(0.4, "Looking for the spine")
    best, seen = None, []

    def attempt(gain, base, avoid):
        """The column found, and it laid straight; None where there is none."""
        level = FAINT_HU if (gain, base) == FAINT else tissue
        bone = bone_map(grid.hu, level, gain)
        column = trace_column(grid, bone, base, avoid=avoid, every=EVERY)
        if column is None or len(column.body) < MIN_NODES:
            return None
        step(0.6, "Looking for the discs")
        refined = refine_column(quiet, column, level, gain, base, avoid)
        how = level, gain, base, noise
        candidate = _lay_straight(volume, quiet, refined, tissue, how)
        part = _lower_part(refined, candidate)
        if part is not None:
            refined = refine_column(quiet, part, level, gain, base, avoid)
            candidate = _lay_straight(volume, quiet, refined, tissue, how)
        return refined, candidate

    for number, kind in enumerate(TRIES):
        if number == NARROW:
            grid = make_grid(quiet)
        found = attempt(*kind, seen)
        if found is None:
            continue
        refined, candidate = found
        if best is None or candidate.worth > best.worth:
            best = candidate
        if best.worth > CLEAR:
            break
        seen.append(refined)
    if best is not None and best.worth > CLEAR and _left_above(best):
        found = attempt(*FAINT, [])
        joined = None if found is None else _joined(found[0], best)
        if joined is not None:
            how = best.level_hu, best.gain, best.base, noise
            candidate = _lay_straight(volume, quiet, joined, tissue, how)
            if candidate.worth > best.worth:
                best = candidate
    if best is None or best.worth <= 0:
        return None
    return best if _is_lumbar(best) else None


def follow_further(volume: CTVolume, traced: Traced) -> Traced | None:
    """The spine followed anew from where its chain of discs ends; None where no more is found.

    Below L4 a trace may leave the spine for an iliac artery full of contrast. What it
    followed there is left out of this one.

    Parameters
    ----------
    volume : CTVolume
    traced : Traced
    """
    below = np.count_nonzero(traced.profiles.seen[traced.discs[-1] :])
    if below < LOST_MM:
        return None
    last = traced.straight.centre[traced.discs[-1], 2]
    body = traced.column.body
    lost = body[:, 2] < last - LOST_MM
    if np.count_nonzero(lost) < 2:
        return None
    wrong, right = (
        Column(body[keep], traced.column.canal[keep], traced.column.score[keep])
        for keep in (lost, ~lost)
    )
    if len(right.body) < 4:
        return None
    how = traced.level_hu, traced.gain, traced.base
    column = refine_column(traced.reduced, right, *how, [wrong])
    found = _lay_straight(volume, traced.reduced, column, traced.tissue_hu, (*how, traced.noise_hu))
    return found if found.worth > traced.worth and _is_lumbar(found) else None


def _left_above(traced) -> bool:
    """Whether a trace goes on far above its first disc as if it had left the spine there.

    An aorta full of contrast draws it away from bone that is hardly denser than muscle.
    """
    above = np.count_nonzero(traced.profiles.seen[: traced.discs[0]])
    return above >= LOST_MM and (traced.gain, traced.base) != FAINT


def _joined(column, traced):
    """Another column as far as the first disc of a trace, then what was traced; None if short."""
    first = traced.straight.centre[traced.discs[0], 2]
    above, below = column.body[:, 2] > first, traced.column.body[:, 2] <= first
    if np.count_nonzero(above) < MIN_NODES or np.count_nonzero(below) < MIN_NODES:
        return None
    parts = (column, above), (traced.column, below)
    return Column(
        np.concatenate([c.body[keep] for c, keep in parts]),
        np.concatenate([c.canal[keep] for c, keep in parts]),
        np.concatenate([c.score[keep] for c, keep in parts]),
    )


def _is_lumbar(traced) -> bool:
    """Whether discs lie as far apart as lumbar ones, and there are pedicles or very plain discs."""
    discs, scores = traced.discs, traced.scores
    if np.median(np.diff(discs)) < MIN_STEP_MM:
        return False
    return _pedicles(traced.profiles, discs) >= MIN_PEDICLE or np.median(scores) >= PLAIN


def _lower_part(column, candidate):
    """What of a long trace holds the lumbar spine; None where it is all worth keeping.

    In a whole body the trace goes on from the sacrum between the legs, and one
    direction for all of it is that of no part.
    """
    if np.ptp(column.body[:, 2]) < LONG_MM or not len(candidate.discs):
        return None
    last = candidate.straight.centre[candidate.discs[-1], 2]
    keep = (column.body[:, 2] > last - 10.0) & (column.body[:, 2] < last + KEPT_MM)
    if np.count_nonzero(keep) < 5:
        return None
    return Column(column.body[keep], column.canal[keep], column.score[keep])


def _lay_straight(volume, reduced, column, tissue, how) -> Traced:
    """Lay a column straight and find its discs; `how` are the last four of `Traced`."""
    level, _, _, noise = how
    straight = straighten(volume, recentre(reduced, column, level), noise)
    profiles = make_profiles(straight, tissue)
    discs, scores = find_chain(*see_discs(straight, tissue), profiles.seen)
    while len(scores) and scores[-1] < DOUBTFUL:
        discs, scores = discs[:-1], scores[:-1]
    while len(scores) and scores[0] < DOUBTFUL:
        discs, scores = discs[1:], scores[1:]
    return Traced(reduced, tissue, straight, profiles, discs, scores, column, *how)


def _pedicles(profiles, discs):
    """Bone where pedicles are, 0 to 1: the weaker side of the middle one of all vertebrae."""
    found = []
    for top, bottom in zip(discs, discs[1:], strict=False):
        height = bottom - top
        part = profiles.pedicle[:, int(top + 0.15 * height) : int(top + 0.5 * height) + 1]
        found.append(part.mean(axis=1).min())
    return float(np.median(found))
