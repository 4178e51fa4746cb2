"""The spine in a CT: tries for a column of bodies until one shows a clear chain of discs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..progress import Progress
from ..volume import CTVolume
from .bone import bone_map, tissue_level
from .column import Column, refine_column, trace_column
from .evidence import see_discs
from .grid import Grid, central_box, make_grid, noise_level, quieter, reduce_ct
from .profile import Profiles, find_chain, make_profiles
from .settings import FAINT, SETTINGS, BoneKind, SpineSettings
from .straightened import AHEAD, LATERAL, StraightenedSpine, between, recentre, straighten


@dataclass(frozen=True)
class CoarseCT:
    """A CT with the coarse copies that a spine is looked for in: where every try begins.

    Attributes
    ----------
    volume : CTVolume
        As it was loaded.
    reduced : CTVolume
        In coarse voxels, smoothed where it is noisy.
    grid : Grid
        The part of it that is searched.
    tissue_hu : float
        HU of muscle.
    noise_hu : float
    settings : SpineSettings
    """

    volume: CTVolume
    reduced: CTVolume
    grid: Grid
    tissue_hu: float
    noise_hu: float
    settings: SpineSettings = SETTINGS
    _bones: dict[tuple[float, float], np.ndarray] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def bone(self, kind: BoneKind) -> np.ndarray:
        """`bone_map` of the grid, made once for each kind."""
        key = kind.level_hu(self.tissue_hu), kind.gain
        if key not in self._bones:
            self._bones[key] = bone_map(self.grid.hu, *key, self.settings.bone)
        return self._bones[key]

    def everywhere(self) -> CoarseCT:
        """The same with a grid over all of the CT."""
        return replace(self, grid=make_grid(self.reduced))


@dataclass(frozen=True)
class Traced:
    """A spine with its discs, and all that it was found with.

    Attributes
    ----------
    ct : CoarseCT
    kind : BoneKind
        How bone was told.
    column : Column
        What was straightened.
    straight : StraightenedSpine
    profiles : Profiles
    discs : ndarray of int, shape (m,)
        Plane of each disc's middle, from head to feet.
    scores : ndarray, shape (m - 1,)
        How much each vertebra looks like one, see `profile.find_chain`.
    """

    ct: CoarseCT
    kind: BoneKind
    column: Column
    straight: StraightenedSpine
    profiles: Profiles
    discs: np.ndarray
    scores: np.ndarray

    @property
    def settings(self) -> SpineSettings:
        """Those of every step."""
        return self.ct.settings

    @property
    def reduced(self) -> CTVolume:
        """The CT in coarse voxels."""
        return self.ct.reduced

    @property
    def tissue_hu(self) -> float:
        """HU of muscle."""
        return self.ct.tissue_hu

    @property
    def level_hu(self) -> float:
        """HU that soft tissue was taken for."""
        return self.kind.level_hu(self.ct.tissue_hu)

    @property
    def worth(self) -> float:
        """Of the whole chain."""
        return float(np.sum(self.scores)) if len(self.scores) else 0.0

    @property
    def is_clear(self) -> bool:
        """Whether its chain is worth so much that it is a spine."""
        return self.worth > self.settings.trace.clear_worth

    @property
    def disc_distance_mm(self) -> float:
        """Median distance of the discs; 0 where there are fewer than two."""
        return float(np.median(np.diff(self.discs))) if len(self.discs) > 1 else 0.0

    @property
    def is_lumbar(self) -> bool:
        """Whether discs lie as far apart as lumbar ones, with pedicles or an arch behind them.

        Where the CT does not reach behind the canal, very plain discs stand for the arch.
        """
        given = self.settings.trace
        if self.disc_distance_mm < given.min_disc_distance_mm:
            return False
        if self._pedicles() >= given.min_pedicle:
            return True
        score, arch = float(np.median(self.scores)), self.arch
        if arch is None:
            return score >= given.plain_score
        if len(self.scores) >= given.arch_vertebrae and self.is_clear and arch >= given.clear_arch:
            return True
        return arch >= given.min_arch and score >= given.arch_score

    @property
    def arch(self) -> float | None:
        """How unevenly bone lies behind the canal, 0 to 1; None where the CT does not reach.

        A spinous process and laminae stand out from the muscle beside them; behind the
        stacked discs of a test phantom everything is alike. Of the middle one of all vertebrae.
        """
        given = self.settings.trace
        canal = self.straight.canal_mm[self.discs[0] : self.discs[-1]]
        behind = between(AHEAD + float(np.median(canal)), given.arch_ahead_mm)
        aside = np.abs(LATERAL) <= given.arch_side_mm
        place = np.ix_(np.arange(self.discs[0], self.discs[-1]), behind, aside)
        if np.isfinite(self.straight.hu[place]).mean() < given.min_arch_seen:
            return None
        found = []
        for top, bottom in zip(self.discs, self.discs[1:], strict=False):
            # Over all planes of a vertebra, so that noise counts little.
            mean = self.profiles.bone[top:bottom][:, behind][:, :, aside].mean(axis=0)
            low, high = np.percentile(mean, given.arch_percent)
            found.append(high - low)
        return float(np.median(found))

    def _pedicles(self) -> float:
        """Bone where pedicles are, 0 to 1: the weaker side of the middle one of all vertebrae."""
        low, high = self.settings.trace.pedicle_share
        found = []
        for top, bottom in zip(self.discs, self.discs[1:], strict=False):
            height = bottom - top
            part = self.profiles.pedicle[:, int(top + low * height) : int(top + high * height) + 1]
            found.append(part.mean(axis=1).min())
        return float(np.median(found))


def coarse_ct(
    volume: CTVolume, progress: Progress | None = None, settings: SpineSettings = SETTINGS
) -> CoarseCT | None:
    """The coarse copies of a CT; None where it is too small to hold a vertebra.

    Parameters
    ----------
    volume : CTVolume
    progress : Progress, optional
        Asked whether to go on.
    settings : SpineSettings

    Raises
    ------
    Cancelled
    """
    given = settings.grid
    reduced = reduce_ct(volume, progress=progress, settings=given)
    if np.ptp(reduced.ras_bounds, axis=1).min() < settings.trace.min_ct_mm:
        return None
    grid = make_grid(reduced, central_box(reduced, given))
    tissue = tissue_level(reduced, settings.bone)
    noise = noise_level(grid, given)
    quiet = quieter(reduced, noise, given)
    if quiet is not reduced:
        grid = make_grid(quiet, central_box(quiet, given))
    return CoarseCT(volume, quiet, grid, tissue, noise, settings)


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
        found = _attempt(ct, kind, seen, progress)
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
    given = settings.trace
    traced = trace_column(
        ct.grid, ct.bone(kind), kind.min_score, (), given.every, settings.column, filled=kind.filled
    )
    if traced is None or len(traced) < given.min_nodes:
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
        found = _attempt(ct, kind, [], progress)
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


def _attempt(
    ct: CoarseCT, kind: BoneKind, avoid: Sequence[Column], progress: Progress
) -> Traced | None:
    """The spine along the best column of the grid; None where there is none."""
    settings = ct.settings
    given = settings.trace
    bone = ct.bone(kind)
    column = trace_column(
        ct.grid, bone, kind.min_score, avoid, given.every, settings.column, filled=kind.filled
    )
    if column is None or len(column) < given.min_nodes:
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


def trace_along(ct: CoarseCT, column: Column, kind: BoneKind, *, in_middle: bool = False) -> Traced:
    """Straighten the spine along a column and find its discs.

    The column is first moved to the middle of the bodies, unless it runs `in_middle` already.
    """
    settings, tissue = ct.settings, ct.tissue_hu
    line = column
    if not in_middle:
        level = kind.level_hu(tissue)
        line = recentre(ct.reduced, column, level, settings, hollow=kind.filled_line)
    straight = straighten(ct.volume, line, ct.noise_hu, settings.line)
    profiles = make_profiles(straight, tissue, settings)
    discs, scores = find_chain(*see_discs(straight, tissue), profiles.seen, settings.chain)
    least = settings.trace.min_end_score
    while len(scores) and scores[-1] < least:
        discs, scores = discs[:-1], scores[:-1]
    while len(scores) and scores[0] < least:
        discs, scores = discs[1:], scores[1:]
    return Traced(ct, kind, column, straight, profiles, discs, scores)


def follow_further(traced: Traced, progress: Progress | None = None) -> Traced | None:
    """The spine followed anew from where its chain of discs ends; None where no more is found.

    Below L4 a trace may leave the spine for an iliac artery full of contrast. What it
    followed there is left out of the next one, and of the one after that, as long as each
    shows more of the spine.

    Parameters
    ----------
    traced : Traced
    progress : Progress, optional
        Asked whether to go on.

    Raises
    ------
    Cancelled
    """
    best = traced
    wrong: list[Column] = []
    others: dict[BoneKind, Traced | None] = {}
    for _ in range(traced.settings.trace.further_rounds):
        below = np.count_nonzero(best.profiles.seen[best.discs[-1] :])
        if below < traced.settings.trace.lost_mm:
            break
        if (lost := _lost_below(best)) is not None:
            wrong.append(lost)
        found = [
            *_keeping_away(best, wrong),
            *_with_others_below(best, others, progress or Progress()),
        ]
        better = [one for one in found if one.worth > best.worth and one.is_lumbar]
        if not better:
            break
        best = max(better, key=lambda one: one.worth)
    return None if best is traced else best


def _lost_below(traced: Traced) -> Column | None:
    """What a trace followed far below its last disc; None where that is next to nothing."""
    given = traced.settings.trace
    last = traced.straight.centre[traced.discs[-1], 2]
    lost = traced.column.body[:, 2] < last - given.lost_mm
    return traced.column.part(lost) if np.count_nonzero(lost) >= given.min_lost_nodes else None


def _keeping_away(traced: Traced, wrong: Sequence[Column]) -> list[Traced]:
    """The trace again, away from wrong columns and, above its last disc, where it was.

    It is given as it is and, as the first one may have seen more above, joined to that.
    """
    ct, given = traced.ct, traced.settings.trace
    last = traced.straight.centre[traced.discs[-1], 2]
    height = traced.column.body[:, 2]
    right = traced.column.part(height >= last - given.lost_mm)
    sure = traced.column.part(height >= last)
    if not wrong or len(right) < given.min_right_nodes or not len(sure):
        return []
    column = refine_column(
        ct.reduced, right, ct.tissue_hu, traced.kind, wrong, ct.settings, keep=sure
    )
    joined = join_below(traced, column)
    columns = [column] if joined is None else [column, joined]
    return [trace_along(ct, one, traced.kind) for one in columns]


def _with_others_below(
    traced: Traced, others: dict[BoneKind, Traced | None], progress: Progress
) -> list[Traced]:
    """Traces that see bone in other ways, and this one joined to each below its last disc.

    What each way sees is kept in `others`: it is the same whatever was followed before.
    """
    found = []
    for kind in traced.settings.trace.others:
        if kind == traced.kind:
            continue
        if kind not in others:
            others[kind] = _attempt(traced.ct, kind, [], progress)
        other = others[kind]
        if other is None:
            continue
        found.append(other)
        column = join_below(traced, other.column)
        if column is not None:
            found.append(trace_along(traced.ct, column, traced.kind))
    return found


def join_below(traced: Traced, column: Column) -> Column | None:
    """A trace as far as its last disc, then another column; None if either part is short."""
    last = traced.straight.centre[traced.discs[-1], 2]
    above = traced.column.part(traced.column.body[:, 2] >= last)
    return _joined(above, column.part(column.body[:, 2] < last), traced.settings.trace.min_nodes)


def with_body_below(traced: Traced) -> Traced | None:
    """The chain with one body more, where its lower disc is not plain; None where it is cut.

    For a vertebra that must be there by its names: L5 below the disc L4/5, as no spine ends there.

    Parameters
    ----------
    traced : Traced
    """
    given = traced.settings.trace
    last = int(traced.discs[-1])
    height = float(np.median(np.diff(traced.discs)[-3:]))
    low, high = (last + int(round(share * height)) for share in given.added_height)
    seen = traced.profiles.seen
    if high >= len(seen) or not seen[last : low + 1].all():
        return None
    disc, _ = see_discs(traced.straight, traced.tissue_hu)
    plane = low + int(np.argmax(np.where(seen[low : high + 1], disc[low : high + 1], -np.inf)))
    return replace(
        traced,
        discs=np.append(traced.discs, plane),
        scores=np.append(traced.scores, given.added_score),
    )


def left_above(traced: Traced) -> bool:
    """Whether a trace goes on far above its first disc as if it had left the spine there.

    An aorta full of contrast draws it away from bone that is hardly denser than muscle.
    """
    above = np.count_nonzero(traced.profiles.seen[: traced.discs[0]])
    return bool(above >= traced.settings.trace.lost_mm) and traced.kind != FAINT


def _with_another_above(best: Traced, progress: Progress) -> Traced:
    """The trace joined to one of faint bone above its first disc, where that is worth more."""
    other = _attempt(best.ct, FAINT, [], progress)
    column = None if other is None else join_above(other.column, best)
    if column is None:
        return best
    found = trace_along(best.ct, column, best.kind)
    return found if found.worth > best.worth else best


def join_above(column: Column, traced: Traced) -> Column | None:
    """Another column as far as the first disc of a trace, then what was traced; None if short."""
    first = traced.straight.centre[traced.discs[0], 2]
    below = traced.column.part(traced.column.body[:, 2] <= first)
    return _joined(column.part(column.body[:, 2] > first), below, traced.settings.trace.min_nodes)


def _joined(above: Column, below: Column, least: int) -> Column | None:
    """Two columns as one; None where either has fewer than `least` nodes."""
    if len(above) < least or len(below) < least:
        return None
    return Column(
        np.concatenate([above.body, below.body]),
        np.concatenate([above.canal, below.canal]),
        np.concatenate([above.score, below.score]),
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
