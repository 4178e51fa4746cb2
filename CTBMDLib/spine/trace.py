"""The spine in a CT: tries for a column of bodies until one shows a clear chain of discs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..progress import Progress
from ..volume import CTVolume
from .column import Column, joined, refine_column, trace_column
from .settings import FAINT, SETTINGS, BoneKind, SpineSettings
from .traced import CoarseCT, Traced, coarse_ct, trace_along


def trace_spine(
    volume: CTVolume, progress: Progress | None = None, settings: SpineSettings = SETTINGS
) -> Traced | None:
    """The best chain of lumbar-sized vertebrae; None where nothing looks like one.

    Parameters
    ----------
    volume : CTVolume
    progress : Progress, optional
        Told as the search goes on.
    settings : SpineSettings

    Raises
    ------
    Cancelled
    """
    progress = progress or Progress()
    progress.step(0.0, "Reducing the CT")
    ct = coarse_ct(volume, progress, settings)
    if ct is None:
        return None
    progress.step(0.4, "Looking for the spine")
    best = _best_of_tries(ct, progress)
    if best is None or best.worth <= 0:
        return None
    if best.is_clear and left_above(best):
        best = _with_another_above(best, progress)
    return best if best.is_lumbar else None


def _best_of_tries(narrow: CoarseCT, progress: Progress) -> Traced | None:
    """The first clear lumbar chain of all ways to see bone, or else the one worth most."""
    given, ct = narrow.settings.trace, narrow
    best: Traced | None = None
    seen: list[Column] = []
    short: list[Traced] = []
    for number, kind in enumerate(given.tries):
        if number == given.narrow_tries:
            ct = ct.everywhere()
        found = attempt(ct, kind, seen, progress)
        if found is None:
            continue
        if found.is_clear and found.is_lumbar:
            return found
        if best is None or found.worth > best.worth:
            best = found
        if not found.is_clear:
            seen.append(found.column)
        # A clear chain may be the spine, seen badly: the next try is to see it otherwise. One
        # that stays the same is a chest or a neck.
        elif found.disc_distance_mm < given.min_disc_distance_mm:
            short.append(found)
            if same_chain(short[-given.same_tries :]):
                return None
    if not seen or (best is not None and best.worth > 0 and best.is_lumbar):
        return best
    return _with_nothing_left_out(narrow, best, progress)


def _with_nothing_left_out(ct: CoarseCT, best: Traced | None, progress: Progress) -> Traced | None:
    """What another way of seeing bone shows that leaves nothing out, where no try showed a lumbar spine.

    A try that runs along the edge of hollow bodies shows no discs. What it followed is left
    out of the next ones as if it were a hip or an aorta, and the spine with it. A lumbar chain
    that was found, however short, stays: another that is worth more may miss a disc of its own.

    Where still nothing is seen, muscle is taken to be as it mostly is: what there is most of in a
    CT may be fat marbled with muscle, or organs full of contrast agent, above which neither
    faint walls nor discs between dark bodies show. At the very last, see `_unturned`.
    """
    given, usual = ct.settings.trace, ct.settings.bone.unknown_tissue_hu
    ways = [(ct, given.again), (ct, given.at_last)]
    if abs(ct.tissue_hu - usual) >= given.other_tissue_hu:
        ways.append((replace(ct, tissue_hu=usual), (*given.again, *given.at_last)))
    for seen, kinds in ways:
        best = _again(seen, kinds, best, progress)
        if best is not None and best.is_lumbar:
            return best
    return _unturned(ct, best, progress)


def _unturned(ct: CoarseCT, best: Traced | None, progress: Progress) -> Traced | None:
    """What a line through faint bone shows where no vertebra is taken to be turned.

    A body whose marrow is as dense as muscle is a faint ring, and a corner of it passes for the
    canal: the line lies within the bodies, but the planes are turned about it by 30 degrees and
    more, and no disc looks like one.
    """
    settings, kind = ct.settings, ct.settings.trace.unturned
    traced = _first_column(ct, kind, ())
    if traced is None:
        return best
    progress.step(0.6, "Looking for the discs")
    refined = refine_column(ct.reduced, traced, ct.tissue_hu, kind, (), settings)
    found = [trace_along(ct, one.facing_front(), kind) for one in (traced, refined)]
    clear = [one for one in found if one.is_clear and one.is_lumbar]
    return max(clear, key=lambda one: one.worth, default=best)


def _again(
    ct: CoarseCT, kinds: Sequence[BoneKind], best: Traced | None, progress: Progress
) -> Traced | None:
    """The first clear lumbar chain with nothing left out, or else what is worth most."""
    for kind in kinds:
        found = attempt(ct, kind, [], progress)
        if found is None or not found.is_lumbar:
            continue
        if found.is_clear:
            return found
        if best is None or found.worth > best.worth:
            best = found
    return best


def same_chain(chains: Sequence[Traced]) -> bool:
    """Whether enough chains of discs end at the same place with discs as far apart."""
    given = chains[0].settings.trace
    if len(chains) < given.same_tries:
        return False
    ends = np.array([one.straight.centre[one.discs[-1]] for one in chains])
    apart = [one.disc_distance_mm for one in chains]
    off = np.linalg.norm(ends - ends[0], axis=1).max()
    return bool(off <= given.same_end_mm and np.ptp(apart) <= given.same_distance_mm)


def _first_column(ct: CoarseCT, kind: BoneKind, avoid: Sequence[Column]) -> Column | None:
    """The best column of the grid, upright as a patient lies; None where it is too short."""
    given = ct.settings.trace
    column = trace_column(
        ct.grid,
        ct.bone(kind),
        kind.min_score,
        avoid,
        given.every,
        ct.settings.column,
        filled=kind.filled,
    )
    return column if column is not None and len(column) >= given.min_nodes else None


def attempt(
    ct: CoarseCT, kind: BoneKind, avoid: Sequence[Column], progress: Progress
) -> Traced | None:
    """The spine along the best column of the grid; None where there is none."""
    settings = ct.settings
    column = _first_column(ct, kind, avoid)
    if column is None:
        return None
    progress.step(0.6, "Looking for the discs")
    refined = refine_column(ct.reduced, column, ct.tissue_hu, kind, avoid, settings)
    found = trace_along(ct, refined, kind)
    part = lower_part(found)
    if part is None:
        return found
    return trace_along(
        ct, refine_column(ct.reduced, part, ct.tissue_hu, kind, avoid, settings), kind
    )


def lower_part(traced: Traced) -> Column | None:
    """What of a long trace holds the lumbar spine; None where it is all worth keeping.

    In a whole body the trace goes on from the sacrum between the legs, and one
    direction for all of it is that of no part.
    """
    given = traced.settings.trace
    height = traced.column.body[:, 2]
    if np.ptp(height) < given.long_mm or not len(traced.discs):
        return None
    last = traced.straight.centre[traced.discs[-1], 2]
    keep = (height > last - given.kept_below_mm) & (height < last + given.kept_mm)
    return traced.column.part(keep) if np.count_nonzero(keep) >= given.min_kept_nodes else None


def left_above(traced: Traced) -> bool:
    """Whether a trace goes on far above its first disc as if it had left the spine there.

    An aorta full of contrast draws it away from bone that is hardly denser than muscle.
    """
    above = np.count_nonzero(traced.profiles.seen[: traced.discs[0]])
    return bool(above >= traced.settings.trace.lost_mm) and traced.kind != FAINT


def _with_another_above(best: Traced, progress: Progress) -> Traced:
    """The trace joined to one of faint bone above its first disc, where that is worth more."""
    other = attempt(best.ct, FAINT, [], progress)
    column = None if other is None else join_above(other.column, best)
    if column is None:
        return best
    found = trace_along(best.ct, column, best.kind)
    return found if found.worth > best.worth else best


def join_above(column: Column, traced: Traced) -> Column | None:
    """Another column as far as the first disc of a trace, then what was traced; None if short."""
    first = traced.straight.centre[traced.discs[0], 2]
    below = traced.column.part(traced.column.body[:, 2] <= first)
    return joined(column.part(column.body[:, 2] > first), below, traced.settings.trace.min_nodes)
