"""A traced spine: the coarse CT it was looked for in, its straightened line and its discs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ..progress import Progress
from ..volume import CTVolume
from .bone import bone_map, tissue_level
from .column import Column
from .evidence import see_discs
from .grid import Grid, central_box, make_grid, noise_level, quieter, reduce_ct
from .profile import Profiles, find_chain, make_profiles
from .settings import SETTINGS, BoneKind, SpineSettings
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
